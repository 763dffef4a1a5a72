//! A container's folder is a bundle of the OCI runtime specification: Debian's crun starts it from the same
//! `config.json`, and what a process sees there is what it sees under this engine, but for the differences in
//! `ALLOWED`.
//!
//! Needs root, and crun; without crun it is skipped, aloud.

#[path = "support/engine.rs"]
#[allow(dead_code)]
mod engine_support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use moonshell::engine::build::State;
use moonshell::engine::container::create::Target;
use moonshell::engine::container::foreground::Foreground;
use moonshell::engine::container::options::{Command as Program, Mount, Options, Ulimit};
use moonshell::engine::container::record::Record;
use moonshell::engine::container::start::Attachment;
use moonshell::engine::image::Policy;

/// Prints one fact a line, each with its subject.
const PROBE: &str = r#"
b() { /bin/busybox "$@"; }
b awk '{ at = 0; for (i = 7; i <= NF; i++) if ($i == "-") at = i; print "mount", $5, $(at + 1), $6 }' /proc/self/mountinfo
b df -k /dev/shm /dev 2>/dev/null | b awk 'NR > 1 { print "size", $6, $2 }'
b grep -E '^(Cap...|Seccomp|NoNewPrivs|Uid|Gid|Groups|Umask):' /proc/self/status | b sed 's/^/status /'
b awk 'NR > 1 { print "limit", substr($0, 1, 64) }' /proc/self/limits
b cat /proc/self/environ | b tr '\0' '\n' | b grep -v -E '^(SHLVL|PWD|OLDPWD)=' | b sed 's/^/env /'
echo "cwd $(b pwd)"
echo "host $(b hostname) $(b cat /etc/hostname)"
b sed 's/^/hosts /' /etc/hosts
(cd /dev && b find . | while read f; do echo "dev $(b stat -c '%n %F %a %u:%g %t:%T' $f)"; done)
echo "score $(b cat /proc/self/oom_score_adj)"
b ls /proc/self/fd | b sed 's/^/fd /'
for f in /proc/keys /proc/kcore /proc/timer_list /proc/interrupts; do test -e $f && echo "masked $f $(b cat $f 2>/dev/null | b wc -c)"; done
for f in /proc/sys/kernel/domainname /sys/fs/cgroup/x /x /tmp/x /data/x; do (: > $f) 2>/dev/null && echo "writable $f"; done
b cat /proc/self/cgroup | b sed 's/^/cgroup /'
b cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null | b sed 's/^/memory /'
b cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null | b sed 's/^/pids /'
true
"#;

/// What may differ: who says it, how the line begins, and why.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("moonshell", "mount / overlay rw,nodev,relatime", "the root holds no devices: those that are given are bound"),
    ("crun", "mount / overlay rw,relatime", "as above"),
    ("moonshell", "mount / overlay ro,nodev,relatime", "the root holds no devices: those that are given are bound"),
    ("crun", "mount / overlay ro,relatime", "as above"),
    ("moonshell", "mount /dev tmpfs rw,nosuid,nodev", "nor can anybody make one in /dev"),
    ("crun", "mount /dev tmpfs rw,nosuid", "crun makes nodes there"),
    ("moonshell", "mount /dev/full devtmpfs rw,relatime", "the host's node, bound"),
    ("moonshell", "mount /dev/null devtmpfs rw,relatime", "the host's node, bound"),
    ("moonshell", "mount /dev/random devtmpfs rw,relatime", "the host's node, bound"),
    ("moonshell", "mount /dev/tty devtmpfs rw,relatime", "the host's node, bound"),
    ("moonshell", "mount /dev/urandom devtmpfs rw,relatime", "the host's node, bound"),
    ("moonshell", "mount /dev/zero devtmpfs rw,relatime", "the host's node, bound"),
    ("crun", "dev ./core symbolic link", "a link to /proc/kcore, which is masked: left out"),
    ("moonshell", "dev ./null character special file 666 0:0", "the host's node keeps its owner"),
    ("crun", "dev ./null character special file 666 1000:1000", "crun gives its own to the user, as standard input"),
    ("moonshell", "mount /proc/acpi tmpfs ro,nosuid,nodev,noexec,relatime", "an empty folder that is good for nothing"),
    ("crun", "mount /proc/acpi tmpfs ro,relatime", "as above"),
    (
        "moonshell",
        "mount /proc/asound tmpfs ro,nosuid,nodev,noexec,relatime",
        "an empty folder that is good for nothing",
    ),
    ("crun", "mount /proc/asound tmpfs ro,relatime", "as above"),
    ("moonshell", "mount /proc/scsi tmpfs ro,nosuid,nodev,noexec,relatime", "an empty folder that is good for nothing"),
    ("crun", "mount /proc/scsi tmpfs ro,relatime", "as above"),
    (
        "moonshell",
        "mount /sys/devices/virtual/powercap tmpfs ro,nosuid,nodev,noexec,relatime",
        "an empty folder that is good for nothing",
    ),
    ("crun", "mount /sys/devices/virtual/powercap tmpfs ro,relatime", "as above"),
    (
        "moonshell",
        "mount /sys/firmware tmpfs ro,nosuid,nodev,noexec,relatime",
        "an empty folder that is good for nothing",
    ),
    ("crun", "mount /sys/firmware tmpfs ro,relatime", "as above"),
    (
        "moonshell",
        "mount /sys/kernel/debug tmpfs ro,nosuid,nodev,noexec,relatime",
        "an empty folder that is good for nothing",
    ),
    ("crun", "mount /sys/kernel/debug tmpfs ro,relatime", "as above"),
    ("moonshell", "mount /proc/interrupts devtmpfs rw,relatime", "the null device; writing to it changes nothing"),
    ("crun", "mount /proc/interrupts devtmpfs ro,relatime", "as above"),
    ("moonshell", "mount /proc/kcore devtmpfs rw,relatime", "the null device; writing to it changes nothing"),
    ("crun", "mount /proc/kcore devtmpfs ro,relatime", "as above"),
    ("moonshell", "mount /proc/keys devtmpfs rw,relatime", "the null device; writing to it changes nothing"),
    ("crun", "mount /proc/keys devtmpfs ro,relatime", "as above"),
    ("moonshell", "mount /proc/latency_stats devtmpfs rw,relatime", "the null device; writing to it changes nothing"),
    ("crun", "mount /proc/latency_stats devtmpfs ro,relatime", "as above"),
    ("moonshell", "mount /proc/sched_debug devtmpfs rw,relatime", "the null device; writing to it changes nothing"),
    ("crun", "mount /proc/sched_debug devtmpfs ro,relatime", "as above"),
    ("moonshell", "mount /proc/timer_list devtmpfs rw,relatime", "the null device; writing to it changes nothing"),
    ("crun", "mount /proc/timer_list devtmpfs ro,relatime", "as above"),
    ("moonshell", "mount /proc/timer_stats devtmpfs rw,relatime", "the null device; writing to it changes nothing"),
    ("crun", "mount /proc/timer_stats devtmpfs ro,relatime", "as above"),
    (
        "moonshell",
        "mount /proc/bus proc ro,nosuid,nodev,noexec,relatime",
        "a copy keeps the flags of what it is a copy of",
    ),
    ("crun", "mount /proc/bus proc ro,relatime", "as above"),
    (
        "moonshell",
        "mount /proc/fs proc ro,nosuid,nodev,noexec,relatime",
        "a copy keeps the flags of what it is a copy of",
    ),
    ("crun", "mount /proc/fs proc ro,relatime", "as above"),
    (
        "moonshell",
        "mount /proc/irq proc ro,nosuid,nodev,noexec,relatime",
        "a copy keeps the flags of what it is a copy of",
    ),
    ("crun", "mount /proc/irq proc ro,relatime", "as above"),
    (
        "moonshell",
        "mount /proc/sys proc ro,nosuid,nodev,noexec,relatime",
        "a copy keeps the flags of what it is a copy of",
    ),
    ("crun", "mount /proc/sys proc ro,relatime", "as above"),
    (
        "moonshell",
        "mount /proc/sysrq-trigger proc ro,nosuid,nodev,noexec,relatime",
        "a copy keeps the flags of what it is a copy of",
    ),
    ("crun", "mount /proc/sysrq-trigger proc ro,relatime", "as above"),
    (
        "moonshell",
        "mount /proc/asound proc ro,nosuid,nodev,noexec,relatime",
        "a copy keeps the flags of what it is a copy of",
    ),
    ("crun", "mount /proc/asound proc ro,relatime", "as above"),
    (
        "moonshell",
        "mount /sys/fs/cgroup tmpfs ro,nosuid,nodev,noexec,relatime",
        "the folder of the hierarchies cannot be written either",
    ),
    ("crun", "mount /sys/fs/cgroup tmpfs rw,nosuid,nodev,noexec,relatime", "as above"),
    ("crun", "writable /sys/fs/cgroup/x", "as above"),
    (
        "crun",
        "mount /sys/fs/cgroup/cpuset cgroup ro",
        "a hierarchy in which the container has no group of its own is not shown",
    ),
    (
        "crun",
        "mount /sys/fs/cgroup/systemd cgroup ro",
        "a hierarchy in which the container has no group of its own is not shown",
    ),
];

fn sets(shown: &Path) -> Vec<(&'static str, Options)> {
    let plain = Options::default();
    let bind = |rest: &str| Mount::parse(&format!("{}:{rest}", shown.display())).unwrap();
    let mut limited = plain.clone();
    limited.limits.memory_bytes = Some(64 << 20);
    limited.limits.pids = Some(50);
    limited.limits.cpus = Some(0.5);
    limited.limits.cpu_shares = Some(512);
    limited.ulimits = vec![Ulimit::parse("nofile=100:200").unwrap(), Ulimit::parse("core=0").unwrap()];
    limited.oom_score_adj = Some(500);
    limited.shm_bytes = Some(1 << 20);
    vec![
        ("default", plain.clone()),
        ("user", Options { user: Some("ann".into()), workdir: Some("/tmp".into()), ..plain.clone() }),
        ("more rights", Options { cap_add: vec!["SYS_TIME".into(), "SYS_ADMIN".into()], ..plain.clone() }),
        ("no rights", Options { cap_drop: vec!["ALL".into()], no_new_privileges: true, ..plain.clone() }),
        (
            "read-only",
            Options { read_only: true, mounts: vec![Mount::tmpfs("/tmp:size=4m").unwrap()], ..plain.clone() },
        ),
        ("binds", Options { mounts: vec![bind("/data"), bind("/new/deep:ro")], ..plain.clone() }),
        ("limits", limited),
        (
            "words",
            Options {
                hostname: Some("moon".into()),
                env: vec![("A".into(), Some("b c".into()))],
                hosts: vec![("other".into(), "10.0.0.1".into())],
                sysctls: vec![("kernel.shmmax".into(), "65536".into())],
                ..plain
            },
        ),
    ]
}

/// What the process sees under crun, in a mount namespace without the hybrid's cgroup2 mount, which crun refuses.
fn under_crun(record: &Record, folder: &Path, scratch: &Path) -> BTreeSet<String> {
    let script = "set -e
        mount --make-rprivate /
        if grep -q ' /sys/fs/cgroup/unified ' /proc/mounts; then umount /sys/fs/cgroup/unified; fi
        mount -t overlay overlay -o \"lowerdir=$2,upperdir=$3,workdir=$4\" \"$1/rootfs\"
        exec crun --cgroup-manager cgroupfs --root \"$5\" run --bundle \"$1\" \"$6\"";
    let lowers: Vec<String> = record.rootfs.lowers.iter().map(|path| path.display().to_string()).collect();
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(folder)
        .arg(lowers.join(":"))
        .args([&record.rootfs.upper, &record.rootfs.work])
        .arg(scratch)
        .arg(format!("moonshell-{}", &record.id[..12]))
        .output()
        .unwrap();
    assert!(output.status.success(), "crun: {}", String::from_utf8_lossy(&output.stderr));
    lines(&output.stdout)
}

fn lines(text: &[u8]) -> BTreeSet<String> {
    String::from_utf8_lossy(text).lines().map(|line| line.trim_end().to_string()).collect()
}

/// Lines of the one that the other does not have, without those that are explained.
fn unexplained(who: &str, one: &BTreeSet<String>, other: &BTreeSet<String>) -> Vec<String> {
    let explained = |line: &str| ALLOWED.iter().any(|(by, start, _)| *by == who && line.starts_with(start));
    one.difference(other).filter(|line| !explained(line)).map(|line| format!("{who}: {line}")).collect()
}

#[test]
fn crun_starts_the_same_bundle_and_the_process_sees_the_same() {
    if Command::new("crun").arg("--version").output().is_err() {
        eprintln!("skipped: crun is not installed");
        return;
    }
    let host = engine_support::host();
    let image: State = engine_support::busybox(&host);
    let shown = host.dir.path().join("shown");
    fs::create_dir(&shown).unwrap();
    let mut wrong = Vec::new();
    for (name, options) in sets(&shown) {
        let command = Program::Line(PROBE.into());
        let record = host
            .engine
            .container_create(&Target::State(image.clone()), Some(&command), &options, Policy::Never)
            .unwrap();
        let folder = host.dir.path().join("state/containers").join(&record.id);
        let theirs = under_crun(&record, &folder, &host.dir.path().join("crun"));
        let how = Foreground { capture: true, check: true, pull: Policy::Never };
        let finished =
            host.engine.container_start_attached(&record.id, how, Attachment::default(), &mut |_, _| Ok(())).unwrap();
        let ours = lines(&finished.result.stdout);
        assert!(ours.len() > 50, "{name}: nothing was seen: {ours:?}");
        wrong.extend(unexplained("moonshell", &ours, &theirs).into_iter().map(|line| format!("{name}: {line}")));
        wrong.extend(unexplained("crun", &theirs, &ours).into_iter().map(|line| format!("{name}: {line}")));
        host.engine.container_remove(&record.id, true, true).unwrap();
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
