//! Capabilities: names, the default set, and putting a process into its sets.
//!
//! Source: capabilities(7); the default set is the field's, fourteen capabilities that ordinary software expects of
//! root without reaching the host.

use std::collections::HashSet;

use oci_spec::runtime::{Capability, LinuxCapabilities};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::super::error::{Error, OsContext, Result};
use super::super::suggest::nearest;
use super::birth::Line;
use super::wire::Note;

/// What a container's root may do unless told otherwise.
pub const DEFAULT: [Capability; 14] = [
    Capability::AuditWrite,
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Mknod,
    Capability::NetBindService,
    Capability::NetRaw,
    Capability::Setfcap,
    Capability::Setgid,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysChroot,
];

/// All capabilities, in the order of their numbers (linux/capability.h).
const ALL: [Capability; 41] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::LinuxImmutable,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::SysModule,
    Capability::SysRawio,
    Capability::SysChroot,
    Capability::SysPtrace,
    Capability::SysPacct,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysNice,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Mknod,
    Capability::Lease,
    Capability::AuditWrite,
    Capability::AuditControl,
    Capability::Setfcap,
    Capability::MacOverride,
    Capability::MacAdmin,
    Capability::Syslog,
    Capability::WakeAlarm,
    Capability::BlockSuspend,
    Capability::AuditRead,
    Capability::Perfmon,
    Capability::Bpf,
    Capability::CheckpointRestore,
];

/// The names of all capabilities, in the order of their numbers.
pub fn names() -> Vec<String> {
    ALL.iter().map(|capability| format!("CAP_{}", capability.to_string().trim_start_matches("CAP_"))).collect()
}

fn bit(capability: Capability) -> CapabilitySet {
    let number = ALL.iter().position(|other| *other == capability);
    number.map_or(CapabilitySet::empty(), |number| CapabilitySet::from_bits_retain(1 << number))
}

/// The default set with `add` and `drop` applied; `ALL` names every capability, `CAP_` may be left out.
///
/// # Errors
/// `invalid_argument` for an unknown name.
pub fn resolve(privileged: bool, add: &[String], drop: &[String]) -> Result<HashSet<Capability>> {
    let mut set: HashSet<Capability> = if privileged { ALL.into() } else { DEFAULT.into() };
    if drop.iter().any(|name| name.eq_ignore_ascii_case("all")) {
        set.clear();
    }
    if add.iter().any(|name| name.eq_ignore_ascii_case("all")) {
        set.extend(ALL);
    }
    for name in drop.iter().filter(|name| !name.eq_ignore_ascii_case("all")) {
        set.remove(&parse(name)?);
    }
    for name in add.iter().filter(|name| !name.eq_ignore_ascii_case("all")) {
        set.insert(parse(name)?);
    }
    Ok(set)
}

fn parse(name: &str) -> Result<Capability> {
    let upper = name.to_uppercase();
    let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
    serde_json::from_value(serde_json::Value::String(full.clone())).map_err(|_| {
        let name_of = |known: &Capability| serde_json::to_value(known).ok()?.as_str().map(String::from);
        let names: Vec<String> = ALL.iter().filter_map(name_of).collect();
        let error = Error::invalid(format!("unknown capability '{name}'"));
        match nearest(&full, names.iter().map(String::as_str)) {
            Some(near) => error.with_hint(format!("did you mean '{}'?", near.trim_start_matches("CAP_"))),
            None => error,
        }
    })
}

/// The sets of a process as kernel bits.
pub struct Sets {
    bounding: CapabilitySet,
    effective: CapabilitySet,
    permitted: CapabilitySet,
    inheritable: CapabilitySet,
    ambient: CapabilitySet,
}

impl Sets {
    /// From the specification; nothing there means no capability at all.
    pub fn from_spec(spec: Option<&LinuxCapabilities>) -> Sets {
        let bits = |set: Option<&HashSet<Capability>>| {
            set.into_iter().flatten().fold(CapabilitySet::empty(), |bits, capability| bits | bit(*capability))
        };
        let get = |pick: fn(&LinuxCapabilities) -> &Option<HashSet<Capability>>| {
            bits(spec.and_then(|spec| pick(spec).as_ref()))
        };
        Sets {
            bounding: get(LinuxCapabilities::bounding),
            effective: get(LinuxCapabilities::effective),
            permitted: get(LinuxCapabilities::permitted),
            inheritable: get(LinuxCapabilities::inheritable),
            ambient: get(LinuxCapabilities::ambient),
        }
    }
}

/// Takes everything but `sets` out of the bounding set, including capabilities this program has no name for.
///
/// # Errors
/// `os`.
pub fn limit_bounding(sets: &Sets) -> Result<()> {
    use rustix::io::Errno;
    for number in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if sets.bounding.contains(capability) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // From the first number the kernel does not know.
            Err(Errno::INVAL) => break,
            // This process may not drop any: that matters if there is one to drop.
            Err(e) => match rustix::thread::capability_is_in_bounding_set(capability) {
                Ok(false) => {}
                Ok(true) => return Err(e).os(|| format!("drop capability {number}")),
                Err(_) => break,
            },
        }
    }
    Ok(())
}

/// Sets the thread's own sets, after the change of user. What this process does not have itself it cannot give; an
/// ambient capability that is not also permitted and inheritable stays away, with a warning.
///
/// # Errors
/// `os`.
pub(super) fn apply(sets: &Sets, line: &Line) -> Result<()> {
    rustix::thread::clear_ambient_capability_set().os(|| "clear ambient capabilities")?;
    let have = rustix::thread::capabilities(None).os(|| "read capabilities")?;
    let permitted = sets.permitted & have.permitted;
    let inheritable = sets.inheritable & permitted;
    let wanted = CapabilitySets { effective: sets.effective & permitted, permitted, inheritable };
    rustix::thread::set_capabilities(None, wanted).os(|| "set capabilities")?;
    for number in (0..64).filter(|number| sets.ambient.bits() & (1 << number) != 0) {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if inheritable.contains(capability) {
            rustix::thread::configure_capability_in_ambient_set(capability, true)
                .os(|| format!("raise ambient capability {number}"))?;
        } else {
            let name = ALL.get(number).map_or_else(|| number.to_string(), |name| name.to_string());
            let message = format!("ambient capability {name} is left out: it is not permitted and inheritable");
            line.tell(&Note::Warning(message), None);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sets() {
        let names = |list: &[&str]| list.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        assert_eq!(resolve(false, &[], &[]).unwrap().len(), 14);
        assert_eq!(resolve(true, &[], &[]).unwrap().len(), 41);
        let only = resolve(false, &names(&["net_admin"]), &names(&["ALL"])).unwrap();
        assert_eq!(only, HashSet::from([Capability::NetAdmin]));
        let without = resolve(false, &[], &names(&["CAP_CHOWN", "kill"])).unwrap();
        assert_eq!(without.len(), 12);
        let error = resolve(false, &names(&["FLY"]), &[]).unwrap_err();
        assert_eq!(error.message(), "unknown capability 'FLY'");
        assert_eq!(bit(Capability::SysAdmin).bits(), 1 << 21);
    }
}
