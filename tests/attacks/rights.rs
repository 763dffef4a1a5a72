//! What a container's processes may do: capabilities, control groups, devices, mounts.

use std::fs;

use moonshell::engine::container::inside::ExecOptions;
use moonshell::engine::container::options::{Device, DeviceRule, Options, Seccomp};

use crate::{Arena, IDLE, bind};

const DEFAULT_CAPS: &str = "00000000a80425fb";
const NONE: &str = "0000000000000000";

fn open_filter() -> Options {
    Options { seccomp: Seccomp::Unconfined, ..Options::default() }
}

/// The five sets, as `/proc/self/status` has them.
const SETS: &str = "sed -n 's/^Cap...:.//p' /proc/self/status";

#[test]
fn capabilities_of_further_processes() {
    let arena = Arena::new(|_, _| ());
    let running = arena.start(IDLE, &Options::default()).unwrap();
    let all = fs::read_to_string("/proc/self/status").unwrap();
    let all = all.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).unwrap().to_string();
    let ask = |user: Option<&str>, privileged| {
        let exec = ExecOptions { user: user.map(Into::into), privileged, ..ExecOptions::default() };
        running.exec_with(SETS, &exec).unwrap().out
    };
    // Inheritable, permitted, effective, bounding, ambient.
    let sets = |permitted: &str, bounding: &str| format!("{NONE}\n{permitted}\n{permitted}\n{bounding}\n{NONE}\n");
    assert_eq!(ask(None, false), sets(DEFAULT_CAPS, DEFAULT_CAPS));
    assert_eq!(ask(Some("ann"), false), sets(NONE, DEFAULT_CAPS));
    assert_eq!(ask(None, true), sets(&all, &all));
    assert_eq!(ask(Some("ann"), true), sets(NONE, &all));
    for user in [None, Some("ann".to_string())] {
        let permitted = if user.is_some() { NONE } else { DEFAULT_CAPS };
        let options = Options { user, ..Options::default() };
        assert_eq!(arena.run(SETS, &options).unwrap().out, sets(permitted, DEFAULT_CAPS));
    }
    let status = "grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status | cut -f 2";
    assert_eq!(running.exec(status).out, "0\n2\n");
    let quiet =
        arena.start(IDLE, &Options { no_new_privileges: true, cap_drop: vec!["ALL".into()], ..Options::default() });
    let quiet = quiet.unwrap();
    assert_eq!(quiet.exec(status).out, "1\n2\n");
    assert_eq!(quiet.exec(SETS).out, sets(NONE, NONE));
}

/// A program that the kernel runs as the host's root when a control group becomes empty (CVE-2022-0492), with and
/// without a user namespace, with and without the filter.
#[test]
fn release_agents() {
    let arena = Arena::new(|_, _| ());
    let line = "mkdir -p /tmp/cg; \
        try() { for c in rdma misc memory cpu devices net_cls; do \
            mount -t cgroup -o $c cgroup /tmp/cg 2>/dev/null && echo mounted $c && \
            (echo /bin/evil > /tmp/cg/release_agent) 2>/dev/null && echo wrote $c; done; \
          mount -t cgroup2 cgroup2 /tmp/cg 2>/dev/null && echo mounted v2; \
          mount -o remount,rw /sys/fs/cgroup 2>/dev/null && echo remounted; \
          for f in $(find /sys/fs/cgroup -name 'release_agent' -o -name devices.allow -o -name notify_on_release \
                     -o -name cgroup.procs -o -name tasks); do \
            (echo 1 > $f) 2>/dev/null && echo wrote $f; mount -o remount,rw ${f%/*} 2>/dev/null && echo remounted $f; done; \
          mkdir /sys/fs/cgroup/memory/new 2>/dev/null && echo made; }; try; echo end";
    for options in [Options::default(), open_filter()] {
        let output = arena.run(line, &options).unwrap();
        assert_eq!(output.out, "end\n", "{output:?}");
        let inner = line.replace('\'', "");
        for flags in ["-U -r -m", "-U -r -m -p -f"] {
            let output = arena.run(&format!("unshare {flags} sh -c '{inner}' 2>/dev/null; true"), &options).unwrap();
            assert!(matches!(output.out.as_str(), "" | "end\n"), "unshare {flags}: {output:?}");
            assert!(options.seccomp == Seccomp::Unconfined || output.out.is_empty(), "a user namespace: {output:?}");
        }
    }
}

/// Nodes can be made, not opened, wherever they are made and whatever else is allowed.
#[test]
fn nodes_of_devices() {
    let arena = Arena::new(|_, _| ());
    fs::create_dir(arena.path("shown")).unwrap();
    let rule = |text: &str| DeviceRule::parse(text).unwrap();
    let device = |text: &str| Device::parse(text).unwrap();
    let sets = [
        Options::default(),
        open_filter(),
        Options { device_rules: vec![rule("c 42:* rmw"), rule("c 1:99 rwm")], ..Options::default() },
        Options { devices: vec![device("/dev/zero:/dev/mine:r")], ..Options::default() },
        Options { cap_add: vec!["ALL".into()], ..open_filter() },
    ];
    // A disk, memory, a port, a number that is given away at run time, a loop device.
    let line = "for d in /tmp /dev /dev/shm /data /; do \
        for n in 'b 8 0' 'c 1 1' 'c 1 4' 'c 254 0' 'b 7 0' 'c 10 200' 'c 10 237'; do \
          rm -f $d/node; mknod -m 666 $d/node $n 2>/dev/null || continue; \
          (exec 3<$d/node) 2>/dev/null && echo read $d $n; (exec 3>$d/node) 2>/dev/null && echo write $d $n; rm -f $d/node; \
        done; done; rm -f /node; mknod /node c 1 3 && echo made";
    for (at, options) in sets.into_iter().enumerate() {
        let options = Options { mounts: vec![bind(&arena.path("shown"), "/data")], ..options };
        let output = arena.run(line, &options).unwrap();
        assert_eq!(output.out, "made\n", "set {at}: {output:?}");
        let running = arena.start(IDLE, &options).unwrap();
        assert_eq!(running.exec(line).out, "made\n", "set {at}, exec");
    }
    // What was given for reading is not for writing.
    let Some(given) = ["/dev/fuse", "/dev/net/tun", "/dev/loop0"].into_iter().find(|path| fs::metadata(path).is_ok())
    else {
        eprintln!("skipped: no device to give away");
        return;
    };
    let line = "(exec 3</dev/mine) && echo read; (exec 3>/dev/mine) 2>/dev/null && echo wrote; echo end";
    let tried = |access| {
        let options = Options { devices: vec![device(&format!("{given}:/dev/mine:{access}"))], ..Options::default() };
        arena.run(line, &options).unwrap().out
    };
    assert_eq!(tried("r"), "read\nend\n");
    assert_eq!(tried("rw"), "read\nwrote\nend\n");
}

/// Mounts in a container that may mount, also below folders of the host.
#[test]
fn mounts_do_not_come_out() {
    let arena = Arena::new(|_, _| ());
    fs::create_dir_all(arena.path("shown/inner")).unwrap();
    let before = arena.mounts();
    let line = "for d in /tmp /data /data/inner /mnt; do mkdir -p $d; mount -t tmpfs x $d && echo m; touch $d/made-inside; done; \
        mount --make-rshared / ; mount -o bind /data /tmp; mount --bind / /tmp; mount -o remount,ro /data; \
        umount -l /proc/kcore; umount -l /proc; umount -l /; echo end";
    let options = Options {
        mounts: vec![bind(&arena.path("shown"), "/data")],
        cap_add: vec!["SYS_ADMIN".into()],
        ..open_filter()
    };
    let running = arena.start("sleep 100000", &options).unwrap();
    let output = running.exec(line);
    assert!(output.out.contains("m\nm\nm\n"), "nothing was mounted: {output:?}");
    assert_eq!(arena.mounts(), before);
    assert!(!arena.path("shown/inner/made-inside").exists() && !arena.path("shown/made-inside").exists());
    drop(running);
    assert_eq!(arena.mounts(), before);
    // From the start every mount is cut off: none is a peer or a slave of one outside.
    let fresh =
        arena.run("cat /proc/self/mountinfo", &Options { mounts: options.mounts, ..Options::default() }).unwrap();
    assert!(!fresh.out.contains("shared:") && !fresh.out.contains("master:"), "{}", fresh.out);
    // And a mount made outside does not come in.
    let asked = Options { mounts: vec![bind(&arena.path("shown"), "/data")], ..Options::default() };
    let running = arena.start(IDLE, &asked).unwrap();
    let tmpfs = arena.path("shown/inner");
    rustix::mount::mount("x", &tmpfs, "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
    fs::write(tmpfs.join("later"), "").unwrap();
    let seen = running.exec("ls /data/inner").out;
    rustix::mount::unmount(&tmpfs, rustix::mount::UnmountFlags::DETACH).unwrap();
    assert_eq!(seen, "");
}

/// An image's labels, annotations and variables with words that engines use for themselves change nothing.
#[test]
fn labels_and_annotations_are_data() {
    use moonshell::engine::build::Manner;
    use moonshell::engine::build::settings::Setting;
    let names = [
        "moonshell.privileged",
        "moonshell.seccomp",
        "moonshell.hooks",
        "moonshell.root",
        "run.oci.keep_original_groups",
        "run.oci.mount_context_type",
        "run.oci.handler",
        "run.oci.hooks.stdin",
        "run.oci.seccomp.receiver",
        "run.oci.systemd.force_cgroup_v1",
        "io.podman.annotations.privileged",
        "io.podman.annotations.seccomp",
        "io.containers.trace-syscall",
        "io.crun.handler",
        "io.kubernetes.cri-o.Devices",
        "io.kubernetes.cri-o.userns-mode",
        "io.kubernetes.cri-o.umask",
        "io.kubernetes.cri-o.UnifiedCgroup.memory.max",
        "org.systemd.property.MemoryMax",
        "org.criu.config",
        "com.docker.security.privileged",
        "devices.cdi.io",
        "module.wasm.image/variant",
        "org.opencontainers.image.base.name",
        "nvidia.com/gpu",
    ];
    let values =
        ["1", "true", "unconfined", "/etc/passwd", "../../../../etc", "$(touch /ran)", "{\"Privileged\":true}"];
    let mut arena = Arena::new(|_, _| ());
    let line = format!(
        "{SETS}; id -G; umask; grep -E '^(Seccomp|NoNewPrivs|Groups):' /proc/self/status; cat /proc/self/mountinfo | \
        cut -d ' ' -f 4- | sed 's/[0-9a-f]\\{{12,\\}}/ID/g' | sed 's/.*overlay.*//'; ls /dev; pwd; ulimit -a; cat /proc/self/oom_score_adj"
    );
    let plain = arena.run(&line, &Options { hostname: Some("same".into()), ..Options::default() }).unwrap();
    let pairs: Vec<(String, String)> =
        names.iter().flat_map(|name| values.map(|value| (name.to_string(), value.to_string()))).collect();
    for value in 0..values.len() {
        let some: Vec<_> = pairs.iter().skip(value).step_by(values.len()).cloned().collect();
        let label = Setting::Label(some.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect());
        arena.image = arena.image.set(&label, &Manner::default()).unwrap();
        let options =
            Options { hostname: Some("same".into()), annotations: some.clone(), labels: some, ..Options::default() };
        let output = arena.run(&line, &options).unwrap();
        assert_eq!(output.out, plain.out, "value {}", values[value]);
    }
}
