//! moonshell: a container engine that is scripted in Lua.
//!
//! Dependency direction: `main -> cli, repl -> runtime -> bindings -> engine -> engine/sys`.

pub mod engine;
