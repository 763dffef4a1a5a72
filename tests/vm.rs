//! The program on another kind of host: an older kernel (Debian's, 6.1) with cgroup v2 alone, or with v1 alone,
//! or with AppArmor, booted in a virtual machine without hardware support.

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

/// The newest executable of the tests called `name`, which cargo builds into the folder of this one.
fn tests_called(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let entries = std::fs::read_dir(own.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let named = entries.filter(|path| {
        let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
        file.strip_prefix(name).is_some_and(|rest| rest.starts_with('-')) && !file.contains('.')
    });
    let newest = named.max_by_key(|path| path.metadata().unwrap().modified().unwrap());
    newest.unwrap_or_else(|| panic!("the tests called {name} are not built: run `make test`"))
}

/// Boots the kernel with an initial file system that runs the tests; what the machine printed.
fn boot(parameter: &str) -> String {
    let kernel = cache().join("kernel");
    let modules = only_entry(&kernel.join("lib/modules"));
    let release = modules.file_name().unwrap().to_str().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let initrd = dir.path().join("initrd");
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vm");
    let moonshell = Path::new(env!("CARGO_BIN_EXE_moonshell"));
    let made = Command::new(tests.join("initrd.sh"))
        .args([
            moonshell,
            &modules,
            &tests,
            &tests_called("cgroups"),
            &tests_called("oci"),
            &cache().join("apparmor"),
            &initrd,
        ])
        .status()
        .unwrap();
    assert!(made.success());
    let output = Command::new("timeout")
        .args(["240", "qemu-system-x86_64", "-m", "2048", "-nographic", "-no-reboot"])
        .args(["-append", &format!("console=ttyS0 quiet panic=-1 {parameter}"), "-kernel"])
        .arg(kernel.join(format!("boot/vmlinuz-{release}")))
        .arg("-initrd")
        .arg(&initrd)
        .stdin(Stdio::null())
        .output()
        .expect("qemu-system-x86_64 is missing: run `make test`");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains(&format!("KERNEL {release}")), "the machine did not start:\n{text}");
    text
}

#[test]
fn an_older_kernel_with_cgroup_v2() {
    let text = boot("");
    assert!(text.contains("ALL GOOD") && text.contains("STATUS 0"), "{text}");
    assert!(text.contains("LASTING GOOD") && text.contains("LASTING 0"), "{text}");
    assert!(text.contains("test result: ok") && text.contains("CGROUPS 0, LEFT 0"), "{text}");
    assert!(text.contains("OCI 0, LEFT 0"), "{text}");
}

#[test]
fn an_older_kernel_with_cgroup_v1() {
    let text = boot("cgroups=v1");
    assert!(text.contains("LASTING GOOD") && text.contains("LASTING 0"), "{text}");
    assert!(text.contains("test result: ok") && text.contains("CGROUPS 0, LEFT 0"), "{text}");
    assert!(text.contains("OCI 0, LEFT 0"), "{text}");
}

#[test]
fn containers_with_apparmor() {
    let text = boot("tests=apparmor");
    assert!(text.contains("APPARMOR GOOD") && text.contains("APPARMOR 0"), "{text}");
}
