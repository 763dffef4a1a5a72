//! Freezing, killing, devices, figures, and several at once.

use super::*;

#[test]
fn freezing_stops_and_thawing_goes_on() {
    privileged!();
    let made = make("freeze", "{}");
    let mut shell = Shell::within(&made.cgroup);
    assert_eq!(shell.ask("echo $((6 * 7))"), "42");
    assert!(!made.cgroup.is_frozen().unwrap());
    made.cgroup.freeze().unwrap();
    assert!(made.cgroup.is_frozen().unwrap());
    made.cgroup.freeze().unwrap();
    // v1 stops where no signal reaches, v2 as a signal does.
    assert!(shell.state().starts_with(['D', 'S']), "{}", shell.state());
    let before = fs::read_to_string(format!("/proc/{}/stat", shell.child.id())).unwrap();
    shell.tell("while :; do :; done & echo on");
    let limit = rustix::event::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let fd = rustix::event::PollFd::new(shell.output.get_ref(), rustix::event::PollFlags::IN);
    assert_eq!(rustix::event::poll(&mut [fd], Some(&limit)).unwrap(), 0, "a frozen shell answers");
    let times = |text: &str| text.rsplit(')').next().unwrap().split(' ').skip(12).take(2).collect::<Vec<_>>().join(" ");
    let after = fs::read_to_string(format!("/proc/{}/stat", shell.child.id())).unwrap();
    assert_eq!(times(&before), times(&after));
    made.cgroup.thaw().unwrap();
    assert!(!made.cgroup.is_frozen().unwrap());
    assert_eq!(shell.listen(), "on");
    made.cgroup.freeze().unwrap();
    made.cgroup.kill_all().unwrap();
    assert_eq!(made.cgroup.processes().unwrap(), []);
}

#[test]
fn everybody_is_killed_in_nested_cgroups_too() {
    privileged!();
    let made = make("kill", r#"{"cpu": {"cpus": "0"}}"#);
    let (mut shell, inner) = (Shell::within(&made.cgroup), Shell::start());
    nest(&made, &inner);
    assert_eq!(shell.ask("for i in 1 2 3 4 5; do /bin/busybox sleep 600 & done; echo started"), "started");
    let list = made.cgroup.processes().unwrap();
    assert!(list.contains(&shell.pid()) && list.contains(&inner.pid()) && list.len() == 7, "{list:?}");
    let error = made.cgroup.remove().unwrap_err();
    assert_eq!(error.kind(), Kind::InUse);
    assert!(error.message().contains(&inner.child.id().to_string()), "{error}");
    made.cgroup.kill_all().unwrap();
    assert_eq!(made.cgroup.processes().unwrap(), []);
    made.cgroup.remove().unwrap();
    assert!(folders(&made.path).is_empty());
}

#[test]
fn a_fork_bomb_is_swept() {
    privileged!();
    let made = make("bomb", r#"{"pids": {"limit": 50}}"#);
    let mut shell = Shell::within(&made.cgroup);
    shell.tell("exec 2>/dev/null; f() { f & f & }; while :; do f; done");
    let deadline = Instant::now() + Duration::from_secs(20);
    while made.cgroup.stats().unwrap().pids.current < 40 {
        assert!(Instant::now() < deadline, "no bomb");
    }
    cgroups::sweep(&made.path).unwrap();
    assert!(folders(&made.path).is_empty());
}

#[test]
fn an_end_for_want_of_memory_is_counted() {
    privileged!();
    let json = r#"{"memory": {"limit": 8388608, "swap": 8388608}}"#;
    let made = match Cgroup::create(&path("oom"), &resources(json)) {
        Err(error) if error.kind() == Kind::Unsupported => make("oom", r#"{"memory": {"limit": 8388608}}"#),
        cgroup => Made { cgroup: cgroup.unwrap(), path: path("oom") },
    };
    let mut shell = Shell::within(&made.cgroup);
    assert_eq!(made.cgroup.oom_kills().unwrap(), 0);
    let status = shell.ask("/bin/busybox dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null; echo $?");
    assert_eq!(status, "137");
    assert_eq!(made.cgroup.oom_kills().unwrap(), 1);
}

#[test]
fn devices_are_refused_but_those_allowed() {
    privileged!();
    let rules = serde_json::to_string(&cgroups::default_devices()).unwrap();
    let made = make("devices", &format!(r#"{{"devices": {rules}}}"#));
    let mut shell = Shell::within(&made.cgroup);
    let dir = tempfile::tempdir().unwrap();
    let node = dir.path().join("mem").display().to_string();
    let question = format!(
        "( : >/dev/null ) 2>/dev/null && echo null; \
         /bin/busybox mknod {node} c 1 1 2>/dev/null && ( : <{node} ) 2>/dev/null && echo memory; \
         ( : >/dev/kmsg ) 2>/dev/null && echo kmsg; echo end"
    );
    let hear = |shell: &mut Shell| {
        shell.tell(&question);
        std::iter::from_fn(|| Some(shell.listen()).filter(|line| line != "end")).collect::<Vec<_>>()
    };
    assert_eq!(hear(&mut shell), ["null"]);
    let kmsg = r#"{"allow": true, "type": "c", "major": 1, "minor": 11, "access": "rw"}"#;
    let more = rules.replace("]", &format!(",{kmsg}]"));
    made.cgroup.apply(&resources(&format!(r#"{{"devices": {more}}}"#))).unwrap();
    assert_eq!(hear(&mut shell), ["null", "kmsg"]);
    // Many times, as the kernel takes a limited number of programs.
    for _ in 0..70 {
        made.cgroup.apply(&resources(&format!(r#"{{"devices": {rules}}}"#))).unwrap();
    }
    assert_eq!(hear(&mut shell), ["null"]);
}

#[test]
fn figures_are_true() {
    privileged!();
    let made = make("stats", r#"{"memory": {"limit": 67108864}, "pids": {"limit": 20}}"#);
    let mut shell = Shell::within(&made.cgroup);
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    let line = format!(
        "/bin/busybox dd if=/dev/zero of={data} bs=1M count=4 2>/dev/null; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done"
    );
    assert_eq!(shell.ask(&line), "done");
    let stats = made.cgroup.stats().unwrap();
    assert!(stats.cpu.total_ns > 1_000_000 && stats.cpu.online >= 1, "{stats:?}");
    // Time is split by what ticks (up to 10 ms each) happened to meet.
    assert!(stats.cpu.total_ns + 100_000_000 >= stats.cpu.user_ns, "{stats:?}");
    assert_eq!(stats.memory.limit_bytes, 67_108_864);
    assert!(stats.memory.usage_bytes > 0 && stats.memory.usage_bytes < 67_108_864, "{stats:?}");
    assert!(stats.memory.host_bytes > 67_108_864 && stats.memory.max_usage_bytes != Some(0), "{stats:?}");
    assert_eq!((stats.pids.current, stats.pids.limit), (1, Some(20)));
    let text = serde_json::to_string(&stats).unwrap();
    assert_eq!(serde_json::from_str::<cgroups::Stats>(&text).unwrap(), stats);
}

#[test]
fn many_are_made_at_once() {
    privileged!();
    let threads: Vec<_> = (0..8)
        .map(|number| {
            std::thread::spawn(move || {
                for round in 0..5 {
                    let made = make(&format!("many-{number}-{round}"), r#"{"pids": {"limit": 5}}"#);
                    assert_eq!(file(&made.path, "pids.max", "pids.max"), "5");
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_cgroup_with_processes_is_not_taken_over() {
    privileged!();
    let made = make("taken", r#"{"pids": {"limit": 5}}"#);
    let shell = Shell::within(&made.cgroup);
    let error = Cgroup::create(&made.path, &resources("{}")).unwrap_err();
    assert_eq!(error.kind(), Kind::InUse);
    assert_eq!(made.cgroup.processes().unwrap(), [shell.pid()]);
    assert_eq!(file(&made.path, "pids.max", "pids.max"), "5");
}
