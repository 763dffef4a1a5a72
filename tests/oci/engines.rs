//! Real engines on this runtime: podman and dockerd, where they are installed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::bundle::is_root;

struct Stand {
    dir: tempfile::TempDir,
    runtime: PathBuf,
}

impl Stand {
    /// A folder with a root file system as an archive, and the runtime under its name; none where `program` is missing.
    fn new(program: &str) -> Option<Stand> {
        let found =
            |name: &str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
        if !is_root() || !found(program) {
            eprintln!("SKIPPED: {program} is not installed");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        crate::engine::busybox_root(&root);
        let archive = dir.path().join("root.tar");
        assert!(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".").status().unwrap().success());
        let runtime = dir.path().join("moonshell-oci");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_moonshell"), &runtime).unwrap();
        Some(Stand { dir, runtime })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The same conversation with either engine.
fn talk(engine: &dyn Fn(&[&str]) -> Output) {
    let ok = |words: &[&str]| {
        let output = engine(words);
        assert!(output.status.success(), "{words:?}: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).trim_end().to_string()
    };
    let run = ["run", "--rm", "--network", "none", "box:1"];
    let output = engine(&[&run[..], &["sh", "-c", "echo out; exit 3"]].concat());
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(3), &b"out\n"[..]), "{}", text(&output));
    assert_eq!(engine(&[&run[..], &["nosuch"]].concat()).status.code(), Some(127));
    assert_eq!(engine(&[&run[..], &["/etc/passwd"]].concat()).status.code(), Some(126));
    let script = "echo to out; echo to err >&2; while :; do sleep 0.05; done";
    ok(&["run", "-d", "--name", "long", "--network", "none", "box:1", "sh", "-c", script]);
    let output = engine(&["exec", "long", "sh", "-c", "id -u; exit 5"]);
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(5), &b"0\n"[..]), "{}", text(&output));
    assert_eq!(
        ok(&["exec", "-u", "1000", "-w", "/tmp", "-e", "A=1", "long", "sh", "-c", "id -u; pwd; echo $A"]),
        "1000\n/tmp\n1"
    );
    assert!(ok(&["exec", "-t", "long", "sh", "-c", "test -t 0 && echo tty"]).contains("tty"));
    assert!(!engine(&["exec", "long", "nosuch"]).status.success());
    let logs = text(&engine(&["logs", "long"]));
    assert!(logs.contains("to out") && logs.contains("to err"), "{logs}");
    ok(&["pause", "long"]);
    assert!(ok(&["ps", "-a"]).to_lowercase().contains("paused"));
    ok(&["unpause", "long"]);
    assert!(ok(&["stats", "--no-stream", "long"]).contains("long"));
    assert!(ok(&["top", "long"]).contains("sh -c"));
    ok(&["kill", "-s", "KILL", "long"]);
    let status = ok(&["wait", "long"]);
    assert_eq!(status, "137");
    ok(&["rm", "long"]);
}

#[test]
fn podman() {
    let Some(stand) = Stand::new("podman") else { return };
    std::fs::write(stand.path("containers.conf"), "[containers]\ndefault_ulimits=[]\n").unwrap();
    let engine = |words: &[&str]| {
        let mut command = Command::new("unshare");
        // podman looks for one kind of cgroups and stumbles over two.
        let line = "umount /sys/fs/cgroup/unified 2>/dev/null; exec podman \"$@\"";
        command.args(["-m", "sh", "-c", line, "podman", "--cgroup-manager", "cgroupfs", "--root"]);
        command.arg(stand.path("store")).arg("--runroot").arg(stand.path("run"));
        command.arg("--runtime").arg(&stand.runtime).args(words);
        command.env("CONTAINERS_CONF", stand.path("containers.conf")).stdin(Stdio::null());
        command.output().unwrap()
    };
    let output = engine(&["import", stand.path("root.tar").to_str().unwrap(), "box:1"]);
    assert!(output.status.success(), "{}", text(&output));
    talk(&engine);
    // Its overlay stays mounted otherwise.
    engine(&["system", "reset", "-f"]);
}

struct Daemon(Child, PathBuf);

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
        // What it left mounted in its folder.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        for line in mounts.lines().rev() {
            let target = line.split(' ').nth(1).unwrap_or_default();
            if Path::new(target).starts_with(&self.1) {
                let _ = nix::mount::umount2(target, nix::mount::MntFlags::MNT_DETACH);
            }
        }
    }
}

#[test]
fn docker() {
    let Some(stand) = Stand::new("dockerd") else { return };
    let host = format!("unix://{}", stand.path("socket").display());
    let mut command = Command::new("dockerd");
    command.args(["--bridge=none", "--iptables=false", "--host", &host, "--data-root"]).arg(stand.path("data"));
    command.arg("--exec-root").arg(stand.path("exec")).arg("--pidfile").arg(stand.path("pid"));
    command.arg("--add-runtime").arg(format!("moon={}", stand.runtime.display())).arg("--default-runtime=moon");
    let log = std::fs::File::create(stand.path("log")).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let _daemon = Daemon(command.spawn().unwrap(), stand.dir.path().to_path_buf());
    let engine = |words: &[&str]| {
        Command::new("docker").arg("--host").arg(&host).args(words).stdin(Stdio::null()).output().unwrap()
    };
    // It says nothing when it is ready.
    let ready = (0..600).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        engine(&["version"]).status.success()
    });
    assert!(ready, "{}", std::fs::read_to_string(stand.path("log")).unwrap());
    let output = engine(&["import", stand.path("root.tar").to_str().unwrap(), "box:1"]);
    assert!(output.status.success(), "{}", text(&output));
    talk(&engine);
}
