//! Limits: in the files, changed, refused.

use super::*;

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
