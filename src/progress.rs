//! Shows progress: bars on a terminal, a line per start and end elsewhere, JSON for programs.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use crate::engine::container::streams::Stream;
use crate::engine::error::{OsContext, Result};
use crate::engine::progress::{Event, Silent, Sink};

/// How to show progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Bars on a terminal, else plain.
    Auto,
    /// A line per start and end.
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
        Mode::Json => Arc::new(Json { out: Mutex::new(std::io::stderr()) }),
        Mode::Auto if std::io::stderr().is_terminal() => Arc::new(Terminal::default()),
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

struct Work {
    label: String,
    started: Instant,
    // Output that has no line end yet.
    partial: Vec<u8>,
}

/// A line per start and end; output lines whole and labelled.
pub struct Plain<W> {
    state: Mutex<(W, HashMap<u64, Work>)>,
}

impl<W: Write + Send> Plain<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Plain<W> {
        Plain { state: Mutex::new((out, HashMap::new())) }
    }
}

impl<W: Write + Send> Sink for Plain<W> {
    fn event(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (out, works) = &mut *state;
        // Progress is a courtesy: a closed standard error must not fail the work.
        let _ = match event {
            Event::Start { id, what, name, .. } => {
                let label = format!("{what} {name}");
                let written = writeln!(out, "{label}");
                works.insert(id, Work { label, started: Instant::now(), partial: Vec::new() });
                written
            }
            Event::Advance { .. } => Ok(()),
            Event::Output { id, bytes } => match works.get_mut(&id) {
                Some(work) => output_lines(out, work, &bytes),
                None => out.write_all(&bytes),
            },
            Event::End { id, outcome } => match works.remove(&id) {
                Some(mut work) => {
                    if !work.partial.is_empty() {
                        let _ = output_lines(out, &mut work, b"\n");
                    }
                    writeln!(out, "{}: {outcome} ({:.1}s)", work.label, work.started.elapsed().as_secs_f64())
                }
                None => Ok(()),
            },
            Event::Warning(text) => writeln!(out, "warning: {text}"),
        };
    }
}

fn output_lines(out: &mut impl Write, work: &mut Work, bytes: &[u8]) -> std::io::Result<()> {
    work.partial.extend_from_slice(bytes);
    while let Some(end) = work.partial.iter().position(|byte| *byte == b'\n') {
        let line: Vec<u8> = work.partial.drain(..=end).collect();
        write!(out, "{} | ", work.label)?;
        out.write_all(&line)?;
    }
    Ok(())
}

struct Json {
    out: Mutex<std::io::Stderr>,
}

impl Sink for Json {
    fn event(&self, event: Event) {
        let value = match event {
            Event::Start { id, what, name, total_bytes } => {
                json!({ "event": "start", "id": id, "what": what, "name": name, "total_bytes": total_bytes })
            }
            Event::Advance { id, bytes } => json!({ "event": "advance", "id": id, "bytes": bytes }),
            Event::End { id, outcome } => json!({ "event": "end", "id": id, "outcome": outcome }),
            Event::Output { id, bytes } => {
                json!({ "event": "output", "id": id, "text": String::from_utf8_lossy(&bytes) })
            }
            Event::Warning(text) => json!({ "event": "warning", "text": text }),
        };
        let _ = writeln!(self.out.lock().unwrap_or_else(PoisonError::into_inner), "{value}");
    }
}

/// Bars: one per piece of work that runs, at most as many as the terminal is high.
#[derive(Default)]
struct Terminal {
    bars: MultiProgress,
    active: Mutex<HashMap<u64, (Work, Option<ProgressBar>)>>,
}

impl Terminal {
    fn bar(&self, shown: usize, what: &str, name: &str, total: Option<u64>) -> Option<ProgressBar> {
        let height = usize::from(rustix::termios::tcgetwinsize(std::io::stderr()).map_or(24, |size| size.ws_row));
        if shown + 2 > height {
            return None;
        }
        let template = match total {
            Some(_) => "{msg:40!} {bar:24} {bytes:>10} / {total_bytes:10} {bytes_per_sec}",
            None => "{msg} {elapsed}",
        };
        let bar = self.bars.add(total.map_or_else(ProgressBar::new_spinner, ProgressBar::new));
        // A template that does not parse would be a bug; the default style is a fine answer.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(format!("{what} {name}"));
        Some(bar)
    }

    fn line(&self, text: &str) {
        // Above the bars; a closed terminal must not fail the work.
        let _ = self.bars.println(text);
    }
}

impl Sink for Terminal {
    fn event(&self, event: Event) {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Start { id, what, name, total_bytes } => {
                let shown = active.values().filter(|(_, bar)| bar.is_some()).count();
                let bar = self.bar(shown, what, &name, total_bytes);
                let label = format!("{what} {name}");
                active.insert(id, (Work { label, started: Instant::now(), partial: Vec::new() }, bar));
            }
            Event::Advance { id, bytes } => {
                if let Some((_, Some(bar))) = active.get(&id) {
                    bar.inc(bytes);
                }
            }
            Event::Output { id, bytes } => {
                if let Some((work, _)) = active.get_mut(&id) {
                    let mut lines = Vec::new();
                    let _ = output_lines(&mut lines, work, &bytes);
                    for line in String::from_utf8_lossy(&lines).lines() {
                        self.line(line);
                    }
                }
            }
            Event::End { id, outcome } => {
                if let Some((work, bar)) = active.remove(&id) {
                    if let Some(bar) = bar {
                        bar.finish_and_clear();
                        self.bars.remove(&bar);
                    }
                    let seconds = work.started.elapsed().as_secs_f64();
                    self.line(&format!("{}: {outcome} ({seconds:.1}s)", work.label));
                }
            }
            Event::Warning(text) => self.line(&format!("warning: {text}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_are_whole_and_labelled() {
        let sink = Plain::new(Vec::new());
        sink.event(Event::Start { id: 1, what: "step", name: "make".into(), total_bytes: None });
        sink.event(Event::Output { id: 1, bytes: b"one\ntw".to_vec() });
        sink.event(Event::Output { id: 1, bytes: b"o\nrest".to_vec() });
        sink.event(Event::Warning("careful".into()));
        sink.event(Event::End { id: 1, outcome: "done".into() });
        let text = String::from_utf8(sink.state.into_inner().unwrap().0).unwrap();
        let expected =
            "step make\nstep make | one\nstep make | two\nwarning: careful\nstep make | rest\nstep make: done (";
        assert!(text.starts_with(expected), "{text}");
    }
}
