//! From a tar stream to an overlayfs lower folder.

use std::io::{self, Read};
use std::path::Path;

use super::super::Limits;
use super::super::cancel::Cancel;
use super::super::error::{Error, OsContext, Result};

/// How to unpack.
pub struct UnpackOptions<'a> {
    /// Bounds; `layer_bytes` and `layer_entries` are used.
    pub limits: Limits,
    /// Stops the work.
    pub cancel: &'a Cancel,
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpacked {
    /// Entries of the archive.
    pub entries: u64,
    /// Bytes of file content.
    pub bytes: u64,
}

/// Unpacks a layer below `root`, an empty folder. Reads to the end of the stream.
///
/// # Errors
/// `integrity` for an archive that is damaged or climbs out, `interrupted`, `os`.
pub fn unpack(tar: impl Read, root: &Path, options: &UnpackOptions) -> Result<Unpacked> {
    let mut done = Unpacked { entries: 0, bytes: 0 };
    let mut archive = tar::Archive::new(tar);
    archive.set_overwrite(true);
    archive.set_preserve_permissions(true);
    for entry in archive.entries().os(|| "read layer")? {
        options.cancel.check()?;
        let mut entry = entry.os(|| "read layer")?;
        done.entries += 1;
        done.bytes += entry.size();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if !entry.unpack_in(root).os(|| format!("layer entry '{name}'"))? {
            return Err(Error::integrity(format!("layer entry '{name}' climbs out of the root file system")));
        }
    }
    io::copy(&mut archive.into_inner(), &mut io::sink()).os(|| "read layer")?;
    Ok(done)
}
