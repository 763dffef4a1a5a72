//! A terminal of the test's own, with the program on it.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::stand::{Ended, Run, Stand, until};

/// A terminal, and what was printed on it.
pub struct Terminal {
    master: OwnedFd,
    slave: OwnedFd,
    screen: Arc<Mutex<String>>,
}

impl Terminal {
    /// Opens one of 33 lines and 77 columns.
    pub fn new() -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        unlockpt(&master).unwrap();
        let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        let screen = Arc::new(Mutex::new(String::new()));
        let (copy, mut reader) = (screen.clone(), std::fs::File::from(master.try_clone().unwrap()));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                copy.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        let terminal = Terminal { master, slave, screen };
        terminal.resize(33, 77);
        terminal
    }

    /// Starts a piece of Lua on it.
    pub fn start(&self, stand: &Stand, code: &str) -> Run {
        self.start_program(stand.command(code))
    }

    /// Starts a command on the terminal.
    pub fn start_program(&self, mut command: Command) -> Run {
        let fd = || self.slave.try_clone().unwrap();
        command.env("TERM", "xterm").stdin(fd());
        // SAFETY: between fork and exec the closure makes system calls only.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                Ok(rustix::process::ioctl_tiocsctty(std::io::stdin().as_fd())?)
            });
        }
        Run::start_with(&mut command, fd(), fd())
    }

    /// Types.
    pub fn type_in(&self, text: &str) {
        std::fs::File::from(self.master.try_clone().unwrap()).write_all(text.as_bytes()).unwrap();
    }

    /// Gives it another size.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).unwrap();
    }

    /// Waits until this is on the screen.
    pub fn until(&self, text: &str) {
        until(&format!("'{text}' on the screen"), || self.screen.lock().unwrap().contains(text));
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    /// True while keys are taken one by one.
    pub fn is_raw(&self) -> bool {
        !tcgetattr(&self.slave).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    /// Waits for the end of a run, after which the terminal must be as it was.
    pub fn end(&self, run: Run) -> Ended {
        let ended = run.end();
        assert!(!self.is_raw(), "the terminal is still raw: {}", self.screen());
        ended
    }
}
