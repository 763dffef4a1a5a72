//! The image and the build that the tests interrupt, and what they are when nothing interrupts them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use crate::disk::Disk;
use crate::root::{Listing, Root, names};
use crate::support::RegistryServer;

/// Numbers from a seed (SplitMix64).
pub struct Random(u64);

impl Random {
    /// Seeded by the environment or the clock; says by what.
    pub fn new() -> Random {
        let given = std::env::var("MOONSHELL_FAULTS_SEED").ok().map(|text| text.parse().expect("a number"));
        let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = given.unwrap_or_else(clock);
        println!("MOONSHELL_FAULTS_SEED={seed}");
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A moment from the start to the end of something that takes so long.
    pub fn moment(&mut self, whole: Duration) -> Duration {
        whole.mul_f64(self.next() as f64 / u64::MAX as f64)
    }

    /// Bytes that do not compress.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(count).collect()
    }
}

/// Something to interrupt: a script, and how it ends when it is left alone.
pub struct Job {
    /// Prints a digest.
    pub code: String,
    /// What it prints.
    pub out: String,
    /// Prints what a container of the image finds, and needs no registry.
    pub look: String,
    /// What that prints.
    pub seen: String,
    /// How long it takes.
    pub duration: Duration,
    /// The trees of its layers, where they are the same each time.
    pub layers: BTreeMap<String, Listing>,
}

impl Job {
    /// Runs it undisturbed; `keeps_times` where its layers come out the same to the last time stamp.
    fn new(code: String, name: &str, keeps_times: bool) -> Job {
        let look = format!(
            "print(image.get('{name}').digest); container.run('{name}', 'cat /head /many/8; ls / /many', {{pull='never'}})"
        );
        let disk = Disk::memory("size=256m");
        let mut duration = Duration::MAX;
        let mut root = disk.root();
        let mut out = String::new();
        for round in 0..3 {
            root = Root(disk.path().join(round.to_string()));
            let start = Instant::now();
            out = root.ok(&code);
            // The shortest: the longest may have waited for other tests.
            duration = duration.min(start.elapsed());
        }
        let ids: BTreeSet<String> =
            names(&root.0.join("layers")).into_iter().filter(|id| keeps_times && id.len() == 64).collect();
        let seen = root.ok(&look);
        assert!(seen.starts_with(&out) && seen.len() > 100_000, "{seen}");
        Job { layers: root.layers(&ids), code, out, look, seen, duration }
    }

    /// Runs it on a root that may hold anything, and fails unless all is as it should be. `areas` are the work areas
    /// that were there before.
    pub fn repeat(&self, root: &Root, areas: &[String]) {
        assert_eq!(root.ok(&self.code), self.out);
        root.check_swept(areas);
        self.check(root);
    }

    /// Fails unless its image is there and right, without doing it again.
    pub fn check(&self, root: &Root) {
        assert_eq!(root.ok(&self.look), self.seen);
        root.check_whole();
        root.check_swept(&[]);
        let ids = self.layers.keys().cloned().collect();
        for (id, tree) in root.layers(&ids) {
            let other = tree.iter().find(|(path, what)| self.layers[&id].get(*path) != Some(what));
            assert_eq!(other, None, "in layer {id}");
            assert_eq!(tree.len(), self.layers[&id].len(), "layer {id} lacks something");
        }
    }
}

/// A file of 2 MiB that does not compress, the same for all tests of a run.
pub fn data() -> &'static PathBuf {
    static DATA: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let made = DATA.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        fs::write(&path, Random(1).bytes(2 << 20)).unwrap();
        (dir, path)
    });
    &made.1
}

/// The build, up to its last state `s`.
pub fn steps() -> String {
    format!(
        r#"
        local s = build.from_host{{"/bin/sh", "/bin/ls", "/bin/cat", "/bin/sleep", "/bin/rm", "/bin/mkdir", "/bin/ln"}}
        s = s:copy("{}", "/data")
        s = s:run("cat /bin/cat /bin/ls > /head; mkdir /many; for i in 1 2 3 4 5 6 7 8 9; do echo $i > /many/$i; done")
        s = s:run("rm /many/7; ln -s data /link; cat /bin/rm >> /many/8")
        s = s:run("cat /data /data > /twice")
        "#,
        data().display()
    )
}

/// A build of several steps and its commit.
pub fn build() -> &'static Job {
    static JOB: OnceLock<Job> = OnceLock::new();
    JOB.get_or_init(|| Job::new(format!("{}\nprint(s:commit('built:1').digest)", steps()), "built:1", false))
}

/// The steps of a build with mounts of every kind, up to its last state `s`; `cache` says whether a cache is among them.
pub fn mounted_steps(cache: bool) -> String {
    let cache = if cache { r#""type=cache,target=/c,sharing=locked","# } else { "" };
    format!(
        r#"{}
        local other = build.scratch():write("/d/file", "other")
        s = s:run("mkdir -p /c /opt; cat /data >> /c/log; cat /data > /m/data; cat /data > /o/more; cat /run/secrets/t /f /o/file > /seen", {{
            secrets={{t={{value="secret"}}}},
            mounts={{{cache} "type=tmpfs,target=/opt/m", {{type="tmpfs", target="/m"}}, {{type="secret", id="t", required=true}},
                {{type="file", target="/f", content="content"}}, {{target="/o", from=other, source="/d", rw=true}},
                {{target="/host", source="{}", rw=true}}}}}})
        "#,
        steps(),
        data().parent().unwrap().display()
    )
}

/// A build with a step that has mounts.
pub fn mounted() -> &'static Job {
    static JOB: OnceLock<Job> = OnceLock::new();
    JOB.get_or_init(|| {
        Job::new(format!("{}\nprint(s:commit('mounted:1').digest)", mounted_steps(true)), "mounted:1", false)
    })
}

/// The pull of an image of five layers from a registry that runs as long as the tests.
pub fn pull() -> &'static Job {
    static JOB: OnceLock<(Job, RegistryServer)> = OnceLock::new();
    let made = JOB.get_or_init(|| {
        let server = RegistryServer::open();
        let name = format!("{}/sample:1", server.host());
        Disk::memory("size=64m").root().ok(&format!("{}\nimage.push(s:commit('{name}'))", steps()));
        (Job::new(format!("print(image.pull('{name}').digest)"), &name, true), server)
    });
    &made.0
}
