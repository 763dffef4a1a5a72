//! `moonshell oci`: bundles with a busybox root, driven as engines drive a runtime.
//!
//! Needs root; skips aloud otherwise.

#[path = "../support/engine.rs"]
#[allow(dead_code)]
mod engine;

mod bad_input;
mod bundle;
mod engines;
mod hooks;
mod life;
mod mounts;
mod namespaces;
mod process;
