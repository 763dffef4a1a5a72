//! Dockerfile instructions that change an image's configuration and nothing else, one at a time: what `commit` takes as
//! changes, and what a Dockerfile's lines of that kind mean.
//!
//! JSON and shell forms, quotes, backslashes, continued lines and variables (`$A`, `${A}`, `${A:-else}`, `${A:+then}`)
//! are read as a Dockerfile's are. A list that is no valid JSON is a shell form, as there.
//!
//! Source: Dockerfile reference.

use super::super::error::{Error, Result};
use super::super::suggest::suggest;
use super::config::{Healthcheck, RunConfig};
use super::settings::{Setting, apply, check_trigger};

/// The instructions known here.
pub const NAMES: [&str; 12] = [
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "ONBUILD",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Applies instructions in their order. An entry point takes an inherited command away, not one that was set before it
/// here. Returns what was done, in a Dockerfile's words.
///
/// # Errors
/// `invalid_argument`, naming the instruction.
pub fn apply_all(config: &mut RunConfig, lines: &[String]) -> Result<Vec<String>> {
    let mut done = Vec::new();
    let mut command = None;
    for line in lines {
        let env = config.env.clone();
        let variables = |name: &str| {
            let mut values = env.iter().filter_map(|pair| pair.split_once('='));
            values.find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
        };
        let setting = parse(line, config.shell.as_deref(), &variables)?;
        done.push(apply(config, &setting).map_err(|e| wrong(line, e.message()))?);
        match setting {
            Setting::Cmd(_) => command = Some(config.cmd.clone()),
            Setting::Entrypoint(_) => config.cmd = command.clone().flatten(),
            _ => {}
        }
    }
    Ok(done)
}

/// Reads one instruction. `shell` is what runs shell forms, `variables` knows the values of variables.
///
/// # Errors
/// `invalid_argument`, naming the instruction.
pub fn parse(line: &str, shell: Option<&[String]>, variables: Variables<'_>) -> Result<Setting> {
    let text = line.replace("\\\r\n", "").replace("\\\n", "");
    let text = text.trim();
    let end = text.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim();
    let name = name.to_ascii_uppercase();
    if !NAMES.contains(&name.as_str()) {
        let message = format!("'{text}': '{name}' is no instruction that changes a configuration");
        return Err(suggest(Error::invalid(message), &name, NAMES));
    }
    if rest.is_empty() {
        return Err(Error::invalid(format!("{name} needs an argument")));
    }
    read(&name, rest, shell, variables).map_err(|e| wrong(text, e.message()))
}

fn wrong(line: &str, why: &str) -> Error {
    Error::invalid(format!("'{}': {why}", line.trim()))
}

fn read(name: &str, rest: &str, shell: Option<&[String]>, variables: Variables<'_>) -> Result<Setting> {
    let list = || json(rest).map_or_else(|| words(rest, variables), Ok);
    let one = || whole(rest, variables);
    // No list at all is none.
    let command = |list: Vec<String>| (!list.is_empty()).then_some(list);
    Ok(match name {
        "CMD" => Setting::Cmd(command(command_of(rest, shell))),
        "ENTRYPOINT" => Setting::Entrypoint(command(command_of(rest, shell))),
        "ENV" => Setting::Env(pairs(rest, variables)?),
        "LABEL" => Setting::Label(pairs(rest, variables)?),
        "EXPOSE" => {
            let ports: Result<Vec<Vec<String>>> = words(rest, variables)?.iter().map(|port| range(port)).collect();
            Setting::Expose(ports?.concat())
        }
        "HEALTHCHECK" => Setting::Healthcheck(healthcheck(rest)?),
        "ONBUILD" => Setting::OnBuild(trigger(rest)?),
        "SHELL" => Setting::Shell(match json(rest) {
            Some(shell) if !shell.is_empty() => shell,
            _ => return Err(Error::invalid("a shell is a JSON list of strings")),
        }),
        "STOPSIGNAL" => Setting::StopSignal(one()?),
        "USER" => Setting::User(one()?),
        "VOLUME" => Setting::Volume(list()?),
        _ => Setting::Workdir(one()?),
    })
}

fn json(text: &str) -> Option<Vec<String>> {
    if text.starts_with('[') { serde_json::from_str(text).ok() } else { None }
}

/// The JSON form as it is, the shell form for the shell.
fn command_of(text: &str, shell: Option<&[String]>) -> Vec<String> {
    json(text).unwrap_or_else(|| {
        let shell = shell.map_or_else(|| vec!["/bin/sh".to_string(), "-c".to_string()], <[String]>::to_vec);
        shell.into_iter().chain([text.to_string()]).collect()
    })
}

/// `NAME=value ...`, or of one variable `NAME value`.
fn pairs(text: &str, variables: Variables<'_>) -> Result<Vec<(String, Option<String>)>> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let Some((name, value)) = text.split_once(char::is_whitespace) else {
            return Err(Error::invalid(format!("'{text}' has no value")));
        };
        return Ok(vec![(whole(name, variables)?, Some(whole(value.trim(), variables)?))]);
    }
    let pair = |word: &String| match word.split_once('=') {
        Some(("", _)) => Err(Error::invalid(format!("'{word}' has no name"))),
        Some((name, value)) => Ok((name.to_string(), Some(value.to_string()))),
        None => Err(Error::invalid(format!("'{word}' has no value"))),
    };
    words(text, variables)?.iter().map(pair).collect()
}

/// `8000-8002/udp` as its ports.
fn range(text: &str) -> Result<Vec<String>> {
    let (ports, protocol) = text.split_once('/').map_or((text, ""), |(ports, protocol)| (ports, protocol));
    let Some((first, last)) = ports.split_once('-') else { return Ok(vec![text.to_string()]) };
    let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else {
        return Err(Error::invalid(format!("invalid ports '{text}'")));
    };
    if first > last {
        return Err(Error::invalid(format!("invalid ports '{text}': the first is above the last")));
    }
    let named = |port: u16| if protocol.is_empty() { port.to_string() } else { format!("{port}/{protocol}") };
    Ok((first..=last).map(named).collect())
}

fn trigger(text: &str) -> Result<String> {
    check_trigger(text).map(|()| text.to_string())
}

fn healthcheck(text: &str) -> Result<Healthcheck> {
    let mut check = Healthcheck::default();
    let mut rest = text;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        let Some((key, value)) = flag.split_once('=') else {
            return Err(Error::invalid(format!("flag '--{flag}' has no value")));
        };
        let duration = || {
            let time = humantime::parse_duration(value)
                .map_err(|_| Error::invalid(format!("invalid duration '{value}' of --{key}")))?;
            let nanos = i64::try_from(time.as_nanos()).ok().filter(|nanos| *nanos == 0 || *nanos >= 1_000_000);
            nanos.map(Some).ok_or_else(|| Error::invalid(format!("duration '{value}' of --{key} is out of range")))
        };
        match key {
            "interval" => check.interval = duration()?,
            "timeout" => check.timeout = duration()?,
            "start-period" => check.start_period = duration()?,
            "start-interval" => check.start_interval = duration()?,
            "retries" => {
                let count = value.parse::<i64>().ok().filter(|count| *count >= 0);
                check.retries = Some(count.ok_or_else(|| Error::invalid(format!("invalid number '{value}'")))?);
            }
            _ => return Err(Error::invalid(format!("unknown flag '--{key}'"))),
        }
        rest = after.trim_start();
    }
    let (word, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    check.test = match (word.to_ascii_uppercase().as_str(), command.trim()) {
        ("NONE", "") => vec!["NONE".into()],
        ("CMD", "") => return Err(Error::invalid("CMD needs a command")),
        ("CMD", command) => match json(command) {
            Some(list) if list.is_empty() => return Err(Error::invalid("CMD needs a command")),
            Some(list) => std::iter::once("CMD".to_string()).chain(list).collect(),
            None => vec!["CMD-SHELL".into(), command.into()],
        },
        _ => return Err(Error::invalid("expected NONE or CMD")),
    };
    Ok(check)
}

/// The words of a text: quotes and backslashes taken away, variables replaced.
fn words(text: &str, variables: Variables<'_>) -> Result<Vec<String>> {
    Reader { rest: text.chars().collect(), at: 0, variables }.words(true)
}

/// The same, the whole text being one word.
fn whole(text: &str, variables: Variables<'_>) -> Result<String> {
    Ok(Reader { rest: text.chars().collect(), at: 0, variables }.words(false)?.pop().unwrap_or_default())
}

struct Reader<'a> {
    rest: Vec<char>,
    at: usize,
    variables: Variables<'a>,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let found = self.rest.get(self.at).copied();
        self.at += usize::from(found.is_some());
        found
    }

    fn words(&mut self, split: bool) -> Result<Vec<String>> {
        let mut list = Vec::new();
        // None between words: an empty one in quotes counts.
        let mut word: Option<String> = None;
        while let Some(c) = self.next() {
            if split && c.is_whitespace() {
                list.extend(word.take());
                continue;
            }
            let word = word.get_or_insert_default();
            match c {
                '\'' => self.single(word)?,
                '"' => self.double(word)?,
                '\\' => word.push(self.next().unwrap_or('\\')),
                '$' => self.variable(word)?,
                c => word.push(c),
            }
        }
        list.extend(word);
        Ok(list)
    }

    fn single(&mut self, word: &mut String) -> Result<()> {
        loop {
            match self.next() {
                Some('\'') => return Ok(()),
                Some(c) => word.push(c),
                None => return Err(Error::invalid("a quote is not closed")),
            }
        }
    }

    fn double(&mut self, word: &mut String) -> Result<()> {
        loop {
            match self.next() {
                Some('"') => return Ok(()),
                Some('$') => self.variable(word)?,
                Some('\\') => match self.next() {
                    Some(c @ ('"' | '$' | '\\')) => word.push(c),
                    Some(c) => word.extend(['\\', c]),
                    None => return Err(Error::invalid("a quote is not closed")),
                },
                Some(c) => word.push(c),
                None => return Err(Error::invalid("a quote is not closed")),
            }
        }
    }

    /// What follows a dollar sign.
    fn variable(&mut self, word: &mut String) -> Result<()> {
        let braces = self.rest.get(self.at) == Some(&'{');
        self.at += usize::from(braces);
        let start = self.at;
        while self.rest.get(self.at).is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_') {
            self.at += 1;
        }
        let name: String = self.rest[start..self.at].iter().collect();
        if !braces {
            match name.is_empty() {
                true => word.push('$'),
                false => word.push_str(&(self.variables)(&name).unwrap_or_default()),
            }
            return Ok(());
        }
        let value = (self.variables)(&name);
        let rule: String = self.rest[self.at..].iter().take(2).collect();
        let wrong = || Error::invalid(format!("a variable is not closed or malformed after '{name}'"));
        match rule.as_str() {
            _ if name.is_empty() => return Err(wrong()),
            _ if rule.starts_with('}') => {
                self.at += 1;
                word.push_str(&value.unwrap_or_default());
            }
            ":-" | ":+" => {
                self.at += 2;
                let other = self.until_brace().ok_or_else(wrong)?;
                let other = whole(&other, self.variables)?;
                let set = value.filter(|value| !value.is_empty());
                word.push_str(&match (rule.as_str(), set) {
                    (":-", Some(value)) => value,
                    (":-", None) | (":+", Some(_)) => other,
                    _ => String::new(),
                });
            }
            _ => return Err(wrong()),
        }
        Ok(())
    }

    /// The text up to the brace that closes the current one.
    fn until_brace(&mut self) -> Option<String> {
        let mut depth = 0;
        let mut text = String::new();
        loop {
            match self.next()? {
                '}' if depth == 0 => return Some(text),
                c => {
                    depth = match c {
                        '{' => depth + 1,
                        '}' => depth - 1,
                        _ => depth,
                    };
                    text.push(c);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(lines: &[&str]) -> Result<RunConfig> {
        let mut config = RunConfig { env: vec!["HOME=/root".into(), "EMPTY=".into()], ..RunConfig::default() };
        config.cmd = Some(vec!["inherited".into()]);
        apply_all(&mut config, &lines.iter().map(|line| line.to_string()).collect::<Vec<_>>())?;
        Ok(config)
    }

    #[test]
    fn commands_have_two_forms() {
        let cmd = |lines: &[&str]| applied(lines).unwrap().cmd.unwrap_or_default().join("|");
        assert_eq!(cmd(&[r#"CMD ["a", "b c"]"#]), "a|b c");
        assert_eq!(cmd(&["cmd echo $HOME  'x'"]), "/bin/sh|-c|echo $HOME  'x'");
        assert_eq!(cmd(&["CMD ['a']"]), "/bin/sh|-c|['a']");
        assert_eq!(cmd(&["CMD []"]), "");
        assert_eq!(cmd(&["CMD=/bin/bash"]), "/bin/sh|-c|/bin/bash");
        assert_eq!(cmd(&[r#"SHELL ["/bin/ash", "-ec"]"#, "CMD a \\\n b"]), "/bin/ash|-ec|a  b");
        assert_eq!(cmd(&[r#"ENTRYPOINT ["/e"]"#]), "");
        assert_eq!(cmd(&["CMD [\"mine\"]", "ENTRYPOINT [\"/e\"]"]), "mine");
    }

    #[test]
    fn variables_and_quotes() {
        for (line, want) in [
            ("ENV A=b", "A=b"),
            ("ENV A=b C=\"d e\" F='$HOME'", "A=b C=d e F=$HOME"),
            ("ENV A b  c", "A=b  c"),
            ("ENV A=$HOME/x B=${HOME}y", "A=/root/x B=/rooty"),
            ("ENV A=${NONE:-a b}", "A=a b"),
            ("ENV A=\"${NONE:-a b}\" B=${HOME:+set} C=${EMPTY:-${HOME}} D=${NONE:+x}", "A=a b B=set C=/root D="),
            (r"ENV A=a\ b B=\$HOME C=$ D=", "A=a b B=$HOME C=$ D="),
            ("ENV A=\"x", "ERROR"),
            ("ENV A=${HOME", "ERROR"),
            ("ENV A=${HOME?x}", "ERROR"),
            ("ENV =x", "ERROR"),
            ("ENV A", "ERROR"),
            ("ENV A=b C", "ERROR"),
        ] {
            let found = applied(&[line]).map(|config| config.env[2..].join(" "));
            match found {
                Ok(found) => assert_eq!(found, want, "{line}"),
                Err(e) => assert_eq!(want, "ERROR", "{line}: {e}"),
            }
        }
    }

    #[test]
    fn every_instruction() {
        let config = applied(&[
            "EXPOSE 80 8000-8002/udp",
            "LABEL a=b \"c d\"=e",
            "ONBUILD RUN make",
            "STOPSIGNAL SIGINT",
            "USER ann:wheel",
            "VOLUME /data /more",
            r#"VOLUME ["/json"]"#,
            "WORKDIR /a b",
            "WORKDIR c",
            "HEALTHCHECK --interval=1m30s --retries=3 CMD curl -f http://x || exit 1",
        ])
        .unwrap();
        let ports: Vec<_> = config.exposed_ports.keys().cloned().collect();
        assert_eq!(ports, ["80/tcp", "8000/udp", "8001/udp", "8002/udp"]);
        assert_eq!(config.labels["c d"], "e");
        assert_eq!(config.volumes.len(), 3);
        assert_eq!((config.working_dir.as_str(), config.user.as_str()), ("/a b/c", "ann:wheel"));
        let check = config.healthcheck.unwrap();
        assert_eq!(check.test, ["CMD-SHELL", "curl -f http://x || exit 1"]);
        assert_eq!((check.interval, check.retries), (Some(90_000_000_000), Some(3)));
        assert_eq!(config.on_build, ["RUN make"]);
        let check = applied(&["HEALTHCHECK NONE"]).unwrap().healthcheck.unwrap();
        assert_eq!(check.test, ["NONE"]);
    }

    #[test]
    fn errors_name_the_instruction() {
        for (line, want) in [
            ("RUN x", "'RUN x': 'RUN' is no instruction that changes a configuration"),
            ("", "'': '' is no instruction that changes a configuration"),
            ("USER", "USER needs an argument"),
            ("EXPOSE 70000", "'EXPOSE 70000': invalid port '70000': expected NUMBER[/tcp|udp|sctp]"),
            ("EXPOSE 9-8", "'EXPOSE 9-8': invalid ports '9-8': the first is above the last"),
            ("VOLUME rel", "'VOLUME rel': volume 'rel' must be an absolute path"),
            ("STOPSIGNAL FOO", "'STOPSIGNAL FOO': unknown signal 'FOO'"),
            ("ONBUILD FROM x", "'ONBUILD FROM x': FROM cannot be a trigger"),
            ("HEALTHCHECK --often=1s CMD x", "'HEALTHCHECK --often=1s CMD x': unknown flag '--often'"),
            ("HEALTHCHECK --timeout=1 CMD x", "'HEALTHCHECK --timeout=1 CMD x': invalid duration '1' of --timeout"),
            ("HEALTHCHECK CMD", "'HEALTHCHECK CMD': CMD needs a command"),
            ("SHELL sh", "'SHELL sh': a shell is a JSON list of strings"),
        ] {
            assert_eq!(applied(&[line]).unwrap_err().message(), want, "{line}");
        }
    }
}
