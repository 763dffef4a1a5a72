//! The small first process of containers that ask for one: it starts the program, passes signals on to it, reaps
//! everybody who is orphaned, and ends as the program does.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use signal_hook::consts::{SIGCHLD, SIGTTIN, SIGTTOU};
use signal_hook::iterator::Signals;

use crate::report::Report;

/// True when this process was started as a container's init: as process 1, by that name.
pub fn is_asked_for(program: &OsString) -> bool {
    std::process::id() == 1
        && std::path::Path::new(program) == std::path::Path::new(crate::engine::container::spec::INIT_PATH)
}

/// Runs the program behind `--` to its end; returns the status to end with.
pub fn run(arguments: impl Iterator<Item = OsString>) -> i32 {
    let mut words = arguments.skip_while(|word| word != "--").skip(1);
    let Some(program) = words.next() else { return 127 };
    // Watched before the program exists, so that nothing is missed; what cannot be watched (KILL, STOP, faults) is
    // left out.
    let forwarded = (1..32)
        .filter(|number| !signal_hook::consts::FORBIDDEN.contains(number) && ![SIGTTIN, SIGTTOU].contains(number));
    let Ok(mut signals) = Signals::new(forwarded) else { return 125 };
    let child = match Command::new(&program).args(words).process_group(0).spawn() {
        Ok(child) => child,
        Err(error) => {
            let message = format!("cannot execute {}: {error}", program.to_string_lossy());
            Report { message, ..Report::default() }.print(&|_, _| None);
            return if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
        }
    };
    let pid = child.id() as i32;
    take_terminal(pid);
    loop {
        if let Some(status) = reap(pid) {
            return status;
        }
        for number in signals.wait() {
            if number != SIGCHLD
                && let Ok(signal) = nix::sys::signal::Signal::try_from(number)
            {
                // It may be gone: the next turn finds out.
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
            }
        }
    }
}

/// With a terminal the program is its foreground, as it would be without us.
fn take_terminal(pid: i32) {
    if let (true, Some(group)) = (rustix::termios::isatty(std::io::stdin()), rustix::process::Pid::from_raw(pid)) {
        // SIGTTOU would stop us; as process 1 we ignore it by default.
        let _ = rustix::termios::tcsetpgrp(std::io::stdin(), group);
    }
}

/// Reaps whoever has ended; the status once it was the program.
fn reap(program: i32) -> Option<i32> {
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    let mut status = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid.as_raw() == program => status = Some(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid.as_raw() == program => status = Some(128 + signal as i32),
            Ok(WaitStatus::StillAlive) | Err(_) => return status,
            Ok(_) => {}
        }
    }
}
