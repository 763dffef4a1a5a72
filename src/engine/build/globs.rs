//! Patterns of names and paths, in the two dialects of Dockerfiles.
//!
//! A source of COPY is a pattern of Go's `filepath.Match`: `*` and `?` stay within a name, `[a-z]` and `[^a]` are
//! classes, `\` takes the next character as it is. The rules of `.dockerignore` have `**` besides, any number of
//! folders. A pattern is a short list of tokens, and matching follows all ways through it at once: the time is that
//! of pattern times text, whatever the pattern.
//!
//! Source: Go's path/filepath, "Match"; moby/patternmatcher.

use std::path::Path;

use super::super::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`.
    One,
    /// `*`: any part of a name.
    Name,
    /// `**` before more: any number of whole folders.
    Folders,
    /// `**` at the end: anything.
    All,
    /// `[...]`: negated or not, and its ranges.
    Class(bool, Vec<(char, char)>),
}

/// A pattern, ready to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    tokens: Vec<Token>,
    // The text it matches and nothing else, where it has no wildcards.
    literal: Option<String>,
}

/// Whether a text is more than the name of itself.
pub(super) fn has_wildcards(text: &str) -> bool {
    let mut escaped = false;
    text.chars().any(|c| {
        let found = !escaped && matches!(c, '*' | '?' | '[');
        escaped = !escaped && c == '\\';
        found
    })
}

/// A name as it was meant: without the backslashes that take characters as they are.
pub(super) fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    plain
}

impl Glob {
    /// A pattern of one name or path in which `**` is nothing special.
    ///
    /// # Errors
    /// `invalid_argument` for a class that does not end and a backslash at the end.
    pub fn name(text: &str) -> Result<Glob> {
        Glob::parse(text, false)
    }

    /// A pattern with `**`.
    ///
    /// # Errors
    /// As [`Glob::name`].
    pub fn path(text: &str) -> Result<Glob> {
        Glob::parse(text, true)
    }

    fn parse(text: &str, deep: bool) -> Result<Glob> {
        let bad = |why: &str| Error::invalid(format!("invalid pattern '{text}': {why}"));
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '?' => Token::One,
                '*' if deep && chars.peek() == Some(&'*') => {
                    while chars.next_if_eq(&'*').is_some() {}
                    chars.next_if_eq(&'/');
                    if chars.peek().is_none() { Token::All } else { Token::Folders }
                }
                '*' => Token::Name,
                '\\' => Token::Char(chars.next().ok_or_else(|| bad("nothing follows the backslash"))?),
                '[' => class(&mut chars).map_err(bad)?,
                c => Token::Char(c),
            });
        }
        let plain = |token: &Token| match token {
            Token::Char(c) => Some(*c),
            _ => None,
        };
        let literal = tokens.iter().map(plain).collect();
        Ok(Glob { tokens, literal })
    }

    /// Whether the whole text is of this pattern. What is no UTF-8 matches wildcards only.
    pub fn matches(&self, text: &Path) -> bool {
        if let Some(literal) = &self.literal {
            return text.as_os_str() == literal.as_str();
        }
        let mut states = vec![false; self.tokens.len() + 1];
        self.enter(&mut states, 0);
        for c in text.to_string_lossy().chars() {
            let mut next = vec![false; states.len()];
            for (at, token) in self.tokens.iter().enumerate().filter(|(at, _)| states[*at]) {
                match token {
                    Token::Char(wanted) if *wanted == c => self.enter(&mut next, at + 1),
                    Token::One if c != '/' => self.enter(&mut next, at + 1),
                    Token::Name if c != '/' => self.enter(&mut next, at),
                    Token::All => self.enter(&mut next, at),
                    Token::Folders => {
                        // Not the way past it: that is open only at the beginning of a name.
                        next[at] = true;
                        if c == '/' {
                            self.enter(&mut next, at + 1);
                        }
                    }
                    Token::Class(negated, ranges)
                        if ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated =>
                    {
                        self.enter(&mut next, at + 1);
                    }
                    _ => {}
                }
            }
            states = next;
        }
        states[self.tokens.len()]
    }

    /// Marks a state, and those that are reached from it without taking anything.
    fn enter(&self, states: &mut [bool], at: usize) {
        if !states[at] {
            states[at] = true;
            if matches!(self.tokens.get(at), Some(Token::Name | Token::Folders | Token::All)) {
                self.enter(states, at + 1);
            }
        }
    }
}

fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Token, &'static str> {
    const OPEN: &str = "the class does not end";
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let low = match chars.next().ok_or(OPEN)? {
            ']' if ranges.is_empty() => return Err("the class is empty"),
            ']' => return Ok(Token::Class(negated, ranges)),
            '-' => return Err("a range has no beginning"),
            '\\' => chars.next().ok_or(OPEN)?,
            c => c,
        };
        let mut high = low;
        if chars.next_if_eq(&'-').is_some() {
            high = match chars.next() {
                Some('\\') => chars.next().ok_or(OPEN)?,
                Some(']' | '-') => return Err("a range has no end"),
                other => other.ok_or(OPEN)?,
            };
        }
        ranges.push((low, high));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_go_has_it() {
        for (pattern, text, want) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^b-d]", "abe", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("a?b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[\\-]", "-", true),
            ("[x\\-]", "-", true),
            ("**", "a/b", false),
            ("*.txt", ".txt", true),
        ] {
            assert_eq!(Glob::name(pattern).unwrap().matches(Path::new(text)), want, "{pattern} {text}");
        }
        for bad in ["[", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[^", "[^bc", "a[", "\\", "[\\"] {
            assert!(Glob::name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn double_stars_take_folders() {
        for (pattern, text, want) in [
            ("**", "a/b", true),
            ("**/", "a", true),
            ("**/file", "file", true),
            ("**/file", "a/b/file", true),
            ("**/file", "afile", false),
            ("**file", "a/file", true),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "a/xb", false),
            ("**/a/*.go", "x/y/a/f.go", true),
            ("**/*a", "x/ya", true),
        ] {
            assert_eq!(Glob::path(pattern).unwrap().matches(Path::new(text)), want, "{pattern} {text}");
        }
        let long = "**/a".repeat(50);
        assert!(!Glob::path(&long).unwrap().matches(Path::new(&"a/".repeat(500))));
    }

    #[test]
    fn wildcards_are_told_from_names() {
        assert!(has_wildcards("a*") && has_wildcards("[a]") && has_wildcards("\\\\*"));
        assert!(!has_wildcards("a\\*") && !has_wildcards("a]"));
        assert_eq!(unescape("a\\*b\\\\"), "a*b\\");
    }
}
