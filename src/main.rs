//! The moonshell program: parse the command line, run, exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().next().is_some_and(|name| name == moonshell::engine::container::spawner::NAME) {
        return ExitCode::from(moonshell::engine::container::spawner::serve() as u8);
    }
    if std::env::args_os().next().is_some_and(|name| moonshell::init::is_asked_for(&name)) {
        return ExitCode::from(moonshell::init::run(std::env::args_os().skip(1)) as u8);
    }
    // Before any thread exists: it forks.
    if let Some(arguments) = moonshell::oci::arguments(std::env::args_os()) {
        return moonshell::oci::main(arguments);
    }
    // Before any thread exists: see there.
    moonshell::engine::sys::resolver::use_built_in_services();
    moonshell::cli::main()
}
