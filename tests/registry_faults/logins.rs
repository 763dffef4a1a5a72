//! Passwords, tokens and challenges.

use super::*;

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
