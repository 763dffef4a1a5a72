//! The streams of a running container: its output goes to the log and to every attached client, a client's input to it.
//!
//! Nothing here waits. While an attached client is behind, output is not taken from the container either, so nothing is
//! lost and nothing grows. The first client of a foreground container is its owner and may take as long as it likes; any
//! other that takes nothing for a while is let go: the container must not stand still for it, and the log has everything.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;

use super::super::streams::Stream;
use super::log::Log;

/// How much is taken from the container, or given to it, at once, in bytes.
const CHUNK_BYTES: usize = 16 << 10;
/// How far behind an attached client may fall before the container waits for it, in bytes.
const BEHIND_BYTES: usize = 64 << 10;
/// How long an attached client may take nothing while there is something for it.
const PATIENCE: Duration = Duration::from_secs(3);

/// An attached client's descriptors.
pub struct Audience {
    /// Which connection it came with.
    pub client: u64,
    owner: bool,
    input: Option<OwnedFd>,
    outputs: [Option<OwnedFd>; 2],
    pending: [Vec<u8>; 2],
    // Since when it has taken nothing of what is pending.
    stuck: Option<Instant>,
}

/// What to look at next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Output of the container.
    Output(usize),
    /// The container's input.
    Input,
    /// Input from a client.
    From(u64),
    /// Output to a client: which of its two streams.
    To(u64, usize),
}

/// All streams of one run of a container.
#[derive(Default)]
pub struct Relay {
    outputs: [Option<OwnedFd>; 2],
    input: Option<OwnedFd>,
    pending: Vec<u8>,
    terminal: bool,
    close_input: bool,
    input_once: bool,
    // Asked for before there was a terminal, or by the last client that did.
    size: Option<(u16, u16)>,
    audience: Vec<Audience>,
}

impl Relay {
    /// Takes the container's ends: its input, output, error.
    pub fn pipes(&mut self, input: Option<OwnedFd>, output: OwnedFd, error: OwnedFd) {
        let all = [Some(output), Some(error)];
        for fd in all.iter().flatten().chain(&input) {
            // Of a pipe just made: it cannot fail.
            let _ = rustix::io::ioctl_fionbio(fd, true);
        }
        (self.outputs, self.input, self.terminal) = (all, input, false);
        self.start();
    }

    /// Takes the master side of its terminal.
    pub fn terminal(&mut self, master: OwnedFd) {
        let _ = rustix::io::ioctl_fionbio(&master, true);
        self.input = master.try_clone().ok();
        (self.outputs, self.terminal) = ([Some(master), None], true);
        self.start();
        self.apply_size();
    }

    fn start(&mut self) {
        self.pending.clear();
        self.close_input = false;
    }

    /// The first client's end of input is the container's.
    pub fn set_input_once(&mut self, yes: bool) {
        self.input_once = yes;
    }

    /// Adds a client.
    pub fn attach(&mut self, client: u64, owner: bool, input: Option<OwnedFd>, output: OwnedFd, error: OwnedFd) {
        for fd in [&output, &error].into_iter().chain(&input) {
            let _ = rustix::io::ioctl_fionbio(fd, true);
        }
        let outputs = [Some(output), Some(error)];
        self.audience.push(Audience { client, owner, input, outputs, pending: Default::default(), stuck: None });
    }

    /// Forgets a client, after what it has said.
    pub fn detach(&mut self, client: u64) {
        let mut buffer = [0; CHUNK_BYTES];
        let member = self.audience.iter().find(|member| member.client == client);
        if let Some(fd) = member.and_then(|member| member.input.as_ref())
            && self.input.is_some()
        {
            while let Ok(count @ 1..) = rustix::io::read(fd, &mut buffer) {
                self.pending.extend_from_slice(&buffer[..count]);
            }
            self.give_input();
        }
        self.audience.retain(|other| other.client != client);
    }

    /// Gives the container's terminal a size.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        self.size = Some((rows, columns));
        self.apply_size();
    }

    fn apply_size(&self) {
        if let (true, Some(master), Some((rows, columns))) = (self.terminal, &self.outputs[0], self.size) {
            let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            // The program may have ended; then nobody looks at the size.
            let _ = rustix::termios::tcsetwinsize(master, size);
        }
    }

    /// True when the container's output has ended.
    pub fn has_ended(&self) -> bool {
        self.outputs.iter().all(Option::is_none)
    }

    /// True when, besides, every client has got all of it.
    pub fn is_drained(&self) -> bool {
        self.has_ended() && self.audience.iter().all(|member| member.behind() == 0)
    }

    /// True while the container has to wait for a client.
    fn is_held_up(&self) -> bool {
        self.audience.iter().any(|member| member.behind() > if member.owner { 0 } else { BEHIND_BYTES })
    }

    /// When the first client that takes nothing is to be let go.
    pub fn due(&self) -> Option<Instant> {
        self.audience
            .iter()
            .filter(|member| !member.owner)
            .filter_map(|member| member.stuck)
            .min()
            .map(|at| at + PATIENCE)
    }

    /// Lets those go that have taken nothing for too long.
    pub fn let_go(&mut self, now: Instant) -> Vec<u64> {
        let late = |member: &Audience| !member.owner && member.stuck.is_some_and(|since| now >= since + PATIENCE);
        let gone = self.audience.iter().filter(|member| late(member)).map(|member| member.client).collect();
        self.audience.retain(|member| !late(member));
        gone
    }

    /// The run is over: lets go of the container's ends and of everybody who listened.
    pub fn end(&mut self) {
        self.outputs = [None, None];
        self.input = None;
        self.pending = Vec::new();
        self.audience = Vec::new();
    }

    /// What to wait for.
    pub fn places(&self) -> Vec<(Place, BorrowedFd<'_>, PollFlags)> {
        let mut list = Vec::new();
        for member in &self.audience {
            for (at, fd) in member.outputs.iter().enumerate() {
                if let Some(fd) = fd {
                    // Without bytes to send only its end is of interest, which poll always tells.
                    let wanted = if member.pending[at].is_empty() { PollFlags::empty() } else { PollFlags::OUT };
                    list.push((Place::To(member.client, at), fd.as_fd(), wanted));
                }
            }
            if self.pending.is_empty() && self.input.is_some() {
                let from = member.input.iter();
                list.extend(from.map(|fd| (Place::From(member.client), fd.as_fd(), PollFlags::IN)));
            }
        }
        if !self.is_held_up() {
            for (at, fd) in self.outputs.iter().enumerate() {
                list.extend(fd.iter().map(|fd| (Place::Output(at), fd.as_fd(), PollFlags::IN)));
            }
        }
        if !self.pending.is_empty() {
            list.extend(self.input.iter().map(|fd| (Place::Input, fd.as_fd(), PollFlags::OUT)));
        }
        list
    }

    /// Does what a place is ready for.
    pub fn serve(&mut self, place: Place, log: Option<&mut Log>) {
        match place {
            Place::Output(at) => self.take_output(at, log),
            Place::Input => self.give_input(),
            Place::From(client) => self.take_input(client),
            Place::To(client, at) => self.send(client, at),
        }
    }

    fn take_output(&mut self, at: usize, log: Option<&mut Log>) {
        let Some(fd) = &self.outputs[at] else { return };
        let mut buffer = [0; CHUNK_BYTES];
        let count = match rustix::io::read(fd, &mut buffer) {
            Err(Errno::INTR | Errno::AGAIN) => return,
            // EIO: the last process that had the terminal open is gone.
            Ok(0) | Err(_) => {
                self.outputs[at] = None;
                if self.terminal {
                    self.input = None;
                }
                return;
            }
            Ok(count) => count,
        };
        let bytes = &buffer[..count];
        if let Some(log) = log {
            log.write(if at == 0 { Stream::Out } else { Stream::Err }, bytes);
        }
        for member in &mut self.audience {
            member.pending[at].extend_from_slice(bytes);
            member.send(at);
        }
    }

    fn send(&mut self, client: u64, at: usize) {
        if let Some(member) = self.audience.iter_mut().find(|member| member.client == client) {
            if member.pending[at].is_empty() {
                // Woken without bytes to send: the reader is gone.
                member.outputs[at] = None;
            } else {
                member.send(at);
            }
        }
    }

    fn take_input(&mut self, client: u64) {
        let Some(member) = self.audience.iter_mut().find(|member| member.client == client) else { return };
        let Some(fd) = &member.input else { return };
        let mut buffer = [0; CHUNK_BYTES];
        match rustix::io::read(fd, &mut buffer) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            Ok(0) | Err(_) => {
                member.input = None;
                self.close_input = self.input_once && !self.terminal;
                self.end_input();
            }
            Ok(count) => {
                self.pending.extend_from_slice(&buffer[..count]);
                self.give_input();
            }
        }
    }

    fn give_input(&mut self) {
        let Some(fd) = &self.input else { return self.pending.clear() };
        while !self.pending.is_empty() {
            match rustix::io::write(fd, &self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // The program has closed its standard input: the rest is not wanted.
                Err(_) => {
                    self.pending = Vec::new();
                    self.input = None;
                    return;
                }
            }
        }
        self.pending = Vec::new();
        self.end_input();
    }

    /// Closes the container's input once the last bytes are in.
    fn end_input(&mut self) {
        if self.close_input && self.pending.is_empty() {
            self.input = None;
        }
    }
}

impl Audience {
    /// How much it still has to take, in bytes.
    fn behind(&self) -> usize {
        self.pending.iter().map(Vec::len).sum()
    }

    /// Gives it what it takes now of one stream.
    fn send(&mut self, at: usize) {
        let before = self.pending[at].len();
        self.write(at);
        self.stuck = match self.behind() {
            0 => None,
            _ if self.pending[at].len() < before => Some(Instant::now()),
            _ => self.stuck.or_else(|| Some(Instant::now())),
        };
    }

    fn write(&mut self, at: usize) {
        let Some(fd) = &self.outputs[at] else { return self.pending[at].clear() };
        let mut done = 0;
        while done < self.pending[at].len() {
            match rustix::io::write(fd, &self.pending[at][done..]) {
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => {
                    // Nobody reads there any more.
                    self.outputs[at] = None;
                    self.pending[at] = Vec::new();
                    return;
                }
            }
        }
        self.pending[at].drain(..done);
        if self.pending[at].is_empty() {
            self.pending[at] = Vec::new();
        }
    }
}
