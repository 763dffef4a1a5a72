//! Attached clients, owners of foreground containers, and what each of them gets.

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::stand::{Run, Stand, until};

fn attach(stand: &Stand, options: &str) -> Run {
    let run = stand.start(&format!(
        "print('here') io.flush() print('code', container.get('c1'):attach{{no_stdin=true{options}}})"
    ));
    run.until_printed("here\n");
    run
}

/// Waits until so many clients were attached in all.
fn until_attached(stand: &Stand, count: usize) {
    let events = "for e in container.events{since=0, ['until']=os.time()+1} do print(e.action) end";
    until("attached clients", || stand.ok(events).lines().filter(|line| *line == "attach").count() >= count);
}

#[test]
fn every_attached_client_gets_everything_from_then_on() {
    let stand = Stand::new();
    // The end is more than fits into pipes: nobody loses it by the container's end.
    let work = "echo early; while ! [ -e /go ]; do sleep 0.05; done; seq 1 60000; echo bad >&2; exit 6";
    stand.ok(&format!("container.start('bb:1', '{work}', {{name='c1'}})"));
    let clients: Vec<Run> = (0..3).map(|_| attach(&stand, "")).collect();
    until_attached(&stand, 3);
    stand.ok("container.get('c1'):exec('touch /go')");
    let expected: String = (1..=60_000).map(|n| format!("{n}\n")).collect();
    for client in clients {
        let ended = client.end();
        assert_eq!((ended.status, ended.err.as_str()), (0, "bad\n"));
        assert_eq!(ended.out.len(), "here\n".len() + expected.len() + "code\t6\n".len());
        assert_eq!(ended.out, format!("here\n{expected}code\t6\n"));
    }
}

#[test]
fn a_client_that_takes_nothing_is_let_go() {
    let stand = Stand::new();
    let work = "while ! [ -e /go ]; do sleep 0.05; done; seq 1 200000; sleep 1000";
    stand.ok(&format!("container.start('bb:1', '{work}', {{name='c1'}})"));
    let stuck = attach(&stand, "");
    until_attached(&stand, 1);
    stuck.signal(Signal::STOP);
    let start = Instant::now();
    stand.ok("container.get('c1'):exec('touch /go')");
    let last = "for line in container.get('c1'):logs{tail=1} do print(line) end";
    until("the end of the output", || stand.ok(last) == "200000\n");
    assert!(start.elapsed() > Duration::from_secs(2), "it waited {:?}", start.elapsed());
    stuck.signal(Signal::CONT);
    let ended = stuck.end();
    assert_eq!(ended.status, 1);
    assert!(ended.err.contains("this client did not take the container's output and was let go"), "{}", ended.err);
    assert_eq!(stand.ok("print(container.get('c1').status)"), "running\n");
    // Somebody else can attach, leave by Ctrl-C, and come again.
    for _ in 0..2 {
        let other = attach(&stand, "");
        until_attached(&stand, 2);
        other.signal(Signal::INT);
        assert_eq!(other.end().status, 130);
        assert_eq!(stand.ok("print(container.get('c1').status)"), "running\n");
    }
}

#[test]
fn signals_are_passed_on() {
    let stand = Stand::new();
    let work = "trap \"echo got it\" USR1; trap \"exit 9\" TERM; echo ready; while :; do sleep 0.05; done";
    let run =
        stand.start(&format!("print(container.run('bb:1', '{work}', {{sig_proxy=true, check=false}}).exit_code)"));
    run.until_printed("ready\n");
    run.signal(Signal::USR1);
    run.until_printed("got it\n");
    run.signal(Signal::TERM);
    assert_eq!(run.end().out, "ready\ngot it\n9\n");
}

#[test]
fn input_goes_in_to_its_end() {
    let stand = Stand::new();
    let code = "print(container.run('bb:1', 'wc -c', {interactive=true, capture=true}).stdout)";
    let mut child = stand.command(code).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for _ in 0..50 {
        input.write_all(&[b'x'; 100_000]).unwrap();
    }
    drop(input);
    assert_eq!(child.wait_with_output().unwrap().stdout, b"5000000\n\n");
    let code = "local big = ('x'):rep(8 << 20)
        print(container.run('bb:1', 'wc -c', {input=big, capture=true}).stdout)
        container.run('bb:1', 'true', {input=big})
        container.run('bb:1', 'exec 0<&-; sleep 0.2', {input=big})
        container.run('bb:1', 'head -c 1 > /dev/null', {input=big})";
    assert_eq!(stand.ok(code), "8388608\n\n");
}

#[test]
fn much_output_is_captured_whole() {
    let stand = Stand::new();
    let code = "local r = container.run('bb:1', 'head -c 100000000 /dev/zero; echo end >&2', {capture=true, log_driver='none'})
        print(#r.stdout, r.stderr)";
    assert_eq!(stand.ok(code), "100000000\tend\n\n");
}

#[test]
fn an_owner_that_is_slow_loses_nothing() {
    let stand = Stand::new();
    let mut child = stand.command("container.run('bb:1', 'seq 1 100000')").stdout(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut text = Vec::new();
    let mut buffer = [0; 50_000];
    loop {
        // Slower than the container writes; longer than any patience with attached clients, once.
        crate::stand::pass(if text.is_empty() { Duration::from_secs(4) } else { Duration::from_millis(20) });
        match out.read(&mut buffer).unwrap() {
            0 => break,
            count => text.extend_from_slice(&buffer[..count]),
        }
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(text, (1..=100_000).flat_map(|n| format!("{n}\n").into_bytes()).collect::<Vec<u8>>());
}

#[test]
fn a_reader_that_goes_away_ends_the_container() {
    let stand = Stand::new();
    let before = stand.census();
    let mut child =
        stand.command("container.run('bb:1', 'yes')").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 2];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert!(!child.wait().unwrap().success());
    stand.check_same(&before);
}
