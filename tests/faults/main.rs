//! Faults: the program killed, stopped or starved at any moment, on the real thing: processes, file systems, disks.
//!
//! After each fault the next command must work and give the right result, and nothing may be left over. Moments are
//! drawn from a generator; its seed is printed, and `MOONSHELL_FAULTS_SEED` sets it. Needs root.

#[path = "../support/mod.rs"]
mod support;

mod disk;
mod process;
mod root;
mod sample;

mod foreign;
mod full;
mod kill;
mod many;
mod power;
mod stop;
