//! Making a container: everything it will be is written down before it appears under its id.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;

use super::super::Engine;
use super::super::build::State as BuildState;
use super::super::digest::Digest;
use super::super::error::{Error, Kind, OsContext, Result};
use super::super::image::config::RunConfig;
use super::super::image::{Image, Platform, Policy, PullOptions};
use super::super::store::{Workspace, random_id, remove_tree};
use super::bundle::{Base, nodes};
use super::claim::{Claim, Claimed};
use super::options::{Command, Mount, Network, Options, Share, Source};
use super::record::{self, DataFolder, Record, Time};
use super::{cgroups, names, signal, spec};

/// Seconds from the stop signal to the end, unless somebody says otherwise.
const STOP_SECONDS: u64 = 10;

/// What a container is made from.
#[derive(Debug, Clone)]
pub enum Target {
    /// A name or id; a name that is not here is pulled.
    Name(String),
    /// An image of the store.
    Image(Box<Image>),
    /// A state of a build.
    State(BuildState),
}

/// A target that was looked up.
pub(super) struct Found {
    lowers: Vec<PathBuf>,
    config: RunConfig,
    name: String,
    image_id: Option<Digest>,
    manifest: Option<oci_spec::image::Descriptor>,
}

/// A container that was made, and is still its maker's.
pub(super) struct Made {
    pub record: Record,
    pub claim: Claim,
    /// Its specification, without the source of the system call filter.
    pub spec: Spec,
}

impl Engine {
    /// Finds an image by name or id, and pulls it where the policy says so.
    ///
    /// # Errors
    /// `not_found`; those of a pull.
    pub fn image_resolve(&self, name: &str, policy: Policy) -> Result<Image> {
        self.image_resolve_for(name, policy, None)
    }

    /// The same for a certain machine: an image for another one counts as missing.
    fn image_resolve_for(&self, name: &str, policy: Policy, platform: Option<&Platform>) -> Result<Image> {
        if policy != Policy::Always
            && let Some(image) = self.image_get(name)?
            && platform.is_none_or(|platform| *platform == image.platform())
        {
            return Ok(image);
        }
        let reference = name.parse()?;
        let options = PullOptions { policy, platform: platform.cloned(), ..PullOptions::default() };
        self.image_pull(&reference, &options).map_err(|e| match (e.kind(), e.hint()) {
            // Who does not know that it has to be pulled, wonders about the registry.
            (Kind::Network | Kind::Timeout, None) if policy != Policy::Always => {
                e.with_hint(format!("there is no image '{name}' here"))
            }
            _ => e,
        })
    }

    /// Makes a container that is not started.
    ///
    /// # Errors
    /// `already_exists` for a taken name, `not_found` for an image, user or mount source, `invalid_argument`; nothing
    /// remains then.
    pub fn container_create(
        &self,
        target: &Target,
        command: Option<&Command>,
        options: &Options,
        pull: Policy,
    ) -> Result<Record> {
        let made = self.make_container(target, command, options, pull)?;
        Ok(made.record)
    }

    pub(super) fn make_container(
        &self,
        target: &Target,
        command: Option<&Command>,
        options: &Options,
        pull: Policy,
    ) -> Result<Made> {
        self.cancel().check()?;
        let mut options = options.clone();
        options.check()?;
        if let (Target::State(state), false) = (target, options.auto_remove)
            && state.is_held()
        {
            let error = Error::invalid("what a failed step left goes away with its state: no container can stay on it");
            return Err(error.with_hint("run it in the foreground, to be removed at its end"));
        }
        let _in_use = self.store().shared(self.cancel())?;
        let platform = options.platform.as_deref().map(str::parse).transpose()?;
        let found = self.find_target(target, pull, platform.as_ref())?;
        self.add_mounts(&mut options, &found.config)?;
        self.resolve_shares(&mut options)?;
        check_sources(&options.mounts)?;
        let id = random_id()?;
        let Claimed::Mine(claim) = self.claim(&id)? else {
            return Err(Error::new(Kind::Internal, format!("a fresh container id is taken: {id}")));
        };
        let area = self.store().workspace_for(&id)?;
        let folder = record::folder(self.store().root(), &id);
        let (mut record, spec) = self.write_container(&id, area.path(), &folder, &found, command, &options)?;
        if let Err(error) = self.appear(&mut record, area, &found, &options) {
            for data in &record.data {
                let _ = remove_tree(&self.store().join("volumes").join(&data.name));
            }
            return Err(error);
        }
        self.event("create", &record, &[]);
        Ok(Made { record, claim, spec })
    }

    /// Gives a container that is written its name and its place.
    fn appear(&self, record: &mut Record, area: Workspace, found: &Found, options: &Options) -> Result<()> {
        record.name = names::reserve(self.store(), options.name.as_deref(), &record.id, self.cancel())?;
        let place = || {
            record::write_unseen(&area.join("container.json"), record)?;
            self.seed(record, &found.lowers)?;
            if !record.auto_remove {
                make_durable(area.path())?;
            }
            options.cidfile.as_deref().map_or(Ok(()), |path| write_id(path, &record.id))
        };
        let placed = place().and_then(|()| {
            let published = area.publish(&record::folder(self.store().root(), &record.id));
            published.inspect_err(|_| options.cidfile.iter().for_each(|path| drop(fs::remove_file(path))))
        });
        // The first cause is what the caller needs; a name without a container is free anyway.
        placed.inspect_err(|_| drop(names::release(self.store(), &record.name, &record.id)))
    }

    fn find_target(&self, target: &Target, policy: Policy, platform: Option<&Platform>) -> Result<Found> {
        let (image, name) = match target {
            Target::State(state) => {
                return Ok(Found {
                    lowers: state.ready_lowers(self)?,
                    config: state.config().config.clone(),
                    name: "<state>".into(),
                    image_id: None,
                    manifest: None,
                });
            }
            Target::Image(image) => (image.as_ref().clone(), None),
            Target::Name(name) => (self.image_resolve_for(name, policy, platform)?, Some(name.clone())),
        };
        let shown = image.names.first().map(|name| name.familiar());
        Ok(Found {
            lowers: self.image_lowers(&image)?,
            name: name.or(shown).unwrap_or_else(|| image.id.short().to_string()),
            image_id: Some(image.id),
            manifest: Some(image.manifest.clone()),
            config: image.config.config,
        })
    }

    /// The mounts of other containers, and the image's data folders.
    fn add_mounts(&self, options: &mut Options, config: &RunConfig) -> Result<()> {
        for text in std::mem::take(&mut options.volumes_from) {
            let (name, read_only) = match text.rsplit_once(':') {
                Some((name, "ro")) => (name, true),
                Some((name, "rw" | "z" | "Z")) => (name, false),
                Some((_, mode)) => return Err(Error::invalid(format!("volumes_from '{text}': unknown mode '{mode}'"))),
                None => (text.as_str(), false),
            };
            let other = self.container(name)?;
            for mut mount in self.shared_mounts(&other) {
                if options.mounts.iter().all(|own| own.target != mount.target) {
                    mount.read_only |= read_only;
                    options.mounts.push(mount);
                }
            }
        }
        for target in config.volumes.keys() {
            let target = PathBuf::from(target);
            if options.mounts.iter().all(|own| own.target != target) {
                options.mounts.push(Mount::anonymous(target)?);
            }
        }
        Ok(())
    }

    /// What `volumes_from` takes over: data folders by their place on the host, and binds.
    fn shared_mounts(&self, other: &Record) -> Vec<Mount> {
        let place = |mount: &Mount| match &mount.source {
            Source::Anonymous => {
                let data = other.data.iter().find(|data| data.target == mount.target)?;
                let source = Source::Host(self.store().join("volumes").join(&data.name).join("_data"));
                Some(Mount { source, ..mount.clone() })
            }
            Source::Host(_) => Some(mount.clone()),
            Source::Memory | Source::Given(_) => None,
        };
        other.options.mounts.iter().filter_map(place).collect()
    }

    /// Names of containers whose namespaces are shared become ids.
    fn resolve_shares(&self, options: &mut Options) -> Result<()> {
        let id = |name: &str| self.container(name).map(|record| record.id);
        for share in [&mut options.pid, &mut options.ipc, &mut options.uts, &mut options.cgroupns] {
            if let Share::Container(name) = share {
                *name = id(name)?;
            }
        }
        if let Network::Container(name) = &mut options.network {
            *name = id(name)?;
        }
        Ok(())
    }

    fn write_container(
        &self,
        id: &str,
        dir: &Path,
        last: &Path,
        found: &Found,
        command: Option<&Command>,
        options: &Options,
    ) -> Result<(Record, Spec)> {
        let base = Base { lowers: &found.lowers, config: &found.config };
        let identity = self.identity(base, options)?;
        let rootfs = self.prepare_rootfs(dir, last, base, options.auto_remove)?;
        let files = self.write_files(dir, last, id, options)?;
        let data = data_folders(&options.mounts)?;
        let places: Vec<(PathBuf, PathBuf)> = data
            .iter()
            .map(|data| (data.target.clone(), self.store().join("volumes").join(&data.name).join("_data")))
            .collect();
        let facts = spec::Facts {
            id,
            identity: &identity,
            root: &rootfs.mount_point,
            files: &files,
            data: &places,
            cgroups: cgroups::host(),
            own_cgroup: cgroups::host() != cgroups::Host::None,
            seccomp: self.filter(options)?.seccomp.clone(),
            apparmor: self.apparmor(options)?,
            devices: nodes(options)?,
            executable: &self.executable(),
        };
        let mut spec = spec::make(options, &found.config, command, &facts)?;
        record::write_unseen(&dir.join("config.json"), &spec)?;
        // Most of the text, and compiled already.
        if let Some(linux) = spec.linux_mut() {
            linux.set_seccomp(None);
        }
        let image = &found.config;
        let stop = options.stop_signal.as_deref().or(image.stop_signal.as_deref()).filter(|name| !name.is_empty());
        let mut labels: BTreeMap<String, String> = image.labels.clone();
        labels.extend(options.labels.iter().cloned());
        let env = spec.process().as_ref().and_then(|process| process.env().clone()).unwrap_or_default();
        let record = Record {
            id: id.into(),
            name: String::new(),
            created: Time::now(),
            image: found.name.clone(),
            image_id: found.image_id,
            manifest: found.manifest.clone(),
            argv: spec::arguments(options, image, command)?,
            log: options.log.with_attributes(&labels, &env),
            labels,
            restart: options.restart,
            auto_remove: options.auto_remove,
            tty: options.tty,
            interactive: options.interactive || !matches!(options.input, super::options::Input::Nothing),
            stop_signal: stop.map_or(Ok(libc::SIGTERM), signal::parse)?,
            stop_timeout: options.stop_timeout.or(image.stop_timeout.map(|s| s.max(0) as u64)).unwrap_or(STOP_SECONDS),
            health: options.health.resolve(image.healthcheck.as_ref(), &spec::shell(image))?,
            data,
            rootfs,
            options: Box::new(options.clone()),
        };
        Ok((record, spec))
    }

    /// The engine's own binary, by a path that means the same in another process.
    fn executable(&self) -> PathBuf {
        let path = &self.config().executable;
        fs::read_link(path).unwrap_or_else(|_| path.clone())
    }
}

fn data_folders(mounts: &[Mount]) -> Result<Vec<DataFolder>> {
    let anonymous = mounts.iter().filter(|mount| mount.source == Source::Anonymous);
    anonymous.map(|mount| Ok(DataFolder { name: random_id()?, target: mount.target.clone() })).collect()
}

fn check_sources(mounts: &[Mount]) -> Result<()> {
    for mount in mounts {
        if let Source::Host(source) = &mount.source
            && fs::symlink_metadata(source).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
        {
            let message = format!("cannot mount '{}': no such file or folder on the host", source.display());
            return Err(Error::not_found(message).with_hint("make it first: fs.mkdir(path)"));
        }
    }
    Ok(())
}

/// Writes an id to a file that must not exist: whoever reads it would take an old id for the new one.
fn write_id(path: &Path, id: &str) -> Result<()> {
    use std::io::Write;
    let mut file = match fs::OpenOptions::new().write(true).create_new(true).open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            let message = format!("cidfile {} exists already", path.display());
            return Err(Error::new(Kind::AlreadyExists, message).with_hint("remove it, or name another one"));
        }
        other => other.os(|| format!("write {}", path.display()))?,
    };
    file.write_all(id.as_bytes()).os(|| format!("write {}", path.display()))
}

/// A container that is to last must not be found half written after a power cut.
fn make_durable(dir: &Path) -> Result<()> {
    for name in ["container.json", "config.json"] {
        let path = dir.join(name);
        fs::File::open(&path).and_then(|file| file.sync_all()).os(|| format!("write {}", path.display()))?;
    }
    super::super::store::sync_dir(dir).os(|| format!("write {}", dir.display()))
}
