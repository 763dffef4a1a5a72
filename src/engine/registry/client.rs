//! The calls: each sends a request with the authorization its scope needs, and turns the answer into a value or an
//! error that names what was asked for.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::{Method, Uri, header};

use super::super::cancel::Cancel;
use super::super::digest::Digest;
use super::super::error::{Error, Kind, Result};
use super::super::{Config, Limits};
use super::Access;
use super::address::{base_url, origin, resolve};
use super::auth::{Authority, Scope};
use super::blob::{BlobReader, RawBlobReader};
use super::retry::{Attempts, Failure};
use super::transport::{Answer, Call, Payload, Transport, url};

/// What is asked for, most wanted first.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// An error answer's JSON is small.
const ERROR_LIMIT: u64 = 64 << 10;

pub(super) struct Shared {
    pub registry: String,
    pub base: String,
    pub limits: Limits,
    pub authority: Authority,
    pub transport: Transport,
}

/// Speaks to one registry. Cloning is cheap and shares connections and tokens.
#[derive(Clone)]
pub struct Client(pub(super) Arc<Shared>);

/// A manifest as the registry sent it; the digest is that of the bytes.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Their digest.
    pub digest: Digest,
    /// The `Content-Type`, without parameters.
    pub media_type: Option<String>,
}

impl Client {
    pub(super) fn new(registry: &str, access: &Access, config: &Arc<Config>, cancel: &Cancel) -> Client {
        Client(Arc::new(Shared {
            registry: registry.into(),
            base: base_url(registry, config),
            limits: config.limits,
            authority: Authority::new(registry, access.credentials.clone(), config),
            transport: Transport::new(&config.proxies, access.patience, cancel),
        }))
    }

    /// The registry's name.
    pub fn registry(&self) -> &str {
        &self.0.registry
    }

    /// The token that ends its connections.
    pub fn cancel(&self) -> &Cancel {
        self.0.transport.cancel()
    }

    pub(super) fn url(&self, path: &str) -> Result<Uri> {
        url(&self.0.base, path)
    }

    pub(super) fn attempts(&self) -> Attempts<'_> {
        Attempts::new(self.0.transport.patience(), self.0.transport.cancel())
    }

    /// Sends a request, answering one challenge. `make` builds it anew for each sending. Redirects are followed for
    /// requests that carry nothing.
    pub(super) fn exchange(&self, scope: &Scope, make: &mut dyn FnMut() -> Result<Call>) -> Result<Answer, Failure> {
        let shared = &self.0;
        let mut answered = false;
        loop {
            let call = make()?;
            let home = origin(&call.url);
            // An upload's location may lead to another host, which is none of our credentials' business.
            let authorization = shared.authority.header(scope).filter(|_| shared.is_home(&home));
            let answer = match call.payload {
                Payload::None => shared.transport.follow(&call, authorization.as_deref())?,
                _ => shared.transport.send(call, authorization.as_deref())?,
            };
            if answer.status() != 401 {
                return Ok(answer);
            }
            let asking = origin(&answer.url);
            if !shared.is_home(&asking) {
                return Err(Error::new(
                    Kind::Permission,
                    format!("registry {} refers to {asking}, which refuses access", shared.registry),
                )
                .into());
            }
            if answered {
                return Err(shared.authority.refused(scope).into());
            }
            shared.authority.answer(answer.response.headers(), scope, &shared.transport)?;
            answered = true;
        }
    }

    /// Sends a request until it gets through.
    pub(super) fn request(&self, scope: &Scope, what: &str, make: &mut dyn FnMut() -> Result<Call>) -> Result<Answer> {
        self.attempts().run(|| {
            let answer = self.exchange(scope, make)?;
            self.0.passing(answer, what)
        })
    }

    /// Fetches a manifest or index by tag or digest.
    ///
    /// # Errors
    /// `not_found`, `permission`, `network`; `integrity` when it is too large or not what its digest says.
    pub fn manifest(&self, repository: &str, name: &str) -> Result<Fetched> {
        let separator = if name.contains(':') { '@' } else { ':' };
        let what = format!("manifest {repository}{separator}{name}");
        let url = self.url(&format!("/v2/{repository}/manifests/{name}"))?;
        self.attempts().run(|| {
            let mut make = || Ok(Call::new(Method::GET, url.clone()).header(header::ACCEPT, MANIFEST_TYPES));
            let answer = self.exchange(&Scope::pull(repository), &mut make)?;
            let answer = self.0.passing(answer, &what)?;
            let answer = self.0.expect(answer, &[200], &what)?;
            self.read_manifest(answer, name, &what)
        })
    }

    fn read_manifest(&self, answer: Answer, name: &str, what: &str) -> Result<Fetched, Failure> {
        let registry = &self.0.registry;
        let limit = self.0.limits.metadata_bytes;
        let media_type = answer.header("content-type").and_then(|text| text.split(';').next());
        let media_type = media_type.map(|text| text.trim().to_ascii_lowercase());
        let claimed = answer.header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
        let bytes = answer
            .read(limit)
            .map_err(|e| Failure::passing(format!("{what} from {registry} was cut short"), e))?
            .ok_or_else(|| Error::integrity(format!("{what} from {registry} is longer than {limit} bytes")))?;
        let digest = Digest::of(&bytes);
        let pinned = if name.contains(':') { Some(name.parse::<Digest>()?) } else { None };
        if let Some(expected) = pinned.or(claimed)
            && expected != digest
        {
            return Err(
                Error::integrity(format!("{what} from {registry} has digest {digest}, expected {expected}")).into()
            );
        }
        Ok(Fetched { bytes, digest, media_type })
    }

    /// Stores a manifest under a tag or its digest.
    ///
    /// # Errors
    /// `permission`, `network`; `integrity` when the registry says it got something else.
    pub fn put_manifest(&self, repository: &str, name: &str, media_type: &str, bytes: &[u8]) -> Result<Digest> {
        let what = format!("manifest {repository}:{name}");
        let url = self.url(&format!("/v2/{repository}/manifests/{name}"))?;
        let digest = Digest::of(bytes);
        let answer = self.request(&Scope::push(repository), &what, &mut || {
            Ok(Call::new(Method::PUT, url.clone())
                .header(header::CONTENT_TYPE, media_type)
                .payload(Payload::Bytes(bytes.to_vec())))
        })?;
        let answer = self.0.expect(answer, &[200, 201, 202], &what)?;
        match answer.header("docker-content-digest") {
            Some(got) if got.starts_with("sha256:") && got != digest.to_string() => {
                Err(Error::integrity(format!("registry {} stored {what} as {got}, expected {digest}", self.0.registry)))
            }
            _ => Ok(digest),
        }
    }

    /// The size of a blob that the repository has.
    ///
    /// # Errors
    /// `permission`, `network`.
    pub fn has_blob(&self, repository: &str, digest: &Digest) -> Result<bool> {
        let what = format!("blob {digest}");
        let url = self.url(&format!("/v2/{repository}/blobs/{digest}"))?;
        let scope = Scope::push(repository);
        let answer = self.request(&scope, &what, &mut || Ok(Call::new(Method::HEAD, url.clone())))?;
        match answer.status() {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(self.0.unexpected(answer, &what)),
        }
    }

    /// Opens a blob for reading; the reader resumes where a connection breaks, and ends with an error unless
    /// `size` bytes with that digest were read.
    ///
    /// # Errors
    /// `not_found`, `permission`, `network`; `integrity` when the registry has another size for it.
    pub fn blob(&self, repository: &str, digest: &Digest, size: u64) -> Result<BlobReader> {
        BlobReader::open(self.clone(), repository, *digest, size)
    }

    /// Opens a blob whose digest the caller computes: as [`Client::blob`], but only the size is checked.
    ///
    /// # Errors
    /// As [`Client::blob`].
    pub fn raw_blob(&self, repository: &str, digest: &Digest, size: u64) -> Result<RawBlobReader> {
        RawBlobReader::open(self.clone(), repository, *digest, size)
    }

    /// The tags of a repository, in the registry's order.
    ///
    /// # Errors
    /// `not_found`, `permission`, `network`, `integrity`.
    pub fn tags(&self, repository: &str) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(default)]
            tags: Option<Vec<String>>,
        }
        let what = format!("repository {repository}");
        let mut tags = Vec::new();
        let mut next = Some(self.url(&format!("/v2/{repository}/tags/list"))?);
        // A list that leads back to itself must end some time.
        for _ in 0..10_000 {
            let Some(url) = next.take() else { break };
            let answer =
                self.request(&Scope::pull(repository), &what, &mut || Ok(Call::new(Method::GET, url.clone())))?;
            let answer = self.0.expect(answer, &[200], &what)?;
            next = match answer.header("link").and_then(next_page) {
                Some(target) => Some(resolve(&answer.url, target)?).filter(|next| self.0.is_home(&origin(next))),
                None => None,
            };
            let broken = || Error::integrity(format!("registry {} sent no list of tags", self.0.registry));
            let body = answer.read(self.0.limits.metadata_bytes).map_err(|e| broken().caused_by(e))?;
            let page: Page = serde_json::from_slice(&body.ok_or_else(broken)?).map_err(|e| broken().caused_by(e))?;
            tags.extend(page.tags.unwrap_or_default());
        }
        Ok(tags)
    }

    /// Checks that the registry answers and accepts the credentials.
    ///
    /// # Errors
    /// `permission`, `network`; `unsupported` when it is not a registry.
    pub fn check(&self) -> Result<()> {
        let url = self.url("/v2/")?;
        let answer = self.request(&Scope::none(), "its root", &mut || Ok(Call::new(Method::GET, url.clone())))?;
        match answer.status() {
            200 => Ok(()),
            404 => Err(Error::new(Kind::Unsupported, format!("{} is not a registry", self.0.registry))),
            _ => Err(self.0.unexpected(answer, "its root")),
        }
    }
}

impl Shared {
    /// True for the registry's own scheme, host and port.
    pub fn is_home(&self, other: &str) -> bool {
        self.base.parse::<Uri>().is_ok_and(|base| origin(&base) == other)
    }

    /// Lets an answer pass unless another attempt may give a better one.
    pub fn passing(&self, answer: Answer, what: &str) -> Result<Answer, Failure> {
        let status = answer.status();
        if status != 429 && status < 500 {
            return Ok(answer);
        }
        let after = answer.header("retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let message = match status {
            429 => format!("registry {} takes no more requests for now: {what}", self.registry),
            _ => format!("registry {} answered {} for {what}", self.registry, answer.response.status()),
        };
        Err(Failure::Passing { kind: Kind::Network, message, cause: None, after })
    }

    /// Lets an answer pass whose status is one of `wanted`.
    pub fn expect(&self, answer: Answer, wanted: &[u16], what: &str) -> Result<Answer> {
        if wanted.contains(&answer.status()) { Ok(answer) } else { Err(self.unexpected(answer, what)) }
    }

    /// The error for any other answer.
    pub fn unexpected(&self, answer: Answer, what: &str) -> Error {
        let registry = &self.registry;
        let status = answer.response.status();
        let error = match status.as_u16() {
            403 => Error::new(Kind::Permission, format!("registry {registry} denied access to {what}"))
                .with_hint(format!("log in with registry.login(\"{registry}\", {{username=, password=}})")),
            404 => Error::not_found(format!("{what} not found in {registry}")),
            _ => Error::new(Kind::Network, format!("registry {registry} answered {status} for {what}")),
        };
        match answer.read(ERROR_LIMIT).ok().flatten().and_then(|body| registry_message(&body)) {
            Some(said) => error.caused_by(anyhow::anyhow!("the registry says: {said}")),
            None => error,
        }
    }
}

/// The first error of a registry's error document, fit to be shown.
fn registry_message(body: &[u8]) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(body).ok()?;
    let first = document.get("errors")?.get(0)?;
    let text = |key: &str| first.get(key).and_then(|value| value.as_str()).unwrap_or("");
    let said = format!("{} {}", text("code"), text("message"));
    let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
    Some(said.trim().to_string()).filter(|said| !said.is_empty())
}

/// The target of a `Link: <...>; rel="next"` header.
fn next_page(header: &str) -> Option<&str> {
    header.split(',').find(|link| link.contains("next"))?.split_once('<')?.1.split_once('>').map(|(target, _)| target)
}
