//! Making a step's mounts ready for its run.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};

use super::super::super::Engine;
use super::super::super::container::data::dress;
use super::super::super::container::options::{Mount, Source};
use super::super::super::container::run::Extra;
use super::super::super::container::wire::{Given, Rootfs};
use super::super::super::error::{Error, OsContext, Result, from_io};
use super::super::super::inroot::Root;
use super::super::super::rootfs::view::View;
use super::super::super::store::Workspace;
use super::super::super::sys;
use super::super::{State, StepOptions};
use super::agent::Agent;
use super::cache::{Cache, Wanted, name_of};
use super::stubs::stub_layer;
use super::{Files, Kind, Owned, Seen};

/// Mounts that can be used, and what they need as long as the step runs.
#[derive(Default)]
pub(in super::super) struct Ready {
    /// For the container's options.
    pub mounts: Vec<Mount>,
    /// Variables that come from mounts.
    pub env: Vec<(String, Option<String>)>,
    /// Goes to the container's monitor.
    pub extra: Extra,
    /// The layer with the mounts' places.
    pub stubs: Option<Workspace>,
    // Dropped last of all: they are served until then.
    agents: Vec<Agent>,
    // Targets, each with whether it is a folder.
    places: Vec<(PathBuf, bool)>,
}

/// What the mounts of one step are made ready with.
struct Maker<'a> {
    engine: &'a Engine,
    area: &'a Workspace,
    options: &'a StepOptions,
    caches: BTreeMap<String, Cache>,
    ready: Ready,
}

/// Makes mounts ready. `area` is the step's work area, `lowers` are its state's layers.
///
/// # Errors
/// `not_found` for a source, secret or agent that is missing; `interrupted` while it waits for a cache; `os`.
pub(in super::super) fn ready(
    engine: &Engine,
    area: &Workspace,
    lowers: &[PathBuf],
    options: &StepOptions,
    seen: &[Seen<'_>],
) -> Result<Ready> {
    let mut maker = Maker { engine, area, options, caches: BTreeMap::new(), ready: Ready::default() };
    maker.take_caches(seen)?;
    for mount in seen {
        maker.mount(mount)?;
    }
    let Maker { caches, mut ready, .. } = maker;
    // Behind the descriptors that mounts are made of: the monitor holds them until the step has ended.
    ready.extra.descriptors.extend(caches.into_values().map(|cache| cache.lock.into()));
    ready.stubs = stub_layer(engine.store(), lowers, &ready.places, super::super::files::unix_now(engine))?;
    Ok(ready)
}

impl Maker<'_> {
    /// In the order of their names, and each only once.
    fn take_caches(&mut self, seen: &[Seen<'_>]) -> Result<()> {
        let mut wanted: BTreeMap<String, Wanted<'_>> = BTreeMap::new();
        for mount in seen {
            if let Kind::Cache { sharing, owned, .. } = mount.kind {
                let id = mount.cache_id();
                let one = Wanted { id, sharing: *sharing, owned: *owned, seed: mount.files.as_ref() };
                let known = wanted.entry(name_of(id)).or_insert(one);
                known.sharing = known.sharing.max(*sharing);
            }
        }
        for (name, wanted) in wanted {
            self.caches.insert(name, wanted.take(self.engine)?);
        }
        Ok(())
    }

    fn mount(&mut self, mount: &Seen<'_>) -> Result<()> {
        let target = mount.target.as_deref();
        match (mount.kind, target) {
            (Kind::Bind { read_only, .. }, Some(target)) => match &mount.files {
                Some(Files::State { state, source }) => self.bind_state(target, state, source, *read_only),
                Some(Files::Host { fd, is_dir, .. }) => self.bind_host(target, fd, *is_dir, *read_only),
                None => Ok(()),
            },
            (Kind::Cache { from, source, read_only, .. }, Some(target)) => {
                let part = source.as_deref().filter(|_| from.is_none());
                self.cache(target, mount.cache_id(), part, *read_only)
            }
            (Kind::Memory { bytes }, Some(target)) => {
                let mut memory = Mount::new(Source::Memory, target);
                // As anywhere in a container programs may be run from it.
                memory.options.push("exec".into());
                memory.options.extend(bytes.map(|bytes| format!("size={bytes}")));
                self.add(memory, true);
                Ok(())
            }
            (Kind::Secret { id, env, required, owned }, target) => {
                self.secret(target, id, env.as_deref(), *required, *owned)
            }
            (Kind::Ssh { id, required, owned }, Some(target)) => self.ssh(target, id, *required, *owned),
            (Kind::File { content, mode }, Some(target)) => {
                self.file(target, content, Owned { mode: *mode, uid: 0, gid: 0 })
            }
            (_, None) => Ok(()),
        }
    }

    fn add(&mut self, mount: Mount, is_dir: bool) {
        self.ready.places.push((mount.target.clone(), is_dir));
        self.ready.mounts.push(mount);
    }

    fn give(&mut self, target: &Path, given: Given, fd: Option<OwnedFd>, is_dir: bool, read_only: bool) {
        let extra = &mut self.ready.extra;
        let mut mount = Mount::new(Source::Given(extra.given.len()), target);
        mount.read_only = read_only;
        extra.given.push(given);
        extra.descriptors.extend(fd);
        self.add(mount, is_dir);
    }

    /// A folder of the step's work area for one mount.
    fn folder(&self) -> Result<PathBuf> {
        let path = self.area.join(format!("mount-{}", self.ready.mounts.len()));
        fs::DirBuilder::new().mode(0o700).create(&path).os(|| format!("create {}", path.display()))?;
        Ok(path)
    }

    /// An overlay whose upper folder goes away with the step.
    fn overlay(&self, lowers: Vec<PathBuf>, meta: &Metadata) -> Result<Given> {
        let folder = self.folder()?;
        let (upper, work) = (folder.join("upper"), folder.join("work"));
        fs::create_dir(&upper).and_then(|()| fs::create_dir(&work)).os(|| "make the folders of an overlay")?;
        dress(&upper, meta)?;
        Ok(Given::Overlay(Rootfs { lowers, upper, work, mount_point: folder, volatile: true }))
    }

    fn bind_state(&mut self, target: &Path, state: &State, source: &Path, read_only: bool) -> Result<()> {
        let lowers = state.ready_lowers(self.engine)?;
        let missing =
            || Error::not_found(format!("cannot mount '{}': the state has no such file or folder", source.display()));
        let found = View::new(&lowers).find(source)?.ok_or_else(missing)?;
        if found.meta.is_dir() {
            let given = self.overlay(found.parts().to_vec(), &found.meta)?;
            self.give(target, given, None, true, read_only);
            return Ok(());
        }
        if !found.meta.is_file() {
            let message = format!("cannot mount '{}': it is neither file nor folder", source.display());
            return Err(Error::invalid(message));
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = openat(CWD, &found.path, flags, Mode::empty()).os(|| format!("open {}", found.path.display()))?;
        self.bind_file(target, &fd, read_only)
    }

    fn bind_host(&mut self, target: &Path, fd: &OwnedFd, is_dir: bool, read_only: bool) -> Result<()> {
        if !is_dir {
            return self.bind_file(target, fd, read_only);
        }
        let given = if read_only {
            Given::Descriptor
        } else {
            let path = sys::fd::path(fd);
            let meta = fs::metadata(&path).os(|| format!("stat {}", target.display()))?;
            self.overlay(Vec::new(), &meta)?
        };
        self.give(target, given, Some(copy(fd)?), true, read_only);
        Ok(())
    }

    /// A file; one that can be written is a copy, as there are no overlays of files.
    fn bind_file(&mut self, target: &Path, fd: &OwnedFd, read_only: bool) -> Result<()> {
        if read_only {
            self.give(target, Given::Descriptor, Some(copy(fd)?), false, true);
            return Ok(());
        }
        let (from, to) = (sys::fd::path(fd), self.folder()?.join("file"));
        let what = || format!("copy what is mounted on {}", target.display());
        let meta = fs::metadata(&from).os(what)?;
        fs::copy(&from, &to).os(what)?;
        dress(&to, &meta)?;
        let fd = openat(CWD, &to, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).os(what)?;
        self.give(target, Given::Descriptor, Some(fd), false, false);
        Ok(())
    }

    fn cache(&mut self, target: &Path, id: &str, part: Option<&str>, read_only: bool) -> Result<()> {
        let Some(cache) = self.caches.get(&name_of(id)) else { return Ok(()) };
        let root = Root::open(&cache.path)?;
        let fd = match part {
            None => copy(root.fd())?,
            Some(part) => {
                // Steps that share it write there now: the kernel finds the folder, and no swapped link leads out.
                root.mkdir_all(part, 0o755).map_err(|e| e.context(format!("cache '{id}'")))?
            }
        };
        let is_dir = FileType::from_raw_mode(fstat(&fd).os(|| "stat a cache")?.st_mode) == FileType::Directory;
        self.give(target, Given::Descriptor, Some(fd), is_dir, read_only);
        Ok(())
    }

    fn secret(
        &mut self,
        target: Option<&Path>,
        id: &str,
        env: Option<&str>,
        required: bool,
        owned: Owned,
    ) -> Result<()> {
        let Some((_, secret)) = self.options.secrets.iter().find(|(name, _)| name == id) else {
            let error = Error::not_found(format!("secret '{id}' is required and was not given"));
            let hint = format!("give it: secrets={{[\"{id}\"]={{file=\"path\"}}}}, or --secret id={id},src=path");
            return if required { Err(error.with_hint(hint)) } else { Ok(()) };
        };
        let value = secret.value(id)?;
        if let Some(name) = env {
            let bad = || Error::invalid(format!("secret '{id}' cannot be a variable: it is no text"));
            let text = String::from_utf8(value.clone()).map_err(|_| bad())?;
            if text.contains('\0') {
                return Err(bad());
            }
            self.ready.env.push((name.into(), Some(text)));
        }
        match target {
            Some(target) => self.file(target, &value, owned),
            None => Ok(()),
        }
    }

    fn file(&mut self, target: &Path, content: &[u8], owned: Owned) -> Result<()> {
        let memory = sys::fd::memory_file("mount", content).map_err(|e| from_io(e, "memory file"))?;
        let given = Given::File { mode: owned.mode, uid: owned.uid, gid: owned.gid };
        self.give(target, given, Some(memory), false, true);
        Ok(())
    }

    fn ssh(&mut self, target: &Path, id: &str, required: bool, owned: Owned) -> Result<()> {
        let Some((_, socket)) = self.options.ssh.iter().find(|(name, _)| name == id) else {
            let error = Error::not_found(format!("SSH agent '{id}' is required and was not given"));
            let hint =
                format!("give its socket: ssh={{[\"{id}\"]=\"/path/of/socket\"}}, or --ssh {id}=/path/of/socket");
            return if required { Err(error.with_hint(hint)) } else { Ok(()) };
        };
        let name = format!("ssh-{}", self.ready.agents.len());
        let (agent, fd) = Agent::start(self.area.path(), &name, socket, owned)?;
        if self.ready.agents.is_empty() {
            let path = target.to_string_lossy().into_owned();
            self.ready.env.push(("SSH_AUTH_SOCK".into(), Some(path)));
        }
        self.ready.agents.push(agent);
        self.give(target, Given::Descriptor, Some(fd), false, false);
        Ok(())
    }
}

fn copy(fd: impl AsFd) -> Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned().os(|| "duplicate a descriptor")
}
