//! Run steps of builds through the engine and the program: agents, terminals, steps in several processes.

#[path = "support/engine.rs"]
mod engine_support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command as Program, Stdio};

use engine_support::{busybox, host};
use moonshell::engine::build::mounts::reading::parse;
use moonshell::engine::build::{State, StepOptions};
use moonshell::engine::container::options::{Command, Input};
use moonshell::engine::error::Kind;

fn line(text: &str) -> Command {
    Command::Line(text.into())
}

fn mounts(list: &[&str]) -> StepOptions {
    StepOptions {
        mounts: list.iter().map(|text| parse(text, Path::new("/")).unwrap()).collect(),
        ..StepOptions::default()
    }
}

/// A program that speaks to the agent as ssh-add does: asks for the list of keys, prints what comes.
const CLIENT: &str = r#"
use std::io::{Read, Write};
fn main() {
    let mut agent = std::os::unix::net::UnixStream::connect(std::env::var("SSH_AUTH_SOCK").unwrap()).unwrap();
    agent.write_all(&[0, 0, 0, 1, 11]).unwrap();
    let mut answer = [0; 9];
    agent.read_exact(&mut answer).unwrap();
    println!("{answer:?}");
}
"#;

#[test]
fn an_agent_is_reached_from_a_step_and_by_nobody_else() {
    let host = host();
    let dir = host.dir.path();
    fs::write(dir.join("client.rs"), CLIENT).unwrap();
    let rustc = Program::new("rustc").args(["-O", "-o"]).arg(dir.join("client")).arg(dir.join("client.rs")).status();
    assert!(rustc.unwrap().success());
    let client = dir.join("client");
    let base = State::from_host(&host.engine, &["/bin/busybox".into(), client.clone()]).unwrap();
    let socket = dir.join("agent");
    let listener = UnixListener::bind(&socket).unwrap();
    let agent = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut one, _) = listener.accept().unwrap();
            let mut question = [0; 5];
            one.read_exact(&mut question).unwrap();
            assert_eq!(question, [0, 0, 0, 1, 11]);
            one.write_all(&[0, 0, 0, 5, 12, 0, 0, 0, 0]).unwrap();
        }
    });
    let ask = Command::Argv(vec![client.display().to_string()]);
    let with = |mount: &str| StepOptions { ssh: vec![("default".into(), socket.clone())], ..mounts(&[mount]) };
    let answer = base.out(&host.engine, &ask, &with("type=ssh")).unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), "[0, 0, 0, 5, 12, 0, 0, 0, 0]\n");
    // Its owner is the one that was asked for, and another user's step can use it.
    let of_another = StepOptions { user: Some("1000".into()), ..with("type=ssh,uid=1000,target=/tmp/agent") };
    base.out(&host.engine, &ask, &of_another).unwrap();
    agent.join().unwrap();
    let look =
        Command::Argv(["/bin/busybox", "stat", "-c", "%a %u %F", "/run/buildkit/ssh_agent.0"].map(String::from).into());
    assert_eq!(base.out(&host.engine, &look, &with("type=ssh,mode=0660")).unwrap(), b"660 0 socket\n");
    // Not given: nothing, or an error.
    let none = base.run(&host.engine, &look, &mounts(&["type=ssh"])).unwrap_err();
    assert_eq!(none.kind(), Kind::Exit);
    let required = base.run(&host.engine, &look, &mounts(&["type=ssh,id=git,required"])).unwrap_err();
    assert_eq!(
        (required.kind(), required.message()),
        (Kind::NotFound, "SSH agent 'git' is required and was not given")
    );
    let key = StepOptions { ssh: vec![("default".into(), dir.join("client.rs"))], ..mounts(&["type=ssh"]) };
    assert_eq!(base.run(&host.engine, &look, &key).unwrap_err().kind(), Kind::Unsupported);
    let areas = fs::read_dir(dir.join("state/tmp")).unwrap().count();
    assert!(areas <= 1, "{areas} work areas");
}

#[test]
fn a_shell_forgets_what_is_done_in_it() {
    let host = host();
    let base = busybox(&host);
    let mut output = Vec::new();
    let mut options = mounts(&["type=cache,target=/c"]);
    options.env.push(("A".into(), Some("a".into())));
    let input = (Input::Bytes(b"echo $A > /made; cat /made; echo kept > /c/kept; exit 3\n".to_vec()), false);
    let shell = base.usual_shell(&host.engine).unwrap();
    assert_eq!(shell, Command::Argv(vec!["/bin/sh".into()]));
    let code = base.shell(&host.engine, &shell, &options, input, &mut |_, bytes| {
        output.extend_from_slice(bytes);
        Ok(())
    });
    assert_eq!((code.unwrap(), String::from_utf8(output).unwrap()), (3, "a\n".to_string()));
    assert!(!base.exists(&host.engine, "/made").unwrap());
    assert_eq!(base.out(&host.engine, &line("cat /c/kept"), &options).unwrap(), b"kept\n");
    // With a terminal of its own.
    let mut output = Vec::new();
    let input = (Input::Bytes(b"tty; exit\n".to_vec()), true);
    let code = base.shell(&host.engine, &shell, &options, input, &mut |_, bytes| {
        output.extend_from_slice(bytes);
        Ok(())
    });
    assert_eq!(code.unwrap(), 0);
    assert!(String::from_utf8_lossy(&output).contains("/dev/pts/0"), "{}", String::from_utf8_lossy(&output));
}

/// Starts the program on the state folder of `root`.
fn script(root: &Path, code: &str) -> std::process::Child {
    let mut program = Program::new(env!("CARGO_BIN_EXE_moonshell"));
    program.env_remove("SOURCE_DATE_EPOCH").arg("--root").arg(root).args(["--progress", "plain", "-e", code]);
    program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn the_same_step_in_two_processes_runs_once() {
    let dir = tempfile::tempdir().unwrap();
    let code = r#"
        local s = build.from_host{"/bin/busybox"}
        s:run({"/bin/busybox", "sh", "-c", "echo ran >> /c/log; busybox sleep 0.3"}, {mounts={"type=cache,target=/c"}})
        print(s:out({"/bin/busybox", "cat", "/c/log"}, {mounts={"type=cache,target=/c"}}))
    "#;
    for round in 0..3 {
        let root = dir.path().join(round.to_string());
        let both = [script(&root, code), script(&root, code)].map(|child| child.wait_with_output().unwrap());
        let mut ran = 0;
        for one in &both {
            let progress = String::from_utf8_lossy(&one.stderr);
            assert!(one.status.success(), "{progress}");
            assert_eq!(String::from_utf8_lossy(&one.stdout), "ran\n", "{progress}");
            ran += progress.lines().filter(|line| line.contains("echo ran") && line.contains(": done")).count();
        }
        assert_eq!(ran, 1, "{both:?}");
    }
}

/// Every file below a folder whose content or name has `text`.
fn files_with(folder: &Path, text: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files_with(&path, text));
        } else if kind.is_file() {
            let content = fs::read(&path).unwrap_or_default();
            let has = content.windows(text.len()).any(|part| part == text.as_bytes());
            found.extend(has.then_some(path));
        }
    }
    found
}

/// While a step has a secret, and after everybody was killed, nothing on disk has it, nor any process's arguments.
#[test]
fn a_secret_is_nowhere_on_disk_while_it_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let (root, value) = (dir.path().join("root"), "a-secret-of-the-test-4711");
    let code = r#"build.from_host{"/bin/busybox"}:run(
        {"/bin/busybox", "sh", "-c", "[ $(busybox wc -c < /run/secrets/word) = 25 ] && [ ${#WORD} = 25 ] && echo has it; busybox sleep 600"},
        {secrets={word={env="TEST_SECRET"}}, mounts={{type="secret", id="word", env="WORD"}, {type="secret", id="word"}}})"#;
    let mut program = Program::new(env!("CARGO_BIN_EXE_moonshell"));
    program.env("TEST_SECRET", value).arg("--root").arg(&root).args([
        "--log",
        "debug",
        "--progress",
        "plain",
        "-e",
        code,
    ]);
    let mut running = program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut said, errors) = (String::new(), running.stderr.as_mut().unwrap());
    while !said.contains("| has it") {
        let mut bytes = [0; 256];
        let count = errors.read(&mut bytes).unwrap();
        assert!(count > 0, "{said}");
        said.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    assert!(!said.contains(value), "{said}");
    let arguments = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let text = fs::read(entry.path().join("cmdline")).ok()?;
        String::from_utf8_lossy(&text).contains(value).then(|| entry.path())
    });
    assert_eq!(arguments.collect::<Vec<_>>(), Vec::<std::path::PathBuf>::new());
    assert_eq!(files_with(&root, value), Vec::<std::path::PathBuf>::new(), "while it runs");
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(files_with(&root, value), Vec::<std::path::PathBuf>::new(), "after a kill");
}

/// Whoever waits for a locked cache says so, can be stopped, and gets it when its holder is killed.
#[test]
fn a_locked_cache_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let step = |line: &str| {
        format!(
            r#"build.from_host{{"/bin/busybox"}}:run({{"/bin/busybox", "sh", "-c", {line:?}}}, {{cache=false, mounts={{"type=cache,target=/c,sharing=locked"}}}})"#
        )
    };
    let root = dir.path().join("root");
    let mut holder = script(&root, &step("echo holding; busybox sleep 600"));
    let mut held = String::new();
    let errors = holder.stderr.as_mut().unwrap();
    while !held.contains("| holding") {
        let mut bytes = [0; 256];
        let count = errors.read(&mut bytes).unwrap();
        assert!(count > 0, "{held}");
        held.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    let mut waiting = script(&root, &step("echo mine"));
    let mut said = String::new();
    let errors = waiting.stderr.as_mut().unwrap();
    while !said.contains("waiting for cache '/c', which another step uses") {
        let mut bytes = [0; 256];
        let count = errors.read(&mut bytes).unwrap();
        assert!(count > 0, "{said}");
        said.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    let pid = |child: &std::process::Child| rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid(&waiting), rustix::process::Signal::INT).unwrap();
    assert_eq!(waiting.wait().unwrap().code(), Some(130));
    let next = script(&root, &step("echo mine"));
    holder.kill().unwrap();
    holder.wait().unwrap();
    let next = next.wait_with_output().unwrap();
    assert!(next.status.success(), "{}", String::from_utf8_lossy(&next.stderr));
}
