//! Answers a registry's challenge: Basic, or a Bearer token from the realm it names.
//!
//! Credentials are looked up only when a registry asks. They go to the registry itself (Basic) or to the realm that
//! this registry names (Bearer), never unencrypted unless plain http is allowed for that host. Sources: RFC 9110
//! section 11; the distribution project's token and OAuth2 specifications.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use ureq::http::{HeaderMap, Method, Uri, header};

use super::super::error::{Error, Kind, Result};
use super::super::{Config, CredentialSource, Credentials};
use super::address::{escape, origin, parse_url, plain_http_allowed};
use super::retry::Failure;
use super::transport::{Answer, Call, Payload, Transport};

/// A token answer is small; more is not one.
const TOKEN_LIMIT: u64 = 1 << 20;

/// What a request wants to do: one or more of `repository:NAME:ACTIONS`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scope(Vec<String>);

impl Scope {
    /// Nothing but access to the registry.
    pub fn none() -> Scope {
        Scope(Vec::new())
    }

    /// Reads from a repository.
    pub fn pull(repository: &str) -> Scope {
        Scope(vec![format!("repository:{repository}:pull")])
    }

    /// Writes to a repository.
    pub fn push(repository: &str) -> Scope {
        Scope(vec![format!("repository:{repository}:pull,push")])
    }

    /// And reads from another.
    pub fn and_pull(mut self, repository: &str) -> Scope {
        self.0.push(format!("repository:{repository}:pull"));
        self
    }

    fn repository(&self) -> &str {
        self.0.first().and_then(|scope| scope.split(':').nth(1)).unwrap_or("")
    }

    /// Ours, and what the challenge asks about other things.
    fn merged(&self, challenge: Option<&str>) -> Vec<String> {
        let thing = |scope: &str| scope.rsplit_once(':').map_or(String::new(), |(thing, _)| thing.to_string());
        let mut all = self.0.clone();
        for asked in challenge.unwrap_or("").split_whitespace() {
            if !all.iter().any(|ours| thing(ours) == thing(asked)) {
                all.push(asked.to_string());
            }
        }
        all
    }
}

/// One `WWW-Authenticate` challenge.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    scheme: String,
    parameters: HashMap<String, String>,
}

/// Keeps what one registry accepted so far.
pub(super) struct Authority {
    registry: String,
    explicit: Option<Credentials>,
    source: CredentialSource,
    plain_allowed: Box<dyn Fn(&str) -> bool + Send + Sync>,
    // Authorization header by scope; Basic is kept under the empty one and serves all.
    accepted: Mutex<HashMap<Scope, String>>,
}

impl Authority {
    /// `explicit` credentials go before those of the configured source.
    pub fn new(registry: &str, explicit: Option<Credentials>, config: &std::sync::Arc<Config>) -> Authority {
        let copy = config.clone();
        Authority {
            registry: registry.into(),
            explicit,
            source: config.credentials.clone(),
            plain_allowed: Box::new(move |authority| plain_http_allowed(authority, &copy)),
            accepted: Mutex::default(),
        }
    }

    /// The header to send with a request, if one is known to be wanted.
    pub fn header(&self, scope: &Scope) -> Option<String> {
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        accepted.get(scope).or_else(|| accepted.get(&Scope::none())).cloned()
    }

    fn accept(&self, scope: Scope, header: String) {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).insert(scope, header);
    }

    fn credentials(&self, scope: &Scope) -> Result<Option<Credentials>> {
        match &self.explicit {
            Some(given) => Ok(Some(given.clone())),
            None => (self.source)(&self.registry, scope.repository()),
        }
    }

    /// Prepares the answer to a 401; [`Authority::header`] then gives it.
    ///
    /// # Errors
    /// `permission` when there is nothing to answer with or the realm refuses it.
    pub fn answer(&self, headers: &HeaderMap, scope: &Scope, transport: &Transport) -> Result<(), Failure> {
        let lines = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenges: Vec<Challenge> = lines.flat_map(parse_challenges).collect();
        let of = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        if let Some(challenge) = of("bearer") {
            let token = self.token(challenge, scope, transport)?;
            self.accept(scope.clone(), format!("Bearer {token}"));
        } else if of("basic").is_some() {
            let credentials = self.credentials(scope)?.ok_or_else(|| self.login_wanted())?;
            self.accept(Scope::none(), basic(&credentials));
        } else {
            return Err(Error::new(
                Kind::Unsupported,
                format!("registry {} asks for a login in a way this version does not know", self.registry),
            )
            .into());
        }
        Ok(())
    }

    fn login_wanted(&self) -> Error {
        Error::new(Kind::Permission, format!("registry {} requires a login", self.registry)).with_hint(self.login())
    }

    fn login(&self) -> String {
        format!("log in with registry.login(\"{}\", {{username=, password=}})", self.registry)
    }

    /// The error for a 401 that an answer did not lift.
    pub fn refused(&self, scope: &Scope) -> Error {
        let message = match self.credentials(scope) {
            Ok(Some(it)) if is_identity_token(&it) => {
                format!("registry {} refused the identity token", self.registry)
            }
            Ok(Some(it)) => format!("registry {} refused the password of user '{}'", self.registry, it.username),
            // Hubs answer like this for repositories that do not exist.
            _ => format!("registry {} denied access to {}", self.registry, scope.repository()),
        };
        Error::new(Kind::Permission, message).with_hint(self.login())
    }

    fn token(&self, challenge: &Challenge, scope: &Scope, transport: &Transport) -> Result<String, Failure> {
        let Some(realm) = challenge.parameters.get("realm") else {
            return Err(Error::integrity(format!("registry {} names no realm to log in at", self.registry)).into());
        };
        let realm = parse_url(realm)?;
        let authority = realm.authority().map_or("", |authority| authority.as_str());
        if realm.scheme_str() != Some("https") && !(self.plain_allowed)(authority) {
            return Err(Error::new(
                Kind::Permission,
                format!("registry {} wants the login sent unencrypted to {}", self.registry, origin(&realm)),
            )
            .into());
        }
        let credentials = self.credentials(scope)?;
        let service = challenge.parameters.get("service").map_or("", String::as_str);
        let scopes = scope.merged(challenge.parameters.get("scope").map(String::as_str));
        let answer = match &credentials {
            Some(it) if is_identity_token(it) => {
                let form = refresh_form(service, &scopes, &it.password);
                let call = Call::new(Method::POST, realm.clone())
                    .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .payload(Payload::Bytes(form.into_bytes()));
                transport.send(call, None)?
            }
            other => {
                let call = Call::new(Method::GET, token_url(&realm, service, &scopes, other.as_ref())?);
                transport.follow(&call, other.as_ref().map(basic).as_deref())?
            }
        };
        self.read_token(answer, &realm, scope)
    }

    fn read_token(&self, answer: Answer, realm: &Uri, scope: &Scope) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Reply {
            token: Option<String>,
            access_token: Option<String>,
        }
        let realm = origin(realm);
        match answer.status() {
            200 => {}
            400 | 401 | 403 => return Err(self.refused(scope).into()),
            status @ (429 | 500..=599) => {
                return Err(Failure::Passing {
                    kind: Kind::Network,
                    message: format!("the login service {realm} answered {status}"),
                    cause: None,
                    after: None,
                });
            }
            status => {
                return Err(Error::new(Kind::Network, format!("the login service {realm} answered {status}")).into());
            }
        }
        let invalid = || Error::integrity(format!("the login service {realm} sent no token"));
        let body = answer.read(TOKEN_LIMIT).map_err(|e| Failure::passing(format!("connection to {realm} broke"), e))?;
        let reply: Reply = serde_json::from_slice(&body.ok_or_else(invalid)?).map_err(|_| invalid())?;
        let token = reply.token.or(reply.access_token).filter(|token| !token.is_empty()).ok_or_else(invalid)?;
        // It becomes part of a header.
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(invalid().into());
        }
        Ok(token)
    }
}

fn is_identity_token(credentials: &Credentials) -> bool {
    credentials.username.is_empty() || credentials.username == "<token>"
}

fn basic(credentials: &Credentials) -> String {
    format!("Basic {}", BASE64.encode(format!("{}:{}", credentials.username, credentials.password)))
}

fn token_url(realm: &Uri, service: &str, scopes: &[String], credentials: Option<&Credentials>) -> Result<Uri> {
    let mut text = realm.to_string();
    let mut add = |name: &str, value: &str| {
        text.push(if text.contains('?') { '&' } else { '?' });
        text.push_str(&format!("{name}={}", escape(value)));
    };
    if !service.is_empty() {
        add("service", service);
    }
    for scope in scopes {
        add("scope", scope);
    }
    if let Some(credentials) = credentials {
        add("account", &credentials.username);
    }
    parse_url(&text)
}

fn refresh_form(service: &str, scopes: &[String], token: &str) -> String {
    format!(
        "grant_type=refresh_token&client_id=moonshell&service={}&scope={}&refresh_token={}",
        escape(service),
        escape(&scopes.join(" ")),
        escape(token)
    )
}

/// Splits a header into challenges; what cannot be understood ends it.
fn parse_challenges(line: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = line.trim_start_matches([' ', ',']);
    while !rest.is_empty() {
        let end = rest.find([' ', '=', ',']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if let Some(value) = after.trim_start().strip_prefix('=') {
            let Some((value, next)) = parse_value(value.trim_start()) else { break };
            if let Some(challenge) = found.last_mut() {
                challenge.parameters.insert(word.to_ascii_lowercase(), value);
            }
            rest = next;
        } else {
            found.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: HashMap::new() });
            rest = after;
        }
        rest = rest.trim_start_matches([' ', ',']);
    }
    found
}

/// A token or quoted string, and what follows it.
fn parse_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        return Some((text[..end].to_string(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_of_all_shapes_are_read() {
        let line = r#"Bearer realm="https://auth.test/token",service="r.test",scope="repository:a/b:pull,push x:y:z""#;
        let found = parse_challenges(line);
        assert_eq!((found.len(), found[0].scheme.as_str()), (1, "bearer"));
        assert_eq!(found[0].parameters["scope"], "repository:a/b:pull,push x:y:z");
        let two = parse_challenges(r#"Basic realm="a \"quoted\" one", charset=UTF-8, BEARER realm=plain"#);
        assert_eq!((two[0].scheme.as_str(), two[1].scheme.as_str()), ("basic", "bearer"));
        assert_eq!(two[0].parameters["realm"], "a \"quoted\" one");
        assert_eq!(two[1].parameters["realm"], "plain");
        for odd in ["", ",", "=", "Basic realm=\"open", "\"", "Bearer ,=,", "a=b=c"] {
            parse_challenges(odd);
        }
    }

    #[test]
    fn scopes_of_the_challenge_join_ours() {
        let scope = Scope::push("a/b");
        assert_eq!(scope.merged(Some("repository:a/b:pull")), ["repository:a/b:pull,push"]);
        assert_eq!(scope.merged(Some("repository:c:pull")), ["repository:a/b:pull,push", "repository:c:pull"]);
    }

    #[test]
    fn the_token_url_escapes() {
        let realm = "https://auth.test/token?x=1".parse().unwrap();
        let url = token_url(&realm, "a b", &["repository:a:pull".into()], None).unwrap();
        assert_eq!(url.to_string(), "https://auth.test/token?x=1&service=a%20b&scope=repository%3Aa%3Apull");
    }
}
