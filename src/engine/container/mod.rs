//! Containers: from options to an OCI specification to a running process and its end.

mod bpf;
pub mod capabilities;
pub mod cgroup;
pub mod commit;
pub mod files;
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
