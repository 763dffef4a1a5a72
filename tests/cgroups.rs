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

#[test]
fn limits_are_in_the_files() {
    privileged!();
    let json = r#"{"memory": {"limit": 67108864, "reservation": 33554432}, "pids": {"limit": 20},
        "cpu": {"shares": 512, "quota": 50000, "period": 100000}}"#;
    let made = make("limits", json);
    let is = |v1, v2| file(&made.path, v1, v2);
    assert_eq!(is("memory.limit_in_bytes", "memory.max"), "67108864");
    assert_eq!(is("memory.soft_limit_in_bytes", "memory.low"), "33554432");
    assert_eq!(is("pids.max", "pids.max"), "20");
    match cgroups::host() {
        Host::V2 => assert_eq!((is("", "cpu.max"), is("", "cpu.weight")), ("50000 100000".into(), "20".into())),
        _ => {
            assert_eq!((is("cpu.cfs_quota_us", ""), is("cpu.cfs_period_us", "")), ("50000".into(), "100000".into()));
            assert_eq!(is("cpu.shares", ""), "512");
        }
    }
    let found = Cgroup::open(&made.path).unwrap().unwrap();
    found.remove().unwrap();
    assert!(folders(&made.path).is_empty());
    assert!(Cgroup::open(&made.path).unwrap().is_none());
    found.remove().unwrap();
}

#[test]
fn other_limits_are_in_the_files_or_said_to_be_missing() {
    privileged!();
    let node = fs::metadata("/dev/vda").map(|meta| std::os::unix::fs::MetadataExt::rdev(&meta));
    let (major, minor) = node.map_or((0, 0), |device| (rustix::fs::major(device), rustix::fs::minor(device)));
    let throttle = format!(
        r#"{{"blockIO": {{"throttleReadBpsDevice": [{{"major": {major}, "minor": {minor}, "rate": 1048576}}]}}}}"#
    );
    let table = [
        (r#"{"cpu": {"cpus": "0", "mems": "0"}}"#, "cpuset.cpus", "cpuset.cpus", "0"),
        (
            r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}"#,
            "hugetlb.2MB.limit_in_bytes",
            "hugetlb.2MB.max",
            "4194304",
        ),
        (r#"{"memory": {"swappiness": 7}}"#, "memory.swappiness", "", "7"),
        (r#"{"memory": {"disableOOMKiller": true}}"#, "memory.oom_control", "", "oom_kill_disable 1"),
        (r#"{"network": {"classID": 1048577}}"#, "net_cls.classid", "", "1048577"),
        (r#"{"network": {"priorities": [{"name": "lo", "priority": 3}]}}"#, "net_prio.ifpriomap", "", "lo 3"),
        (r#"{"unified": {"memory.high": "33554432"}}"#, "", "memory.high", "33554432"),
        (r#"{"cpu": {"idle": 1}}"#, "cpu.idle", "cpu.idle", "1"),
        (r#"{"cpu": {"quota": 50000, "burst": 20000}}"#, "cpu.cfs_burst_us", "cpu.max.burst", "20000"),
        (r#"{"blockIO": {"weight": 1000}}"#, "blkio.bfq.weight", "io.bfq.weight|io.weight", "1000"),
        (throttle.as_str(), "blkio.throttle.read_bps_device", "io.max", "1048576"),
    ];
    for (json, v1, v2, value) in table {
        if json.contains(r#""major": 0"#) {
            continue;
        }
        let path = path("other");
        match Cgroup::create(&path, &resources(json)) {
            Ok(cgroup) => {
                let made = Made { path, cgroup };
                let said = file(&made.path, v1, v2);
                assert!(said.contains(value), "{json}: {said}");
                println!("{json}: {said}");
            }
            Err(error) => {
                assert_eq!(error.kind(), Kind::Unsupported, "{json}: {error}");
                println!("{json}: {error}");
                assert!(folders(&path).is_empty());
            }
        }
    }
}

#[test]
fn a_refused_limit_leaves_nothing() {
    privileged!();
    let path = path("refused");
    for (json, kind, part) in [
        (
            r#"{"pids": {"limit": 9}, "cpu": {"cpus": "9000"}}"#,
            Kind::InvalidArgument,
            "cpuset_cpus '9000': this machine has",
        ),
        (r#"{"pids": {"limit": 9}, "cpu": {"quota": 1}}"#, Kind::InvalidArgument, "cpu_quota '1': the kernel refuses"),
        (r#"{"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}"#, Kind::Unsupported, "hugepages"),
        (
            r#"{"blockIO": {"throttleReadBpsDevice": [{"major": 4000, "minor": 0, "rate": 9}]}}"#,
            Kind::InvalidArgument,
            "device_read_bps '4000:0=9': there is no such device",
        ),
    ] {
        let error = Cgroup::create(&path, &resources(json)).unwrap_err();
        assert!(error.kind() == kind && error.message().contains(part), "{error:?}");
        assert!(folders(&path).is_empty());
    }
}

/// The C library's constant has too few bits.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Forks a process that enters a cgroup at once, and waits in it for an event.
#[allow(unsafe_code)]
fn born_in(joining: &Joining, event: &impl AsFd) -> Pid {
    // SAFETY: zeros are valid for these numbers.
    let mut arguments = libc::clone_args { exit_signal: libc::SIGCHLD as u64, ..unsafe { std::mem::zeroed() } };
    if let Some(folder) = &joining.v2 {
        arguments.flags = CLONE_INTO_CGROUP;
        arguments.cgroup = folder.as_raw_fd() as u64;
    }
    // SAFETY: the child calls nothing but write, read and _exit, which need no lock another thread may hold.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>()) };
    if pid == 0 {
        let failed = joining.v1.iter().any(|tasks| rustix::io::write(tasks, b"0") != Ok(1));
        if !failed {
            let _ = rustix::io::read(event, &mut [0; 8]);
        }
        // SAFETY: it does not return.
        unsafe { libc::_exit(i32::from(failed)) }
    }
    Pid::from_raw(pid as i32).expect("clone3")
}

#[test]
fn a_process_is_born_in() {
    privileged!();
    let made = make("join", "{}");
    let joining = made.cgroup.join().unwrap();
    assert_eq!(cgroups::host() == Host::V2, joining.v2.is_some());
    assert_eq!(cgroups::host() == Host::V1, !joining.v1.is_empty());
    // An event that never comes.
    let never = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    let pid = born_in(&joining, &never);
    let deadline = Instant::now() + Duration::from_secs(10);
    // There is no event for it either.
    while folders(&made.path).iter().any(|folder| fs::read_to_string(folder.join("cgroup.procs")).unwrap().is_empty()) {
        assert!(Instant::now() < deadline, "it did not enter everywhere");
    }
    assert_eq!(made.cgroup.processes().unwrap(), [pid]);
    made.cgroup.kill_all().unwrap();
    let (_, status) = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(status.terminating_signal(), Some(9));
    assert_eq!(made.cgroup.processes().unwrap(), []);
}

/// `cargo test --test cgroups cost -- --ignored --nocapture` shows it; the rest of the tests would disturb it.
#[test]
#[ignore = "a measurement"]
fn what_a_cgroup_costs() {
    privileged!();
    let rules = serde_json::to_string(&cgroups::default_devices()).unwrap();
    let limits = r#""memory": {"limit": 67108864}, "pids": {"limit": 20}, "cpu": {"quota": 50000, "period": 100000}"#;
    let kinds = [
        ("nothing", "{}".to_string()),
        ("limits", format!("{{{limits}}}")),
        ("devices", format!(r#"{{"devices": {rules}}}"#)),
        ("both", format!(r#"{{{limits}, "devices": {rules}}}"#)),
    ];
    for (name, json) in kinds {
        let (path, resources) = (path("cost"), resources(&json));
        let mut times: [Vec<u128>; 6] = Default::default();
        for _ in 0..200 {
            let mut at = Instant::now();
            let mut lap = |times: &mut Vec<u128>| {
                times.push(at.elapsed().as_nanos());
                at = Instant::now();
            };
            let cgroup = Cgroup::create(&path, &resources).unwrap();
            lap(&mut times[0]);
            let joining = cgroup.join().unwrap();
            lap(&mut times[1]);
            let ready = rustix::event::eventfd(
                2,
                rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::SEMAPHORE,
            )
            .unwrap();
            let wait = |pid| rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap();
            let outside = Joining::default();
            lap(&mut Vec::new());
            wait(born_in(&outside, &ready));
            lap(&mut times[2]);
            wait(born_in(&joining, &ready));
            lap(&mut times[3]);
            cgroup.kill_all().unwrap();
            lap(&mut times[4]);
            cgroup.remove().unwrap();
            lap(&mut times[5]);
        }
        let medians = times.map(|mut list| {
            list.sort_unstable();
            (list[list.len() / 2] / 1000, list[list.len() * 9 / 10] / 1000)
        });
        let names = ["create", "open to join", "a child outside", "a child inside", "kill_all", "remove"];
        println!("{name}: {:?} (median, 90 of 100, in us)", names.iter().zip(medians).collect::<Vec<_>>());
    }
}

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
fn limits_change_while_in_use_or_not_at_all() {
    privileged!();
    let json = r#"{"memory": {"limit": 67108864}, "pids": {"limit": 20}, "cpu": {"quota": 50000, "period": 100000}}"#;
    let made = make("update", json);
    let mut shell = Shell::within(&made.cgroup);
    let memory = |made: &Made| file(&made.path, "memory.limit_in_bytes", "memory.max");
    let pids = |made: &Made| file(&made.path, "pids.max", "pids.max");
    let quota = |made: &Made| file(&made.path, "cpu.cfs_quota_us", "cpu.max");
    made.cgroup.apply(&resources(r#"{"memory": {"limit": 134217728}, "pids": {"limit": -1}}"#)).unwrap();
    assert_eq!((memory(&made), pids(&made)), ("134217728".into(), "max".into()));
    let before = (memory(&made), quota(&made), pids(&made));
    // The quota is too small for any kernel; it is written after memory.
    let error = made.cgroup.apply(&resources(r#"{"memory": {"limit": 33554432}, "cpu": {"quota": 1}}"#)).unwrap_err();
    assert_eq!(error.message(), "cpu_quota '1': the kernel refuses this value");
    assert_eq!((memory(&made), quota(&made), pids(&made)), before);
    let error =
        made.cgroup.apply(&resources(r#"{"pids": {"limit": 7}, "hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}"#));
    assert_eq!(error.unwrap_err().kind(), Kind::Unsupported);
    assert_eq!((memory(&made), quota(&made), pids(&made)), before);
    made.cgroup.apply(&resources(r#"{"cpu": {"period": 50000}}"#)).unwrap();
    assert!(quota(&made).starts_with("50000"));
    assert_eq!(shell.ask("echo alive"), "alive");
}

#[test]
fn a_limit_that_needs_another_hierarchy_takes_everybody_there() {
    privileged!();
    let made = make("extend", "{}");
    let (mut shell, inner) = (Shell::within(&made.cgroup), Shell::start());
    nest(&made, &inner);
    // The quota is refused after the processes have moved: they move back.
    let error = made.cgroup.apply(&resources(r#"{"cpu": {"cpus": "0", "quota": 1}}"#)).unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidArgument);
    let allowed = |pid: Pid| {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim().to_string()
    };
    let before = allowed(shell.pid());
    if cgroups::host() == Host::V1 {
        assert!(!folders(&made.path).iter().any(|folder| folder.to_string_lossy().contains("cpuset")));
    }
    made.cgroup.apply(&resources(r#"{"cpu": {"cpus": "0"}}"#)).unwrap();
    assert_eq!((allowed(shell.pid()), allowed(inner.pid())), ("0".into(), "0".into()), "before {before}");
    assert_eq!(shell.ask("echo alive"), "alive");
    made.cgroup.kill_all().unwrap();
    made.cgroup.remove().unwrap();
    assert!(folders(&made.path).is_empty());
}

#[test]
fn swap_is_limited_or_said_not_to_be_counted() {
    privileged!();
    let path = path("swap");
    let made = match Cgroup::create(&path, &resources(r#"{"memory": {"limit": 8388608, "swap": 16777216}}"#)) {
        Err(error) => {
            assert_eq!(error.message(), "memory_swap: this kernel does not count swap");
            assert!(folders(&path).is_empty());
            return;
        }
        Ok(cgroup) => Made { path, cgroup },
    };
    let both = |made: &Made| {
        let swap = file(&made.path, "memory.memsw.limit_in_bytes", "memory.swap.max");
        (file(&made.path, "memory.limit_in_bytes", "memory.max"), swap)
    };
    let expect = |memory: u32, v1: u32, v2: u32| {
        let swap = if cgroups::host() == Host::V2 { v2 } else { v1 };
        (memory.to_string(), swap.to_string())
    };
    assert_eq!(both(&made), expect(8_388_608, 16_777_216, 8_388_608));
    made.cgroup.apply(&resources(r#"{"memory": {"limit": 33554432, "swap": 50331648}}"#)).unwrap();
    assert_eq!(both(&made), expect(33_554_432, 50_331_648, 16_777_216));
    made.cgroup.apply(&resources(r#"{"memory": {"limit": 8388608, "swap": 8388608}}"#)).unwrap();
    assert_eq!(both(&made), expect(8_388_608, 8_388_608, 0));
    made.cgroup.apply(&resources(r#"{"memory": {"limit": -1}}"#)).unwrap();
    assert!(made.cgroup.stats().unwrap().memory.limit_bytes > 1 << 30);
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
