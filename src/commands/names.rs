//! Which file a command line's first words name.
//!
//! A command is `NAME.lua` in the user's command folder or among the built-in ones, the former winning. A group
//! (`container ls`, `image rm`) gives other names to commands, and has some of its own in a folder of its name.

use std::path::{Path, PathBuf};

use crate::engine::suggest::nearest;
use crate::stdlib;

/// Groups, and what their names stand for: a file below the command folder, without its ending.
const GROUPS: &[(&str, &[(&str, &str)])] = &[
    (
        "container",
        &[
            ("attach", "attach"),
            ("commit", "commit"),
            ("cp", "cp"),
            ("create", "create"),
            ("diff", "diff"),
            ("exec", "exec"),
            ("export", "export"),
            ("inspect", "container/inspect"),
            ("kill", "kill"),
            ("list", "ps"),
            ("logs", "logs"),
            ("ls", "ps"),
            ("pause", "pause"),
            ("port", "port"),
            ("prune", "container/prune"),
            ("ps", "ps"),
            ("remove", "rm"),
            ("rename", "rename"),
            ("restart", "restart"),
            ("rm", "rm"),
            ("run", "run"),
            ("start", "start"),
            ("stats", "stats"),
            ("stop", "stop"),
            ("top", "top"),
            ("unpause", "unpause"),
            ("update", "update"),
            ("wait", "wait"),
        ],
    ),
    (
        "image",
        &[
            ("build", "build"),
            ("history", "history"),
            ("inspect", "image/inspect"),
            ("list", "images"),
            ("load", "load"),
            ("ls", "images"),
            ("prune", "image/prune"),
            ("pull", "pull"),
            ("push", "push"),
            ("remove", "rmi"),
            ("rm", "rmi"),
            ("save", "save"),
            ("tag", "tag"),
            ("tree", "image/tree"),
        ],
    ),
    ("system", &[("df", "system/df"), ("events", "events"), ("info", "info"), ("prune", "system/prune")]),
];

/// The text of a command, and how messages name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Part of this program.
    BuiltIn(&'static str),
    /// The user's.
    File(PathBuf),
}

/// What the first words of a command line mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// A command: its file without ending, its text, and how many words name it.
    Command(String, Source, usize),
    /// A group without a command.
    Group(String),
    /// A group with a word that is none of its commands, and the nearest one.
    Unknown(String, Option<String>),
}

/// The commands there are.
#[derive(Debug, Clone, Default)]
pub struct Names {
    folder: Option<PathBuf>,
}

impl Names {
    /// Those built in and those in the user's folder.
    pub fn new(folder: Option<PathBuf>) -> Names {
        Names { folder }
    }

    /// What the words mean; `None` when the first is neither a command nor a group.
    pub fn find(&self, words: &[&str]) -> Option<Meaning> {
        let first = words.first().filter(|word| is_name(word))?;
        if let Some(source) = self.file(first) {
            return Some(Meaning::Command(first.to_string(), source, 1));
        }
        let commands = self.group(first);
        if commands.is_empty() {
            return stdlib::command(first).map(|text| Meaning::Command(first.to_string(), Source::BuiltIn(text), 1));
        }
        let second = match words.get(1) {
            None => return Some(Meaning::Group(first.to_string())),
            Some(&("--help" | "-h" | "help")) => return Some(Meaning::Group(first.to_string())),
            Some(second) => second,
        };
        let found = commands.iter().find(|(name, _)| name == second);
        match found.and_then(|(_, path)| Some((path, self.source(path)?))) {
            Some((path, source)) => Some(Meaning::Command(path.clone(), source, 2)),
            None => {
                let near = nearest(second, commands.iter().map(|(name, _)| name.as_str()));
                Some(Meaning::Unknown(format!("{first} {second}"), near.map(|name| format!("{first} {name}"))))
            }
        }
    }

    /// The text of a file below the command folder, named without its ending.
    pub fn source(&self, path: &str) -> Option<Source> {
        self.file(path).or_else(|| stdlib::command(path).map(Source::BuiltIn))
    }

    /// Every command outside groups, sorted.
    pub fn all(&self) -> Vec<String> {
        let built_in = stdlib::COMMANDS.iter().map(|(name, _)| name.to_string()).filter(|name| !name.contains('/'));
        let mut names: Vec<String> = built_in.chain(self.files("")).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Every group, sorted.
    pub fn groups(&self) -> Vec<String> {
        let mut names: Vec<String> = GROUPS.iter().map(|(name, _)| name.to_string()).collect();
        let entries = self.folder.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
        let folders = entries.filter(|entry| entry.path().is_dir());
        names.extend(folders.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_name(name)));
        names.sort();
        names.dedup();
        names
    }

    /// The commands of a group: names and files, sorted. Empty when there is no such group.
    pub fn group(&self, group: &str) -> Vec<(String, String)> {
        let known = GROUPS.iter().find(|(name, _)| *name == group).map_or(&[] as &[_], |(_, commands)| commands);
        let known = known.iter().filter(|(_, path)| self.source(path).is_some());
        let mut commands: Vec<(String, String)> = known.map(|(n, p)| (n.to_string(), p.to_string())).collect();
        for name in self.files(group) {
            let path = format!("{group}/{name}");
            match commands.iter_mut().find(|(known, _)| *known == name) {
                Some(command) => command.1 = path,
                None => commands.push((name, path)),
            }
        }
        commands.sort();
        commands
    }

    fn file(&self, path: &str) -> Option<Source> {
        let file = self.folder.as_ref()?.join(format!("{path}.lua"));
        file.is_file().then_some(Source::File(file))
    }

    /// The user's files in a folder below the command folder, without their ending.
    fn files(&self, below: &str) -> Vec<String> {
        let Some(folder) = &self.folder else { return Vec::new() };
        let folder: &Path = &folder.join(below);
        // No folder, no commands.
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".lua")?.to_string()));
        names.filter(|name| is_name(name)).collect()
    }
}

/// Whether a word can name a command: it must not lead out of the folder.
fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphanumeric())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_cannot_name_a_command() {
        for word in ["", "../x", "a/b", ".x", "-v", "x.lua"] {
            assert!(!is_name(word), "{word}");
        }
        assert!(is_name("my-command_2"));
    }

    #[test]
    fn groups_name_files_that_exist() {
        let missing: Vec<_> = GROUPS
            .iter()
            .flat_map(|(_, commands)| commands.iter())
            .filter(|(_, path)| stdlib::command(path).is_none())
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn the_users_folder_adds_and_replaces() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ps.lua"), "").unwrap();
        std::fs::create_dir(folder.path().join("image")).unwrap();
        std::fs::write(folder.path().join("image/squash.lua"), "").unwrap();
        let names = Names::new(Some(folder.path().into()));
        let file = |name: &str| Source::File(folder.path().join(name));
        assert_eq!(names.find(&["ps", "-a"]), Some(Meaning::Command("ps".into(), file("ps.lua"), 1)));
        assert_eq!(names.find(&["container", "ls"]), Some(Meaning::Command("ps".into(), file("ps.lua"), 2)));
        let squash = Meaning::Command("image/squash".into(), file("image/squash.lua"), 2);
        assert_eq!(names.find(&["image", "squash"]), Some(squash));
        assert_eq!(names.find(&["image"]), Some(Meaning::Group("image".into())));
        let unknown = Meaning::Unknown("image sl".into(), Some("image ls".into()));
        assert_eq!(names.find(&["image", "sl"]), Some(unknown));
        assert_eq!(names.find(&["nonsense"]), None);
    }
}
