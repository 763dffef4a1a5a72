//! The only place that prints errors:
//!
//! ```text
//! error: no such image 'web:1'
//!   | the last output of a program
//!   caused by: ...
//!   at build.lua:12
//!     12 | local img = image.pull "web:1"
//!   hint: did you mean ...?
//! ```

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

use mlua::{Lua, Table, Value};

use crate::engine::error::Error;
use crate::runtime::{Failure, Runtime, text_of};

/// Exit status of a program that failed.
pub const FAILURE: i32 = 1;
/// Exit status when the command line makes no sense.
pub const USAGE: i32 = 2;
/// Exit status when whoever reads the output has gone, as a shell tells it of a program that SIGPIPE ended.
pub const CLOSED: i32 = 141;
/// Exit status for a bug in moonshell.
pub const BUG: i32 = 70;

/// Lines shown of what a failed program printed last.
const OUTPUT_LINES: usize = 10;

/// An error ready to print.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// What happened.
    pub message: String,
    /// The last output of the program that failed.
    pub output: Vec<String>,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// `script.lua:12`.
    pub place: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// The call stack, for bugs or on request.
    pub traceback: Option<String>,
    /// A bug in moonshell.
    pub bug: bool,
}

impl Report {
    /// The report for an engine error.
    pub fn engine(error: &Error) -> Report {
        Report {
            message: error.message().into(),
            causes: error.causes(),
            hint: error.hint().map(String::from),
            bug: error.kind() == crate::engine::error::Kind::Internal,
            ..Report::default()
        }
    }

    /// The report for a usage error.
    pub fn usage(message: impl Into<String>, hint: Option<String>) -> Report {
        Report { message: message.into(), hint, ..Report::default() }
    }

    /// The report for an error no script caught.
    pub fn script(runtime: &Runtime, failure: &Failure, traceback: bool) -> Report {
        let mut report = Report::value(runtime.lua(), &failure.value);
        report.place = match (report.place, &failure.place) {
            (Some(place), Some(whole)) => Some(uncut(place, whole)),
            (place, whole) => place.or_else(|| whole.clone()),
        };
        if traceback || report.bug {
            report.traceback = Some(failure.traceback.clone()).filter(|text| !text.is_empty());
        }
        report
    }

    /// The report for an error that was caught.
    pub fn value(lua: &Lua, error: &Value) -> Report {
        match error {
            Value::Table(table) => from_table(lua, table),
            Value::Nil => Report { message: "nil was raised".into(), ..Report::default() },
            other => from_text(&text_of(lua, other)),
        }
    }

    /// The report for a syntax error in `file`; Lua's message begins with its place.
    pub fn syntax(error: &mlua::Error, file: &str) -> Report {
        let mut report = match error {
            mlua::Error::SyntaxError { message, .. } => from_text(message),
            other => from_text(&other.to_string()),
        };
        report.place = report.place.map(|place| match place.rsplit_once(':') {
            Some((_, line)) => uncut(place.clone(), &format!("{file}:{line}")),
            None => place,
        });
        report
    }

    /// The exit status this error leads to.
    pub fn status(&self) -> i32 {
        if self.bug { BUG } else { FAILURE }
    }

    /// The text. `source` gives a line of a file by its shown name.
    pub fn render(&self, color: bool, source: &dyn Fn(&str, usize) -> Option<String>) -> String {
        let paint =
            |code: &str, text: &str| if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() };
        let mut text = format!("{} {}\n", paint("1;31", "error:"), self.message.replace('\n', "\n  "));
        for line in &self.output {
            let _ = writeln!(text, "  | {line}");
        }
        for cause in &self.causes {
            let _ = writeln!(text, "  caused by: {}", cause.replace('\n', "\n    "));
        }
        if let Some(place) = &self.place {
            let _ = writeln!(text, "  at {place}");
            let line = place.rsplit_once(':').and_then(|(file, line)| Some((line, source(file, line.parse().ok()?)?)));
            if let Some((number, line)) = line {
                let _ = writeln!(text, "    {number} | {}", line.trim());
            }
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "  {} {hint}", paint("1;36", "hint:"));
        }
        if let Some(traceback) = &self.traceback {
            let _ = writeln!(text, "{traceback}");
        }
        text
    }

    /// Prints it to standard error.
    pub fn print(&self, source: &dyn Fn(&str, usize) -> Option<String>) {
        let text = self.render(color(), source);
        // When standard error is closed there is nobody to tell.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

/// Whether standard error shows colours.
pub fn color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints a line as it is, for programs that read it.
pub fn plain(text: &str) {
    // When standard error is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints a note that is no error.
pub fn warning(text: &str) {
    let _ = writeln!(std::io::stderr(), "warning: {text}");
}

/// A line of a file, for [`Report::print`].
pub fn line_of_file(file: &str, line: usize) -> Option<String> {
    line_of_text(&std::fs::read_to_string(file).ok()?, line)
}

/// A line of a text.
pub fn line_of_text(text: &str, line: usize) -> Option<String> {
    text.lines().nth(line.checked_sub(1)?).map(String::from)
}

/// Lua cuts the front off long paths in messages (`...end/of/path.lua:3`); `whole` may be what was cut.
fn uncut(place: String, whole: &str) -> String {
    match place.strip_prefix("...") {
        Some(end) if whole.ends_with(end) => whole.to_string(),
        _ => place,
    }
}

fn from_table(lua: &Lua, table: &Table) -> Report {
    let text = |key: &str| match table.get::<Value>(key) {
        Ok(Value::Nil) | Err(_) => None,
        Ok(value) => Some(text_of(lua, &value)),
    };
    let Some(message) = text("message") else {
        return from_text(&text_of(lua, &Value::Table(table.clone())));
    };
    let causes = table.get::<Option<Vec<String>>>("causes").ok().flatten().unwrap_or_default();
    let kind = text("kind").unwrap_or_default();
    // Where the cause says it, that is enough.
    let output = text("stderr").filter(|_| kind == "exit" && causes.is_empty()).map_or_else(Vec::new, last_lines);
    let bug = kind == "internal";
    Report { message, output, causes, place: text("where"), hint: text("hint"), bug, traceback: None }
}

/// The last lines of a program's output, without what would change the terminal.
fn last_lines(output: String) -> Vec<String> {
    let lines: Vec<&str> = output.trim_end().lines().collect();
    lines[lines.len().saturating_sub(OUTPUT_LINES)..].iter().map(|line| crate::progress::clean(line)).collect()
}

/// A Lua message begins with its place: `script.lua:12: text`.
fn from_text(text: &str) -> Report {
    let split = text.match_indices(':').find_map(|(at, _)| {
        let rest = &text[at + 1..];
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let message = rest[digits..].strip_prefix(": ")?;
        (digits > 0 && !text[..at].contains('\n')).then(|| (text[..at + 1 + digits].to_string(), message.to_string()))
    });
    match split {
        Some((place, message)) => Report { message, place: Some(place), ..Report::default() },
        None => Report { message: text.into(), ..Report::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lua_message_is_split_into_place_and_text() {
        let report = from_text("a/b.lua:12: attempt to call a nil value (global 'x')");
        assert_eq!(report.place.as_deref(), Some("a/b.lua:12"));
        assert_eq!(report.message, "attempt to call a nil value (global 'x')");
        assert_eq!(from_text("no place: here").place, None);
    }

    #[test]
    fn of_long_output_the_end_is_shown() {
        let text: String = (0..20).map(|n| format!("\x1b[2J{n}\n")).collect();
        let lines = last_lines(text + "\n");
        assert_eq!(lines, (10..20).map(|n| n.to_string()).collect::<Vec<_>>());
        assert!(last_lines(String::new()).is_empty());
    }

    #[test]
    fn every_part_has_its_line() {
        let report = Report {
            message: "no such image 'x'".into(),
            output: vec!["one".into(), "two".into()],
            causes: vec!["not there".into()],
            place: Some("s.lua:2".into()),
            hint: Some("pull it".into()),
            ..Report::default()
        };
        let text = report.render(false, &|_, line| line_of_text("one\n  two(x)", line));
        let expected = "error: no such image 'x'\n  | one\n  | two\n  caused by: not there\n  at s.lua:2\n    2 | two(x)\n  hint: pull it\n";
        assert_eq!(text, expected);
    }
}
