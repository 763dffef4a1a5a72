//! Pulls that share work, and pulling again.

use super::*;

#[test]
fn two_pulls_share_the_work() {
    let case = Case::of(Sample::new(4, 20_000));
    let engine = case.engine();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| engine.image_pull(&case.name("test/app:1"), &PullOptions::default()).unwrap());
        }
    });
    for number in 0..4 {
        let path = format!("/v2/test/app/blobs/{}", case.sample.layer_digest(number));
        assert_eq!(case.registry.asked().iter().filter(|asked| asked.path == path).count(), 1);
    }
    drop(engine);
    case.assert_tidy();
}

#[test]
fn a_missing_layer_is_unpacked_from_its_blob() {
    let case = Case::new();
    case.works();
    let engine = case.engine();
    let image = engine.image_get(&case.name("test/app:1").to_string()).unwrap().unwrap();
    std::fs::remove_dir_all(engine.store().layer_fs(&image.layers[0].diff_id.hex()).parent().unwrap()).unwrap();
    let before = case.registry.asked().len();
    assert!(engine.image_lowers(&image).unwrap()[0].join("file0").exists());
    assert_eq!(case.registry.asked().len(), before);
}

#[test]
fn an_image_that_loses_its_name_stays() {
    let case = Case::new();
    case.works();
    let second = Sample::new(2, 3000);
    second.put(&case.registry);
    let policy = moonshell::engine::image::Policy::Always;
    case.pull_with("test/app:1", &PullOptions { policy, ..PullOptions::default() }).unwrap();
    let engine = case.engine();
    let images = engine.image_list().unwrap();
    let old = images.iter().find(|image| image.id == case.sample.config_digest()).unwrap();
    assert_eq!((images.len(), old.names.len()), (2, 0));
    let name: Reference = "kept:1".parse().unwrap();
    engine.image_tag(old, &name).unwrap();
    let again = engine.image_get(&old.id.hex()[..8]).unwrap().unwrap();
    assert_eq!(again.names, std::slice::from_ref(&name));
    engine.image_tag(&again, &"kept:2".parse().unwrap()).unwrap();
    let error = engine.image_remove(&old.id.short(), false).unwrap_err();
    assert_eq!(error.kind(), Kind::InUse);
    assert_eq!(error.message(), format!("image {} has 2 names", old.id.short()));
    assert_eq!(engine.image_remove("kept:2", false).unwrap().image, None);
    assert_eq!(engine.image_remove(&old.id.short(), false).unwrap().image, Some(old.id));
    assert_eq!(engine.image_remove("kept:1", true).unwrap_err().message(), "no such image 'kept:1'");
    assert_eq!(engine.image_list().unwrap().len(), 1);
}
