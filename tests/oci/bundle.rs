//! A bundle in a temporary folder, and the runtime on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// A bundle; its containers are gone when it is dropped.
pub struct Bundle {
    dir: tempfile::TempDir,
    pub config: Value,
}

/// True as root; says that the test is skipped otherwise.
pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: needs root");
    }
    root
}

impl Bundle {
    /// A bundle whose process is a shell with this script.
    pub fn new(script: &str) -> Bundle {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("rootfs");
        crate::engine::busybox_root(&root);
        for name in ["ps", "readlink", "grep", "tr"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        let names = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_MKNOD", "CAP_DAC_OVERRIDE"];
        let kinds = ["pid", "mount", "ipc", "uts", "network", "cgroup"];
        let namespaces: Vec<Value> = kinds.iter().map(|kind| json!({ "type": kind })).collect();
        let config = json!({
            "ociVersion": "1.2.0",
            "root": { "path": "rootfs" },
            "process": {
                "args": ["/bin/sh", "-c", script],
                "env": ["PATH=/bin"],
                "cwd": "/",
                "user": { "uid": 0, "gid": 0 },
                "capabilities": { "bounding": names, "effective": names, "permitted": names },
                "noNewPrivileges": true,
            },
            "hostname": "box",
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                  "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
                { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
                  "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] },
                { "destination": "/sys", "type": "sysfs", "source": "sysfs",
                  "options": ["nosuid", "noexec", "nodev", "ro"] },
            ],
            "linux": { "namespaces": namespaces },
        });
        Bundle { dir, config }
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A name for a container that no other test has.
    pub fn id(&self, name: &str) -> String {
        let own = self.path().file_name().unwrap().to_string_lossy().replace('.', "");
        format!("t{own}-{name}")
    }

    /// The root file system's folder.
    pub fn root(&self) -> PathBuf {
        self.path().join("rootfs")
    }

    pub fn mount(&mut self, mount: Value) {
        self.config["mounts"].as_array_mut().unwrap().push(mount);
    }

    /// Replaces the namespaces.
    pub fn namespaces(&mut self, list: Value) {
        self.config["linux"]["namespaces"] = list;
    }

    /// The runtime with arguments, its own folder of states, and the specification as it is now.
    pub fn command(&self, arguments: &[&str]) -> Command {
        fs::write(self.path().join("config.json"), serde_json::to_vec(&self.config).unwrap()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_moonshell"));
        command.arg("oci").arg("--root").arg(self.path().join("state")).args(arguments).current_dir(self.path());
        command.stdin(Stdio::null()).env_remove("LISTEN_FDS");
        command
    }

    /// Runs a command of the runtime. A container's streams are files, as it may live longer than the command.
    pub fn oci(&self, arguments: &[&str]) -> Output {
        let (out, err) = (self.path().join("out"), self.path().join("err"));
        // Fresh ones: an earlier container may still write into those of its command.
        let file = |path: &Path| {
            let _ = fs::remove_file(path);
            fs::File::create(path).unwrap()
        };
        let status = self.command(arguments).stdout(file(&out)).stderr(file(&err)).status().unwrap();
        Output { status, stdout: fs::read(&out).unwrap(), stderr: fs::read(&err).unwrap() }
    }

    /// The same, which must succeed; returns what it printed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.oci(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_string();
        assert!(output.status.success(), "{arguments:?}: {}: {}", output.status, text(&output.stderr));
        text(&output.stdout)
    }

    /// The same, which must fail with status 1; returns the line it printed.
    pub fn fails(&self, arguments: &[&str]) -> String {
        let output = self.oci(arguments);
        let text = String::from_utf8_lossy(&output.stderr).trim_end().to_string();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(!text.is_empty() && !text.contains('\n'), "{arguments:?}: {text}");
        text
    }

    /// Runs a container in the foreground; returns what it printed.
    pub fn run(&self) -> String {
        self.ok(&["run", &self.id("run")])
    }

    pub fn status(&self, id: &str) -> String {
        let state: Value = serde_json::from_str(&self.ok(&["state", id])).unwrap();
        state["status"].as_str().unwrap().to_string()
    }

    /// Waits until a file is there (made by a container or hook) and returns its text.
    pub fn wait_for(&self, name: &str) -> String {
        let path = self.path().join(name);
        for _ in 0..500 {
            match fs::read_to_string(&path) {
                Ok(text) if !text.is_empty() => return text,
                _ => std::thread::sleep(std::time::Duration::from_millis(10)),
            }
        }
        panic!("{} did not come", path.display());
    }

    /// Waits for a status.
    pub fn wait_status(&self, id: &str, status: &str) {
        for _ in 0..500 {
            if self.status(id) == status {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{id} did not become {status}");
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        for id in self.ok(&["list", "-q"]).lines() {
            self.oci(&["delete", "-f", id]);
        }
    }
}
