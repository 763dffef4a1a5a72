//! Lasting containers as their users have them: programs that start them and end or are killed, monitors and hosts
//! that die, many at once, streams of every kind. After each test the host is as it was. Needs root.
//!
//! Variables: `MOONSHELL_FAULTS_SEED` for the moments at which something is killed, `MOONSHELL_SOAK_ROUNDS` and
//! `MOONSHELL_MANY` for the sizes of `soak`.

#[path = "../support/mod.rs"]
mod support;

mod census;
mod stand;
mod terminal;

mod attached;
mod full;
mod killed;
mod logs;
mod soak;
mod survive;
mod terminals;
mod together;
