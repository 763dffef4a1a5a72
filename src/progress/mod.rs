//! Shows progress: live on a terminal, lines for logs elsewhere, JSON for programs. Builds are what it is made for.

mod json;
mod plain;
mod terminal;
mod text;
mod work;

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::engine::container::streams::Stream;
use crate::engine::error::{OsContext, Result};
use crate::engine::progress::{Event, Silent, Sink};

pub use text::clean;

use json::Json;
use plain::Plain;
use terminal::Terminal;

/// How to show progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Live on a terminal, else plain.
    Auto,
    /// A line for each piece of work at its end, and its output.
    Plain,
    /// Nothing.
    None,
    /// A JSON object per event.
    Json,
}

/// Passes a container's output on to this program's own streams.
///
/// # Errors
/// `os` when nobody reads them any more.
pub fn pass(stream: Stream, bytes: &[u8]) -> Result<()> {
    let write = |out: &mut dyn Write| out.write_all(bytes).and_then(|()| out.flush());
    match stream {
        Stream::Out => write(&mut std::io::stdout().lock()).os(|| "write to standard output"),
        Stream::Err => write(&mut std::io::stderr().lock()).os(|| "write to standard error"),
    }
}

/// The sink for a mode; everything goes to standard error.
pub fn sink(mode: Mode) -> Arc<dyn Sink> {
    match mode {
        Mode::None => Arc::new(Silent),
        Mode::Json => Arc::new(Json::new(std::io::stderr())),
        Mode::Auto if std::io::stderr().is_terminal() => Arc::new(Terminal::new(crate::report::color())),
        Mode::Auto | Mode::Plain => Arc::new(Plain::new(std::io::stderr())),
    }
}

impl Mode {
    /// The mode of that name; `auto` for any other.
    pub fn of(name: &str) -> Mode {
        match name {
            "plain" => Mode::Plain,
            "none" => Mode::None,
            "json" => Mode::Json,
            _ => Mode::Auto,
        }
    }
}

/// A sink that can be turned off, or changed for another.
pub struct Switch {
    sink: RwLock<Arc<dyn Sink>>,
    off: AtomicBool,
}

impl Switch {
    /// Passes on to `sink`.
    pub fn new(sink: Arc<dyn Sink>) -> Switch {
        Switch { sink: RwLock::new(sink), off: AtomicBool::new(false) }
    }

    /// From now on passes on to another sink.
    pub fn turn_to(&self, sink: Arc<dyn Sink>) {
        *self.sink.write().unwrap_or_else(PoisonError::into_inner) = sink;
    }

    /// From now on shows nothing but warnings.
    pub fn turn_off(&self) {
        self.off.store(true, Ordering::Relaxed);
    }
}

impl Sink for Switch {
    fn event(&self, event: Event) {
        if !self.off.load(Ordering::Relaxed) || matches!(event, Event::Warning(_)) {
            let sink = self.sink.read().unwrap_or_else(PoisonError::into_inner).clone();
            sink.event(event);
        }
    }
}
