//! Compares what is generated with what is committed. `UPDATE=1` rewrites the committed files.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use moonshell::bindings::docs;
use moonshell::bindings::install::Api;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn compare(path: &Path, text: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == text,
        "{} differs; UPDATE=1 cargo test --test golden rewrites it. Now it would be:\n{text}",
        path.display()
    );
}

#[test]
fn the_editor_file_and_the_reference_match_the_rows() {
    let api = Api::new();
    compare(&root().join("stdlib/meta/api.lua"), &docs::meta(&api));
    compare(&root().join("stdlib/meta/api.md"), &docs::reference(&api));
}

#[test]
fn every_row_is_documented() {
    let api = Api::new();
    for name in docs::names(&api) {
        let Some((_, row)) = api.function(&name) else { continue };
        let bad = |what: &str| panic!("{name}: {what}");
        if !row.summary.ends_with('.') {
            bad("the summary is no sentence");
        }
        if row.example.is_empty() {
            bad("no example");
        }
        for param in row.params.iter().chain(&row.options).chain(&row.variadic) {
            if !param.doc.ends_with('.') && !param.doc.ends_with('`') {
                bad(&format!("'{}' is not explained by a sentence", param.name));
            }
        }
        let kinds = "not_found already_exists in_use invalid_argument unsupported permission integrity network exit \
                     timeout interrupted os internal";
        if let Some(kind) = row.errors.iter().find(|kind| !kinds.split(' ').any(|known| known == **kind)) {
            bad(&format!("no error kind is called {kind}"));
        }
        // Examples are Lua.
        mlua::Lua::new().load(row.example).into_function().unwrap_or_else(|e| panic!("{name}: example: {e}"));
    }
}

fn run(arguments: &[&str], folder: &Path) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_moonshell"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("PATH", "/usr/bin:/bin")
        .env("MOONSHELL_ROOT", folder.join("no root"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn help_text() {
    let folder = tempfile::tempdir().unwrap();
    for (file, arguments) in [
        ("help", &["help"] as &[&str]),
        ("help_module", &["help", "fs"]),
        ("help_function", &["help", "host.run"]),
        ("help_class", &["help", "Image"]),
        ("help_unknown", &["help", "image.pul"]),
        ("usage", &["--nonsense"]),
        ("command_run", &["run", "--help"]),
        ("command_ps", &["ps", "--help"]),
        ("command_group", &["container"]),
    ] {
        let (stdout, stderr) = run(arguments, folder.path());
        compare(&root().join(format!("tests/golden/{file}.txt")), &format!("{stdout}{stderr}"));
    }
}

/// The exact terminal output of errors: each `tests/golden/errors/NAME.lua` has its `NAME.txt`.
#[test]
fn errors() {
    let folder = root().join("tests/golden/errors");
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|ending| ending == "lua"));
    scripts.sort();
    assert!(scripts.len() >= 10);
    for script in scripts {
        let name = script.file_name().unwrap().to_str().unwrap();
        // A fresh folder with a short name for the script: nothing of this machine shows.
        let place = tempfile::tempdir().unwrap();
        std::fs::copy(&script, place.path().join(name)).unwrap();
        let (_, stderr) = run(&[name], place.path());
        compare(&script.with_extension("txt"), &stderr.replace(&place.path().display().to_string(), "DIR"));
    }
}
