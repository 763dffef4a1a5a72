//! The program on a home and a state folder of its own.

#![allow(dead_code)]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::engine;

/// A home with a state folder of its own.
pub struct Home {
    /// The home; also the current folder.
    pub dir: TempDir,
}

impl Home {
    /// Nothing in it.
    pub fn new() -> Home {
        Home { dir: tempfile::tempdir().unwrap() }
    }

    /// With an image `busybox:1`, also named `registry.example/app:2`; `None`, aloud, without root.
    pub fn with_image() -> Option<Home> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped, needs root");
            return None;
        }
        let home = Home::new();
        engine::busybox_root(&home.dir.path().join("busybox"));
        let code = "build.scratch():copy('busybox/.', '/'):env{PATH='/bin'}:label{kind='test'}:cmd{'sh'}\
                    :commit('busybox:1', {message='made'}) image.tag('busybox:1', 'registry.example/app:2')";
        let (status, _, stderr) = home.run(&["-e", code]);
        assert_eq!((status, stderr.as_str()), (0, ""));
        Some(home)
    }

    /// The program, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moonshell"));
        command.current_dir(self.dir.path()).env_clear().env("HOME", self.dir.path()).env("PATH", "/usr/bin:/bin");
        command.env("MOONSHELL_ROOT", self.dir.path().join("root")).args(["--progress", "none"]).args(arguments);
        command.stdin(Stdio::null());
        command
    }

    /// Status, output and error output.
    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        parts(self.command(arguments).output().unwrap())
    }

    /// The output of a command that must work and say nothing else.
    pub fn out(&self, arguments: &[&str]) -> String {
        let (status, stdout, stderr) = self.run(arguments);
        assert_eq!((status, stderr.as_str()), (0, ""), "{arguments:?}: {stdout}");
        stdout
    }

    /// Puts a file into the user's command folder.
    pub fn add(&self, name: &str, text: &str) {
        let file = self.dir.path().join(".local/share/moonshell/commands").join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    /// Puts a file of `tests/commands` there.
    pub fn add_test(&self, name: &str) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/commands").join(name);
        self.add(name, &std::fs::read_to_string(path).unwrap());
    }
}

/// Status, output and error output of what has ended.
pub fn parts(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}
