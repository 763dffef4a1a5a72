//! The `moonshell` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    moonshell::cli::main()
}
