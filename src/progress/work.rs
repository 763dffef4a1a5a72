//! A piece of work as the sinks keep it: its title, when it began, and output that has no line end yet.

use std::time::Instant;

use super::text::{Lines, first_line, span};
use crate::engine::container::streams::Stream;

/// What runs.
pub struct Work {
    /// What it is, in a line.
    pub title: String,
    /// It is a step of a build.
    pub is_step: bool,
    started: Instant,
    out: Lines,
    err: Lines,
}

/// How a piece of work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its result was known.
    Cached,
    /// It failed.
    Failed,
    /// Otherwise.
    Done,
}

impl Ending {
    /// By the engine's word for it.
    pub fn of(outcome: &str) -> Ending {
        match outcome {
            "CACHED" => Ending::Cached,
            "failed" => Ending::Failed,
            _ => Ending::Done,
        }
    }
}

impl Work {
    /// Work that begins now.
    pub fn new(what: &str, name: &str, label: Option<String>) -> Work {
        let is_step = what == "step";
        let title = first_line(&label.unwrap_or_else(|| name.to_string()));
        let title = if is_step { title } else { format!("{what} {title}") };
        Work { title, is_step, started: Instant::now(), out: Lines::default(), err: Lines::default() }
    }

    /// Takes a piece of output; returns the lines it ends.
    pub fn add(&mut self, stream: Stream, bytes: &[u8]) -> Vec<String> {
        match stream {
            Stream::Out => self.out.add(bytes),
            Stream::Err => self.err.add(bytes),
        }
    }

    /// The last lines, of both streams, that had no line end.
    pub fn rest(&mut self) -> Vec<(Stream, String)> {
        let out = self.out.end().map(|line| (Stream::Out, line));
        out.into_iter().chain(self.err.end().map(|line| (Stream::Err, line))).collect()
    }

    /// How long it has been at work.
    pub fn time(&self) -> String {
        span(self.started.elapsed())
    }

    /// The same, in seconds.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::engine::container::streams::Stream;
    use crate::engine::progress::Event;

    pub fn start(id: u64, what: &'static str, name: &str) -> Event {
        Event::Start { id, what, name: name.into(), label: None, total_bytes: None }
    }

    pub fn step(id: u64, name: &str, label: Option<&str>) -> Event {
        Event::Start { id, what: "step", name: name.into(), label: label.map(Into::into), total_bytes: None }
    }

    pub fn output(id: u64, stream: Stream, bytes: &[u8]) -> Event {
        Event::Output { id, stream, bytes: bytes.into() }
    }

    pub fn end(id: u64, outcome: &str) -> Event {
        Event::End { id, outcome: outcome.into() }
    }
}
