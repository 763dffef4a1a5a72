//! Which name ends up where.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use moonshell::engine::container::files::CopyOptions;

use crate::Scene;

#[derive(Clone, Copy)]
enum Way {
    In,
    Out,
    /// The same, a source that is a link followed.
    InFollow,
    OutFollow,
    /// The same, folders and other things replacing each other.
    InOver,
    OutOver,
}
use Way::*;

/// What must be there afterwards: `path=content`, `path/` a folder, `path->target` a link, `path|` a pipe, `!path`
/// nothing; or the error: its kind and the end of its text (causes included).
enum Want {
    Found(&'static [&'static str]),
    Fails(&'static str, &'static str),
}
use Want::{Fails, Found};

fn check(root: &Path, want: &str) -> bool {
    if let Some(path) = want.strip_prefix('!') {
        return fs::symlink_metadata(root.join(path)).is_err();
    }
    if let Some((path, target)) = want.split_once("->") {
        return fs::read_link(root.join(path)).is_ok_and(|found| found == Path::new(target));
    }
    if let Some((path, content)) = want.split_once('=') {
        return fs::symlink_metadata(root.join(path)).is_ok_and(|meta| meta.is_file())
            && fs::read(root.join(path)).is_ok_and(|found| found == content.as_bytes());
    }
    if let Some(path) = want.strip_suffix('|') {
        return fs::symlink_metadata(root.join(path)).is_ok_and(|meta| meta.file_type().is_fifo());
    }
    fs::symlink_metadata(root.join(want.trim_end_matches('/'))).is_ok_and(|meta| meta.is_dir())
}

#[rustfmt::skip]
fn rows() -> Vec<(Way, &'static str, &'static str, Want)> {
    vec![
        // A file.
        (In, "file", "/new", Found(&["root/new=host file"])),
        (In, "file", "new", Found(&["root/new=host file"])),
        (In, "file", "/file", Found(&["root/file=host file"])),
        (In, "file", "/data", Found(&["root/data/file=host file", "root/data/x=x"])),
        (In, "file", "/data/", Found(&["root/data/file=host file"])),
        (In, "file", "/data/.", Found(&["root/data/file=host file"])),
        (In, "file", "/", Found(&["root/file=host file"])),
        (In, "file", "/data/../etc/up/n", Found(&["root/data/n=host file"])),
        (In, "file", "/../../n", Found(&["root/n=host file"])),
        (In, "file", "/new/", Fails("not_found", "into '/new/' of the container: no such folder")),
        (In, "file", "/no/new", Fails("not_found", "to '/no/new' of the container: '/no' does not exist")),
        (In, "file", "/file/new", Fails("not_found", "'/file' is not a folder")),
        (In, "file", "/file/", Fails("invalid_argument", "into '/file/' of the container: it is not a folder")),
        (In, "file", "", Fails("invalid_argument", "the path in the container is empty")),
        (In, "nothing", "/", Fails("not_found", "host/nothing' of the host: no such file or folder")),
        (In, "file/", "/", Fails("invalid_argument", "of the host: it is not a folder")),
        (In, "file/.", "/", Fails("invalid_argument", "of the host: it is not a folder")),
        (Out, "/file", "new", Found(&["host/new=root file"])),
        (Out, "file", "new", Found(&["host/new=root file"])),
        (Out, "/file", "file", Found(&["host/file=root file"])),
        (Out, "/file", "dir", Found(&["host/dir/file=root file", "host/dir/inner=inner"])),
        (Out, "/file", "dir/", Found(&["host/dir/file=root file"])),
        (Out, "/file", "new/", Fails("not_found", "host/new/' of the host: no such folder")),
        (Out, "/file", "no/new", Fails("not_found", "host/no' does not exist")),
        (Out, "/file", "file/new", Fails("not_found", "host/file' is not a folder")),
        (Out, "/file", "file/", Fails("invalid_argument", "host/file/' of the host: it is not a folder")),
        (Out, "/nothing", "new", Fails("not_found", "cannot copy '/nothing' of the container: no such file or folder")),
        (Out, "/file/", "new", Fails("invalid_argument", "cannot copy '/file/' of the container: it is not a folder")),
        (Out, "/file/x", "new", Fails("invalid_argument", "cannot copy '/file/x' of the container: it is not a folder")),
        (Out, "", "new", Fails("invalid_argument", "the path in the container is empty")),
        // A folder.
        (In, "dir", "/new", Found(&["root/new/inner=inner", "root/new/sub/deep=deep", "!root/new/dir"])),
        (In, "dir", "/new/", Found(&["root/new/inner=inner"])),
        (In, "dir/.", "/new", Found(&["root/new/inner=inner"])),
        (In, "dir", "/data", Found(&["root/data/dir/sub/deep=deep", "root/data/x=x"])),
        (In, "dir/", "/data", Found(&["root/data/dir/inner=inner"])),
        (In, "dir/.", "/data", Found(&["root/data/inner=inner", "root/data/sub/deep=deep", "!root/data/dir"])),
        (In, "dir/sub/..", "/data", Found(&["root/data/dir/inner=inner"])),
        (In, "dir", "/file", Fails("invalid_argument", "host/dir' of the host onto '/file' of the container: it is not a folder")),
        (In, "dir", "/no/new", Fails("not_found", "'/no' does not exist")),
        (In, "full/.", "/", Found(&["root/dir/old=old"])),
        (Out, "/data", "new", Found(&["host/new/x=x", "host/new/y/z=z"])),
        (Out, "/data/.", "new", Found(&["host/new/x=x"])),
        (Out, "/data", "dir", Found(&["host/dir/data/y/z=z", "host/dir/inner=inner"])),
        (Out, "/data/.", "dir", Found(&["host/dir/x=x", "host/dir/y/z=z"])),
        (Out, "/data/y/..", "dir", Found(&["host/dir/data/x=x"])),
        (Out, "/data", "file", Fails("invalid_argument", "cannot copy folder '/data' of the container onto '")),
        (Out, "/", "new", Found(&["host/new/data/x=x", "host/new/to-dir->/data", "host/new/fifo|"])),
        (Out, "/empty", "dir/", Found(&["host/dir/empty/"])),
        // Links.
        (In, "to-file", "/new", Found(&["root/new->file"])),
        (InFollow, "to-file", "/new", Found(&["root/new=host file"])),
        (InFollow, "to-file", "/data", Found(&["root/data/to-file=host file"])),
        (In, "to-dir", "/new", Found(&["root/new->dir"])),
        (In, "to-dir/", "/new", Found(&["root/new/inner=inner"])),
        (InFollow, "to-dir", "/data", Found(&["root/data/to-dir/inner=inner"])),
        (In, "dangling", "/new", Found(&["root/new->nowhere"])),
        (InFollow, "dangling", "/new", Fails("not_found", "no such file or folder")),
        (In, "file", "/to-file", Found(&["root/to-file->/etc/passwd", "root/etc/passwd=host file"])),
        (In, "file", "/to-dir", Found(&["root/data/file=host file"])),
        (In, "dir", "/to-dir", Found(&["root/data/dir/inner=inner"])),
        (In, "file", "/dangling", Found(&["root/nowhere=host file"])),
        (In, "file", "/loop", Fails("os", "too many levels of symbolic links")),
        (Out, "/to-file", "new", Found(&["host/new->/etc/passwd"])),
        (OutFollow, "/to-file", "new", Found(&["host/new=root:x:0:0"])),
        (OutFollow, "/to-file", "dir", Found(&["host/dir/to-file=root:x:0:0"])),
        (Out, "/to-dir", "new", Found(&["host/new->/data"])),
        (Out, "/to-dir/", "new", Found(&["host/new/x=x"])),
        (Out, "/to-dir/.", "dir", Found(&["host/dir/x=x"])),
        (Out, "/etc/up/x", "new", Found(&["host/new=x"])),
        (OutFollow, "/loop", "new", Fails("os", "too many levels of symbolic links")),
        (Out, "/loop", "new", Found(&["host/new->loop"])),
        (Out, "/file", "to-dir", Found(&["host/dir/file=root file"])),
        (Out, "/file", "to-file", Found(&["host/to-file=root file", "host/file=host file"])),
        (Out, "/file", "dangling", Found(&["host/dangling=root file", "!host/nowhere"])),
        (Out, "/out/file", "new", Fails("not_found", "no such file or folder")),
        (OutFollow, "/out", "new", Fails("not_found", "no such file or folder")),
        (Out, "/out", "new", Found(&["!root/new"])),
        (In, "file", "/out/file", Fails("not_found", "does not exist")),
        // Folders and other things in each other's place.
        (In, "dir/inner", "/full", Found(&["root/full/inner=inner"])),
        (In, "full", "/", Found(&["root/full/dir/old=old", "root/full/data/old=old"])),
        (In, "to-dir", "/", Fails("invalid_argument", "")),
        (In, "dir/sub", "/to-file", Fails("invalid_argument", "it is not a folder")),
        (InOver, "dir", "/file", Fails("invalid_argument", "it is not a folder")),
        (InOver, "replace/.", "/", Found(&["root/data=now a file", "root/file/inner=inner"])),
        (In, "replace/.", "/", Fails("invalid_argument", "'data': what is no folder cannot take the place of one")),
        (OutOver, "/full/.", "full", Found(&["host/full/data/old=old"])),
        (Out, "/full/.", "full", Found(&["host/full/data/old=old", "host/full/dir/old=old"])),
        // Pipes.
        (In, "fifo", "/new", Found(&["root/new|"])),
        (Out, "/fifo", "new", Found(&["host/new|"])),
        (In, "socket", "/new", Fails("unsupported", "host/socket' of the host: it is a socket")),
    ]
}

#[test]
fn rows_of_copies() {
    for (way, source, target, want) in rows() {
        let scene = Scene::new();
        let before = crate::hostile::snapshot(&scene.path("canary"));
        fs::create_dir_all(scene.path("host/replace/file")).unwrap();
        fs::write(scene.path("host/replace/data"), "now a file").unwrap();
        fs::write(scene.path("host/replace/file/inner"), "inner").unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(scene.path("host/socket")).unwrap();
        if source == "to-dir" && target == "/" {
            fs::remove_file(scene.path("root/to-dir")).unwrap();
            fs::create_dir(scene.path("root/to-dir")).unwrap();
        }
        let options = CopyOptions {
            follow: matches!(way, InFollow | OutFollow),
            no_overwrite_dir_non_dir: !matches!(way, InOver | OutOver),
            ..CopyOptions::default()
        };
        let result = match way {
            In | InFollow | InOver => scene.copy_in(source, target, &options),
            Out | OutFollow | OutOver => scene.copy_out(source, target, &options),
        };
        let row = format!("{source} to {target}");
        match want {
            Found(list) => {
                result.unwrap_or_else(|e| panic!("{row}: {e:?}"));
                for want in list {
                    assert!(check(scene.dir.path(), want), "{row}: not so: {want}");
                }
            }
            Fails(kind, text) => {
                let error = result.expect_err(&row);
                let all = format!("{error:?}");
                assert!(error.kind().name() == kind && all.contains(text), "{row}: {all}");
            }
        }
        assert_eq!(crate::hostile::snapshot(&scene.path("canary")), before, "{row}: the canary changed");
        let left: Vec<_> = walk(scene.dir.path()).into_iter().filter(|path| path.contains(".moonshell-")).collect();
        assert!(left.is_empty(), "{row}: {left:?}");
    }
}

/// All paths below a folder.
pub fn walk(folder: &Path) -> Vec<String> {
    let mut list = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        list.push(entry.path().display().to_string());
        if entry.file_type().unwrap().is_dir() {
            list.extend(walk(&entry.path()));
        }
    }
    list.sort();
    list
}

#[test]
fn a_folder_is_not_copied_into_itself() {
    let scene = Scene::new();
    let root = crate::open(&scene.path("host"));
    for (source, target) in [("dir", "dir/sub"), ("dir", "dir"), ("dir", "dir/new"), ("dir/.", "dir"), (".", "full")] {
        let source = std::path::PathBuf::from(format!("{}/{source}", scene.path("host").display()));
        let options = CopyOptions::default();
        let error = moonshell::engine::container::files::copy_in(
            std::os::fd::AsFd::as_fd(&root),
            &source,
            target,
            &options,
            &scene.cancel,
        );
        let error = format!("{:?}", error.unwrap_err());
        assert!(error.contains("cannot copy a folder into itself"), "{target}: {error}");
    }
}
