//! An image made of the host's own programs: no registry, no download, nothing is executed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::Engine;
use super::super::digest::{Digest, Hashing};
use super::super::error::{Error, OsContext, Result};
use super::super::host_image::{HostFile, HostSource, host_files};
use super::State;
use super::cache::{Manner, Operation};
use super::files::unix_now;
use super::tree::{Looks, TreeWriter};

/// One file of the image and what of it counts for the cache.
#[derive(Serialize)]
struct Entry {
    path: PathBuf,
    mode: u32,
    content: Option<Digest>,
    link: Option<PathBuf>,
    #[serde(skip)]
    source: Option<PathBuf>,
    #[serde(skip)]
    mtime: i64,
}

impl State {
    /// A state that holds these programs of the host, and the interpreters and libraries they need.
    ///
    /// # Errors
    /// `not_found` for a program or library that is missing; `invalid_argument` for something that is no program.
    pub fn from_host(engine: &Engine, programs: &[PathBuf]) -> Result<State> {
        if programs.is_empty() {
            return Err(Error::invalid("build.from_host needs at least one program"));
        }
        let entries = host_files(programs)?.iter().map(entry).collect::<Result<Vec<_>>>()?;
        let base = State::scratch();
        let names: Vec<String> = programs.iter().map(|path| path.display().to_string()).collect();
        let step = format!("FROM HOST {}", names.join(" "));
        let manner = Manner::default();
        base.take(engine, Operation::new("host", &entries, step, &manner)?, |_| {
            let mut tree = TreeWriter::new(engine.store(), &[], unix_now(engine))?;
            for entry in &entries {
                engine.cancel().check()?;
                write(&mut tree, entry)?;
            }
            tree.folder(Path::new("/tmp"), Some(Looks { mode: 0o1777, uid: 0, gid: 0, mtime: unix_now(engine) }))?;
            Ok(Some(tree.finish()?))
        })
    }
}

fn entry(file: &HostFile) -> Result<Entry> {
    let path = file.path_in_image.clone();
    Ok(match &file.source {
        HostSource::Symlink(target) => {
            Entry { path, mode: 0o777, content: None, link: Some(target.clone()), source: None, mtime: 0 }
        }
        HostSource::File(source) => {
            let meta = fs::metadata(source).os(|| format!("stat {}", source.display()))?;
            let mut reader = Hashing::new(fs::File::open(source).os(|| format!("open {}", source.display()))?);
            std::io::copy(&mut reader, &mut std::io::sink()).os(|| format!("read {}", source.display()))?;
            Entry {
                path,
                // Programs of the host keep what lets them run, not what gives them rights.
                mode: meta.mode() & 0o755 | 0o444,
                content: Some(reader.finish().1),
                link: None,
                source: Some(source.clone()),
                mtime: meta.mtime(),
            }
        }
    })
}

fn write(tree: &mut TreeWriter, entry: &Entry) -> Result<()> {
    let looks = Looks { mode: entry.mode, uid: 0, gid: 0, mtime: entry.mtime };
    match (&entry.link, &entry.source) {
        (Some(target), _) => tree.link(&entry.path, target, looks),
        (None, Some(source)) => {
            let file = fs::File::open(source).os(|| format!("open {}", source.display()))?;
            let written = tree.file(&entry.path, file, looks)?;
            if Some(written) == entry.content {
                return Ok(());
            }
            Err(Error::integrity(format!("{} changed while it was being copied", source.display())))
        }
        (None, None) => Ok(()),
    }
}
