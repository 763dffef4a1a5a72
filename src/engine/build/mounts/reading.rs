//! Mounts as callers write them: keys and values, from a table or from a Dockerfile's
//! `type=cache,target=/root/.cache,sharing=locked`. Both are read by the same rows.
//!
//! Source: Dockerfile reference, "RUN --mount".

use std::path::Path;

use super::super::super::error::{Error, Result};
use super::super::super::size;
use super::super::super::suggest::suggest;
use super::{Kind, MountFrom, Owned, Sharing, StepMount};

/// A value of one key.
#[derive(Debug, Clone)]
pub enum Word {
    /// Text.
    Text(String),
    /// The content of a file.
    Content(Vec<u8>),
    /// Where files come from.
    From(MountFrom),
}

/// The kinds, and the keys each takes.
const KINDS: [(&str, &[&str]); 6] = [
    ("bind", &["target", "source", "from", "rw", "ro"]),
    ("cache", &["target", "id", "sharing", "from", "source", "rw", "ro", "mode", "uid", "gid"]),
    ("tmpfs", &["target", "size"]),
    ("secret", &["id", "target", "env", "required", "mode", "uid", "gid"]),
    ("ssh", &["id", "target", "required", "mode", "uid", "gid"]),
    ("file", &["target", "content", "mode"]),
];

/// Other names of keys.
const OTHER_NAMES: [(&str, &str); 6] = [
    ("src", "source"),
    ("dst", "target"),
    ("destination", "target"),
    ("readonly", "ro"),
    ("readwrite", "rw"),
    ("read_only", "ro"),
];

/// Reads a mount in a Dockerfile's form. Relative sources on the host start at `folder`.
///
/// # Errors
/// `invalid_argument`, naming the key.
pub fn parse(text: &str, folder: &Path) -> Result<StepMount> {
    let words = fields(text).ok_or_else(|| Error::invalid(format!("mount '{text}': a quote is not closed")))?;
    let pair = |word: String| match word.split_once('=') {
        Some((key, value)) => (key.trim().to_ascii_lowercase(), Word::Text(value.to_string())),
        None => (word.trim().to_ascii_lowercase(), Word::Text("true".into())),
    };
    read(words.into_iter().map(pair).collect(), folder)
}

/// The fields of a line of comma-separated values (RFC 4180): one in quotes may hold commas.
fn fields(text: &str) -> Option<Vec<String>> {
    let (mut list, mut rest) = (Vec::new(), text);
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            let end = rest.find(',').unwrap_or(rest.len());
            list.push(rest[..end].to_string());
            match rest[end..].strip_prefix(',') {
                Some(more) => rest = more,
                None => return Some(list),
            }
            continue;
        };
        let (mut field, mut left) = (String::new(), quoted);
        loop {
            let end = left.find('"')?;
            field.push_str(&left[..end]);
            left = &left[end + 1..];
            match left.strip_prefix('"') {
                Some(more) => {
                    field.push('"');
                    left = more;
                }
                None => break,
            }
        }
        list.push(field);
        match left.strip_prefix(',') {
            Some(more) => rest = more,
            None if left.is_empty() => return Some(list),
            None => return None,
        }
    }
}

/// Reads a mount from its keys and values. Relative sources on the host start at `folder`.
///
/// # Errors
/// `invalid_argument`, naming the key.
pub fn read(words: Vec<(String, Word)>, folder: &Path) -> Result<StepMount> {
    let mut keys = Keys::new(words)?;
    let mount = match keys.kind {
        "bind" => keys.bind(folder)?,
        "cache" => keys.cache(folder)?,
        "tmpfs" => StepMount { target: Some(keys.target()?), kind: Kind::Memory { bytes: keys.size()? } },
        "secret" => keys.secret()?,
        "ssh" => keys.ssh()?,
        _ => keys.file()?,
    };
    Ok(mount)
}

struct Keys {
    kind: &'static str,
    words: Vec<(&'static str, Word)>,
}

impl Keys {
    fn new(words: Vec<(String, Word)>) -> Result<Keys> {
        let text = |word: &Word| if let Word::Text(text) = word { text.clone() } else { String::new() };
        let asked = words.iter().find(|(key, _)| key == "type").map_or("bind".into(), |(_, word)| text(word));
        let Some((kind, known)) = KINDS.iter().find(|(kind, _)| *kind == asked) else {
            let error = Error::invalid(format!("unknown kind of mount '{asked}'"));
            let error = suggest(error, &asked, KINDS.map(|(kind, _)| kind));
            let kinds = "there are bind, cache, tmpfs, secret, ssh and file";
            return Err(if error.hint().is_some() { error } else { error.with_hint(kinds) });
        };
        let mut keys = Keys { kind, words: Vec::new() };
        for (key, word) in words.into_iter().filter(|(key, _)| key != "type") {
            let name = OTHER_NAMES.iter().find(|(other, _)| *other == key).map_or(key.as_str(), |(_, name)| name);
            let Some(name) = known.iter().find(|known| **known == name) else {
                let error = Error::invalid(format!("unknown key '{key}' of a {kind} mount"));
                let error = suggest(error, &key, known.iter().copied());
                let all = format!("its keys are {}", known.join(", "));
                return Err(if error.hint().is_some() { error } else { error.with_hint(all) });
            };
            if keys.words.iter().any(|(other, _)| other == name) {
                return Err(Error::invalid(format!("a {kind} mount has '{name}' twice")));
            }
            keys.words.push((name, word));
        }
        Ok(keys)
    }

    fn word(&mut self, key: &str) -> Option<Word> {
        let at = self.words.iter().position(|(name, _)| *name == key)?;
        Some(self.words.swap_remove(at).1)
    }

    fn bad(&self, key: &str, value: &str, expected: &str) -> Error {
        Error::invalid(format!("{key} of a {} mount: expected {expected}, got '{value}'", self.kind))
    }

    fn text(&mut self, key: &str) -> Result<Option<String>> {
        match self.word(key) {
            None => Ok(None),
            Some(Word::Text(text)) if text.contains('\0') => {
                Err(self.bad(key, &text.escape_debug().to_string(), "text"))
            }
            Some(Word::Text(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(_) => Err(self.bad(key, "something else", "text")),
        }
    }

    fn target(&mut self) -> Result<String> {
        let missing = format!("a {} mount needs a target", self.kind);
        self.text("target")?.ok_or_else(|| Error::invalid(missing))
    }

    fn truth(&mut self, key: &str) -> Result<Option<bool>> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => Err(self.bad(key, &text, "true or false")),
        }
    }

    /// Whether writing is refused, by `ro` and its opposite.
    fn read_only(&mut self, default: bool) -> Result<bool> {
        let (ro, rw) = (self.truth("ro")?, self.truth("rw")?);
        match (ro, rw) {
            (Some(ro), Some(rw)) if ro == rw => {
                Err(Error::invalid(format!("a {} mount is either ro or rw", self.kind)))
            }
            _ => Ok(ro.or(rw.map(|rw| !rw)).unwrap_or(default)),
        }
    }

    fn number(&mut self, key: &str) -> Result<u32> {
        let Some(text) = self.text(key)? else { return Ok(0) };
        // The last number is the kernel's 'no id'.
        let number = text.parse::<u32>().ok().filter(|number| *number != u32::MAX);
        number.ok_or_else(|| self.bad(key, &text, "a number"))
    }

    fn mode(&mut self, default: u32) -> Result<u32> {
        let Some(text) = self.text("mode")? else { return Ok(default) };
        let digits = text.strip_prefix("0o").unwrap_or(&text);
        let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o7777);
        mode.ok_or_else(|| self.bad("mode", &text, "octal digits"))
    }

    fn owned(&mut self, mode: u32) -> Result<Owned> {
        Ok(Owned { mode: self.mode(mode)?, uid: self.number("uid")?, gid: self.number("gid")? })
    }

    fn size(&mut self) -> Result<Option<u64>> {
        let Some(text) = self.text("size")? else { return Ok(None) };
        size::parse(&text).map(Some).ok_or_else(|| self.bad("size", &text, "a size such as 64m"))
    }

    fn from(&mut self) -> Result<Option<MountFrom>> {
        match self.word("from") {
            Some(Word::Text(name)) if name.is_empty() => Ok(None),
            Some(Word::Text(name)) => Ok(Some(MountFrom::Name(name))),
            Some(Word::From(from)) => Ok(Some(from)),
            None => Ok(None),
            Some(Word::Content(_)) => Err(self.bad("from", "bytes", "a name")),
        }
    }

    fn bind(&mut self, folder: &Path) -> Result<StepMount> {
        let (target, from, source) = (self.target()?, self.from()?, self.text("source")?);
        let from = match (from, &source) {
            (Some(from), _) => from,
            (None, Some(_)) => MountFrom::Host(folder.to_path_buf()),
            (None, None) => {
                let error = Error::invalid("a bind mount needs a source, or from");
                return Err(error.with_hint("the current folder is source=\".\""));
            }
        };
        let source = source.unwrap_or_else(|| "/".into());
        let kind = Kind::Bind { from, source, read_only: self.read_only(true)? };
        Ok(StepMount { target: Some(target), kind })
    }

    fn cache(&mut self, folder: &Path) -> Result<StepMount> {
        let (target, id, from) = (self.target()?, self.text("id")?, self.from()?);
        let sharing = match self.text("sharing")?.as_deref() {
            None | Some("shared") => Sharing::Shared,
            Some("private") => Sharing::Private,
            Some("locked") => Sharing::Locked,
            Some(other) => return Err(self.bad("sharing", other, "shared, private or locked")),
        };
        let source = self.text("source")?;
        let read_only = self.read_only(false)?;
        let owned = self.owned(0o755)?;
        let _ = folder;
        Ok(StepMount { target: Some(target), kind: Kind::Cache { id, sharing, from, source, read_only, owned } })
    }

    fn secret(&mut self) -> Result<StepMount> {
        let (id, target, env) = (self.text("id")?, self.text("target")?, self.text("env")?);
        let name = |target: &String| Path::new(target).file_name().map(|name| name.to_string_lossy().into_owned());
        let id = id.or_else(|| target.as_ref().and_then(name));
        let id = id.ok_or_else(|| Error::invalid("a secret mount needs an id"))?;
        if env.as_ref().is_some_and(|name| name.contains('=')) {
            return Err(Error::invalid(format!("env of secret '{id}' is no name of a variable")));
        }
        let kind =
            Kind::Secret { id, env, required: self.truth("required")?.unwrap_or(false), owned: self.owned(0o400)? };
        Ok(StepMount { target, kind })
    }

    fn ssh(&mut self) -> Result<StepMount> {
        let id = self.text("id")?.unwrap_or_else(|| "default".into());
        let required = self.truth("required")?.unwrap_or(false);
        Ok(StepMount { target: self.text("target")?, kind: Kind::Ssh { id, required, owned: self.owned(0o600)? } })
    }

    fn file(&mut self) -> Result<StepMount> {
        let content = match self.word("content") {
            Some(Word::Content(bytes)) => bytes,
            Some(Word::Text(text)) => text.into_bytes(),
            _ => return Err(Error::invalid("a file mount needs a content")),
        };
        let mode = self.mode(0o644)?;
        Ok(StepMount { target: Some(self.target()?), kind: Kind::File { content, mode } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<StepMount> {
        parse(text, Path::new("/here"))
    }

    #[test]
    fn forms_of_dockerfiles() {
        let mount = one("type=cache,target=/root/.cache,sharing=locked,uid=7,mode=0700").unwrap();
        let Kind::Cache { sharing, owned, read_only, .. } = mount.kind else { panic!("no cache") };
        assert_eq!((sharing, owned.mode, owned.uid, read_only), (Sharing::Locked, 0o700, 7, false));
        let mount = one("target=/src,source=.").unwrap();
        assert!(matches!(mount.kind, Kind::Bind { from: MountFrom::Host(_), read_only: true, .. }));
        let mount = one("dst=/src,from=alpine,readwrite").unwrap();
        assert!(matches!(mount.kind, Kind::Bind { from: MountFrom::Name(_), read_only: false, .. }));
        let mount = one("type=bind,\"target=/a,b\",source=x,ro=false").unwrap();
        assert_eq!(mount.target.as_deref(), Some("/a,b"));
        let mount = one("type=secret,target=/etc/token").unwrap();
        assert!(matches!(mount.kind, Kind::Secret { id, required: false, .. } if id == "token"));
        let mount = one("type=secret,id=x,env=X,required").unwrap();
        assert!(matches!(mount.kind, Kind::Secret { env: Some(_), required: true, .. }) && mount.target.is_none());
        assert!(matches!(one("type=ssh").unwrap().kind, Kind::Ssh { id, .. } if id == "default"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, message) in [
            ("type=cow,target=/x", "unknown kind of mount 'cow'"),
            ("type=cache,targte=/x", "unknown key 'targte' of a cache mount"),
            ("type=bind,target=/x,source=.,bind-propagation=shared", "unknown key 'bind-propagation' of a bind mount"),
            ("type=bind,source=.", "a bind mount needs a target"),
            ("type=bind,target=/x", "a bind mount needs a source, or from"),
            (
                "type=cache,target=/x,sharing=all",
                "sharing of a cache mount: expected shared, private or locked, got 'all'",
            ),
            ("type=cache,target=/x,target=/y", "a cache mount has 'target' twice"),
            ("type=tmpfs,target=/x,size=big", "size of a tmpfs mount: expected a size such as 64m, got 'big'"),
            ("type=secret", "a secret mount needs an id"),
            ("type=secret,id=x,mode=9", "mode of a secret mount: expected octal digits, got '9'"),
            ("type=secret,id=x,uid=4294967295", "uid of a secret mount: expected a number, got '4294967295'"),
            ("type=bind,target=/x,source=.,ro,rw", "a bind mount is either ro or rw"),
            ("type=bind,\"target=/x", "mount 'type=bind,\"target=/x': a quote is not closed"),
        ] {
            assert_eq!(one(text).unwrap_err().message(), message, "{text}");
        }
        assert_eq!(one("type=cahce,target=/x").unwrap_err().hint(), Some("did you mean 'cache'?"));
    }
}
