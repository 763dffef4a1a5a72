//! What the sources of a copy name: patterns become the paths that fit them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::super::error::Result;
use super::globs::{Glob, has_wildcards, unescape};

/// The paths that fit a pattern, sorted. `names` lists a folder: none for what is no folder (a link to one is none).
/// Up to the first wildcard names are taken as they are; whether they exist is not asked. From there on, what does
/// not exist fits nothing. If `deep`, a part `**` is any number of folders, and all there is at the end.
///
/// # Errors
/// `invalid_argument` for a malformed pattern; those of `names`.
pub(super) fn expand(
    parts: &[&str],
    deep: bool,
    names: impl Fn(&Path) -> Result<Option<Vec<OsString>>>,
) -> Result<Vec<PathBuf>> {
    let mut paths = vec![PathBuf::new()];
    let mut wild = false;
    for (at, part) in parts.iter().enumerate() {
        if deep && *part == "**" && at + 1 < parts.len() {
            wild = true;
            paths = folders(paths, &names)?;
            continue;
        }
        if !wild && !has_wildcards(part) {
            paths.iter_mut().for_each(|path| path.push(unescape(part)));
            continue;
        }
        wild = true;
        let glob = Glob::name(part)?;
        let mut next = Vec::new();
        for path in paths {
            let list = names(&path)?.unwrap_or_default();
            next.extend(list.into_iter().filter(|name| glob.matches(Path::new(name))).map(|name| path.join(name)));
        }
        paths = next;
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// Folders with those at all depths below them.
fn folders(start: Vec<PathBuf>, names: &impl Fn(&Path) -> Result<Option<Vec<OsString>>>) -> Result<Vec<PathBuf>> {
    let (mut found, mut waiting) = (Vec::new(), start);
    while let Some(path) = waiting.pop() {
        if let Some(list) = names(&path)? {
            waiting.extend(list.into_iter().map(|name| path.join(name)));
            found.push(path);
        }
    }
    Ok(found)
}

/// The names of a path: without empty ones and `.`; `..` takes the one before away, and nothing at the root.
pub(super) fn parts(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts
}

/// How many names of a source's path stay behind when the rest is kept as it is: those before `/./`.
pub(super) fn pivot(source: &str) -> usize {
    source.split_once("/./").map_or(0, |(before, _)| parts(before).len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_what_fits() {
        let names = |path: &Path| {
            Ok(match path.to_str() {
                Some("") => Some(vec!["a".into(), "b".into(), "c.txt".into()]),
                Some("a" | "b") => Some(vec!["x.c".into(), ".h.c".into(), "*".into()]),
                _ => None,
            })
        };
        let shown = |list: Vec<PathBuf>| list.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        let deep = |pattern: &str| shown(expand(&parts(pattern), true, names).unwrap());
        let expand = |pattern: &str| shown(expand(&parts(pattern), false, names).unwrap());
        assert_eq!(expand("*/*.c"), ["a/.h.c", "a/x.c", "b/.h.c", "b/x.c"]);
        assert_eq!(expand("a/x.?"), ["a/x.c"]);
        assert_eq!(expand("[ab]/x.c"), ["a/x.c", "b/x.c"]);
        assert_eq!(expand("*/none"), [""; 0]);
        assert_eq!(expand("a/\\*"), ["a/*"]);
        assert_eq!(expand("../../a/./none"), ["a/none"]);
        assert_eq!(expand("*/\\*"), ["a/*", "b/*"]);
        assert_eq!(expand("**/x.c"), ["a/x.c", "b/x.c"]);
        assert_eq!(deep("**/x.c"), ["a/x.c", "b/x.c"]);
        assert_eq!((expand("**/*.txt"), deep("**/*.txt")), (vec![], vec!["c.txt".to_string()]));
        assert_eq!(deep("**/**/.h.c"), ["a/.h.c", "b/.h.c"]);
        assert_eq!(deep("**"), ["a", "b", "c.txt"]);
        assert_eq!(deep("a/**"), ["a/*", "a/.h.c", "a/x.c"]);
    }

    #[test]
    fn the_pivot_is_the_first_dot_between_slashes() {
        assert_eq!([pivot("./x/./y/z"), pivot("a/b/c"), pivot("/a/./b/./c"), pivot("x/../a/./b")], [1, 0, 1, 1]);
    }
}
