//! Runs every `tests/lua/**/*.lua` through the real program, each as a named test. A script fails by raising.
//!
//! Comments at the top of a script say what is expected:
//!
//! ```text
//! -- expect-status: 130        exit status (default 0)
//! -- expect-stdout: text       a line of standard output, in order; several make several lines
//! -- expect-stderr: text       standard error contains this
//! -- args: one two             arguments
//! -- stdin: text               standard input
//! -- env: NAME=VALUE           a variable; @DIR@ is the script's folder
//! -- signal: INT when READY    send this signal when standard output says this line
//! -- timeout-ms: 5000          limit (default 30000)
//! ```
//!
//! Scripts below `tests/lua/privileged/` and `tests/lua/registry/` need root and are skipped, aloud, without it. Every
//! script finds the program in the variable MOONSHELL and the modules of `tests/lua/lib`. The former also find the
//! archive BUSYBOX; the latter the registries REGISTRY and LOCKED, with LOCKED_USER and LOCKED_PASSWORD. A line on
//! standard output that begins with `skipped:` is passed on.

#[path = "support/stand.rs"]
mod stand;
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};

#[derive(Default)]
struct Expected {
    status: i32,
    stdout: Vec<String>,
    stderr: Vec<String>,
    args: Vec<String>,
    stdin: Option<String>,
    env: Vec<(String, String)>,
    signal: Option<(i32, String)>,
    timeout: Duration,
}

fn main() {
    let arguments = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lua");
    let mut scripts = Vec::new();
    find(&root, &mut scripts);
    scripts.sort();
    let is_root = rustix::process::geteuid().is_root();
    let trials = scripts.into_iter().map(|path| {
        let name = path.strip_prefix(&root).unwrap_or(&path).with_extension("").display().to_string();
        let needs = Needs { archives: name.starts_with("privileged/"), registries: name.starts_with("registry/") };
        let skip = (needs.archives || needs.registries) && !is_root;
        if skip {
            eprintln!("skipped, needs root: {name}");
        }
        Trial::test(name, move || run(&path, &needs)).with_ignored_flag(skip)
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    stand::clear();
    conclusion.exit();
}

/// What of `stand` a script finds.
struct Needs {
    archives: bool,
    registries: bool,
}

impl Needs {
    fn variables(&self) -> Result<Vec<(String, String)>, String> {
        let mut list = Vec::new();
        if self.archives || self.registries {
            list.extend(stand::Archives::get()?.variables());
        }
        if self.registries {
            list.extend(stand::Registries::get()?.variables());
        }
        Ok(list)
    }
}

fn find(folder: &Path, scripts: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // Folders named `lib` hold modules that scripts require.
        if path.is_dir() && path.file_name().is_some_and(|name| name != "lib") {
            find(&path, scripts);
        } else if path.extension().is_some_and(|ending| ending == "lua") {
            scripts.push(path);
        }
    }
}

fn expected(path: &Path) -> Result<Expected, Failed> {
    let text = std::fs::read_to_string(path)?;
    let folder = path.parent().unwrap_or(Path::new(".")).display().to_string();
    let mut expected = Expected { timeout: Duration::from_secs(30), ..Expected::default() };
    for line in text.lines().take_while(|line| line.starts_with('#') || line.starts_with("--")) {
        let Some((key, value)) = line.trim_start_matches("--").trim_start().split_once(':') else { continue };
        // One space belongs to the comment, the rest to the value.
        let value = value.strip_prefix(' ').unwrap_or(value);
        match key {
            "expect-status" => expected.status = value.parse()?,
            "expect-stdout" => expected.stdout.push(value.into()),
            "expect-stderr" => expected.stderr.push(value.into()),
            "args" => expected.args = value.split(' ').map(String::from).collect(),
            "stdin" => expected.stdin = Some(value.replace("\\n", "\n")),
            "env" => {
                let (name, value) = value.split_once('=').ok_or("env: NAME=VALUE")?;
                expected.env.push((name.into(), value.replace("@DIR@", &folder)));
            }
            "signal" => {
                let (signal, line) = value.split_once(" when ").ok_or("signal: INT when LINE")?;
                let number = if signal == "TERM" { libc::SIGTERM } else { libc::SIGINT };
                expected.signal = Some((number, line.into()));
            }
            "timeout-ms" => expected.timeout = Duration::from_millis(value.parse()?),
            _ => {}
        }
    }
    Ok(expected)
}

fn run(path: &Path, needs: &Needs) -> Result<(), Failed> {
    let expected = expected(path)?;
    let variables = needs.variables()?;
    let home = tempfile::tempdir()?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_moonshell"));
    command.arg(path).args(&expected.args).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", home.path()).env("MOONSHELL_ROOT", home.path().join("root"));
    command.env("MOONSHELL", env!("CARGO_BIN_EXE_moonshell"));
    command.env("MOONSHELL_PATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lua/lib"));
    command.envs(variables).envs(expected.env.iter().cloned());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().ok_or("no stdin")?;
    // A script that reads nothing may have ended: its status tells.
    let _ = stdin.write_all(expected.stdin.as_deref().unwrap_or_default().as_bytes());
    drop(stdin);

    let mut stderr = child.stderr.take().ok_or("no stderr")?;
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        text
    });
    let pid = rustix::process::Pid::from_child(&child);
    let (sender, timer) = mpsc::channel::<()>();
    let limit = expected.timeout;
    let watchdog = std::thread::spawn(move || {
        let late = timer.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
        if late {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        late
    });
    let mut lines = Vec::new();
    for line in BufReader::new(child.stdout.take().ok_or("no stdout")?).lines() {
        let line = line?;
        if let Some((signal, wanted)) = &expected.signal
            && line == *wanted
        {
            let signal =
                if *signal == libc::SIGTERM { rustix::process::Signal::TERM } else { rustix::process::Signal::INT };
            rustix::process::kill_process(pid, signal)?;
        }
        if line.starts_with("skipped:") {
            eprintln!("{}: {line}", path.display());
        }
        lines.push(line);
    }
    let status = child.wait()?;
    drop(sender);
    let late = watchdog.join().unwrap_or(true);
    let errors = errors.join().unwrap_or_default();
    let report = format!("{status}\nstdout:\n{}\nstderr:\n{errors}", lines.join("\n"));
    if late {
        return Err(format!("did not end within {limit:?}: {report}").into());
    }
    if status.code() != Some(expected.status) {
        return Err(format!("expected status {}, got {report}", expected.status).into());
    }
    if !expected.stdout.is_empty() && expected.stdout != lines {
        return Err(format!("expected on stdout:\n{}\ngot {report}", expected.stdout.join("\n")).into());
    }
    match expected.stderr.iter().find(|wanted| !errors.contains(*wanted)) {
        Some(wanted) => Err(format!("expected on stderr: {wanted}\ngot {report}").into()),
        None => Ok(()),
    }
}
