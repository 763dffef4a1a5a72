//! The cache of steps in a registry.

use serde::{Deserialize, Serialize};

use super::super::digest::Digest;

/// A layer in a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteLayer {
    /// The name of the cache in the registry.
    pub from: String,
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The digest of the blob.
    pub digest: Digest,
    /// Bytes of the blob.
    pub size: u64,
    /// Its OCI media type.
    pub media_type: String,
}
