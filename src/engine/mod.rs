//! The container engine: images, layers, containers and builds on one state folder.
//!
//! It knows nothing of Lua, prints nothing and reads no environment variables: the caller passes folders,
//! credentials, a progress sink and a cancel token in [`Config`].

pub mod build;
pub mod cancel;
pub mod container;
pub mod digest;
mod elf;
pub mod error;
pub mod files;
pub mod host;
pub mod host_image;
pub mod image;
pub mod inroot;
pub mod layer;
pub mod progress;
pub mod reference;
pub mod registry;
pub mod rootfs;
pub mod size;
pub mod store;
pub mod suggest;
pub mod sys;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use oci_spec::runtime::Capability;

use cancel::Cancel;
use container::bundle::Filter;
use container::spawner::Spawner;
use error::Result;
use progress::Sink;
use store::Store;

/// User name and password, or an identity token, for one registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user; empty when `password` is an identity token.
    pub username: String,
    /// The password or token.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({}, ...)", self.username)
    }
}

/// Looks up the credentials for a registry host (`127.0.0.1:5000`) and repository.
pub type CredentialSource = Arc<dyn Fn(&str, &str) -> Result<Option<Credentials>> + Send + Sync>;

/// Which proxy to use for which scheme; `no_proxy` is the usual comma-separated list.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// For `http://` registries.
    pub http: Option<String>,
    /// For `https://` registries.
    pub https: Option<String>,
    /// Hosts, domains and addresses reached directly.
    pub no_proxy: Option<String>,
}

/// Bounds on what an image from outside may make this host do.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Unpacked bytes of one layer; more is refused as a decompression bomb.
    pub layer_bytes: u64,
    /// Entries of one layer.
    pub layer_entries: u64,
    /// Bytes of a manifest, index or image configuration.
    pub metadata_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { layer_bytes: 64 << 30, layer_entries: 10_000_000, metadata_bytes: 4 << 20 }
    }
}

/// Everything the engine needs to know about its surroundings.
#[derive(Clone)]
pub struct Config {
    /// The state folder.
    pub root: PathBuf,
    /// The engine's own executable, started again for each container's monitor.
    pub executable: PathBuf,
    /// The host's resolver configuration, copied into containers that share the host's network.
    pub resolv_conf: PathBuf,
    /// Registries (host:port) spoken to without TLS, besides loopback addresses.
    pub insecure_registries: Vec<String>,
    /// Where passwords come from.
    pub credentials: CredentialSource,
    /// Proxies.
    pub proxies: Proxies,
    /// Bounds on images from outside.
    pub limits: Limits,
    /// Clamp for all times in what is built, in seconds since 1970.
    pub source_date_epoch: Option<i64>,
    /// False makes every build step run again.
    pub use_cache: bool,
    /// Receives progress.
    pub progress: Arc<dyn Sink>,
    /// Stops everything.
    pub cancel: Cancel,
}

impl Config {
    /// The usual: no passwords, no proxies, default bounds, cached steps, silence.
    pub fn new(root: impl Into<PathBuf>, executable: impl Into<PathBuf>, cancel: Cancel) -> Config {
        Config {
            root: root.into(),
            executable: executable.into(),
            resolv_conf: "/etc/resolv.conf".into(),
            insecure_registries: Vec::new(),
            credentials: Arc::new(|_, _| Ok(None)),
            proxies: Proxies::default(),
            limits: Limits::default(),
            source_date_epoch: None,
            use_cache: true,
            progress: Arc::new(progress::Silent),
            cancel,
        }
    }
}

/// A handle on one state folder. Cloning is cheap; clones share everything but, after [`Engine::with_cancel`], the
/// cancel token.
#[derive(Clone)]
pub struct Engine {
    config: Arc<Config>,
    store: Arc<Store>,
    cancel: Cancel,
    shared: Arc<Shared>,
}

/// What is made when first needed, once for all clones of an engine.
#[derive(Default)]
struct Shared {
    spawner: Mutex<Option<Arc<Spawner>>>,
    // Compiled seccomp programs in memory files, by capabilities.
    filters: Mutex<Vec<(HashSet<Capability>, Arc<Filter>)>>,
    // Whether the default AppArmor profile is loaded, once somebody has looked.
    apparmor: Mutex<Option<bool>>,
    warned: Mutex<HashSet<String>>,
    session: build::record::Session,
}

impl Engine {
    /// Opens (and on first use creates) the state folder, and sweeps what killed processes left behind.
    ///
    /// # Errors
    /// `permission` or `os` when the folder cannot be made or written; `unsupported` when a newer version made it.
    pub fn open(config: Config) -> Result<Engine> {
        let store = Store::open_with(&config.root, |id| container::removal::remove_unborn(&config.root, id))?;
        let cancel = config.cancel.clone();
        let engine = Engine { config: Arc::new(config), store: Arc::new(store), cancel, shared: Arc::default() };
        engine.settle()?;
        Ok(engine)
    }

    /// The same engine, its operations stopped by another token.
    pub fn with_cancel(&self, cancel: Cancel) -> Engine {
        Engine { cancel, ..self.clone() }
    }

    /// The same engine with other bounds on images from outside.
    pub fn with_limits(&self, limits: Limits) -> Engine {
        Engine { config: Arc::new(Config { limits, ..self.config.as_ref().clone() }), ..self.clone() }
    }

    /// What the engine was opened with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The state folder.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The token that stops this handle's operations.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// What the builds of this process have in common.
    fn session(&self) -> &build::record::Session {
        &self.shared.session
    }

    /// Where progress goes.
    pub fn progress(&self) -> &Arc<dyn Sink> {
        &self.config.progress
    }

    /// The same, but each message only once in the engine's life.
    pub fn warn_once(&self, message: String) {
        if self.shared.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(message.clone()) {
            self.warn(message);
        }
    }

    /// A compiled seccomp program for these capabilities, made by `make` the first time.
    fn cached_filter(
        &self,
        capabilities: &HashSet<Capability>,
        make: impl FnOnce() -> Result<Filter>,
    ) -> Result<Arc<Filter>> {
        let mut filters = self.shared.filters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, filter)) = filters.iter().find(|(key, _)| key == capabilities) {
            return Ok(filter.clone());
        }
        let made = Arc::new(make()?);
        filters.push((capabilities.clone(), made.clone()));
        Ok(made)
    }

    /// Reports something the user should know although the operation goes on.
    pub fn warn(&self, message: impl Into<String>) {
        self.config.progress.event(progress::Event::Warning(message.into()));
    }
}
