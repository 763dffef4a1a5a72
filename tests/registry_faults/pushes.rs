//! Pushes: what travels, and what a registry may do wrong.

use super::*;

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
