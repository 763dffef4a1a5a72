//! Whose turn it is with a container: to start it, to remove it, to change what is written down about it.
//!
//! The turn (`ROOT/locks/container-ID`) is held for moments; the run lock (`ROOT/run/ID`) passes from whoever starts a
//! container to its monitor. A starter holds both until the monitor's socket is there. So whoever has the turn finds
//! one of three: nobody has the run lock; a monitor (or one that is being made) answers on the socket; or a monitor is
//! in its last steps, and the run lock is free in a moment.

use super::super::Engine;
use super::super::error::Result;
use super::super::store::Lock;
use super::super::store::running::RunLock;
use super::client::{Answer, Client};
use super::record;
use super::wire::Order;

/// The right to start or remove a container that is at rest.
pub(super) struct Claim {
    /// Held by the container's monitor later.
    pub run: RunLock,
    turn: Lock,
}

/// What somebody who takes his turn finds.
pub(super) enum Claimed {
    /// It is at rest, and stays so until the claim is dropped.
    Mine(Claim),
    /// It has a monitor, which answers here. It may end at any time, but nobody else starts it meanwhile.
    Served(Client, Turn),
}

/// One's turn with a container that has a monitor.
pub(super) struct Turn(Lock);

impl Claim {
    /// Leaves the run lock to the monitor that was sent its descriptor.
    pub fn hand_over(self) {
        let Claim { run, turn } = self;
        run.hand_over();
        drop(turn);
    }
}

impl Engine {
    /// Waits for one's turn with a container.
    ///
    /// # Errors
    /// `interrupted`, `os`.
    pub(super) fn claim(&self, id: &str) -> Result<Claimed> {
        let turn = self.turn(id)?;
        if let Some(run) = self.store().try_run_lock(id)? {
            return Ok(Claimed::Mine(Claim { run, turn }));
        }
        if let Some(client) = Client::connect(&record::folder(self.store().root(), id))? {
            return Ok(Claimed::Served(client, Turn(turn)));
        }
        Ok(Claimed::Mine(Claim { run: self.store().run_lock(id, self.cancel())?, turn }))
    }

    /// Goes on from a monitor that has ended.
    ///
    /// # Errors
    /// `interrupted`, `os`.
    pub(super) fn claim_after(&self, id: &str, Turn(turn): Turn) -> Result<Claim> {
        Ok(Claim { run: self.store().run_lock(id, self.cancel())?, turn })
    }

    /// After a monitor has gone away without a word: waits until it is dead (its connections may close before its lock
    /// does), writes down what became of the container, and sweeps what is left.
    ///
    /// # Errors
    /// `interrupted`, `os`.
    pub(super) fn bury(&self, id: &str) -> Result<()> {
        loop {
            let (client, _turn) = match self.claim(id)? {
                Claimed::Mine(claim) => {
                    return self.settle_claimed(id, &claim);
                }
                Claimed::Served(client, turn) => (client, turn),
            };
            client.order(&Order::Await, &[])?;
            // Any answer is one of a monitor that lives: somebody has started the container again.
            if !matches!(client.answer(self.cancel(), &|message| self.warn_once(message)), Ok(Answer::Gone)) {
                return Ok(());
            }
        }
    }

    /// Only the turn: to change what is written down.
    ///
    /// # Errors
    /// `interrupted`, `os`.
    pub(super) fn turn(&self, id: &str) -> Result<Lock> {
        self.store().lock_object(&format!("container-{id}"), self.cancel())
    }
}
