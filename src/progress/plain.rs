//! Progress for logs: output lines with their step's name in front, a line for each piece of work at its end.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use super::text::cut;
use super::work::{Ending, Work};
use crate::engine::progress::{Event, Sink};

/// Columns of a step's name in front of its output.
const NAME: usize = 40;

/// Lines as they come.
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
        let mut text = String::new();
        match event {
            Event::Start { id, what, name, label, .. } => drop(works.insert(id, Work::new(what, &name, label))),
            Event::Advance { .. } => {}
            Event::Output { id, stream, bytes } => {
                if let Some(work) = works.get_mut(&id) {
                    let lines = work.add(stream, &bytes);
                    lines.iter().for_each(|line| text.push_str(&labelled(work, line)));
                }
            }
            Event::End { id, outcome } => {
                if let Some(mut work) = works.remove(&id) {
                    work.rest().iter().for_each(|(_, line)| text.push_str(&labelled(&work, line)));
                    text.push_str(&format!("{}\n", ended(&work, &outcome)));
                }
            }
            Event::Warning(warning) => text = format!("warning: {warning}\n"),
        }
        // Progress is a courtesy: a closed standard error must not fail the work.
        let _ = out.write_all(text.as_bytes());
    }
}

fn labelled(work: &Work, line: &str) -> String {
    format!("{} | {line}\n", cut(&work.title, NAME))
}

/// The line at the end of a piece of work.
pub(super) fn ended(work: &Work, outcome: &str) -> String {
    match Ending::of(outcome) {
        Ending::Cached => format!("{}: CACHED", work.title),
        _ => format!("{}: {outcome} ({})", work.title, work.time()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::work::tests::{end, output, start, step};
    use super::*;
    use crate::engine::container::streams::Stream;

    fn told(events: Vec<Event>) -> String {
        let sink = Plain::new(Vec::new());
        events.into_iter().for_each(|event| sink.event(event));
        String::from_utf8(sink.state.into_inner().unwrap().0).unwrap()
    }

    #[test]
    fn lines_are_whole_and_labelled() {
        let text = told(vec![
            step(1, "make", None),
            step(2, "RUN cc -c a.c", Some("[build 3/7] RUN cc -c a.c && cc -c a_long_name.c")),
            output(1, Stream::Out, b"one\ntw"),
            output(2, Stream::Err, b"\x1b[2Jerror\n"),
            output(1, Stream::Err, b"warn\n"),
            output(1, Stream::Out, b"o\nrest"),
            Event::Warning("careful".into()),
            end(1, "done"),
            end(2, "failed"),
        ]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..6],
            [
                "make | one",
                "[build 3/7] RUN cc -c a.c && cc -c a_lo… | error",
                "make | warn",
                "make | two",
                "warning: careful",
                "make | rest"
            ]
        );
        assert!(lines[6].starts_with("make: done (0."), "{text}");
        assert!(lines[7].starts_with("[build 3/7] RUN cc -c a.c && cc -c a_long_name.c: failed (0."), "{text}");
        assert_eq!(lines.len(), 8);
    }

    #[test]
    fn a_line_for_each_piece_of_work() {
        let text = told(vec![start(1, "pull", "abc"), step(2, "RUN x\ny", None), end(2, "CACHED"), end(1, "done")]);
        let (cached, pull) = text.split_once('\n').unwrap();
        assert_eq!(cached, "RUN x …: CACHED");
        assert!(pull.starts_with("pull abc: done (0."), "{text}");
        assert_eq!(text.lines().count(), 2);
    }
}
