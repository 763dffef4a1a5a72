//! What is tried again, how often, and how long to wait in between.
//!
//! Passing trouble (5xx, 429, broken or silent connections) is tried again with a doubling wait, or after the time
//! the registry asks for; everything else fails at once. A wait ends when the operation is cancelled.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::super::cancel::Cancel;
use super::super::error::{Error, Kind, OsContext, Result};

/// The longest wait a registry may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// How patient a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How often something is tried in all.
    pub attempts: u32,
    /// The wait after the first failure; doubled after each further one.
    pub first_wait: Duration,
    /// How long a connection may take.
    pub connect: Duration,
    /// How long a peer may stay silent.
    pub read: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            attempts: 5,
            first_wait: Duration::from_millis(500),
            connect: Duration::from_secs(20),
            read: Duration::from_secs(60),
        }
    }
}

/// Why one attempt failed.
pub(super) enum Failure {
    /// Another attempt would fail alike.
    Final(Error),
    /// Another attempt may succeed.
    Passing { kind: Kind, message: String, cause: Option<anyhow::Error>, after: Option<Duration> },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Final(error)
    }
}

impl Failure {
    /// A failure that may pass, with what caused it.
    pub fn passing(message: impl Into<String>, cause: impl Into<anyhow::Error>) -> Failure {
        Failure::Passing { kind: Kind::Network, message: message.into(), cause: Some(cause.into()), after: None }
    }

    /// The error to return when `tries` attempts were made.
    pub fn into_error(self, tries: u32) -> Error {
        match self {
            Failure::Final(error) => error,
            Failure::Passing { kind, message, cause, .. } => {
                let times = if tries == 1 { "once".to_string() } else { format!("{tries} times") };
                let error = Error::new(kind, format!("{message} (tried {times})"));
                match cause {
                    Some(cause) => error.caused_by(cause),
                    None => error,
                }
            }
        }
    }
}

/// Counts the attempts of one request or transfer.
pub(super) struct Attempts<'a> {
    made: u32,
    patience: &'a Patience,
    cancel: &'a Cancel,
}

impl<'a> Attempts<'a> {
    /// None made yet.
    pub fn new(patience: &'a Patience, cancel: &'a Cancel) -> Attempts<'a> {
        Attempts::after(0, patience, cancel)
    }

    /// `made` were made already.
    pub fn after(made: u32, patience: &'a Patience, cancel: &'a Cancel) -> Attempts<'a> {
        Attempts { made, patience, cancel }
    }

    /// Counts a failed attempt, and waits before the next if there may be one.
    ///
    /// # Errors
    /// The failure as an error when it is final or the last; `interrupted`.
    pub fn failed(&mut self, failure: Failure) -> Result<u32> {
        self.cancel.check()?;
        self.made += 1;
        let asked = match &failure {
            Failure::Passing { after, .. } if self.made < self.patience.attempts => *after,
            _ => return Err(failure.into_error(self.made)),
        };
        let doubled = self.patience.first_wait * 2u32.saturating_pow(self.made - 1);
        pause(self.cancel, asked.unwrap_or(doubled).min(LONGEST_WAIT))?;
        Ok(self.made)
    }

    /// Runs `attempt` until it succeeds, fails for good, or was tried often enough.
    ///
    /// # Errors
    /// The last attempt's.
    pub fn run<T>(mut self, mut attempt: impl FnMut() -> Result<T, Failure>) -> Result<T> {
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(failure) => self.failed(failure)?,
            };
        }
    }
}

/// Waits, unless cancelled.
fn pause(cancel: &Cancel, duration: Duration) -> Result<()> {
    let until = Instant::now() + duration;
    loop {
        cancel.check()?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::from_borrowed_fd(cancel.fd(), PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e).os(|| "poll"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Patience =
        Patience { attempts: 3, first_wait: Duration::from_millis(1), connect: Duration::ZERO, read: Duration::ZERO };

    #[test]
    fn gives_up_after_the_last_attempt_and_says_how_many() {
        let cancel = Cancel::new().unwrap();
        let mut made = 0;
        let error = Attempts::new(&QUICK, &cancel)
            .run(|| -> Result<(), Failure> {
                made += 1;
                Err(Failure::Passing { kind: Kind::Network, message: "no luck".into(), cause: None, after: None })
            })
            .unwrap_err();
        assert_eq!((made, error.message()), (3, "no luck (tried 3 times)"));
    }

    #[test]
    fn a_final_failure_is_not_tried_again() {
        let cancel = Cancel::new().unwrap();
        let mut made = 0;
        let error = Attempts::new(&QUICK, &cancel)
            .run(|| -> Result<(), Failure> {
                made += 1;
                Err(Error::not_found("gone").into())
            })
            .unwrap_err();
        assert_eq!((made, error.message()), (1, "gone"));
    }

    #[test]
    fn a_cancelled_wait_ends_at_once() {
        let cancel = Cancel::new().unwrap();
        let copy = cancel.clone();
        let start = Instant::now();
        let waiting = std::thread::spawn(move || pause(&copy, Duration::from_secs(60)));
        cancel.cancel();
        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), Kind::Interrupted);
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
