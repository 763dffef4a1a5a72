//! Progress on a terminal: what runs at the bottom, each build step with its last lines of output; what ended above.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::plain::ended;
use super::text::cut;
use super::work::{Ending, Work};
use crate::engine::progress::{Event, Sink};

/// Lines of output shown below a step that runs.
const SHOWN: usize = 6;
/// Lines of output shown of a step that failed.
const KEPT: usize = 30;
const TICK: Duration = Duration::from_millis(100);

/// Bars and steps: at most as many lines as the terminal is high.
pub struct Terminal {
    bars: MultiProgress,
    color: bool,
    size: fn() -> (usize, usize),
    active: Mutex<HashMap<u64, Active>>,
}

struct Active {
    live: Arc<Mutex<Live>>,
    bar: Option<ProgressBar>,
}

/// A piece of work and the end of its output.
struct Live {
    work: Work,
    tail: VecDeque<String>,
    // Lines of output there is room for.
    room: usize,
    color: bool,
}

impl Live {
    /// What is shown while it runs: at most `columns` wide.
    fn shown(&self, columns: usize) -> String {
        let time = self.work.time();
        let mut text = format!("{} {time}", cut(&self.work.title, columns.saturating_sub(time.len() + 3)));
        for line in self.tail.iter().rev().take(self.room.min(SHOWN)).rev() {
            let line = cut(line, columns.saturating_sub(5));
            // Colours of the program would end the dimming.
            let line = if self.color { dimmed(&line) } else { line };
            let _ = write!(text, "\n  │ {line}");
        }
        text
    }

    fn keep(&mut self, line: String) {
        if self.tail.len() == KEPT {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }
}

fn dimmed(line: &str) -> String {
    format!("\x1b[2m{}\x1b[0m", line.replace("\x1b[0m", "\x1b[0;2m").replace("\x1b[m", "\x1b[0;2m"))
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    rustix::termios::tcgetwinsize(std::io::stderr())
        .ok()
        .filter(|size| size.ws_col > 0 && size.ws_row > 0)
        .map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
}

impl Terminal {
    /// On the terminal that is standard error.
    pub fn new(color: bool) -> Terminal {
        Terminal::on(ProgressDrawTarget::stderr(), color, size)
    }

    fn on(target: ProgressDrawTarget, color: bool, size: fn() -> (usize, usize)) -> Terminal {
        Terminal { bars: MultiProgress::with_draw_target(target), color, size, active: Mutex::default() }
    }

    fn start(&self, active: &mut HashMap<u64, Active>, id: u64, work: Work, total: Option<u64>) {
        let is_step = work.is_step;
        let live = Arc::new(Mutex::new(Live { work, tail: VecDeque::new(), room: 0, color: self.color }));
        let shown = active.values().filter(|active| active.bar.is_some()).count();
        let bar = (shown + 2 <= (self.size)().1).then(|| self.bar(live.clone(), is_step, total));
        active.insert(id, Active { live, bar });
        self.share(active);
    }

    fn bar(&self, live: Arc<Mutex<Live>>, is_step: bool, total: Option<u64>) -> ProgressBar {
        let template = match total {
            Some(_) if !is_step => "{msg:40!} {bar:24} {bytes:>10} / {total_bytes:10} {bytes_per_sec}",
            _ => "{spinner} {live}",
        };
        let size = self.size;
        let title = lock(&live).work.title.clone();
        let draw = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = out.write_str(&lock(&live).shown(size().0));
        };
        let bar = self.bars.add(total.map_or_else(ProgressBar::new_spinner, ProgressBar::new));
        // A template that does not parse would be a bug; the default style is a fine answer.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> ").with_key("live", draw));
        }
        bar.set_message(title);
        bar.enable_steady_tick(TICK);
        bar
    }

    /// Shares the terminal's lines among what runs.
    fn share(&self, active: &HashMap<u64, Active>) {
        let running = active.values().filter(|active| active.bar.is_some()).count().max(1);
        let room = ((self.size)().1.saturating_sub(2) / running).saturating_sub(1);
        active.values().for_each(|active| lock(&active.live).room = room);
    }

    fn end(&self, active: &mut HashMap<u64, Active>, id: u64, outcome: &str) {
        let Some(Active { live, bar }) = active.remove(&id) else { return };
        if let Some(bar) = bar {
            bar.finish_and_clear();
            self.bars.remove(&bar);
        }
        self.share(active);
        let mut live = lock(&live);
        for (_, line) in live.work.rest() {
            live.keep(line);
        }
        let paint = |code: &str, text: &str| match self.color {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_string(),
        };
        let end = ended(&live.work, outcome);
        let (title, how) = end.split_at(live.work.title.len());
        let title = cut(title, (self.size)().0.saturating_sub(how.len()));
        let mut lines = vec![match Ending::of(outcome) {
            Ending::Failed => paint("1;31", &format!("{title}{how}")),
            Ending::Cached => paint("2", &format!("{title}{how}")),
            Ending::Done => format!("{title}{how}"),
        }];
        if Ending::of(outcome) == Ending::Failed {
            lines.extend(live.tail.iter().map(|line| format!("  │ {line}")));
        }
        // Printing draws what runs, which looks at its own output.
        drop(live);
        lines.iter().for_each(|line| self.line(line));
    }

    /// Above what runs; a closed terminal must not fail the work.
    fn line(&self, text: &str) {
        let _ = self.bars.println(text);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sink for Terminal {
    fn event(&self, event: Event) {
        let mut active = lock(&self.active);
        match event {
            Event::Start { id, what, name, label, total_bytes } => {
                self.start(&mut active, id, Work::new(what, &name, label), total_bytes);
            }
            Event::Advance { id, bytes } => {
                if let Some(Active { bar: Some(bar), .. }) = active.get(&id) {
                    bar.inc(bytes);
                }
            }
            Event::Output { id, stream, bytes } => {
                if let Some(active) = active.get(&id) {
                    let mut live = lock(&active.live);
                    for line in live.work.add(stream, &bytes) {
                        live.keep(line);
                    }
                }
            }
            Event::End { id, outcome } => self.end(&mut active, id, &outcome),
            Event::Warning(text) => {
                let word = if self.color { "\x1b[1;33mwarning:\x1b[0m" } else { "warning:" };
                self.line(&format!("{word} {text}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;

    use super::super::work::tests::{end, output, step};
    use super::*;
    use crate::engine::container::streams::Stream;

    fn live(title: &str, lines: &[&str], room: usize) -> Live {
        let tail = lines.iter().map(ToString::to_string).collect();
        Live { work: Work::new("step", title, None), tail, room, color: false }
    }

    #[test]
    fn a_running_step_with_its_last_lines_fits_the_terminal() {
        let text = live("RUN 漢字漢字漢字 and more", &["one", "two 漢字漢字漢字漢字", "three"], 2).shown(20);
        assert_eq!(text, "RUN 漢字漢字… 0.0s\n  │ two 漢字漢字漢…\n  │ three");
        assert_eq!(live("RUN x", &["a"], 0).shown(80), "RUN x 0.0s");
        let many: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(live("RUN x", &many, 100).shown(80).lines().count(), 1 + SHOWN);
    }

    #[test]
    fn colours_end_and_dimming_goes_on() {
        let mut live = live("RUN x", &["\x1b[31mred\x1b[0m then"], 5);
        live.color = true;
        assert_eq!(live.shown(80).lines().nth(1), Some("  │ \x1b[2m\x1b[31mred\x1b[0;2m then\x1b[0m"));
    }

    #[test]
    fn what_ended_stands_above_and_nothing_is_left_below() {
        let term = InMemoryTerm::new(12, 60);
        let sink = Terminal::on(ProgressDrawTarget::term_like(Box::new(term.clone())), false, || (60, 12));
        let script = [
            step(1, "RUN a", Some("[build 1/2] RUN a")),
            step(2, "RUN b", None),
            output(1, Stream::Out, b"seen while it runs\n"),
            end(1, "done"),
            step(3, "COPY x /", None),
            end(3, "CACHED"),
            output(2, Stream::Err, b"one\x1b[2J\nthe last wo"),
            output(2, Stream::Err, b"rds"),
            Event::Warning("careful".into()),
            end(2, "failed"),
        ];
        script.into_iter().for_each(|event| sink.event(event));
        let screen = term.contents();
        let lines: Vec<&str> = screen.lines().map(str::trim_end).collect();
        assert_eq!(lines.len(), 6, "{screen}");
        assert!(lines[0].starts_with("[build 1/2] RUN a: done (0."), "{screen}");
        assert_eq!(lines[1..3], ["COPY x /: CACHED", "warning: careful"]);
        assert!(lines[3].starts_with("RUN b: failed (0."), "{screen}");
        assert_eq!(lines[4..], ["  │ one", "  │ the last words"]);
    }
}
