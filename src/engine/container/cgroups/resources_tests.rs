//! What limits come to as control files.

use std::collections::HashMap;

use super::*;

/// A cgroup that has every controller in one version, and the given files.
struct Fake {
    version: Version,
    files: HashMap<&'static str, &'static str>,
}

impl Target for Fake {
    fn version(&self, controller: &str) -> Result<Version> {
        match controller {
            "net_cls" => Err(Error::new(Kind::Unsupported, "this host has no cgroup controller 'net_cls'")),
            _ => Ok(self.version),
        }
    }

    fn now(&self, _: &str, file: &str) -> Result<Option<String>> {
        Ok(self.files.get(file).map(|text| text.to_string()))
    }
}

fn writes(version: Version, files: &[(&'static str, &'static str)], json: &str) -> Result<Vec<String>> {
    let resources: LinuxResources = serde_json::from_str(json).unwrap();
    let list = settings(&resources, &Fake { version, files: files.iter().copied().collect() })?;
    Ok(list.iter().map(|one| format!("{} {}", one.file, one.value)).collect())
}

#[test]
fn limits_of_either_version() {
    let json = r#"{"memory": {"limit": 64000, "swap": 96000, "reservation": 32000},
        "cpu": {"shares": 1024, "quota": 50000, "period": 100000, "idle": 0}, "pids": {"limit": 10},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}"#;
    let now = [("memory.memsw.limit_in_bytes", "9223372036854771712"), ("cpu.cfs_period_us", "100000")];
    let v1 = [
        "memory.limit_in_bytes 64000",
        "memory.memsw.limit_in_bytes 96000",
        "memory.soft_limit_in_bytes 32000",
        "cpu.shares 1024",
        "cpu.cfs_period_us 100000",
        "cpu.cfs_quota_us 50000",
        "cpu.idle 0",
        "pids.max 10",
        "hugetlb.2MB.limit_in_bytes 4194304",
        "hugetlb.2MB.rsvd.limit_in_bytes 4194304",
    ];
    assert_eq!(writes(V1, &now, json).unwrap(), v1);
    let v2 = [
        "memory.max 64000",
        "memory.swap.max 32000",
        "memory.low 32000",
        "cpu.weight 39",
        "cpu.max 50000 100000",
        "cpu.idle 0",
        "pids.max 10",
        "hugetlb.2MB.max 4194304",
        "hugetlb.2MB.rsvd.max 4194304",
    ];
    assert_eq!(writes(V2, &[("memory.swap.max", "max")], json).unwrap(), v2);
}

#[test]
fn no_limit_is_written_as_such_and_nothing_asked_for_is_not_written() {
    let json = r#"{"memory": {"limit": -1}, "cpu": {"quota": -1}, "pids": {"limit": -1}}"#;
    let now = [("memory.memsw.limit_in_bytes", "1000")];
    let v1 = ["memory.memsw.limit_in_bytes -1", "memory.limit_in_bytes -1", "cpu.cfs_quota_us -1", "pids.max max"];
    assert_eq!(writes(V1, &now, json).unwrap(), v1);
    let v2 = ["memory.max max", "memory.swap.max max", "cpu.max max 20000", "pids.max max"];
    assert_eq!(writes(V2, &[("cpu.max", "1000 20000")], json).unwrap(), v2);
    let zeros = r#"{"memory": {"limit": 0, "swap": 0, "reservation": 0, "kernel": 0}, "pids": {"limit": 0},
        "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": "", "realtimeRuntime": 0},
        "blockIO": {"weight": 0}, "network": {"classID": 0}}"#;
    for version in [V1, V2] {
        assert_eq!(writes(version, &[], zeros).unwrap(), Vec::<String>::new());
    }
    assert!(extra_controllers(&serde_json::from_str(zeros).unwrap()).is_empty());
}

#[test]
fn memory_and_swap_change_in_an_order_in_which_each_step_is_valid() {
    let json = r#"{"memory": {"limit": 500, "swap": 800}}"#;
    let (memory, swap) = ("memory.limit_in_bytes 500", "memory.memsw.limit_in_bytes 800");
    assert_eq!(writes(V1, &[("memory.memsw.limit_in_bytes", "900")], json).unwrap(), [memory, swap]);
    assert_eq!(writes(V1, &[("memory.memsw.limit_in_bytes", "400")], json).unwrap(), [swap, memory]);
}

#[test]
fn quota_period_and_burst_change_in_an_order_in_which_each_step_is_valid() {
    let json = r#"{"cpu": {"quota": 5000, "period": 20000, "burst": 1000}}"#;
    let (quota, period, burst) = ("cpu.cfs_quota_us 5000", "cpu.cfs_period_us 20000", "cpu.cfs_burst_us 1000");
    let now = [("cpu.cfs_period_us", "10000"), ("cpu.cfs_burst_us", "0")];
    assert_eq!(writes(V1, &now, json).unwrap(), [period, quota, burst]);
    let now = [("cpu.cfs_period_us", "30000"), ("cpu.cfs_burst_us", "7000")];
    assert_eq!(writes(V1, &now, json).unwrap(), [burst, quota, period]);
}

#[test]
fn swap_alone_needs_a_limit_of_memory() {
    let json = r#"{"memory": {"swap": 800}}"#;
    let counted = ("memory.memsw.limit_in_bytes", "9223372036854771712");
    let unlimited = [counted, ("memory.limit_in_bytes", "9223372036854771712")];
    let error = writes(V1, &unlimited, json).unwrap_err();
    assert_eq!((error.kind(), &error.message()[..11]), (Kind::InvalidArgument, "memory_swap"));
    assert!(writes(V2, &[("memory.swap.max", "max"), ("memory.max", "max")], json).is_err());
    let limited = [counted, ("memory.limit_in_bytes", "500")];
    assert_eq!(writes(V1, &limited, json).unwrap(), ["memory.memsw.limit_in_bytes 800"]);
    let limited = [("memory.swap.max", "max"), ("memory.max", "500")];
    assert_eq!(writes(V2, &limited, json).unwrap(), ["memory.swap.max 300"]);
    assert!(writes(V1, &limited, r#"{"memory": {"limit": 900, "swap": 800}}"#).is_err());
}

#[test]
fn a_kernel_that_does_not_count_swap_is_told_apart() {
    for version in [V1, V2] {
        let error = writes(version, &[], r#"{"memory": {"limit": 500, "swap": 800}}"#).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert_eq!(error.message(), "memory_swap: this kernel does not count swap");
        assert_eq!(
            writes(version, &[], r#"{"memory": {"limit": 500, "swap": -1}}"#).unwrap()[0].split(' ').next_back(),
            Some("500")
        );
    }
}

#[test]
fn block_devices_of_either_version() {
    let json = r#"{"blockIO": {"weight": 500, "weightDevice": [{"major": 8, "minor": 0, "weight": 1000}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1048576}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 0}]}}"#;
    let v1 = [
        "blkio.bfq.weight 500",
        "blkio.bfq.weight_device 8:0 1000",
        "blkio.throttle.read_bps_device 8:0 1048576",
        "blkio.throttle.write_iops_device 8:16 0",
    ];
    assert_eq!(writes(V1, &[("blkio.bfq.weight", "100")], json).unwrap(), v1);
    let v2 = ["io.weight 4950", "io.weight 8:0 10000", "io.max 8:0 rbps=1048576", "io.max 8:16 wiops=max"];
    assert_eq!(writes(V2, &[("io.weight", "default 100")], json).unwrap(), v2);
    let error = writes(V1, &[], json).unwrap_err();
    assert_eq!(error.message(), "blkio_weight: this kernel has no scheduler with weights");
    let error = writes(V1, &[("blkio.weight", "")], r#"{"blockIO": {"weight": 5}}"#).unwrap_err();
    assert_eq!(error.message(), "blkio_weight '5': it must be from 10 to 1000");
}

#[test]
fn what_a_version_does_not_have_is_said() {
    for (version, json, message) in [
        (V2, r#"{"memory": {"swappiness": 10}}"#, "memory_swappiness: cgroup v2 has no such limit"),
        (V2, r#"{"memory": {"disableOOMKiller": true}}"#, "oom_kill_disable: cgroup v2 has no such limit"),
        (V2, r#"{"cpu": {"realtimeRuntime": 1000}}"#, "cpu_rt_runtime: cgroup v2 has no such limit"),
        (V1, r#"{"unified": {"memory.high": "100"}}"#, "unified 'memory.high': this host has cgroup v1"),
        (V2, r#"{"unified": {"../x.y": "1"}}"#, "unified '../x.y': expected the name of a controller's file"),
        (
            V2,
            r#"{"unified": {"cgroup.procs": "1"}}"#,
            "unified 'cgroup.procs': expected the name of a controller's file",
        ),
        (V1, r#"{"network": {"classID": 7}}"#, "net_class_id: this host has no cgroup controller 'net_cls'"),
        (V1, r#"{"cpu": {"cpus": "0,x"}}"#, "cpuset_cpus '0,x': expected a list such as 0-3,7"),
        (
            V1,
            r#"{"hugepageLimits": [{"pageSize": "2MB/..", "limit": 1}]}"#,
            "hugepages '2MB/..': expected a page size such as 2MB",
        ),
    ] {
        assert_eq!(writes(version, &[], json).unwrap_err().message(), message);
    }
    let error = writes(V1, &[], r#"{"cpu": {"cpus": "9000"}}"#).unwrap_err();
    assert!(error.message().starts_with("cpuset_cpus '9000': this machine has processors 0"), "{error}");
}

#[test]
fn unified_files_are_written_line_by_line() {
    let json = r#"{"unified": {"io.max": "8:0 rbps=1\n8:16 wbps=2"}}"#;
    assert_eq!(writes(V2, &[], json).unwrap(), ["io.max 8:0 rbps=1", "io.max 8:16 wbps=2"]);
}
