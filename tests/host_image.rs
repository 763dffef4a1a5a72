//! The files found for a program are enough to run it in a root of its own. Needs root (chroot).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use moonshell::engine::host_image::{HostFile, HostSource, host_files};

fn lay_out(files: &[HostFile], root: &Path) {
    for file in files {
        let path = root.join(file.path_in_image.strip_prefix("/").unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match &file.source {
            HostSource::File(source) => {
                fs::copy(source, &path).unwrap();
            }
            HostSource::Symlink(target) => symlink(target, &path).unwrap(),
        }
    }
}

fn chroot(root: &Path, script: &str) -> String {
    let output = Command::new("chroot")
        .arg(root)
        .args(["/bin/sh", "-c", script])
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn programs_run_in_their_own_root() {
    let programs = ["/bin/sh", "/bin/ls", "/bin/cat"].map(PathBuf::from);
    let files = host_files(&programs).unwrap();
    let root = tempfile::tempdir().unwrap();
    lay_out(&files, root.path());
    let names: BTreeSet<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let listed = chroot(root.path(), "/bin/ls /");
    assert_eq!(listed.lines().map(Into::into).collect::<BTreeSet<_>>(), names);
    fs::write(root.path().join("hello"), "from inside\n").unwrap();
    assert_eq!(chroot(root.path(), "cat /hello"), "from inside\n");
    assert_eq!(host_files(&programs).unwrap(), files, "the same again");
    for file in &files {
        assert!(file.path_in_image.is_absolute(), "{file:?}");
        let mut above = file.path_in_image.ancestors().skip(1);
        assert!(above.all(|folder| !files.iter().any(|other| other.path_in_image == folder)), "{file:?}");
    }
}

#[test]
fn a_script_brings_its_interpreter() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    fs::write(&script, "#!/bin/sh\necho hi\n").unwrap();
    let files = host_files(std::slice::from_ref(&script)).unwrap();
    let shell = fs::canonicalize("/bin/sh").unwrap();
    assert!(files.iter().any(|file| file.path_in_image == script));
    assert!(files.iter().any(|file| file.source == HostSource::File(shell.clone())));
}

/// A program with one library of its own, found through `$ORIGIN`, and the error when it is gone.
#[test]
fn libraries_beside_the_program() {
    if Command::new("cc").arg("--version").output().is_err() {
        eprintln!("skipped: no C compiler");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("lib")).unwrap();
    fs::create_dir_all(at("bin")).unwrap();
    fs::write(at("one.c"), "int one(void) { return 1; }").unwrap();
    fs::write(at("main.c"), "int one(void); int main(void) { return one() - 1; }").unwrap();
    let cc = |arguments: &[&str]| {
        let output = Command::new("cc").current_dir(dir.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    cc(&["-shared", "-fPIC", "-Wl,-soname,libone.so.1", "-o", "lib/libone.so.1.2", "one.c"]);
    symlink("libone.so.1.2", at("lib/libone.so.1")).unwrap();
    for (name, flag) in [("runpath", "-Wl,--enable-new-dtags"), ("rpath", "-Wl,--disable-new-dtags")] {
        let out = format!("bin/{name}");
        cc(&["-o", &out, "main.c", "lib/libone.so.1", "-Wl,-rpath,$ORIGIN/../lib", flag]);
        let files = host_files(&[at(&out)]).unwrap();
        let real = fs::canonicalize(dir.path()).unwrap();
        let find =
            |path: &str| files.iter().find(|file| file.path_in_image == real.join(path)).map(|file| &file.source);
        assert_eq!(find("lib/libone.so.1"), Some(&HostSource::Symlink("libone.so.1.2".into())), "{name}");
        assert!(matches!(find("lib/libone.so.1.2"), Some(HostSource::File(_))), "{name}");
        let root = tempfile::tempdir().unwrap();
        lay_out(&files, root.path());
        lay_out(
            &host_files(&["/bin/sh".into()]).unwrap().into_iter().filter(|f| !files.contains(f)).collect::<Vec<_>>(),
            root.path(),
        );
        // Without /proc the dynamic linker takes $ORIGIN from this.
        let origin = real.join("bin");
        chroot(root.path(), &format!("LD_ORIGIN_PATH={} {}", origin.display(), real.join(&out).display()));
    }
    fs::remove_file(at("lib/libone.so.1")).unwrap();
    let error = host_files(&[at("bin/runpath")]).unwrap_err();
    let program = fs::canonicalize(at("bin/runpath")).unwrap();
    let want = format!("library 'libone.so.1', which {} needs, is not on this host", program.display());
    assert_eq!((error.message(), error.kind().name()), (&want[..], "not_found"));
}
