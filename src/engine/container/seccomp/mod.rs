//! Seccomp filters: which system calls a container's programs may make.
//!
//! A profile (Docker's JSON format; `default.json` is the one used unless another is named) is resolved for the
//! capabilities of a container, this machine and its kernel to the form of the OCI runtime specification, and that
//! is compiled to a classic BPF program which the container's init loads (`sys::seccomp`).
//!
//! ```text
//! profile.rs   the JSON format, checked         resolve.rs  conditions decided   -> oci_spec LinuxSeccomp
//! machine.rs   architectures and their ABIs     numbers.rs  names to numbers
//! answers.rs   what each call number is answered            -> a table an ABI
//! program.rs   tables to instructions           compile.rs  all of it, with flags -> Program
//! reading.rs   for tests: the same answers without a compiler
//! ```
//!
//! Source: seccomp(2); runtime-spec config-linux.md, "Seccomp".

mod answers;
mod compile;
mod machine;
mod numbers;
mod profile;
mod program;
#[cfg(test)]
mod reading;
mod resolve;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

pub use compile::{Program, compile};
pub use profile::{Profile, parse};

/// The text of the default profile, for people to print and to change.
pub const DEFAULT: &str = include_str!("default.json");

/// The profile of containers that name no other: the reach of the field's default.
///
/// Everything ordinary programs use; not what changes the kernel, the host's clock, modules, other namespaces or
/// keyrings, unless a capability that was given says so.
pub fn default_profile() -> &'static Profile {
    static PROFILE: LazyLock<Profile> =
        LazyLock::new(|| parse(DEFAULT).expect("the embedded profile is part of the program and tested"));
    &PROFILE
}
