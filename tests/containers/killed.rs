//! Monitors, engines and spawners killed at any moment.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::stand::{Random, Stand, until};

/// What a container may be after its monitor was killed.
const TRUTH: &str = "
    local c = container.get('c1')
    if not c then print('none') return end
    local s = c.status
    if s == 'exited' then
        assert(c.exit_code == 137 and c.pid == 0, c.exit_code)
        assert(c.error == \"the container's monitor was killed, and the container with it\", c.error)
        assert(c:wait() == 137)
        local ok, e = pcall(c.exec, c, 'true')
        assert(not ok and e.kind == 'invalid_argument', tostring(e))
    end
    assert(#container.list() == 0)
    c:remove()
    print(s)";

#[test]
fn a_killed_monitor_is_told_of_and_leaves_nothing() {
    let stand = Stand::new();
    let mut random = Random::new();
    let code = "container.start('bb:1', 'sleep 1000 & sleep 1000', {name='c1', volumes={'/data'}, memory='64m'})";
    let start = Instant::now();
    stand.ok(code);
    let duration = start.elapsed();
    stand.ok("container.get('c1'):remove{force=true, volumes=true}");
    let before = stand.census();
    let mut told = 0;
    for round in 0..50 {
        let moment = random.moment(duration * 2);
        let run = stand.start(code);
        let killed = kill_monitor_at(&stand, moment);
        let ended = run.end();
        println!(
            "round {round}: {moment:?}, killed {killed}, status {}, {}",
            ended.status,
            ended.err.lines().next().unwrap_or("")
        );
        until("the end of all", || stand.census().is_at_rest());
        let state = stand.ok(&TRUTH.replace("c:remove()", "c:remove{volumes=true}"));
        told += usize::from(state == "exited\n");
        stand.check_same(&before);
    }
    assert!(told > 5, "{told} of 50 monitors were killed when the container ran");
}

/// Kills the monitor at a moment, or as soon as there is one.
fn kill_monitor_at(stand: &Stand, moment: Duration) -> bool {
    let start = Instant::now();
    loop {
        let found = if start.elapsed() < moment { Vec::new() } else { stand.monitors() };
        if let [monitor, ..] = found[..] {
            return kill_process(Pid::from_raw(monitor).unwrap(), Signal::KILL).is_ok();
        }
        assert!(start.elapsed() < crate::stand::PATIENCE);
        std::thread::yield_now();
    }
}

#[test]
fn whoever_waits_or_works_inside_hears_of_a_killed_monitor() {
    let stand = Stand::new();
    stand.ok("container.start('bb:1', 'sleep 1000', {name='c1'})");
    let message = "error: the container's monitor was killed, and the container with it";
    let wait = stand.start("print('up') io.flush() print(container.get('c1'):wait())");
    let exec = stand.start("container.get('c1'):exec('echo up; sleep 1000')");
    let attach = stand.start("print('up') io.flush() container.get('c1'):attach{no_stdin=true}");
    [&wait, &exec, &attach].iter().for_each(|run| run.until_printed("up\n"));
    // Both have told the monitor when it has three connections and the program inside.
    until("an attached client", || {
        stand.ok("for e in container.events{since=0, ['until']=os.time()+1} do print(e.action) end").contains("attach")
    });
    kill_process(Pid::from_raw(stand.monitors()[0]).unwrap(), Signal::KILL).unwrap();
    assert_eq!(wait.end().out, "up\n137\n");
    for run in [exec, attach] {
        let ended = run.end();
        assert_eq!(ended.err.lines().next(), Some(message), "{}", ended.err);
    }
}

#[test]
fn an_engine_killed_on_the_way_leaves_nothing_half_made() {
    let stand = Stand::new();
    let mut random = Random::new();
    let code = "container.start('bb:1', 'sleep 1000', {name='c1', volumes={'/etc'}, rm=RM})";
    let start = Instant::now();
    stand.ok(&code.replace("RM", "true"));
    let duration = start.elapsed();
    stand.ok("container.get('c1'):remove{force=true}");
    let before = stand.census();
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for round in 0..100 {
        let moment = random.moment(duration);
        let run = stand.start(&code.replace("RM", if round % 2 == 0 { "true" } else { "false" }));
        run.wait(moment);
        run.signal(Signal::KILL);
        run.end();
        // What is there is whole: it can be looked at, started, and removed with all that belongs to it.
        let state = stand.ok(
            "local c = container.get('c1')
            if c then c:inspect() print(c.status) c:start() c:exec('true') c:remove{force=true, volumes=true} else print('none') end",
        );
        *seen.entry(state).or_default() += 1;
        stand.check_same(&before);
    }
    println!("{seen:?}");
    assert!(seen.len() > 1, "{seen:?}");
}
