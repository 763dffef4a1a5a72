//! Looking into a state, and steps that write or remove single files.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::Engine;
use super::super::digest::Digest;
use super::super::error::{Error, Result};
use super::super::rootfs::view::{Found, View, kind_name};
use super::cache::{Manner, Operation};
use super::settings::{Setting, join_workdir};
use super::tree::{Looks, TreeWriter, looks_of};
use super::{State, key_of};

/// The largest file [`State::read`] returns, in bytes.
const READ_BYTES: u64 = 256 << 20;

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileEntry {
    /// Its name.
    pub name: String,
    /// `file`, `dir`, `link`, `device`, `fifo` or `socket`.
    pub kind: &'static str,
    /// Bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, seconds since 1970.
    pub mtime: i64,
}

/// How to write a file or make a folder.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// Permission bits; 0644 of files and 0755 of folders by default.
    pub mode: Option<u32>,
    /// `USER[:GROUP]` of the image; root by default.
    pub owner: Option<String>,
    /// How it is shown and kept.
    pub manner: Manner,
}

#[derive(Serialize)]
struct WriteInputs<'a> {
    path: &'a Path,
    content: Option<Digest>,
    mode: u32,
    owner: (u32, u32),
}

impl State {
    /// A path as the state's working folder makes it absolute.
    pub(super) fn absolute(&self, path: &str) -> Result<PathBuf> {
        if path.is_empty() || path.contains('\0') {
            return Err(Error::invalid(format!("'{}' is no path", path.escape_default())));
        }
        join_workdir(&self.0.config.config.working_dir, path).map(PathBuf::from)
    }

    /// Reads a regular file of at most 256 MiB.
    ///
    /// # Errors
    /// `not_found`, `invalid_argument` for anything but a regular file, `os`.
    pub fn read(&self, engine: &Engine, path: &str) -> Result<Vec<u8>> {
        let lowers = self.ready_lowers(engine)?;
        View::new(&lowers).read(&self.absolute(path)?, READ_BYTES)
    }

    /// Whether anything is there (links followed).
    ///
    /// # Errors
    /// `os`.
    pub fn exists(&self, engine: &Engine, path: &str) -> Result<bool> {
        let lowers = self.ready_lowers(engine)?;
        Ok(View::new(&lowers).find(&self.absolute(path)?)?.is_some())
    }

    /// The entries of a folder, by name.
    ///
    /// # Errors
    /// `not_found`, `invalid_argument` for something that is not a folder, `os`.
    pub fn list(&self, engine: &Engine, path: &str) -> Result<Vec<FileEntry>> {
        let lowers = self.ready_lowers(engine)?;
        let list = View::new(&lowers).list(&self.absolute(path)?)?;
        Ok(list.into_iter().map(|(name, found)| file_entry(name, &found)).collect())
    }

    /// The state with a file written; its parents are made.
    ///
    /// # Errors
    /// `invalid_argument` when the path is a folder or leads through a file; `not_found` for an unknown owner.
    pub fn write(&self, engine: &Engine, path: &str, content: &[u8], options: &WriteOptions) -> Result<State> {
        if path.ends_with('/') {
            return Err(Error::invalid(format!("cannot write to '{path}': it names a folder")));
        }
        let target = self.absolute(path)?;
        let owner = self.owner_for(engine, options)?;
        let mode = options.mode.unwrap_or(0o644);
        let inputs = WriteInputs { path: &target, content: Some(Digest::of(content)), mode, owner };
        let operation = Operation::new("write", &inputs, format!("WRITE {}", target.display()), &options.manner)?;
        self.take(engine, operation, |_| {
            let now = unix_now(engine);
            let mut tree = TreeWriter::new(engine.store(), &self.ready_lowers(engine)?, now)?;
            let (real, _) = tree.resolve(&target)?;
            tree.file(&real, content, Looks { mode, uid: owner.0, gid: owner.1, mtime: now })?;
            Ok(Some(tree.finish()?))
        })
    }

    /// The state with a folder, its parents made; one that exists keeps its looks, and nothing is done.
    ///
    /// # Errors
    /// `invalid_argument` when something on the way is not a folder; `not_found` for an unknown owner.
    pub fn make_dir(&self, engine: &Engine, path: &str, options: &WriteOptions) -> Result<State> {
        let target = self.absolute(path)?;
        let owner = self.owner_for(engine, options)?;
        let mode = options.mode.unwrap_or(0o755);
        let inputs = WriteInputs { path: &target, content: None, mode, owner };
        let operation = Operation::new("mkdir", &inputs, format!("MKDIR {}", target.display()), &options.manner)?;
        self.take(engine, operation, |_| {
            let now = unix_now(engine);
            let lowers = self.ready_lowers(engine)?;
            if View::new(&lowers).find(&target)?.is_some_and(|found| found.meta.is_dir()) {
                return Ok(None);
            }
            let mut tree = TreeWriter::new(engine.store(), &lowers, now)?;
            tree.folder(&target, Some(Looks { mode, uid: owner.0, gid: owner.1, mtime: now }))?;
            Ok(Some(tree.finish()?))
        })
    }

    /// The state with its working folder changed and, where it is missing, made for the state's user (mode 0755).
    ///
    /// # Errors
    /// As [`State::make_dir`].
    pub fn enter(&self, engine: &Engine, setting: &Setting, manner: &Manner) -> Result<State> {
        let there = self.set(setting, manner)?;
        let (config, words) = (there.0.config.config.clone(), there.step().words.clone());
        let user = match config.user.as_str() {
            "" => None,
            user => {
                let (uid, gid) = self.owner(&self.ready_lowers(engine)?, Some(user))?;
                Some(format!("{uid}:{gid}"))
            }
        };
        let history = Some(manner.history.clone().unwrap_or(words));
        let options = WriteOptions { mode: None, owner: user, manner: Manner { history, ..manner.clone() } };
        let made = self.make_dir(engine, &config.working_dir, &options)?;
        let key = key_of(&[&made.key().to_string(), "enter", &there.key().to_string()]);
        Ok(made.with_config(key, config))
    }

    fn owner_for(&self, engine: &Engine, options: &WriteOptions) -> Result<(u32, u32)> {
        match &options.owner {
            Some(owner) => self.chown(&self.ready_lowers(engine)?, Some(owner)),
            None => Ok((0, 0)),
        }
    }

    /// The state without a file or folder; a link is removed itself.
    ///
    /// # Errors
    /// `not_found`; `invalid_argument` for `/`.
    pub fn remove(&self, engine: &Engine, path: &str, manner: &Manner) -> Result<State> {
        let target = self.absolute(path)?;
        let lowers = self.ready_lowers(engine)?;
        let (real, found) = View::new(&lowers).resolve_link(&target)?;
        if found.is_none() {
            return Err(Error::not_found(format!("'{}' does not exist", target.display())));
        }
        if real == Path::new("/") {
            return Err(Error::invalid("cannot remove /"));
        }
        let operation = Operation::new("remove", &real, format!("REMOVE {}", target.display()), manner)?;
        self.take(engine, operation, |_| {
            let mut tree = TreeWriter::new(engine.store(), &lowers, unix_now(engine))?;
            tree.remove(&real)?;
            Ok(Some(tree.finish()?))
        })
    }

    /// Looks up `USER[:GROUP]` for files, in the state's own files. A number alone is the group's too, as Dockerfile's
    /// COPY has it, and ids are all the kernel has: 0 to 4294967294.
    ///
    /// # Errors
    /// `not_found` for a name the state does not have, `invalid_argument` for a number out of range.
    pub(super) fn chown(&self, lowers: &[PathBuf], owner: Option<&str>) -> Result<(u32, u32)> {
        let Some(owner) = owner else { return Ok((0, 0)) };
        let (user, group) = match owner.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (owner, None),
        };
        let gid = match group {
            Some(group) => match file_id(group)? {
                Some(gid) => Some(gid),
                None if group.is_empty() => {
                    return Err(Error::invalid(format!("invalid owner '{owner}': expected USER[:GROUP]")));
                }
                None => Some(super::super::container::user::group_in(&View::new(lowers), group)?),
            },
            None => None,
        };
        match file_id(user)? {
            Some(uid) => Ok((uid, gid.unwrap_or(uid))),
            None if user.is_empty() => Err(Error::invalid(format!("invalid owner '{owner}': expected USER[:GROUP]"))),
            None => {
                let (uid, own) = self.owner(lowers, Some(user))?;
                Ok((uid, gid.unwrap_or(own)))
            }
        }
    }

    /// Looks up `USER[:GROUP]` in the state's own files.
    pub(super) fn owner(&self, lowers: &[PathBuf], owner: Option<&str>) -> Result<(u32, u32)> {
        let Some(owner) = owner else { return Ok((0, 0)) };
        let identity = super::super::container::user::look_up_in(&View::new(lowers), owner)?;
        Ok((identity.uid, identity.gid))
    }
}

/// A number as typed: none when it is a name.
fn file_id(text: &str) -> Result<Option<u32>> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    // The last one is the kernel's 'leave it as it is'.
    match text.parse::<u32>() {
        Ok(id) if id < u32::MAX && !text.starts_with('+') => Ok(Some(id)),
        _ => Err(Error::invalid(format!("user or group id {text} is out of range: 0 to {}", u32::MAX - 1))),
    }
}

/// What is shown of something in a state.
pub(super) fn file_entry(name: std::ffi::OsString, found: &Found) -> FileEntry {
    let looks = looks_of(&found.meta);
    FileEntry {
        name: name.to_string_lossy().into_owned(),
        kind: kind_name(&found.meta),
        size: if found.meta.is_dir() { 0 } else { found.meta.len() },
        mode: looks.mode,
        uid: looks.uid,
        gid: looks.gid,
        mtime: looks.mtime,
    }
}

/// The time new files get: now, or the fixed one builds were asked to use.
pub(super) fn unix_now(engine: &Engine) -> i64 {
    let now =
        || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |age| age.as_secs() as i64);
    engine.config().source_date_epoch.unwrap_or_else(now)
}
