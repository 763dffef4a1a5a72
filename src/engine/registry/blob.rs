//! Reads a blob of known size and digest; goes on where a connection broke.

use std::io::{self, Read};

use ureq::BodyReader;
use ureq::http::{Method, header};

use super::super::digest::{Digest, Verifying};
use super::super::error::{Error, Kind, Result, to_io};
use super::auth::Scope;
use super::client::Client;
use super::retry::{Attempts, Failure};
use super::transport::{Answer, Call};

/// This much progress makes earlier trouble forgotten: a long transfer may meet more of it than a short one.
const PROGRESS: u64 = 8 << 20;

/// The content of a blob, checked: the last read fails unless size and digest are right.
pub struct BlobReader(Verifying<RawBlobReader>);

/// The content of a blob of which only the size is checked: for whoever computes the digest anyway.
pub struct RawBlobReader(Resuming);

impl BlobReader {
    pub(super) fn open(client: Client, repository: &str, digest: Digest, size: u64) -> Result<BlobReader> {
        let inner = RawBlobReader::open(client, repository, digest, size)?;
        Ok(BlobReader(Verifying::new(inner, digest, Some(size))))
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl RawBlobReader {
    pub(super) fn open(client: Client, repository: &str, digest: Digest, size: u64) -> Result<RawBlobReader> {
        let repository = repository.into();
        let mut inner = Resuming { client, repository, digest, size, at: 0, failed: 0, failed_at: 0, body: None };
        inner.connect()?;
        Ok(RawBlobReader(inner))
    }
}

impl Read for RawBlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        if self.0.at > self.0.size {
            let (digest, size) = (self.0.digest, self.0.size);
            return Err(to_io(Error::integrity(format!("{digest} is longer than its {size} bytes"))));
        }
        Ok(count)
    }
}

struct Resuming {
    client: Client,
    repository: String,
    digest: Digest,
    size: u64,
    // How many bytes were delivered.
    at: u64,
    // Attempts that failed since the last good progress, and where that was.
    failed: u32,
    failed_at: u64,
    body: Option<BodyReader<'static>>,
}

impl Resuming {
    /// Opens the body at `at`, trying as often as is left.
    fn connect(&mut self) -> Result<()> {
        while self.body.is_none() {
            match self.request() {
                Ok(body) => self.body = Some(body),
                Err(failure) => self.count(failure)?,
            }
        }
        Ok(())
    }

    fn count(&mut self, failure: Failure) -> Result<()> {
        if self.at - self.failed_at >= PROGRESS {
            self.failed = 0;
        }
        self.failed_at = self.at;
        let transport = &self.client.0.transport;
        self.failed = Attempts::after(self.failed, transport.patience(), transport.cancel()).failed(failure)?;
        Ok(())
    }

    fn request(&self) -> Result<BodyReader<'static>, Failure> {
        let what = format!("blob {}", self.digest);
        let url = self.client.url(&format!("/v2/{}/blobs/{}", self.repository, self.digest))?;
        let answer = self.client.exchange(&Scope::pull(&self.repository), &mut || {
            let call = Call::new(Method::GET, url.clone());
            Ok(if self.at > 0 { call.header(header::RANGE, format!("bytes={}-", self.at)) } else { call })
        })?;
        let answer = self.client.0.passing(answer, &what)?;
        let answer = self.client.0.expect(answer, &[200, 206], &what)?;
        self.check_size(&answer)?;
        let skip = if answer.status() == 206 { 0 } else { self.at };
        let mut body = answer.response.into_body().into_reader();
        // The whole body came again: what was delivered already passes by (and is checked with the rest by its
        // digest, since a body that differs there differs as a whole).
        match io::copy(&mut body.by_ref().take(skip), &mut io::sink()) {
            Ok(passed) if passed == skip => Ok(body),
            Ok(_) => Err(self.cut_short(None)),
            Err(e) => Err(self.cut_short(Some(e))),
        }
    }

    /// Refuses at once what cannot end well.
    fn check_size(&self, answer: &Answer) -> Result<()> {
        let registry = self.client.registry();
        let length = answer.header("content-length").and_then(|text| text.parse::<u64>().ok());
        if answer.status() == 200 {
            return match length {
                Some(length) if length != self.size => Err(Error::integrity(format!(
                    "blob {} has {length} bytes in {registry}, expected {}",
                    self.digest, self.size
                ))),
                _ => Ok(()),
            };
        }
        let start = answer.header("content-range").and_then(range_start);
        if start == Some(self.at) {
            return Ok(());
        }
        Err(Error::integrity(format!("registry {registry} sent another part of blob {} than asked for", self.digest)))
    }

    fn cut_short(&self, cause: Option<io::Error>) -> Failure {
        Failure::Passing {
            kind: Kind::Network,
            message: format!(
                "blob {} from {} was cut short at {} of {} bytes",
                self.digest,
                self.client.registry(),
                self.at,
                self.size
            ),
            cause: cause.map(anyhow::Error::new),
            after: None,
        }
    }
}

impl Read for Resuming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            self.connect().map_err(to_io)?;
            let Some(body) = &mut self.body else { return Ok(0) };
            let failure = match body.read(buffer) {
                Ok(0) if self.at < self.size => self.cut_short(None),
                Ok(count) => {
                    self.at += count as u64;
                    return Ok(count);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                // Everything is here; how the connection ends does not matter.
                Err(_) if self.at == self.size => return Ok(0),
                Err(e) => self.cut_short(Some(e)),
            };
            self.body = None;
            self.count(failure).map_err(to_io)?;
        }
    }
}

/// The first byte of `bytes 100-199/200`.
fn range_start(header: &str) -> Option<u64> {
    header.trim().strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_where_a_range_starts() {
        assert_eq!(super::range_start("bytes 100-199/200"), Some(100));
        assert_eq!(super::range_start("bytes */200"), None);
        assert_eq!(super::range_start("100-199"), None);
    }
}
