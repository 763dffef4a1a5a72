//! Layers: compressed tar streams on one side, overlayfs lower folders on the other.
//!
//! ```text
//! ROOT/layers/ID/fs           the unpacked tree, in overlayfs form: a removed name is a 0:0 character device, a
//!                             folder that hides the one below carries the extended attribute `overlay.opaque`
//! ROOT/layers/ID/layer.json   LayerMeta
//! ```
//!
//! The tree is written by [`unpack::unpack`] and read by [`diff::pack`]. A layer that is in place never
//! changes. Source: OCI image specification 1.1, layer.md; the kernel's filesystems/overlayfs.rst.

pub(super) mod archive;
mod compress;
pub mod diff;
pub(super) mod dress;
pub(super) mod entry;
pub(super) mod inspect;
mod pax;
pub(super) mod sparse;
pub(super) mod tree;
pub mod unpack;
pub(super) mod writer;

use std::fs;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::error::{Error, Kind, OsContext, Result, from_io, to_io};
use super::store::{Store, Workspace, sync_dir, sync_filesystem};

/// The largest zstd window, as a power of two: 128 MiB, what the zstd program itself accepts without being asked.
/// The format allows windows of 2 TiB, which a reader would have to hold in memory.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Memory an xz stream may ask for, in KiB: what its densest preset takes, and as much again.
const XZ_MEMORY_KIB: u32 = 128 << 10;

const BUFFER: usize = 128 << 10;

/// What is known of an unpacked layer; kept as `layer.json` beside its tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerMeta {
    /// The digest of the uncompressed tar, for a layer that came from one.
    pub diff_id: Option<Digest>,
    /// Bytes of file content.
    pub bytes: u64,
    /// Entries of the archive.
    pub entries: u64,
}

/// Where a stream's data comes from. Its errors become engine errors here, so that every other error that comes out
/// of a decoder is the decoder's own, that is: damaged data.
struct Source<R>(R, &'static str);

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => Err(to_io(from_io(e, format!("read {}", self.1)))),
            other => other,
        }
    }
}

struct Decoder<R> {
    inner: R,
    format: &'static str,
    noun: &'static str,
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|e| {
            if e.kind() == io::ErrorKind::Interrupted || e.get_ref().is_some_and(|inner| inner.is::<Error>()) {
                return e;
            }
            to_io(Error::integrity(format!("{} data of the {} cannot be read: {e}", self.format, self.noun)))
        })
    }
}

/// Decompresses a layer: gzip (of any number of members), zstd (of any number of frames, window at most 128 MiB) or
/// plain tar, told apart by the first bytes.
///
/// # Errors
/// Here and from the reader it returns: `unsupported` for bzip2 and xz, `integrity` for damaged data, and what
/// `reader` returns.
pub fn decompress<'a>(reader: impl Read + Send + 'a) -> Result<Box<dyn Read + Send + 'a>> {
    let (start, plain) = begin(reader, archive::LAYER)?;
    match start.as_slice() {
        [b'B', b'Z', b'h', ..] => Err(unsupported("bzip2")),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Err(unsupported("xz")),
        _ => decoder(&start, plain, archive::LAYER),
    }
}

/// The same for an archive that messages call `noun`, which may also be compressed with bzip2 or xz.
///
/// # Errors
/// Here and from the reader it returns: `integrity` for damaged data, and what `reader` returns.
pub(super) fn decompress_any<'a>(
    reader: impl Read + Send + 'a,
    noun: &'static str,
) -> Result<Box<dyn Read + Send + 'a>> {
    let (start, plain) = begin(reader, noun)?;
    let buffered = BufReader::with_capacity(BUFFER, plain);
    match start.as_slice() {
        [b'B', b'Z', b'h', ..] => {
            let inner = bzip2::bufread::MultiBzDecoder::new(buffered);
            Ok(Box::new(Decoder { inner, format: "bzip2", noun }))
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            let inner = lzma_rust2::XzReader::new_mem_limit(buffered, true, XZ_MEMORY_KIB);
            Ok(Box::new(Decoder { inner, format: "xz", noun }))
        }
        _ => decoder(&start, buffered, noun),
    }
}

/// The first bytes of a stream, and the whole stream.
fn begin<R: Read>(mut reader: R, noun: &'static str) -> Result<(Vec<u8>, Source<impl Read + use<R>>)> {
    let mut start = [0u8; 6];
    let mut have = 0;
    while have < start.len() {
        match reader.read(&mut start[have..]) {
            Ok(0) => break,
            Ok(count) => have += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(from_io(e, format!("read {noun}"))),
        }
    }
    let start = start[..have].to_vec();
    let whole = io::Cursor::new(start.clone()).chain(reader);
    Ok((start, Source(whole, noun)))
}

fn decoder<'a>(start: &[u8], plain: impl Read + Send + 'a, noun: &'static str) -> Result<Box<dyn Read + Send + 'a>> {
    match start {
        [0x1f, 0x8b, ..] => {
            let buffered = BufReader::with_capacity(BUFFER, plain);
            let inner = flate2::bufread::MultiGzDecoder::new(buffered);
            Ok(Box::new(Decoder { inner, format: "gzip", noun }))
        }
        // The second form is a skippable frame, which may come first.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            let buffered = BufReader::with_capacity(BUFFER, plain);
            let mut inner = zstd::stream::read::Decoder::with_buffer(buffered).os(|| "start zstd")?;
            inner.window_log_max(ZSTD_WINDOW_LOG).os(|| "start zstd")?;
            Ok(Box::new(Decoder { inner, format: "zstd", noun }))
        }
        _ => Ok(Box::new(plain)),
    }
}

fn unsupported(format: &str) -> Error {
    Error::new(Kind::Unsupported, format!("layer is compressed with {format}, which is not a layer format"))
        .with_hint("layers are plain tar, gzip or zstd")
}

/// The prefix of overlayfs's own extended attributes: `trusted.overlay.`, which takes CAP_SYS_ADMIN in the first user
/// namespace, else `user.overlay.`, which overlayfs reads when mounted with `userxattr` (kernel 5.11).
pub fn overlay_xattr_prefix() -> &'static str {
    static PREFIX: OnceLock<&'static str> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let admin = rustix::thread::capabilities(None)
            .is_ok_and(|sets| sets.effective.contains(rustix::thread::CapabilitySet::SYS_ADMIN));
        // Only the first user namespace maps every id to itself. Without /proc nothing speaks for another one.
        let first = fs::read_to_string("/proc/self/uid_map")
            .map_or(true, |map| map.split_whitespace().eq(["0", "0", "4294967295"]));
        if admin && first { "trusted.overlay." } else { "user.overlay." }
    })
}

/// Whether an extended attribute belongs to a layer's content. overlayfs's own never do: in a lower layer they would
/// send look-ups elsewhere. Labels of the host's security module do not either.
fn keeps_xattr(name: &[u8]) -> bool {
    const OVERLAY: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];
    const KEPT: [&[u8]; 3] = [b"user.", b"trusted.", b"system.posix_acl_"];
    let starts = |list: &[&[u8]]| list.iter().any(|prefix| name.starts_with(prefix));
    !name.contains(&0) && (name == b"security.capability" || (starts(&KEPT) && !starts(&OVERLAY)))
}

fn check_id(id: &str) -> Result<()> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if id.is_empty() || id.len() > 128 || id.starts_with('.') || !id.bytes().all(word) {
        return Err(Error::invalid(format!("'{}' is not a layer id", id.escape_debug())));
    }
    Ok(())
}

impl Store {
    fn layer_dir(&self, id: &str) -> PathBuf {
        self.join("layers").join(id)
    }

    /// The tree of a layer: `ROOT/layers/ID/fs`. The id of a layer that was pulled is the hexadecimal form of its
    /// diff id; layers of build steps have other names of letters, digits, `-`, `_` and `.`.
    pub fn layer_fs(&self, id: &str) -> PathBuf {
        self.layer_dir(id).join("fs")
    }

    /// True when the layer is here, whole.
    pub fn has_layer(&self, id: &str) -> bool {
        check_id(id).is_ok() && self.layer_dir(id).join("layer.json").exists()
    }

    /// What is known of a layer.
    ///
    /// # Errors
    /// `not_found`; `integrity` when the description is damaged; `os`.
    pub fn layer_meta(&self, id: &str) -> Result<LayerMeta> {
        check_id(id)?;
        let path = self.layer_dir(id).join("layer.json");
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|e| Error::integrity(format!("{} is damaged: {e}", path.display()))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(Error::not_found(format!("layer {id} is not in the store")))
            }
            Err(e) => Err(e).os(|| format!("read {}", path.display())),
        }
    }

    /// Makes the tree in `workspace`'s `fs/` the layer `id`, durably. If the layer is there already the workspace is
    /// dropped.
    ///
    /// # Errors
    /// As [`Store::place_layer`].
    pub fn install_layer(&self, id: &str, workspace: Workspace, meta: &LayerMeta) -> Result<()> {
        self.place_layer(id, workspace, meta)?;
        let layers = self.join("layers");
        sync_dir(&layers).os(|| format!("sync {}", layers.display()))
    }

    /// The same, but after a power cut the layer may be gone, whole: one `syncfs` for all its files, and everything
    /// else that was written before, then one rename.
    ///
    /// # Errors
    /// `invalid_argument` for a malformed id, `os`; the store is then as it was.
    pub fn place_layer(&self, id: &str, workspace: Workspace, meta: &LayerMeta) -> Result<()> {
        check_id(id)?;
        if self.has_layer(id) {
            return Ok(());
        }
        let text = serde_json::to_vec(meta).map_err(|e| Error::new(Kind::Internal, "describe a layer").caused_by(e))?;
        fs::write(workspace.join("layer.json"), text).os(|| format!("write the description of layer {id}"))?;
        sync_filesystem(workspace.path())?;
        let dir = self.layer_dir(id);
        // The link to a build step's folder that is gone. Whoever else finds it removes the same: a link.
        if fs::symlink_metadata(&dir).is_ok_and(|meta| meta.is_symlink()) && !dir.exists() {
            match fs::remove_file(&dir) {
                Err(e) if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => {
                    return Err(e).os(|| format!("replace layer {id}"));
                }
                _ => {}
            }
        }
        match fs::rename(workspace.path(), &dir) {
            // Another process was faster.
            Err(_) if self.has_layer(id) => Ok(()),
            // The workspace's name is gone, so dropping it removes nothing and gives back its lock.
            other => other.os(|| format!("keep layer {id}")),
        }
    }
}
