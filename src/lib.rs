//! moonshell: a container engine that is scripted in Lua.
//!
//! Dependency direction: `main -> cli, repl -> commands -> runtime -> bindings -> engine -> engine/sys`.

pub mod bindings;
pub mod cli;
pub mod commands;
pub mod credentials;
pub mod editor;
pub mod engine;
pub mod init;
pub mod oci;
pub mod progress;
pub mod repl;
pub mod report;
pub mod runtime;
pub mod stdlib;
