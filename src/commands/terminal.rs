//! What commands need of the terminal and the clock: a password without echo, a wait that Ctrl-C ends.

use std::fs::File;
use std::io::{Read, Write};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::engine::cancel::Cancel;
use crate::engine::error::{Error, OsContext, Result};

/// The longest password that is read, in bytes.
const LONGEST: usize = 64 << 10;

/// Gives a terminal its echo back, on every way out.
struct Echo<'a>(&'a File, Termios);

impl Drop for Echo<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _ = tcsetattr(self.0, OptionalActions::Flush, &self.1);
    }
}

/// Asks for a password on the terminal.
///
/// # Errors
/// `invalid_argument` without a terminal; `interrupted`; `os`.
pub fn password(prompt: &str, cancel: &Cancel) -> Result<String> {
    let none = |_| Error::invalid("there is no terminal to ask for the password").with_hint("use --password-stdin");
    let mut terminal = File::options().read(true).write(true).open("/dev/tty").map_err(none)?;
    let before = tcgetattr(&terminal).os(|| "terminal settings")?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON);
    terminal.write_all(prompt.as_bytes()).os(|| "write to the terminal")?;
    let handle = terminal.try_clone().os(|| "terminal")?;
    let _echo = Echo(&handle, before);
    tcsetattr(&handle, OptionalActions::Flush, &silent).os(|| "terminal settings")?;
    let mut line = Vec::new();
    while !line.ends_with(b"\n") && line.len() < LONGEST {
        let mut fds = [PollFd::new(&terminal, PollFlags::IN), PollFd::from_borrowed_fd(cancel.fd(), PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => cancel.check()?,
            Err(error) => return Err(error).os(|| "wait for the terminal"),
        }
        if fds[0].revents().is_empty() {
            continue;
        }
        let mut buffer = [0; 1024];
        match terminal.read(&mut buffer).os(|| "read the terminal")? {
            0 => break,
            count => line.extend_from_slice(&buffer[..count]),
        }
    }
    let text = String::from_utf8(line).map_err(|_| Error::invalid("the password is not valid UTF-8"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_string())
}

/// Waits.
///
/// # Errors
/// `interrupted` when the program is told to end meanwhile.
pub fn wait(time: Duration, cancel: &Cancel) -> Result<()> {
    let end = std::time::Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return cancel.check();
        }
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::from_borrowed_fd(cancel.fd(), PollFlags::IN)], Some(&left)) {
            Ok(_) | Err(Errno::INTR) => cancel.check()?,
            Err(error) => return Err(error).os(|| "wait"),
        }
    }
}
