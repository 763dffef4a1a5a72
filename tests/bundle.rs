//! A container's folder is a bundle: what `config.json` says is all there is to say, so that another runtime starts the
//! same container from it. Debian's crun does, and its process sees what it sees under the engine.
//!
//! Whoever starts a bundle brings its root file system: here the container's overlay, mounted by hand in a mount
//! namespace of its own. There the cgroup2 hierarchy of hybrid hosts is missing as well, which crun takes for the only
//! one otherwise.
//!
//! Needs root, and crun; without crun it says so.

#[path = "support/engine.rs"]
mod engine_support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command as Process, Stdio};

use engine_support::Host;
use moonshell::engine::build::State;
use moonshell::engine::container::create::Target;
use moonshell::engine::container::foreground::Foreground;
use moonshell::engine::container::options::{Command, Limits, Mount, Options, Ulimit};
use moonshell::engine::container::record::Record;
use moonshell::engine::container::start::Attachment;
use moonshell::engine::image::Policy;

/// What of a mount does not count.
enum Leave {
    /// All of it.
    Out,
    /// Its options: type and what of it is mounted are compared.
    Options,
    /// Its type and what of it is mounted: the options are compared.
    Source,
    /// One option.
    Word(&'static str),
}

/// Mounts that may differ, and why; a name with `/` at its end stands for all below.
const MOUNTS: [(&str, Leave, &str); 15] = [
    ("/", Leave::Word("nodev"), "the engine lets no device node on it be opened; crun mounts it anew without the word"),
    (
        "/dev",
        Leave::Word("nodev"),
        "the engine binds devices, so that nodes on it need not work; crun makes nodes there",
    ),
    ("/dev/full", Leave::Out, BOUND),
    ("/dev/init", Leave::Source, "under the engine the program is the one file of a file system of its own"),
    ("/dev/null", Leave::Out, BOUND),
    ("/dev/random", Leave::Out, BOUND),
    ("/dev/tty", Leave::Out, BOUND),
    ("/dev/urandom", Leave::Out, BOUND),
    ("/dev/zero", Leave::Out, BOUND),
    ("/proc/", Leave::Options, MASKED),
    ("/sys/firmware", Leave::Options, MASKED),
    ("/sys/kernel/debug", Leave::Options, MASKED),
    ("/sys/devices/virtual/powercap", Leave::Options, MASKED),
    ("/sys/fs/cgroup", Leave::Options, "with cgroup v1 a tmpfs of either runtime's own, read-only under the engine"),
    (
        "/sys/fs/cgroup/",
        Leave::Out,
        "crun shows all of v1's hierarchies, the engine those with a cgroup of the container",
    ),
];
const BOUND: &str = "the host's node under the engine, a node of its own under crun; `node:` compares them";
const MASKED: &str = "crun gives what covers it no nosuid, nodev and noexec, and /dev/null read-only";

/// Other lines that may differ, and why.
const LINES: [(&str, &str); 1] = [("dev: core", "a link to /proc/kcore, which the specification does not ask for")];

/// Prints what it sees, each line under a subject.
const PROGRAM: &str = r#"
say() { while read -r line; do echo "$1: $line"; done; }
id | say id
pwd | say cwd
umask | say umask
hostname | say hostname
env | say env
cat /proc/$$/limits | say limit
busybox grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs:|Seccomp:)' /proc/$$/status | say status
cat /proc/$$/oom_score_adj | say oom
for kind in cgroup ipc mnt net pid user uts; do echo "$kind $(busybox readlink /proc/$$/ns/$kind)"; done | say namespace
cat /proc/$$/mountinfo | say mount
ls /dev | say dev
for node in null zero full random urandom tty; do busybox stat -c '%n %F %a %u %g %t:%T' /dev/$node; done | say node
for place in memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpu/cpu.shares \
    memory.max pids.max cpu.max; do
    test -e /sys/fs/cgroup/$place && echo "$place $(cat /sys/fs/cgroup/$place)"
done | say cgroup
for place in / /etc /mem /data /data/below /flat /flat/below /wide /wide/below /programs /own /dev /dev/shm /proc/sys/kernel /sys; do
    test -d $place && { (: > $place/probe) 2>/dev/null && rm $place/probe && echo "$place yes" || echo "$place no"; }
done | say writable
for place in /proc/kcore /proc/keys /proc/timer_list; do echo "$place $(busybox head -c 1 $place 2>&1 | busybox wc -c)"; done | say masked
ls /sys/firmware 2>&1 | busybox wc -l | say masked
{ mount -t tmpfs x /tmp; hostname other; busybox unshare -U true; busybox chroot /tmp true; } 2>&1 | say denied
mknod /tmp/disk b 7 0 2>/dev/null && cat /tmp/disk >/dev/null 2>&1 && echo disk | say allowed
rm -f /tmp/disk 2>/dev/null
touch /tmp/file 2>/dev/null && busybox chown 1:1 /tmp/file 2>&1 | say chown
rm -f /tmp/file 2>/dev/null
true
"#;

struct Stand {
    host: Host,
    image: State,
}

impl Stand {
    fn new() -> Option<Stand> {
        assert!(rustix::process::geteuid().is_root(), "this test needs root");
        if !Process::new("crun").arg("--version").output().is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: crun is not installed");
            return None;
        }
        let host = engine_support::host();
        let image = engine_support::busybox(&host);
        Some(Stand { host, image })
    }

    fn create(&self, options: &Options) -> Record {
        let (target, line) = (Target::State(self.image.clone()), Command::Line(PROGRAM.into()));
        self.host.engine.container_create(&target, Some(&line), options, Policy::Never).unwrap()
    }

    /// What the process sees under the engine.
    fn under_engine(&self, record: &Record) -> Seen {
        let how = Foreground { capture: true, check: true, pull: Policy::Never };
        let finished = self
            .host
            .engine
            .container_start_attached(&record.id, how, Attachment::default(), &mut |_, _| Ok(()))
            .unwrap();
        seen(&String::from_utf8_lossy(&finished.result.stdout))
    }

    /// The same bundle under crun.
    fn under_crun(&self, record: &Record) -> Seen {
        let folder = self.host.dir.path().join("state/containers").join(&record.id);
        let rootfs = &record.rootfs;
        let lowers: Vec<String> = rootfs.lowers.iter().map(|lower| lower.display().to_string()).collect();
        let options = format!(
            "nodev,lowerdir={},upperdir={},workdir={},redirect_dir=nofollow,metacopy=off,index=off",
            lowers.join(":"),
            rootfs.upper.display(),
            rootfs.work.display(),
        );
        let script = r#"set -e
            if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
            mount -t overlay -o "$1" overlay "$2"
            exec crun --root "$3" run --bundle "$4" "$5""#;
        let output = Process::new("unshare")
            .args(["-m", "sh", "-c", script, "sh", &options])
            .args([&rootfs.mount_point, &self.host.dir.path().join("crun"), &folder])
            .arg(format!("bundle-{}", &record.id[..12]))
            // Not the host's /dev/null: crun gives what it has as input to the container's user.
            .stdin(Stdio::piped())
            .output()
            .unwrap();
        assert!(output.status.success(), "crun: {}", String::from_utf8_lossy(&output.stderr));
        seen(&String::from_utf8_lossy(&output.stdout))
    }

    fn compare(&self, what: &str, options: &Options) -> Vec<String> {
        let record = self.create(options);
        let ours = self.under_engine(&record);
        let theirs = self.under_crun(&record);
        self.host.engine.container_remove(&record.id, true, true).unwrap();
        assert!(ours.len() > 60 && ours.iter().any(|line| line.starts_with("mount: /proc ")), "{what}: {ours:?}");
        let only = |who: &str, ours: &Seen, theirs: &Seen| -> Vec<String> {
            let allowed = |line: &str| LINES.iter().any(|(other, _)| line == *other);
            ours.difference(theirs).filter(|line| !allowed(line)).map(|line| format!("{what}: {who}: {line}")).collect()
        };
        [only("engine", &ours, &theirs), only("crun", &theirs, &ours)].concat()
    }
}

type Seen = BTreeSet<String>;

/// Lines as they can be compared: mounts without their numbers, namespaces by whether they are the host's.
fn seen(text: &str) -> Seen {
    let mut places = BTreeMap::new();
    let mut list = Seen::new();
    for line in text.lines() {
        let (subject, rest) = line.split_once(": ").unwrap_or((line, ""));
        match subject {
            // The last one on a place is the one that is seen.
            "mount" => {
                let (place, looks) = mount(rest);
                places.insert(place, looks);
            }
            "namespace" => drop(list.insert(format!("namespace: {}", namespace(rest)))),
            _ => drop(list.insert(line.to_string())),
        }
    }
    list.extend(places.into_iter().filter_map(|(place, looks)| looks.map(|looks| format!("mount: {place} {looks}"))));
    list
}

/// Place and looks of a line of `/proc/PID/mountinfo`: type, what of it is mounted, options, propagation; no looks when
/// they do not count.
fn mount(line: &str) -> (String, Option<String>) {
    let (own, of_system) = line.split_once(" - ").unwrap();
    let (own, of_system): (Vec<&str>, Vec<&str>) = (own.split(' ').collect(), of_system.split(' ').collect());
    let tied = own[6..].iter().map(|word| word.split(':').next().unwrap()).collect::<Vec<_>>().join("+");
    let (root, place, kind) = (own[3], own[4], of_system[0]);
    let covers = |name: &str| place == name || name.len() > 1 && name.ends_with('/') && place.starts_with(name);
    let rule = MOUNTS.iter().find(|(name, ..)| covers(name)).map(|(_, leave, _)| leave);
    let options: Vec<&str> =
        own[5].split(',').filter(|word| !matches!(rule, Some(Leave::Word(other)) if other == word)).collect();
    // The layers are whoever mounts them, not in the contract.
    let of_system = if kind == "overlay" { "" } else { of_system[2] };
    let looks = match rule {
        Some(Leave::Out) => None,
        Some(Leave::Source) => Some(format!("{} [{tied}]", options.join(","))),
        Some(Leave::Options) => Some(format!("{kind} {root}")),
        _ => Some(format!("{kind} {root} {} [{tied}] {of_system}", options.join(","))),
    };
    (place.to_string(), looks)
}

fn namespace(line: &str) -> String {
    let (kind, id) = line.split_once(' ').unwrap();
    let host = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
    format!("{kind} {}", if host == Path::new(id) { "the host's" } else { "its own" })
}

/// Folders of the host to bind, one with a mount below it, which goes with this value.
struct Folders(tempfile::TempDir);

impl Folders {
    fn new() -> Folders {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("data/below")).unwrap();
        fs::write(dir.path().join("file"), "text").unwrap();
        let below = dir.path().join("data/below");
        assert!(Process::new("mount").args(["-t", "tmpfs", "below"]).arg(below).status().unwrap().success());
        Folders(dir)
    }

    fn bind(&self, rest: &str) -> Mount {
        Mount::parse(&format!("{}:{rest}", self.0.path().join("data").display())).unwrap()
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        let _ = Process::new("umount").arg(self.0.path().join("data/below")).status();
    }
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| word.to_string()).collect()
}

fn cases(folders: &Folders) -> Vec<(&'static str, Options)> {
    let limits = Limits {
        memory_bytes: Some(64 << 20),
        pids: Some(50),
        cpus: Some(0.5),
        cpu_shares: Some(512),
        ..Limits::default()
    };
    let ulimits = ["nofile=100:200", "core=0", "nproc=500"].map(|text| Ulimit::parse(text).unwrap());
    let env = vec![("A".into(), Some("1 2".into())), ("EMPTY".into(), Some(String::new())), ("HOSTNAME".into(), None)];
    vec![
        ("default", Options::default()),
        (
            "user",
            Options {
                user: Some("ann".into()),
                group_add: words(&["1234"]),
                workdir: Some("/new/folder".into()),
                hostname: Some("moon".into()),
                domainname: Some("lunar".into()),
                env,
                ..Options::default()
            },
        ),
        (
            "capabilities",
            Options {
                cap_add: words(&["NET_ADMIN", "SYS_PTRACE"]),
                cap_drop: words(&["CHOWN", "MKNOD"]),
                ..Options::default()
            },
        ),
        ("no capabilities", Options { cap_drop: words(&["ALL"]), ..Options::default() }),
        (
            "mounts",
            Options {
                read_only: true,
                mounts: vec![
                    folders.bind("/data:ro"),
                    folders.bind("/flat:ro,bind"),
                    folders.bind("/wide"),
                    Mount::parse(&format!("{}:/file:ro", folders.0.path().join("file").display())).unwrap(),
                    Mount::tmpfs("/mem:size=1m,mode=700").unwrap(),
                    Mount::tmpfs("/programs:exec,ro").unwrap(),
                    Mount::anonymous("/own").unwrap(),
                ],
                shm_bytes: Some(1 << 20),
                ..Options::default()
            },
        ),
        ("limits", Options { limits, ulimits: ulimits.into(), oom_score_adj: Some(500), ..Options::default() }),
        ("no new privileges", Options { no_new_privileges: true, ..Options::default() }),
        ("init", Options { init: true, ..Options::default() }),
        (
            "devices and parameters",
            Options {
                devices: vec![moonshell::engine::container::options::Device::parse("/dev/null:/dev/other").unwrap()],
                sysctls: vec![("net.ipv4.ip_unprivileged_port_start".into(), "1".into())],
                ..Options::default()
            },
        ),
    ]
}

#[test]
fn a_bundle_is_the_same_under_another_runtime() {
    let Some(stand) = Stand::new() else { return };
    let folders = Folders::new();
    let all: Vec<String> = cases(&folders).iter().flat_map(|(what, options)| stand.compare(what, options)).collect();
    assert!(all.is_empty(), "{}", all.join("\n"));
}
