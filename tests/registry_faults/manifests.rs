//! Manifests, indexes and configurations that are not what they should be.

use super::*;

#[test]
fn a_missing_tag_is_named() {
    let case = Case::new();
    let error = case.pull_with("test/app:2", &PullOptions::default()).unwrap_err();
    case.expect(&error, Kind::NotFound, &format!("manifest test/app:2 not found in {}", case.host()));
}

#[test]
fn a_huge_manifest_is_refused() {
    let case = Case::new();
    case.spoil_manifest(|_| Some(Answer::ok(vec![b' '; (4 << 20) + 1])));
    let message = format!("manifest test/app:1 from {} is longer than 4194304 bytes", case.host());
    case.fails(Kind::Integrity, &message);
}

#[test]
fn a_huge_configuration_is_refused() {
    let case = Case::new();
    let mut manifest = case.sample.manifest.clone();
    manifest["config"]["size"] = json!(5 << 20);
    case.replace(MANIFEST, &manifest);
    let message = format!("image configuration {} has 5242880 bytes, more than 4194304", case.sample.config_digest());
    case.fails(Kind::Integrity, &message);
}

#[test]
fn an_ambiguous_manifest_is_refused() {
    let case = Case::new();
    let mut manifest = case.sample.manifest.clone();
    manifest["manifests"] = json!([]);
    case.replace(MANIFEST, &manifest);
    case.fails(Kind::Integrity, "manifest is ambiguous: it has both layers and manifests");
}

#[test]
fn a_manifest_sent_as_something_else_is_refused() {
    let case = Case::new();
    case.replace(INDEX, &case.sample.manifest.clone());
    case.fails(Kind::Integrity, &format!("manifest calls itself {MANIFEST}, but was sent as {INDEX}"));
}

#[test]
fn a_manifest_that_is_no_json_is_refused() {
    let case = Case::new();
    case.registry.manifest("1", MANIFEST, b"<html>");
    case.fails(Kind::Integrity, "manifest cannot be read");
}

#[test]
fn schema_one_is_unsupported() {
    let case = Case::new();
    case.replace(
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        &json!({ "schemaVersion": 1, "fsLayers": [], "history": [] }),
    );
    case.fails(Kind::Unsupported, "the image has a schema 1 manifest, a format given up in 2017");
}

#[test]
fn an_artifact_is_unsupported() {
    let case = Case::new();
    let mut manifest = case.sample.manifest.clone();
    manifest["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
    case.replace(MANIFEST, &manifest);
    let message = "this is not an image but an artifact of type application/vnd.cncf.helm.config.v1+json";
    case.fails(Kind::Unsupported, message);
}

#[test]
fn a_foreign_layer_is_not_fetched() {
    let case = Case::new();
    let other = Registry::start();
    let mut manifest = case.sample.manifest.clone();
    manifest["layers"][0]["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    manifest["layers"][0]["urls"] = json!([format!("http://{}/layer", other.host())]);
    case.replace(MANIFEST, &manifest);
    let message = format!("layer {} is not in the registry but elsewhere (a foreign layer)", case.layer().0);
    case.fails(Kind::Unsupported, &message);
    assert!(other.asked().is_empty());
}

#[test]
fn a_wrong_digest_header_is_refused() {
    let case = Case::new();
    let bytes = case.sample.manifest.to_string();
    let (is, says) = (Digest::of(&bytes), Digest::of("something else"));
    case.spoil_manifest(move |_| Some(Answer::ok(bytes.clone()).header("Docker-Content-Digest", says.to_string())));
    let message = format!("manifest test/app:1 from {} has digest {is}, expected {says}", case.host());
    case.fails(Kind::Integrity, &message);
}

#[test]
fn a_pinned_manifest_must_have_its_digest() {
    let case = Case::new();
    let bytes = case.sample.manifest.to_string();
    let (is, pinned) = (Digest::of(&bytes), Digest::of("something else"));
    case.spoil_manifest(move |_| Some(Answer::ok(bytes.clone())));
    let rest = format!("test/app@{pinned}");
    let error = case.pull_with(&rest, &PullOptions::default()).unwrap_err();
    let message = format!("manifest test/app@{pinned} from {} has digest {is}, expected {pinned}", case.host());
    case.expect(&error, Kind::Integrity, &message);
}

#[test]
fn layers_and_diff_ids_must_pair() {
    let mut sample = Sample::new(2, 1000);
    sample.config["rootfs"]["diff_ids"] = json!([sample.diff_ids[0]]);
    sample.manifest = manifest_of(&sample.config, &sample.layers);
    let case = Case::of(sample);
    let message = format!("image {} has 2 layers, but its configuration has 1 diff ids", case.sample.config_digest());
    case.fails(Kind::Integrity, &message);
}

#[test]
fn a_malformed_diff_id_is_refused() {
    let mut sample = Sample::new(1, 1000);
    sample.config["rootfs"]["diff_ids"] = json!(["sha256:../../../etc"]);
    sample.manifest = manifest_of(&sample.config, &sample.layers);
    Case::of(sample).fails(Kind::Integrity, "image configuration cannot be read");
}

fn index(entries: &[(&str, Digest, usize)]) -> Value {
    let entries: Vec<Value> = entries
        .iter()
        .map(|(platform, digest, size)| {
            let (os, architecture) = platform.split_once('/').unwrap();
            json!({ "mediaType": MANIFEST, "digest": digest, "size": size,
                    "platform": { "os": os, "architecture": architecture } })
        })
        .collect();
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries })
}

#[test]
fn an_index_leads_to_this_machine() {
    let case = Case::new();
    let bytes = case.sample.manifest.to_string();
    let host = moonshell::engine::image::Platform::host().to_string();
    let wrong = Digest::of("x");
    let list = index(&[
        ("unknown/unknown", wrong, 1),
        ("plan9/mips", wrong, 1),
        (host.as_str(), Digest::of(&bytes), bytes.len()),
    ]);
    case.replace(INDEX, &list);
    let image = case.pull().unwrap();
    assert_eq!(image.digest, Digest::of(list.to_string()));
    assert_eq!(image.manifest.digest().to_string(), Digest::of(&bytes).to_string());
    let pinned = format!("{}/test/app@{}", case.host(), image.digest);
    assert_eq!(case.engine().image_get(&pinned).unwrap().unwrap().id, image.id);
}

#[test]
fn an_index_without_this_platform_lists_what_it_has() {
    let case = Case::new();
    let wrong = Digest::of("x");
    case.replace(INDEX, &index(&[("plan9/mips", wrong, 1), ("linux/s390x", wrong, 1)]));
    let options = PullOptions { platform: Some("linux/arm64/v8".parse().unwrap()), ..PullOptions::default() };
    let error = case.pull_with("test/app:1", &options).unwrap_err();
    let message = format!("{}/test/app:1 has no image for linux/arm64; it has plan9/mips, linux/s390x", case.host());
    case.expect(&error, Kind::NotFound, &message);
}

#[test]
fn an_index_entry_of_another_size_is_refused() {
    let case = Case::new();
    let bytes = case.sample.manifest.to_string();
    let host = moonshell::engine::image::Platform::host().to_string();
    case.replace(INDEX, &index(&[(host.as_str(), Digest::of(&bytes), bytes.len() + 1)]));
    let message = format!("manifest {} has {} bytes, expected {}", Digest::of(&bytes), bytes.len(), bytes.len() + 1);
    case.fails(Kind::Integrity, &message);
}

#[test]
fn indexes_within_indexes_end() {
    let case = Case::new();
    let mut inner = case.sample.manifest.to_string();
    for _ in 0..6 {
        let mut outer = index(&[]);
        outer["manifests"] = json!([{ "mediaType": if inner.contains("\"layers\"") { MANIFEST } else { INDEX },
            "digest": Digest::of(&inner), "size": inner.len() }]);
        inner = outer.to_string();
        case.registry.manifest("1", INDEX, inner.as_bytes());
    }
    case.fails(Kind::Integrity, &format!("{}/test/app:1 leads through more than 3 indexes", case.host()));
}

#[test]
fn never_asking_is_not_found() {
    let case = Case::new();
    let policy = moonshell::engine::image::Policy::Never;
    let error = case.pull_with("test/app:1", &PullOptions { policy, ..PullOptions::default() }).unwrap_err();
    case.expect(&error, Kind::NotFound, &format!("no such image '{}/test/app:1'", case.host()));
    assert!(case.registry.asked().is_empty());
}
