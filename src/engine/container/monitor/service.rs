//! The clients of a monitor: connections on its socket, and what they ask for.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with};

use super::super::super::error::{OsContext, Result};
use super::super::super::sys;
use super::super::wire::{Order, Report, send};

/// The longest order, in bytes: what is long comes in a memory file.
const ORDER_BYTES: usize = 4096;

/// One connection.
pub struct Client {
    /// Its number.
    pub id: u64,
    /// The connection.
    pub conn: OwnedFd,
    /// The container is killed when it goes away without a word.
    pub bound: bool,
    /// The process it runs inside the container, if it does: then the container's end is not its business.
    pub runs: Option<i32>,
    /// Waits to hear that the program runs.
    pub awaits_start: bool,
}

/// All connections.
#[derive(Default)]
pub struct Clients {
    list: Vec<Client>,
    next: u64,
}

impl Clients {
    /// Takes a connection; returns its number.
    pub fn add(&mut self, conn: OwnedFd, bound: bool, awaits_start: bool) -> u64 {
        // A client that does not read must not hold up the container. Of a socket it cannot fail.
        let _ = rustix::io::ioctl_fionbio(&conn, true);
        self.next += 1;
        self.list.push(Client { id: self.next, conn, bound, runs: None, awaits_start });
        self.next
    }

    /// Those that are here.
    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        self.list.iter()
    }

    /// One of them.
    pub fn get_mut(&mut self, id: u64) -> Option<&mut Client> {
        self.list.iter_mut().find(|client| client.id == id)
    }

    /// Closes a connection.
    pub fn remove(&mut self, id: u64) -> Option<Client> {
        let at = self.list.iter().position(|client| client.id == id)?;
        Some(self.list.remove(at))
    }

    /// Tells one client something; whoever is gone needs to hear nothing.
    pub fn tell(&self, id: u64, report: &Report, fd: Option<&OwnedFd>) {
        if let Some(client) = self.list.iter().find(|client| client.id == id) {
            let _ = send(&client.conn, report, fd);
        }
    }

    /// Tells everybody who waits for the start.
    pub fn started(&mut self, report: &Report) {
        for client in self.list.iter_mut().filter(|client| client.awaits_start) {
            client.awaits_start = false;
            let _ = send(&client.conn, report, None);
        }
    }

    /// Tells everybody who cares about the container's end, and closes their connections.
    pub fn ended(&mut self, report: &Report) {
        self.list.retain(|client| {
            if client.runs.is_none() {
                let _ = send(&client.conn, report, None);
            }
            client.runs.is_some()
        });
    }

    /// Receives one order; `None` when the client is gone.
    pub fn receive(&self, id: u64) -> Option<(Option<Order>, Vec<OwnedFd>)> {
        let client = self.list.iter().find(|client| client.id == id)?;
        match sys::fd::receive(client.conn.as_fd(), ORDER_BYTES) {
            Ok((bytes, fds)) if !bytes.is_empty() => Some((serde_json::from_slice(&bytes).ok(), fds)),
            _ => None,
        }
    }
}

/// Makes the socket `control` in the container's folder, in the place of one that a killed monitor left.
///
/// # Errors
/// `os`.
pub fn listen_in(folder: &Path) -> Result<OwnedFd> {
    let path = folder.join("control");
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(e).os(|| format!("remove {}", path.display()));
        }
        _ => {}
    }
    let socket =
        socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
            .os(|| "socket")?;
    let dir = std::fs::File::open(folder).os(|| format!("open {}", folder.display()))?;
    bind(&socket, &address(&dir.into())?).os(|| format!("make {}", path.display()))?;
    listen(&socket, 128).os(|| "listen")?;
    Ok(socket)
}

/// The socket's address by its folder's descriptor: a path would often be too long (unix(7): 108 bytes).
///
/// # Errors
/// None in practice.
pub fn address(folder: &OwnedFd) -> Result<SocketAddrUnix> {
    use std::os::fd::AsRawFd;
    SocketAddrUnix::new(format!("/proc/self/fd/{}/control", folder.as_raw_fd())).os(|| "socket address")
}

/// Takes a new connection; `None` when whoever knocked is gone again.
///
/// # Errors
/// `os` when there is no descriptor or memory for it.
pub fn accept(socket: &OwnedFd) -> Result<Option<OwnedFd>> {
    use rustix::io::Errno;
    match accept_with(socket, SocketFlags::CLOEXEC) {
        Err(e @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => Err(e).os(|| "accept"),
        other => Ok(other.ok()),
    }
}
