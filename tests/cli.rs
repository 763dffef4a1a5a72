//! The command line: what runs, exit statuses, where messages go.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn moonshell(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moonshell"));
    command.current_dir(folder).env_clear().env("HOME", folder).env("PATH", "/usr/bin:/bin");
    command.env("MOONSHELL_ROOT", folder.join("root")).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    parts(moonshell(folder.path()).args(arguments).output().unwrap())
}

fn parts(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn code_and_its_arguments() {
    assert_eq!(run(&["-e", "print(1 + 1)"]), (0, "2\n".into(), String::new()));
    assert_eq!(run(&["-e", "print(arg[1], ...)", "a"]).1, "a\ta\n");
    assert_eq!(run(&["-e", "os.exit(9)"]).0, 9);
}

#[test]
fn a_script_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&[] as &[&str], &["-", "one"]] {
        let mut child =
            moonshell(folder.path()).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"#!/bin/x\nprint('from stdin', ...)").unwrap();
        let (status, stdout, _) = parts(child.wait_with_output().unwrap());
        let expected = if arguments.is_empty() { "from stdin\n" } else { "from stdin\tone\n" };
        assert_eq!((status, stdout.as_str()), (0, expected));
    }
}

#[test]
fn version_and_help() {
    let (status, stdout, _) = run(&["--version"]);
    assert_eq!((status, stdout), (0, format!("moonshell {}\n", env!("CARGO_PKG_VERSION"))));
    let (status, stdout, stderr) = run(&["--help"]);
    assert!(status == 0 && stdout.contains("Usage: moonshell") && stderr.is_empty());
    let (status, stdout, _) = run(&["help", "image.pull"]);
    assert!(status == 0 && stdout.starts_with("image.pull(ref, [opts]) -> Image\n"));
}

#[test]
fn what_makes_no_sense_is_status_2() {
    let (status, _, stderr) = run(&["--nonsense"]);
    let expected = "error: unknown option '--nonsense'\n  hint: `moonshell --help` lists them\n";
    assert_eq!((status, stderr.as_str()), (2, expected));
    assert!(run(&["--no-cahce", "x.lua"]).2.contains("did you mean '--no-cache'?"));
    assert_eq!(run(&["--progress", "maybe"]).0, 2);
    let (status, _, stderr) = run(&["hepl"]);
    assert_eq!(
        (status, stderr.as_str()),
        (2, "error: no such file or command: 'hepl'\n  hint: did you mean 'help'?\n")
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("build.lua"), "").unwrap();
    let (status, _, stderr) = parts(moonshell(folder.path()).arg("biuld.lua").output().unwrap());
    let expected = "error: no such file or command: 'biuld.lua'\n  hint: did you mean 'build.lua'?\n";
    assert_eq!((status, stderr.as_str()), (2, expected));
    std::fs::write(folder.path().join("deploy.lua"), "").unwrap();
    let (_, _, stderr) = parts(moonshell(folder.path()).arg("deploy").output().unwrap());
    assert!(stderr.contains("did you mean 'deploy.lua'?"));
}

#[test]
fn errors_go_to_standard_error_with_place_and_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.lua"), "print 'out'\nlocal x = = 1\n").unwrap();
    let (status, stdout, stderr) = parts(moonshell(folder.path()).arg("s.lua").output().unwrap());
    let expected = "error: unexpected symbol near '='\n  at s.lua:2\n    2 | local x = = 1\n";
    assert_eq!((status, stdout.as_str(), stderr.as_str()), (1, "", expected));
    let (status, _, stderr) = run(&["-e", "\nhost.run('true', {evn = 1})"]);
    let expected = "error: host.run: unknown option 'evn'\n  at -e:2\n    2 | host.run('true', {evn = 1})\n  \
                    hint: did you mean 'env'?\n";
    assert_eq!((status, stderr.as_str()), (1, expected));
    let (status, _, stderr) = run(&["--log", "debug", "-e", "error('x')"]);
    assert!(status == 1 && stderr.contains("stack traceback:"), "{stderr}");
}

#[test]
fn a_script_that_needs_no_engine_makes_no_state_folder() {
    let folder = tempfile::tempdir().unwrap();
    assert!(moonshell(folder.path()).args(["-e", "host.out('true')"]).status().unwrap().success());
    assert!(!folder.path().join("root").exists());
    assert!(moonshell(folder.path()).args(["-e", "image.list()"]).status().unwrap().success());
    assert!(folder.path().join("root").exists());
    let other = folder.path().join("other");
    let output = moonshell(folder.path()).arg("--root").arg(&other).args(["-e", "image.list()"]).output().unwrap();
    assert!(output.status.success() && other.exists());
}

#[test]
fn bad_variables_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = moonshell(folder.path()).env("SOURCE_DATE_EPOCH", "now").args(["-e", ""]).output().unwrap();
    assert_eq!(parts(output).2, "error: SOURCE_DATE_EPOCH is not a number of seconds\n");
}

#[test]
fn init_tells_the_editor_and_keeps_its_settings() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join(".luarc.json");
    std::fs::write(&settings, r#"{"hover.enable": true, "workspace.library": ["mine"]}"#).unwrap();
    for _ in 0..2 {
        let (status, stdout, _) = parts(moonshell(folder.path()).arg("init").output().unwrap());
        assert_eq!((status, stdout.as_str()), (0, "wrote ./.luarc.json\n"));
    }
    let text = std::fs::read_to_string(&settings).unwrap();
    let library = folder.path().join(".local/share/moonshell/meta");
    let expected = serde_json::json!({
        "hover.enable": true, "workspace.library": ["mine", library], "runtime.version": "Lua 5.4"
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), expected);
    let meta = std::fs::read_to_string(library.join("moonshell.lua")).unwrap();
    assert!(meta.starts_with("---@meta") && meta.contains("function image.pull(ref, opts) end"));
}

#[test]
fn a_closed_output_is_no_crash() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = moonshell(folder.path()).args(["help"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
