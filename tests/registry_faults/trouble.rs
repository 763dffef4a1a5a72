//! Trouble that passes, or does not: busy, silent, unreachable and cancelled.

use super::*;

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
