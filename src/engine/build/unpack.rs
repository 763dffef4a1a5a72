//! Archives in builds: told by their content, and unpacked into a folder of their own.

use std::io::Read;
use std::path::Path;

use super::super::Engine;
use super::super::error::Result;
use super::super::layer::archive::Archive;
use super::super::layer::decompress_any;
use super::super::layer::unpack::{UnpackOptions, Unpacked, unpack_named};

/// What messages call an archive.
const NOUN: &str = "archive";

/// Whether a file is an archive, by its beginning.
pub(super) fn is_archive(engine: &Engine, file: impl Read + Send) -> bool {
    let Ok(plain) = decompress_any(file, NOUN) else { return false };
    matches!(Archive::new(plain, engine.config().limits, NOUN).next(), Ok(Some(_)))
}

/// Unpacks a tar archive, plain or compressed in any of the usual ways, into an empty folder.
///
/// # Errors
/// `integrity` for an archive that is damaged, passes the engine's limits or leads out of the folder; `permission` for
/// a device that this process may not make; `interrupted`; `os`. What was unpacked so far remains.
pub(super) fn unpack_archive(engine: &Engine, stream: impl Read + Send, folder: &Path) -> Result<Unpacked> {
    let options = UnpackOptions { limits: engine.config().limits, cancel: engine.cancel() };
    unpack_named(decompress_any(stream, NOUN)?, folder, &options, NOUN)
}
