//! Which devices a cgroup's processes may make, read and write.
//!
//! Rules apply in order, the last one for a device counts, and what no rule names is refused. v1 keeps a list of what
//! is allowed, v2 runs a program at each access. Source: runtime-spec config-linux.md (Allowed Device list),
//! cgroup-v1/devices.rst, cgroup-v2.rst (Device controller).

use std::path::Path;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};
use rustix::fs::{Mode, OFlags};

use super::super::super::error::{Error, Kind, OsContext, Result, from_io};
use super::super::super::sys::bpf;
use super::hierarchy::Version;
use super::resources::Target;
use super::{Cgroup, control, device_program};

const OPTION: &str = "device_cgroup_rule";

pub(super) const MKNOD: u8 = 1;
pub(super) const READ: u8 = 2;
pub(super) const WRITE: u8 = 4;
pub(super) const ALL: u8 = MKNOD | READ | WRITE;

/// Block or character devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Block,
    Character,
}

/// Some devices and kinds of access; `None` stands for every number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Devices {
    pub typ: Type,
    pub major: Option<u32>,
    pub minor: Option<u32>,
    pub access: u8,
}

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Allows or refuses every access to every device.
    Everything(bool),
    /// Allows or refuses some.
    Some(bool, Devices),
}

/// What the rules of a v1 cgroup come to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Allowed {
    /// Whether what is not listed is allowed.
    others: bool,
    exceptions: Vec<Devices>,
}

/// The rules of a container that asks for no devices of its own: everything refused, but making device nodes and
/// using the harmless ones.
pub fn default_devices() -> Vec<LinuxDeviceCgroup> {
    let mut list = vec![rule(false, LinuxDeviceType::A, None, None, "rwm")];
    list.extend(always_allowed());
    list
}

/// What every container may use, whatever its specification lists: the devices of its own `/dev`.
pub fn always_allowed() -> Vec<LinuxDeviceCgroup> {
    // null, zero, full, random, urandom; tty, console, ptmx; the pseudo terminals.
    let nodes = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)];
    let mut list =
        vec![rule(true, LinuxDeviceType::C, None, None, "m"), rule(true, LinuxDeviceType::B, None, None, "m")];
    list.extend(nodes.map(|(major, minor)| rule(true, LinuxDeviceType::C, Some(major), Some(minor), "rwm")));
    list.push(rule(true, LinuxDeviceType::C, Some(136), None, "rwm"));
    list
}

fn rule(allow: bool, typ: LinuxDeviceType, major: Option<i64>, minor: Option<i64>, access: &str) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(allow).set_typ(Some(typ)).set_major(major).set_minor(minor).set_access(Some(access.into()));
    rule
}

/// Puts the rules on a new cgroup.
///
/// # Errors
/// `invalid_argument` for a malformed rule, `unsupported` where the host cannot have it, `permission`, `os`.
pub(super) fn restrict(cgroup: &Cgroup, rules: &[LinuxDeviceCgroup]) -> Result<()> {
    let rules = parse(rules)?;
    let folder = folder(cgroup)?;
    match cgroup.version("devices")? {
        Version::V1 => reset(folder, &evaluate(&rules)?),
        Version::V2 => replace_program(folder, &rules),
    }
}

/// Changes the rules of a cgroup in use. What old and new rules both allow is allowed all the time. On failure the
/// old rules are put back.
///
/// # Errors
/// As [`restrict`].
pub(super) fn change(cgroup: &Cgroup, rules: &[LinuxDeviceCgroup]) -> Result<()> {
    let rules = parse(rules)?;
    let folder = folder(cgroup)?;
    if cgroup.version("devices")? == Version::V2 {
        return replace_program(folder, &rules);
    }
    let (old, new) = (current(folder)?, evaluate(&rules)?);
    transform(folder, &old, &new).map_err(|error| match current(folder).and_then(|now| transform(folder, &now, &old)) {
        Ok(()) => error,
        Err(_) => error.with_hint("some of the new device rules stay, because putting back failed"),
    })
}

fn folder(cgroup: &Cgroup) -> Result<&Path> {
    // Says why there is none.
    cgroup.version("devices").map_err(|error| Error::new(error.kind(), format!("{OPTION}: {}", error.message())))?;
    let folder = cgroup.folder("devices").map(|folder| folder.path.as_path());
    folder.ok_or_else(|| Error::new(Kind::Internal, "no cgroup folder for devices"))
}

/// Takes the rules apart into those of either type.
fn parse(rules: &[LinuxDeviceCgroup]) -> Result<Vec<Rule>> {
    let mut list = Vec::new();
    for rule in rules {
        let shown = || format!("{OPTION} '{}'", rule.to_string().trim());
        let number = |number: Option<i64>| match number {
            None | Some(-1) => Ok(None),
            // The kernel's device numbers have 12 and 20 bits.
            Some(number @ 0..0x10_0000) => Ok(Some(number as u32)),
            Some(number) => Err(Error::invalid(format!("{}: no device has the number {number}", shown()))),
        };
        let (major, minor) = (number(rule.major())?, number(rule.minor())?);
        let access = match rule.access().as_deref() {
            None | Some("") => ALL,
            Some(text) => {
                access(text).ok_or_else(|| Error::invalid(format!("{}: access is made of r, w, m", shown())))?
            }
        };
        let types: &[Type] = match rule.typ().unwrap_or(LinuxDeviceType::A) {
            LinuxDeviceType::A if (major, minor, access) == (None, None, ALL) => {
                list.push(Rule::Everything(rule.allow()));
                continue;
            }
            LinuxDeviceType::A => &[Type::Block, Type::Character],
            LinuxDeviceType::B => &[Type::Block],
            LinuxDeviceType::C | LinuxDeviceType::U => &[Type::Character],
            LinuxDeviceType::P => return Err(Error::invalid(format!("{}: a pipe is no device", shown()))),
        };
        list.extend(types.iter().map(|typ| Rule::Some(rule.allow(), Devices { typ: *typ, major, minor, access })));
    }
    Ok(list)
}

fn access(text: &str) -> Option<u8> {
    text.bytes().try_fold(0, |bits, byte| {
        Some(
            bits | match byte {
                b'm' => MKNOD,
                b'r' => READ,
                b'w' => WRITE,
                _ => return None,
            },
        )
    })
}

impl Devices {
    fn same_numbers(&self, other: &Devices) -> bool {
        (self.typ, self.major, self.minor) == (other.typ, other.major, other.minor)
    }

    /// Whether every device of `other` is one of these.
    fn covers(&self, other: &Devices) -> bool {
        let within = |wide: Option<u32>, narrow: Option<u32>| wide.is_none() || wide == narrow;
        self.typ == other.typ && within(self.major, other.major) && within(self.minor, other.minor)
    }

    /// Whether some device is in both.
    fn meets(&self, other: &Devices) -> bool {
        let common = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        self.typ == other.typ && common(self.major, other.major) && common(self.minor, other.minor)
    }

    /// The line of v1's files.
    fn line(&self) -> String {
        let typ = if self.typ == Type::Block { 'b' } else { 'c' };
        let number = |number: Option<u32>| number.map_or("*".to_string(), |number| number.to_string());
        let access: String = [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')]
            .iter()
            .filter(|(bit, _)| self.access & bit != 0)
            .map(|(_, c)| c)
            .collect();
        format!("{typ} {}:{} {access}", number(self.major), number(self.minor))
    }
}

/// What rules come to in a list of exceptions from one default.
fn evaluate(rules: &[Rule]) -> Result<Allowed> {
    let mut allowed = Allowed { others: false, exceptions: Vec::new() };
    for rule in rules {
        match *rule {
            Rule::Everything(allow) => allowed = Allowed { others: allow, exceptions: Vec::new() },
            Rule::Some(allow, devices) if allow == allowed.others => carve(&mut allowed.exceptions, &devices)?,
            Rule::Some(_, devices) => add(&mut allowed.exceptions, devices),
        }
    }
    Ok(allowed)
}

fn add(exceptions: &mut Vec<Devices>, devices: Devices) {
    match exceptions.iter_mut().find(|known| known.same_numbers(&devices)) {
        Some(known) => known.access |= devices.access,
        None => exceptions.push(devices),
    }
}

/// Takes devices out of the exceptions.
fn carve(exceptions: &mut Vec<Devices>, devices: &Devices) -> Result<()> {
    for known in exceptions.iter_mut().filter(|known| known.meets(devices) && known.access & devices.access != 0) {
        if !devices.covers(known) {
            let message = format!("{OPTION} '{}': cgroup v1 cannot except it from '{}'", devices.line(), known.line());
            return Err(Error::new(Kind::Unsupported, message));
        }
        known.access &= !devices.access;
    }
    exceptions.retain(|known| known.access != 0);
    Ok(())
}

/// What a v1 cgroup allows. Its exceptions from allowing everything it does not tell.
fn current(folder: &Path) -> Result<Allowed> {
    let text = control::read(folder, "devices.list")?.unwrap_or_default();
    let mut allowed = Allowed { others: false, exceptions: Vec::new() };
    for line in text.lines() {
        match read_line(line) {
            Some(devices) => allowed.exceptions.push(devices),
            None if line.starts_with("a ") => allowed.others = true,
            None => return Err(Error::integrity(format!("{}/devices.list says '{line}'", folder.display()))),
        }
    }
    Ok(allowed)
}

fn read_line(line: &str) -> Option<Devices> {
    let mut words = line.split(' ');
    let typ = match words.next()? {
        "b" => Type::Block,
        "c" => Type::Character,
        _ => return None,
    };
    let (major, minor) = words.next()?.split_once(':')?;
    let number = |text: &str| if text == "*" { Some(None) } else { text.parse().ok().map(Some) };
    Some(Devices { typ, major: number(major)?, minor: number(minor)?, access: access(words.next()?)? })
}

/// Makes a v1 cgroup allow just this, whatever it allowed.
fn reset(folder: &Path, allowed: &Allowed) -> Result<()> {
    let (everything, exception) = match allowed.others {
        true => ("devices.allow", "devices.deny"),
        false => ("devices.deny", "devices.allow"),
    };
    write(folder, everything, "a")?;
    let lines: Vec<String> = allowed.exceptions.iter().map(Devices::line).collect();
    control::write_each(folder, exception, &lines).map_err(|(line, e)| control::refused(OPTION, line, &e))
}

/// Turns what a v1 cgroup allows into something else, first adding, then taking away.
fn transform(folder: &Path, old: &Allowed, new: &Allowed) -> Result<()> {
    if old.others || new.others {
        return reset(folder, new);
    }
    let beyond = |list: &[Devices], other: &[Devices]| -> Vec<Devices> {
        let rest = |devices: &Devices| {
            let known = other.iter().find(|known| known.same_numbers(devices)).map_or(0, |known| known.access);
            Devices { access: devices.access & !known, ..*devices }
        };
        list.iter().map(rest).filter(|devices| devices.access != 0).collect()
    };
    for devices in beyond(&new.exceptions, &old.exceptions) {
        write(folder, "devices.allow", &devices.line())?;
    }
    for devices in beyond(&old.exceptions, &new.exceptions) {
        write(folder, "devices.deny", &devices.line())?;
    }
    Ok(())
}

fn write(folder: &Path, file: &str, line: &str) -> Result<()> {
    control::write(folder, file, line).map_err(|e| control::refused(OPTION, line, &e))
}

/// Attaches a program for the rules to a v2 cgroup, then takes away those it had. While both are there an access
/// needs the consent of both.
fn replace_program(folder: &Path, rules: &[Rule]) -> Result<()> {
    let what = |step: &str| format!("{OPTION}: {step} the device program of cgroup {}", folder.display());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let cgroup = rustix::fs::open(folder, flags, Mode::empty()).os(|| format!("open {}", folder.display()))?;
    let program = bpf::load_device_program(&device_program::make(rules)).map_err(|e| from_io(e, what("load")))?;
    let old = bpf::device_programs(&cgroup).map_err(|e| from_io(e, what("look for")))?;
    bpf::attach_device_program(&cgroup, &program).map_err(|e| from_io(e, what("attach")))?;
    for id in old {
        bpf::open_program(id)
            .and_then(|program| bpf::detach_device_program(&cgroup, &program))
            .map_err(|e| from_io(e, what("detach")))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
