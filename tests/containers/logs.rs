//! Logs: what is in them, whoever reads meanwhile, and how much of the disk they take.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::stand::{Run, Stand, until};

/// Prints a log's lines.
const PRINT: &str = "for line, stream in container.get('c1'):logs OPTIONS do print(stream, line) end";

/// The numbers of a file of lines `stdout\tN`.
fn numbers(text: &str) -> Vec<u32> {
    text.lines()
        .map(|line| line.strip_prefix("stdout\t").unwrap_or_else(|| panic!("{line:?}")).parse().unwrap())
        .collect()
}

fn follow(stand: &Stand) -> Run {
    stand.start(&PRINT.replace("OPTIONS", "{follow=true}"))
}

fn log_bytes(stand: &Stand) -> u64 {
    let folder = stand.root().join("containers");
    let dir = folder.join(&crate::census::names(&folder)[0]);
    let logs = crate::census::names(&dir).into_iter().filter(|name| name.starts_with("container.log"));
    logs.map(|name| fs::metadata(dir.join(name)).map_or(0, |meta| meta.len())).sum()
}

#[test]
fn streams_times_and_ends_are_told_apart() {
    let stand = Stand::new();
    let code = "container.start('bb:1', 'echo one; echo two >&2; printf three; sleep 0.3; echo; sleep 0.7; echo four', {name='c1'}):wait()";
    stand.ok(code);
    let print = |options: &str| stand.ok(&PRINT.replace("OPTIONS", options));
    let mut all: Vec<String> = print("()").lines().map(String::from).collect();
    all.sort();
    assert_eq!(all, ["stderr\ttwo", "stdout\tfour", "stdout\tone", "stdout\tthree"]);
    assert_eq!(print("{tail=1}"), "stdout\tfour\n");
    assert_eq!(print("{tail=2}"), "stdout\tthree\nstdout\tfour\n");
    assert_eq!(print("{tail=0}"), "");
    assert_eq!(print("{tail=99}").lines().count(), 4);
    assert_eq!(print("{follow=true, tail=1}"), "stdout\tfour\n");
    let times = "local t = {} for _, _, time in container.get('c1'):logs() do t[#t + 1] = time end
        for i = 2, #t do assert(t[i] >= t[i - 1]) end
        local function count(o) local n = 0 for _ in container.get('c1'):logs(o) do n = n + 1 end return n end
        local cut = t[4] - 0.2
        print(count{since=cut}, count{['until']=cut}, count{since=cut, tail=5}, count{since='1h'}, count{['until']='1h'})";
    assert_eq!(stand.ok(times), "1\t3\t1\t4\t0\n");
    let file =
        fs::read_dir(stand.root().join("containers")).unwrap().next().unwrap().unwrap().path().join("container.log");
    let first: serde_json::Value =
        serde_json::from_str(fs::read_to_string(file).unwrap().lines().next().unwrap()).unwrap();
    let mut keys: Vec<&str> = first.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["log", "stream", "time"]);
}

#[test]
fn a_follower_misses_nothing_when_the_log_is_rotated() {
    let stand = Stand::new();
    // With a single file a reader that is a whole file behind would miss the next one.
    for files in [2, 5] {
        let code = format!(
            "container.start('bb:1', 'sleep 0.3; i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo $i; [ $((i % 100)) = 0 ] && sleep 0.03; done',
                {{name='c1', log_opts={{['max-size']='64k', ['max-file']={files}}}}})"
        );
        stand.ok(&code);
        let followers: Vec<Run> = (0..2).map(|_| follow(&stand)).collect();
        for follower in followers {
            let ended = follower.end();
            assert_eq!(ended.status, 0, "{}", ended.err);
            assert_eq!(numbers(&ended.out), (1..=3000).collect::<Vec<u32>>(), "{files} files");
        }
        // What is left is the end of it, in order.
        let rest = numbers(&stand.ok(&PRINT.replace("OPTIONS", "()")));
        assert_eq!(rest, (3001 - rest.len() as u32..=3000).collect::<Vec<u32>>());
        assert_eq!(numbers(&stand.ok(&PRINT.replace("OPTIONS", "{tail=20}"))), (2981..=3000).collect::<Vec<u32>>());
        assert!(log_bytes(&stand) <= files * (64 << 10), "{}", log_bytes(&stand));
        stand.ok("container.get('c1'):remove()");
    }
}

#[test]
fn a_fast_writer_takes_no_more_of_the_disk_than_it_may() {
    let stand = Stand::new();
    let start = Instant::now();
    stand.ok(
        "container.start('bb:1', 'sleep 0.1; yes 0123456789012345678901234567890123456789 | head -c 60000000; echo; echo last',
            {name='c1', log_opts={['max-size']='1m', ['max-file']='2'}})",
    );
    let mut most = 0;
    while stand.ok("print(container.get('c1').status)") == "running\n" {
        most = most.max(log_bytes(&stand));
    }
    println!("60 MB in {:?}, at most {most} bytes of logs", start.elapsed());
    assert!(most > 1 << 20 && most <= 2 << 20, "{most}");
    assert_eq!(stand.ok(&PRINT.replace("OPTIONS", "{tail=1}")), "stdout\tlast\n");
}

#[test]
fn a_reader_that_stops_holds_up_nobody() {
    let stand = Stand::new();
    stand.ok("container.start('bb:1', 'echo up; while ! [ -e /go ]; do sleep 0.05; done; yes | head -c 400000', {name='c1'})");
    let reader = follow(&stand);
    reader.until_printed("up");
    reader.signal(Signal::STOP);
    stand.ok("local c = container.get('c1') c:exec('touch /go') assert(c:wait() == 0)");
    reader.signal(Signal::CONT);
    let ended = reader.end();
    assert_eq!((ended.status, ended.out.lines().count()), (0, 200_001));
}

#[test]
fn a_follower_ends_with_the_container_however_that_ends() {
    let stand = Stand::new();
    for end in ["c:stop{timeout=0}", "c:kill()", "c:remove{force=true}", "host.run{'kill', '-9', tostring(c.pid)}"] {
        stand.ok("container.start('bb:1', 'echo up; sleep 1000', {name='c1'})");
        let reader = follow(&stand);
        reader.until_printed("up");
        stand.ok(&format!("local c = container.get('c1') {end}"));
        assert!(reader.wait(Duration::from_secs(20)), "{end}");
        assert_eq!(reader.end().status, 0, "{end}");
        stand.ok("local c = container.get('c1') if c then c:remove{force=true} end");
    }
    stand.ok("container.start('bb:1', 'echo up; sleep 1000', {name='c1'})");
    let reader = follow(&stand);
    reader.until_printed("up");
    let monitor = rustix::process::Pid::from_raw(stand.monitors()[0]).unwrap();
    rustix::process::kill_process(monitor, Signal::KILL).unwrap();
    until("the follower's end", || reader.wait(Duration::ZERO));
}
