//! Many processes on one store.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use moonshell::engine::store::Store;
use rustix::process::Signal;

use crate::disk::Disk;
use crate::process::Run;
use crate::sample::{build, pull, steps};

const PROCESSES: usize = 8;

/// Ten operations of process `number`: each meets those of the others.
fn operations(number: usize) -> String {
    format!(
        r#"
        local function pulled() return (function() {pull} end)() end
        local function built() {build} end
        local mine = "mine:{number}"
        pulled()
        built()
        image.tag("built:1", mine)
        image.list()
        assert(container.run(mine, "cat /many/8", {{capture=true}}).stdout:sub(1, 2) == "8\n")
        image.tag("built:1", "shared:1")
        image.remove(mine)
        pulled()
        built()
        image.list()
        "#,
        pull = pull().code,
        build = build().code,
    )
}

#[test]
fn all_work_at_once_on_a_store_that_is_not_there_yet() {
    let disk = Disk::memory("size=256m");
    let root = disk.root();
    let runs: Vec<Run> = (0..PROCESSES).map(|number| root.start(&operations(number))).collect();
    for run in runs {
        let ended = run.end();
        assert_eq!(ended.status, 0, "{}", ended.err);
        assert_eq!(ended.out, format!("{0}{1}{0}{1}", pull().out, build().out));
    }
    pull().repeat(&root, &[]);
    build().repeat(&root, &[]);
    let names = "for _, one in ipairs(image.list()) do for _, name in ipairs(one.names) do print(name) end end";
    assert_eq!(root.ok(names).lines().filter(|name| name.starts_with("mine:")).count(), 0);
}

/// Work areas come and go while others sweep.
#[test]
fn sweeping_takes_nothing_that_is_in_use() {
    let disk = Disk::memory("size=64m");
    let root = disk.root();
    root.ok(&build().code);
    let done = AtomicBool::new(false);
    let open = || Store::open(&root.0).unwrap();
    let sweep = || {
        while !done.load(Ordering::Relaxed) {
            drop(open());
        }
    };
    let work = || {
        let store = open();
        for _ in 0..2000 {
            let area = store.workspace().unwrap();
            fs::write(area.join("file"), "").unwrap();
            assert!(area.join("file").exists());
        }
    };
    thread::scope(|scope| {
        let sweepers = [scope.spawn(sweep), scope.spawn(sweep)];
        let workers = [scope.spawn(work), scope.spawn(work)];
        let run = "for i = 1, 10 do container.run('built:1', 'true') end";
        let ended = [root.start(run), root.start(run)].map(Run::end);
        let results = workers.map(|worker| worker.join().is_ok());
        done.store(true, Ordering::Relaxed);
        assert_eq!(ended.map(|ended| (ended.status, ended.err)), [(); 2].map(|()| (0, String::new())));
        assert_eq!(results, [true, true]);
        assert!(sweepers.map(|sweeper| sweeper.join().is_ok()) == [true, true]);
    });
    root.ok("image.list()");
    root.check_swept(&[]);
}

#[test]
fn the_same_step_runs_once() {
    let disk = Disk::memory("size=64m");
    let root = disk.root();
    let base = "local s = build.from_host{'/bin/sh', '/bin/cat'}";
    root.ok(base);
    // Random, so that whoever ran it has a result of his own.
    let code = format!("{base} print(s:run('cat /proc/sys/kernel/random/uuid > /id'):read('/id'))");
    let runs: Vec<Run> = (0..4).map(|_| root.start(&code)).collect();
    let results: Vec<String> = runs.into_iter().map(|run| run.end().out).collect();
    assert!(results[0].len() > 30 && results.iter().all(|result| *result == results[0]), "{results:?}");
}

#[test]
fn a_stopped_process_blocks_only_what_it_makes() {
    let disk = Disk::memory("size=64m");
    let root = disk.root();
    let step = |text: &str| format!("{} print(s:out('{text}'))", steps());
    root.ok(&steps());
    let holder = root.start(&format!("{} s:run('echo up > /up; sleep 7654')", steps()));
    // It has the lock of its step when its container is there.
    while holder.named("sleep").is_empty() {
        assert!(!holder.until(std::time::Duration::ZERO), "ended");
        thread::yield_now();
    }
    holder.stop_all();
    assert_eq!(root.ok(&step("echo other")), "other\n");
    assert_eq!(root.ok(&pull().code), pull().out);
    assert_eq!(root.ok(&pull().look), pull().seen);
    let waiting = root.start(&format!("{} s:run('echo up > /up; sleep 7654')", steps()));
    assert!(!waiting.until(std::time::Duration::from_millis(500)), "the step was run twice");
    waiting.signal(Signal::INT);
    assert_eq!(waiting.end().status, 130);
    holder.kill_all();
    assert_eq!(holder.end().status, 137);
    build().repeat(&root, &[]);
}
