//! Mounts of run steps: files of other states and of the host, caches, memory, secrets, an SSH agent, small files.
//!
//! A mount is looked at before the cache of steps is asked, for what of it belongs to the step's key, and made ready
//! when the step really runs. What is mounted is always a descriptor that was found inside its source, never a path
//! (CVE-2024-1753, CVE-2024-9407, CVE-2024-23651). Nothing of a mount gets into the layer: what a step writes to a bind
//! mount lands in an overlay that is thrown away, and the places of mounts that the state lacks come from a layer that
//! exists only while the step runs (CVE-2024-23652: nothing has to be removed afterwards).

mod agent;
mod cache;
mod content;
pub mod reading;
mod ready;
mod secret;
mod stubs;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use serde::Serialize;

use super::super::Engine;
use super::super::digest::Digest;
use super::super::error::{Error, Kind as ErrorKind, OsContext, Result};
use super::super::image::{Image, Policy};
use super::super::inroot::Root;
use super::super::sys;
use super::context::Context;
use super::settings::join_workdir;
use super::stat_cache::StatCache;
use super::{State, StepOptions};

pub(super) use ready::ready;
pub use secret::Secret;

use content::{Content, content_key, stamp};

/// Where the files of a mount come from.
#[derive(Debug, Clone)]
pub enum MountFrom {
    /// The host: relative sources start at this folder, links are followed as anywhere.
    Host(PathBuf),
    /// A folder of the host that its sources cannot leave.
    Folder(PathBuf),
    /// What a context has, without what its rules leave out; its sources cannot leave it.
    Context(Context),
    /// Another state.
    State(State),
    /// An image.
    Image(Box<Image>),
    /// An image by its name or id.
    Name(String),
}

/// Who gets a cache folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sharing {
    /// Several steps at the same time.
    Shared,
    /// One step; another one meanwhile gets another folder.
    Private,
    /// One step; another one meanwhile waits.
    Locked,
}

/// Mode and owner of something that is made for a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Owned {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What a mount shows.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Files of somewhere else. What is written to them is forgotten.
    Bind {
        /// Where.
        from: MountFrom,
        /// Which folder or file there.
        source: String,
        /// Refuse writing.
        read_only: bool,
    },
    /// A folder that outlives the step and is in no layer.
    Cache {
        /// Which; the target when not given.
        id: Option<String>,
        /// Who gets it.
        sharing: Sharing,
        /// What a new one begins with.
        from: Option<MountFrom>,
        /// Which folder of `from` that is; without `from`, the folder of the cache that is mounted.
        source: Option<String>,
        /// Refuse writing.
        read_only: bool,
        /// Looks of a new one.
        owned: Owned,
    },
    /// Memory.
    Memory {
        /// The most it holds; half of the machine's when not given.
        bytes: Option<u64>,
    },
    /// A secret, as a file or a variable.
    Secret {
        /// Which.
        id: String,
        /// The variable; a file is mounted only with a target then.
        env: Option<String>,
        /// Whether the step fails without it.
        required: bool,
        /// Looks of the file.
        owned: Owned,
    },
    /// An SSH agent's socket.
    Ssh {
        /// Which.
        id: String,
        /// Whether the step fails without it.
        required: bool,
        /// Looks of the socket.
        owned: Owned,
    },
    /// A read-only file with this content.
    File {
        /// The content.
        content: Vec<u8>,
        /// Permission bits.
        mode: u32,
    },
}

/// One mount of a step.
#[derive(Debug, Clone)]
pub struct StepMount {
    /// Where; a relative path continues the working folder. Secrets and agents have places of their own.
    pub target: Option<String>,
    /// What.
    pub kind: Kind,
}

/// What of a mount makes its step the one it is.
#[derive(Serialize)]
pub(super) enum MountKey<'a> {
    Bind { target: &'a Path, from: String, source: &'a str, read_only: bool },
    Cache { target: &'a Path, id: &'a str, source: Option<&'a str>, read_only: bool },
    Memory { target: &'a Path, bytes: Option<u64> },
    Secret { target: Option<&'a Path>, id: &'a str, env: Option<&'a str>, required: bool, owned: Owned },
    Ssh { target: &'a Path, id: &'a str, required: bool, owned: Owned },
    File { target: &'a Path, content: Digest, mode: u32 },
}

/// A mount that was looked at.
pub(super) struct Seen<'a> {
    kind: &'a Kind,
    // None for a secret that is only a variable.
    target: Option<PathBuf>,
    files: Option<Files>,
}

/// Files of a bind mount, or those a cache begins with.
enum Files {
    Host { fd: OwnedFd, shown: PathBuf, is_dir: bool, content: Option<Content> },
    State { state: State, source: PathBuf },
}

/// Looks at the mounts of a step.
///
/// # Errors
/// `not_found` for a source that is missing; `invalid_argument` for a target that cannot be one; `os`.
pub(super) fn look<'a>(engine: &Engine, state: &State, options: &'a StepOptions) -> Result<Vec<Seen<'a>>> {
    let current = &state.config().config.working_dir;
    let current = options.workdir.as_deref().map_or(Ok(current.clone()), |dir| join_workdir(current, dir))?;
    let mut agents = 0;
    let mut list = Vec::new();
    for mount in &options.mounts {
        let target = match (&mount.target, &mount.kind) {
            (Some(target), _) => Some(target.clone()),
            (None, Kind::Secret { env: Some(_), .. }) => None,
            (None, Kind::Secret { id, .. }) => {
                let name = Path::new(id).file_name();
                let name = name.ok_or_else(|| Error::invalid(format!("'{id}' is no id of a secret")))?;
                Some(format!("/run/secrets/{}", name.to_string_lossy()))
            }
            (None, Kind::Ssh { .. }) => {
                agents += 1;
                Some(format!("/run/buildkit/ssh_agent.{}", agents - 1))
            }
            (None, _) => return Err(Error::invalid("a mount needs a target")),
        };
        let target = target.map(|target| place(&current, &target)).transpose()?;
        if target.is_some() && list.iter().any(|other: &Seen<'_>| other.target == target) {
            return Err(Error::invalid(format!("two mounts for '{}'", target.unwrap_or_default().display())));
        }
        let files = match &mount.kind {
            Kind::Bind { from, source, .. } => Some(find(engine, from, source, true)?),
            Kind::Cache { from: Some(from), source, .. } => {
                Some(find(engine, from, source.as_deref().unwrap_or("/"), false)?)
            }
            _ => None,
        };
        list.push(Seen { kind: &mount.kind, target, files });
    }
    Ok(list)
}

/// The absolute path of a target.
fn place(current: &str, target: &str) -> Result<PathBuf> {
    match join_workdir(current, target)?.as_str() {
        "/" => Err(Error::invalid(format!("mount target '{target}': a mount cannot replace the container's '/'"))),
        path => Ok(PathBuf::from(path)),
    }
}

/// Finds the files of a mount; `with_content` looks at what is in them, too.
fn find(engine: &Engine, from: &MountFrom, source: &str, with_content: bool) -> Result<Files> {
    let of_state = |state: State| Files::State { state, source: Path::new("/").join(source) };
    let missing = |shown: &Path| {
        let message = match from {
            MountFrom::Context(_) => format!("cannot mount '{source}': it is not in the context"),
            _ => format!("cannot mount '{}': no such file or folder on the host", shown.display()),
        };
        move |error: Error| if error.kind() == ErrorKind::NotFound { Error::not_found(message) } else { error }
    };
    let confined = |root: &Root, folder: &Path| {
        let shown = folder.join(source.trim_start_matches('/'));
        let fd = root.open_with(source, OFlags::PATH).map_err(missing(&shown))?;
        Ok::<_, Error>((fd, shown))
    };
    let (fd, shown) = match from {
        MountFrom::State(state) => return Ok(of_state(state.clone())),
        MountFrom::Image(image) => return Ok(of_state(State::from_image(engine, image)?)),
        MountFrom::Name(name) => {
            let image =
                engine.image_resolve(name, Policy::Missing).map_err(|e| e.context(format!("mount from '{name}'")))?;
            return Ok(of_state(State::from_image(engine, &image)?));
        }
        MountFrom::Host(folder) => {
            let shown = folder.join(source);
            let fd = openat(CWD, &shown, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
            (fd.os(|| format!("open {}", shown.display())).map_err(missing(&shown))?, shown)
        }
        MountFrom::Folder(folder) => confined(&Root::open(folder)?, folder)?,
        MountFrom::Context(context) if context.has_rules() => {
            confined(&Root::open(context.filtered(engine)?)?, context.folder())?
        }
        MountFrom::Context(context) => confined(context.root(), context.folder())?,
    };
    let kind = FileType::from_raw_mode(fstat(&fd).os(|| format!("stat {}", shown.display()))?.st_mode);
    let is_dir = match kind {
        FileType::Directory => true,
        FileType::RegularFile => false,
        _ => return Err(Error::invalid(format!("cannot mount '{}': it is neither file nor folder", shown.display()))),
    };
    let path = sys::fd::path(&fd);
    let content = if with_content { Some(key_of_files(engine, from, &path, &shown)?) } else { None };
    Ok(Files::Host { fd, shown, is_dir, content })
}

/// The key of files of the host; what was read before and looks the same is not read again.
fn key_of_files(engine: &Engine, from: &MountFrom, path: &Path, shown: &Path) -> Result<Content> {
    let store = engine.store();
    if let MountFrom::Context(context) = from
        && !context.has_rules()
    {
        let mut known = context.stats(store);
        let content = content_key(path, known.as_mut(), engine.cancel())?;
        known.iter_mut().for_each(|known| known.save(store));
        return Ok(content);
    }
    let mut known = StatCache::open(store, &shown.to_string_lossy());
    let content = content_key(path, Some(&mut known), engine.cancel())?;
    known.save(store);
    Ok(content)
}

impl Seen<'_> {
    /// What of it counts for the key. What a cache holds, and what a secret says, does not.
    pub(super) fn key(&self) -> MountKey<'_> {
        let target = self.target.as_deref().unwrap_or(Path::new(""));
        match self.kind {
            Kind::Bind { source, read_only, .. } => {
                let (from, source) = match &self.files {
                    Some(Files::State { state, .. }) => (state.key().to_string(), source.as_str()),
                    // The place does not count, what is there does.
                    Some(Files::Host { content: Some(content), .. }) => (content.digest.to_string(), ""),
                    _ => (String::new(), source.as_str()),
                };
                MountKey::Bind { target, from, source, read_only: *read_only }
            }
            Kind::Cache { source, from, read_only, .. } => {
                let source = source.as_deref().filter(|_| from.is_none());
                MountKey::Cache { target, id: self.cache_id(), source, read_only: *read_only }
            }
            Kind::Memory { bytes } => MountKey::Memory { target, bytes: *bytes },
            Kind::Secret { id, env, required, owned } => MountKey::Secret {
                target: self.target.as_deref(),
                id,
                env: env.as_deref(),
                required: *required,
                owned: *owned,
            },
            Kind::Ssh { id, required, owned } => MountKey::Ssh { target, id, required: *required, owned: *owned },
            Kind::File { content, mode } => MountKey::File { target, content: Digest::of(content), mode: *mode },
        }
    }

    /// Ids of the layers it shows.
    pub(super) fn layers(&self) -> Vec<String> {
        match (self.kind, &self.files) {
            (Kind::Bind { .. }, Some(Files::State { state, .. })) => state.layer_ids(),
            _ => Vec::new(),
        }
    }

    /// The name of a cache: its id, else its target.
    fn cache_id(&self) -> &str {
        match self.kind {
            Kind::Cache { id: Some(id), .. } => id,
            _ => self.target.as_deref().and_then(Path::to_str).unwrap_or_default(),
        }
    }

    /// Fails when the files of the host that a step has seen are not those of its key any more.
    ///
    /// # Errors
    /// `integrity`, `interrupted`, `os`.
    pub(super) fn check(&self, engine: &Engine) -> Result<()> {
        let Some(Files::Host { fd, shown, content: Some(content), .. }) = &self.files else { return Ok(()) };
        if stamp(&sys::fd::path(fd), engine.cancel())? == content.stamp {
            return Ok(());
        }
        let error = Error::integrity(format!("'{}' changed while a step that mounts it ran", shown.display()));
        Err(error.with_hint("run the build again; to mount what changes all the time, copy it somewhere first"))
    }
}
