//! The files of a container, running or not: copying in and out, what it changed, its tree as a tar, an image of it.
//!
//! A running container's files are reached through its first process' root, mounts included. One that does not run is
//! mounted for the moment, in a descriptor only; below its binds and data folders the host's files are meant.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::super::Engine;
use super::super::error::{Error, Kind, OsContext, Result};
use super::super::image::Image;
use super::super::image::config::RunConfig;
use super::super::reference::Reference;
use super::super::store::running::RunLock;
use super::commit::{CommitOptions, commit};
use super::files::changes::{self, Change};
use super::files::{self, CopyOptions};
use super::inside::root_of;
use super::options::{Mount, Source};
use super::overlay;
use super::record::{Record, Status};

/// An open root folder, and where in it the path that was asked for is.
struct Place {
    root: OwnedFd,
    path: String,
    // The host's id of the root of a running container with users of its own.
    first_id: Option<u32>,
    // Keeps a container that does not run from being started meanwhile.
    _lock: Option<RunLock>,
}

impl Place {
    /// Calls `write` as somebody whom the files there know.
    fn as_its_root(&self, options: &CopyOptions, write: impl FnOnce(&CopyOptions) -> Result<()>) -> Result<()> {
        let Some(first) = self.first_id else { return write(options) };
        if options.archive {
            let message = "owners cannot be kept in a running container with users of its own";
            return Err(Error::new(Kind::Unsupported, message).with_hint("stop it first"));
        }
        let options = CopyOptions { owner: Some((first, first)), ..*options };
        overlay::with_files_of((first, first), || write(&options))
    }
}

impl Engine {
    /// Copies a file or tree of the host into a container.
    ///
    /// # Errors
    /// `not_found` for the container, the source or the folder of the target; `invalid_argument` for a folder onto a
    /// file and the like; `permission` for a read-only place; `interrupted`, `os`.
    pub fn container_copy_in(&self, name: &str, source: &Path, target: &str, options: &CopyOptions) -> Result<()> {
        let place = self.place(name, target, true)?;
        let copy =
            |options: &CopyOptions| files::copy_in(place.root.as_fd(), source, &place.path, options, self.cancel());
        place.as_its_root(options, copy)
    }

    /// Unpacks a tar stream into a folder of a container.
    ///
    /// # Errors
    /// As [`Engine::container_copy_in`]; `invalid_argument` or `integrity` for a stream that is no tar or leads out.
    pub fn container_tar_in(
        &self,
        name: &str,
        reader: &mut (dyn Read + Send),
        target: &str,
        options: &CopyOptions,
    ) -> Result<()> {
        let place = self.place(name, target, true)?;
        let unpack =
            |options: &CopyOptions| files::tar_in(place.root.as_fd(), reader, &place.path, options, self.cancel());
        place.as_its_root(options, unpack)
    }

    /// Copies a file or tree out of a container.
    ///
    /// # Errors
    /// As [`Engine::container_copy_in`].
    pub fn container_copy_out(&self, name: &str, source: &str, target: &Path, options: &CopyOptions) -> Result<()> {
        let place = self.place(name, source, false)?;
        files::copy_out(place.root.as_fd(), &place.path, target, options, self.cancel())
    }

    /// Writes a file or tree of a container as a tar stream.
    ///
    /// # Errors
    /// As [`Engine::container_copy_in`].
    pub fn container_tar_out(
        &self,
        name: &str,
        source: &str,
        writer: &mut dyn Write,
        options: &CopyOptions,
    ) -> Result<()> {
        let place = self.place(name, source, false)?;
        files::tar_out(place.root.as_fd(), &place.path, writer, options, self.cancel())
    }

    /// Writes a container's whole root file system, without what is mounted in it, as a tar.
    ///
    /// # Errors
    /// `not_found`, `interrupted`, `os`.
    pub fn container_export(&self, name: &str, writer: &mut dyn Write) -> Result<()> {
        let record = self.container(name)?;
        let place = self.root_place(&record, "/".into())?;
        files::export(place.root.as_fd(), writer, self.cancel())?;
        self.event("export", &record, &[]);
        Ok(())
    }

    /// What a container added, changed and deleted against its image, by path.
    ///
    /// # Errors
    /// `not_found`, `os`.
    pub fn container_diff(&self, name: &str) -> Result<Vec<Change>> {
        let record = self.container(name)?;
        let lowers: Vec<PathBuf> = record.rootfs.lowers.iter().rev().cloned().collect();
        changes::changes(&lowers, &record.rootfs.upper, &mount_targets(&record))
    }

    /// Makes an image of a container as it is. A running one is frozen meanwhile if `pause` says so.
    ///
    /// # Errors
    /// `not_found` for the container or its image's content; `invalid_argument` for a malformed change; `interrupted`.
    pub fn container_commit(
        &self,
        name: &str,
        reference: Option<&Reference>,
        message: Option<String>,
        author: Option<String>,
        changes: Vec<String>,
        pause: bool,
    ) -> Result<Image> {
        let record = self.container(name)?;
        let id = record.image_id.as_ref().ok_or_else(|| {
            Error::new(Kind::Unsupported, format!("container '{}' was made from a build's state", record.name))
                .with_hint("commit the state")
        })?;
        let base = self.image_of(&record, &id.to_string())?;
        let options = CommitOptions {
            message,
            author,
            changes,
            config: Some(self.config_of(&record, &base.config.config)),
            command: Some(record.argv.join(" ")),
            mounts: mount_targets(&record),
        };
        let frozen = pause && self.container_state(&record.id)?.status == Status::Running;
        if frozen {
            self.container_pause(&record.id)?;
        }
        let made = commit(self, &base, &record.rootfs.upper, reference, &options);
        if frozen {
            // Also after an error; the first cause is what the caller needs.
            let thawed = self.container_unpause(&record.id);
            if made.is_ok() {
                thawed?;
            }
        }
        let image = made?;
        self.event("commit", &record, &[("imageID", &image.id.to_string())]);
        Ok(image)
    }

    /// A container's image, named or not.
    fn image_of(&self, record: &Record, id: &str) -> Result<Image> {
        if let Some(image) = self.image_get(id)? {
            return Ok(image);
        }
        let manifest = record.manifest.as_ref();
        let found = manifest.map(|manifest| self.image_described(manifest)).transpose()?;
        found.ok_or_else(|| Error::not_found(format!("the image of container '{}' is gone", record.name)))
    }

    /// How the container was started, for the new image: what was asked over the image's own.
    fn config_of(&self, record: &Record, image: &RunConfig) -> RunConfig {
        let options = &record.options;
        let mut config = image.clone();
        for (name, value) in &options.env {
            config.env.retain(|variable| variable.split('=').next() != Some(name.as_str()));
            config.env.extend(value.as_ref().map(|value| format!("{name}={value}")));
        }
        if let Some(user) = &options.user {
            config.user = user.clone();
        }
        if let Some(dir) = &options.workdir {
            config.working_dir = dir.clone();
        }
        config.labels.extend(options.labels.iter().cloned());
        let entrypoint = options.entrypoint.clone().or(image.entrypoint.clone()).unwrap_or_default();
        if options.entrypoint.is_some() {
            config.entrypoint = Some(entrypoint.clone()).filter(|argv| !argv.is_empty());
        }
        config.cmd = record.argv.get(entrypoint.len()..).map(<[String]>::to_vec).filter(|argv| !argv.is_empty());
        config
    }

    /// The root in which `path` is found.
    fn place(&self, name: &str, path: &str, writing: bool) -> Result<Place> {
        let record = self.container(name)?;
        if self.container_state(&record.id)?.status.is_live() {
            return self.root_place(&record, path.to_string());
        }
        let wanted = Path::new("/").join(path);
        let below = record.options.mounts.iter().filter(|mount| wanted.starts_with(&mount.target));
        let Some(mount) = below.max_by_key(|mount| mount.target.components().count()) else {
            if writing && record.options.read_only {
                return Err(Error::new(
                    Kind::Permission,
                    format!("the root of container '{}' is read-only", record.name),
                ));
            }
            return self.root_place(&record, path.to_string());
        };
        self.mounted_place(&record, mount, path, writing)
    }

    /// Below a mount of a container that does not run: the files of the host that it would show.
    fn mounted_place(&self, record: &Record, mount: &Mount, path: &str, writing: bool) -> Result<Place> {
        let target = mount.target.display();
        if writing && mount.read_only {
            return Err(Error::new(Kind::Permission, format!("{target} of container '{}' is read-only", record.name)));
        }
        let source = match &mount.source {
            Source::Host(path) => path.clone(),
            Source::Anonymous => {
                let data = record.data.iter().find(|data| data.target == mount.target);
                let missing = || Error::new(Kind::Internal, format!("no data folder for {target}"));
                self.store().join("volumes").join(&data.ok_or_else(missing)?.name).join("_data")
            }
            Source::Memory | Source::Given(_) => {
                let message = format!("{target} of container '{}' is memory, and it is not running", record.name);
                return Err(Error::invalid(message));
            }
        };
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        let root = rustix::fs::open(&source, flags, rustix::fs::Mode::empty())
            .os(|| format!("mount source {}", source.display()))?;
        // As it was written, for its trailing slash or dot.
        let depth = mount.target.components().count() - 1;
        let rest: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).skip(depth).collect();
        let slash = if path.ends_with('/') && !rest.is_empty() { "/" } else { "" };
        Ok(Place { root, path: format!("/{}{slash}", rest.join("/")), first_id: None, _lock: None })
    }

    fn root_place(&self, record: &Record, path: String) -> Result<Place> {
        let state = self.container_state(&record.id)?;
        if state.status.is_live() {
            return Ok(Place { root: root_of(state.pid)?, path, first_id: record.options.userns, _lock: None });
        }
        let lock = self.store().run_lock(&record.id, self.cancel())?;
        Ok(Place { root: overlay::mount(&record.rootfs)?, path, first_id: None, _lock: Some(lock) })
    }
}

/// Where things are mounted in a container, the engine's own files included.
fn mount_targets(record: &Record) -> Vec<PathBuf> {
    let own = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/proc", "/sys", "/dev"].map(PathBuf::from);
    own.into_iter().chain(record.options.mounts.iter().map(|mount| mount.target.clone())).collect()
}
