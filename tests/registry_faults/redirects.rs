//! Redirects: where they lead, and what must not travel with them.

use super::*;

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
