//! Holds the directions of dependency and a few habits by reading the sources.

use std::path::{Path, PathBuf};

fn sources(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, list: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, list),
                false if path.extension().is_some_and(|ending| ending == "rs") => list.push(path),
                false => {}
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut list = Vec::new();
    walk(&root.join(folder), &mut list);
    list.sort();
    let name = |path: &Path| path.strip_prefix(root).unwrap().display().to_string();
    list.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// Lines of code (comments and the tests at the end left out) that contain one of `words`.
fn uses(files: &[(String, String)], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in files {
        let code = text.split("#[cfg(test)]").next().unwrap_or(text);
        for (number, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap_or(line);
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn the_engine_knows_no_lua_prints_nothing_and_reads_no_environment() {
    let words = ["mlua", "println!", "print!(", "dbg!", "env::var", "std::env::", "crate::bindings", "crate::runtime"];
    let mut found = uses(&sources("src/engine"), &words);
    // The machine's own architecture is a constant, not the environment.
    found.retain(|line| !line.contains("env::consts") && !line.contains("write!("));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn unsafe_code_is_fenced() {
    let allowed = |name: &str| name.starts_with("src/engine/sys/") || name == "src/runtime/interrupt.rs";
    let files: Vec<_> = sources("src").into_iter().filter(|(name, _)| !allowed(name)).collect();
    let found = uses(&files, &["unsafe ", "allow(unsafe_code)"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn bindings_stay_away_from_system_calls_and_the_engine_from_bindings() {
    let found = uses(&sources("src/bindings"), &["engine::sys", "sys::"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_the_report_writes_to_standard_error() {
    let allowed = |name: &str| {
        name == "src/report.rs" || ["src/progress/", "src/engine/"].iter().any(|folder| name.starts_with(folder))
    };
    let files: Vec<_> = sources("src").into_iter().filter(|(name, _)| !allowed(name)).collect();
    let found = uses(&files, &["eprintln!", "eprint!", "io::stderr()"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_file_says_what_it_is() {
    for (name, text) in sources("src").iter().chain(&sources("tests")) {
        assert!(text.starts_with("//!"), "{name} has no header");
    }
}

#[test]
fn files_stay_short() {
    for (name, text) in sources("src") {
        let lines = text.split("#[cfg(test)]").next().unwrap_or(&text).lines().count();
        assert!(lines <= 500, "{name} has {lines} lines before its tests: split it");
    }
}
