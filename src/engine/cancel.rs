//! Cancellation: one token per operation tree, polled by loops and waited on by `poll(2)`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use super::error::{Error, OsContext, Result};

type Callback = Box<dyn Fn() + Send>;

struct Inner {
    cancelled: AtomicBool,
    // Becomes readable, and stays so, once the token is cancelled.
    event: OwnedFd,
    next: Mutex<(u64, Vec<(u64, Callback)>)>,
}

/// Tells an operation to stop. Clones share one state; a child is cancelled with its parent, never the other way.
#[derive(Clone)]
pub struct Cancel(Arc<Inner>);

/// Keeps a callback registered; dropping it takes the callback back.
pub struct OnCancel {
    token: Cancel,
    id: u64,
}

impl Cancel {
    /// A fresh token.
    ///
    /// # Errors
    /// `os` when no descriptor is left.
    pub fn new() -> Result<Cancel> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).os(|| "eventfd")?;
        Ok(Cancel(Arc::new(Inner { cancelled: AtomicBool::new(false), event, next: Mutex::new((0, Vec::new())) })))
    }

    /// A token that is cancelled when this one is, and can be cancelled alone. The guard must live as long as the
    /// child is in use.
    ///
    /// # Errors
    /// `os` when no descriptor is left.
    pub fn child(&self) -> Result<(Cancel, OnCancel)> {
        let child = Cancel::new()?;
        let copy = child.clone();
        let guard = self.on_cancel(move || copy.cancel());
        Ok((child, guard))
    }

    /// Cancels. Callbacks run in the caller's thread, once.
    pub fn cancel(&self) {
        if self.0.cancelled.swap(true, Ordering::SeqCst) {
            return;
        }
        // An eventfd counter of one cannot overflow, so this write cannot fail or block.
        let _ = rustix::io::write(&self.0.event, &1u64.to_ne_bytes());
        let list = std::mem::take(&mut self.0.next.lock().unwrap_or_else(PoisonError::into_inner).1);
        for (_, callback) in &list {
            callback();
        }
    }

    /// True once cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Fails with `interrupted` once cancelled; long loops call this.
    ///
    /// # Errors
    /// `interrupted`.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::interrupted()) } else { Ok(()) }
    }

    /// A descriptor that is readable once cancelled: put it into every `poll` that may wait long.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }

    /// Makes the token usable again (the prompt does this between two lines). Only for a token nothing waits on.
    pub fn reset(&self) {
        let mut count = [0u8; 8];
        let _ = rustix::io::read(&self.0.event, &mut count);
        self.0.cancelled.store(false, Ordering::SeqCst);
    }

    /// Runs `callback` when the token is cancelled (at once if it is already), unless the guard is dropped before.
    pub fn on_cancel(&self, callback: impl Fn() + Send + 'static) -> OnCancel {
        let mut next = self.0.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.0 += 1;
        let id = next.0;
        next.1.push((id, Box::new(callback)));
        drop(next);
        if self.is_cancelled() {
            // Cancelled before or while the callback was added: whoever takes it out of the list runs it.
            let mut next = self.0.next.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = next.1.iter().position(|(other, _)| *other == id) {
                let (_, callback) = next.1.remove(at);
                drop(next);
                callback();
            }
        }
        OnCancel { token: self.clone(), id }
    }
}

impl Drop for OnCancel {
    fn drop(&mut self) {
        let mut next = self.token.0.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.1.retain(|(id, _)| *id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_follows_its_parent_and_not_the_other_way() {
        let parent = Cancel::new().unwrap();
        let (one, _guard) = parent.child().unwrap();
        let (two, _guard2) = parent.child().unwrap();
        one.cancel();
        assert!(one.is_cancelled() && !parent.is_cancelled() && !two.is_cancelled());
        parent.cancel();
        assert!(two.check().is_err());
    }

    #[test]
    fn a_late_callback_runs_at_once() {
        let token = Cancel::new().unwrap();
        token.cancel();
        let seen = Arc::new(AtomicBool::new(false));
        let copy = seen.clone();
        let _guard = token.on_cancel(move || copy.store(true, Ordering::SeqCst));
        assert!(seen.load(Ordering::SeqCst));
    }
}
