//! Our own terminal while a container has it: in raw mode, its size passed on, and put back however that ends.

use std::os::fd::OwnedFd;

use super::super::error::{OsContext, Result, from_io};
use super::options::Input;
use super::streams::order;
use super::wire::Order;

/// The container's terminal, and ours in raw mode while this lives.
pub struct Terminal {
    /// None when the monitor holds it.
    pub master: Option<OwnedFd>,
    ours: Option<(OwnedFd, rustix::termios::Termios)>,
    /// Readable after each change of our window's size.
    pub resized: Option<(OwnedFd, signal_hook::SigId)>,
}

impl Terminal {
    /// Puts our terminal, if there is one, into raw mode.
    ///
    /// # Errors
    /// `os`; our terminal is then as it was.
    pub fn new(master: Option<OwnedFd>, input: &Input, control: &OwnedFd) -> Result<Terminal> {
        let mut terminal = Terminal { master, ours: None, resized: None };
        let Input::From(fd) = input else { return Ok(terminal) };
        let Ok(before) = rustix::termios::tcgetattr(fd) else { return Ok(terminal) };
        let copy = fd.try_clone().os(|| "duplicate the terminal")?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(&copy, rustix::termios::OptionalActions::Drain, &raw)
            .os(|| "put the terminal into raw mode")?;
        terminal.ours = Some((copy, before));
        let (reader, writer) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK)
                .os(|| "pipe")?;
        let id = signal_hook::low_level::pipe::register(signal_hook::consts::SIGWINCH, writer)
            .map_err(|e| from_io(e, "watch the terminal's size"))?;
        terminal.resized = Some((reader, id));
        terminal.copy_size(control);
        Ok(terminal)
    }

    /// Gives the container's terminal the size of ours.
    pub fn copy_size(&self, control: &OwnedFd) {
        if let Some((reader, _)) = &self.resized {
            let mut buffer = [0; 64];
            let _ = rustix::io::read(reader, &mut buffer);
        }
        if let Some((ours, _)) = &self.ours
            && let Ok(size) = rustix::termios::tcgetwinsize(ours)
        {
            // The program may have ended; then nobody looks at the size.
            let _ = match &self.master {
                Some(master) => rustix::termios::tcsetwinsize(master, size).map_err(std::io::Error::from),
                None => order(control, &Order::Resize { rows: size.ws_row, columns: size.ws_col }),
            };
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some((ours, before)) = &self.ours {
            let _ = rustix::termios::tcsetattr(ours, rustix::termios::OptionalActions::Drain, before);
        }
        if let Some((_, id)) = &self.resized {
            signal_hook::low_level::unregister(*id);
        }
    }
}
