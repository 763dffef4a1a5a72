//! Containers through the engine's own interface, on a root made of Debian's static busybox.

#[path = "support/engine.rs"]
#[allow(dead_code)]
mod engine_support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use engine_support::{Host, busybox_root};
use moonshell::engine::cancel::Cancel;
use moonshell::engine::container::create::Target;
use moonshell::engine::container::options::{Command, Input, Options};
use moonshell::engine::container::run::Base;
use moonshell::engine::container::streams::{Ending, Stream};
use moonshell::engine::error::Error;
use moonshell::engine::image::Policy;
use moonshell::engine::image::config::RunConfig as ImageDefaults;

/// An engine, and a root file system in `root`.
fn host() -> Host {
    let host = engine_support::host();
    let root = host.dir.path().join("root");
    busybox_root(&root);
    fs::write(root.join("bin/plain"), "text").unwrap();
    fs::set_permissions(root.join("bin/plain"), fs::Permissions::from_mode(0o644)).unwrap();
    host
}

trait Run {
    fn run(&self, command: &str, options: &Options) -> Result<(Ending, String, String), Error>;
    fn run_command(&self, command: &Command, options: &Options) -> Result<(Ending, String, String), Error>;
}

impl Run for Host {
    fn run(&self, command: &str, options: &Options) -> Result<(Ending, String, String), Error> {
        self.run_command(&Command::Line(command.into()), options)
    }

    fn run_command(&self, command: &Command, options: &Options) -> Result<(Ending, String, String), Error> {
        let lowers = [self.dir.path().join("root")];
        let defaults = ImageDefaults::default();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let area = self.engine.store().workspace()?;
        let ending = self.engine.run_in(
            &area,
            Base { lowers: &lowers, config: &defaults },
            Some(command),
            options,
            &mut |stream, bytes| {
                if stream == Stream::Out {
                    out.extend_from_slice(bytes)
                } else {
                    err.extend_from_slice(bytes)
                }
                Ok(())
            },
        )?;
        Ok((ending, String::from_utf8_lossy(&out).into(), String::from_utf8_lossy(&err).into()))
    }
}

#[test]
fn streams_and_exit_codes() {
    let host = host();
    let (ending, out, err) = host.run("echo out; echo err >&2; exit 7", &Options::default()).unwrap();
    assert_eq!((ending.code, out.as_str(), err.as_str()), (7, "out\n", "err\n"));
    let input = Options { input: Input::Bytes(b"hello".to_vec()), ..Options::default() };
    assert_eq!(host.run("cat", &input).unwrap().1, "hello");
    let (ending, ..) =
        host.run("kill -TERM $$; sleep 5 & kill -KILL $!; wait $!; exit $?", &Options::default()).unwrap();
    assert_eq!(ending.code, 137);
}

#[test]
fn what_cannot_be_executed_says_why() {
    let host = host();
    let fail = |argv: &[&str]| {
        let command = Command::Argv(argv.iter().map(|word| word.to_string()).collect());
        let error = host.run_command(&command, &Options::default()).unwrap_err();
        (error.exit().map(|exit| exit.code), error.message().to_string())
    };
    assert_eq!(fail(&["nope"]), (Some(127), "command not found: nope: not found in the image's PATH".into()));
    assert_eq!(fail(&["/bin/nope"]), (Some(127), "command not found: /bin/nope: no such file in the image".into()));
    assert_eq!(fail(&["/bin/plain"]), (Some(126), "cannot execute: /bin/plain: permission denied".into()));
    assert_eq!(fail(&["/tmp"]), (Some(126), "cannot execute: /tmp: permission denied".into()));
    assert_eq!(fail(&[]), (None, "no command given, and the image has none".into()));
    let user = |user: &str| host.run("id", &Options { user: Some(user.into()), ..Options::default() });
    assert_eq!(user("bob").unwrap_err().message(), "user 'bob' is not in the image's /etc/passwd");
    let workdir = Options { workdir: Some("/etc/passwd".into()), ..Options::default() };
    assert_eq!(
        host.run("pwd", &workdir).unwrap_err().message(),
        "cannot use working folder /etc/passwd: /etc/passwd is not a folder in this image"
    );
}

#[test]
fn a_process_sees_its_own_world() {
    let host = host();
    let out = |command: &str, options: &Options| host.run(command, options).unwrap().1.trim_end().to_string();
    let plain = Options::default();
    assert_eq!(out("echo $$; id -u; id -G", &plain), "1\n0\n0");
    assert_eq!(out("ls /proc/self/fd", &plain), "0\n1\n2\n3");
    assert_eq!(
        out("ls /dev", &plain),
        "fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero"
    );
    assert_eq!(out("cat /proc/kcore /proc/keys | head -c 1 | wc -c; ls /sys/firmware", &plain), "0");
    assert!(out("echo 1 > /proc/sys/kernel/core_pattern || echo refused", &plain).ends_with("refused"));
    assert!(out("cat /proc/self/status", &plain).contains("CapInh:\t0000000000000000"));
    assert!(out("cat /proc/self/status", &plain).contains("CapBnd:\t00000000a80425fb"));
    assert!(out("cat /proc/self/status", &plain).contains("Seccomp:\t2"));
    assert_eq!(out("mknod /tmp/d b 7 0 && cat /tmp/d 2>/dev/null || echo refused", &plain), "refused");
    assert!(out("mount -t tmpfs x /tmp 2>&1", &plain).contains("denied"));
    let ann = Options {
        user: Some("ann".into()),
        workdir: Some("/new/folder".into()),
        hostname: Some("moon".into()),
        ..plain.clone()
    };
    assert_eq!(
        out("id -u; id -G; pwd; hostname; cat /etc/hostname; echo $HOME", &ann),
        "1000\n1000 10\n/new/folder\nmoon\nmoon\n/home/ann"
    );
    let env = Options { env: vec![("A".into(), Some("1".into())), ("HOSTNAME".into(), None)], ..plain.clone() };
    let mut seen: Vec<String> = out("env", &env).lines().map(str::to_string).collect();
    seen.sort();
    let path = format!("PATH={}", moonshell::engine::container::spec::DEFAULT_PATH);
    assert_eq!(seen, ["A=1", "HOME=/root", &path, "PWD=/", "SHLVL=1"]);
}

#[test]
fn cwd_through_a_descriptor_is_refused() {
    let host = host();
    for number in 3..40 {
        let options = Options { workdir: Some(format!("/proc/self/fd/{number}")), ..Options::default() };
        assert!(host.run("pwd", &options).is_err(), "{number}");
    }
}

#[test]
fn a_terminal_a_timeout_and_no_left_overs() {
    let host = host();
    let tty = Options { tty: true, ..Options::default() };
    let (ending, out, _) =
        host.run("tty; test -t 0 && test -t 2 && echo yes; ls -l /dev/console | head -c 1; exit 3", &tty).unwrap();
    assert_eq!((ending.code, out.as_str()), (3, "/dev/pts/0\r\nyes\r\nc"));
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let short = Options { timeout: Some(std::time::Duration::from_millis(100)), ..Options::default() };
    let error = host.run("sleep 60", &short).unwrap_err();
    assert_eq!((error.kind().name(), error.message()), ("timeout", "still running after 100ms"));
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
    assert_eq!(fs::read_dir(host.dir.path().join("state/containers")).unwrap().count(), 0);
    let cancel = Cancel::new().unwrap();
    cancel.cancel();
    let area = host.engine.store().workspace().unwrap();
    assert_eq!(
        host.engine
            .with_cancel(cancel)
            .run_in(
                &area,
                Base { lowers: &[host.dir.path().join("root")], config: &ImageDefaults::default() },
                Some(&Command::Line("sleep 60".into())),
                &Options::default(),
                &mut |_, _| Ok(()),
            )
            .unwrap_err()
            .kind()
            .name(),
        "interrupted"
    );
}

#[test]
fn a_start_that_is_interrupted_leaves_no_container() {
    let host = host();
    let target = Target::State(engine_support::busybox(&host));
    let sleep = Command::Line("sleep 60".into());
    let mut interrupted = 0;
    for round in 0..40 {
        let cancel = Cancel::new().unwrap();
        let engine = host.engine.with_cancel(cancel.clone());
        let later = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_micros(400 * round));
            cancel.cancel();
        });
        match engine.container_start_new(&target, Some(&sleep), &Options::default(), Policy::Never) {
            Ok(record) => host.engine.container_remove(&record.id, true, true).unwrap(),
            Err(error) => {
                assert_eq!(error.kind().name(), "interrupted", "{error}");
                interrupted += 1;
            }
        }
        later.join().unwrap();
        assert!(host.engine.container_list().unwrap().is_empty(), "round {round}");
    }
    assert!(interrupted > 0);
    assert_eq!(fs::read_dir(host.dir.path().join("state/containers")).unwrap().count(), 0);
}

#[test]
fn limits_that_cannot_be_raised_stay_with_a_warning() {
    let host = host();
    let options = Options {
        limits: moonshell::engine::container::options::Limits {
            memory_bytes: Some(64 << 20),
            pids: Some(20),
            cpus: Some(0.5),
            cpu_shares: Some(512),
            ..Default::default()
        },
        ..Options::default()
    };
    let (ending, out, _) = host
        .run(
            "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22; do sleep 1 & done 2>&1; true",
            &options,
        )
        .unwrap();
    assert!(ending.code != 0 || out.contains("can't fork"), "{out}");
    let hard = Options {
        ulimits: vec![moonshell::engine::container::options::Ulimit::parse("nofile=100:100").unwrap()],
        ..Options::default()
    };
    assert_eq!(host.run("ulimit -n", &hard).unwrap().1, "100\n");
}
