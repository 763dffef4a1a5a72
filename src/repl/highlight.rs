//! Colours for a line of Lua.

use super::lexer::{Kind, tokens};

/// The line with colours; white space and unknown text stay as they are.
pub fn paint(line: &str) -> String {
    let mut text = String::with_capacity(line.len() * 2);
    let mut done = 0;
    for token in tokens(line) {
        text.push_str(&line[done..token.range.start]);
        let piece = &line[token.range.clone()];
        match color(token.kind) {
            Some(code) => {
                text.push_str("\x1b[");
                text.push_str(code);
                text.push('m');
                text.push_str(piece);
                text.push_str("\x1b[0m");
            }
            None => text.push_str(piece),
        }
        done = token.range.end;
    }
    text.push_str(&line[done..]);
    text
}

fn color(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Keyword => Some("35"),
        Kind::Number => Some("36"),
        Kind::String { .. } => Some("32"),
        Kind::Comment => Some("2"),
        Kind::Name | Kind::Symbol => None,
    }
}

#[cfg(test)]
mod tests {
    use super::paint;

    #[test]
    fn colours_come_and_go() {
        assert_eq!(paint("if x  1"), "\x1b[35mif\x1b[0m x  \x1b[36m1\x1b[0m");
        assert_eq!(paint("x = 'é"), "x = \x1b[32m'é\x1b[0m");
    }
}
