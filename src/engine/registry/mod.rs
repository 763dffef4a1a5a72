//! A registry as its HTTP interface offers it: manifests, blobs, uploads, tags.
//!
//! One [`Client`] speaks to one registry for one operation; its connections, tokens and patience end with it. What
//! a registry sends is checked by who asked for it: this module compares sizes and digests where it streams, and
//! leaves the meaning of manifests to `image`. Source: OCI distribution specification 1.1.

mod address;
mod auth;
mod blob;
mod client;
mod download;
mod retry;
mod transport;
mod upload;

pub use blob::{BlobReader, RawBlobReader};
pub use client::{Client, Fetched};
pub use download::{Conditions, Download};
pub use retry::Patience;

use super::Credentials;
use super::cancel::Cancel;
use super::error::{Error, Kind, Result};
use super::reference::Reference;

/// How to speak to a registry.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Used instead of what the configured source says.
    pub credentials: Option<Credentials>,
    /// How often and how long to try.
    pub patience: Patience,
}

impl super::Engine {
    /// A client for one registry (`docker.io`, `127.0.0.1:5000`), stopped by `cancel`.
    pub fn registry_client(&self, registry: &str, access: &Access, cancel: &Cancel) -> Client {
        Client::new(registry, access, &self.config, cancel)
    }

    /// Lists the tags of a repository.
    ///
    /// # Errors
    /// `not_found`, `permission`, `network`, `interrupted`.
    pub fn registry_tags(&self, repository: &Reference, access: &Access) -> Result<Vec<String>> {
        let mut tags =
            self.registry_client(repository.registry(), access, &self.cancel).tags(repository.repository())?;
        // The specification wants them sorted; not every registry does it.
        tags.sort();
        Ok(tags)
    }

    /// Checks that a registry accepts these credentials.
    ///
    /// # Errors
    /// `permission` when it does not, `network`, `interrupted`.
    pub fn registry_check(&self, registry: &str, credentials: &Credentials) -> Result<()> {
        let access = Access { credentials: Some(credentials.clone()), ..Access::default() };
        let refused = |e: Error| match e.kind() {
            // Whoever asks this is logging in already.
            Kind::Permission => e.with_hint("check the user and the password"),
            _ => e,
        };
        self.registry_client(registry, &access, &self.cancel).check().map_err(refused)
    }
}
