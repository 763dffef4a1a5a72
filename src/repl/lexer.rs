//! Splits Lua text into tokens; tolerates anything, because lines at the prompt are broken while they are typed.

use std::ops::Range;

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A word of the language.
    Keyword,
    /// A name.
    Name,
    /// A number.
    Number,
    /// A string, `open` while its end is missing.
    String {
        /// The end is missing.
        open: bool,
    },
    /// A comment.
    Comment,
    /// Anything else: an operator or bracket, one character or a few.
    Symbol,
}

/// A piece of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it is, in bytes.
    pub range: Range<usize>,
}

const KEYWORDS: &[&str] = &[
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil",
    "not", "or", "repeat", "return", "then", "true", "until", "while",
];

/// The words of the language.
pub fn keywords() -> &'static [&'static str] {
    KEYWORDS
}

/// The tokens of a text; white space is left out.
pub fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at].is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let (kind, end) = token(text, at);
        tokens.push(Token { kind, range: at..end });
        at = end;
    }
    tokens
}

fn token(text: &str, at: usize) -> (Kind, usize) {
    let bytes = text.as_bytes();
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let end_of = |from: usize, wanted: &dyn Fn(&u8) -> bool| {
        bytes[from..].iter().position(|byte| !wanted(byte)).map_or(bytes.len(), |length| from + length)
    };
    match bytes[at] {
        b'-' if text[at..].starts_with("--") => match long_bracket(text, at + 2) {
            Some((end, _)) => (Kind::Comment, end),
            None => (Kind::Comment, text[at..].find('\n').map_or(text.len(), |length| at + length)),
        },
        b'[' => match long_bracket(text, at) {
            Some((end, closed)) => (Kind::String { open: !closed }, end),
            None => (Kind::Symbol, at + 1),
        },
        quote @ (b'"' | b'\'') => quoted(bytes, at, quote),
        first if first.is_ascii_digit() => (Kind::Number, end_of(at, &|byte| word(byte) || *byte == b'.')),
        first if word(&first) => {
            let end = end_of(at, &word);
            (if KEYWORDS.contains(&&text[at..end]) { Kind::Keyword } else { Kind::Name }, end)
        }
        // A whole character, also when it is not ASCII.
        _ => (Kind::Symbol, at + text[at..].chars().next().map_or(1, char::len_utf8)),
    }
}

fn quoted(bytes: &[u8], at: usize, quote: u8) -> (Kind, usize) {
    let mut end = at + 1;
    while end < bytes.len() {
        match bytes[end] {
            b'\\' => end = (end + 2).min(bytes.len()),
            byte if byte == quote => return (Kind::String { open: false }, end + 1),
            b'\n' => return (Kind::String { open: true }, end),
            _ => end += 1,
        }
    }
    (Kind::String { open: true }, bytes.len())
}

/// The end of `[==[ ... ]==]` and whether it is there.
fn long_bracket(text: &str, at: usize) -> Option<(usize, bool)> {
    let rest = text.get(at..)?.strip_prefix('[')?;
    let level = rest.bytes().take_while(|byte| *byte == b'=').count();
    rest[level..].strip_prefix('[')?;
    let close = format!("]{}]", "=".repeat(level));
    let start = at + level + 2;
    Some(text[start..].find(&close).map_or((text.len(), false), |length| (start + length + close.len(), true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<(Kind, &str)> {
        tokens(text).into_iter().map(|token| (token.kind, &text[token.range])).collect()
    }

    #[test]
    fn tokens_of_whole_and_broken_text() {
        use Kind::*;
        let text = "local x = 'a\\'b' .. [[c\nd]] -- e";
        let expected = [
            (Keyword, "local"),
            (Name, "x"),
            (Symbol, "="),
            (String { open: false }, "'a\\'b'"),
            (Symbol, "."),
            (Symbol, "."),
            (String { open: false }, "[[c\nd]]"),
            (Comment, "-- e"),
        ];
        assert_eq!(split(text), expected);
        assert_eq!(split("f(\"ab"), [(Name, "f"), (Symbol, "("), (String { open: true }, "\"ab")]);
        assert_eq!(split("é[=[x"), [(Symbol, "é"), (String { open: true }, "[=[x")]);
        assert_eq!(split("'a\\"), [(String { open: true }, "'a\\")]);
    }
}
