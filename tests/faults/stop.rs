//! SIGINT and SIGTERM at any moment.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::disk::Disk;
use crate::sample::{Job, Random, build, mounted, pull};

const ROUNDS: usize = 10;

/// What a user waits for without wondering.
const AT_ONCE: Duration = Duration::from_secs(2);

fn at_any_moment(job: &Job) {
    let mut random = Random::new();
    let mut finished = 0;
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        for round in 0..ROUNDS {
            let disk = Disk::memory("size=64m");
            let root = disk.root();
            let moment = random.moment(job.duration);
            println!("round {round}: {signal:?} after {moment:?}");
            let run = root.start(&job.code);
            if run.until(moment) {
                finished += 1;
                assert_eq!(run.end().status, 0);
                continue;
            }
            run.signal(signal);
            let start = Instant::now();
            let ended = run.end();
            assert!(start.elapsed() < AT_ONCE, "it took {:?}", start.elapsed());
            // The signal may come when everything is done.
            let done = ended.status == 0 && ended.out == job.out;
            assert!(ended.status == status || done, "status {}: {}", ended.status, ended.err);
            finished += usize::from(done);
            root.check_whole();
            root.check_swept(&[]);
            job.repeat(&root, &[]);
        }
    }
    assert!(finished < 2 * ROUNDS * 3 / 4, "{finished} of {} were done before the signal", 2 * ROUNDS);
}

#[test]
fn a_pull_that_is_stopped_leaves_nothing() {
    at_any_moment(pull());
}

#[test]
fn a_step_with_mounts_that_is_stopped_leaves_nothing() {
    at_any_moment(mounted());
}

#[test]
fn a_build_that_is_stopped_leaves_nothing() {
    at_any_moment(build());
}
