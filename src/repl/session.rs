//! What a line at the prompt means: an expression, a statement, or the beginning of one. Top-level locals become
//! variables of the session, so that they survive their line.

use mlua::{Function, Lua, Table};

use super::lexer::{Kind, Token, tokens};

/// The chunk name of lines at the prompt.
pub const NAME: &str = "=prompt";

/// The variables of a session: what lines set, and behind it the globals.
///
/// # Errors
/// When memory is short.
pub fn environment(lua: &Lua) -> mlua::Result<Table> {
    let variables = lua.create_table()?;
    let metatable = lua.create_table()?;
    metatable.raw_set("__index", lua.globals())?;
    variables.set_metatable(Some(metatable))?;
    Ok(variables)
}

/// A compiled line.
pub enum Line {
    /// Its values are to be shown.
    Expression(Function),
    /// It is only to be run.
    Statement(Function),
    /// More is to come.
    Incomplete,
    /// It cannot be compiled.
    Wrong(mlua::Error),
}

/// Compiles what was typed.
pub fn compile(lua: &Lua, variables: &Table, text: &str) -> Line {
    let load = |text: &str| lua.load(text).set_name(NAME).set_environment(variables.clone()).into_function();
    if let Ok(function) = load(&format!("return {text}")) {
        return Line::Expression(function);
    }
    match load(text) {
        Ok(function) => match load(&hoist(text)) {
            Ok(hoisted) => Line::Statement(hoisted),
            // `local x <const> = 1 x = 2` and the like: what was typed is the safe meaning.
            Err(_) => Line::Statement(function),
        },
        Err(mlua::Error::SyntaxError { incomplete_input: true, .. }) => Line::Incomplete,
        Err(error) => Line::Wrong(error),
    }
}

/// The text with `local` taken off its outermost declarations.
fn hoist(text: &str) -> String {
    let tokens = tokens(text);
    let is = |index: usize, word: &str| tokens.get(index).is_some_and(|token| &text[token.range.clone()] == word);
    let (mut out, mut done, mut depth) = (String::new(), 0, 0usize);
    let mut index = 0;
    while index < tokens.len() {
        let token = &tokens[index];
        match (&text[token.range.clone()], token.kind) {
            ("function" | "do" | "if" | "repeat", Kind::Keyword) | ("(" | "{" | "[", Kind::Symbol) => depth += 1,
            ("end" | "until", Kind::Keyword) | (")" | "}" | "]", Kind::Symbol) => depth = depth.saturating_sub(1),
            ("local", Kind::Keyword) if depth == 0 => {
                out.push_str(&text[done..token.range.start]);
                done = if is(index + 1, "function") {
                    token.range.end
                } else {
                    let (names, next) = names(text, &tokens, index + 1);
                    out.push_str(&names);
                    if !is(next, "=") {
                        out.push_str(" = nil ");
                    }
                    index = next;
                    tokens.get(next).map_or(text.len(), |token| token.range.start)
                };
                if done == text.len() || index >= tokens.len() {
                    break;
                }
                if tokens[index].range.start >= done {
                    continue;
                }
            }
            _ => {}
        }
        index += 1;
    }
    out.push_str(&text[done..]);
    out
}

/// The names of a declaration, without attributes, and the index of the token after it.
fn names(text: &str, tokens: &[Token], mut index: usize) -> (String, usize) {
    let piece = |index: usize| tokens.get(index).map_or("", |token| &text[token.range.clone()]);
    let mut names = Vec::new();
    loop {
        names.push(piece(index));
        index += 1;
        if piece(index) == "<" {
            index += 3;
        }
        if piece(index) != "," {
            return (format!("{} ", names.join(", ")), index);
        }
        index += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_level_locals_become_session_variables() {
        assert_eq!(hoist("local x = 1"), "x = 1");
        assert_eq!(hoist("local a <const>, b = f(), 2 print(a)"), "a, b = f(), 2 print(a)");
        assert_eq!(hoist("local a local b = 1"), "a  = nil b = 1");
        assert_eq!(hoist("local function f() local y = 1 end"), " function f() local y = 1 end");
        assert_eq!(hoist("do local x = 1 end"), "do local x = 1 end");
        assert_eq!(hoist("local x"), "x  = nil ");
        assert_eq!(hoist("local f = function() local z end local y = 2"), "f = function() local z end y = 2");
    }

    #[test]
    fn lines_are_told_apart() {
        let lua = Lua::new();
        let variables = environment(&lua).unwrap();
        let kind = |text: &str| match compile(&lua, &variables, text) {
            Line::Expression(_) => "expression",
            Line::Statement(_) => "statement",
            Line::Incomplete => "incomplete",
            Line::Wrong(_) => "wrong",
        };
        assert_eq!(kind("1 + 1"), "expression");
        assert_eq!(kind("x = 1"), "statement");
        assert_eq!(kind("for i = 1, 2 do"), "incomplete");
        assert_eq!(kind("print("), "incomplete");
        assert_eq!(kind("x = = 1"), "wrong");
    }
}
