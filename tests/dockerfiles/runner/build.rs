//! Who builds: the program under test, docker (its BuildKit) and buildah; each leaves an archive of the image.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::case::{Case, Expect};
use super::check::Outcome;
use super::stand::{Archives, Registries};

/// The program on a state folder that knows the image `busybox`.
pub struct Program {
    /// The state folder and the home.
    pub dir: tempfile::TempDir,
}

type Programs = HashMap<&'static str, Result<Arc<Program>, String>>;
static SHARED: Mutex<Option<Programs>> = Mutex::new(None);
type Peers = HashMap<&'static str, Result<Arc<Peer>, String>>;
static PEERS: Mutex<Option<Peers>> = Mutex::new(None);

/// Ends what this file started: values in statics are never dropped by themselves.
pub fn clear() {
    drop(SHARED.lock().unwrap_or_else(PoisonError::into_inner).take());
    drop(PEERS.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// The archive of the base image.
pub fn base() -> Result<PathBuf, String> {
    let variables = Archives::get()?.variables();
    variables.into_iter().find(|(name, _)| name == "BUSYBOX").map(|(_, path)| path.into()).ok_or("no archive".into())
}

/// The digest of its manifest.
pub fn base_digest() -> Result<String, String> {
    let output = Command::new("tar").args(["-xOf"]).arg(base()?).arg("index.json").output();
    let index = output.map_err(|e| format!("tar: {e}"))?.stdout;
    let index: serde_json::Value = serde_json::from_slice(&index).map_err(|e| format!("index.json: {e}"))?;
    index["manifests"][0]["digest"].as_str().map(String::from).ok_or("the base has no digest".into())
}

impl Program {
    /// The one of all trials of this kind. Other kinds have other ones: what they build is not known to these.
    pub fn shared(kind: &'static str) -> Result<Arc<Program>, String> {
        let mut slot = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let programs = slot.get_or_insert_default();
        programs.entry(kind).or_insert_with(|| Program::new().map(Arc::new)).clone()
    }

    /// One of its own.
    pub fn new() -> Result<Program, String> {
        let program = Program { dir: tempfile::tempdir().map_err(|e| e.to_string())? };
        let code = format!("image.tag(image.load('{}')[1], 'busybox')", base()?.display());
        let loaded = program.run(program.dir.path(), &["-e", &code], &HashMap::new(), b"")?;
        if loaded.status == 0 { Ok(program) } else { Err(format!("cannot load busybox: {}", loaded.log)) }
    }

    /// The program with these arguments; it has ten minutes.
    pub fn run(
        &self,
        folder: &Path,
        arguments: &[&str],
        env: &HashMap<String, String>,
        stdin: &[u8],
    ) -> Result<Outcome, String> {
        let mut command = Command::new("timeout");
        command.args(["-k", "5", "600", env!("CARGO_BIN_EXE_moonshell"), "--progress", "plain"]).args(arguments);
        command.current_dir(folder).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.dir.path()).env("MOONSHELL_ROOT", self.dir.path().join("root"));
        command.envs(env);
        finish(command, stdin)
    }

    /// Builds; the image, where there is one, has the case's name.
    pub fn build(&self, case: &Case, build: &Expect) -> Result<Outcome, String> {
        let name = image_name(case);
        let mut words = vec!["build", "-t", &name];
        words.extend(build.args.iter().map(String::as_str));
        words.push(build.context.as_deref().unwrap_or("."));
        let env = build.env.clone().into_iter().collect();
        self.run(case.dir.path(), &words, &env, &case.stdin(build)?)
    }

    /// Writes the image to an archive.
    pub fn save(&self, case: &Case, archive: &Path) -> Result<(), String> {
        let archive = archive.display().to_string();
        let words = ["save", "-o", &archive, "--format", "oci-archive", &image_name(case)];
        let saved = self.run(case.dir.path(), &words, &HashMap::new(), b"")?;
        if saved.status == 0 { Ok(()) } else { Err(format!("cannot save: {}", saved.log)) }
    }
}

/// The name of a case's image.
pub fn image_name(case: &Case) -> String {
    format!("corpus/{}:1", case.name)
}

/// Another builder of Dockerfiles.
pub struct Peer {
    name: &'static str,
    program: PathBuf,
    dir: tempfile::TempDir,
    daemon: Option<Child>,
    /// One build at a time: two of them share this machine's cores with everything else.
    busy: Mutex<()>,
}

impl Peer {
    /// `docker` or `buildah`, started once; the reason when it cannot be had.
    pub fn get(name: &'static str) -> Result<Arc<Peer>, String> {
        let mut peers = PEERS.lock().unwrap_or_else(PoisonError::into_inner);
        let made = peers.get_or_insert_default().entry(name);
        made.or_insert_with(|| Peer::start(name).map(Arc::new)).clone()
    }

    fn start(name: &'static str) -> Result<Peer, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut peer = Peer { name, program: name.into(), dir, daemon: None, busy: Mutex::new(()) };
        let archive = base()?;
        if name == "buildah" {
            let from = format!("oci-archive:{}", archive.display());
            let pulled = peer.command(&["pull", "-q", &from]).output().map_err(|_| "it is not installed")?;
            let id = String::from_utf8_lossy(&pulled.stdout).trim().to_string();
            let tagged = finish(peer.command(&["tag", &id, "docker.io/library/busybox:latest"]), b"")?;
            let said = String::from_utf8_lossy(&pulled.stderr);
            return if tagged.status == 0 {
                Ok(peer)
            } else {
                Err(format!("it does not answer: {said}{}", tagged.log))
            };
        }
        peer.start_daemon()?;
        let plain = peer.dir.path().join("busybox.tar");
        let to = format!("docker-archive:{}:busybox:latest", plain.display());
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "-q", &format!("oci-archive:{}", archive.display()), &to]);
        let copied = finish(skopeo, b"")?;
        if copied.status != 0 {
            return Err(format!("skopeo: {}", copied.log));
        }
        // Several clients may be installed; not each of them can ask for BuildKit.
        let path = std::env::var_os("PATH").unwrap_or_default();
        for program in std::env::split_paths(&path).map(|folder| folder.join("docker")).filter(|file| file.exists()) {
            peer.program = program;
            finish(peer.command(&["load", "-q", "-i", &plain.display().to_string()]), b"")?;
            if finish(peer.command(&["build", "-q", "-"]), b"FROM busybox\nENV a=b\n")?.status == 0 {
                return Ok(peer);
            }
        }
        Err("it does not answer, or no client of it has BuildKit".into())
    }

    fn start_daemon(&mut self) -> Result<(), String> {
        let dir = self.dir.path();
        let path = |name: &str| dir.join(name).display().to_string();
        let mut daemon = Command::new("dockerd");
        daemon.args(["--data-root", &path("data"), "--exec-root", &path("exec"), "-p", &path("pid")]);
        daemon.args(["-H", &format!("unix://{}", path("socket")), "--iptables=false", "--bridge=none"]);
        daemon.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = daemon.spawn().map_err(|_| "it is not installed")?;
        let stderr = child.stderr.take().ok_or("no stderr")?;
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in std::io::BufRead::lines(std::io::BufReader::new(stderr)).map_while(Result::ok) {
                if line.contains("API listen on") {
                    let _ = sender.send(());
                }
            }
        });
        self.daemon = Some(child);
        receiver.recv_timeout(std::time::Duration::from_secs(60)).map_err(|_| "its daemon does not start".into())
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["-k", "5", "600"]).arg(&self.program);
        if self.name == "docker" {
            command.env("DOCKER_HOST", format!("unix://{}", self.dir.path().join("socket").display()));
            command.env("DOCKER_BUILDKIT", "1").env("DOCKER_CONFIG", self.dir.path().join("config"));
        } else {
            let path = |name: &str| self.dir.path().join(name).display().to_string();
            command.args(["--root", &path("root"), "--runroot", &path("run"), "--storage-driver", "vfs"]);
        }
        command.args(words);
        command
    }

    /// Builds a case and writes the image to `archive`.
    pub fn build(&self, case: &Case, build: &Expect, archive: Option<&Path>) -> Result<Outcome, String> {
        let _turn = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let name = image_name(case);
        let mut words = match self.name {
            "docker" => vec!["build", "--progress", "plain", "-t", &name],
            _ => vec![
                "bud",
                "--isolation",
                "chroot",
                "--pull-never",
                "--format",
                "docker",
                "--layers",
                "--identity-label=false",
                "-t",
                &name,
            ],
        };
        // Its daemon has no bridge here.
        if self.name == "docker" && !build.args.iter().any(|word| word == "--network") {
            words.extend(["--network", "none"]);
        }
        words.extend(build.args.iter().map(String::as_str));
        words.push(build.context.as_deref().unwrap_or("."));
        let mut command = self.command(&words);
        command.current_dir(case.dir.path()).envs(&build.env);
        let outcome = finish(command, &case.stdin(build)?)?;
        let Some(archive) = archive.filter(|_| outcome.status == 0) else { return Ok(outcome) };
        let archive = archive.display().to_string();
        let saved = match self.name {
            "docker" => finish(self.command(&["save", "-o", &archive, &name]), b"")?,
            _ => finish(self.command(&["push", "-q", &name, &format!("oci-archive:{archive}")]), b"")?,
        };
        if saved.status == 0 { Ok(outcome) } else { Err(format!("{} cannot save: {}", self.name, saved.log)) }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let pid = rustix::process::Pid::from_child(&daemon);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _ = daemon.wait();
        }
    }
}

/// Runs a program to its end: its status, and what it said on both outputs.
pub fn finish(mut command: Command, stdin: &[u8]) -> Result<Outcome, String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    let input = child.stdin.take();
    let stdin = stdin.to_vec();
    // A program that reads nothing may have ended: its status tells.
    let writer = std::thread::spawn(move || input.map(|mut input| input.write_all(&stdin)).is_some());
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    let _ = writer.join();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok(Outcome { status: output.status.code().unwrap_or(-1), log: text })
}

/// The registries, for what needs Debian.
pub fn registry() -> Result<String, String> {
    static HOST: OnceLock<Result<String, String>> = OnceLock::new();
    let find = || {
        let variables = Registries::get()?.variables();
        variables.into_iter().find(|(name, _)| name == "REGISTRY").map(|(_, host)| host).ok_or("no registry".into())
    };
    HOST.get_or_init(find).clone()
}
