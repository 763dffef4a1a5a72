//! What registries do wrong, and that nothing of it reaches a name in the store.

#[path = "../registry/mod.rs"]
mod registry;
#[path = "../support/mod.rs"]
mod support;

mod bodies;
mod logins;
mod manifests;
mod pushes;
mod redirects;
mod sharing;
mod trouble;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use moonshell::engine::digest::Digest;
use moonshell::engine::error::{Error, Kind};
use moonshell::engine::image::{Image, PullOptions};
use moonshell::engine::reference::Reference;
use moonshell::engine::registry::Patience;
use moonshell::engine::{Config, Credentials, Engine};
use registry::{Answer, Asked, CONFIG, INDEX, LAYER, MANIFEST, Registry, Sample, gzip, manifest_of};
use serde_json::{Value, json};

const PATIENCE: Patience = Patience {
    attempts: 5,
    first_wait: Duration::from_millis(1),
    connect: Duration::from_secs(5),
    read: Duration::from_millis(400),
};

/// One registry with one sample, and a store to pull into.
struct Case {
    registry: Registry,
    sample: Sample,
    dir: tempfile::TempDir,
    change: Box<dyn Fn(Config) -> Config + Send + Sync>,
}

impl Case {
    fn new() -> Case {
        Case::of(Sample::new(1, 40_000))
    }

    fn of(sample: Sample) -> Case {
        let registry = Registry::start();
        sample.put(&registry);
        Case { registry, sample, dir: tempfile::tempdir().unwrap(), change: Box::new(|config| config) }
    }

    fn login(mut self, username: &'static str, password: &'static str) -> Case {
        self.change = Box::new(move |config| support::with_login(config, username, password));
        self
    }

    fn host(&self) -> String {
        self.registry.host()
    }

    fn engine(&self) -> Engine {
        Engine::open((self.change)(support::config(&self.dir.path().join("state")))).unwrap()
    }

    fn name(&self, rest: &str) -> Reference {
        format!("{}/{rest}", self.host()).parse().unwrap()
    }

    fn pull_with(&self, rest: &str, options: &PullOptions) -> Result<Image, Error> {
        let engine = self.engine();
        let result = engine.image_pull(&self.name(rest), options);
        if let Ok(image) = &result {
            for (lower, number) in engine.image_lowers(image).unwrap().iter().zip(0..) {
                assert!(lower.join(format!("file{number}")).exists());
            }
        }
        drop(engine);
        self.assert_tidy();
        result
    }

    fn pull(&self) -> Result<Image, Error> {
        self.pull_with("test/app:1", &PullOptions { patience: PATIENCE, ..PullOptions::default() })
    }

    /// The pull must work although something goes wrong.
    fn works(&self) {
        let image = self.pull().unwrap();
        assert_eq!(image.id, self.sample.config_digest());
        assert_eq!(self.engine().image_list().unwrap().len(), 1);
    }

    /// The pull must fail with this, and leave no name.
    fn fails(&self, kind: Kind, message: &str) -> Error {
        let error = self.pull().unwrap_err();
        self.expect(&error, kind, message);
        error
    }

    fn expect(&self, error: &Error, kind: Kind, message: &str) {
        assert_eq!((error.kind(), error.message()), (kind, message), "{error:?}");
        assert!(self.engine().store().list_refs().unwrap().is_empty(), "something was named");
        self.assert_tidy();
    }

    /// Nothing may be left in the work areas, and no lock file.
    fn assert_tidy(&self) {
        for folder in ["tmp", "locks"] {
            let path = self.dir.path().join("state").join(folder);
            let left: Vec<_> = std::fs::read_dir(path).unwrap().collect();
            assert!(left.is_empty(), "left in {folder}: {left:?}");
        }
    }

    fn layer(&self) -> (Digest, usize) {
        (self.sample.layer_digest(0), self.sample.layers[0].len())
    }

    /// Answers the first layer's blob with `answer`; it gets the request and the honest content.
    fn spoil_layer(&self, answer: impl Fn(&Asked, &[u8]) -> Option<Answer> + Send + Sync + 'static) {
        let path = format!("/blobs/{}", self.layer().0);
        let content = self.sample.layers[0].clone();
        self.registry.rule(move |asked| if asked.is("GET", &path) { answer(asked, &content) } else { None });
    }

    fn spoil_manifest(&self, answer: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) {
        self.registry.rule(move |asked| if asked.is("GET", "/manifests/") { answer(asked) } else { None });
    }

    /// Serves another manifest as `:1`.
    fn replace(&self, media_type: &str, manifest: &Value) {
        self.registry.manifest("1", media_type, manifest.to_string().as_bytes());
    }
}

/// The part of a body that a Range request asks for.
fn rest(asked: &Asked, content: &[u8]) -> (usize, Answer) {
    let start = asked.header("range").map_or(0, |it| it["bytes=".len()..].trim_end_matches('-').parse().unwrap());
    if start == 0 {
        return (0, Answer::ok(content));
    }
    let answer = Answer { body: content[start..].to_vec(), ..Answer::status(206) };
    (start, answer.header("Content-Range", format!("bytes {start}-{}/{}", content.len() - 1, content.len())))
}
