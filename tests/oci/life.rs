//! From create to delete.

use std::fs;

use serde_json::Value;

use crate::bundle::{Bundle, is_root};

#[test]
fn create_start_state_kill_delete() {
    if !is_root() {
        return;
    }
    let bundle = Bundle::new("echo up; trap 'exit 3' TERM; trap : RTMIN+3 37; while :; do sleep 0.05; done");
    let id = &bundle.id("a");
    let pid_file = bundle.path().join("pid");
    bundle.ok(&["create", "--pid-file", pid_file.to_str().unwrap(), id]);
    let state: Value = serde_json::from_str(&bundle.ok(&["state", id])).unwrap();
    let pid = fs::read_to_string(&pid_file).unwrap();
    assert_eq!(state["pid"].to_string(), pid);
    assert_eq!((&state["status"], &state["ociVersion"]), (&"created".into(), &"1.2.0".into()));
    assert_eq!(state["bundle"], bundle.path().to_str().unwrap());
    assert!(bundle.fails(&["create", id]).contains("exists already"));
    bundle.ok(&["start", id]);
    assert_eq!(bundle.status(id), "running");
    assert!(bundle.fails(&["start", id]).contains("cannot start a container that is running"));
    assert!(bundle.fails(&["delete", id]).contains("not stopped"));
    assert!(bundle.ok(&["list"]).contains(id.as_str()));
    assert_eq!(bundle.ok(&["ps", "--format", "json", id]).lines().next(), Some("["));
    bundle.ok(&["kill", id, "SIGWINCH"]);
    bundle.ok(&["kill", "--all", id, "RTMIN+3"]);
    assert_eq!(bundle.status(id), "running");
    bundle.ok(&["kill", id, "SIGTERM"]);
    bundle.wait_status(id, "stopped");
    assert!(bundle.fails(&["kill", id]).contains("container not running"));
    bundle.ok(&["delete", id]);
    assert!(bundle.fails(&["state", id]).contains("does not exist"));
    assert!(bundle.fails(&["delete", id]).contains("does not exist"));
    bundle.ok(&["delete", "--force", id]);
    assert_eq!(fs::read_dir(bundle.path().join("state")).unwrap().count(), 0);
    let folder = format!("/moonshell/{id}");
    let left = ["memory", "pids", "freezer", "devices", "unified"].map(|name| format!("/sys/fs/cgroup/{name}{folder}"));
    assert!(left.iter().all(|path| !std::path::Path::new(path).exists()), "{left:?}");
}

#[test]
fn run_passes_status_and_streams() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("echo out; echo err >&2; exit 42");
    let output = bundle.oci(&["run", &bundle.id("x")]);
    assert_eq!(output.status.code(), Some(42));
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(bundle.ok(&["list", "-q"]), "");
    bundle.config["process"]["args"][2] = "kill -KILL $$".into();
    // The first process of a pid namespace cannot be killed from inside.
    bundle.config["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "pid");
    assert_eq!(bundle.oci(&["run", &bundle.id("x")]).status.code(), Some(137));
    bundle.config["process"]["args"][2] = "true".into();
    bundle.ok(&["run", "--keep", &bundle.id("kept")]);
    assert_eq!(bundle.status(&bundle.id("kept")), "stopped");
}

#[test]
fn a_killed_container_that_was_never_started_is_stopped() {
    if !is_root() {
        return;
    }
    let bundle = Bundle::new("true");
    let id = &bundle.id("a");
    bundle.ok(&["create", id]);
    bundle.ok(&["kill", id, "9"]);
    bundle.wait_status(id, "stopped");
    assert!(bundle.fails(&["start", id]).contains("stopped"));
    bundle.ok(&["delete", id]);
    bundle.ok(&["create", id]);
    bundle.ok(&["delete", id]);
}

#[test]
fn pause_resume_update_and_figures() {
    if !is_root() {
        return;
    }
    let bundle = Bundle::new("while :; do sleep 0.05; done");
    let id = &bundle.id("a");
    bundle.ok(&["run", "--detach", id]);
    assert!(bundle.fails(&["resume", id]).contains("not paused"));
    bundle.ok(&["pause", id]);
    assert_eq!(bundle.status(id), "paused");
    assert!(bundle.fails(&["exec", id, "true"]).contains("paused"));
    bundle.ok(&["resume", id]);
    assert_eq!(bundle.status(id), "running");
    bundle.ok(&["update", "--memory", "64m", "--pids-limit", "33", id]);
    let event: Value = serde_json::from_str(&bundle.ok(&["events", "--stats", id])).unwrap();
    assert_eq!((&event["type"], &event["id"]), (&"stats".into(), &id.as_str().into()));
    assert_eq!(event["data"]["memory"]["usage"]["limit"], 64 << 20);
    assert_eq!(event["data"]["pids"]["limit"], 33);
    assert!(bundle.fails(&["update", id]).contains("at least one limit"));
    bundle.ok(&["pause", id]);
    bundle.ok(&["kill", id, "KILL"]);
    bundle.wait_status(id, "stopped");
}

#[test]
fn a_terminal_is_sent_to_the_console_socket() {
    use std::io::{Read, Write};
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("test -t 0 && stty size; read line; echo got $line; ls -l /dev/console | head -c 1");
    bundle.config["process"]["terminal"] = true.into();
    bundle.config["process"]["consoleSize"] = serde_json::json!({ "height": 11, "width": 77 });
    assert!(bundle.fails(&["create", &bundle.id("x")]).contains("--console-socket"));
    let path = bundle.path().join("console");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let id = &bundle.id("a");
    bundle.ok(&["create", "--console-socket", path.to_str().unwrap(), id]);
    let (stream, _) = listener.accept().unwrap();
    let (_, mut fds) = moonshell::engine::sys::fd::receive(&stream, 64).unwrap();
    let mut master = fs::File::from(fds.remove(0));
    bundle.ok(&["start", id]);
    master.write_all(b"hello\n").unwrap();
    let mut text = Vec::new();
    let mut buffer = [0; 512];
    // EIO at the end.
    while let Ok(count @ 1..) = master.read(&mut buffer) {
        text.extend_from_slice(&buffer[..count]);
    }
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("11 77") && text.contains("got hello"), "{text}");
    assert!(text.trim_end().ends_with('c'), "{text}");
}

#[test]
fn nobody_else_holds_a_created_containers_pipes() {
    use std::io::Read;
    if !is_root() {
        return;
    }
    let bundle = Bundle::new("sleep 1000");
    let id = &bundle.id("a");
    // A descriptor of the caller's that is not preserved: its other end sees the end when the command has ended.
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = bundle.command(&["create", id]);
    let file = || fs::File::create(bundle.path().join("log")).unwrap();
    command.stdout(file()).stderr(file());
    rustix::io::fcntl_setfd(&writer, rustix::io::FdFlags::empty()).unwrap();
    assert!(command.status().unwrap().success());
    drop(writer);
    assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(bundle.status(id), "created");
}

#[test]
fn without_a_cgroup() {
    if !is_root() {
        return;
    }
    let bundle = Bundle::new("while :; do sleep 0.05; done");
    let id = &bundle.id("a");
    bundle.ok(&["--cgroup-manager", "disabled", "run", "-d", id]);
    assert!(!bundle.ok(&["exec", id, "cat", "/proc/1/cgroup"]).contains(id.as_str()));
    assert!(bundle.fails(&["pause", id]).contains("has no cgroup"));
    bundle.ok(&["kill", id, "KILL"]);
    bundle.wait_status(id, "stopped");
    bundle.ok(&["delete", id]);
}

/// Runs the runtime on a terminal, by script(1), with these keys typed.
fn on_a_terminal(bundle: &Bundle, arguments: &[&str], keys: &str) -> (Option<i32>, String) {
    use std::io::{Read, Write};
    let command = bundle.command(arguments);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect::<Vec<_>>().join(" ");
    let mut script = std::process::Command::new("script")
        .args(["-qec", &format!("{line}; s=$?; stty -a | grep -o ' echo '; exit $s"), "/dev/null"])
        .current_dir(bundle.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    script.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    let mut text = String::new();
    script.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    (script.wait().unwrap().code(), text)
}

#[test]
fn a_terminal_in_the_foreground() {
    if !is_root() {
        return;
    }
    if std::process::Command::new("script").arg("--version").output().is_err() {
        eprintln!("SKIPPED: script is not installed");
        return;
    }
    let mut bundle = Bundle::new("read line; echo got $line; exit 4");
    bundle.config["process"]["terminal"] = true.into();
    let (code, text) = on_a_terminal(&bundle, &["run", &bundle.id("a")], "hello\n");
    assert!(code == Some(4) && text.contains("got hello"), "{code:?} {text}");
    // The caller's terminal echoes again.
    assert!(text.trim_end().ends_with("echo"), "{text}");
    bundle.config["process"]["terminal"] = false.into();
    bundle.config["process"]["args"][2] = "while :; do sleep 0.05; done".into();
    let id = &bundle.id("b");
    bundle.ok(&["run", "-d", id]);
    let (code, text) = on_a_terminal(&bundle, &["exec", "-t", id, "sh", "-c", "test -t 0 && echo tty; exit 6"], "");
    assert!(code == Some(6) && text.contains("tty"), "{code:?} {text}");
}

#[test]
fn signals_reach_the_program_in_the_foreground() {
    use std::io::Read;
    if !is_root() {
        return;
    }
    let bundle = Bundle::new("trap 'echo caught; exit 7' TERM; echo ready; while :; do sleep 0.05; done");
    let mut command = bundle.command(&["run", &bundle.id("a")]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut ready = [0; 6];
    output.read_exact(&mut ready).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert_eq!((child.wait().unwrap().code(), text.as_str()), (Some(7), "caught\n"));
}
