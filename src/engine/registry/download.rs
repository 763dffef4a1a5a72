//! Downloads of single files by their URL, from any web server.
//!
//! Source: RFC 9110, sections 8.8 (validators) and 13.1 (conditions).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use ureq::http::{Method, header};

use super::super::Engine;
use super::super::digest::{Digest, Hashing};
use super::super::error::{Error, Kind, OsContext, Result};
use super::super::progress::Task;
use super::address::parse_url;
use super::retry::{Attempts, Failure, Patience};
use super::transport::{Answer, Call, Transport};

const BUFFER: usize = 128 << 10;

/// What is known of an earlier download: the server is asked for a newer one.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    /// Its `ETag`.
    pub etag: Option<String>,
    /// Its `Last-Modified`.
    pub last_modified: Option<String>,
}

/// A file that was downloaded.
#[derive(Debug, Clone)]
pub struct Download {
    /// Of its content.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// The server's word for this version.
    pub etag: Option<String>,
    /// When the server says it changed last, as it says it.
    pub last_modified: Option<String>,
}

impl Engine {
    /// Downloads what is at a URL into a file; none when nothing has changed by the conditions.
    ///
    /// # Errors
    /// `invalid_argument` for a malformed URL; `not_found`, `permission`, `network`, `timeout`; `integrity` for more
    /// than the engine's limit for a layer; `interrupted`, `os`.
    pub fn download(&self, url: &str, conditions: &Conditions, file: &mut File) -> Result<Option<Download>> {
        let parsed = parse_url(url).map_err(|e| Error::invalid(e.message()))?;
        let patience = Patience::default();
        let transport = Transport::new(&self.config.proxies, patience, &self.cancel).calling("server");
        let task = Task::start(self.progress(), "download", url, None);
        let mut call = Call::new(Method::GET, parsed);
        if let Some(etag) = &conditions.etag {
            call = call.header(header::IF_NONE_MATCH, etag);
        }
        if let Some(time) = &conditions.last_modified {
            call = call.header(header::IF_MODIFIED_SINCE, time);
        }
        let done = Attempts::new(&patience, &self.cancel).run(|| {
            let answer = transport.follow(&call, None)?;
            match answer.status() {
                200 => self.receive(answer, url, file, &task).map(Some),
                304 => Ok(None),
                status => Err(refusal(status, url)),
            }
        })?;
        task.end(if done.is_some() { "done" } else { "unchanged" });
        Ok(done)
    }

    fn receive(&self, answer: Answer, url: &str, file: &mut File, task: &Task) -> Result<Download, Failure> {
        let text = |name: &str| answer.header(name).map(str::to_string);
        let (etag, last_modified) = (text("etag"), text("last-modified"));
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).os(|| "write a download")?;
        let limit = self.config.limits.layer_bytes;
        let mut body = answer.response.into_body().into_reader();
        let mut out = Hashing::new(file);
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => {
                    self.cancel.check()?;
                    return Err(Failure::passing(format!("{url} was cut short at {} bytes", out.passed()), e));
                }
            };
            out.write_all(&buffer[..count]).os(|| "write a download")?;
            task.advance(count as u64);
            if out.passed() > limit {
                return Err(Error::integrity(format!("{url} is longer than {limit} bytes")).into());
            }
        }
        let (_, digest, size) = out.finish();
        Ok(Download { digest, size, etag, last_modified })
    }
}

fn refusal(status: u16, url: &str) -> Failure {
    let message = format!("{url}: the server answers {status}");
    match status {
        404 | 410 => Error::not_found(message).into(),
        401 | 403 => Error::new(Kind::Permission, message).into(),
        429 | 500..=599 => Failure::Passing { kind: Kind::Network, message, cause: None, after: None },
        _ => Error::new(Kind::Network, message).into(),
    }
}
