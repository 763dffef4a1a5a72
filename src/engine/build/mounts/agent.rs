//! An SSH agent for a step: a socket of its own, with the owner and mode that were asked for, whose connections are
//! carried to the agent's. It ends with the step; nothing of keys is seen here.

use std::fs;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::pipe::{PipeFlags, pipe_with};

use super::super::super::error::{Error, Kind, OsContext, Result};
use super::super::super::sys;
use super::Owned;

/// A socket that is served until this is dropped.
pub struct Agent {
    stop: Option<OwnedFd>,
    server: Option<JoinHandle<()>>,
}

/// One connection that is carried on.
struct Carried {
    ends: [UnixStream; 2],
    threads: [JoinHandle<()>; 2],
}

impl Agent {
    /// Makes the socket `name` in `folder` and serves it; returns the socket file's descriptor, too.
    ///
    /// # Errors
    /// `not_found` when no agent listens at `socket`; `os`.
    pub fn start(folder: &Path, name: &str, socket: &Path, owned: Owned) -> Result<(Agent, OwnedFd)> {
        let meta = fs::metadata(socket).os(|| format!("SSH agent {}", socket.display()))?;
        if !meta.file_type().is_socket() {
            let error = Error::new(Kind::Unsupported, format!("SSH agent {} is not a socket", socket.display()));
            return Err(error.with_hint("keys are served by an agent: start ssh-agent, ssh-add them, name its socket"));
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let place = openat(CWD, folder, flags, Mode::empty()).os(|| format!("open {}", folder.display()))?;
        // By descriptor: a socket's name may have 108 bytes.
        let path = sys::fd::path(&place).join(name);
        let what = || "make a socket for an SSH agent";
        let listener = UnixListener::bind(&path).os(what)?;
        std::os::unix::fs::chown(&path, Some(owned.uid), Some(owned.gid))
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(owned.mode)))
            .os(what)?;
        let file = openat(&place, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).os(what)?;
        let (ended, stop) = pipe_with(PipeFlags::CLOEXEC).os(|| "pipe")?;
        let socket = socket.to_path_buf();
        let server = thread::Builder::new().name("ssh-agent".into()).spawn(move || serve(&listener, &ended, &socket));
        Ok((Agent { stop: Some(stop), server: Some(server.os(|| "start a thread")?) }, file))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // The other end of the pipe sees this one close.
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

/// Carries connections until the pipe ends. One that cannot be carried on is closed, which its client sees.
fn serve(listener: &UnixListener, ended: &OwnedFd, socket: &PathBuf) {
    let mut all: Vec<Carried> = Vec::new();
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) if !fds[0].revents().is_empty() => break,
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => break,
        }
        all.retain(|one| one.threads.iter().any(|thread| !thread.is_finished()));
        if let Ok((client, _)) = listener.accept()
            && let Ok(carried) = UnixStream::connect(socket).and_then(|agent| carry(client, agent))
        {
            all.push(carried);
        }
    }
    for one in all {
        one.ends.iter().for_each(|end| drop(end.shutdown(Shutdown::Both)));
        one.threads.into_iter().for_each(|thread| drop(thread.join()));
    }
}

fn carry(client: UnixStream, agent: UnixStream) -> io::Result<Carried> {
    let one_way = |from: &UnixStream, to: &UnixStream| -> io::Result<JoinHandle<()>> {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        thread::Builder::new().name("ssh-agent".into()).spawn(move || {
            // Either end may go away at any time; the other one then hears of it.
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        })
    };
    let there = one_way(&client, &agent)?;
    let back = one_way(&agent, &client)?;
    Ok(Carried { ends: [client, agent], threads: [there, back] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn connections_are_carried_and_end_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        let listener = UnixListener::bind(&real).unwrap();
        let echo = thread::spawn(move || {
            let (mut one, _) = listener.accept().unwrap();
            let mut word = [0; 4];
            one.read_exact(&mut word).unwrap();
            one.write_all(&word).unwrap();
            // Until the other side goes away.
            let _ = one.read(&mut word);
        });
        let owned = Owned { mode: 0o600, uid: 0, gid: 0 };
        let owned = Owned { uid: rustix::process::getuid().as_raw(), gid: rustix::process::getgid().as_raw(), ..owned };
        let (agent, _file) = Agent::start(dir.path(), "agent", &real, owned).unwrap();
        let mut client = UnixStream::connect(dir.path().join("agent")).unwrap();
        client.write_all(b"ping").unwrap();
        let mut word = [0; 4];
        client.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"ping");
        drop(agent);
        assert_eq!(client.read(&mut word).unwrap(), 0);
        echo.join().unwrap();
        let error = Agent::start(dir.path(), "other", dir.path(), owned).err().unwrap();
        assert!(error.message().ends_with("is not a socket"));
    }
}
