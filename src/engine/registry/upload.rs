//! Puts blobs into a repository: mounted from another one where the registry can, else sent in one piece.

use std::fs::File;
use std::sync::Arc;

use ureq::http::{Method, Uri, header};

use super::super::digest::Digest;
use super::super::error::{Error, Kind, Result};
use super::super::progress::Task;
use super::address::{escape, resolve};
use super::auth::Scope;
use super::client::Client;
use super::retry::Failure;
use super::transport::{Call, Payload};

enum Begun {
    Mounted,
    At(Uri),
}

impl Client {
    /// Puts a blob that the repository lacks. `open` gives the content, anew for each attempt; `from` is another
    /// repository of this registry that may hold it. Says whether it was mounted from there.
    ///
    /// # Errors
    /// `permission`, `network`; `integrity` when the registry finds another digest; those of `open`.
    pub fn put_blob(
        &self,
        repository: &str,
        (digest, size): (&Digest, u64),
        from: Option<&str>,
        open: &mut dyn FnMut() -> Result<File>,
        task: &Arc<Task>,
    ) -> Result<bool> {
        let mut from = from;
        self.attempts().run(|| {
            // A mount that did not work the first time is not asked for again.
            let location = match self.begin(repository, digest, from.take())? {
                Begun::Mounted => return Ok(true),
                Begun::At(location) => location,
            };
            self.send_blob(repository, (digest, size), &location, open, task)?;
            Ok(false)
        })
    }

    fn begin(&self, repository: &str, digest: &Digest, from: Option<&str>) -> Result<Begun, Failure> {
        let what = format!("an upload to {repository}");
        let scope = Scope::push(repository);
        let mut scope_and_path = (scope, format!("/v2/{repository}/blobs/uploads/"));
        if let Some(from) = from {
            let path = format!("{}?mount={}&from={}", scope_and_path.1, escape(&digest.to_string()), escape(from));
            scope_and_path = (scope_and_path.0.and_pull(from), path);
        }
        let (scope, path) = scope_and_path;
        let url = self.url(&path)?;
        let answer = self
            .exchange(&scope, &mut || Ok(Call::new(Method::POST, url.clone()).payload(Payload::Bytes(Vec::new()))))?;
        let answer = self.0.passing(answer, &what)?;
        let answer = self.0.expect(answer, &[201, 202], &what)?;
        if answer.status() == 201 {
            return Ok(Begun::Mounted);
        }
        let Some(location) = answer.header("location") else {
            return Err(Error::integrity(format!("registry {} says not where to upload", self.registry())).into());
        };
        Ok(Begun::At(resolve(&answer.url, location)?))
    }

    fn send_blob(
        &self,
        repository: &str,
        (digest, size): (&Digest, u64),
        location: &Uri,
        open: &mut dyn FnMut() -> Result<File>,
        task: &Arc<Task>,
    ) -> Result<(), Failure> {
        let what = format!("blob {digest}");
        let separator = if location.query().is_some() { '&' } else { '?' };
        let target = format!("{location}{separator}digest={}", escape(&digest.to_string()));
        let target: Uri = target.parse().map_err(|_| Error::integrity(format!("invalid URL '{target}'")))?;
        let answer = self.exchange(&Scope::push(repository), &mut || {
            Ok(Call::new(Method::PUT, target.clone())
                .header(header::CONTENT_TYPE, "application/octet-stream")
                .payload(Payload::File(open()?, size, task.clone())))
        })?;
        let answer = self.0.passing(answer, &what)?;
        match answer.status() {
            201 | 202 | 204 => Ok(()),
            // The upload was forgotten (by a restart, by another machine behind the same name): begin anew.
            404 => Err(Failure::Passing {
                kind: Kind::Network,
                message: format!("registry {} lost the upload of {what}", self.registry()),
                cause: None,
                after: None,
            }),
            400 => Err(Error::integrity(format!("registry {} refused {what}", self.registry()))
                .caused_by(self.0.unexpected(answer, &what))
                .into()),
            _ => Err(self.0.unexpected(answer, &what).into()),
        }
    }
}
