//! Descriptors of the host: none reaches a container, none is a way out (CVE-2024-21626).

use std::os::unix::fs::symlink;

use moonshell::engine::build::Manner;
use moonshell::engine::build::settings::Setting;
use moonshell::engine::container::inside::ExecOptions;
use moonshell::engine::container::options::Options;

use crate::{Arena, IDLE};

fn workdir(dir: &str) -> Options {
    Options { workdir: Some(dir.into()), ..Options::default() }
}

/// Either refused, or inside: the image's own root has this file, the host's has not.
const WHERE: &str = "test -f /of-the-image && test ! -e ./canary && test ! -e ../canary && /bin/pwd";

#[test]
fn working_folders_that_are_descriptors() {
    let arena = Arena::new(|root, _| {
        std::fs::write(root.join("of-the-image"), "").unwrap();
        for number in 3..=60 {
            symlink(format!("/proc/self/fd/{number}"), root.join(format!("link{number}"))).unwrap();
        }
        for (name, to) in [("cwd", "/proc/self/cwd"), ("root", "/proc/1/root"), ("task", "/proc/thread-self/root")] {
            symlink(to, root.join(name)).unwrap();
        }
    });
    let running = arena.start(IDLE, &Options::default()).unwrap();
    let mut words: Vec<String> =
        ["/cwd", "/root", "/task", "/proc/1/cwd", "/proc/self/root/tmp"].map(String::from).into();
    for number in 3..=60 {
        words.extend([
            format!("/proc/self/fd/{number}"),
            format!("/link{number}"),
            format!("/proc/1/fd/{number}"),
            format!("/proc/thread-self/fd/{number}/../../.."),
        ]);
    }
    for word in &words {
        if let Some(output) = running.exec_in(word, WHERE) {
            assert!(output.code != 0 || output.out.starts_with('/'), "exec in {word}: {output:?}");
            assert!(!output.out.contains("canary") && !output.out.contains("(unreachable)"), "{word}: {output:?}");
            assert!(!word.contains("/fd/"), "exec in {word} was not refused");
        }
    }
    for word in words.iter().filter(|word| !word.starts_with("/proc/1/")).step_by(3) {
        assert!(arena.run(WHERE, &workdir(word)).is_err(), "run in {word} was not refused");
    }
}

#[test]
fn an_images_working_folder_that_is_a_descriptor() {
    for number in [3, 5, 7, 8, 9, 12, 20] {
        for name in [format!("/proc/self/fd/{number}"), "/way".to_string()] {
            let mut arena = Arena::new(|root, _| symlink(format!("/proc/self/fd/{number}"), root.join("way")).unwrap());
            arena.image = arena.image.set(&Setting::Workdir(name.clone()), &Manner::default()).unwrap();
            assert!(arena.run(WHERE, &Options::default()).is_err(), "{name}");
        }
    }
}

/// The working folder of an exec is removed, or becomes a link, at any moment.
#[test]
fn a_working_folder_that_moves_away() {
    let arena = Arena::new(|root, _| std::fs::write(root.join("of-the-image"), "").unwrap());
    let line = "while true; do rm -rf /w; ln -s /proc/self/fd/7 /w; rm -f /w; mkdir -p /w/x; done";
    let running = arena.start(line, &Options::default()).unwrap();
    let (mut inside, mut refused) = (0, 0);
    for _ in 0..300 {
        match running.exec_in("/w/x", "test -f /of-the-image && test ! -e ./canary && test ! -e ../canary && echo in") {
            Some(output) => {
                assert_eq!((output.code, output.out.as_str()), (0, "in\n"), "{output:?}");
                inside += 1;
            }
            None => refused += 1,
        }
    }
    assert!(inside > 0 && refused > 0, "{inside} inside, {refused} refused: nothing was tried");
}

/// Every descriptor of the first process and of further ones, by what it is.
#[test]
fn only_the_three_streams_are_open() {
    let arena = Arena::new(|_, _| ());
    // What `ls` itself opens is gone when it prints: number 3.
    let line = "ls -l /proc/self/fd 2>/dev/null | tail -n +2 | sed 's/.* \\([0-9]* -> .*\\)/\\1/'; ls -1 /proc/1/fd";
    std::fs::write(arena.path("held"), "").unwrap();
    let _held = std::fs::File::open(arena.path("held")).unwrap();
    for (tty, init, interactive) in
        [(false, false, false), (true, false, false), (false, true, false), (true, true, true), (false, false, true)]
    {
        let options = Options { tty, init, interactive, ..Options::default() };
        let what = format!("tty {tty}, init {init}, interactive {interactive}");
        let seen = arena.run("ls -1 /proc/1/fd; echo; ls -1 /proc/self/fd", &options).unwrap().out.replace('\r', "");
        // As the first process, busybox's `ls` replaces the shell's last command: then there is one more.
        let own: Vec<&str> = seen.split("\n\n").collect();
        assert_eq!(own[1].trim(), "0\n1\n2\n3", "{what}: {seen}");
        assert!(init || own[0].trim() == "0\n1\n2" || own[0].trim() == "0\n1\n2\n3", "{what}: {seen}");
        let running = arena.start(IDLE, &options).unwrap();
        // The small init has what it waits with: sockets that were made in the container's own network namespace.
        let first = running.exec("ls -l /proc/1/fd | sed -n 's/.* -> //p'").out;
        let sockets = running.exec("cat /proc/net/unix").out;
        for to in first.lines() {
            let good = ["pipe:[", "/dev/null", "/dev/pts/", "/dev/console"];
            let inode = to.strip_prefix("socket:[").map(|rest| rest.trim_end_matches(']'));
            let waits = init && inode.is_some_and(|inode| sockets.contains(&format!(" {inode}\n")));
            assert!(waits || good.iter().any(|start| to.starts_with(start)), "{what}: {first}");
        }
        for exec_tty in [false, true] {
            let exec = ExecOptions { tty: exec_tty, ..ExecOptions::default() };
            let seen = running.exec_with(line, &exec).unwrap().out.replace('\r', "");
            let mut numbers = Vec::new();
            for row in seen.lines().filter(|row| row.contains(" -> ")) {
                let (number, to) = row.split_once(" -> ").unwrap();
                numbers.push(number.to_string());
                // Its error output was sent away by the line itself.
                let good = ["pipe:[", "/dev/null", "/dev/pts/"];
                assert!(good.iter().any(|start| to.starts_with(start)), "{what}: {row}");
            }
            assert_eq!(numbers, ["0", "1", "2"], "{what}, exec with tty {exec_tty}: {seen}");
            assert!(init || seen.ends_with("0\n1\n2\n"), "{what}: {seen}");
        }
    }
}
