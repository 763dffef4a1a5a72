//! Rules that leave things out: those of `.dockerignore`, and of the `exclude` option.
//!
//! A rule is a pattern of paths from the root of what is copied. What fits the last fitting rule is left out, or kept
//! if that rule begins with `!`; a rule that fits a folder fits all that is in it.
//!
//! Source: Docker's build context reference, ".dockerignore files"; moby/patternmatcher.

use std::path::{Component, Path, PathBuf};

use super::super::error::{Error, Result};
use super::globs::Glob;

#[derive(Debug, Clone)]
struct Rule {
    keeps: bool,
    glob: Glob,
    // Each name of the pattern; none from the first `**` on.
    names: Vec<Option<Glob>>,
}

/// Rules in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    list: Vec<Rule>,
}

/// What the rules say of a folder, for what is in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Above(Vec<bool>);

impl Rules {
    /// The patterns in a file's text: a line each, `#` in the first column begins a comment.
    pub fn lines(text: &str) -> Vec<String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_string).collect()
    }

    /// The rules of a list.
    ///
    /// # Errors
    /// `invalid_argument` for a malformed pattern, and for `!` alone.
    pub fn new(patterns: &[String]) -> Result<Rules> {
        let mut rules = Rules::default();
        for line in patterns.iter().map(|line| line.trim()).filter(|line| !line.is_empty()) {
            let (keeps, pattern) = match line.strip_prefix('!') {
                Some("") => return Err(Error::invalid("invalid pattern '!': nothing follows it")),
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            let clean = clean(pattern);
            let mut names = Vec::new();
            for name in clean.split('/') {
                let deep = name.contains("**");
                names.push(if deep { None } else { Some(Glob::name(name)?) });
                if deep {
                    break;
                }
            }
            rules.list.push(Rule { keeps, glob: Glob::path(&clean)?, names });
        }
        Ok(rules)
    }

    /// The rules of a list of which those that are a single name fit it in every folder. A leading `/` keeps one to
    /// the root.
    ///
    /// # Errors
    /// As [`Rules::new`].
    pub fn anywhere(patterns: &[String]) -> Result<Rules> {
        let deep = |pattern: &String| {
            let (mark, rest) = pattern.strip_prefix('!').map_or(("", pattern.as_str()), |rest| ("!", rest));
            match rest.trim_end_matches('/').contains('/') {
                true => pattern.clone(),
                false => format!("{mark}**/{rest}"),
            }
        };
        // Also as they are, for messages that show what was written.
        Rules::new(patterns)?;
        Rules::new(&patterns.iter().map(deep).collect::<Vec<_>>())
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a path is left out, and what is known for what is below it. `above` is what was known of its folder.
    pub fn leaves_out(&self, path: &Path, above: &Above) -> (bool, Above) {
        let mut out = false;
        let mut here = Vec::with_capacity(self.list.len());
        for (at, rule) in self.list.iter().enumerate() {
            let fits = above.0.get(at).copied().unwrap_or(false) || rule.glob.matches(path);
            here.push(fits);
            if fits {
                out = !rule.keeps;
            }
        }
        (out, Above(here))
    }

    /// The same for a path whose folder was not looked at.
    pub fn leaves_out_from_root(&self, path: &Path) -> (bool, Above) {
        let (mut so_far, mut out, mut above) = (PathBuf::new(), false, Above::default());
        for part in path.components().filter(|part| matches!(part, Component::Normal(_))) {
            so_far.push(part);
            (out, above) = self.leaves_out(&so_far, &above);
        }
        (out, above)
    }

    /// Whether something below a folder that is left out may be kept all the same.
    pub fn may_keep_below(&self, folder: &Path) -> bool {
        self.list.iter().filter(|rule| rule.keeps).any(|rule| {
            let mut names = rule.names.iter();
            for part in folder.components() {
                match names.next() {
                    None => return false,
                    Some(None) => return true,
                    Some(Some(glob)) if !glob.matches(Path::new(part.as_os_str())) => return false,
                    Some(Some(_)) => {}
                }
            }
            names.next().is_some()
        })
    }
}

/// A pattern without empty names, `.` and `..`, relative to the root.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if pattern.starts_with('/') && parts.is_empty() => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(rules: &str, path: &str) -> bool {
        Rules::new(&Rules::lines(rules)).unwrap().leaves_out_from_root(Path::new(path)).0
    }

    #[test]
    fn rules_of_a_file() {
        for (rules, path, want) in [
            ("*.o", "a.o", true),
            ("*.o", "sub/a.o", false),
            ("**/*.o", "sub/a.o", true),
            ("**/*.o", "a.o", true),
            ("/build", "build", true),
            ("build", "build/deep/file", true),
            ("build/", "build/x", true),
            ("./build//", "build/x", true),
            ("build", "sub/build", false),
            ("*/temp*", "sub/temporary.txt", true),
            ("*/*/temp*", "sub/temporary.txt", false),
            ("temp?", "tempa", true),
            ("temp?", "temp", false),
            ("*.md\n!README.md", "README.md", false),
            ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true),
            ("*.md\nREADME-secret.md\n!README*.md", "README-secret.md", false),
            ("dir\n!dir/keep", "dir/keep", false),
            ("dir\n!dir/keep", "dir/other", true),
            ("dir\n!dir/keep", "dir/keep/in", false),
            ("!dir/keep\ndir", "dir/keep", true),
            ("*\n!src", "src/main.c", false),
            ("**\n!src/**", "src/main.c", false),
            ("**\n!**/*.c", "deep/down/main.c", false),
            ("# comment\n #name", "#name", true),
            ("# comment\n #name", "comment", false),
            ("\u{feff}a", "a", true),
            ("a  \t\r\n", "a", true),
            ("  ! a", "a", false),
            ("b\n! b", "b", false),
            ("../a", "a", false),
            ("a/../b", "b", true),
            ("/../b", "b", true),
            (".", "a", false),
            ("/", "a", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("[a-c].txt", "b.txt", true),
            ("[^a].txt", "a.txt", false),
            (".git", ".git/config", true),
            ("a**", "abc/def", true),
        ] {
            assert_eq!(out(rules, path), want, "{rules:?} {path}");
        }
        for bad in ["!", "a[", "\\"] {
            assert!(Rules::new(&Rules::lines(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn folders_are_entered_only_where_something_may_be_kept() {
        let rules = Rules::new(&Rules::lines("*\n!src/*/keep\n!docs/**/x\n!top")).unwrap();
        for (folder, want) in
            [("src", true), ("src/a", true), ("src/a/keep", false), ("docs/a/b", true), ("top", false), ("lib", false)]
        {
            assert_eq!(rules.may_keep_below(Path::new(folder)), want, "{folder}");
        }
    }

    #[test]
    fn single_names_may_fit_anywhere() {
        let list = ["*.o".to_string(), "sub/deep".into(), "/top".into(), "!keep.o".into()];
        let rules = Rules::anywhere(&list).unwrap();
        for (path, want) in [
            ("a/b.o", true),
            ("a/keep.o", false),
            ("sub/deep/x", true),
            ("x/sub/deep", false),
            ("top", true),
            ("a/top", false),
        ] {
            assert_eq!(rules.leaves_out_from_root(Path::new(path)).0, want, "{path}");
        }
        assert_eq!(
            Rules::anywhere(&["a[".into()]).unwrap_err().message(),
            "invalid pattern 'a[': the class does not end"
        );
    }
}
