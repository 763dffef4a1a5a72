//! What the process is: user, capabilities, limits, priorities, descriptors; and further processes.

use std::fs;
use std::os::fd::AsRawFd;

use serde_json::json;

use crate::bundle::{Bundle, is_root};

#[test]
fn user_groups_umask_and_home() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("id -u; id -g; id -G; umask; echo $HOME; pwd");
    bundle.config["process"]["user"] = json!({ "uid": 1000, "gid": 1000, "additionalGids": [10, 20], "umask": 63 });
    bundle.config["process"]["cwd"] = "/made/for/it".into();
    assert_eq!(bundle.run(), "1000\n1000\n1000 10 20\n0077\n/home/ann\n/made/for/it");
}

#[test]
fn capabilities_of_root_and_others() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("grep -E '^(Cap|NoNew)' /proc/self/status | tr -s '\\t' ' '");
    let none = "0000000000000000";
    let sets = |bounding: &str, permitted: &str, inheritable: &str, ambient: &str| {
        format!(
            "CapInh: {inheritable}\nCapPrm: {permitted}\nCapEff: {permitted}\nCapBnd: {bounding}\nCapAmb: {ambient}"
        )
    };
    let all = "00000000080000e3";
    assert_eq!(bundle.run(), sets(all, all, none, none) + "\nNoNewPrivs: 1");
    bundle.config["process"]["noNewPrivileges"] = false.into();
    bundle.config["process"]["user"]["uid"] = 1000.into();
    assert_eq!(bundle.run(), sets(all, none, none, none) + "\nNoNewPrivs: 0");
    for set in ["inheritable", "ambient"] {
        bundle.config["process"]["capabilities"][set] = json!(["CAP_KILL"]);
    }
    let kill = "0000000000000020";
    assert_eq!(bundle.run(), sets(all, kill, kill, kill) + "\nNoNewPrivs: 0");
}

#[test]
fn limits_and_priorities() {
    if !is_root() {
        return;
    }
    let script = "ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj; grep -E '^(policy|prio)' /proc/self/sched \
                  | tr -d ' '; cat /proc/self/personality";
    let mut bundle = Bundle::new(script);
    bundle.config["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 100, "hard": 200 }]);
    bundle.config["process"]["oomScoreAdj"] = 77.into();
    bundle.config["process"]["scheduler"] = json!({ "policy": "SCHED_BATCH", "nice": 5 });
    bundle.config["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_IDLE", "priority": 0 });
    bundle.config["linux"]["personality"] = json!({ "domain": "LINUX32" });
    let text = bundle.run();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(&lines[..3], ["100", "200", "77"]);
    assert!(lines.contains(&"policy:3") && lines.contains(&"prio:125"), "{text}");
    assert_eq!(lines.last(), Some(&"00000008"));
    bundle.config["process"]["ioPriority"]["priority"] = 9.into();
    assert!(bundle.fails(&["run", &bundle.id("x")]).contains("ioPriority 9 is out of range"));
}

#[test]
fn preserved_descriptors_and_no_others() {
    if !is_root() {
        return;
    }
    let bundle = Bundle::new("cat <&3; echo /proc/self/fd/*; echo $LISTEN_FDS:$LISTEN_PID");
    fs::write(bundle.path().join("given"), "from outside\n").unwrap();
    let given = fs::File::open(bundle.path().join("given")).unwrap();
    let run = |listen: bool, flag: &[&str]| {
        let id = bundle.id("a");
        let mut arguments = vec!["run"];
        arguments.extend(flag);
        arguments.push(&id);
        let mut command = bundle.command(&arguments);
        if listen {
            command.env("LISTEN_FDS", "1");
        }
        // A shell puts it where it belongs: descriptor 3 of the runtime.
        let path = format!("/proc/{}/fd/{}", std::process::id(), given.as_raw_fd());
        let line = format!("exec \"$@\" 3<{path}");
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &line, "sh"]).arg(command.get_program()).args(command.get_args());
        shell.current_dir(bundle.path());
        if listen {
            shell.env("LISTEN_FDS", "1");
        }
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    // The shell that lists them has one of its own open.
    let fds = "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3";
    let text = run(false, &["--preserve-fds", "1"]);
    assert!(text.starts_with("from outside\n") && text.contains(fds) && !text.contains("fd/5"), "{text}");
    assert!(run(true, &[]).ends_with("\n1:1\n"));
    assert!(bundle.fails(&["run", "--preserve-fds", "500", &bundle.id("x")]).contains("is not open"));
}

#[test]
fn a_further_process() {
    if !is_root() {
        return;
    }
    let bundle = Bundle::new("while :; do sleep 0.05; done");
    let id = &bundle.id("a");
    bundle.ok(&["run", "-d", id]);
    let namespaces = "for n in pid mnt net cgroup uts ipc; do readlink /proc/self/ns/$n; done";
    let inside = bundle.ok(&["exec", id, "sh", "-c", namespaces]);
    assert_eq!(inside, bundle.ok(&["exec", id, "sh", "-c", &namespaces.replace("self", "1")]));
    let own = fs::read_link("/proc/self/ns/mnt").unwrap().display().to_string();
    assert!(!inside.contains(&own));
    assert_eq!(
        bundle.ok(&["exec", id, "sh", "-c", "cat /proc/self/cgroup"]),
        bundle.ok(&["exec", id, "sh", "-c", "cat /proc/1/cgroup"])
    );
    let who = bundle.ok(&[
        "exec",
        "-u",
        "1000:10",
        "--cwd",
        "/tmp",
        "-e",
        "A=b c",
        id,
        "sh",
        "-c",
        "id -u; id -g; pwd; echo $A; echo $HOME",
    ]);
    assert_eq!(who, "1000\n10\n/tmp\nb c\n/home/ann");
    assert_eq!(bundle.oci(&["exec", id, "sh", "-c", "exit 9"]).status.code(), Some(9));
    assert!(bundle.fails(&["exec", id, "nosuch"]).starts_with("executable file not found in $PATH"));
    assert!(bundle.fails(&["exec", id, "/etc/passwd"]).contains("permission denied"));
    assert!(bundle.fails(&["exec", "--cwd", "/nope", id, "true"]).contains("working folder /nope does not exist"));
    assert!(bundle.fails(&["exec", "--cwd", "/etc/passwd", id, "true"]).contains("is not a folder"));
    let seen = bundle.ok(&["exec", id, "sh", "-c", "echo /proc/self/fd/*"]);
    assert!(!seen.contains("fd/4"), "{seen}");
    let bits = bundle.ok(&["exec", "--cap", "CAP_SYS_TIME", id, "grep", "CapEff", "/proc/self/status"]);
    assert!(bits.ends_with("000000000a0000e3"), "{bits}");
}

#[test]
fn a_further_process_from_a_file_detached() {
    if !is_root() {
        return;
    }
    let bundle = Bundle::new("while :; do sleep 0.05; done");
    let id = &bundle.id("a");
    bundle.ok(&["run", "-d", id]);
    let mut process = bundle.config["process"].clone();
    process["args"] = json!(["sleep", "1000"]);
    process["execCPUAffinity"] = json!({ "initial": "0", "final": "0" });
    let file = bundle.path().join("process.json");
    fs::write(&file, process.to_string()).unwrap();
    let pid_file = bundle.path().join("pid");
    bundle.ok(&["exec", "-d", "--process", file.to_str().unwrap(), "--pid-file", pid_file.to_str().unwrap(), id]);
    let pid = fs::read_to_string(&pid_file).unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("Name:\tsleep") && status.contains("Cpus_allowed_list:\t0\n"), "{status}");
    assert!(bundle.ok(&["ps", id]).contains(&pid));
    bundle.ok(&["kill", "-a", id, "KILL"]);
    bundle.wait_status(id, "stopped");
}

#[test]
fn a_working_folder_through_a_descriptor_leads_nowhere() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("pwd; ls /");
    for number in 3..40 {
        let path = format!("/proc/self/fd/{number}");
        bundle.config["process"]["cwd"] = path.clone().into();
        let text = bundle.fails(&["run", &bundle.id("a")]);
        assert!(text.contains("working folder"), "{text}");
    }
    bundle.config["process"]["cwd"] = "/".into();
    bundle.config["process"]["args"][2] = "while :; do sleep 0.05; done".into();
    let id = &bundle.id("b");
    bundle.ok(&["run", "-d", id]);
    bundle.ok(&[
        "exec",
        id,
        "sh",
        "-c",
        "for n in 3 4 5 6 7 8 9 10 11 12; do busybox ln -s /proc/self/fd/$n /tmp/$n; done",
    ]);
    for number in 3..13 {
        bundle.fails(&["exec", "--cwd", &format!("/tmp/{number}"), id, "pwd"]);
    }
}

#[test]
fn the_runtimes_own_file_cannot_be_written() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("while :; do sleep 0.05; done");
    let program = fs::read(env!("CARGO_BIN_EXE_moonshell")).unwrap();
    let id = &bundle.id("a");
    bundle.ok(&["create", id]);
    let state: serde_json::Value = serde_json::from_str(&bundle.ok(&["state", id])).unwrap();
    // The first process still is the runtime; as root of the host its file cannot be opened for writing either.
    let own = format!("/proc/{}/exe", state["pid"]);
    let refused = fs::OpenOptions::new().write(true).open(own).unwrap_err();
    assert!(matches!(refused.raw_os_error(), Some(libc::EROFS | libc::ETXTBSY)), "{refused}");
    bundle.config["process"]["args"] = json!(["/proc/self/exe", "--version"]);
    bundle.oci(&["run", &bundle.id("b")]);
    assert!(fs::read(env!("CARGO_BIN_EXE_moonshell")).unwrap() == program);
}

#[test]
fn seccomp_refuses_and_notifies() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("mkdir /tmp/x 2>&1; grep ^Seccomp: /proc/self/status");
    bundle.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95 }],
    });
    let text = bundle.run();
    assert!(text.contains("Operation not supported") && text.ends_with("Seccomp:\t2"), "{text}");
    let path = bundle.path().join("agent");
    bundle.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": path, "listenerMetadata": "meta",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY" }],
    });
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let agent = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let (bytes, fds) = moonshell::engine::sys::fd::receive(&stream, 64 << 10).unwrap();
        // Without a listener, which is closed here, such calls fail.
        (serde_json::from_slice::<serde_json::Value>(&bytes).unwrap(), fds.len())
    });
    let text = bundle.run();
    let (state, count) = agent.join().unwrap();
    assert!(text.contains("Function not implemented"), "{text}");
    assert_eq!((count, &state["fds"], &state["metadata"]), (1, &json!(["seccompFd"]), &"meta".into()));
    assert!(state["pid"].as_i64().unwrap() > 1 && state["state"]["id"] == bundle.id("run").as_str(), "{state}");
    bundle.config["linux"]["seccomp"]["syscalls"][0]["names"] = json!(["sendmsg"]);
    assert!(bundle.fails(&["run", &bundle.id("x")]).contains("SCMP_ACT_NOTIFY cannot be used for sendmsg"));
}

#[test]
fn a_filter_that_allows_hardly_anything() {
    if !is_root() {
        return;
    }
    let mut bundle = Bundle::new("");
    bundle.config["process"]["args"] = json!(["/bin/true"]);
    let names = [
        "execve",
        "read",
        "write",
        "close",
        "exit",
        "exit_group",
        "brk",
        "arch_prctl",
        "set_tid_address",
        "mprotect",
        "set_robust_list",
        "rseq",
        "prlimit64",
        "readlink",
        "readlinkat",
        "getrandom",
        "getuid",
        "getgid",
        "prctl",
        "mmap",
    ];
    bundle.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_KILL_PROCESS",
        "syscalls": [{ "names": names, "action": "SCMP_ACT_ALLOW" }],
    });
    bundle.run();
    bundle.config["process"]["args"] = json!(["/no/such"]);
    let text = bundle.fails(&["run", &bundle.id("x")]);
    assert!(text.contains("executable file not found"), "{text}");
}
