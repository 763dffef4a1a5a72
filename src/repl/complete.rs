//! What Tab offers: variables, fields, methods after a colon, option keys, and image names inside strings.

use std::rc::Rc;

use mlua::{Lua, Table, Value};

use super::lexer::{Kind, Token, keywords, tokens};
use crate::bindings::describe;
use crate::bindings::install::{Api, name_of};

/// Completes from the live state and the API rows.
pub struct Completer {
    /// The state.
    pub lua: Lua,
    /// The session's variables.
    pub variables: Table,
    /// The rows.
    pub api: Rc<Api>,
    /// Names of commands.
    pub commands: Box<dyn Fn() -> Vec<String>>,
    /// Names of images in the store.
    pub images: Box<dyn Fn() -> Vec<String>>,
    /// Names of containers.
    pub containers: Box<dyn Fn() -> Vec<String>>,
}

impl Completer {
    /// Where the completed word starts, and the candidates for it.
    pub fn complete(&self, line: &str, cursor: usize) -> (usize, Vec<String>) {
        let Some(text) = line.get(..cursor) else { return (cursor, Vec::new()) };
        if let Some(command) = text.strip_prefix(':') {
            return self.command(command);
        }
        let tokens = tokens(text);
        if let Some(token) = tokens.last()
            && token.kind == (Kind::String { open: true })
        {
            return self.inside_string(text, &tokens, token);
        }
        let partial =
            tokens.last().filter(|token| token.range.end == cursor && matches!(token.kind, Kind::Name | Kind::Keyword));
        let start = partial.map_or(cursor, |token| token.range.start);
        let before = &tokens[..tokens.len() - usize::from(partial.is_some())];
        let word = &text[start..];
        let piece = |token: &Token| &text[token.range.clone()];
        let mut candidates = match before.last().map(piece) {
            Some(separator @ ("." | ":")) => {
                let base = self.value(text, &before[..before.len() - 1]);
                base.map(|value| self.members(&value, separator == ":")).unwrap_or_default()
            }
            _ => {
                let mut names = self.option_keys(text, before);
                if names.is_empty() || !word.is_empty() {
                    names.extend(self.names());
                }
                names
            }
        };
        candidates.retain(|name| name.starts_with(word));
        candidates.sort();
        candidates.dedup();
        (start, candidates)
    }

    fn inside_string(&self, text: &str, tokens: &[Token], string: &Token) -> (usize, Vec<String>) {
        let start = (string.range.start + 1).min(text.len());
        let function = self.enclosing(text, &tokens[..tokens.len() - 1]).unwrap_or_default();
        let module = function.split(['.', ':']).next().unwrap_or_default();
        if !matches!(module, "image" | "Image" | "container" | "Container" | "build" | "State") {
            return (start, Vec::new());
        }
        let mut names = (self.images)();
        if matches!(module, "container" | "Container") {
            names.extend((self.containers)());
        }
        names.retain(|name| name.starts_with(&text[start..]));
        names.sort();
        (start, names)
    }

    /// The first word names a command; the others may name containers and images.
    fn command(&self, text: &str) -> (usize, Vec<String>) {
        let start = text.rfind(' ').map_or(0, |at| at + 1);
        let mut names = if start == 0 { (self.commands)() } else { [(self.containers)(), (self.images)()].concat() };
        names.retain(|name| name.starts_with(&text[start..]));
        names.sort();
        names.dedup();
        (start + 1, names)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = keywords().iter().map(|word| word.to_string()).collect();
        for table in [&self.variables, &self.lua.globals()] {
            names.extend(table.pairs::<Value, Value>().filter_map(|pair| text_of(&pair.ok()?.0)));
        }
        names
    }

    /// The value of `a.b.c` at the end of the tokens; nothing is called and no metamethod runs but the session's.
    fn value(&self, text: &str, tokens: &[Token]) -> Option<Value> {
        let mut path = Vec::new();
        let mut rest = tokens;
        loop {
            let (last, before) = rest.split_last()?;
            if last.kind != Kind::Name {
                return None;
            }
            path.push(&text[last.range.clone()]);
            match before.split_last() {
                Some((dot, before)) if matches!(&text[dot.range.clone()], "." | ":") => rest = before,
                _ => break,
            }
        }
        let mut value: Value = self.variables.get(path.pop()?).ok()?;
        while let Some(name) = path.pop() {
            value = match &value {
                Value::Table(table) => table.raw_get(name).ok()?,
                Value::UserData(handle) => handle_member(handle, name)?,
                _ => return None,
            };
        }
        Some(value)
    }

    fn members(&self, value: &Value, methods_only: bool) -> Vec<String> {
        match value {
            Value::Table(table) => {
                let wanted = |value: &Value| !methods_only || value.is_function();
                let pairs = table.pairs::<Value, Value>().filter_map(Result::ok);
                pairs.filter(|(_, value)| wanted(value)).filter_map(|(key, _)| text_of(&key)).collect()
            }
            Value::UserData(_) => {
                let (fields, methods) = self.api.members(&describe(value));
                let fields = fields.into_iter().filter(|_| !methods_only);
                fields.chain(methods.into_iter().filter(|_| methods_only)).map(String::from).collect()
            }
            Value::String(_) => match self.lua.globals().raw_get::<Table>("string") {
                Ok(library) => self.members(&Value::Table(library), methods_only),
                Err(_) => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// Option keys, when the innermost open bracket is the option table of a known call.
    fn option_keys(&self, text: &str, tokens: &[Token]) -> Vec<String> {
        let in_table =
            open_brackets(text, tokens).last().is_some_and(|index| &text[tokens[*index].range.clone()] == "{");
        let key_place = tokens.last().is_some_and(|token| matches!(&text[token.range.clone()], "{" | "," | ";"));
        match self.enclosing(text, tokens) {
            Some(function) if in_table && key_place => {
                self.api.option_keys(&function).into_iter().map(String::from).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The full name of the API function whose call the end of the text is in.
    fn enclosing(&self, text: &str, tokens: &[Token]) -> Option<String> {
        let places = open_brackets(text, tokens).into_iter().rev().chain([tokens.len()]);
        for place in places {
            if place == 0 {
                continue;
            }
            let before = &tokens[..place];
            if let Some(name) = self.value(text, before).and_then(|value| name_of(&self.lua, &value)) {
                return Some(name);
            }
            // A method of something that cannot be evaluated: its bare name will do.
            if let [.., colon, name] = before
                && &text[colon.range.clone()] == ":"
                && name.kind == Kind::Name
            {
                let receiver = self.value(text, &before[..before.len() - 2]);
                let class = receiver.map(|value| describe(&value)).unwrap_or_default();
                return Some(format!("{class}:{}", &text[name.range.clone()]));
            }
        }
        None
    }
}

fn handle_member(handle: &mlua::AnyUserData, name: &str) -> Option<Value> {
    use mlua::ObjectLike;
    handle.get(name).ok()
}

fn text_of(key: &Value) -> Option<String> {
    key.as_string().map(|text| text.to_string_lossy())
}

/// Indexes of the brackets that are still open.
fn open_brackets(text: &str, tokens: &[Token]) -> Vec<usize> {
    let mut open = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match &text[token.range.clone()] {
            "(" | "{" | "[" if token.kind == Kind::Symbol => open.push(index),
            ")" | "}" | "]" if token.kind == Kind::Symbol => drop(open.pop()),
            _ => {}
        }
    }
    open
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::engine::Config;
    use crate::engine::cancel::Cancel;
    use crate::runtime::{Options, Runtime};

    fn runtime() -> Runtime {
        let config = Config::new("/nonexistent", "/proc/self/exe", Cancel::new().unwrap());
        Runtime::new(config, Options::default()).unwrap()
    }

    #[test]
    fn candidates() {
        let runtime = runtime();
        let lua = runtime.lua().clone();
        let variables = super::super::session::environment(&lua).unwrap();
        lua.load("mine = { field = 1, method = function() end }").set_environment(variables.clone()).exec().unwrap();
        let api = runtime.api().clone();
        let images = Box::new(|| vec!["debian:12".to_string(), "busybox:1".to_string()]);
        let commands = Box::new(|| vec!["ps".to_string(), "pull".to_string(), "run".to_string()]);
        let containers = Box::new(|| vec!["web".to_string()]);
        let completer = Completer { lua, variables, api, commands, images, containers };
        let complete = |line: &str| {
            let (start, names) = completer.complete(line, line.len());
            (line[start..].to_string(), names.join(" "))
        };
        let pair = |word: &str, names: &str| (word.to_string(), names.to_string());
        assert_eq!(complete("fs.te"), pair("te", "tempdir"));
        assert_eq!(complete("x = fs.read(mi"), pair("mi", "mine"));
        assert_eq!(complete("mine."), pair("", "field method"));
        assert_eq!(complete("mine:"), pair("", "method"));
        assert_eq!(complete("whi"), pair("whi", "while"));
        assert_eq!(complete("image.pull(x, {po"), pair("po", "policy"));
        assert_eq!(complete("image.pull(x, {policy = 'always', "), pair("", "creds max_layer_bytes platform policy"));
        assert_eq!(complete("image.list{"), pair("", "name"));
        assert_eq!(complete("img:push{"), pair("", "creds to"));
        assert_eq!(complete("image.get 'deb"), pair("deb", "debian:12"));
        assert_eq!(complete("image.push(\""), pair("", "busybox:1 debian:12"));
        assert_eq!(complete("print('deb"), pair("deb", ""));
        assert_eq!(complete(":p"), pair("p", "ps pull"));
        assert_eq!(complete(":run -it deb"), pair("deb", "debian:12"));
        assert_eq!(complete(":stop "), pair("", "busybox:1 debian:12 web"));
        assert_eq!(complete("container.get 'w"), pair("w", "web"));
        assert_eq!(complete("é.x"), pair("x", ""));
    }
}
