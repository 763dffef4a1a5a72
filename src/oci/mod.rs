//! The command line that engines expect of a container runtime: `moonshell oci ...`, or the program under the name
//! `moonshell-oci`.
//!
//! It reads words, calls one function of the engine's `container::oci`, and prints what was asked for. Errors go to
//! standard error and, when `--log` names a file, to its end, as text or as lines of JSON. The exit status is 1 for a
//! failure, and of `run` and `exec` in the foreground that of the program.

mod args;
mod command;
mod log;
mod resources;
mod table;
mod view;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::engine::container::oci::line;
use crate::engine::error::{Error, Kind};

/// The program name that makes the binary a runtime.
pub const NAME: &str = "moonshell-oci";

/// The arguments for a runtime, if that is what the binary is started as.
pub fn arguments(mut all: impl Iterator<Item = OsString>) -> Option<Vec<OsString>> {
    let program = all.next()?;
    let is_named = std::path::Path::new(&program).file_name().is_some_and(|name| name == NAME);
    let mut rest = all.peekable();
    if !is_named && rest.next_if(|word| word == "oci").is_none() {
        return None;
    }
    Some(rest.collect())
}

/// Runs one command; returns the exit status. The process must have one thread.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let matches = match args::parse(&arguments) {
        Ok(matches) => matches,
        Err(error) => {
            // Usage and version are asked for, the rest are errors.
            let status = if error.use_stderr() { 1 } else { 0 };
            return match error.print() {
                Ok(()) => ExitCode::from(status),
                Err(_) => ExitCode::FAILURE,
            };
        }
    };
    let mut log = log::Log::new(&matches);
    let status = view::enter(&arguments).and_then(|()| command::run(&matches));
    match status {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(255)),
        Err(error) => {
            log.error(&text(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error in one line. Engines tell by its words that a program is missing or may not be executed.
fn text(error: &Error) -> String {
    let line = line(error);
    match (error.exit().map(|exit| exit.code), error.kind()) {
        (Some(127), _) => format!("executable file not found in $PATH: {line}"),
        (Some(126), Kind::Permission) if !line.contains("permission denied") => format!("{line}: permission denied"),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_knows_when_it_is_a_runtime() {
        let words = |line: &str| arguments(line.split(' ').map(OsString::from));
        assert_eq!(words("/usr/bin/moonshell oci list -q").unwrap().len(), 2);
        assert_eq!(words("/x/moonshell-oci list").unwrap().len(), 1);
        assert!(words("moonshell run oci").is_none() && words("moonshell").is_none());
    }
}
