//! Images made of containers: written to a real store, read back, run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use moonshell::engine::build::{CommitOptions as BuildOptions, State, StepOptions};
use moonshell::engine::container::commit::{CommitOptions, commit};
use moonshell::engine::container::options::Command as Line;
use moonshell::engine::error::Kind;
use moonshell::engine::image::Image;

use crate::engine_support::{Host, busybox, host};

/// Runs a script in an overlay of the image's layers, as a container would write; the upper folder.
fn write(host: &Host, image: &Image, script: &str) -> PathBuf {
    let area = tempfile::tempdir_in(host.dir.path()).unwrap().keep();
    for folder in ["upper", "work", "merged"] {
        fs::create_dir(area.join(folder)).unwrap();
    }
    let mut lowers: Vec<String> =
        host.engine.image_lowers(image).unwrap().iter().rev().map(|path| path.display().to_string()).collect();
    lowers.push(host.engine.store().skeleton().unwrap().display().to_string());
    let at = |name: &str| area.join(name).display().to_string();
    let options = format!(
        "lowerdir={},upperdir={},workdir={},redirect_dir=nofollow,metacopy=off,index=off",
        lowers.join(":"),
        at("upper"),
        at("work")
    );
    assert!(
        Command::new("mount").args(["-t", "overlay", "x", "-o", &options, &at("merged")]).status().unwrap().success()
    );
    let done = Command::new("sh").arg("-ec").arg(script).current_dir(area.join("merged")).status();
    assert!(Command::new("umount").arg(at("merged")).status().unwrap().success());
    assert!(done.unwrap().success());
    area.join("upper")
}

fn base(host: &Host) -> Image {
    busybox(host).commit(&host.engine, &[], &BuildOptions::default()).unwrap()
}

#[test]
fn a_container_becomes_an_image_that_runs() {
    let host = host();
    let engine = &host.engine;
    let image = base(&host);
    let upper = write(
        &host,
        &image,
        "echo new > new; rm etc/group; rm -r tmp; mkdir tmp; mkdir -p data/volume; chmod 4755 bin/busybox; ln new again",
    );
    let options = CommitOptions {
        message: Some("a remark".into()),
        author: Some("ann".into()),
        changes: vec!["ENV A=b".into(), r#"CMD ["cat", "/new"]"#.into(), "WORKDIR /tmp".into()],
        command: Some("sh -c something".into()),
        mounts: vec!["/data/volume".into()],
        ..CommitOptions::default()
    };
    let name = "committed:1".parse().unwrap();
    let made = commit(engine, &image, &upper, Some(&name), &options).unwrap();
    let found = engine.image_get("committed:1").unwrap().unwrap();
    assert_eq!((found.id, found.layers.len()), (made.id, image.layers.len() + 1));
    assert_eq!(found.layers[..image.layers.len()], image.layers[..]);
    let config = &found.config;
    assert_eq!((config.author.as_deref(), config.config.working_dir.as_str()), (Some("ann"), "/tmp"));
    assert_eq!(config.config.cmd.as_deref().unwrap(), ["cat", "/new"]);
    let last = config.history.last().unwrap();
    assert_eq!((last.comment.as_deref(), last.created_by.as_deref()), (Some("a remark"), Some("sh -c something")));
    assert!(!last.empty_layer && last.created == config.created && last.created.is_some());
    // Unpacked again from its blob.
    let lowers = engine.image_lowers(&found).unwrap();
    let top = lowers.last().unwrap();
    assert!(top.join("new").exists() && !top.join("data").exists());
    let state = State::from_image(engine, &found).unwrap();
    let out = state.out(
        engine,
        &Line::Line("cat /new /again; echo $A; pwd; ls -d /etc/group /data 2>&1; ls -l /bin/busybox".into()),
        &StepOptions::default(),
    );
    let out = String::from_utf8(out.unwrap_or_else(|e| panic!("{e:?} {:?}", e.exit()))).unwrap();
    assert!(out.starts_with("new\nnew\nb\n/tmp\n"), "{out}");
    assert!(out.contains("/etc/group: No such file") && out.contains("/data: No such file"), "{out}");
    assert!(out.contains("-rwsr-xr-x"), "{out}");
}

#[test]
fn a_container_that_changed_nothing_adds_no_layer() {
    let host = host();
    let image = base(&host);
    let upper = write(&host, &image, "mkdir -p data");
    let options = CommitOptions { mounts: vec!["/data".into()], ..CommitOptions::default() };
    let made = commit(&host.engine, &image, &upper, None, &options).unwrap();
    assert_eq!(made.layers, image.layers);
    assert!(made.config.history.last().unwrap().empty_layer);
    assert!(host.engine.image_get(&made.id.hex()).unwrap().is_some());
}

#[test]
fn an_image_without_a_name_will_do_and_wrong_changes_make_nothing() {
    let host = host();
    let engine = &host.engine;
    let name = "base:1".parse().unwrap();
    let image = busybox(&host).commit(engine, &[name], &BuildOptions::default()).unwrap();
    let upper = write(&host, &image, "echo x > x");
    let before = engine.image_list().unwrap().len();
    let options = CommitOptions { changes: vec!["EXPOSE many".into()], ..CommitOptions::default() };
    let error = commit(engine, &image, &upper, None, &options).unwrap_err();
    assert!(error.kind() == Kind::InvalidArgument && error.message().starts_with("'EXPOSE many': "), "{error:?}");
    assert_eq!(engine.image_list().unwrap().len(), before);
    std::os::unix::fs::symlink("/etc", upper.join("link")).unwrap();
    fs::write(upper.join(".wh.x"), "").unwrap();
    let error = commit(engine, &image, &upper, None, &CommitOptions::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    fs::remove_file(upper.join(".wh.x")).unwrap();
    let made = commit(engine, &image, &upper, Some(&"base:1".parse().unwrap()), &CommitOptions::default()).unwrap();
    assert_eq!(engine.image_get("base:1").unwrap().unwrap().id, made.id);
    // What had the name is still there, without one.
    assert!(engine.image_get(&image.id.hex()).unwrap().is_some());
    let again = commit(engine, &image, &upper, None, &CommitOptions::default()).unwrap();
    assert_eq!(again.layers, made.layers);
    assert!(fs::symlink_metadata(engine.image_lowers(&made).unwrap().last().unwrap().join("link")).is_ok());
    assert!(Path::new("/etc").exists());
}
