//! A layer's way in: one pipeline from the registry (or the store) to the unpacked folder.
//!
//! ```text
//! fetch, hash, keep the blob  ->  inflate, hash the diff id  ->  unpack
//! ```
//!
//! Each stage is a thread; several layers run at once. Whoever holds a blob's lock fetches it; others wait and find
//! it there. The first error stops all.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::super::Engine;
use super::super::cancel::Cancel;
use super::super::digest::{Digest, Hashing, Verifying};
use super::super::error::{Error, Kind, Result, from_io, to_io};
use super::super::layer::unpack::{UnpackOptions, Unpacked, unpack};
use super::super::layer::{LayerMeta, decompress};
use super::super::progress::Task;
use super::super::registry::Client;
use super::super::store::blobs::BlobWriter;
use super::Layer;
use super::manifest::Content;
use super::pipe::{PipeReader, PipeWriter, pipe};

/// Layers on their way at once.
const PARALLEL: usize = 4;

/// Remembers what failed first, and stops the rest.
struct FirstError {
    cancel: Cancel,
    first: Mutex<Option<Error>>,
}

impl FirstError {
    /// `cancel` is the token of the work to stop.
    pub fn new(cancel: &Cancel) -> FirstError {
        FirstError { cancel: cancel.clone(), first: Mutex::new(None) }
    }

    /// Takes note of a failure. Those that only follow from another are `interrupted`, and give way to it.
    pub fn note(&self, error: Error) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.as_ref().is_none_or(|known| known.kind() == Kind::Interrupted) {
            *first = Some(error);
        }
        drop(first);
        self.cancel.cancel();
    }

    /// The first failure, if there was one.
    pub fn finish(self) -> Result<()> {
        match self.first.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// Runs `work` on each of `items`, up to four at once, and returns the first error.
pub(in super::super) fn each<T: Sync>(
    items: &[T],
    outer: &Cancel,
    cancel: &Cancel,
    work: impl Fn(&T) -> Result<()> + Sync,
) -> Result<()> {
    let first = FirstError::new(cancel);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL.min(items.len()) {
            scope.spawn(|| {
                while !cancel.is_cancelled() {
                    let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                    if let Err(error) = work(item) {
                        first.note(error);
                    }
                }
            });
        }
    });
    // Whatever broke because the user stopped it broke for that reason.
    outer.check()?;
    first.finish()
}

/// Brings layers into the store, blobs and folders. Without a registry the blobs must be there. The caller holds
/// `store.shared`.
///
/// # Errors
/// The first failure of any layer.
pub(super) fn bring_layers(engine: &Engine, from: Option<(&Client, &str)>, layers: &[Layer]) -> Result<()> {
    let (child, _guard) = engine.cancel.child()?;
    // What fails first must also break the connections of the others.
    let cancel = from.map_or(child, |(client, _)| client.cancel().clone());
    let mut distinct: Vec<&Layer> = Vec::new();
    for layer in layers {
        if !distinct.contains(&layer) {
            distinct.push(layer);
        }
    }
    each(&distinct, &engine.cancel, &cancel, |layer| Bringing { engine, from, cancel: &cancel, layer }.run())
}

struct Bringing<'a> {
    engine: &'a Engine,
    from: Option<(&'a Client, &'a str)>,
    cancel: &'a Cancel,
    layer: &'a Layer,
}

impl Bringing<'_> {
    fn run(&self) -> Result<()> {
        let (store, blob, id) = (&self.engine.store, self.layer.blob, self.layer.diff_id.hex());
        let what = if self.from.is_some() { "pull" } else { "unpack" };
        let task = Task::start(&self.engine.config.progress, what, blob.digest.short(), Some(blob.size));
        let _blob = store.lock_object(&format!("blob-{}", blob.digest.hex()), self.cancel)?;
        let _layer = store.lock_object(&format!("layer-{id}"), self.cancel)?;
        let have_blob = store.blob_size(&blob.digest) == Some(blob.size);
        let have_layer = store.has_layer(&id);
        match (have_blob || (have_layer && self.from.is_none()), have_layer) {
            (true, true) => {
                task.end("already here");
                return Ok(());
            }
            (true, false) => {
                let file = store.open_blob(&blob.digest)?;
                self.unpack(&mut Verifying::new(file, blob.digest, Some(blob.size)), None, &task)?;
            }
            (false, true) => self.fetch(&mut *self.open()?, &task)?,
            (false, false) => {
                let mut source = self.open()?;
                self.unpack(&mut *source, Some(store.blob_writer()?), &task)?;
            }
        }
        task.end("done");
        Ok(())
    }

    /// The blob from the registry; the writer that keeps it computes its digest.
    fn open(&self) -> Result<Box<dyn Read + Send>> {
        let blob = self.layer.blob;
        match self.from {
            Some((client, repository)) => Ok(Box::new(client.raw_blob(repository, &blob.digest, blob.size)?)),
            None => {
                Err(Error::not_found(format!("blob {} is not in the store", blob.digest))
                    .with_hint("pull the image again"))
            }
        }
    }

    /// The blob alone: its layer is unpacked already, from another blob.
    fn fetch(&self, source: &mut dyn Read, task: &Task) -> Result<()> {
        let blob = self.layer.blob;
        let mut writer = self.engine.store.blob_writer()?;
        let mut told = Told { inner: &mut writer, task };
        io::copy(source, &mut told).map_err(|e| from_io(e, format!("write blob {}", blob.digest)))?;
        writer.commit(Some((blob.digest, blob.size)))?;
        Ok(())
    }

    fn unpack(&self, source: &mut (dyn Read + Send), keep: Option<BlobWriter>, task: &Task) -> Result<()> {
        let store = &self.engine.store;
        let workspace = store.workspace()?;
        let root = workspace.join("fs");
        std::fs::create_dir(&root).map_err(|e| from_io(e, format!("create {}", root.display())))?;
        let (compressed, fetched) = pipe();
        let (tar, inflated) = pipe();
        let options = UnpackOptions { limits: self.engine.config.limits, cancel: self.cancel };
        let (kept, diff_id, unpacked) = std::thread::scope(|scope| {
            let keeping = scope.spawn(|| self.keep(source, fetched, keep, task));
            let inflating = scope.spawn(|| inflate(compressed, inflated));
            let unpacked = unpack(tar, &root, &options);
            if let Err(error) = &unpacked
                && error.kind() != Kind::Integrity
                && error.kind() != Kind::Interrupted
            {
                // A full disk, say: there is no use in fetching the rest.
                self.cancel.cancel();
            }
            (
                keeping.join().unwrap_or_else(|_| Err(panicked())),
                inflating.join().unwrap_or_else(|_| Err(panicked())),
                unpacked,
            )
        });
        let (diff_id, unpacked) = verdict(kept, diff_id, unpacked)?;
        let expected = self.layer.diff_id;
        if diff_id != expected {
            return Err(Error::integrity(format!(
                "layer {} unpacks to {diff_id}, but the image's configuration says {expected}",
                self.layer.blob.digest
            )));
        }
        let meta = LayerMeta { diff_id: Some(diff_id), bytes: unpacked.bytes, entries: unpacked.entries };
        store.install_layer(&expected.hex(), workspace, &meta)
    }

    /// The first stage: into the pipe, and where it is new into the blob's file.
    fn keep(&self, source: &mut dyn Read, pipe: PipeWriter, mut keep: Option<BlobWriter>, task: &Task) -> Result<()> {
        let blob = self.layer.blob;
        // Content that does not unpack is still read to its end: whether it is what its digest says comes first.
        let sent = pipe.pump(source, true, |bytes| {
            self.cancel.check().map_err(to_io)?;
            if let Some(writer) = &mut keep {
                writer.write_all(bytes)?;
            }
            task.advance(bytes.len() as u64);
            Ok(())
        });
        sent.map_err(|e| from_io(e, format!("write blob {}", blob.digest)))?;
        // Making it durable overlaps with the unpacking of what is still in the pipe.
        match keep {
            Some(writer) => writer.commit(Some((blob.digest, blob.size))).map(|_| ()),
            None => Ok(()),
        }
    }
}

/// Of several failures the one nearest to the source: the later ones follow from it.
fn verdict(kept: Result<()>, diff_id: Result<Digest>, unpacked: Result<Unpacked>) -> Result<(Digest, Unpacked)> {
    match (kept, diff_id, unpacked) {
        (Ok(()), Ok(diff_id), Ok(unpacked)) => Ok((diff_id, unpacked)),
        (kept, diff_id, unpacked) => {
            let mut errors: Vec<Error> = [kept.err(), diff_id.err(), unpacked.err()].into_iter().flatten().collect();
            let cause = errors.iter().position(|error| error.kind() != Kind::Interrupted);
            Err(errors.swap_remove(cause.unwrap_or(0)))
        }
    }
}

fn panicked() -> Error {
    Error::new(Kind::Internal, "a thread that unpacks a layer panicked")
}

/// The second stage: inflates, and computes the digest of the tar.
fn inflate(compressed: PipeReader, tar: PipeWriter) -> Result<Digest> {
    let mut hashing = Hashing::new(decompress(compressed)?);
    tar.pump(&mut hashing, false, |_| Ok(())).map_err(|e| from_io(e, "decompress the layer"))?;
    Ok(hashing.finish().1)
}

/// A writer that tells a task how much went through.
struct Told<'a> {
    inner: &'a mut BlobWriter,
    task: &'a Task,
}

impl Write for Told<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.task.advance(count as u64);
        Ok(count)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads a small blob of a registry, checked.
///
/// # Errors
/// `integrity` when it is longer than allowed or not what its digest says, and the registry's.
pub(super) fn small_blob(client: &Client, repository: &str, content: Content, limit: u64) -> Result<Vec<u8>> {
    if content.size > limit {
        return Err(Error::integrity(format!(
            "image configuration {} has {} bytes, more than {limit}",
            content.digest, content.size
        )));
    }
    let mut bytes = Vec::with_capacity(content.size as usize);
    let mut reader = client.blob(repository, &content.digest, content.size)?;
    reader.read_to_end(&mut bytes).map_err(|e| from_io(e, format!("read blob {}", content.digest)))?;
    Ok(bytes)
}
