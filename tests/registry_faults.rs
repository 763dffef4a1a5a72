//! What registries do wrong, and that nothing of it reaches a name in the store.

mod registry;
mod support;

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

// Bodies

#[test]
fn a_body_cut_short_once_is_resumed() {
    let case = Case::new();
    case.spoil_layer(|asked, content| {
        if asked.before > 0 {
            return None;
        }
        Some(Answer { cut: Some(content.len() / 2), ..Answer::ok(content) })
    });
    case.works();
    let blobs: Vec<Asked> = case.registry.asked().into_iter().filter(|it| it.path.contains("/blobs/")).collect();
    let ranges: Vec<&str> = blobs.iter().filter_map(|it| it.header("range")).collect();
    assert_eq!(ranges, [format!("bytes={}-", case.layer().1 / 2)]);
    let whole = case.layer().1 + case.sample.config.to_string().len() + case.sample.manifest.to_string().len();
    assert!(case.registry.sent() as usize <= whole * 11 / 10, "{} of {whole}", case.registry.sent());
}

#[test]
fn a_body_always_cut_short_is_an_error_with_the_number_of_tries() {
    let case = Case::new();
    // Each answer brings nothing but its first byte.
    case.spoil_layer(|asked, content| Some(Answer { cut: Some(1), ..rest(asked, content).1 }));
    let (digest, size) = case.layer();
    let message = format!("blob {digest} from {} was cut short at 5 of {size} bytes (tried 5 times)", case.host());
    case.fails(Kind::Network, &message);
}

#[test]
fn a_silent_body_is_resumed() {
    let case = Case::new();
    case.spoil_layer(
        |asked, content| {
            if asked.before > 0 { None } else { Some(Answer { stall: Some(1000), ..Answer::ok(content) }) }
        },
    );
    case.works();
}

#[test]
fn a_body_that_always_falls_silent_is_an_error() {
    let case = Case::new();
    case.spoil_layer(|asked, content| Some(Answer { stall: Some(0), ..rest(asked, content).1 }));
    let (digest, size) = case.layer();
    let message = format!("blob {digest} from {} was cut short at 0 of {size} bytes (tried 5 times)", case.host());
    case.fails(Kind::Network, &message);
}

#[test]
fn a_server_without_ranges_starts_again() {
    let case = Case::new();
    case.spoil_layer(|asked, content| {
        let cut = if asked.before == 0 { Some(content.len() / 2) } else { None };
        Some(Answer { cut, ..Answer::ok(content) })
    });
    case.works();
}

#[test]
fn the_wrong_range_is_refused() {
    let case = Case::new();
    case.spoil_layer(|asked, content| match asked.before {
        0 => Some(Answer { cut: Some(100), ..Answer::ok(content) }),
        _ => Some(
            Answer { body: content[50..].to_vec(), ..Answer::status(206) }
                .header("Content-Range", format!("bytes 50-{}/{}", content.len() - 1, content.len())),
        ),
    });
    let message = format!("registry {} sent another part of blob {} than asked for", case.host(), case.layer().0);
    case.fails(Kind::Integrity, &message);
}

#[test]
fn a_layer_with_the_wrong_digest_is_refused() {
    let case = Case::new();
    let mut wrong = case.sample.layers[0].clone();
    let last = wrong.len() - 1;
    wrong[last] ^= 1;
    let message = format!("content has digest {}, expected {}", Digest::of(&wrong), case.layer().0);
    case.spoil_layer(move |_, _| Some(Answer::ok(wrong.clone())));
    case.fails(Kind::Integrity, &message);
}

#[test]
fn a_configuration_with_the_wrong_digest_is_refused() {
    let case = Case::new();
    let wrong = case.sample.config.to_string().replace("/bin/true", "/bin/evil");
    let message = format!("content has digest {}, expected {}", Digest::of(&wrong), case.sample.config_digest());
    let path = format!("/blobs/{}", case.sample.config_digest());
    case.registry.rule(move |asked| asked.is("GET", &path).then(|| Answer::ok(wrong.clone())));
    case.fails(Kind::Integrity, &message);
}

#[test]
fn a_blob_of_another_size_is_refused() {
    let case = Case::new();
    case.spoil_layer(|_, content| Some(Answer::ok(&content[1..])));
    let (digest, size) = case.layer();
    let message = format!("blob {digest} has {} bytes in {}, expected {size}", size - 1, case.host());
    case.fails(Kind::Integrity, &message);
}

#[test]
fn a_body_longer_than_announced_is_refused() {
    let case = Case::new();
    case.spoil_layer(|_, content| {
        let body = [content, b"more"].concat();
        Some(Answer { unsized_body: true, ..Answer::ok(body) })
    });
    let (digest, size) = case.layer();
    case.fails(Kind::Integrity, &format!("{digest} is longer than its {size} bytes"));
}

#[test]
fn a_missing_blob_is_named() {
    let case = Case::new();
    case.spoil_layer(|_, _| Some(Answer::status(404)));
    case.fails(Kind::NotFound, &format!("blob {} not found in {}", case.layer().0, case.host()));
}

#[test]
fn a_damaged_layer_with_the_right_digest_is_refused() {
    let mut sample = Sample::new(1, 1000);
    sample.layers[0].truncate(600);
    sample.manifest = manifest_of(&sample.config, &sample.layers);
    let case = Case::of(sample);
    let error = case.pull().unwrap_err();
    assert!(error.message().starts_with("gzip data of the layer cannot be read"), "{error:?}");
    case.expect(&error, Kind::Integrity, error.message());
}

#[test]
fn a_layer_that_unpacks_to_something_else_is_refused() {
    let mut sample = Sample::new(1, 1000);
    let other = Sample::new(2, 1000);
    sample.config["rootfs"]["diff_ids"] = json!([other.diff_ids[1]]);
    sample.manifest = manifest_of(&sample.config, &sample.layers);
    let case = Case::of(sample);
    let message = format!(
        "layer {} unpacks to {}, but the image's configuration says {}",
        case.layer().0,
        case.sample.diff_ids[0],
        other.diff_ids[1]
    );
    case.fails(Kind::Integrity, &message);
}

#[test]
fn one_bad_layer_stops_the_others() {
    let case = Case::of(Sample::new(3, 5000));
    let bad = format!("/blobs/{}", case.layer().0);
    let (path, content) = (case.sample.layer_digest(1).to_string(), case.sample.layers[1].clone());
    // The second would take for ever; it ends because the first fails.
    case.registry.rule(move |asked| {
        if asked.is("GET", &bad) {
            return Some(Answer::status(403));
        }
        asked.is("GET", &path).then(|| Answer { stall: Some(10), ..Answer::ok(content.clone()) })
    });
    let start = Instant::now();
    let patience = Patience { read: Duration::from_secs(60), ..PATIENCE };
    let error = case.pull_with("test/app:1", &PullOptions { patience, ..PullOptions::default() }).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(20));
    case.expect(
        &error,
        Kind::Permission,
        &format!("registry {} denied access to blob {}", case.host(), case.layer().0),
    );
}

// Passing trouble

#[test]
fn a_server_error_passes() {
    let case = Case::new();
    case.spoil_manifest(|asked| (asked.before < 2).then(|| Answer::status(500)));
    case.works();
}

#[test]
fn a_server_error_that_stays_is_an_error() {
    let case = Case::new();
    case.spoil_manifest(|_| Some(Answer::status(503)));
    let message =
        format!("registry {} answered 503 Service Unavailable for manifest test/app:1 (tried 5 times)", case.host());
    case.fails(Kind::Network, &message);
    assert_eq!(case.registry.asked().len(), 5);
}

#[test]
fn a_busy_registry_is_asked_again_when_it_says() {
    let case = Case::new();
    case.spoil_manifest(|asked| (asked.before == 0).then(|| Answer::status(429).header("Retry-After", "1")));
    let start = Instant::now();
    case.works();
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_registry_that_stays_busy_is_an_error() {
    let case = Case::new();
    case.spoil_manifest(|_| Some(Answer::status(429)));
    let message =
        format!("registry {} takes no more requests for now: manifest test/app:1 (tried 5 times)", case.host());
    case.fails(Kind::Network, &message);
}

#[test]
fn a_silent_registry_is_a_timeout() {
    let case = Case::new();
    let patience = Patience { attempts: 2, ..PATIENCE };
    case.spoil_manifest(|_| Some(Answer { raw: Some(b"HTTP/1.1 ".to_vec()), ..Answer::default() }));
    // A status line that never ends: the connection closes.
    case.fails(Kind::Network, &format!("connection to registry {} broke (tried 5 times)", case.host()));
    let quiet = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let name: Reference = format!("{}/test/app:1", quiet.local_addr().unwrap()).parse().unwrap();
    let options = PullOptions { patience, ..PullOptions::default() };
    let error = case.engine().image_pull(&name, &options).unwrap_err();
    let message = format!("registry {} went silent (tried 2 times)", name.registry());
    case.expect(&error, Kind::Timeout, &message);
}

#[test]
fn an_unreachable_registry_is_named_at_once() {
    let case = Case::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let name: Reference = format!("127.0.0.1:{port}/test/app").parse().unwrap();
    let start = Instant::now();
    let error = case.engine().image_pull(&name, &PullOptions::default()).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(2));
    case.expect(&error, Kind::Network, &format!("cannot reach registry 127.0.0.1:{port}"));
    assert_eq!(error.causes(), ["Connection refused (os error 111)"]);
}

#[test]
fn what_is_not_http_is_an_error() {
    let case = Case::new();
    case.spoil_manifest(|_| Some(Answer { raw: Some(b"SSH-2.0-OpenSSH_9\r\n\r\n".to_vec()), ..Answer::default() }));
    case.fails(Kind::Network, &format!("registry {} does not speak proper HTTP (tried 5 times)", case.host()));
}

#[test]
fn a_cancelled_pull_ends_at_once() {
    let case = Case::of(Sample::new(4, 5000));
    let engine = case.engine();
    let cancel = engine.cancel().clone();
    let stalled = AtomicUsize::new(0);
    let layers: Vec<(String, Vec<u8>)> =
        case.sample.layers.iter().map(|bytes| (Digest::of(bytes).to_string(), bytes.clone())).collect();
    case.registry.rule(move |asked| {
        let (_, content) = layers.iter().find(|(digest, _)| asked.path.ends_with(digest))?;
        if stalled.fetch_add(1, Ordering::SeqCst) == 2 {
            cancel.cancel();
        }
        Some(Answer { stall: Some(50), ..Answer::ok(content.clone()) })
    });
    let start = Instant::now();
    let patience = Patience { read: Duration::from_secs(60), ..PATIENCE };
    let error =
        engine.image_pull(&case.name("test/app:1"), &PullOptions { patience, ..PullOptions::default() }).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    drop(engine);
    case.expect(&error, Kind::Interrupted, "interrupted");
}

#[test]
fn a_cancelled_wait_ends_at_once() {
    let case = Case::new();
    let engine = case.engine();
    let cancel = engine.cancel().clone();
    case.spoil_manifest(|_| Some(Answer::status(429).header("Retry-After", "60")));
    std::thread::scope(|scope| {
        let pull = scope.spawn(|| engine.image_pull(&case.name("test/app:1"), &PullOptions::default()));
        while case.registry.asked().is_empty() {
            std::thread::yield_now();
        }
        let start = Instant::now();
        cancel.cancel();
        assert_eq!(pull.join().unwrap().unwrap_err().kind(), Kind::Interrupted);
        assert!(start.elapsed() < Duration::from_secs(2));
    });
}

// Redirects

#[test]
fn credentials_do_not_follow_a_redirect_to_another_host() {
    let case = Case::new().login("joe", "secret");
    let other = Registry::start();
    case.sample.put(&other);
    let target = other.host();
    case.registry.rule(move |asked| {
        if asked.header("authorization").is_none() {
            return Some(Answer::status(401).header("WWW-Authenticate", "Basic realm=\"x\""));
        }
        let location = format!("http://{target}{}", asked.path);
        asked.is("GET", "/blobs/").then(|| Answer::status(307).header("Location", location))
    });
    case.works();
    assert!(!other.asked().is_empty());
    assert!(other.asked().iter().all(|asked| asked.header("authorization").is_none()));
}

#[test]
fn a_host_behind_a_redirect_gets_no_answer_to_its_challenge() {
    let case = Case::new().login("joe", "secret");
    let other = Registry::start();
    other.rule(|_| Some(Answer::status(401).header("WWW-Authenticate", "Basic realm=\"x\"")));
    let target = other.host();
    let host = other.host();
    case.spoil_layer(move |asked, _| {
        Some(Answer::status(307).header("Location", format!("http://{target}{}", asked.path)))
    });
    let message = format!("registry {} refers to http://{host}, which refuses access", case.host());
    case.fails(Kind::Permission, &message);
    assert!(other.asked().iter().all(|asked| asked.header("authorization").is_none()));
}

#[test]
fn endless_redirects_end() {
    let case = Case::new();
    case.spoil_manifest(|asked| Some(Answer::status(302).header("Location", asked.path.clone())));
    case.fails(Kind::Network, &format!("http://{} redirects more than 8 times", case.host()));
}

#[test]
fn a_redirect_without_target_is_refused() {
    let case = Case::new();
    case.spoil_manifest(|_| Some(Answer::status(302)));
    case.fails(Kind::Integrity, &format!("http://{} redirects without saying where", case.host()));
}

// Logins

#[test]
fn a_wrong_password_is_refused() {
    let case = Case::new().login("joe", "wrong");
    case.registry.rule(|_| Some(Answer::status(401).header("WWW-Authenticate", "Basic realm=\"x\"")));
    let error = case.fails(Kind::Permission, &format!("registry {} refused the password of user 'joe'", case.host()));
    assert!(error.hint().unwrap().contains("registry.login"));
    assert!(!format!("{error:?}{:?}", error.causes()).contains("wrong"));
    assert_eq!(case.registry.asked().len(), 2);
}

#[test]
fn no_password_is_an_error_with_a_hint() {
    let case = Case::new();
    case.registry.rule(|_| Some(Answer::status(401).header("WWW-Authenticate", "Basic realm=\"x\"")));
    let error = case.fails(Kind::Permission, &format!("registry {} requires a login", case.host()));
    assert!(error.hint().unwrap().contains("registry.login"));
}

#[test]
fn an_unknown_challenge_is_unsupported() {
    let case = Case::new().login("joe", "secret");
    case.registry.rule(|_| Some(Answer::status(401).header("WWW-Authenticate", "Negotiate")));
    let message = format!("registry {} asks for a login in a way this version does not know", case.host());
    case.fails(Kind::Unsupported, &message);
}

#[test]
fn access_denied_is_an_error() {
    let case = Case::new();
    case.spoil_manifest(|_| {
        Some(Answer { status: 403, ..Answer::ok(r#"{"errors":[{"code":"DENIED","message":"not yours"}]}"#) })
    });
    let error = case.fails(Kind::Permission, &format!("registry {} denied access to manifest test/app:1", case.host()));
    assert_eq!(error.causes(), ["the registry says: DENIED not yours"]);
}

/// A registry that wants tokens, and hands them out itself.
fn with_tokens(case: &Case, realm: &str, token: impl Fn(&Asked) -> Answer + Send + Sync + 'static) {
    let challenge = format!("Bearer realm=\"{realm}\",service=\"test\",scope=\"repository:test/app:pull\"");
    case.registry.rule(move |asked| {
        if asked.path.starts_with("/token") {
            return Some(token(asked));
        }
        match asked.header("authorization") {
            Some("Bearer good") => None,
            _ => Some(Answer::status(401).header("WWW-Authenticate", challenge.clone())),
        }
    });
}

#[test]
fn a_token_is_fetched_once_for_a_pull() {
    let case = Case::of(Sample::new(3, 1000));
    let realm = format!("http://{}/token", case.host());
    with_tokens(&case, &realm, |_| Answer::ok(r#"{"token":"good"}"#));
    case.works();
    let tokens: Vec<String> =
        case.registry.asked().into_iter().map(|it| it.path).filter(|path| path.starts_with("/token")).collect();
    assert_eq!(tokens, ["/token?service=test&scope=repository%3Atest%2Fapp%3Apull"]);
}

#[test]
fn a_token_costs_the_password_at_the_realm_only() {
    let case = Case::new().login("joe", "secret");
    let realm = format!("http://{}/token", case.host());
    with_tokens(&case, &realm, |asked| match asked.header("authorization") {
        Some("Basic am9lOnNlY3JldA==") => Answer::ok(r#"{"access_token":"good"}"#),
        _ => Answer::status(401),
    });
    case.works();
    let basic = |asked: &Asked| asked.header("authorization").is_some_and(|it| it.starts_with("Basic"));
    assert!(case.registry.asked().iter().all(|asked| asked.path.starts_with("/token") == basic(asked)));
}

#[test]
fn an_identity_token_is_posted() {
    let case = Case::new();
    let realm = format!("http://{}/token", case.host());
    with_tokens(&case, &realm, |asked| {
        let form = String::from_utf8_lossy(&asked.body);
        let good =
            asked.method == "POST" && form.contains("grant_type=refresh_token&") && form.ends_with("=refresh%2B1");
        if good { Answer::ok(r#"{"access_token":"good"}"#) } else { Answer::status(401) }
    });
    let credentials = Some(Credentials { username: String::new(), password: "refresh+1".into() });
    let options = PullOptions { credentials, patience: PATIENCE, ..PullOptions::default() };
    assert!(case.pull_with("test/app:1", &options).is_ok());
}

#[test]
fn a_realm_that_refuses_the_password_is_named() {
    let case = Case::new().login("joe", "wrong");
    let realm = format!("http://{}/token", case.host());
    with_tokens(&case, &realm, |_| Answer::status(401));
    case.fails(Kind::Permission, &format!("registry {} refused the password of user 'joe'", case.host()));
}

#[test]
fn a_token_that_does_not_help_is_an_error() {
    let case = Case::new();
    let realm = format!("http://{}/token", case.host());
    with_tokens(&case, &realm, |_| Answer::ok(r#"{"token":"bad"}"#));
    case.fails(Kind::Permission, &format!("registry {} denied access to test/app", case.host()));
}

#[test]
fn an_answer_without_token_is_refused() {
    let case = Case::new();
    let realm = format!("http://{}/token", case.host());
    let message = format!("the login service http://{} sent no token", case.host());
    with_tokens(&case, &realm, |_| Answer::ok(r#"{"token":"evil\r\nX: y"}"#));
    case.fails(Kind::Integrity, &message);
    with_tokens(&case, &realm, |_| Answer::ok("<html>"));
    case.fails(Kind::Integrity, &message);
}

#[test]
fn an_unencrypted_realm_gets_nothing() {
    let case = Case::new().login("joe", "secret");
    with_tokens(&case, "http://auth.example.com/token", |_| Answer::status(404));
    let message = format!("registry {} wants the login sent unencrypted to http://auth.example.com:80", case.host());
    case.fails(Kind::Permission, &message);
}

// Manifests

#[test]
fn a_missing_tag_is_named() {
    let case = Case::new();
    let error = case.pull_with("test/app:2", &PullOptions::default()).unwrap_err();
    case.expect(&error, Kind::NotFound, &format!("manifest test/app:2 not found in {}", case.host()));
}

#[test]
fn a_huge_manifest_is_refused() {
    let case = Case::new();
    case.spoil_manifest(|_| Some(Answer::ok(vec![b' '; (4 << 20) + 1])));
    let message = format!("manifest test/app:1 from {} is longer than 4194304 bytes", case.host());
    case.fails(Kind::Integrity, &message);
}

#[test]
fn a_huge_configuration_is_refused() {
    let case = Case::new();
    let mut manifest = case.sample.manifest.clone();
    manifest["config"]["size"] = json!(5 << 20);
    case.replace(MANIFEST, &manifest);
    let message = format!("image configuration {} has 5242880 bytes, more than 4194304", case.sample.config_digest());
    case.fails(Kind::Integrity, &message);
}

#[test]
fn an_ambiguous_manifest_is_refused() {
    let case = Case::new();
    let mut manifest = case.sample.manifest.clone();
    manifest["manifests"] = json!([]);
    case.replace(MANIFEST, &manifest);
    case.fails(Kind::Integrity, "manifest is ambiguous: it has both layers and manifests");
}

#[test]
fn a_manifest_sent_as_something_else_is_refused() {
    let case = Case::new();
    case.replace(INDEX, &case.sample.manifest.clone());
    case.fails(Kind::Integrity, &format!("manifest calls itself {MANIFEST}, but was sent as {INDEX}"));
}

#[test]
fn a_manifest_that_is_no_json_is_refused() {
    let case = Case::new();
    case.registry.manifest("1", MANIFEST, b"<html>");
    case.fails(Kind::Integrity, "manifest cannot be read");
}

#[test]
fn schema_one_is_unsupported() {
    let case = Case::new();
    case.replace(
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        &json!({ "schemaVersion": 1, "fsLayers": [], "history": [] }),
    );
    case.fails(Kind::Unsupported, "the image has a schema 1 manifest, a format given up in 2017");
}

#[test]
fn an_artifact_is_unsupported() {
    let case = Case::new();
    let mut manifest = case.sample.manifest.clone();
    manifest["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
    case.replace(MANIFEST, &manifest);
    let message = "this is not an image but an artifact of type application/vnd.cncf.helm.config.v1+json";
    case.fails(Kind::Unsupported, message);
}

#[test]
fn a_foreign_layer_is_not_fetched() {
    let case = Case::new();
    let other = Registry::start();
    let mut manifest = case.sample.manifest.clone();
    manifest["layers"][0]["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    manifest["layers"][0]["urls"] = json!([format!("http://{}/layer", other.host())]);
    case.replace(MANIFEST, &manifest);
    let message = format!("layer {} is not in the registry but elsewhere (a foreign layer)", case.layer().0);
    case.fails(Kind::Unsupported, &message);
    assert!(other.asked().is_empty());
}

#[test]
fn a_wrong_digest_header_is_refused() {
    let case = Case::new();
    let bytes = case.sample.manifest.to_string();
    let (is, says) = (Digest::of(&bytes), Digest::of("something else"));
    case.spoil_manifest(move |_| Some(Answer::ok(bytes.clone()).header("Docker-Content-Digest", says.to_string())));
    let message = format!("manifest test/app:1 from {} has digest {is}, expected {says}", case.host());
    case.fails(Kind::Integrity, &message);
}

#[test]
fn a_pinned_manifest_must_have_its_digest() {
    let case = Case::new();
    let bytes = case.sample.manifest.to_string();
    let (is, pinned) = (Digest::of(&bytes), Digest::of("something else"));
    case.spoil_manifest(move |_| Some(Answer::ok(bytes.clone())));
    let rest = format!("test/app@{pinned}");
    let error = case.pull_with(&rest, &PullOptions::default()).unwrap_err();
    let message = format!("manifest test/app@{pinned} from {} has digest {is}, expected {pinned}", case.host());
    case.expect(&error, Kind::Integrity, &message);
}

#[test]
fn layers_and_diff_ids_must_pair() {
    let mut sample = Sample::new(2, 1000);
    sample.config["rootfs"]["diff_ids"] = json!([sample.diff_ids[0]]);
    sample.manifest = manifest_of(&sample.config, &sample.layers);
    let case = Case::of(sample);
    let message = format!("image {} has 2 layers, but its configuration has 1 diff ids", case.sample.config_digest());
    case.fails(Kind::Integrity, &message);
}

#[test]
fn a_malformed_diff_id_is_refused() {
    let mut sample = Sample::new(1, 1000);
    sample.config["rootfs"]["diff_ids"] = json!(["sha256:../../../etc"]);
    sample.manifest = manifest_of(&sample.config, &sample.layers);
    Case::of(sample).fails(Kind::Integrity, "image configuration cannot be read");
}

fn index(entries: &[(&str, Digest, usize)]) -> Value {
    let entries: Vec<Value> = entries
        .iter()
        .map(|(platform, digest, size)| {
            let (os, architecture) = platform.split_once('/').unwrap();
            json!({ "mediaType": MANIFEST, "digest": digest, "size": size,
                    "platform": { "os": os, "architecture": architecture } })
        })
        .collect();
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries })
}

#[test]
fn an_index_leads_to_this_machine() {
    let case = Case::new();
    let bytes = case.sample.manifest.to_string();
    let host = moonshell::engine::image::Platform::host().to_string();
    let wrong = Digest::of("x");
    let list = index(&[
        ("unknown/unknown", wrong, 1),
        ("plan9/mips", wrong, 1),
        (host.as_str(), Digest::of(&bytes), bytes.len()),
    ]);
    case.replace(INDEX, &list);
    let image = case.pull().unwrap();
    assert_eq!(image.digest, Digest::of(list.to_string()));
    assert_eq!(image.manifest.digest().to_string(), Digest::of(&bytes).to_string());
    let pinned = format!("{}/test/app@{}", case.host(), image.digest);
    assert_eq!(case.engine().image_get(&pinned).unwrap().unwrap().id, image.id);
}

#[test]
fn an_index_without_this_platform_lists_what_it_has() {
    let case = Case::new();
    let wrong = Digest::of("x");
    case.replace(INDEX, &index(&[("plan9/mips", wrong, 1), ("linux/s390x", wrong, 1)]));
    let options = PullOptions { platform: Some("linux/arm64/v8".parse().unwrap()), ..PullOptions::default() };
    let error = case.pull_with("test/app:1", &options).unwrap_err();
    let message = format!("{}/test/app:1 has no image for linux/arm64; it has plan9/mips, linux/s390x", case.host());
    case.expect(&error, Kind::NotFound, &message);
}

#[test]
fn an_index_entry_of_another_size_is_refused() {
    let case = Case::new();
    let bytes = case.sample.manifest.to_string();
    let host = moonshell::engine::image::Platform::host().to_string();
    case.replace(INDEX, &index(&[(host.as_str(), Digest::of(&bytes), bytes.len() + 1)]));
    let message = format!("manifest {} has {} bytes, expected {}", Digest::of(&bytes), bytes.len(), bytes.len() + 1);
    case.fails(Kind::Integrity, &message);
}

#[test]
fn indexes_within_indexes_end() {
    let case = Case::new();
    let mut inner = case.sample.manifest.to_string();
    for _ in 0..6 {
        let mut outer = index(&[]);
        outer["manifests"] = json!([{ "mediaType": if inner.contains("\"layers\"") { MANIFEST } else { INDEX },
            "digest": Digest::of(&inner), "size": inner.len() }]);
        inner = outer.to_string();
        case.registry.manifest("1", INDEX, inner.as_bytes());
    }
    case.fails(Kind::Integrity, &format!("{}/test/app:1 leads through more than 3 indexes", case.host()));
}

#[test]
fn never_asking_is_not_found() {
    let case = Case::new();
    let policy = moonshell::engine::image::Policy::Never;
    let error = case.pull_with("test/app:1", &PullOptions { policy, ..PullOptions::default() }).unwrap_err();
    case.expect(&error, Kind::NotFound, &format!("no such image '{}/test/app:1'", case.host()));
    assert!(case.registry.asked().is_empty());
}

// Two at once, and again

#[test]
fn two_pulls_share_the_work() {
    let case = Case::of(Sample::new(4, 20_000));
    let engine = case.engine();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| engine.image_pull(&case.name("test/app:1"), &PullOptions::default()).unwrap());
        }
    });
    for number in 0..4 {
        let path = format!("/v2/test/app/blobs/{}", case.sample.layer_digest(number));
        assert_eq!(case.registry.asked().iter().filter(|asked| asked.path == path).count(), 1);
    }
    drop(engine);
    case.assert_tidy();
}

#[test]
fn a_missing_layer_is_unpacked_from_its_blob() {
    let case = Case::new();
    case.works();
    let engine = case.engine();
    let image = engine.image_get(&case.name("test/app:1").to_string()).unwrap().unwrap();
    std::fs::remove_dir_all(engine.store().layer_fs(&image.layers[0].diff_id.hex()).parent().unwrap()).unwrap();
    let before = case.registry.asked().len();
    assert!(engine.image_lowers(&image).unwrap()[0].join("file0").exists());
    assert_eq!(case.registry.asked().len(), before);
}

#[test]
fn an_image_that_loses_its_name_stays() {
    let case = Case::new();
    case.works();
    let second = Sample::new(2, 3000);
    second.put(&case.registry);
    let policy = moonshell::engine::image::Policy::Always;
    case.pull_with("test/app:1", &PullOptions { policy, ..PullOptions::default() }).unwrap();
    let engine = case.engine();
    let images = engine.image_list().unwrap();
    let old = images.iter().find(|image| image.id == case.sample.config_digest()).unwrap();
    assert_eq!((images.len(), old.names.len()), (2, 0));
    let name: Reference = "kept:1".parse().unwrap();
    engine.image_tag(old, &name).unwrap();
    let again = engine.image_get(&old.id.hex()[..8]).unwrap().unwrap();
    assert_eq!(again.names, std::slice::from_ref(&name));
    engine.image_tag(&again, &"kept:2".parse().unwrap()).unwrap();
    let error = engine.image_remove(&old.id.short(), false).unwrap_err();
    assert_eq!(error.kind(), Kind::InUse);
    assert_eq!(error.message(), format!("image {} has 2 names", old.id.short()));
    assert_eq!(engine.image_remove("kept:2", false).unwrap().image, None);
    assert_eq!(engine.image_remove(&old.id.short(), false).unwrap().image, Some(old.id));
    assert_eq!(engine.image_remove("kept:1", true).unwrap_err().message(), "no such image 'kept:1'");
    assert_eq!(engine.image_list().unwrap().len(), 1);
}

// Pushes

fn push(case: &Case, to: &Registry) -> Result<Digest, Error> {
    case.works();
    let engine = case.engine();
    let image = engine.image_get(&case.name("test/app:1").to_string()).unwrap().unwrap();
    let to: Reference = format!("{}/copy/app:2", to.host()).parse().unwrap();
    let result = engine.image_push(&image, &to, None);
    drop(engine);
    case.assert_tidy();
    result
}

#[test]
fn a_push_brings_what_is_missing() {
    let case = Case::new();
    let to = Registry::start();
    to.blob(&case.sample.layers[0]);
    let digest = push(&case, &to).unwrap();
    assert_eq!(digest, Digest::of(case.sample.manifest.to_string()));
    assert!(to.has_blob(&case.sample.config_digest()));
    let uploads: Vec<Asked> = to.asked().into_iter().filter(|it| it.is("PUT", "/blobs/")).collect();
    assert_eq!(uploads.len(), 1);
    assert_eq!(uploads[0].header("transfer-encoding"), None);
    assert_eq!(to.asked().last().unwrap().path, "/v2/copy/app/manifests/2");
}

#[test]
fn a_push_mounts_what_the_registry_has_elsewhere() {
    let case = Case::new();
    case.works();
    let layer = case.layer().0.to_string().replace(':', "%3A");
    case.registry.rule(move |asked| match asked {
        it if it.is("HEAD", "/v2/copy/app/blobs/") => Some(Answer::status(404)),
        it if it.is("POST", &format!("mount={layer}&from=test%2Fapp")) => Some(Answer::status(201)),
        _ => None,
    });
    push(&case, &case.registry).unwrap();
    assert_eq!(case.registry.asked().iter().filter(|it| it.is("PUT", "/blobs/")).count(), 1);
}

#[test]
fn an_upload_that_breaks_begins_anew() {
    let case = Case::new();
    let to = Registry::start();
    to.rule(|asked| (asked.is("PUT", "/blobs/") && asked.before == 0).then(|| Answer::status(500)));
    push(&case, &to).unwrap();
}

#[test]
fn an_upload_elsewhere_gets_no_credentials() {
    let case = Case::new().login("joe", "secret");
    let (to, other) = (Registry::start(), Registry::start());
    let target = other.host();
    to.rule(move |asked| {
        if asked.header("authorization").is_none() {
            return Some(Answer::status(401).header("WWW-Authenticate", "Basic realm=\"x\""));
        }
        let location = format!("http://{target}{}", asked.path);
        asked.is("POST", "/uploads/").then(|| Answer::status(202).header("Location", location))
    });
    push(&case, &to).unwrap();
    assert!(other.has_blob(&case.layer().0));
    assert!(other.asked().iter().all(|asked| asked.header("authorization").is_none()));
}

#[test]
fn a_registry_that_stores_something_else_is_caught() {
    let case = Case::new();
    let to = Registry::start();
    let other = Digest::of("something else");
    to.rule(move |asked| {
        asked.is("PUT", "/manifests/").then(|| Answer::status(201).header("Docker-Content-Digest", other.to_string()))
    });
    let error = push(&case, &to).unwrap_err();
    let digest = Digest::of(case.sample.manifest.to_string());
    let message = format!("registry {} stored manifest copy/app:2 as {other}, expected {digest}", to.host());
    assert_eq!((error.kind(), error.message()), (Kind::Integrity, message.as_str()));
}

#[test]
fn a_blob_the_registry_refuses_is_named() {
    let case = Case::new();
    let to = Registry::start();
    let layer = case.layer().0.to_string().replace(':', "%3A");
    to.rule(move |asked| asked.is("PUT", &layer).then(|| Answer::status(400)));
    let error = push(&case, &to).unwrap_err();
    let message = format!("registry {} refused blob {}", to.host(), case.layer().0);
    assert_eq!((error.kind(), error.message()), (Kind::Integrity, message.as_str()));
}

#[test]
fn a_plain_and_an_unknown_layer_type() {
    let case = Case::new();
    let mut manifest = case.sample.manifest.clone();
    manifest["layers"][0]["mediaType"] = json!("text/plain");
    case.replace(MANIFEST, &manifest);
    case.fails(Kind::Unsupported, &format!("layer {} has type text/plain, not a file system", case.layer().0));
    // The type says gzip, the bytes are what counts.
    manifest["layers"][0]["mediaType"] = json!(LAYER);
    assert_eq!(manifest["config"]["mediaType"], CONFIG);
    case.replace(MANIFEST, &manifest);
    case.works();
    assert!(gzip(b"").starts_with(&[0x1f, 0x8b]));
}
