//! What the engine tells its caller while it works. The engine never prints; the caller's sink decides.

use std::sync::Arc;

use super::container::streams::Stream;

/// One piece of news. `id` ties the events of one transfer or step together; it is unique within a process.
#[derive(Debug, Clone)]
pub enum Event {
    /// Something long begins: `what` is its kind (`"pull"`, `"push"`, `"unpack"`, `"step"`), `name` what is worked
    /// on (a short digest, a command line), `total_bytes` its size where known.
    Start {
        /// Ties events together.
        id: u64,
        /// The kind of work.
        what: &'static str,
        /// What is worked on.
        name: String,
        /// What to call it instead (`[build 3/7] RUN make`).
        label: Option<String>,
        /// Size in bytes, where known.
        total_bytes: Option<u64>,
    },
    /// `bytes` more are done.
    Advance {
        /// Ties events together.
        id: u64,
        /// How many more bytes.
        bytes: u64,
    },
    /// It ended: `outcome` is a word or two for the line (`"done"`, `"already here"`, `"CACHED"`, `"failed"`,
    /// `"stopped"`).
    End {
        /// Ties events together.
        id: u64,
        /// How it ended.
        outcome: String,
    },
    /// A piece of a build step's output, as the process wrote it.
    Output {
        /// Ties events together.
        id: u64,
        /// Where it was written to.
        stream: Stream,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Something the user should know although the operation goes on.
    Warning(String),
}

/// Receives events, possibly from several threads at once. Must not block for long.
pub trait Sink: Send + Sync {
    /// Takes one event.
    fn event(&self, event: Event);
}

/// A sink that drops everything.
pub struct Silent;

impl Sink for Silent {
    fn event(&self, _: Event) {}
}

/// A started piece of work; tells the sink how it ends, `failed` when dropped without [`Task::end`].
pub struct Task {
    sink: Arc<dyn Sink>,
    id: u64,
    ended: bool,
}

impl Task {
    /// Starts a piece of work.
    pub fn start(sink: &Arc<dyn Sink>, what: &'static str, name: impl Into<String>, total_bytes: Option<u64>) -> Task {
        Task::begin(sink, what, name.into(), None, total_bytes)
    }

    /// Starts a build step: what it is, and what to call it instead.
    pub fn step(sink: &Arc<dyn Sink>, words: impl Into<String>, label: Option<&str>) -> Task {
        Task::begin(sink, "step", words.into(), label.map(String::from), None)
    }

    fn begin(
        sink: &Arc<dyn Sink>,
        what: &'static str,
        name: String,
        label: Option<String>,
        total_bytes: Option<u64>,
    ) -> Task {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let id = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        sink.event(Event::Start { id, what, name, label, total_bytes });
        Task { sink: sink.clone(), id, ended: false }
    }

    /// Reports `bytes` more.
    pub fn advance(&self, bytes: u64) {
        self.sink.event(Event::Advance { id: self.id, bytes });
    }

    /// Passes on output.
    pub fn output(&self, stream: Stream, bytes: &[u8]) {
        self.sink.event(Event::Output { id: self.id, stream, bytes: bytes.to_vec() });
    }

    /// Ends it with a word for the line.
    pub fn end(mut self, outcome: impl Into<String>) {
        self.ended = true;
        self.sink.event(Event::End { id: self.id, outcome: outcome.into() });
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.ended {
            self.sink.event(Event::End { id: self.id, outcome: "failed".into() });
        }
    }
}
