//! Waiting for a process in the foreground: its signals, its terminal, its end.
//!
//! Every signal this process gets goes to the other one. A terminal is put into raw mode while it lasts, and is as it
//! was afterwards, however this ends.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal as NixSignal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use super::super::super::error::{OsContext, Result};
use super::super::super::sys;
use super::super::birth::Child;

/// Signals that are this process's own affair, or cannot be passed on.
const NOT_PASSED: [NixSignal; 10] = [
    NixSignal::SIGCHLD,
    NixSignal::SIGKILL,
    NixSignal::SIGSTOP,
    NixSignal::SIGPIPE,
    NixSignal::SIGURG,
    NixSignal::SIGSEGV,
    NixSignal::SIGBUS,
    NixSignal::SIGFPE,
    NixSignal::SIGILL,
    NixSignal::SIGTRAP,
];

/// Keeps signals until there is a process to pass them to.
#[derive(Debug)]
pub struct Relay {
    signals: SignalFd,
    before: SigSet,
}

/// A terminal in raw mode.
struct Raw(Option<Termios>);

impl Relay {
    /// Begins to keep signals.
    ///
    /// # Errors
    /// `os`.
    pub fn new() -> Result<Relay> {
        let mut set = SigSet::all();
        NOT_PASSED.into_iter().for_each(|signal| set.remove(signal));
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), Some(&mut before)).os(|| "block signals")?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).os(|| "signalfd")?;
        Ok(Relay { signals, before })
    }

    /// Waits for the end of a child of this process; returns its exit status, 128+n for signal n.
    ///
    /// # Errors
    /// `os`.
    pub fn wait(&mut self, child: &Child, master: Option<OwnedFd>) -> Result<i32> {
        let raw = Raw::enter(master.as_ref())?;
        if let Some(master) = &master {
            copy_size(master);
        }
        let mut input = master.is_some();
        let mut output = master.is_some();
        loop {
            let mut fds = vec![poll_in(child.pidfd.as_fd()), poll_in(self.signals.as_fd())];
            if let Some(master) = master.as_ref().filter(|_| output) {
                fds.push(poll_in(master.as_fd()));
            }
            let stdin = rustix::stdio::stdin();
            if input {
                fds.push(poll_in(stdin));
            }
            match poll(&mut fds, None) {
                Err(Errno::INTR) => continue,
                other => other.os(|| "poll")?,
            };
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            if ready[1] {
                self.pass_signals(child, master.as_ref())?;
            }
            if let Some(master) = &master {
                if output && ready[2] {
                    output = copy(master.as_fd(), rustix::stdio::stdout());
                    continue;
                }
                if input && ready[2 + usize::from(output)] {
                    input = copy(stdin, master.as_fd());
                }
            }
            if ready[0] {
                drop(raw);
                return end_of(child);
            }
        }
    }

    fn pass_signals(&mut self, child: &Child, master: Option<&OwnedFd>) -> Result<()> {
        while let Some(info) = self.signals.read_signal().os(|| "read signals")? {
            let number = info.ssi_signo as i32;
            match (number, master) {
                (libc::SIGWINCH, Some(master)) => copy_size(master),
                _ => {
                    // It may have ended meanwhile, which the next turn of the loop finds.
                    let _ = sys::signal::send(&child.pidfd, number);
                }
            }
        }
        Ok(())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Cannot fail: the mask is one the kernel gave.
        let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.before), None);
    }
}

impl Raw {
    fn enter(master: Option<&OwnedFd>) -> Result<Raw> {
        let stdin = rustix::stdio::stdin();
        if master.is_none() || !rustix::termios::isatty(stdin) {
            return Ok(Raw(None));
        }
        let before = tcgetattr(stdin).os(|| "read the terminal's settings")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin, OptionalActions::Now, &raw).os(|| "change the terminal's settings")?;
        Ok(Raw(Some(before)))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // A terminal that is gone needs no settings.
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, before);
        }
    }
}

fn poll_in(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}

fn copy_size(master: &OwnedFd) {
    // Standard input need not be a terminal; then the container's keeps its size.
    if let Ok(size) = tcgetwinsize(rustix::stdio::stdin()) {
        let _ = tcsetwinsize(master, size);
    }
}

/// Copies what is there; false at the end or when nobody takes it.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
    let mut buffer = [0; 16 << 10];
    let count = match rustix::io::read(from, &mut buffer) {
        Ok(0) => return false,
        Ok(count) => count,
        Err(Errno::INTR | Errno::AGAIN) => return true,
        Err(_) => return false,
    };
    let mut rest = &buffer[..count];
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(count) => rest = &rest[count..],
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}

fn end_of(child: &Child) -> Result<i32> {
    loop {
        match waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            other => {
                let status = other.os(|| "wait for the process")?;
                let code = status.map(|status| match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => code,
                    (None, Some(signal)) => 128 + signal,
                    (None, None) => 255,
                });
                return Ok(code.unwrap_or(255));
            }
        }
    }
}
