//! Signals that are meant for a container in the foreground: passed on to it instead of ending this program.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use signal_hook::iterator::{Handle, Signals};

use super::interrupt;
use crate::engine::error::{OsContext, Result};

/// Passes signals on while it lives.
pub struct Proxy {
    reader: OwnedFd,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Begins with these signals.
    ///
    /// # Errors
    /// `os`.
    pub fn start(signals: &[i32]) -> Result<Proxy> {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).os(|| "pipe")?;
        let mut signals = Signals::new(signals).os(|| "watch signals")?;
        let handle = signals.handle();
        let mut writer = std::fs::File::from(writer);
        let pass = move || {
            for signal in signals.forever() {
                // Nobody reads any more only when the container has ended.
                let _ = writer.write_all(&[signal as u8]);
            }
        };
        let thread = std::thread::Builder::new().name("signals".into()).stack_size(128 << 10).spawn(pass);
        let thread = Some(thread.os(|| "start a thread")?);
        interrupt::pass_on(true);
        Ok(Proxy { reader, handle, thread })
    }

    /// Where they come out, one byte each.
    ///
    /// # Errors
    /// `os`.
    pub fn signals(&self) -> Result<OwnedFd> {
        self.reader.try_clone().os(|| "duplicate a descriptor")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        interrupt::pass_on(false);
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // It only writes bytes: it cannot panic.
            let _ = thread.join();
        }
    }
}
