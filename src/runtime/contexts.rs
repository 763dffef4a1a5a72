//! Contexts (whose cancel token do engine calls obey) and jobs (engine calls that run in a thread of their own).
//!
//! A branch of `parallel` has a context; its token is a child of the token of the context it was started in. A job
//! is one engine call made by a branch while others could run. The prelude's loop waits for any job to end.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};

use crate::engine::cancel::{Cancel, OnCancel};
use crate::engine::error::{Error, Kind, OsContext, Result};
use crate::engine::{Config, Engine};

use super::panics;
use crate::bindings::{Done, Failed, Work};

/// The engine, opened by the first call that needs it: `moonshell -e 'print(1)'` makes no state folder.
pub struct Lazy {
    config: Config,
    engine: OnceLock<Engine>,
}

/// What an engine call runs with. May be used in any thread.
#[derive(Clone)]
pub struct Context {
    lazy: Arc<Lazy>,
    cancel: Cancel,
}

impl Context {
    /// The root context of a program.
    pub fn new(config: Config) -> Context {
        let cancel = config.cancel.clone();
        Context { lazy: Arc::new(Lazy { config, engine: OnceLock::new() }), cancel }
    }

    /// The engine, its operations stopped by this context's token.
    ///
    /// # Errors
    /// Those of [`Engine::open`].
    pub fn engine(&self) -> Result<Engine> {
        let engine = match self.lazy.engine.get() {
            Some(engine) => engine,
            None => {
                let opened = Engine::open(self.lazy.config.clone())?;
                self.lazy.engine.get_or_init(|| opened)
            }
        };
        Ok(engine.with_cancel(self.cancel.clone()))
    }

    /// The token that stops what runs in this context.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// What the engine is, or will be, opened with.
    pub fn config(&self) -> &Config {
        &self.lazy.config
    }

    fn with_cancel(&self, cancel: Cancel) -> Context {
        Context { lazy: self.lazy.clone(), cancel }
    }
}

type Finished = (u64, std::result::Result<Done, Failed>);

struct Entry {
    context: Context,
    // Ties the token to its parent's; None for the root and for clean-ups.
    _guard: Option<OnCancel>,
}

/// All contexts and jobs of a program. Lives in the Lua state; used by the thread that runs Lua.
pub struct Branches {
    contexts: RefCell<HashMap<u64, Entry>>,
    current: Cell<u64>,
    next: Cell<u64>,
    done: RefCell<HashMap<u64, std::result::Result<Done, Failed>>>,
    channel: (Sender<Finished>, Receiver<Finished>),
}

const ROOT: u64 = 0;

impl Branches {
    /// Only the root context.
    pub fn new(root: Context) -> Branches {
        let entry = Entry { context: root, _guard: None };
        Branches {
            contexts: RefCell::new(HashMap::from([(ROOT, entry)])),
            current: Cell::new(ROOT),
            next: Cell::new(ROOT + 1),
            done: RefCell::default(),
            channel: channel(),
        }
    }

    fn number(&self) -> u64 {
        let number = self.next.get();
        self.next.set(number + 1);
        number
    }

    fn get(&self, id: u64) -> Option<Context> {
        self.contexts.borrow().get(&id).map(|entry| entry.context.clone())
    }

    /// The context of the code that runs now: one that nothing cancels while an error unwinds a cancelled program.
    pub fn context(&self) -> Context {
        let current = self.current();
        if !super::interrupt::unwinding() {
            return current;
        }
        Cancel::new().map_or(current.clone(), |cancel| current.with_cancel(cancel))
    }

    fn current(&self) -> Context {
        match self.get(self.current.get()).or_else(|| self.get(ROOT)) {
            Some(context) => context,
            // The root context is made with the table and never released.
            None => unreachable!("no root context"),
        }
    }

    /// Makes `id` the current context and returns the one before.
    pub fn switch(&self, id: u64) -> u64 {
        self.current.replace(id)
    }

    /// A new context, cancelled together with the current one.
    pub fn branch(&self) -> Result<u64> {
        let parent = self.current();
        let (cancel, guard) = parent.cancel.child()?;
        let id = self.number();
        let entry = Entry { context: parent.with_cancel(cancel), _guard: Some(guard) };
        self.contexts.borrow_mut().insert(id, entry);
        Ok(id)
    }

    /// A new context that nothing cancels: for clean-ups after a cancellation.
    pub fn masked(&self) -> Result<u64> {
        let id = self.number();
        let entry = Entry { context: self.context().with_cancel(Cancel::new()?), _guard: None };
        self.contexts.borrow_mut().insert(id, entry);
        Ok(id)
    }

    /// Cancels a context.
    pub fn cancel(&self, id: u64) {
        // The token's callbacks run outside the borrow.
        if let Some(context) = self.get(id) {
            context.cancel.cancel();
        }
    }

    /// Forgets a context.
    pub fn release(&self, id: u64) {
        if id != ROOT {
            self.contexts.borrow_mut().remove(&id);
        }
    }

    /// Runs `work` now, in this thread.
    pub fn run(&self, work: Work) -> std::result::Result<Done, Failed> {
        let context = self.context();
        panics::caught(move || work(&context))
    }

    /// Starts `work` in a thread of its own and returns the job's number.
    pub fn start(&self, work: Work) -> Result<u64> {
        let (id, context, sender) = (self.number(), self.context(), self.channel.0.clone());
        let run = move || {
            let result = panics::caught(move || work(&context));
            // The receiver is gone only when the program has ended.
            let _ = sender.send((id, result));
        };
        std::thread::Builder::new().name("call".into()).spawn(run).os(|| "start a thread")?;
        Ok(id)
    }

    /// Waits for the next job to end and returns its number.
    pub fn wait(&self) -> Result<u64> {
        let (id, result) = self.channel.1.recv().map_err(|_| Error::new(Kind::Internal, "no job is left"))?;
        self.done.borrow_mut().insert(id, result);
        Ok(id)
    }

    /// The result of a job that [`Branches::wait`] returned.
    pub fn take(&self, id: u64) -> std::result::Result<Done, Failed> {
        let missing = || Err(Error::new(Kind::Internal, format!("job {id} has no result")).into());
        self.done.borrow_mut().remove(&id).unwrap_or_else(missing)
    }
}
