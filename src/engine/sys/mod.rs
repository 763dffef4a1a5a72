//! The fence around system calls: `unsafe` lives below this folder and nowhere else.
//!
//! Most calls come through rustix and nix, which are safe; here are those neither has, each as small as it can be.

#![allow(unsafe_code)]

pub mod bpf;
pub mod fd;
pub mod interface;
pub mod memory;
pub mod mount;
pub mod process;
pub mod resolver;
pub mod schedule;
pub mod seccomp;
pub mod signal;
