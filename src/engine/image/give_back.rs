//! Gives back the space of content that was added before the disk was full.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::Engine;
use super::super::digest::Digest;
use super::super::error::{OsContext, Result};
use super::super::store::remove_tree;
use super::Image;
use super::manifest::Content;

/// What is remembered of a packed layer, as far as it matters here.
#[derive(serde::Deserialize)]
struct Note {
    digest: Digest,
}

impl Engine {
    /// Passes on how an operation ended. If the disk was full, the content it had added until then goes, unless it is
    /// named by now or somebody else is at work. `fresh` are blobs, layers and notes on them that were not there
    /// before. To be called without holding `store.shared`.
    pub(in super::super) fn give_back<T>(&self, result: Result<T>, fresh: &[PathBuf]) -> Result<T> {
        if let Err(error) = &result
            && matches!(error.errno(), Some(libc::ENOSPC | libc::EDQUOT))
        {
            // What cannot be removed is whole, and unnamed: the next sweep of content takes it.
            let _ = self.remove_unnamed(fresh);
        }
        result
    }

    fn remove_unnamed(&self, fresh: &[PathBuf]) -> Result<()> {
        let Some(_alone) = self.store.try_exclusive()? else { return Ok(()) };
        let mut kept = HashSet::new();
        for image in self.image_list()? {
            kept.extend(self.content_of(&image)?);
        }
        // What another step's layer is packed as may be the same blob.
        let notes = self.store.join("cache/packed");
        for entry in fs::read_dir(&notes).os(|| format!("list {}", notes.display()))?.flatten() {
            let text = fs::read(entry.path()).unwrap_or_default();
            if let Ok(note) = serde_json::from_slice::<Note>(&text)
                && !fresh.contains(&entry.path())
            {
                kept.insert(self.store.blob_path(&note.digest));
            }
        }
        for path in fresh.iter().filter(|path| !kept.contains(*path)) {
            self.remove_content(path);
        }
        Ok(())
    }

    fn content_of(&self, image: &Image) -> Result<Vec<PathBuf>> {
        let mut paths = vec![self.store.blob_path(&Content::of(&image.manifest)?.digest)];
        paths.push(self.store.blob_path(&image.id));
        for layer in &image.layers {
            paths.extend([self.store.blob_path(&layer.blob.digest), self.layer_path(&layer.diff_id)]);
        }
        Ok(paths)
    }

    /// Where the folder of an image's layer is, or would be.
    pub(in super::super) fn layer_path(&self, diff_id: &Digest) -> PathBuf {
        self.store.join("layers").join(diff_id.hex())
    }

    fn remove_content(&self, path: &Path) {
        let is_folder = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
        if !is_folder {
            let _ = fs::remove_file(path);
        } else if let Some(name) = path.file_name() {
            // Out of the way at once: half a layer must not be found. A sweep takes what is left of it in `tmp/`.
            let doomed = self.store.join("tmp").join(name);
            let _ = fs::rename(path, &doomed).and_then(|()| remove_tree(&doomed));
        }
    }
}
