//! Containers: from options to an OCI specification to a running process and its end.

pub mod capabilities;
pub mod cgroup;
pub mod cgroups;
pub mod foreground;
mod init;
mod monitor;
mod mounts;
pub mod options;
mod overlay;
pub mod run;
pub mod seccomp;
pub mod spawner;
pub mod spec;
pub mod streams;
pub mod user;
mod wire;
