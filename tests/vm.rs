//! The program on another kind of host: an older kernel (Debian's, 6.1) with cgroup v2 alone, booted in a virtual
//! machine without hardware support.

#![cfg(target_arch = "x86_64")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn cache() -> PathBuf {
    match std::env::var_os("MOONSHELL_TEST_CACHE") {
        Some(dir) => dir.into(),
        None => PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/moonshell-tests"),
    }
}

fn only_entry(dir: &Path) -> PathBuf {
    let mut entries = std::fs::read_dir(dir).unwrap_or_else(|_| panic!("no {}: run `make test`", dir.display()));
    entries.next().unwrap().unwrap().path()
}

#[test]
fn an_older_kernel_with_cgroup_v2() {
    let kernel = cache().join("kernel");
    let modules = only_entry(&kernel.join("lib/modules"));
    let release = modules.file_name().unwrap().to_str().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let initrd = dir.path().join("initrd");
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm");
    let made = Command::new(tests.join("initrd.sh"))
        .args([Path::new(env!("CARGO_BIN_EXE_moonshell")), &modules, &tests.join("check.lua"), &initrd])
        .status()
        .unwrap();
    assert!(made.success());
    let output = Command::new("timeout")
        .args(["120", "qemu-system-x86_64", "-m", "2048", "-nographic", "-no-reboot"])
        .args(["-append", "console=ttyS0 quiet panic=-1", "-kernel"])
        .arg(kernel.join(format!("boot/vmlinuz-{release}")))
        .arg("-initrd")
        .arg(&initrd)
        .stdin(Stdio::null())
        .output()
        .expect("qemu-system-x86_64 is missing: run `make test`");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(&format!("KERNEL {release}")), "the machine did not start:\n{text}");
    assert!(text.contains("ALL GOOD") && text.contains("STATUS 0"), "{text}");
}
