//! AppArmor: the profile that containers get unless somebody says otherwise, and how it comes into the kernel.
//!
//! The kernel takes compiled profiles only, and compiling is the work of `apparmor_parser`; so a host without that
//! program has containers without a profile, which [`state`] says. The text names its own edition as an empty profile
//! inside, so that the kernel's list of profiles tells whether the one it has is this one:
//!
//! ```text
//! /sys/kernel/security/apparmor/profiles
//!     moonshell-default (enforce)
//!     moonshell-default//edition-1f0c93aa58d2 (enforce)
//! ```
//!
//! Source: apparmor.d(5), apparmor_parser(8), the kernel's security/apparmor/apparmorfs.c.

use std::fs;
use std::path::Path;
use std::sync::{OnceLock, PoisonError};

use super::super::Engine;
use super::super::digest::Digest;
use super::super::error::{Error, Kind, Result};
use super::super::host::{RunOptions, run};
use super::options::Options;

/// The profile of containers that ask for none.
pub const DEFAULT: &str = "moonshell-default";

/// The name that stands for no profile.
pub const UNCONFINED: &str = "unconfined";

/// The profiles the kernel has, one a line: `NAME (MODE)`.
const LOADED: &str = "/sys/kernel/security/apparmor/profiles";

/// Where `apparmor_parser` is looked for.
const PLACES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin"];

/// The rules. What is said with `deny` cannot be allowed by anything else. Paths are those a process in the container
/// sees; `/proc/self` has become a number by then.
const RULES: &str = "\
  file,
  capability,
  network,
  unix,

  # Processes of containers may watch and signal each other, and hear from the host.
  ptrace (trace, read, tracedby, readby) peer=moonshell-default,
  signal (send, receive) peer=moonshell-default,
  signal (receive) peer=unconfined,

  # The mounts are what they were made: nothing is added, changed, or taken off what hides below.
  deny mount,
  deny remount,
  deny umount,
  deny pivot_root,

  # Of /proc, what belongs to no process is the host's.
  deny /proc/[^0-9]** wkl,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/{kcore,kmem,mem} rwklx,
  deny /proc/{acpi,scsi}/** rwklx,

  # Of /sys, only control groups are written.
  deny /sys/{[^f]**,f[^s]**,fs/[^c]**,fs/c[^g]**,fs/cg[^r]**} wkl,
  deny /sys/{firmware,kernel/security,kernel/debug,kernel/tracing}/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
";

/// How it stands with AppArmor on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// The kernel has none, or it is switched off.
    Off,
    /// It is on, but its files are not mounted here.
    Hidden,
    /// It is on, but nothing can compile the profile, and the kernel does not have it.
    NoParser,
    /// The profile can be loaded by this program; without one the kernel has it already.
    Ready(Option<&'static str>),
}

impl Support {
    /// What a user of this host should know.
    pub fn warning(self) -> Option<&'static str> {
        match self {
            Support::Off | Support::Ready(_) => None,
            Support::Hidden => Some("AppArmor is on, but securityfs is not mounted: containers get no profile"),
            Support::NoParser => Some("AppArmor is on, but apparmor_parser is missing: containers get no profile"),
        }
    }
}

/// Looks how it stands; what is found holds for the life of this process.
pub fn support() -> Support {
    static FOUND: OnceLock<Support> = OnceLock::new();
    *FOUND.get_or_init(|| {
        if !fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y")) {
            Support::Off
        } else {
            let Ok(list) = fs::read_to_string(LOADED) else { return Support::Hidden };
            match parser() {
                None if !has(&list, DEFAULT) => Support::NoParser,
                parser => Support::Ready(parser),
            }
        }
    })
}

fn parser() -> Option<&'static str> {
    static PARSER: OnceLock<Option<String>> = OnceLock::new();
    let find = || PLACES.iter().map(|place| format!("{place}/apparmor_parser")).find(|path| Path::new(path).is_file());
    PARSER.get_or_init(find).as_deref()
}

impl Engine {
    /// The profile of a container with these options: the one it asks for, or the default one, which is loaded when the
    /// kernel does not have it. None for a privileged container that asks for none.
    ///
    /// # Errors
    /// `unsupported` for a named profile where AppArmor is not active, `not_found` for one that is not loaded;
    /// `interrupted`.
    pub(super) fn apparmor(&self, options: &Options) -> Result<Option<String>> {
        match options.apparmor.as_deref() {
            Some(UNCONFINED) => Ok(None),
            None if options.privileged => Ok(None),
            None => Ok(self.default_profile()?.then(|| DEFAULT.to_string())),
            // Whoever names it means it: it is loaded, too.
            Some(DEFAULT) if matches!(support(), Support::Ready(_)) && self.default_profile()? => {
                Ok(Some(DEFAULT.to_string()))
            }
            Some(name) => find(name).map(|()| Some(name.to_string())),
        }
    }

    /// Whether the default profile is in the kernel, now that it was loaded if that was needed.
    fn default_profile(&self) -> Result<bool> {
        let Support::Ready(parser) = support() else { return Ok(false) };
        // Held while it is loaded, so that nobody of this process loads it twice.
        let mut known = self.shared.apparmor.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = *known {
            return Ok(known);
        }
        let loaded = match self.load_profile(parser) {
            Ok(()) => true,
            Err(error) if error.kind() == Kind::Interrupted => return Err(error),
            Err(error) => {
                let reason = error.message();
                self.warn(format!("AppArmor profile '{DEFAULT}' cannot be loaded, containers get none: {reason}"));
                false
            }
        };
        *known = Some(loaded);
        Ok(loaded)
    }

    fn load_profile(&self, parser: Option<&str>) -> Result<()> {
        let own = fs::read_to_string("/proc/self/attr/apparmor/current").unwrap_or_default();
        let (edition, text) = text(own.trim_end_matches(['\n', '\0']));
        let list = fs::read_to_string(LOADED).unwrap_or_default();
        if has(&list, DEFAULT) && has(&list, &format!("{DEFAULT}//{edition}")) {
            return Ok(());
        }
        // Another edition is better than none, and has to do where this one cannot be compiled.
        let Some(parser) = parser else { return Ok(()) };
        // From standard input, replacing an older edition, past the cache of compiled profiles.
        let options = RunOptions {
            argv: [parser, "--replace", "--skip-cache", "--quiet"].map(String::from).to_vec(),
            input: Some(text.into_bytes()),
            capture: true,
            check: true,
            ..RunOptions::default()
        };
        run(&options, self.cancel()).map(drop)
    }
}

/// Makes sure that a profile somebody named is there.
fn find(name: &str) -> Result<()> {
    if matches!(support(), Support::Off) {
        let message = format!("AppArmor profile '{name}' is asked for, but AppArmor is not active in this kernel");
        return Err(Error::new(Kind::Unsupported, message).with_hint("leave it out, or say apparmor=unconfined"));
    }
    // Where the list cannot be read, the kernel says it when the program is executed.
    match fs::read_to_string(LOADED) {
        Ok(list) if !has(&list, name) => {
            let error = Error::not_found(format!("AppArmor profile '{name}' is not loaded on this host"));
            Err(error.with_hint("load it with apparmor_parser; those that are there: aa-status"))
        }
        _ => Ok(()),
    }
}

/// True when the kernel's list has a profile, whatever its mode.
fn has(list: &str, name: &str) -> bool {
    list.lines().any(|line| line.rsplit_once(" (").is_some_and(|(loaded, _)| loaded == name))
}

/// The name of the edition, and the profile as `apparmor_parser` reads it. An engine that is confined itself may signal
/// and watch its containers as an unconfined one does.
fn text(own: &str) -> (String, String) {
    let label = own.rsplit_once(" (").map_or(own, |(label, _)| label);
    let engine = match label {
        "" | UNCONFINED => String::new(),
        label => {
            let label = label.replace(['"', '\n'], "?");
            format!("  signal (receive) peer=\"{label}\",\n  ptrace (tracedby, readby) peer=\"{label}\",\n")
        }
    };
    let digest = Digest::of(format!("{RULES}{engine}").as_bytes());
    let edition = format!("edition-{}", digest.short());
    let text = format!(
        "profile {DEFAULT} flags=(attach_disconnected,mediate_deleted) {{\n{RULES}{engine}\n  profile {edition} {{\n  \
         }}\n}}\n"
    );
    (edition, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_in_the_kernels_list() {
        let list = "/usr/bin/man (enforce)\nmoonshell-default (complain)\nwith (some) words (enforce)\n";
        for name in ["/usr/bin/man", "moonshell-default", "with (some) words"] {
            assert!(has(list, name), "{name}");
        }
        for name in ["moonshell", "moonshell-default (complain)", "man", ""] {
            assert!(!has(list, name), "{name}");
        }
    }

    #[test]
    fn editions_differ_with_the_text() {
        let (plain, text_of_plain) = text("unconfined\n".trim_end());
        assert_eq!(plain, text("").0);
        let (confined, of_confined) = text("engine (enforce)");
        assert_ne!(plain, confined);
        assert!(text_of_plain.contains(&format!("profile {plain} {{")));
        assert!(!text_of_plain.contains("peer=\"") && of_confined.contains("signal (receive) peer=\"engine\","));
    }

    #[test]
    fn warnings_where_something_is_missing() {
        assert_eq!(Support::Off.warning(), None);
        assert!(Support::NoParser.warning().unwrap().contains("apparmor_parser is missing"));
    }
}
