//! Text of programs on its way to a log or a terminal: whole lines, without what would move the cursor or change the
//! terminal, at most so wide.
//!
//! Colours and weights (SGR, `ESC [ ... m`) stay; every other control sequence and character goes. Source: ECMA-48,
//! section 5.4; XTerm Control Sequences, "Controls beginning with ESC".

use std::iter::Peekable;
use std::str::Chars;
use std::time::Duration;

use unicode_width::UnicodeWidthChar;

/// A line may be this long, in bytes; a longer one is cut in pieces.
const LONGEST: usize = 64 << 10;
const TAB: usize = 8;
const RESET: &str = "\x1b[0m";

/// Makes lines of pieces of output.
#[derive(Default)]
pub struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes a piece; returns the lines it ends.
    pub fn add(&mut self, bytes: &[u8]) -> Vec<String> {
        self.rest.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            lines.push(clean(&String::from_utf8_lossy(&line[..end])));
        }
        if self.rest.len() > LONGEST {
            lines.extend(self.end());
        }
        lines
    }

    /// What has no line end.
    pub fn end(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.rest);
        (!rest.is_empty()).then(|| clean(&String::from_utf8_lossy(&rest)))
    }
}

/// A line as it would be seen: of what overwrites itself the last form, tabs as spaces, no control characters.
pub fn clean(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut text = String::with_capacity(line.len());
    let (mut column, mut styled) = (0, false);
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\x1b' => {
                if let Some(sequence) = sgr(&mut chars) {
                    styled = true;
                    text.push_str(&sequence);
                }
            }
            '\u{9b}' => drop(parameters(&mut chars)),
            '\t' => {
                let spaces = TAB - column % TAB;
                text.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            char if char.is_control() => {}
            char => {
                column += char.width().unwrap_or(0);
                text.push(char);
            }
        }
    }
    if styled {
        text.push_str(RESET);
    }
    text
}

/// Reads what follows an escape character; `Some` for a sequence that only changes how text looks.
fn sgr(chars: &mut Peekable<Chars>) -> Option<String> {
    match chars.peek()? {
        '[' => {
            chars.next();
            let (inner, last) = parameters(chars)?;
            let plain = inner.chars().all(|char| char.is_ascii_digit() || char == ';' || char == ':');
            (last == 'm' && plain).then(|| format!("\x1b[{inner}m"))
        }
        // Strings: up to their terminator, ESC \ or BEL.
        ']' | 'P' | 'X' | '^' | '_' => {
            while let Some(char) = chars.next() {
                match char {
                    '\x07' | '\u{9c}' => break,
                    '\x1b' if chars.next_if_eq(&'\\').is_some() => break,
                    _ => {}
                }
            }
            None
        }
        _ => {
            while chars.next_if(|char| matches!(char, ' '..='/')).is_some() {}
            chars.next_if(|char| matches!(char, '0'..='~'));
            None
        }
    }
}

/// The parameters of a control sequence and its last character.
fn parameters(chars: &mut Peekable<Chars>) -> Option<(String, char)> {
    let mut inner = String::new();
    while let Some(char) = chars.next_if(|char| matches!(char, ' '..='?')) {
        inner.push(char);
    }
    let last = chars.next_if(|char| matches!(char, '@'..='~'))?;
    Some((inner, last))
}

/// A clean line cut to so many columns, with `…` where something is missing.
pub fn cut(text: &str, columns: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut used = 0;
    // Where the text is cut if all of it does not fit: room for the dots.
    let mut last_fit = (0, false);
    let mut styled = false;
    let mut chars = text.char_indices().peekable();
    while let Some((_, char)) = chars.next() {
        if char == '\x1b' {
            out.push(char);
            styled = true;
            for (_, char) in chars.by_ref() {
                out.push(char);
                if char == 'm' {
                    break;
                }
            }
            continue;
        }
        let width = char.width().unwrap_or(0);
        if used + width > columns {
            out.truncate(last_fit.0);
            out.push_str(if columns == 0 { "" } else { "…" });
            out.push_str(if last_fit.1 { RESET } else { "" });
            return out;
        }
        used += width;
        out.push(char);
        if used < columns {
            last_fit = (out.len(), styled);
        }
    }
    out
}

/// A time in few characters: `0.4s`, `12.0s`, `3m05s`, `2h04m`.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1}s", (time.as_millis() / 100) as f64 / 10.0),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// The first line of a text, with `…` for the others.
pub fn first_line(text: &str) -> String {
    let mut lines = text.trim().lines();
    let first = clean(lines.next().unwrap_or_default());
    if lines.next().is_some() { format!("{first} …") } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_whatever_the_pieces() {
        let mut lines = Lines::default();
        assert_eq!(lines.add(b"one\ntw"), ["one"]);
        assert_eq!(lines.add(b"o \xe2"), [""; 0]);
        assert_eq!(lines.add(b"\x82\xac\nrest"), ["two €"]);
        assert_eq!(lines.end().as_deref(), Some("rest"));
        assert_eq!(lines.end(), None);
        assert_eq!(lines.add(&[b'x'; LONGEST + 1]).len(), 1);
    }

    #[test]
    fn what_would_break_the_screen_is_gone() {
        let table = [
            ("plain ünï 漢", "plain ünï 漢"),
            ("a\x1b[31mred\x1b[0m b", "a\x1b[31mred\x1b[0m b\x1b[0m"),
            ("\x1b[38;5;1mx", "\x1b[38;5;1mx\x1b[0m"),
            ("a\x1b[2Jb\x1b[1;1Hc\x1b[?25ld\x1b[>4;2me", "abcde"),
            ("\x1b]0;title\x07x\x1b]8;;http://x\x1b\\y", "xy"),
            ("\x1bPq#0\x1b\\a\x1b(Bb\x1bMc\x1b7d", "abcd"),
            ("a\x08\x07\x00b\x7f", "ab"),
            ("\u{9b}2Jx\u{85}y", "xy"),
            (" 10%\r 20%\r100%\r", "100%"),
            ("a\tb\tc", "a       b       c"),
            ("end\x1b", "end"),
            ("end\x1b[3", "end"),
        ];
        for (text, want) in table {
            assert_eq!(clean(text), want, "{text:?}");
        }
    }

    #[test]
    fn cut_by_columns() {
        let table = [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("漢字漢", 6, "漢字漢"),
            ("漢字漢", 5, "漢字…"),
            ("漢字漢", 4, "漢…"),
            ("e\u{301}e\u{301}e", 2, "e\u{301}…"),
            ("\x1b[1mabc\x1b[0m", 3, "\x1b[1mabc\x1b[0m"),
            ("\x1b[1mabcd\x1b[0m", 3, "\x1b[1mab…\x1b[0m"),
            ("abc", 0, ""),
        ];
        for (text, columns, want) in table {
            assert_eq!(cut(text, columns), want, "{text:?} in {columns}");
        }
    }

    #[test]
    fn times_are_short() {
        let told = [0.04, 9.96, 59.99, 60.0, 3599.0, 7444.0].map(|time| span(Duration::from_secs_f64(time)));
        assert_eq!(told, ["0.0s", "9.9s", "59.9s", "1m00s", "59m59s", "2h04m"]);
        assert_eq!(first_line("\n RUN a\nb\n"), "RUN a …");
        assert_eq!(first_line("RUN a"), "RUN a");
    }
}
