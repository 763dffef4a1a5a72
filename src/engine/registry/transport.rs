//! HTTP as the rest of this module needs it: one request, one answer, redirects followed under our own rules,
//! everything aborted when the operation is cancelled.

use std::fs::File;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use ureq::http::{Method, Request, Response, Uri, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, SendBody};

use super::super::Proxies;
use super::super::cancel::{Cancel, OnCancel};
use super::super::error::{Error, Kind, Result};
use super::super::progress::Task;
use super::address::{origin, parse_url, proxy_for, resolve};
use super::retry::{Failure, Patience};

/// Parallel layers and a few small requests beside them.
const IDLE_CONNECTIONS: usize = 8;
const MOST_REDIRECTS: usize = 8;
/// What messages call a peer.
const REGISTRY: &str = "registry";

/// What a request carries.
pub(super) enum Payload {
    /// Nothing (GET, HEAD).
    None,
    /// Something small.
    Bytes(Vec<u8>),
    /// A blob: the file, its size, and who is told of progress.
    File(File, u64, Arc<Task>),
}

/// One request.
pub(super) struct Call {
    pub method: Method,
    pub url: Uri,
    pub headers: Vec<(header::HeaderName, String)>,
    pub payload: Payload,
}

impl Call {
    /// A request without headers and body.
    pub fn new(method: Method, url: Uri) -> Call {
        Call { method, url, headers: Vec::new(), payload: Payload::None }
    }

    /// The same with another header.
    pub fn header(mut self, name: header::HeaderName, value: impl Into<String>) -> Call {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with a body.
    pub fn payload(mut self, payload: Payload) -> Call {
        self.payload = payload;
        self
    }
}

/// An answer and the URL that gave it, after redirects.
pub(super) struct Answer {
    pub response: Response<Body>,
    pub url: Uri,
}

impl Answer {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// A header's value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The whole body, if it is no longer than `limit` bytes (`None` otherwise).
    pub fn read(self, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let mut content = Vec::new();
        self.response.into_body().into_reader().take(limit + 1).read_to_end(&mut content)?;
        Ok(if content.len() as u64 > limit { None } else { Some(content) })
    }
}

struct Reach {
    proxy: Option<String>,
    agent: Agent,
    // Aborts the agent's transfers when the operation is cancelled.
    _abort: OnCancel,
}

/// Sends requests for one registry on behalf of one operation.
pub(super) struct Transport {
    proxies: Proxies,
    patience: Patience,
    cancel: Cancel,
    // What messages call the peer.
    noun: &'static str,
    // One agent for each proxy (or none) met so far.
    agents: Mutex<Vec<Reach>>,
}

impl Transport {
    /// Nothing is connected yet.
    pub fn new(proxies: &Proxies, patience: Patience, cancel: &Cancel) -> Transport {
        let agents = Mutex::new(Vec::new());
        Transport { proxies: proxies.clone(), patience, cancel: cancel.clone(), noun: REGISTRY, agents }
    }

    /// The same for peers that messages call `noun`.
    pub fn calling(mut self, noun: &'static str) -> Transport {
        self.noun = noun;
        self
    }

    /// How patient it is.
    pub fn patience(&self) -> &Patience {
        &self.patience
    }

    /// What stops it.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    fn agent(&self, url: &Uri) -> Result<Agent> {
        let proxy = proxy_for(url, &self.proxies);
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reach) = agents.iter().find(|reach| reach.proxy == proxy) {
            return Ok(reach.agent.clone());
        }
        let through = match &proxy {
            // Not the address itself: it may hold a password.
            Some(address) => Some(
                ureq::Proxy::new(address)
                    .map_err(|e| Error::invalid(format!("invalid proxy address for {}", origin(url))).caused_by(e))?,
            ),
            None => None,
        };
        let config = Agent::config_builder()
            .proxy(through)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("moonshell/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .max_idle_connections(IDLE_CONNECTIONS)
            .max_idle_connections_per_host(IDLE_CONNECTIONS)
            .timeout_resolve(Some(self.patience.connect))
            .timeout_connect(Some(self.patience.connect))
            .timeout_per_read(Some(self.patience.read))
            .timeout_per_write(Some(self.patience.read))
            .build();
        let agent = config.new_agent();
        let copy = agent.clone();
        let abort = self.cancel.on_cancel(move || copy.clone().shutdown());
        agents.push(Reach { proxy, agent: agent.clone(), _abort: abort });
        Ok(agent)
    }

    /// Sends a request that carries nothing and follows redirects. `authorization` goes to the request's own scheme,
    /// host and port and nowhere else.
    ///
    /// # Errors
    /// Connections that fail or break, redirects that lead nowhere or drop encryption.
    pub fn follow(&self, call: &Call, authorization: Option<&str>) -> Result<Answer, Failure> {
        let home = origin(&call.url);
        let mut url = call.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let mut hop = Call::new(call.method.clone(), url.clone());
            hop.headers = call.headers.clone();
            let authorization = authorization.filter(|_| origin(&url) == home);
            let answer = self.send(hop, authorization)?;
            if !matches!(answer.status(), 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let Some(location) = answer.header("location") else {
                return Err(Error::integrity(format!("{} redirects without saying where", origin(&url))).into());
            };
            url = resolve(&answer.url, location)?;
        }
        Err(Error::new(Kind::Network, format!("{home} redirects more than {MOST_REDIRECTS} times")).into())
    }

    /// Sends one request; a redirect is an answer like any other.
    ///
    /// # Errors
    /// Connections that fail or break.
    pub fn send(&self, call: Call, authorization: Option<&str>) -> Result<Answer, Failure> {
        self.cancel.check()?;
        let url = call.url.clone();
        let agent = self.agent(&url)?;
        let mut request = Request::builder().method(call.method).uri(url.clone());
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let payload = call.payload;
        // Name resolution and connecting cannot be aborted, so they happen in a thread that a cancelled operation
        // leaves behind; their own time limits end it.
        let (sender, receiver) = mpsc::sync_channel(2);
        let cancelled = sender.clone();
        let _wake = self.cancel.on_cancel(move || {
            let _ = cancelled.try_send(None);
        });
        std::thread::Builder::new()
            .name("registry".into())
            .spawn(move || {
                let _ = sender.send(Some(transfer(&agent, request, payload)));
            })
            .map_err(|e| Error::new(Kind::from_errno(e.raw_os_error().unwrap_or(libc::EAGAIN)), "start a thread"))?;
        match receiver.recv() {
            Ok(Some(Ok(response))) => Ok(Answer { response, url }),
            Ok(Some(Err(error))) => {
                self.cancel.check()?;
                Err(failure(error, &url, self.noun))
            }
            Ok(None) => Err(Error::interrupted().into()),
            Err(_) => Err(Error::new(Kind::Internal, "the thread of a registry request panicked").into()),
        }
    }
}

fn transfer(
    agent: &Agent,
    request: ureq::http::request::Builder,
    payload: Payload,
) -> Result<Response<Body>, ureq::Error> {
    match payload {
        Payload::None => agent.run(request.body(())?),
        Payload::Bytes(bytes) => agent.run(request.body(bytes)?),
        Payload::File(file, size, task) => {
            // A length said beforehand keeps the body from being sent in chunks, which some registries refuse.
            let body = SendBody::from_owned_reader(Counting { file: file.take(size), task });
            agent.run(request.header(header::CONTENT_LENGTH, size).body(body)?)
        }
    }
}

/// Reads a file and tells how far it is.
struct Counting {
    file: io::Take<File>,
    task: Arc<Task>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.task.advance(count as u64);
        Ok(count)
    }
}

/// A name or port that does not answer now will not answer in a second either; a connection that broke may.
fn failure(error: ureq::Error, url: &Uri, noun: &str) -> Failure {
    use ureq::Timeout;
    let host = url.authority().map_or("", |authority| authority.as_str());
    let unreachable = || format!("cannot reach {noun} {host}");
    match error {
        ureq::Error::Io(e) if is_broken(&e) => Failure::passing(format!("connection to {noun} {host} broke"), e),
        ureq::Error::Io(e) => Error::new(Kind::Network, unreachable()).caused_by(e).into(),
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
            Error::new(Kind::Timeout, unreachable()).caused_by(anyhow::anyhow!("no answer in time")).into()
        }
        ureq::Error::Timeout(_) => Failure::Passing {
            kind: Kind::Timeout,
            message: format!("{noun} {host} went silent"),
            cause: None,
            after: None,
        },
        e @ (ureq::Error::Tls(_) | ureq::Error::Rustls(_)) if noun == REGISTRY => {
            Error::new(Kind::Network, unreachable())
                .caused_by(e)
                .with_hint(
                    "a registry without TLS must be listed as insecure; one with its own authority must be trusted",
                )
                .into()
        }
        ureq::Error::Protocol(e) => Failure::passing(format!("{noun} {host} does not speak proper HTTP"), e),
        e => Error::new(Kind::Network, unreachable()).caused_by(e).into(),
    }
}

fn is_broken(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// The URL of a path below a registry's root.
pub(super) fn url(base: &str, path: &str) -> Result<Uri> {
    parse_url(&format!("{base}{path}"))
}
