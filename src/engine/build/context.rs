//! Contexts: folders that a build copies from and that it cannot leave.
//!
//! A context is a folder of the host, or an archive or a git repository that was unpacked into a work area, which goes
//! with the last handle (and, if the process is killed, with the next process's sweep). Paths in it are resolved as
//! if it were the root of a file system; its ignore rules apply to what is copied from it, not to reading single
//! files.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::Engine;
use super::super::error::{Error, Kind, OsContext, Result};
use super::super::inroot::Root;
use super::super::store::{Store, Workspace};
use super::copy::write_sources;
use super::files::unix_now;
use super::git::{Remote, checkout};
use super::ignore::Rules;
use super::reading::read_all;
use super::source::{Search, from_context};
use super::stat_cache::StatCache;
use super::tree::TreeWriter;
use super::web::{fetch, is_url};

/// The largest file [`Context::read`] returns, in bytes.
const READ_BYTES: u64 = 256 << 20;
/// The longest text in the place of an archive, in bytes.
const TEXT_BYTES: u64 = 4 << 20;
/// A tar's header, in bytes.
const TAR_BLOCK: u64 = 512;
/// The largest file of ignore rules, in bytes.
const IGNORE_BYTES: u64 = 4 << 20;

/// Where a context comes from.
pub enum ContextSource {
    /// A folder, an archive, or the address of one.
    Name(String),
    /// An archive that is read from here.
    Stream(Box<dyn Read + Send>),
    /// Another context, under other rules.
    Same(Context),
}

/// How to make a context.
#[derive(Debug, Clone, Default)]
pub struct ContextOptions {
    /// Ignore rules.
    pub ignore: Vec<String>,
    /// A file of ignore rules, in the context; an absolute path is one of the host.
    pub ignore_file: Option<String>,
    /// Of a stream that is text and no archive: the file that it becomes.
    pub file: Option<String>,
    /// The folder that relative names start at.
    pub base: PathBuf,
}

/// A folder that a build copies from. Cloning is cheap.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    tree: Arc<Tree>,
    rules: Rules,
    // What the rules leave, once somebody asked for it.
    filtered: Mutex<Option<Workspace>>,
}

struct Tree {
    root: Root,
    folder: PathBuf,
    // As it was given.
    name: String,
    // The only file, of a stream that was no archive.
    file: Option<String>,
    // Holds what was unpacked.
    _area: Option<Workspace>,
    stats: Mutex<Option<StatCache>>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({})", self.name())
    }
}

impl Context {
    /// Makes a context.
    ///
    /// # Errors
    /// `not_found`; `invalid_argument` for what is neither folder nor archive and for malformed rules; `integrity`
    /// for a damaged archive or one that leads out of the context; `network`, `interrupted`, `os`.
    pub fn open(engine: &Engine, source: ContextSource, options: &ContextOptions) -> Result<Context> {
        let tree = match source {
            ContextSource::Same(other) => other.0.tree.clone(),
            ContextSource::Stream(stream) => Arc::new(streamed(engine, stream, options.file.as_deref())?),
            ContextSource::Name(name) => match Remote::parse(&name).or_else(|| Remote::in_folder(&name, &options.base))
            {
                Some(remote) => Context::of_git(engine, &remote, false)?.0.0.tree.clone(),
                None if is_url(&name) => {
                    let file = fetch(engine, &name, None)?;
                    let stream = fs::File::open(&file.path).os(|| format!("open what {name} was"))?;
                    Arc::new(unpacked(engine, &name, Box::new(stream))?)
                }
                None => Arc::new(named(engine, &name, &options.base)?),
            },
        };
        let mut lines = Vec::new();
        if let Some(file) = &options.ignore_file {
            lines = Rules::lines(&ignore_file(engine, &tree, file)?);
        }
        lines.extend(options.ignore.iter().cloned());
        let rules = Rules::new(&lines)?;
        Ok(Context(Arc::new(Inner { tree, rules, filtered: Mutex::new(None) })))
    }

    /// A commit of a repository, and its id.
    ///
    /// # Errors
    /// As [`Context::open`].
    pub(super) fn of_git(engine: &Engine, remote: &Remote, keep: bool) -> Result<(Context, String)> {
        let done = checkout(engine, remote, keep)?;
        let tree = Arc::new(Tree {
            root: Root::open(&done.folder)?,
            folder: done.folder,
            name: remote.url.clone(),
            file: None,
            _area: Some(done.area),
            stats: Mutex::new(None),
        });
        let inner = Inner { tree, rules: Rules::default(), filtered: Mutex::new(None) };
        Ok((Context(Arc::new(inner)), done.commit))
    }

    /// The folder on the host that it stands for.
    pub fn folder(&self) -> &Path {
        &self.0.tree.folder
    }

    /// What it was made from, as it was given.
    pub fn name(&self) -> &str {
        &self.0.tree.name
    }

    /// The only file in it, of a stream that was no archive.
    pub fn file(&self) -> Option<&str> {
        self.0.tree.file.as_deref()
    }

    /// Whether it has ignore rules.
    pub fn has_rules(&self) -> bool {
        !self.0.rules.is_empty()
    }

    pub(super) fn root(&self) -> &Root {
        &self.0.tree.root
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// What is known of its files' content.
    pub(super) fn stats(&self, store: &Store) -> MutexGuard<'_, Option<StatCache>> {
        let mut stats = self.0.tree.stats.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.folder().to_string_lossy();
        stats.get_or_insert_with(|| StatCache::open(store, &folder));
        stats
    }

    /// Reads a regular file of at most 256 MiB, whatever the ignore rules say; none when nothing is there.
    ///
    /// # Errors
    /// `invalid_argument` for anything but a regular file, `integrity` for a longer one, `os`.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match self.root().read(path, READ_BYTES) {
            Ok(content) => Ok(Some(content)),
            Err(e) if e.kind() == Kind::NotFound || e.errno() == Some(libc::ENOTDIR) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether anything is there (links followed), whatever the ignore rules say.
    ///
    /// # Errors
    /// `os`.
    pub fn exists(&self, path: &str) -> Result<bool> {
        Ok(self.root().stat(path)?.is_some())
    }

    /// A folder that holds what the ignore rules leave: the context's own if it has none, else a copy, made once,
    /// that lives as long as this context.
    ///
    /// # Errors
    /// `invalid_argument` for special files; `integrity` for a file that changes meanwhile; `interrupted`, `os`.
    pub fn filtered(&self, engine: &Engine) -> Result<PathBuf> {
        if !self.has_rules() {
            return Ok(self.folder().to_path_buf());
        }
        let mut filtered = self.0.filtered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(area) = &*filtered {
            return Ok(area.join("fs"));
        }
        let search = Search { exclude: &Rules::default(), parents: false, cancel: engine.cancel() };
        let mut sources = from_context(self, "/", &search)?;
        read_all(engine, &mut sources, self.stats(engine.store()).as_mut())?;
        let mut tree = TreeWriter::new(engine.store(), &[], unix_now(engine))?;
        write_sources(engine, &mut tree, &sources)?;
        let area = tree.finish()?;
        let folder = area.join("fs");
        *filtered = Some(area);
        Ok(folder)
    }
}

fn ignore_file(engine: &Engine, tree: &Tree, file: &str) -> Result<String> {
    let content = match file.starts_with('/') {
        true => Root::open("/")?.read(file, IGNORE_BYTES),
        false => match tree.root.read(file, IGNORE_BYTES) {
            // A link that leads nowhere in the context: what is outside is not its business.
            Err(e) if e.kind() == Kind::NotFound && tree.root.lstat(file)?.is_some() => {
                engine.warn(format!(
                    "the ignore rules '{file}' are a link that leads out of the context: nothing is left out"
                ));
                return Ok(String::new());
            }
            other => other,
        },
    };
    let content = content.map_err(|e| e.context(format!("cannot read ignore rules from '{file}'")))?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

fn named(engine: &Engine, name: &str, base: &Path) -> Result<Tree> {
    let path = base.join(name);
    let meta = match fs::metadata(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::not_found(format!("context '{name}': no such file or folder")));
        }
        other => other.os(|| format!("context '{name}'"))?,
    };
    if meta.is_dir() {
        let folder = path.canonicalize().os(|| format!("context '{name}'"))?;
        // Messages show paths in the context.
        let root = Root::open(&folder)?;
        return Ok(Tree { root, folder, name: name.into(), file: None, _area: None, stats: Mutex::new(None) });
    }
    if !meta.is_file() {
        return Err(Error::invalid(format!("context '{name}' is neither a folder nor an archive")));
    }
    let file = fs::File::open(&path).os(|| format!("context '{name}'"))?;
    unpacked(engine, name, Box::new(file))
}

/// What a stream holds: an archive or, if it may be one, a file of text with this name.
fn streamed(engine: &Engine, mut stream: Box<dyn Read + Send>, file: Option<&str>) -> Result<Tree> {
    let Some(file) = file else { return unpacked(engine, "-", stream) };
    let what = || "read context '-'";
    let mut start = Vec::new();
    (&mut stream).take(TAR_BLOCK).read_to_end(&mut start).os(what)?;
    let is_text = is_text(&start);
    let stream = io::Cursor::new(start).chain(stream);
    if !is_text {
        return unpacked(engine, "-", Box::new(stream));
    }
    let area = engine.store().workspace()?;
    let folder = area.join("context");
    fs::create_dir(&folder).os(|| format!("create {}", folder.display()))?;
    let root = Root::open(&folder)?;
    let length = io::copy(&mut stream.take(TEXT_BYTES + 1), &mut root.create_file(file, 0o644)?).os(what)?;
    if length > TEXT_BYTES {
        return Err(Error::integrity(format!("context '-' is no archive, and as text longer than {TEXT_BYTES} bytes")));
    }
    Ok(Tree { root, folder, name: "-".into(), file: Some(file.into()), _area: Some(area), stats: Mutex::new(None) })
}

/// Whether the first block of a stream is no archive's: a tar's header is filled up with zeros, and what is compressed
/// says so.
fn is_text(start: &[u8]) -> bool {
    let compressed: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"];
    !start.contains(&0) && !compressed.iter().any(|magic| start.starts_with(magic))
}

/// Unpacks an archive into a work area.
fn unpacked(engine: &Engine, name: &str, stream: Box<dyn Read + Send>) -> Result<Tree> {
    let area = engine.store().workspace()?;
    let folder = area.join("context");
    fs::create_dir(&folder).os(|| format!("create {}", folder.display()))?;
    super::unpack::unpack_archive(engine, stream, &folder)
        .map_err(|e| e.context(format!("cannot open context '{name}'")))?;
    let root = Root::open(&folder)?;
    Ok(Tree { root, folder, name: name.into(), file: None, _area: Some(area), stats: Mutex::new(None) })
}

#[cfg(test)]
mod tests {
    use super::super::super::Config;
    use super::super::super::cancel::Cancel;
    use super::*;

    #[test]
    fn a_filtered_folder_holds_what_the_rules_leave() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("context");
        fs::create_dir_all(folder.join("sub")).unwrap();
        for name in ["kept", "sub/kept", "sub/out"] {
            fs::write(folder.join(name), name).unwrap();
        }
        let root = dir.path().join("root");
        let engine = Engine::open(Config::new(root, "/bin/false", Cancel::new().unwrap())).unwrap();
        let open = |source, ignore: &[&str]| {
            let ignore = ignore.iter().map(|rule| rule.to_string()).collect();
            Context::open(&engine, source, &ContextOptions { ignore, ..ContextOptions::default() }).unwrap()
        };
        let all = open(ContextSource::Name(folder.display().to_string()), &[]);
        assert_eq!(all.filtered(&engine).unwrap(), folder);
        let some = open(ContextSource::Same(all), &["**/out"]);
        let filtered = some.filtered(&engine).unwrap();
        assert_eq!(some.filtered(&engine).unwrap(), filtered);
        assert_eq!(fs::read(filtered.join("sub/kept")).unwrap(), b"sub/kept");
        assert!(filtered.join("kept").is_file() && !filtered.join("sub/out").exists());
        drop(some);
        assert!(!filtered.exists());
    }
}
