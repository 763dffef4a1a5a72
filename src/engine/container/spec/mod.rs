//! From options and an image's configuration to an OCI runtime specification. It changes nothing, and looks up no more
//! of the host than the numbers of block devices with limits of their own, and which mount sources are folders.
//!
//! Source: OCI runtime specification 1.2, config.md and config-linux.md; default mounts, masked and read-only paths
//! as the field has settled them.

mod limits;
mod linux;
mod mounts;
mod process;

use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxSeccomp, RootBuilder, Spec, SpecBuilder};

use super::super::error::{Error, Kind, Result};
use super::super::image::config::RunConfig;
use super::cgroups;
use super::options::{Command, Options};
use super::user::Identity;

pub use limits::limits;
pub use linux::OTHER_CONTAINER;
pub use process::{INIT_PATH, arguments, capability_sets, shell};

/// Devices a container sees; each is the host's own, bound.
pub const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// Where programs are looked for when nobody says.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the engine adds to options and image: facts about this one container.
pub struct Facts<'a> {
    /// The 64-digit id.
    pub id: &'a str,
    /// The user, looked up in the image.
    pub identity: &'a Identity,
    /// Where the root file system is mounted.
    pub root: &'a Path,
    /// Files to put over the container's own: target, source on the host.
    pub files: &'a [(&'static str, PathBuf)],
    /// Folders made for anonymous mounts: target, source on the host.
    pub data: &'a [(PathBuf, PathBuf)],
    /// The host's cgroups.
    pub cgroups: cgroups::Host,
    /// Whether it has a control group of its own.
    pub own_cgroup: bool,
    /// The system call filter, resolved for its capabilities.
    pub seccomp: Option<LinuxSeccomp>,
    /// The AppArmor profile; none where there is none to have.
    pub apparmor: Option<String>,
    /// The nodes behind the devices that were asked for.
    pub devices: Vec<LinuxDevice>,
    /// The engine's own binary, for containers that want an init.
    pub executable: &'a Path,
}

/// Makes the specification.
///
/// # Errors
/// `invalid_argument` for options that cannot be meant.
pub fn make(options: &Options, image: &RunConfig, command: Option<&Command>, facts: &Facts) -> Result<Spec> {
    let hostname = options.hostname.clone().unwrap_or_else(|| facts.id[..12].to_string());
    let process = process::process(options, image, command, facts, &hostname)?;
    let root = RootBuilder::default().path(facts.root).readonly(options.read_only).build().map_err(internal)?;
    let mut spec = SpecBuilder::default()
        .version(version(options))
        .process(process)
        .root(root)
        .mounts(mounts::mounts(options, facts)?)
        .linux(linux::linux(options, facts)?)
        .build()
        .map_err(internal)?;
    // The builder has a name of its own, which would become that of the host or of another container.
    let own_names = options.uts == super::options::Share::Private;
    spec.set_hostname(own_names.then_some(hostname));
    spec.set_domainname(options.domainname.clone().filter(|_| own_names));
    if !options.annotations.is_empty() {
        spec.set_annotations(Some(options.annotations.iter().cloned().collect()));
    }
    Ok(spec)
}

/// The oldest version of the specification that has what is used: runtimes refuse one that is newer than they are.
fn version(options: &Options) -> &'static str {
    let has_domain = options.uts == super::options::Share::Private && options.domainname.is_some();
    if has_domain { "1.1.0" } else { "1.0.2" }
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, format!("runtime specification: {error}"))
}
