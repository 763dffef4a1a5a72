//! What the scripts below `tests/lua/registry/` and `tests/lua/privileged/` find: images in archives, and two registry
//! servers that hold them, made once for the whole run and only when such a script is selected.
//!
//! ```text
//! busybox            Debian's static busybox with its applets, four users, three groups; a single gzip layer
//! debian:bookworm    the tree the tests keep as debian-bookworm.tar; its layout is kept beside it
//! ```

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use flate2::Compression;
use flate2::write::GzEncoder;
use moonshell::engine::digest::Digest;
use serde_json::json;

use super::support::{RegistryServer, run};

/// User and password of the registry that asks for one.
pub const LOGIN: (&str, &str) = ("joe", "se:cret");

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n\
                      bob:x:1001:1001::/home/bob:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n";
const GROUP: &str = "root:x:0:\nwheel:x:10:ann\nann:x:1000:\nbob:x:1001:\nnogroup:x:65534:\n";

/// Archives for `image.load`.
pub struct Archives {
    dir: tempfile::TempDir,
}

/// Two registries with the images.
pub struct Registries {
    open: RegistryServer,
    locked: RegistryServer,
}

type Slot<T> = Mutex<Option<Result<Arc<T>, String>>>;
static ARCHIVES: Slot<Archives> = Mutex::new(None);
static REGISTRIES: Slot<Registries> = Mutex::new(None);

/// Makes a thing once; a failure is told to everybody who asks.
fn once<T>(slot: &Slot<T>, make: impl FnOnce() -> Result<T, String>) -> Result<Arc<T>, String> {
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if slot.is_none() {
        // What is missing panics with what to do about it.
        let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(make)).unwrap_or_else(|panic| {
            Err(panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "cannot prepare the tests".into()))
        });
        *slot = Some(made.map(Arc::new));
    }
    slot.clone().unwrap_or_else(|| Err("cannot prepare the tests".into()))
}

/// Ends the servers and removes the archives: values in statics are never dropped by themselves.
pub fn clear() {
    for_drop(&REGISTRIES);
    for_drop(&ARCHIVES);
}

fn for_drop<T>(slot: &Slot<T>) {
    drop(slot.lock().unwrap_or_else(PoisonError::into_inner).take());
}

impl Archives {
    /// The archives of this run.
    pub fn get() -> Result<Arc<Archives>, String> {
        once(&ARCHIVES, || {
            let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
            let tree = busybox().map_err(|e| format!("cannot read /bin/busybox ({e}): run `make test`"))?;
            let config = json!({ "Cmd": ["/bin/sh"], "Env": ["PATH=/bin:/sbin", "FROM_IMAGE=yes"] });
            let layout = dir.path().join("busybox");
            write_layout(&layout, "busybox", &mut tree.as_slice(), config).map_err(|e| format!("busybox: {e}"))?;
            let file = File::create(dir.path().join("busybox.tar")).map_err(|e| e.to_string())?;
            let mut archive = tar::Builder::new(file);
            archive.append_dir_all("", &layout).and_then(|()| archive.finish()).map_err(|e| e.to_string())?;
            Ok(Archives { dir })
        })
    }

    /// Variables for a script.
    pub fn variables(&self) -> Vec<(String, String)> {
        vec![("BUSYBOX".into(), self.dir.path().join("busybox.tar").display().to_string())]
    }
}

impl Registries {
    /// The servers of this run.
    pub fn get() -> Result<Arc<Registries>, String> {
        let archives = Archives::get()?;
        once(&REGISTRIES, || {
            let debian = debian()?;
            let (open, locked) = (RegistryServer::open(), RegistryServer::with_password(LOGIN.0, LOGIN.1));
            let busybox = archives.dir.path().join("busybox");
            let put = |layout: &Path, name: &str, host: &str, more: &[&str]| {
                let source = format!("oci:{}:{}", layout.display(), name.split_once(':').map_or(name, |parts| parts.0));
                let target = format!("docker://{host}/{name}");
                let arguments = ["copy", "--quiet", "--dest-tls-verify=false"];
                run("skopeo", &[&arguments, more, &[&source, &target]].concat());
            };
            put(&busybox, "busybox", &open.host(), &[]);
            put(&debian, "debian:bookworm", &open.host(), &[]);
            put(&busybox, "busybox:v2s2", &open.host(), &["--format", "v2s2"]);
            put(&busybox, "busybox:zstd", &open.host(), &["--dest-compress-format", "zstd"]);
            put(&busybox, "busybox", &locked.host(), &["--dest-creds", &format!("{}:{}", LOGIN.0, LOGIN.1)]);
            Ok(Registries { open, locked })
        })
    }

    /// Variables for a script.
    pub fn variables(&self) -> Vec<(String, String)> {
        vec![
            ("REGISTRY".into(), self.open.host()),
            ("LOCKED".into(), self.locked.host()),
            ("LOCKED_USER".into(), LOGIN.0.into()),
            ("LOCKED_PASSWORD".into(), LOGIN.1.into()),
        ]
    }
}

/// A root file system of Debian's static busybox, as a tar.
fn busybox() -> std::io::Result<Vec<u8>> {
    let program = fs::read("/bin/busybox")?;
    let applets = Command::new("/bin/busybox").arg("--list").output()?;
    let mut builder = tar::Builder::new(Vec::new());
    let mut put = |path: &str, kind: tar::EntryType, mode: u32, bytes: &[u8], link: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        header.set_mtime(1_600_000_000);
        if link.is_empty() {
            builder.append_data(&mut header, path, bytes)
        } else {
            builder.append_link(&mut header, path, link)
        }
    };
    let (folder, file, link) = (tar::EntryType::Directory, tar::EntryType::Regular, tar::EntryType::Symlink);
    for path in ["bin/", "etc/", "home/", "root/", "sbin/", "usr/", "var/"] {
        put(path, folder, 0o755, b"", "")?;
    }
    put("tmp/", folder, 0o1777, b"", "")?;
    put("bin/busybox", file, 0o755, &program, "")?;
    for applet in String::from_utf8_lossy(&applets.stdout).lines().filter(|name| *name != "busybox") {
        put(&format!("bin/{applet}"), link, 0o777, b"", "busybox")?;
    }
    put("etc/passwd", file, 0o644, PASSWD.as_bytes(), "")?;
    put("etc/group", file, 0o644, GROUP.as_bytes(), "")?;
    builder.into_inner()
}

/// The layout of the kept Debian tree; made beside it when it is missing or older.
fn debian() -> Result<PathBuf, String> {
    let cache = std::env::var_os("MOONSHELL_TEST_CACHE").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/moonshell-tests"),
        PathBuf::from,
    );
    let tree = cache.join("debian-bookworm.tar");
    let time = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified());
    let made = time(&tree).map_err(|_| format!("{} is missing: run `make test`, which makes it", tree.display()))?;
    let layout = cache.join("debian-bookworm.oci");
    if time(&layout).is_ok_and(|time| time >= made) {
        return Ok(layout);
    }
    let failed = |e: std::io::Error| format!("{}: {e}", layout.display());
    let fresh = tempfile::tempdir_in(&cache).map_err(failed)?;
    let mut reader = BufReader::new(File::open(&tree).map_err(failed)?);
    write_layout(&fresh.path().join("layout"), "debian", &mut reader, json!({ "Cmd": ["/bin/bash"] }))
        .map_err(failed)?;
    let _ = fs::remove_dir_all(&layout);
    fs::rename(fresh.path().join("layout"), &layout).map_err(failed)?;
    Ok(layout)
}

/// Writes an OCI layout of one image with one gzip layer.
fn write_layout(dir: &Path, name: &str, tar: &mut dyn Read, config: serde_json::Value) -> std::io::Result<()> {
    let mut plain = Vec::new();
    tar.read_to_end(&mut plain)?;
    let mut packed = GzEncoder::new(Vec::new(), Compression::new(3));
    packed.write_all(&plain)?;
    let packed = packed.finish()?;
    fs::create_dir_all(dir.join("blobs/sha256"))?;
    let put = |kind: &str, bytes: &[u8]| {
        let digest = Digest::of(bytes);
        fs::write(dir.join("blobs/sha256").join(digest.hex()), bytes)?;
        Ok::<_, std::io::Error>(json!({ "mediaType": kind, "digest": digest, "size": bytes.len() }))
    };
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = json!({
        "created": "2024-01-01T00:00:00Z", "os": "linux", "architecture": architecture, "config": config,
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&plain)] },
        "history": [{ "created": "2024-01-01T00:00:00Z", "created_by": "a test's own" }],
    });
    let layer = put("application/vnd.oci.image.layer.v1.tar+gzip", &packed)?;
    let config = put("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes())?;
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer] });
    let mut entry = put(kind, manifest.to_string().as_bytes())?;
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    fs::write(dir.join("index.json"), json!({ "schemaVersion": 2, "manifests": [entry] }).to_string())
}
