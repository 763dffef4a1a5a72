//! The engine's one error type.
//!
//! An error says what kind of failure it is (chosen where the failure is born, never guessed from text), which
//! operation on which thing failed, why, and what to do about it. It refuses to be printed by the engine: callers
//! turn it into a Lua error or a terminal message.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

/// What every fallible engine function returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The small, closed list of failures a script can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The named thing does not exist.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// Something else uses the thing.
    InUse,
    /// The caller passed something that cannot be meant.
    InvalidArgument,
    /// This host, kernel or version cannot do it.
    Unsupported,
    /// Access was denied, by the kernel or by a registry.
    Permission,
    /// Content does not match its digest, size or format.
    Integrity,
    /// A peer could not be reached or broke off.
    Network,
    /// A command ended with a status other than zero.
    Exit,
    /// A time limit passed.
    Timeout,
    /// The user or the program cancelled the operation.
    Interrupted,
    /// A system call failed; holds its errno.
    Os(i32),
    /// A bug in moonshell.
    Internal,
}

impl Kind {
    /// The name scripts see in `err.kind`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::NotFound => "not_found",
            Kind::AlreadyExists => "already_exists",
            Kind::InUse => "in_use",
            Kind::InvalidArgument => "invalid_argument",
            Kind::Unsupported => "unsupported",
            Kind::Permission => "permission",
            Kind::Integrity => "integrity",
            Kind::Network => "network",
            Kind::Exit => "exit",
            Kind::Timeout => "timeout",
            Kind::Interrupted => "interrupted",
            Kind::Os(_) => "os",
            Kind::Internal => "internal",
        }
    }

    /// The kind for an errno: access and existence have kinds of their own, the rest stay `Os`.
    pub fn from_errno(errno: i32) -> Kind {
        match errno {
            libc::EACCES | libc::EPERM | libc::EROFS => Kind::Permission,
            libc::ENOENT => Kind::NotFound,
            libc::EEXIST => Kind::AlreadyExists,
            libc::EBUSY => Kind::InUse,
            libc::ENOSYS | libc::EOPNOTSUPP => Kind::Unsupported,
            libc::ETIMEDOUT => Kind::Timeout,
            other => Kind::Os(other),
        }
    }
}

/// What a failed command leaves behind for the caller to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExitDetail {
    /// Exit code as a shell reports it: 0-255, 128+n for signal n.
    pub code: i32,
    /// The last bytes of standard error (or of the joined output), as text.
    pub stderr: String,
}

#[derive(Debug)]
struct Inner {
    kind: Kind,
    op: String,
    subject: String,
    message: String,
    hint: Option<String>,
    exit: Option<ExitDetail>,
    source: Option<anyhow::Error>,
}

/// A failure with its kind, operation, subject, message, causes and hint.
pub struct Error(Box<Inner>);

impl Error {
    /// Makes an error. `message` is lower case, without a full stop, and names the thing.
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error(Box::new(Inner {
            kind,
            op: String::new(),
            subject: String::new(),
            message: message.into(),
            hint: None,
            exit: None,
            source: None,
        }))
    }

    /// Shorthand for a wrong argument.
    pub fn invalid(message: impl Into<String>) -> Error {
        Error::new(Kind::InvalidArgument, message)
    }

    /// Shorthand for a missing thing.
    pub fn not_found(message: impl Into<String>) -> Error {
        Error::new(Kind::NotFound, message)
    }

    /// Shorthand for content that is not what it claims to be.
    pub fn integrity(message: impl Into<String>) -> Error {
        Error::new(Kind::Integrity, message)
    }

    /// A failed system call: `what` says which call on what, the errno decides the kind and ends the message.
    pub fn os(errno: i32, what: impl fmt::Display) -> Error {
        let text = io::Error::from_raw_os_error(errno).to_string();
        let text = text.split(" (os error").next().unwrap_or("").to_lowercase();
        let error = Error::new(Kind::from_errno(errno), format!("{what}: {text}"));
        match errno {
            libc::ENOSPC => error.with_hint("free space on the disk, or choose another state folder with --root"),
            _ => error,
        }
    }

    /// The error a cancelled operation returns.
    pub fn interrupted() -> Error {
        Error::new(Kind::Interrupted, "interrupted")
    }

    /// Names the operation, unless an inner one did already.
    pub fn with_op(mut self, op: &str) -> Error {
        if self.0.op.is_empty() {
            self.0.op = op.into();
        }
        self
    }

    /// Names the thing the operation was about, unless an inner one did already.
    pub fn with_subject(mut self, subject: impl Into<String>) -> Error {
        if self.0.subject.is_empty() {
            self.0.subject = subject.into();
        }
        self
    }

    /// Says what the user can do.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Error {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the exit code and last output of a failed command.
    pub fn with_exit(mut self, exit: ExitDetail) -> Error {
        self.0.exit = Some(exit);
        self
    }

    /// Puts `message` in front; this error becomes the cause. Kind, hint and exit detail are kept.
    pub fn context(self, message: impl Into<String>) -> Error {
        let (kind, hint, exit) = (self.0.kind, self.0.hint.clone(), self.0.exit.clone());
        let mut outer = Error::new(kind, message);
        outer.0.hint = hint;
        outer.0.exit = exit;
        outer.0.source = Some(anyhow::Error::new(self));
        outer
    }

    /// Records what caused this error.
    pub fn caused_by(mut self, source: impl Into<anyhow::Error>) -> Error {
        self.0.source = Some(source.into());
        self
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }
    /// The operation, such as `image.pull`; may be empty.
    pub fn op(&self) -> &str {
        &self.0.op
    }
    /// What the operation was about; may be empty.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }
    /// The message alone.
    pub fn message(&self) -> &str {
        &self.0.message
    }
    /// What the user can do, where something is known.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
    /// Exit code and output of a failed command.
    pub fn exit(&self) -> Option<&ExitDetail> {
        self.0.exit.as_ref()
    }
    /// The errno, for `Kind::Os`.
    pub fn errno(&self) -> Option<i32> {
        match self.0.kind {
            Kind::Os(errno) => Some(errno),
            _ => None,
        }
    }

    /// The messages of the causes, outermost first.
    pub fn causes(&self) -> Vec<String> {
        match &self.0.source {
            Some(source) => source.chain().map(|cause| cause.to_string()).collect(),
            None => Vec::new(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind.name(), self.0.message)?;
        for cause in self.causes() {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as _)
    }
}

/// Turns the errors of the standard library, nix and rustix into engine errors, naming what was tried.
pub trait OsContext<T> {
    /// On failure: an error whose message is `what()`, a colon and the system's text.
    fn os<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T> OsContext<T> for io::Result<T> {
    fn os<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|e| from_io(e, what()))
    }
}

impl<T> OsContext<T> for nix::Result<T> {
    fn os<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|e| Error::os(e as i32, what()))
    }
}

impl<T> OsContext<T> for rustix::io::Result<T> {
    fn os<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|e| Error::os(e.raw_os_error(), what()))
    }
}

/// An `io::Error` as an engine error. An engine error that travelled inside an `io::Error` (through `Read` or
/// `Write`) comes out as itself.
pub fn from_io(error: io::Error, what: impl fmt::Display) -> Error {
    if let Some(errno) = error.raw_os_error() {
        return Error::os(errno, what);
    }
    if error.get_ref().is_some_and(|inner| inner.is::<Error>()) {
        if let Some(Ok(inner)) = error.into_inner().map(|inner| inner.downcast::<Error>()) {
            return *inner;
        }
        return Error::new(Kind::Internal, what.to_string());
    }
    let kind = match error.kind() {
        io::ErrorKind::TimedOut => Kind::Timeout,
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => Kind::Integrity,
        io::ErrorKind::NotFound => Kind::NotFound,
        _ => Kind::Os(libc::EIO),
    };
    Error::new(kind, format!("{what}: {error}"))
}

/// An engine error on its way through `Read` or `Write`; [`from_io`] takes it out again.
pub fn to_io(error: Error) -> io::Error {
    io::Error::other(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_error_survives_the_way_through_io() {
        let error = from_io(to_io(Error::integrity("wrong digest")), "reading");
        assert_eq!((error.kind(), error.message()), (Kind::Integrity, "wrong digest"));
    }

    #[test]
    fn errno_decides_kind_text_and_hint() {
        let full = Error::os(libc::ENOSPC, "write blob");
        assert_eq!(full.message(), "write blob: no space left on device");
        assert_eq!(full.kind(), Kind::Os(libc::ENOSPC));
        assert!(full.hint().is_some());
        assert_eq!(Error::os(libc::EACCES, "open x").kind(), Kind::Permission);
    }

    #[test]
    fn context_keeps_kind_and_lists_causes() {
        let error = Error::not_found("no such blob").with_hint("pull it").context("cannot start");
        assert_eq!(error.kind(), Kind::NotFound);
        assert_eq!(error.hint(), Some("pull it"));
        assert_eq!(error.causes(), ["no such blob"]);
    }
}
