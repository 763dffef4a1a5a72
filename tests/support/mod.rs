//! What several test files need: an engine on a folder of its own, and a real registry server.

#![allow(dead_code)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use moonshell::engine::cancel::Cancel;
use moonshell::engine::error::Error;
use moonshell::engine::{Config, Credentials, Engine};

/// A configuration with nothing special on a state folder.
pub fn config(root: &Path) -> Config {
    Config::new(root, env!("CARGO_BIN_EXE_moonshell"), Cancel::new().unwrap())
}

/// An engine whose credentials are always `user:password`.
pub fn with_login(mut config: Config, username: &str, password: &str) -> Config {
    let given = Credentials { username: username.into(), password: password.into() };
    config.credentials = Arc::new(move |_: &str, _: &str| -> Result<_, Error> { Ok(Some(given.clone())) });
    config
}

/// An engine on `root`.
pub fn engine(root: &Path) -> Engine {
    Engine::open(config(root)).unwrap()
}

/// Runs a program that `make test` installs and returns what it printed.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|_| panic!("{program} is missing: run `make test`, which installs it"));
    assert!(output.status.success(), "{program} {arguments:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Debian's registry server on a free loopback port; ends with this value.
pub struct RegistryServer {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl RegistryServer {
    /// Without a password.
    pub fn open() -> RegistryServer {
        RegistryServer::start(None, None)
    }

    /// With one.
    pub fn with_password(username: &str, password: &str) -> RegistryServer {
        RegistryServer::start(Some((username, password)), None)
    }

    /// With TLS: PEM files of a certificate and its key.
    pub fn with_tls(certificate: &Path, key: &Path) -> RegistryServer {
        RegistryServer::start(None, Some((certificate, key)))
    }

    fn start(login: Option<(&str, &str)>, tls: Option<(&Path, &Path)>) -> RegistryServer {
        let dir = tempfile::tempdir().unwrap();
        // The port is free at this moment; the server says whether it got it.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut text = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    \
             enabled: true\nhttp:\n  addr: 127.0.0.1:{port}\n",
            dir.path().join("data").display()
        );
        if let Some((certificate, key)) = tls {
            let (certificate, key) = (certificate.display(), key.display());
            text.push_str(&format!("  tls:\n    certificate: {certificate}\n    key: {key}\n"));
        }
        if let Some((username, password)) = login {
            let file = dir.path().join("htpasswd");
            fs::write(&file, run("htpasswd", &["-Bbn", username, password])).unwrap();
            text.push_str(&format!("auth:\n  htpasswd:\n    realm: test\n    path: {}\n", file.display()));
        }
        let path = dir.path().join("config.yml");
        fs::write(&path, text).unwrap();
        // The shell waits for the end of its standard input, which comes with this value or, where that lives in a
        // static and is never dropped, with this process.
        let script = "docker-registry serve \"$1\" >/dev/null & server=$!; cat; kill $server; wait; rm -rf \"$2\"";
        let mut child = Command::new("sh")
            .args(["-c", script, "sh"])
            .args([&path, &dir.path().to_path_buf()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let listening = log.by_ref().map_while(Result::ok).any(|line| {
            said.push_str(&line);
            line.contains("listening on")
        });
        assert!(listening, "docker-registry did not start (run `make test`, which installs it): {said}");
        // It must never wait for us to read.
        std::thread::spawn(move || log.map_while(Result::ok).for_each(drop));
        TcpStream::connect(("127.0.0.1", port)).unwrap();
        RegistryServer { child, port, _dir: dir }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for RegistryServer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
