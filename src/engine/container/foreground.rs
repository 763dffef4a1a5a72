//! Containers in the foreground: an image's program from start to end with the caller's streams, and attaching to one
//! that runs.

use super::super::Engine;
use super::super::error::{Error, ExitDetail, Kind, Result};
use super::super::host::RunResult;
use super::super::image::Policy;
use super::client::Client;
use super::create::{Made, Target};
use super::options::{Command, Input, Options};
use super::record::{self, Record};
use super::start::{Attachment, Ends};
use super::streams::{Ending, MONITOR_KILLED, Outcome, OutputSink, Stream, Streams};
use super::wire::Order;

/// How much output an error carries, in bytes.
const TAIL_BYTES: usize = 4 << 10;

/// How to treat a foreground container's output and end.
#[derive(Debug, Clone, Copy)]
pub struct Foreground {
    /// Keep the output for the result instead of passing it on.
    pub capture: bool,
    /// Make a status other than zero an error.
    pub check: bool,
    /// When to ask the registry for a name.
    pub pull: Policy,
}

/// How a foreground container ended for its caller.
#[derive(Debug)]
pub struct Finished {
    /// Exit code and captured output; the code is 0 when the caller detached.
    pub result: RunResult,
    /// The container, which still is there unless it was to be removed.
    pub record: Record,
    /// True when the caller left it running.
    pub detached: bool,
}

impl Engine {
    /// Runs a program in the foreground. `pass` receives output that is not captured.
    ///
    /// # Errors
    /// `exit` with code and last output when it fails and `check` is set; those of a start; `interrupted`, `timeout`.
    pub fn container_run(
        &self,
        target: &Target,
        command: Option<&Command>,
        options: &Options,
        how: Foreground,
        attachment: Attachment,
        pass: &mut OutputSink<'_>,
    ) -> Result<Finished> {
        let Made { record, claim, spec } = self.make_container(target, command, options, how.pull)?;
        let attachment = Attachment { timeout: options.timeout, ..attachment };
        let started = self.start_attached(&record, claim, Some(spec), attachment);
        let shown = command.map(Command::display);
        let finished = started.and_then(|streams| self.follow(&record, streams, shown.as_deref(), how, pass));
        let (result, detached) = finished.inspect_err(|_| self.discard(&record))?;
        Ok(Finished { result, record, detached })
    }

    /// Starts a container that exists, with the caller's streams.
    ///
    /// # Errors
    /// As [`Engine::container_run`]; `in_use` when it runs already.
    pub fn container_start_attached(
        &self,
        name: &str,
        how: Foreground,
        attachment: Attachment,
        pass: &mut OutputSink<'_>,
    ) -> Result<Finished> {
        let (record, claim) = self.take_for_start(name)?;
        let Some(claim) = claim else {
            let message = format!("container '{}' is already running", record.name);
            return Err(Error::new(Kind::InUse, message).with_hint("attach to it"));
        };
        let streams = self.start_attached(&record, claim, None, attachment)?;
        let (result, detached) = self.follow(&record, streams, None, how, pass)?;
        Ok(Finished { result, record, detached })
    }

    /// Joins in a running container: its output from now on, and its input.
    ///
    /// # Errors
    /// `invalid_argument` when it is not running; `interrupted`: it goes on then.
    pub fn container_attach(
        &self,
        name: &str,
        how: Foreground,
        attachment: Attachment,
        pass: &mut OutputSink<'_>,
    ) -> Result<Finished> {
        let record = self.container(name)?;
        let folder = record::folder(self.store().root(), &record.id);
        let not_running = || Error::invalid(format!("cannot attach to container '{}': it is not running", record.name));
        let client = Client::connect(&folder)?.ok_or_else(not_running)?;
        let input = record.interactive && !matches!(attachment.input, Input::Nothing);
        let ends = Ends::new(record.tty, input)?;
        client.order(&Order::Attach { input }, &ends.theirs())?;
        let streams = ends.streams(client.into_fd(), attachment, record.tty)?.leave_on_cancel();
        let (result, detached) = self.follow(&record, streams, None, how, pass)?;
        Ok(Finished { result, record, detached })
    }

    /// Moves streams until the end; what is captured, and whether the caller detached.
    pub(super) fn follow(
        &self,
        record: &Record,
        streams: Streams,
        shown: Option<&str>,
        how: Foreground,
        pass: &mut OutputSink<'_>,
    ) -> Result<(RunResult, bool)> {
        let mut result = RunResult { exit_code: 0, stdout: Vec::new(), stderr: Vec::new() };
        let mut tail = Vec::new();
        let owned = streams.owns();
        let outcome = streams.pump(
            self.cancel(),
            &mut |stream, bytes| {
                tail.extend_from_slice(bytes);
                let excess = tail.len().saturating_sub(TAIL_BYTES);
                tail.drain(..excess);
                match (how.capture, stream) {
                    (true, Stream::Out) => result.stdout.extend_from_slice(bytes),
                    (true, Stream::Err) => result.stderr.extend_from_slice(bytes),
                    (false, _) => pass(stream, bytes)?,
                }
                Ok(())
            },
            &|message| self.warn_once(message),
        );
        match outcome {
            Ok(Outcome::Detached) => Ok((result, true)),
            Ok(Outcome::Gone) => Err(self.why_gone(record, owned)),
            Ok(Outcome::Ended(ending)) if ending.code != 0 && how.check => Err(failure(shown, ending, &tail)),
            Ok(Outcome::Ended(ending)) => {
                result.exit_code = ending.code;
                Ok((result, false))
            }
            // A program that cannot be executed has a status too, for those who look at statuses themselves.
            Err(error) => match error.exit().map(|exit| exit.code) {
                Some(code) if !how.check => {
                    let message = format!("{}\n", error.message());
                    if how.capture {
                        result.stderr.extend_from_slice(message.as_bytes());
                    } else {
                        pass(Stream::Err, message.as_bytes())?;
                    }
                    result.exit_code = code;
                    Ok((result, false))
                }
                _ => Err(error),
            },
        }
    }
}

impl Engine {
    /// Why a monitor has gone away without a word: it was killed, or it had ended before it heard of us.
    pub(super) fn why_gone(&self, record: &Record, owned: bool) -> Error {
        let state = match self.bury(&record.id).and_then(|()| self.container_find(&record.id)) {
            Ok(Some(record)) => self.container_state(&record.id),
            Ok(None) if !owned => {
                return Error::not_found(format!("container '{}' was removed", record.name));
            }
            Ok(None) => return Error::new(Kind::Internal, MONITOR_KILLED),
            Err(error) => Err(error),
        };
        match state {
            Ok(state) if state.error.as_deref() == Some(MONITOR_KILLED) => Error::new(Kind::Internal, MONITOR_KILLED),
            Ok(state) => Error::invalid(format!("container '{}' is {}", record.name, state.status.name())),
            Err(error) => error,
        }
    }
}

fn failure(shown: Option<&str>, ending: Ending, tail: &[u8]) -> Error {
    let what = shown.map_or("the image's command".into(), |command| format!("command '{command}'"));
    Error::new(Kind::Exit, format!("{what} {ending}"))
        .with_exit(ExitDetail { code: ending.code, stderr: String::from_utf8_lossy(tail).into_owned() })
}
