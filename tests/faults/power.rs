//! Power cuts: what is in the backing file of a mounted ext4 file system, at a moment or just after a command has
//! returned. What the program has not made durable is still in memory then, and not in the copy.

use std::path::PathBuf;

use crate::disk::{Disk, copy, format};
use crate::sample::{Job, Random, build, pull};

const ROUNDS: usize = 20;

/// An empty file system, and the files that are made of it.
struct Bench {
    // In memory: nobody else's writing slows it down.
    files: Disk,
}

impl Bench {
    fn new() -> Bench {
        let bench = Bench { files: Disk::for_images("size=400m") };
        format(&bench.file("empty"), "96M", &["-E", "lazy_itable_init=1"]);
        bench
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// The empty file system, mounted.
    fn fresh(&self) -> Disk {
        copy(&self.file("empty"), &self.file("disk"));
        Disk::file(&self.file("disk"))
    }

    /// What a machine finds that starts again now.
    fn after_the_cut(&self) -> Disk {
        copy(&self.file("disk"), &self.file("cut"));
        Disk::file(&self.file("cut"))
    }
}

fn during(job: &Job) {
    let mut random = Random::new();
    let bench = Bench::new();
    let mut finished = 0;
    for round in 0..ROUNDS {
        let moment = random.moment(job.duration);
        println!("round {round}: cut after {moment:?}");
        let disk = bench.fresh();
        let run = disk.root().start(&job.code);
        finished += usize::from(run.until(moment));
        run.stop_all();
        let cut = bench.after_the_cut();
        run.kill_all();
        run.end();
        drop(disk);
        let root = cut.root();
        root.check_whole();
        let areas = root.work_areas();
        root.ok("for _, one in ipairs(image.list()) do one:history() end");
        root.check_swept(&areas);
        job.repeat(&root, &[]);
    }
    assert!(finished < ROUNDS * 3 / 4, "{finished} of {ROUNDS} were done before the cut");
}

/// Cuts the power right after each of many commands; `look` is then what is to be found.
fn after(job: &Job, look: impl Fn(&crate::root::Root)) {
    let bench = Bench::new();
    for round in 0..ROUNDS {
        println!("round {round}");
        let disk = bench.fresh();
        let run = disk.root().start(&job.code);
        run.until_printed(&job.out);
        run.until(std::time::Duration::from_secs(60));
        let cut = bench.after_the_cut();
        assert_eq!(run.end().status, 0);
        drop(disk);
        look(&cut.root());
    }
}

#[test]
fn a_power_cut_during_a_pull_leaves_a_whole_store() {
    during(pull());
}

#[test]
fn a_power_cut_during_a_build_leaves_a_whole_store() {
    during(build());
}

#[test]
fn a_power_cut_after_a_pull_loses_nothing() {
    let job = pull();
    after(job, |root| job.check(root));
}

#[test]
fn a_power_cut_after_a_build_loses_nothing() {
    let job = build();
    after(job, |root| {
        job.check(root);
        let content = root.content();
        assert_eq!(root.ok(&job.code), job.out);
        let new: Vec<String> = root.content().into_keys().filter(|path| !content.contains_key(path)).collect();
        assert_eq!(new, Vec::<String>::new(), "not all of the build came from the cache");
    });
}

/// The copies would prove nothing if they held what nobody has made durable.
#[test]
fn what_was_not_made_durable_is_lost() {
    let bench = Bench::new();
    let disk = bench.fresh();
    std::fs::write(disk.path().join("file"), "content").unwrap();
    let cut = bench.after_the_cut();
    assert!(!cut.path().join("file").exists());
}
