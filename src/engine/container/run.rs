//! Running one program to its end in a fresh container: what `container.run` and build steps share.

use std::collections::HashSet;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Capability, Spec};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};

use super::super::Engine;
use super::super::error::{Error, Kind, OsContext, Result, from_io};
use super::super::image::config::RunConfig;
use super::super::rootfs::view::View;
use super::super::store::Workspace;
use super::super::sys;
use super::options::{Command, Input, Network, Options};
use super::spawner::Spawner;
use super::streams::{Ending, OutputSink, Streams};
use super::user::{Identity, look_up_in};
use super::wire::{Request, Rootfs};
use super::{cgroup, seccomp, spec};

/// What a container starts from.
#[derive(Clone, Copy)]
pub struct Base<'a> {
    /// Unpacked layers, base first.
    pub lowers: &'a [PathBuf],
    /// The image's defaults.
    pub config: &'a RunConfig,
}

impl Engine {
    /// Runs a program in a container that is gone afterwards.
    ///
    /// `sink` receives output as it comes. Nothing remains on disk, whatever happens.
    ///
    /// # Errors
    /// `not_found` with exit code 127 and `permission` (or another) with 126 when the program cannot be executed;
    /// `interrupted`, `timeout`; `invalid_argument` for options that cannot be meant; `os`.
    pub fn run_once(
        &self,
        base: Base<'_>,
        command: Option<&Command>,
        options: &Options,
        sink: &mut OutputSink<'_>,
    ) -> Result<Ending> {
        let _in_use = self.store().shared(self.cancel())?;
        let area = self.store().container_workspace()?;
        self.run_in(&area, base, command, options, sink)
    }

    /// The same in a work area of the caller's, whose `upper/` then holds what the program changed.
    ///
    /// # Errors
    /// As [`Engine::run_once`].
    pub fn run_in(
        &self,
        area: &Workspace,
        base: Base<'_>,
        command: Option<&Command>,
        options: &Options,
        sink: &mut OutputSink<'_>,
    ) -> Result<Ending> {
        self.cancel().check()?;
        options.check()?;
        let identity = self.identity(base, options.user.as_deref())?;
        let rootfs = self.prepare_rootfs(area, base)?;
        let id = area.path().file_name().and_then(|name| name.to_str()).unwrap_or_default().to_string();
        let files = self.write_files(area, &id, options)?;
        let facts = spec::Facts {
            id: &id,
            identity: &identity,
            root: &rootfs.mount_point,
            files: &files,
            cgroups: cgroup::host(),
        };
        let spec = spec::make(options, base.config, command, &facts)?;
        let filter = self.filter(options, &spec)?;
        let plan = (!options.limits.is_empty()).then(|| cgroup::Plan { name: id, limits: options.limits.clone() });
        let devices = spec::DEVICES.iter().filter(|path| Path::new(path).exists()).map(|path| path.to_string());
        let request = Request { spec, rootfs, cgroup: plan, devices: devices.collect() };
        let streams = self.start(area, &request, filter.as_fd(), options)?;
        let ending = streams.pump(self.cancel(), options.timeout, sink, &|message| self.warn_once(message));
        if let Some(plan) = &request.cgroup {
            // Nothing is left of it, unless the monitor was killed.
            let swept = cgroup::sweep(&plan.name);
            return ending.and_then(|ending| swept.map(|()| ending));
        }
        ending
    }

    /// Looks up who runs, in the image's own files.
    fn identity(&self, base: Base<'_>, user: Option<&str>) -> Result<Identity> {
        let user = user.unwrap_or(&base.config.user);
        look_up_in(&View::new(base.lowers), user)
    }

    fn prepare_rootfs(&self, area: &Workspace, base: Base<'_>) -> Result<Rootfs> {
        let upper = area.join("upper");
        let rootfs = Rootfs {
            lowers: self.mountable(base.lowers)?.into_iter().rev().chain([self.store().skeleton()?]).collect(),
            upper: upper.clone(),
            work: area.join("work"),
            mount_point: area.join("rootfs"),
        };
        for dir in [&rootfs.upper, &rootfs.work, &rootfs.mount_point] {
            fs::create_dir(dir).os(|| format!("create {}", dir.display()))?;
        }
        // The upper folder is the root folder: it takes the looks of the one below.
        let top = &rootfs.lowers[0];
        let meta = fs::metadata(top).os(|| format!("stat {}", top.display()))?;
        fs::set_permissions(&upper, fs::Permissions::from_mode(meta.mode() & 0o7777))
            .and_then(|()| std::os::unix::fs::chown(&upper, Some(meta.uid()), Some(meta.gid())))
            .os(|| format!("prepare {}", upper.display()))?;
        Ok(rootfs)
    }

    /// The files every container gets of its own, in its work area.
    fn write_files(&self, area: &Workspace, id: &str, options: &Options) -> Result<Vec<(&'static str, PathBuf)>> {
        let name = options.hostname.as_deref().unwrap_or(&id[..12]);
        let mut hosts = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        hosts.push_str(&format!("127.0.1.1\t{name}\n"));
        for (name, address) in &options.hosts {
            hosts.push_str(&format!("{address}\t{name}\n"));
        }
        let resolver = if !options.dns.is_empty() {
            options.dns.iter().map(|server| format!("nameserver {server}\n")).collect()
        } else if options.network == Network::Host {
            // A host without one has no name servers; so has the container.
            fs::read_to_string(&self.config().resolv_conf).unwrap_or_default()
        } else {
            String::new()
        };
        let list = [
            ("/etc/hosts", "hosts", hosts),
            ("/etc/hostname", "hostname", format!("{name}\n")),
            ("/etc/resolv.conf", "resolv.conf", resolver),
        ];
        let mut files = Vec::new();
        for (target, file, text) in list {
            let path = area.join(file);
            fs::write(&path, text).os(|| format!("write {}", path.display()))?;
            files.push((target, path));
        }
        Ok(files)
    }

    /// The seccomp program in a memory file, compiled once for each set of capabilities.
    fn filter(&self, options: &Options, spec: &Spec) -> Result<OwnedFd> {
        if options.privileged || options.seccomp_unconfined {
            return sys::fd::memory_file("seccomp", b"").map_err(|e| from_io(e, "memory file"));
        }
        let process = spec.process().as_ref();
        let bounding =
            process.and_then(|process| process.capabilities().as_ref()).and_then(|caps| caps.bounding().clone());
        let bounding: HashSet<Capability> = bounding.unwrap_or_default();
        self.cached_filter(&bounding, || {
            let program = seccomp::compile(&seccomp::default_profile().resolve(&bounding)?)?;
            sys::fd::memory_file("seccomp", &program.bytes).map_err(|e| from_io(e, "memory file"))
        })
    }

    /// Hands the request to the spawner; the container is on its way when this returns.
    fn start(&self, area: &Workspace, request: &Request, filter: BorrowedFd<'_>, options: &Options) -> Result<Streams> {
        let text = serde_json::to_vec(request)
            .map_err(|e| Error::new(Kind::Internal, format!("runtime specification: {e}")))?;
        let memory = sys::fd::memory_file("request", &text).map_err(|e| from_io(e, "memory file"))?;
        let (control, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).os(|| "socketpair")?;
        let mut fds = vec![memory.as_fd(), theirs.as_fd(), area.lock_fd(), filter];
        if options.tty {
            self.ask_spawner(&fds)?;
            return Ok(Streams::new(control, options.input.clone(), None));
        }
        let pipe = || pipe_with(PipeFlags::CLOEXEC).os(|| "pipe");
        let ((in_read, in_write), (out_read, out_write), (err_read, err_write)) = (pipe()?, pipe()?, pipe()?);
        fds.extend([in_read.as_fd(), out_write.as_fd(), err_write.as_fd()]);
        self.ask_spawner(&fds)?;
        rustix::io::ioctl_fionbio(&in_write, true).os(|| "prepare a pipe")?;
        let mut streams = Streams::new(control, options.input.clone(), Some([in_write, out_read, err_read]));
        if matches!(options.input, Input::Nothing) {
            streams.close_input();
        }
        Ok(streams)
    }

    /// Passes a request on, to a new spawner if somebody has killed the old one.
    fn ask_spawner(&self, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let spawner = self.spawner()?;
        match spawner.request(fds) {
            Err(error) if matches!(error.errno(), Some(libc::EPIPE | libc::ECONNRESET)) => {
                let mut slot = self.shared.spawner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                // Another thread may have found out first.
                if slot.as_ref().is_some_and(|known| std::sync::Arc::ptr_eq(known, &spawner)) {
                    *slot = None;
                }
                drop(slot);
                self.spawner()?.request(fds)
            }
            other => other,
        }
    }

    fn spawner(&self) -> Result<std::sync::Arc<Spawner>> {
        let mut slot = self.shared.spawner.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*slot {
            Some(spawner) => Ok(spawner.clone()),
            None => Ok(slot.insert(std::sync::Arc::new(Spawner::start(&self.config().executable)?)).clone()),
        }
    }
}
