//! The last step of a container's process: finding and executing its program.
//!
//! Source: execve(2); exit statuses 126 and 127 as shells have them.

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::path::Path;

use oci_spec::runtime::Process;
use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::super::error::{Error, ExitDetail, Kind, OsContext, Result};
use super::super::inroot;
use super::user;

const NO_SHELL: &str = "without a shell in the image, give the command as a list: {\"/program\", \"argument\"}";

/// The most of `/etc/passwd` that is read for a home folder, in bytes.
const ACCOUNTS_LIMIT: u64 = 4 << 20;

/// A program with its arguments and environment, as execve wants them.
pub struct Program {
    name: String,
    candidates: Vec<CString>,
    argv: Vec<CString>,
    env: Vec<CString>,
}

fn text(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::invalid("an argument or environment variable holds a NUL"))
}

impl Program {
    /// Makes it ready; the root is the container's by now. A process without a `HOME` gets its user's.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn new(process: &Process) -> Result<Program> {
        let none = Vec::new();
        let args = process.args().as_ref().unwrap_or(&none);
        let list = process.env().as_ref().unwrap_or(&none);
        let mut env = list.iter().map(|variable| text(variable)).collect::<Result<Vec<_>>>()?;
        if !list.iter().any(|variable| variable.starts_with("HOME=")) {
            env.push(text(&format!("HOME={}", home(process.user().uid())))?);
        }
        let name = args.first().map_or("", String::as_str);
        if name.is_empty() {
            return Err(Error::invalid("no command given, and the image has none"));
        }
        // The last one counts, as for getenv(3) after a shell has read them.
        let path = list.iter().rev().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or("");
        let candidates = if name.contains('/') {
            vec![text(name)?]
        } else {
            let folders = path.split(':').map(|folder| if folder.is_empty() { "." } else { folder });
            folders.map(|folder| text(&format!("{folder}/{name}"))).collect::<Result<Vec<_>>>()?
        };
        let argv = args.iter().map(|arg| text(arg)).collect::<Result<Vec<_>>>()?;
        Ok(Program { name: name.to_string(), candidates, argv, env })
    }

    /// Looks whether there is something that may be executed, without doing it.
    ///
    /// # Errors
    /// As [`Program::execute`].
    pub fn look(&self) -> Result<()> {
        let mut seen = libc::ENOENT;
        for candidate in &self.candidates {
            match accessat(CWD, candidate.as_c_str(), Access::EXEC_OK, AtFlags::EACCESS) {
                Ok(()) if is_folder(candidate) => seen = libc::EACCES,
                // No answer to this question, but of a filter that does not allow it: executing it will tell.
                Ok(()) | Err(rustix::io::Errno::PERM | rustix::io::Errno::NOSYS) => return Ok(()),
                Err(errno) => note(&mut seen, errno.raw_os_error()),
            }
        }
        Err(self.error(seen))
    }

    /// Executes it: a name with a slash as it is, else the first match in the container's own PATH. Signals are as it
    /// shall find them by now.
    ///
    /// # Errors
    /// With exit code 127 when it is not there, 126 when it cannot be executed.
    pub fn execute(&self) -> Result<Infallible> {
        let mut seen = libc::ENOENT;
        for candidate in &self.candidates {
            let Err(errno) = nix::unistd::execve(candidate, &self.argv, &self.env);
            note(&mut seen, errno as i32);
        }
        Err(self.error(seen))
    }

    fn error(&self, errno: i32) -> Error {
        let exists = |path: &CString| path.to_str().is_ok_and(|path| Path::new(path).exists());
        let name = &self.name;
        let (kind, code, why) = match errno {
            libc::ENOENT if self.candidates.iter().any(exists) => {
                (Kind::NotFound, 127, "its interpreter or loader is not in the image".to_string())
            }
            libc::ENOENT if name.contains('/') => (Kind::NotFound, 127, "no such file in the image".to_string()),
            libc::ENOENT => (Kind::NotFound, 127, "not found in the image's PATH".to_string()),
            libc::ENOEXEC => (Kind::InvalidArgument, 126, "not a program this machine can run".to_string()),
            other => {
                let text = Error::os(other, "x").message().trim_start_matches("x: ").to_string();
                (Kind::from_errno(other), 126, text)
            }
        };
        let verb = if code == 127 { "command not found" } else { "cannot execute" };
        let error =
            Error::new(kind, format!("{verb}: {name}: {why}")).with_exit(ExitDetail { code, stderr: String::new() });
        // A line for a shell that is not there: the commonest surprise with images made from nothing.
        let is_line = self.argv.len() == 3 && self.argv[1].as_bytes() == b"-c";
        if is_line && kind == Kind::NotFound && name.ends_with("sh") {
            return error.with_hint(NO_SHELL);
        }
        error
    }
}

/// A file that is there but cannot be executed says more than one that is not.
fn note(seen: &mut i32, errno: i32) {
    match errno {
        libc::ENOENT | libc::ENOTDIR => {}
        other => *seen = other,
    }
}

fn is_folder(path: &CStr) -> bool {
    let kind = rustix::fs::stat(path).map(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode));
    kind == Ok(rustix::fs::FileType::Directory)
}

/// The home folder of a user by the container's own `/etc/passwd`, `/` for one that is not there.
fn home(uid: u32) -> String {
    let passwd = inroot::Root::open("/").and_then(|root| root.read("/etc/passwd", ACCOUNTS_LIMIT)).unwrap_or_default();
    let found = user::look_up(&uid.to_string(), &String::from_utf8_lossy(&passwd), "");
    found.map_or_else(|_| "/".to_string(), |identity| identity.home)
}

/// Opens the working folder inside the root; no link on the way may lead through a descriptor of this or another
/// process (CVE-2024-21626).
///
/// # Errors
/// `not_found`, `invalid_argument`; `os`.
pub fn open_working_folder(path: &Path) -> Result<std::os::fd::OwnedFd> {
    use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
    use rustix::io::Errno;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_MAGICLINKS;
    let shown = path.display();
    if !path.is_absolute() {
        return Err(Error::invalid(format!("working folder {shown} is not an absolute path")));
    }
    match openat2(CWD, path, flags, Mode::empty(), resolve) {
        Err(Errno::NOENT) => {
            let exit = ExitDetail { code: 126, stderr: String::new() };
            Err(Error::not_found(format!("working folder {shown} does not exist in the container")).with_exit(exit))
        }
        Err(Errno::NOTDIR) => Err(Error::invalid(format!("working folder {shown} is not a folder"))),
        Err(Errno::LOOP) => {
            Err(Error::invalid(format!("working folder {shown} leads through a link that leaves the container")))
        }
        other => other.os(|| format!("working folder {shown}")),
    }
}
