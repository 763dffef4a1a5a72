//! The commands about containers, through the program.

use std::io::Write;
use std::process::Stdio;

#[path = "support/engine.rs"]
#[allow(dead_code)]
mod engine;
#[path = "support/home.rs"]
mod home;

use home::{Home, parts};

/// A home whose containers end with it.
struct Containers(Home);

impl std::ops::Deref for Containers {
    type Target = Home;
    fn deref(&self) -> &Home {
        &self.0
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        let (_, ids, _) = self.0.run(&["ps", "-aq"]);
        let ids: Vec<&str> = ids.lines().collect();
        if !ids.is_empty() {
            let _ = self.0.run(&[&["rm", "-f"], &ids[..]].concat());
        }
    }
}

fn containers() -> Option<Containers> {
    Home::with_image().map(Containers)
}

/// Starts a container that waits for its end.
fn waiting(home: &Home, name: &str) -> String {
    let id = home.out(&["run", "-d", "--name", name, "--stop-signal", "KILL", "busybox:1", "sleep", "1000"]);
    id.trim().to_string()
}

#[test]
fn run_gives_output_and_status() {
    let Some(home) = containers() else { return };
    assert_eq!(home.out(&["run", "--rm", "busybox:1", "echo", "hi", "--rm"]), "hi --rm\n");
    assert_eq!(
        home.run(&["run", "--rm", "busybox:1", "sh", "-c", "echo out; echo err >&2; exit 7"]),
        (7, "out\n".into(), "err\n".into())
    );
    assert_eq!(home.run(&["run", "--rm", "--init", "busybox:1", "sh", "-c", "kill -9 $$"]).0, 137);
    for (words, status, text) in
        [(&["nosuch"] as &[&str], 127, "command not found"), (&["/etc/passwd"], 126, "cannot execute")]
    {
        let (got, _, stderr) = home.run(&[&["run", "--rm", "busybox:1"], words].concat());
        assert!(got == status && stderr.contains(text), "{words:?}: {got} {stderr}");
    }
    for flags in
        [&["--user", "nobody-here"] as &[&str], &["--network", "nonsense"], &["-v", "/nosuch:/x"], &["--cap-add", "X"]]
    {
        let (got, _, stderr) = home.run(&[&["run", "--rm"], flags, &["busybox:1", "true"]].concat());
        assert!(got == 125 && stderr.starts_with("error: "), "{flags:?}: {got} {stderr}");
    }
    let (status, stdout, stderr) = home.run(&["run", "-d", "--name", "broken", "busybox:1", "nosuch"]);
    assert!(status == 127 && stdout.is_empty() && stderr.contains("command not found"), "{status} {stderr}");
    assert_eq!(home.out(&["rm", "broken"]), "broken\n");
    let (status, _, stderr) = home.run(&["run", "--pull", "never", "nosuch:1"]);
    assert!(status == 125 && stderr.contains("no such image"), "{status} {stderr}");
    assert_eq!(home.out(&["ps", "-aq"]), "");
    let text = home.out(&[
        "run",
        "--rm",
        "-e",
        "A=1",
        "-e",
        "HOME",
        "-e",
        "NOT_SET",
        "-w",
        "/tmp",
        "-u",
        "1000:1000",
        "-h",
        "box",
        "--entrypoint",
        "",
        "busybox:1",
        "sh",
        "-c",
        "echo $A $HOME ${NOT_SET-none} $(pwd) $(id -u) $(hostname)",
    ]);
    assert_eq!(text, format!("1 {} none /tmp 1000 box\n", home.dir.path().display()));
    let mut command = home.command(&["run", "--rm", "-i", "busybox:1", "cat"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"through").unwrap();
    assert_eq!(parts(child.wait_with_output().unwrap()), (0, "through".into(), String::new()));
}

#[test]
fn a_life_from_create_to_rm() {
    let Some(home) = containers() else { return };
    let id = waiting(&home, "web");
    assert!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    let list = home.out(&["ps", "--format", "{{.ID}} {{.Names}} {{.Image}} {{.Command}} {{.State}} {{.Status}}"]);
    assert!(list.starts_with(&format!("{} web busybox:1 \"sleep 1000\" running Up ", &id[..12])), "{list}");
    let headings = home.out(&["ps"]);
    let headings = headings.lines().next().unwrap().split("   ").map(str::trim).filter(|w| !w.is_empty());
    let expected = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"];
    assert_eq!(headings.collect::<Vec<_>>(), expected);
    assert_eq!(home.out(&["ps", "--no-trunc", "-q"]), format!("{id}\n"));
    assert_eq!(home.out(&["ps", "--format", "c.name .. ':' .. c.status"]), "web:running\n");
    assert_eq!(
        home.out(&["inspect", "-f", "{{.State.Status}} {{.Name}} {{.Config.Image}}", &id[..6]]),
        "running web busybox:1\n"
    );

    assert_eq!(home.out(&["pause", "web"]), "web\n");
    assert!(home.out(&["ps", "--format", "{{.Status}}"]).trim().ends_with("(Paused)"));
    assert_eq!(home.out(&["unpause", "web"]), "web\n");
    assert_eq!(home.out(&["rename", "web", "www"]), "");
    assert_eq!(home.run(&["rm", "www"]).0, 1);
    let (status, stdout, stderr) = home.run(&["stop", "nosuch", "www"]);
    assert_eq!((status, stdout.as_str(), stderr.as_str()), (1, "www\n", "error: no such container 'nosuch'\n"));
    assert_eq!(home.out(&["ps", "-q"]), "");
    assert!(home.out(&["ps", "-a", "--format", "{{.Status}}"]).starts_with("Exited (137) "));
    assert_eq!(home.out(&["wait", "www"]), "137\n");
    assert_eq!(home.out(&["start", "www"]), "www\n");
    assert_eq!(home.out(&["restart", "-t", "0", "www"]), "www\n");
    assert_eq!(home.out(&["kill", "-s", "KILL", "www"]), "www\n");
    assert_eq!(home.out(&["wait", "www"]), "137\n");
    assert_eq!(home.run(&["kill", "www"]).0, 1);
    assert_eq!(home.run(&["kill", "-s", "NONSENSE", "www"]).0, 1);
    assert_eq!(home.out(&["rm", "www"]), "www\n");
    assert_eq!(home.run(&["start", "www"]).0, 125);
    let (status, stdout, stderr) = home.run(&["rm", "-f", "www"]);
    assert_eq!((status, stdout.as_str(), stderr.as_str()), (0, "", "warning: no such container 'www'\n"));
}

#[test]
fn exec_runs_programs_in_it() {
    let Some(home) = containers() else { return };
    waiting(&home, "box");
    assert_eq!(home.out(&["exec", "box", "echo", "a", "-b"]), "a -b\n");
    assert_eq!(home.run(&["exec", "box", "sh", "-c", "exit 5"]).0, 5);
    assert_eq!(home.run(&["exec", "box", "nosuch"]).0, 127);
    assert_eq!(home.run(&["exec", "box", "/etc/passwd"]).0, 126);
    assert_eq!(home.run(&["exec", "nosuch", "true"]).0, 125);
    let text =
        home.out(&["exec", "-e", "A=1", "-w", "/etc", "-u", "1000", "box", "sh", "-c", "echo $A $(pwd) $(id -u)"]);
    assert_eq!(text, "1 /etc 1000\n");
    assert_eq!(home.out(&["exec", "-d", "box", "sh", "-c", "echo x > /tmp/done; sleep 1000"]), "");
    let mut child = home.command(&["exec", "-i", "box", "cat"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"in").unwrap();
    assert_eq!(parts(child.wait_with_output().unwrap()), (0, "in".into(), String::new()));
    let processes = home.out(&["top", "box"]);
    assert!(processes.lines().count() >= 2 && processes.contains("sleep 1000"), "{processes}");
    assert_eq!(home.out(&["kill", "box"]), "box\n");
    home.out(&["wait", "box"]);
    let (status, _, stderr) = home.run(&["exec", "box", "true"]);
    assert!(status == 125 && stderr.contains("box"), "{status} {stderr}");
}

#[test]
fn logs_keep_the_streams_apart() {
    let Some(home) = containers() else { return };
    home.run(&["run", "--name", "talk", "busybox:1", "sh", "-c", "echo one; echo two >&2; echo three; printf end"]);
    assert_eq!(home.run(&["logs", "talk"]), (0, "one\nthree\nend".into(), "two\n".into()));
    // How the two streams interleave is not said: the last lines of one.
    home.run(&["run", "--name", "count", "busybox:1", "sh", "-c", "echo 1; echo 2; echo 3; printf 4"]);
    assert_eq!(home.out(&["logs", "-n", "2", "count"]), "3\n4");
    assert_eq!(home.out(&["logs", "--tail", "all", "count"]), "1\n2\n3\n4");
    assert_eq!(home.out(&["logs", "--tail", "0", "count"]), "");
    assert_eq!(home.run(&["logs", "-f", "--since", "1h", "talk"]).1, "one\nthree\nend");
    assert_eq!(home.run(&["logs", "--until", "1h", "talk"]).1, "");
    let stamped = home.run(&["logs", "-t", "talk"]).1;
    assert!(stamped.lines().next().unwrap().ends_with("Z one") && stamped.starts_with("20"), "{stamped}");
    // Without attributes there is still the blank.
    assert_eq!(home.run(&["logs", "--details", "talk"]).1, " one\n three\n end");
    let options = ["--label", "app=a b", "-e", "LANG=C", "--log-opt", "labels=app", "--log-opt", "env=LANG"];
    home.run(&[&["run", "--name", "more"], &options[..], &["busybox:1", "echo", "hi"]].concat());
    assert_eq!(home.out(&["logs", "--details", "more"]), "LANG=C,app=a+b hi\n");
    let stamped = home.out(&["logs", "--details", "-t", "more"]);
    assert!(stamped.ends_with("Z LANG=C,app=a+b hi\n"), "{stamped}");
}

#[test]
fn sizes_are_its_own_and_with_what_is_below() {
    let Some(home) = containers() else { return };
    home.run(&["run", "--name", "box", "busybox:1", "sh", "-c", "head -c 5000 /dev/zero > /file"]);
    let size = home.out(&["ps", "-as", "--format", "{{.Size}}"]);
    let all = size.trim_end().strip_prefix("5kB (virtual ").and_then(|rest| rest.strip_suffix("MB)"));
    // The busybox below has some two megabytes.
    assert!(all.is_some_and(|all| all.parse::<f64>().is_ok_and(|all| all > 0.5)), "{size}");
}

#[test]
fn files_go_in_and_come_out() {
    let Some(home) = containers() else { return };
    waiting(&home, "files");
    std::fs::write(home.dir.path().join("here"), "text").unwrap();
    home.out(&["cp", "here", "files:/tmp/there"]);
    assert_eq!(home.out(&["exec", "files", "cat", "/tmp/there"]), "text");
    home.out(&["cp", "files:/tmp/there", "back"]);
    assert_eq!(std::fs::read_to_string(home.dir.path().join("back")).unwrap(), "text");
    let tar = home.command(&["cp", "files:/tmp/there", "-"]).output().unwrap();
    let mut archive = tar::Archive::new(&tar.stdout[..]);
    assert_eq!(archive.entries().unwrap().next().unwrap().unwrap().path().unwrap().to_str(), Some("there"));
    let mut into = home.command(&["cp", "-", "files:/etc"]);
    let mut child = into.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&tar.stdout).unwrap();
    assert_eq!(parts(child.wait_with_output().unwrap()).0, 0);
    assert_eq!(home.out(&["exec", "files", "cat", "/etc/there"]), "text");
    let diff = home.out(&["diff", "files"]);
    assert!(diff.contains("C /etc\n") && diff.contains("A /etc/there\n"), "{diff}");
    let id =
        home.out(&["commit", "-m", "with a file", "-a", "me", "-c", "CMD [\"cat\", \"/etc/there\"]", "files", "new:1"]);
    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(home.out(&["run", "--rm", "new:1"]), "text");
    home.out(&["export", "-o", "root.tar", "files"]);
    let mut archive = tar::Archive::new(std::fs::File::open(home.dir.path().join("root.tar")).unwrap());
    let found = archive.entries().unwrap().any(|entry| entry.unwrap().path().unwrap().ends_with("etc/there"));
    assert!(found);
    assert_eq!(home.run(&["cp", "files:/nosuch", "x"]).0, 1);
}

#[test]
fn lists_filter_and_count() {
    let Some(home) = containers() else { return };
    waiting(&home, "one");
    home.run(&["run", "--name", "two", "-l", "sort=b", "busybox:1", "sh", "-c", "exit 3"]);
    let id = home.out(&["create", "--name", "three", "-l", "sort=c", "--cidfile", "id", "busybox:1", "echo", "three"]);
    assert_eq!(std::fs::read_to_string(home.dir.path().join("id")).unwrap(), id.trim());
    let names = |flags: &[&str]| {
        let text = home.out(&[&["ps", "--format", "{{.Names}}"], flags].concat());
        text.lines().map(String::from).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&[]), "one");
    assert_eq!(names(&["-a"]), "three two one");
    assert_eq!(names(&["-l"]), "three");
    assert_eq!(names(&["-n", "2"]), "three two");
    assert_eq!(names(&["-f", "status=exited"]), "two");
    assert_eq!(names(&["-a", "-f", "exited=3"]), "two");
    assert_eq!(names(&["-f", "status=exited", "-f", "status=created"]), "three two");
    assert_eq!(names(&["-a", "-f", "label=sort"]), "three two");
    assert_eq!(names(&["-a", "-f", "label=sort=c"]), "three");
    assert_eq!(names(&["-a", "-f", "name=tw"]), "two");
    assert_eq!(names(&["-a", "-f", &format!("id={}", &id[..8])]), "three");
    assert_eq!(names(&["-a", "-f", "ancestor=busybox:1"]), "three two one");
    assert_eq!(names(&["-a", "-f", "before=three"]), "two one");
    assert_eq!(names(&["-a", "-f", "since=one"]), "three two");
    assert!(home.out(&["ps", "-as"]).lines().next().unwrap().ends_with("SIZE"));
    assert_eq!(home.run(&["start", "-a", "three"]), (0, "three\n".into(), String::new()));
    assert_eq!(home.run(&["start", "-a", "two"]).0, 3);

    assert_eq!(home.out(&["update", "--pids-limit", "50", "-m", "64m", "one"]), "one\n");
    assert_eq!(home.out(&["inspect", "-f", "{{.HostConfig.Memory}}", "one"]), "67108864\n");
    let stats = home.out(&["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}} {{.CPUPerc}} {{.MemUsage}}"]);
    assert!(stats.starts_with("one 1 ") && stats.trim().ends_with("64MiB"), "{stats}");
    let events =
        home.out(&["events", "--since", "1h", "--until", "0s", "-f", "container=two", "--format", "{{.Action}}"]);
    let actions: Vec<&str> = events.lines().collect();
    assert!(actions.contains(&"create") && actions.contains(&"start") && actions.contains(&"die"), "{actions:?}");
    assert!(home.out(&["system", "df"]).contains("Containers"));
    let pruned = home.out(&["container", "prune", "-f"]);
    assert!(pruned.contains("Deleted Containers:") && pruned.contains(id.trim()), "{pruned}");
    assert_eq!(names(&["-a"]), "one");
    let ids = home.out(&["ps", "-aq"]);
    assert_eq!(home.out(&[&["rm", "-f"], &ids.lines().collect::<Vec<_>>()[..]].concat()), ids);
}
