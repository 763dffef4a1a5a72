//! Control groups on the host the tests run on: limits, freezer, figures, ends. Run by root; `tests/vm.rs` runs the
//! same executable on hosts with cgroup v2 alone and with v1 alone.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use moonshell::engine::container::cgroups::{self, Cgroup, Host, Joining};
use moonshell::engine::error::Kind;
use oci_spec::runtime::LinuxResources;
use rustix::process::Pid;

/// Says so and ends the test where cgroups cannot be made.
macro_rules! privileged {
    () => {
        if !rustix::process::geteuid().is_root() || cgroups::host() == Host::None {
            eprintln!("skipped: needs root and cgroups");
            return;
        }
    };
}

mod birth;
mod life;
mod limits;

fn resources(json: &str) -> LinuxResources {
    serde_json::from_str(json).unwrap()
}

/// A cgroup that is gone after its test, whatever happens.
struct Made {
    path: String,
    cgroup: Cgroup,
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Err(error) = cgroups::sweep(&self.path) {
            eprintln!("cgroup {} remains: {error}", self.path);
        }
    }
}

fn path(name: &str) -> String {
    format!("/moonshell/test-{name}-{}", std::process::id())
}

fn make(name: &str, json: &str) -> Made {
    let path = path(name);
    Made { cgroup: Cgroup::create(&path, &resources(json)).unwrap(), path }
}

/// The folders of a cgroup in all hierarchies.
fn folders(path: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let list = mounts.lines().filter(|line| line.contains(" - cgroup")).map(|line| {
        let mount = line.split(' ').nth(4).unwrap();
        PathBuf::from(format!("{mount}{path}"))
    });
    list.filter(|folder| folder.exists()).collect()
}

/// What a control file says, in whichever hierarchy it is; the name on v1 or that on v2.
fn file(path: &str, v1: &str, v2: &str) -> String {
    let folders = folders(path);
    let found = folders
        .iter()
        .flat_map(|folder| [v1].into_iter().chain(v2.split('|')).map(|name| folder.join(name)))
        .find(|file| file.is_file());
    fs::read_to_string(found.unwrap_or_else(|| panic!("{path} has no {v1}"))).unwrap().trim().to_string()
}

/// A shell that runs what it is told and ends with the test.
struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Shell {
    fn start() -> Shell {
        let mut child =
            Command::new("/bin/busybox").arg("sh").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Shell { child, input, output }
    }

    /// One in a cgroup.
    fn within(cgroup: &Cgroup) -> Shell {
        let shell = Shell::start();
        cgroup.add(shell.pid()).unwrap();
        shell
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32).unwrap()
    }

    /// Has it run a line and print one.
    fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.listen()
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    fn listen(&mut self) -> String {
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer.trim().to_string()
    }

    fn state(&self) -> String {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        text.lines().find_map(|line| line.strip_prefix("State:")).unwrap().trim().to_string()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a cgroup within a cgroup, in each hierarchy, with a process in it.
fn nest(made: &Made, shell: &Shell) {
    for folder in folders(&made.path) {
        let inner = folder.join("inner");
        fs::create_dir(&inner).unwrap();
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if cgroups::host() == Host::V1 && folder.join(file).exists() {
                fs::write(inner.join(file), fs::read(folder.join(file)).unwrap()).unwrap();
            }
        }
        fs::write(inner.join("cgroup.procs"), shell.child.id().to_string()).unwrap();
    }
}
