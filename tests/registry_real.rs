//! Against Debian's registry server, with skopeo as the other party.

mod registry;
mod support;

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use moonshell::engine::digest::Digest;
use moonshell::engine::error::Kind;
use moonshell::engine::image::{ArchiveFormat, Image, PullOptions};
use moonshell::engine::reference::Reference;
use moonshell::engine::{Credentials, Engine};
use registry::{MANIFEST, Sample};
use serde_json::{Value, json};
use support::{RegistryServer, run};

/// Writes a sample as an OCI layout that skopeo can copy from.
fn layout(sample: &Sample, dir: &Path) {
    fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
    let put = |bytes: &[u8]| fs::write(dir.join("blobs/sha256").join(Digest::of(bytes).hex()), bytes).unwrap();
    let manifest = sample.manifest.to_string();
    put(manifest.as_bytes());
    put(sample.config.to_string().as_bytes());
    sample.layers.iter().for_each(|layer| put(layer));
    let entry = json!({ "mediaType": MANIFEST, "digest": Digest::of(&manifest), "size": manifest.len(),
                        "annotations": { "org.opencontainers.image.ref.name": "1" } });
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fs::write(dir.join("index.json"), json!({ "schemaVersion": 2, "manifests": [entry] }).to_string()).unwrap();
}

fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

fn inspect(arguments: &[&str]) -> Value {
    serde_json::from_str(&run("skopeo", &[&["inspect"], arguments].concat())).unwrap()
}

struct Served {
    server: RegistryServer,
    sample: Sample,
    dir: tempfile::TempDir,
}

/// A registry that holds a sample as `test/app:1`, put there by skopeo.
fn served(server: RegistryServer, credentials: &[&str], format: &str) -> Served {
    let sample = Sample::new(3, 50_000);
    let dir = tempfile::tempdir().unwrap();
    layout(&sample, &dir.path().join("layout"));
    let source = format!("oci:{}:1", dir.path().join("layout").display());
    let target = format!("docker://{}/test/app:1", server.host());
    let arguments = ["copy", "--quiet", "--dest-tls-verify=false", "--format", format];
    run("skopeo", &[&arguments, credentials, &[&source, &target]].concat());
    Served { server, sample, dir }
}

impl Served {
    fn engine(&self) -> Engine {
        support::engine(&self.dir.path().join("state"))
    }
    fn name(&self, rest: &str) -> Reference {
        name(&format!("{}/{rest}", self.server.host()))
    }
    fn pull(&self, engine: &Engine) -> Image {
        engine.image_pull(&self.name("test/app:1"), &PullOptions::default()).unwrap()
    }
}

#[test]
fn pulls_what_skopeo_pushed_and_agrees_on_the_digest() {
    for format in ["oci", "v2s2"] {
        let served = served(RegistryServer::open(), &[], format);
        let engine = served.engine();
        let image = served.pull(&engine);
        let seen = inspect(&["--tls-verify=false", &format!("docker://{}", served.name("test/app:1"))]);
        assert_eq!(seen["Digest"], image.digest.to_string());
        assert_eq!(image.diff_ids(), served.sample.diff_ids);
        assert_eq!(image.config.config.cmd, Some(vec!["/bin/true".to_string()]));
        for (number, lower) in engine.image_lowers(&image).unwrap().iter().enumerate() {
            assert_eq!(fs::metadata(lower.join(format!("file{number}"))).unwrap().len(), 50_000);
        }
        assert_eq!(engine.registry_tags(&served.name("test/app"), &Default::default()).unwrap(), ["1"]);
    }
}

#[test]
fn pushes_what_skopeo_reads() {
    let served = served(RegistryServer::open(), &[], "oci");
    let engine = served.engine();
    let image = served.pull(&engine);
    let other = RegistryServer::open();
    // To the same registry (mounted), and to one that has nothing.
    for target in [served.name("copy/app:2"), name(&format!("{}/deep/er/app:x", other.host()))] {
        let digest = engine.image_push(&image, &target, None).unwrap();
        let seen = inspect(&["--tls-verify=false", &format!("docker://{target}")]);
        assert_eq!(seen["Digest"], digest.to_string());
        assert_eq!(digest, image.digest);
        assert_eq!(engine.image_push(&image, &target, None).unwrap(), digest);
    }
    let copy = format!("oci:{}:x", served.dir.path().join("copy").display());
    let source = format!("docker://{}/deep/er/app:x", other.host());
    run("skopeo", &["copy", "--quiet", "--src-tls-verify=false", &source, &copy]);
}

#[test]
fn passwords_are_checked() {
    let server = RegistryServer::with_password("joe", "secret");
    let served = served(server, &["--dest-creds", "joe:secret"], "oci");
    let host = served.server.host();
    let engine = served.engine();
    let error = engine.image_pull(&served.name("test/app:1"), &PullOptions::default()).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (Kind::Permission, format!("registry {host} requires a login").as_str())
    );
    let credentials = |password: &str| Credentials { username: "joe".into(), password: password.into() };
    let with = |password: &str| PullOptions { credentials: Some(credentials(password)), ..PullOptions::default() };
    let error = engine.image_pull(&served.name("test/app:1"), &with("wrong")).unwrap_err();
    let message = format!("registry {host} refused the password of user 'joe'");
    assert_eq!((error.kind(), error.message()), (Kind::Permission, message.as_str()));
    assert!(engine.store().list_refs().unwrap().is_empty());
    assert_eq!(engine.registry_check(&host, &credentials("wrong")).unwrap_err().message(), message);
    engine.registry_check(&host, &credentials("secret")).unwrap();
    let image = engine.image_pull(&served.name("test/app:1"), &with("secret")).unwrap();
    assert_eq!(engine.image_push(&image, &served.name("my/app:1"), None).unwrap_err().kind(), Kind::Permission);
    engine.image_push(&image, &served.name("my/app:1"), Some(&credentials("secret"))).unwrap();
    let target = format!("docker://{host}/my/app:1");
    let seen = inspect(&["--tls-verify=false", "--creds", "joe:secret", &target]);
    assert_eq!(seen["Digest"], image.digest.to_string());
}

#[test]
fn what_is_not_there_is_named() {
    let served = served(RegistryServer::open(), &[], "oci");
    let engine = served.engine();
    let host = served.server.host();
    for (rest, missing) in [("test/app:nope", "test/app:nope"), ("no/such", "no/such:latest")] {
        let error = engine.image_pull(&served.name(rest), &PullOptions::default()).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        assert_eq!(error.message(), format!("manifest {missing} not found in {host}"));
    }
    drop(served.server);
    let error = engine.image_pull(&name(&format!("{host}/test/app:1")), &PullOptions::default()).unwrap_err();
    assert_eq!((error.kind(), error.message()), (Kind::Network, format!("cannot reach registry {host}").as_str()));
}

#[test]
fn archives_go_both_ways() {
    let served = served(RegistryServer::open(), &[], "oci");
    let engine = served.engine();
    let image = served.pull(&engine);
    let names = vec![name("app:1"), name("example.com/team/app:2")];
    for (format, transport) in [(ArchiveFormat::Oci, "oci-archive"), (ArchiveFormat::Docker, "docker-archive")] {
        let path = served.dir.path().join(format!("{transport}.tar"));
        engine.image_save_file(&path, &[(image.clone(), names.clone())], format).unwrap();
        let file = path.display().to_string();
        // A docker archive is one image with two names; an OCI index has an entry for each.
        let source = match format {
            ArchiveFormat::Oci => format!("{transport}:{file}:1"),
            ArchiveFormat::Docker => format!("{transport}:{file}:app:1"),
        };
        let config: Value = serde_json::from_str(&run("skopeo", &["inspect", "--config", &source])).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"], json!(served.sample.diff_ids));
        if format == ArchiveFormat::Oci {
            assert_eq!(inspect(&[&source])["Digest"], image.digest.to_string());
        }
        for compressed in [false, true] {
            let other = support::engine(&served.dir.path().join(format!("{transport}{compressed}")));
            let bytes = fs::read(&path).unwrap();
            let bytes = if compressed { registry::gzip(&bytes) } else { bytes };
            let loaded = other.image_load(bytes.as_slice()).unwrap();
            assert_eq!((loaded.len(), loaded[0].id), (1, image.id));
            assert_eq!(loaded[0].names, names);
            assert_eq!(other.image_get("example.com/team/app:2").unwrap().unwrap().id, image.id);
            assert!(other.image_lowers(&loaded[0]).unwrap()[2].join("file2").exists());
        }
    }
}

#[test]
fn loads_what_skopeo_saves() {
    let served = served(RegistryServer::open(), &[], "oci");
    let source = format!("docker://{}", served.name("test/app:1"));
    for (transport, rest) in [("oci-archive", ":team/app:3"), ("docker-archive", ":team/app:3"), ("oci-archive", "")] {
        let path = served.dir.path().join(format!("{transport}{}.tar", rest.len()));
        let target = format!("{transport}:{}{rest}", path.display());
        run("skopeo", &["copy", "--quiet", "--src-tls-verify=false", &source, &target]);
        let engine = support::engine(&served.dir.path().join(format!("state-{transport}{}", rest.len())));
        let loaded = engine.image_load_file(&path).unwrap();
        assert_eq!(loaded[0].diff_ids(), served.sample.diff_ids);
        let expected: Vec<Reference> = if rest.is_empty() { Vec::new() } else { vec![name("team/app:3")] };
        assert_eq!(loaded[0].names, expected);
        assert_eq!(engine.image_list().unwrap().len(), 1);
        assert!(engine.image_get(&loaded[0].id.short()).unwrap().is_some());
    }
}

/// A docker archive made by hand: paths and bytes.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn bad_archives_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let sample = Sample::new(1, 100);
    let config = sample.config.to_string();
    let list = |config: &str, tag: &str, layer: &str| {
        json!([{ "Config": config, "RepoTags": [tag], "Layers": [layer] }]).to_string()
    };
    let hostile = list("c.json", "../../etc:x", "l.tar");
    let missing = list("c.json", "app:1", "../l.tar");
    let fake = format!("blobs/sha256/{}", Digest::of("x").hex());
    let table: Vec<(Vec<u8>, Kind, &str)> = vec![
        (b"no tar at all".repeat(100), Kind::InvalidArgument, "not an image archive: it cannot be read as tar"),
        (
            archive(&[("x", b"y")]),
            Kind::InvalidArgument,
            "not an image archive: it has neither index.json nor manifest.json",
        ),
        (
            archive(&[
                ("c.json", config.as_bytes()),
                ("l.tar", &sample.layers[0]),
                ("manifest.json", hostile.as_bytes()),
            ]),
            Kind::InvalidArgument,
            "archive names an image with something that is no image name",
        ),
        (
            archive(&[
                ("c.json", config.as_bytes()),
                ("l.tar", &sample.layers[0]),
                ("manifest.json", missing.as_bytes()),
            ]),
            Kind::Integrity,
            "archive is incomplete: it has no '../l.tar'",
        ),
        (
            archive(&[(&fake, b"other")]),
            Kind::Integrity,
            "content has digest sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa, \
             expected sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
        ),
        (
            archive(&[("index.json", br#"{"schemaVersion":2,"manifests":[]}"#)]),
            Kind::InvalidArgument,
            "archive holds no images",
        ),
    ];
    for (bytes, kind, message) in table {
        let engine = support::engine(&dir.path().join("state"));
        let error = engine.image_load(bytes.as_slice()).unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, message), "{error:?}");
        assert!(engine.store().list_refs().unwrap().is_empty());
        drop(engine);
        assert_eq!(fs::read_dir(dir.path().join("state/tmp")).unwrap().count(), 0);
    }
    let path = dir.path().join("cut.tar");
    let whole = archive(&[("c.json", config.as_bytes()), ("l.tar", &sample.layers[0])]);
    File::create(&path).unwrap().write_all(&whole[..whole.len() - 2000]).unwrap();
    let engine = support::engine(&dir.path().join("state"));
    assert!(engine.image_load_file(&path).is_err());
}
