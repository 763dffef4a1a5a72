//! The client's side of a running container, or of a program inside one: its streams, its end, the ways to stop it.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::super::cancel::Cancel;
use super::super::error::{Error, Kind, OsContext, Result, from_io};
use super::super::sys;
use super::detach::DetachKeys;
use super::options::Input;
use super::raw::Terminal;
use super::wire::{Order, Report};

/// So many INT or TERM signals that are passed on end a program that heeds none of them.
const PATIENCE: u32 = 3;

/// What a client hears when its connection ends without a word.
pub const MONITOR_KILLED: &str = "the container's monitor was killed, and the container with it";

/// Which of the two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output; everything, with a terminal.
    Out,
    /// Standard error.
    Err,
}

/// Takes output as it comes.
pub type OutputSink<'a> = dyn FnMut(Stream, &[u8]) -> Result<()> + 'a;

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// 0-255; 128+n for signal n.
    pub code: i32,
    /// The signal, if one killed it.
    pub signal: Option<i32>,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.signal {
            Some(signal) => write!(f, "was killed by signal {signal}"),
            None => write!(f, "exited with code {}", self.code),
        }
    }
}

/// How a client's time with a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The program ended.
    Ended(Ending),
    /// The monitor has gone away without a word.
    Gone,
    /// The user typed the keys that leave it running.
    Detached,
}

/// What a client wants of a container's streams besides moving bytes.
#[derive(Default)]
pub struct Manners {
    /// Our terminal belongs to a terminal that the monitor holds: raw mode here, sizes by orders.
    pub remote_terminal: bool,
    /// Keys that leave the container running.
    pub detach: Option<DetachKeys>,
    /// Signals to pass on, as they come out of this descriptor, one byte each.
    pub signals: Option<OwnedFd>,
    /// Kill it after this long.
    pub timeout: Option<Duration>,
    /// So long after its end, stop waiting for output of others that hold its streams; else they are waited for.
    pub patience: Option<Duration>,
}

/// The descriptors a client keeps of a container, or of a program inside one.
pub struct Streams {
    control: OwnedFd,
    input: Input,
    stdin: Option<OwnedFd>,
    outputs: [Option<OwnedFd>; 2],
    terminal: Option<Terminal>,
    pending: VecDeque<u8>,
    manners: Manners,
    // On cancellation go away rather than kill.
    leaves: bool,
    // It was started for us, and ends with us.
    owns: bool,
    // How often it was asked to end by signals that were passed on.
    urgent: u32,
}

/// What one turn of `poll` found.
#[derive(Clone, Copy, PartialEq)]
enum Source {
    Control,
    Cancel,
    Output(usize),
    Master,
    Resized,
    Input,
    Stdin,
    Signals,
}

/// Sends an order on a connection.
pub(super) fn order(control: &OwnedFd, order: &Order) -> std::io::Result<()> {
    sys::fd::send(control, &serde_json::to_vec(order)?, &[])
}

impl Streams {
    /// Takes the client's ends: of the connection, and of the pipes (input, output, error) there are.
    pub fn new(control: OwnedFd, input: Input, pipes: Option<[Option<OwnedFd>; 3]>) -> Streams {
        let pending = match &input {
            Input::Bytes(bytes) => bytes.iter().copied().collect(),
            _ => VecDeque::new(),
        };
        let (stdin, outputs) = match pipes {
            Some([stdin, stdout, stderr]) => (stdin, [stdout, stderr]),
            None => (None, [None, None]),
        };
        Streams {
            control,
            input,
            stdin,
            outputs,
            terminal: None,
            pending,
            manners: Manners::default(),
            leaves: false,
            owns: false,
            urgent: 0,
        }
    }

    /// The same, with manners.
    ///
    /// # Errors
    /// `os` when our terminal cannot be put into raw mode.
    pub fn with(mut self, manners: Manners) -> Result<Streams> {
        self.manners = manners;
        if self.manners.remote_terminal {
            self.terminal = Some(Terminal::new(None, &self.input, &self.control)?);
        }
        Ok(self)
    }

    /// On cancellation leaves it running.
    pub fn leave_on_cancel(mut self) -> Streams {
        self.leaves = true;
        self
    }

    /// It was started for this client, which its monitor never leaves without a word.
    pub fn owning(mut self) -> Streams {
        self.owns = true;
        self
    }

    /// Whether it was.
    pub fn owns(&self) -> bool {
        self.owns
    }

    /// True while there may be output in a terminal's master side. It ends when the program, which leads the terminal's
    /// session, has ended, whoever else has the terminal open: the kernel hangs it up then (setsid(2)).
    fn holds_terminal(&self) -> bool {
        self.terminal.as_ref().is_some_and(|terminal| terminal.master.is_some())
    }

    /// Gives the program an empty standard input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Moves bytes until the container has ended and its output is drained.
    ///
    /// On cancellation or time-out the container is killed, its end awaited, and the error returned.
    ///
    /// # Errors
    /// `interrupted`, `timeout`; what kept the program from starting; `os`.
    pub fn pump(mut self, cancel: &Cancel, sink: &mut OutputSink<'_>, warn: &dyn Fn(String)) -> Result<Outcome> {
        let deadline = self.manners.timeout.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit)));
        let mut ending: Option<Result<Outcome>> = None;
        let mut stopped: Option<Error> = None;
        let mut failed_sink: Option<Error> = None;
        let mut last: Option<Instant> = None;
        while ending.is_none() || self.outputs.iter().any(Option::is_some) || self.holds_terminal() {
            if stopped.is_some() && ending.is_some() {
                // Whatever the killed program has left behind may hold its streams for ever.
                break;
            }
            if let (Some(patience), Some(_), None) = (self.manners.patience, &ending, last) {
                last = Instant::now().checked_add(patience);
            }
            let due = deadline.map(|(at, _)| at).into_iter().chain(last).min();
            let ready = self.wait(cancel, stopped.is_some(), ending.is_some(), due)?;
            if stopped.is_none() {
                if cancel.is_cancelled() && self.leaves {
                    return self.detach().and(Err(Error::interrupted()));
                } else if cancel.is_cancelled() {
                    stopped = Some(Error::interrupted());
                } else if let Some((at, limit)) = deadline
                    && Instant::now() >= at
                {
                    stopped = Some(Error::new(Kind::Timeout, format!("still running after {limit:?}")));
                }
                if stopped.is_some() {
                    self.kill();
                }
            }
            for source in ready {
                match source {
                    Source::Control => ending = self.take_report(warn)?.or(ending),
                    Source::Output(at) => {
                        let result = self.take_output(at, sink);
                        self.note_sink_failure(result, &mut failed_sink);
                    }
                    Source::Master => {
                        let result = self.take_master(sink);
                        self.note_sink_failure(result, &mut failed_sink);
                    }
                    Source::Resized => self.terminal.iter().for_each(|terminal| terminal.copy_size(&self.control)),
                    Source::Input => {
                        if self.take_input()? {
                            return self.detach();
                        }
                    }
                    Source::Signals => self.pass_signals(),
                    Source::Stdin => self.give_input()?,
                    Source::Cancel => {}
                }
            }
            // What was there by now has been read: a pipe holds no more than is read at once.
            if last.is_some_and(|last| Instant::now() >= last) {
                break;
            }
        }
        drop(self.terminal.take());
        if let Some(error) = stopped.or(failed_sink) {
            return Err(error);
        }
        let none = || Err(Error::new(Kind::Internal, "the container ended without a report"));
        ending.unwrap_or_else(none)
    }

    /// Goes away and leaves it running.
    fn detach(&mut self) -> Result<Outcome> {
        // What was typed before is the container's.
        while let (false, Some(destination)) = (self.pending.is_empty(), self.destination()) {
            let mut fds = [
                PollFd::from_borrowed_fd(destination.as_fd(), PollFlags::OUT),
                PollFd::from_borrowed_fd(self.control.as_fd(), PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Ok(_) if !fds[0].revents().is_empty() => self.give_input()?,
                // It has ended: nobody reads that any more.
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(e) => return Err(e).os(|| "poll"),
            }
        }
        order(&self.control, &Order::Detach).map_err(|e| from_io(e, "tell the monitor"))?;
        drop(self.terminal.take());
        Ok(Outcome::Detached)
    }

    fn pass_signals(&mut self) {
        let Some(fd) = &self.manners.signals else { return };
        let mut numbers = [0; 16];
        let count = rustix::io::read(fd, &mut numbers).unwrap_or(0);
        for number in numbers[..count].iter().map(|number| i32::from(*number)) {
            self.urgent += u32::from(matches!(number, libc::SIGINT | libc::SIGTERM));
            // Whoever asks that often is not heard by the program. It may have ended already: its report is on its
            // way then.
            let number = if self.urgent >= PATIENCE { libc::SIGKILL } else { number };
            let _ = order(&self.control, &Order::Signal(number));
        }
    }

    /// Our own output is gone (a closed pipe): nobody reads the container's, so it is stopped.
    fn note_sink_failure(&mut self, result: Result<()>, failed: &mut Option<Error>) {
        if let Err(error) = result
            && failed.is_none()
        {
            *failed = Some(error);
            self.kill();
        }
    }

    fn kill(&mut self) {
        // It may have ended already: its report is on its way then.
        let _ = order(&self.control, &Order::Signal(libc::SIGKILL));
    }

    fn wait(&self, cancel: &Cancel, stopped: bool, ended: bool, deadline: Option<Instant>) -> Result<Vec<Source>> {
        let mut list: Vec<(Source, BorrowedFd<'_>, PollFlags)> = Vec::new();
        if !ended {
            list.push((Source::Control, self.control.as_fd(), PollFlags::IN));
        }
        if !stopped {
            list.push((Source::Cancel, cancel.fd(), PollFlags::IN));
        }
        for (at, output) in self.outputs.iter().enumerate() {
            list.extend(output.iter().map(|fd| (Source::Output(at), fd.as_fd(), PollFlags::IN)));
        }
        if let Some(terminal) = &self.terminal {
            list.extend(terminal.master.iter().map(|fd| (Source::Master, fd.as_fd(), PollFlags::IN)));
            list.extend(terminal.resized.iter().map(|(fd, _)| (Source::Resized, fd.as_fd(), PollFlags::IN)));
        }
        list.extend(self.manners.signals.iter().map(|fd| (Source::Signals, fd.as_fd(), PollFlags::IN)));
        if let Some(destination) = self.destination() {
            match &self.input {
                Input::From(fd) if self.pending.is_empty() => list.push((Source::Input, fd.as_fd(), PollFlags::IN)),
                _ => {}
            }
            if !self.pending.is_empty() {
                list.push((Source::Stdin, destination.as_fd(), PollFlags::OUT));
            }
        }
        let mut fds: Vec<PollFd<'_>> =
            list.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        let left = deadline.filter(|_| !stopped).map(|at| at.saturating_duration_since(Instant::now()));
        let left = left.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos() as i64 });
        match poll(&mut fds, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e).os(|| "poll"),
        }
        Ok(list.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty()).map(|((source, ..), _)| *source).collect())
    }

    fn take_report(&mut self, warn: &dyn Fn(String)) -> Result<Option<Result<Outcome>>> {
        let (bytes, fds) = match sys::fd::receive(&self.control, 64 << 10) {
            // It ended before it had read all we sent.
            Err(e) if e.raw_os_error() == Some(libc::ECONNRESET) => Default::default(),
            other => other.map_err(|e| from_io(e, "hear from the monitor"))?,
        };
        if bytes.is_empty() {
            return Ok(Some(Ok(Outcome::Gone)));
        }
        let report = serde_json::from_slice(&bytes)
            .map_err(|e| Error::new(Kind::Internal, format!("malformed report from the monitor: {e}")))?;
        Ok(match report {
            Report::Warning(message) => {
                warn(message);
                None
            }
            Report::Started { .. } | Report::Done => None,
            Report::Terminal => {
                let master = fds.into_iter().next();
                let master = master.ok_or_else(|| Error::new(Kind::Internal, "no terminal came with its report"))?;
                rustix::io::ioctl_fionbio(&master, true).os(|| "prepare the terminal")?;
                self.terminal = Some(Terminal::new(Some(master), &self.input, &self.control)?);
                None
            }
            Report::Failed(failure) | Report::Refused(failure) => Some(Err(failure.into())),
            Report::Exited { code, signal, .. } => Some(Ok(Outcome::Ended(Ending { code, signal }))),
        })
    }

    fn take_output(&mut self, at: usize, sink: &mut OutputSink<'_>) -> Result<()> {
        let Some(fd) = &self.outputs[at] else { return Ok(()) };
        let mut buffer = [0; 64 << 10];
        match rustix::io::read(fd, &mut buffer) {
            Ok(0) => self.outputs[at] = None,
            Ok(count) => sink(if at == 0 { Stream::Out } else { Stream::Err }, &buffer[..count])?,
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(e) => return Err(e).os(|| "read the container's output"),
        }
        Ok(())
    }

    fn take_master(&mut self, sink: &mut OutputSink<'_>) -> Result<()> {
        let Some(master) = self.terminal.as_ref().and_then(|terminal| terminal.master.as_ref()) else { return Ok(()) };
        let mut buffer = [0; 64 << 10];
        match rustix::io::read(master, &mut buffer) {
            // EIO: the last process that had the slave open is gone.
            Ok(0) | Err(Errno::IO) => drop(self.terminal.take()),
            Ok(count) => sink(Stream::Out, &buffer[..count])?,
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(e) => return Err(e).os(|| "read the container's terminal"),
        }
        Ok(())
    }

    /// Where input goes.
    fn destination(&self) -> Option<&OwnedFd> {
        self.stdin.as_ref().or(self.terminal.as_ref().and_then(|terminal| terminal.master.as_ref()))
    }

    /// Takes input; true when it held the keys that leave the container running.
    fn take_input(&mut self) -> Result<bool> {
        let Input::From(fd) = &self.input else { return Ok(false) };
        let mut buffer = [0; 64 << 10];
        match rustix::io::read(fd, &mut buffer) {
            Ok(0) | Err(Errno::IO) => self.end_input(),
            Ok(count) => match &mut self.manners.detach {
                Some(keys) => {
                    let (bytes, detached) = keys.filter(&buffer[..count]);
                    self.pending.extend(bytes);
                    return Ok(detached);
                }
                None => self.pending.extend(&buffer[..count]),
            },
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(e) => return Err(e).os(|| "read standard input"),
        }
        Ok(false)
    }

    fn end_input(&mut self) {
        self.input = Input::Nothing;
        match &self.terminal {
            // A terminal has no end of file; its end-of-file character says as much to a program that reads lines.
            Some(_) => self.pending.push_back(4),
            None => self.stdin = None,
        }
    }

    fn give_input(&mut self) -> Result<()> {
        let Some(destination) = self.destination() else { return Ok(()) };
        match rustix::io::write(destination, self.pending.as_slices().0) {
            Ok(count) => drop(self.pending.drain(..count)),
            Err(Errno::INTR | Errno::AGAIN) => {}
            // The program has closed its standard input: the rest is not wanted.
            Err(Errno::PIPE | Errno::IO) => {
                self.pending.clear();
                self.stdin = None;
                self.input = Input::Nothing;
            }
            Err(e) => return Err(e).os(|| "write the container's standard input"),
        }
        if self.pending.is_empty() && matches!(self.input, Input::Bytes(_)) {
            self.end_input();
        }
        Ok(())
    }
}
