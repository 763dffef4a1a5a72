//! Containers: from options to an OCI specification to a running process and its end.

pub mod birth;
pub mod capabilities;
pub mod cgroup;
pub mod cgroups;
pub mod exec;
pub mod foreground;
mod gate;
pub mod hooks;
mod init;
mod monitor;
pub mod mounts;
mod namespaces;
pub mod options;
pub mod overlay;
mod process;
mod procfs;
mod program;
pub mod run;
pub mod seccomp;
pub mod spawner;
pub mod spec;
pub mod streams;
mod sysctl;
mod terminal;
pub mod user;
pub mod wire;
