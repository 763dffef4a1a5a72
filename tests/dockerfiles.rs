//! Builds every `tests/dockerfiles/NAME/` with the real program and checks what its `expect.json` says; the README
//! there tells the form. Docker and buildah, where they are installed, build the same files:
//!
//! ```text
//! program/NAME           the program meets the expectation
//! docker/NAME            docker (BuildKit) meets it: the expectation is what others mean by this Dockerfile, too
//! buildah/NAME           so does buildah
//! same/docker/NAME       the program's image and docker's have the same config and files
//! same/buildah/NAME
//! lua/NAME               the script of dockerfile.to_lua makes the same image as the build
//! whole/NAME             whole programs, with packages from where this machine gets its own
//! ```
//!
//! All need root and are skipped, aloud, without it; docker and buildah build only with `MOONSHELL_TEST_PEERS=1`.

#[path = "dockerfiles/runner/mod.rs"]
mod runner;
#[path = "support/stand.rs"]
mod stand;
mod support;

use std::path::Path;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dockerfiles");
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped, needs root: all Dockerfiles");
    }
    let trials: Vec<Trial> = runner::trials(&root).into_iter().map(|trial| trial.with_ignored_flag(!is_root)).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    runner::clear();
    stand::clear();
    conclusion.exit();
}
