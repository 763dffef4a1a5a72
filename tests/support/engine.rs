//! An engine on a fresh state folder, and a base state made of Debian's static busybox.

use std::fs;
use std::sync::{Arc, Mutex};

use moonshell::engine::build::{CopyOptions, CopySource, State};
use moonshell::engine::cancel::Cancel;
use moonshell::engine::progress::{Event, Sink};
use moonshell::engine::{Config, Engine};

/// An engine and what it works in.
pub struct Host {
    /// Holds `state/`, and whatever a test puts beside it.
    pub dir: tempfile::TempDir,
    /// The engine.
    pub engine: Engine,
    /// The outcomes of what it did, as `name: outcome`.
    pub events: Arc<Mutex<Vec<String>>>,
}

struct Recorder(Arc<Mutex<Vec<String>>>);

impl Sink for Recorder {
    fn event(&self, event: Event) {
        if let Event::End { outcome, .. } = event {
            self.0.lock().unwrap().push(outcome);
        }
    }
}

/// A fresh engine.
pub fn host() -> Host {
    let dir = tempfile::tempdir().unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let config = Config::new(dir.path().join("state"), env!("CARGO_BIN_EXE_moonshell"), Cancel::new().unwrap());
    let engine = Engine::open(Config { progress: Arc::new(Recorder(events.clone())), ..config }).unwrap();
    Host { dir, engine, events }
}

/// A small root file system in a folder.
pub fn busybox_root(root: &std::path::Path) {
    for folder in ["bin", "etc", "tmp"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is missing: run `make test`");
    for name in
        "sh cat ls id pwd sleep echo mknod hostname mount env tty stty true rm mkdir stat head wc touch kill".split(' ')
    {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nann:x:1000:\nwheel:x:10:ann\n").unwrap();
}

/// A state with that file system.
pub fn busybox(host: &Host) -> State {
    let root = host.dir.path().join("busybox");
    busybox_root(&root);
    let from = CopySource::Host(host.dir.path().to_path_buf());
    let state = State::scratch()
        .copy(&host.engine, &from, &["busybox".into()], "/", &CopyOptions::default())
        .expect("the base of the tests");
    host.events.lock().unwrap().clear();
    state
}
