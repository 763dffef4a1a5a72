//! Examples that people copy: every script in `scripts/`, the Lua blocks of the README, the links of the documents.

use std::path::{Path, PathBuf};
use std::process::Command;

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn run(script: &Path, root: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_moonshell"))
        .args(["--progress", "none", "--root"])
        .arg(root)
        .arg(script)
        .current_dir(project())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {}\n{text}{errors}", script.display(), output.status);
    text
}

#[test]
fn every_script_runs() {
    let root = tempfile::tempdir().unwrap();
    let mut count = 0;
    for entry in std::fs::read_dir(project().join("scripts")).unwrap() {
        let path = entry.unwrap().path();
        // That of packages needs a distribution: `tests/dockerfiles.rs` runs it.
        let runs = path.extension().is_some_and(|ending| ending == "lua") && !path.ends_with("debian_packages.lua");
        if runs {
            run(&path, root.path());
            count += 1;
        }
    }
    assert!(count > 0);
}

#[test]
fn the_quickstart_shows_what_it_promises() {
    let root = tempfile::tempdir().unwrap();
    let text = run(&project().join("scripts/quickstart.lua"), root.path());
    for line in ["hello from a container", "made by moonshell", "hi from the build", "the same digest, from the cache"]
    {
        assert!(text.contains(line), "{line:?} is missing in:\n{text}");
    }
}

#[test]
fn lua_blocks_of_the_readme_run() {
    let readme = std::fs::read_to_string(project().join("README.md")).unwrap();
    let root = tempfile::tempdir().unwrap();
    let blocks: Vec<&str> = readme.split("```lua\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let script = root.path().join("block.lua");
        std::fs::write(&script, block).unwrap();
        let first = run(&script, &root.path().join("state"));
        assert!(first.starts_with("hello\nsha256:"), "{first}");
        assert_eq!(run(&script, &root.path().join("state")), first, "the second run gives the same digest");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for name in ["README.md", "CONTRIBUTING.md", "docs/guide.md", "docs/architecture.md"] {
        let path = project().join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !target.contains("://") {
                let file = path.parent().unwrap().join(target.split('#').next().unwrap());
                assert!(file.exists(), "{name} links to {target}");
            }
        }
    }
}
