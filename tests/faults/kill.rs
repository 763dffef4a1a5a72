//! `kill -9` at any moment.

use rustix::process::Signal;

use crate::disk::Disk;
use crate::process::Run;
use crate::root::Root;
use crate::sample::{Job, Random, build, mounted, mounted_steps, pull};

const ROUNDS: usize = 50;

/// Kills the job at moments over its whole duration: every other time the main process alone, else all of them.
fn at_any_moment(job: &Job) {
    let mut random = Random::new();
    let mut finished = 0;
    for round in 0..ROUNDS {
        let disk = Disk::memory("size=64m");
        let root = disk.root();
        let moment = random.moment(job.duration);
        println!("round {round}: killed after {moment:?}");
        let run = root.start(&job.code);
        finished += usize::from(run.until(moment));
        match round % 2 {
            0 => run.signal(Signal::KILL),
            _ => run.kill_all(),
        }
        run.end();
        let areas = root.work_areas();
        root.check_whole();
        job.repeat(&root, &areas);
    }
    assert!(finished < ROUNDS * 3 / 4, "{finished} of {ROUNDS} were done before they could be killed");
}

#[test]
fn a_killed_pull_leaves_nothing_and_is_repeated() {
    at_any_moment(pull());
}

#[test]
fn a_killed_build_leaves_nothing_and_is_repeated() {
    at_any_moment(build());
}

#[test]
fn a_killed_step_with_mounts_leaves_nothing_and_is_repeated() {
    at_any_moment(mounted());
}

/// The state that a failed step left is gone with whoever had it.
#[test]
fn a_killed_program_leaves_no_failed_states() {
    let disk = Disk::memory("size=64m");
    let root = disk.root();
    let code = format!(
        "{} local e = select(2, pcall(s.run, s, 'cat /data > /left; exit 1')) print(#e.state:read '/left') io.stdout:flush() \
         e.state:run 'echo up; sleep 7654'",
        mounted_steps(true)
    );
    let run = root.start(&code);
    run.until_printed("2097152\n");
    run.signal(Signal::KILL);
    run.end();
    mounted().repeat(&root, &[]);
}

/// A container that says when it runs, and has a cgroup.
fn container(root: &Root) -> Run {
    root.ok(&build().code);
    let run = root.start("container.run('built:1', 'echo up; sleep 7654; echo over', {memory='64m', pids_limit=16})");
    run.until_printed("up\n");
    run
}

/// One of the processes of a running container is killed; returns how the command ended.
fn with_a_container(kill: impl FnOnce(&Run)) -> crate::process::Ended {
    let disk = Disk::memory("size=64m");
    let root = disk.root();
    let run = container(&root);
    let areas = root.work_areas();
    assert_eq!(areas.len(), 1, "the container's folder");
    kill(&run);
    let ended = run.end();
    assert!(!ended.out.contains("over"));
    build().repeat(&root, &areas);
    ended
}

#[test]
fn a_killed_monitor_takes_the_container_along() {
    let ended = with_a_container(|run| run.named("moonshell-mon").iter().for_each(|one| one.signal(Signal::KILL)));
    assert_eq!(ended.status, 70);
    let first = ended.err.lines().next();
    assert_eq!(first, Some("error: the container's monitor was killed, and the container with it"), "{}", ended.err);
}

#[test]
fn a_killed_engine_takes_the_container_along() {
    assert_eq!(with_a_container(|run| run.signal(Signal::KILL)).status, 137);
}

#[test]
fn all_killed_at_once_leave_nothing() {
    assert_eq!(with_a_container(Run::kill_all).status, 137);
}

#[test]
fn a_killed_spawner_is_replaced() {
    let disk = Disk::memory("size=64m");
    let root = disk.root();
    root.ok(&build().code);
    let shared = tempfile::tempdir().unwrap();
    let code = format!(
        r#"
        container.run("built:1", "echo up; while ! [ -e /shared/go ]; do sleep 0.01; done; echo over",
            {{volumes={{"{}:/shared"}}}})
        container.run("built:1", "echo again")
        "#,
        shared.path().display()
    );
    let run = root.start(&code);
    run.until_printed("up\n");
    run.kill_program("moonshell-spawner");
    std::fs::write(shared.path().join("go"), "").unwrap();
    let ended = run.end();
    assert_eq!((ended.status, ended.out.as_str()), (0, "up\nover\nagain\n"), "{}", ended.err);
    build().repeat(&root, &[]);
}
