//! Passwords for registries, in the files and helpers that other container tools use.
//!
//! Searched in this order: `$REGISTRY_AUTH_FILE`, `$XDG_RUNTIME_DIR/containers/auth.json`,
//! `$XDG_CONFIG_HOME/containers/auth.json`, `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`
//! (containers-auth.json(5)). A key may name a registry or a namespace in it; the longest one wins.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::engine::Credentials;
use crate::engine::error::{Error, Kind, OsContext, Result};

/// The files to search, most important first, given a look-up for environment variables.
pub fn files(variable: &dyn Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = set("HOME");
    let config = set("XDG_CONFIG_HOME").or(home.clone().map(|home| home.join(".config")));
    let docker = set("DOCKER_CONFIG").or(home.map(|home| home.join(".docker")));
    let candidates = [
        set("REGISTRY_AUTH_FILE"),
        set("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")),
        config.map(|dir| dir.join("containers/auth.json")),
        docker.map(|dir| dir.join("config.json")),
    ];
    candidates.into_iter().flatten().collect()
}

/// Looks up the credentials for a repository of a registry.
///
/// # Errors
/// `integrity` for a file that is not what it should be, `permission`, or what a helper reports.
pub fn find(files: &[PathBuf], host: &str, repository: &str) -> Result<Option<Credentials>> {
    for file in files {
        let Some(content) = load(file)? else { continue };
        for key in keys(host, repository) {
            if let Some(found) = entry(&content, &key, file)? {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

/// `host/a/b`, `host/a`, `host`, and the names Docker Hub goes by.
fn keys(host: &str, repository: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut path = format!("{host}/{repository}");
    while let Some(slash) = path.rfind('/') {
        keys.push(path.clone());
        path.truncate(slash);
    }
    keys.push(host.to_string());
    if matches!(host, "docker.io" | "registry-1.docker.io" | "index.docker.io") {
        keys.extend(["docker.io", "index.docker.io", "https://index.docker.io/v1/"].map(String::from));
    }
    keys
}

fn entry(content: &Map<String, Value>, key: &str, file: &Path) -> Result<Option<Credentials>> {
    if let Some(helper) = content.get("credHelpers").and_then(|helpers| helpers.get(key)).and_then(Value::as_str) {
        return ask(helper, key);
    }
    let auths = content.get("auths").and_then(Value::as_object);
    let same = |name: &str| name == key || trimmed(name) == key;
    let found = auths.and_then(|auths| auths.iter().find(|(name, _)| same(name)));
    if let Some((_, value)) = found {
        let read = decode(value, file)?;
        if read.is_some() {
            return Ok(read);
        }
    }
    match content.get("credsStore").and_then(Value::as_str) {
        // A store is asked for the registry only: it knows no namespaces.
        Some(helper) if !key.contains('/') || key.starts_with("https://") => ask(helper, key),
        _ => Ok(None),
    }
}

/// Keys may be written as addresses: `https://host/v1/`.
fn trimmed(name: &str) -> &str {
    let name = name.strip_prefix("https://").or(name.strip_prefix("http://")).unwrap_or(name);
    let name = name.trim_end_matches('/');
    name.strip_suffix("/v1").or(name.strip_suffix("/v2")).unwrap_or(name)
}

fn decode(value: &Value, file: &Path) -> Result<Option<Credentials>> {
    if let Some(token) = value.get("identitytoken").and_then(Value::as_str).filter(|token| !token.is_empty()) {
        return Ok(Some(Credentials { username: String::new(), password: token.into() }));
    }
    let Some(auth) = value.get("auth").and_then(Value::as_str).filter(|auth| !auth.is_empty()) else {
        return Ok(None);
    };
    let bad = || Error::integrity(format!("{}: an 'auth' field is not base64 of user:password", file.display()));
    let text = String::from_utf8(STANDARD.decode(auth.trim()).map_err(|_| bad())?).map_err(|_| bad())?;
    let (user, password) = text.split_once(':').ok_or_else(bad)?;
    Ok(Some(Credentials { username: user.into(), password: password.trim_end_matches('\0').into() }))
}

fn ask(helper: &str, server: &str) -> Result<Option<Credentials>> {
    let program = format!("docker-credential-{helper}");
    let failed = || format!("cannot run '{program}'");
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .os(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read has failed already; its status says so.
        let _ = writeln!(stdin, "{server}");
    }
    let output = child.wait_with_output().os(failed)?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout).trim().to_string();
        if text.contains("credentials not found") {
            return Ok(None);
        }
        return Err(Error::new(Kind::Permission, format!("'{program} get' failed for {server}: {text}")));
    }
    let bad = || Error::integrity(format!("'{program}' answered something that is not credentials"));
    let answer: Value = serde_json::from_slice(&output.stdout).map_err(|_| bad())?;
    let field = |name: &str| answer.get(name).and_then(Value::as_str).map(String::from).ok_or_else(bad);
    let username = Some(field("Username")?).filter(|name| name != "<token>").unwrap_or_default();
    Ok(Some(Credentials { username, password: field("Secret")? }))
}

fn load(file: &Path) -> Result<Option<Map<String, Value>>> {
    let bytes = match fs::read(file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.os(|| format!("read {}", file.display()))?,
    };
    let bad = |why: String| Error::integrity(format!("{} is not a credentials file: {why}", file.display()));
    match serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))? {
        Value::Object(content) => Ok(Some(content)),
        _ => Err(bad("not an object".into())),
    }
}

fn save(file: &Path, content: Map<String, Value>) -> Result<()> {
    let what = || format!("write {}", file.display());
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        fs::create_dir_all(folder).os(what)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).os(what)?;
    }
    // A temporary file is readable by its owner only, and so is what it becomes.
    let mut temporary = tempfile::Builder::new().prefix(".auth-").tempfile_in(folder).os(what)?;
    serde_json::to_writer_pretty(&mut temporary, &Value::Object(content))
        .map_err(|e| Error::new(Kind::Internal, e.to_string()))?;
    temporary.as_file().sync_all().os(what)?;
    temporary.persist(file).map_err(|e| e.error).os(what)?;
    Ok(())
}

/// Remembers credentials for a registry.
///
/// # Errors
/// `permission`, `os`, or `integrity` when the file holds something else; it is unchanged then.
pub fn login(file: &Path, host: &str, credentials: &Credentials) -> Result<()> {
    let mut content = load(file)?.unwrap_or_default();
    let auth = STANDARD.encode(format!("{}:{}", credentials.username, credentials.password));
    let auths = content.entry("auths").or_insert_with(|| json!({}));
    match auths.as_object_mut() {
        Some(auths) => auths.insert(host.into(), json!({ "auth": auth })),
        None => return Err(Error::integrity(format!("{}: 'auths' is not an object", file.display()))),
    };
    save(file, content)
}

/// Forgets the credentials for a registry; false when there were none.
///
/// # Errors
/// As [`login`].
pub fn logout(file: &Path, host: &str) -> Result<bool> {
    let Some(mut content) = load(file)? else { return Ok(false) };
    let removed = content.get_mut("auths").and_then(Value::as_object_mut).and_then(|auths| auths.remove(host));
    if removed.is_some() {
        save(file, content)?;
    }
    Ok(removed.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_key_wins_and_later_files_are_asked_too() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one.json"), folder.path().join("two.json"));
        let auth = |text: &str| STANDARD.encode(text);
        let content = json!({ "auths": {
            "r.example": { "auth": auth("all:1") }, "r.example/team": { "auth": auth("team:2") } } });
        fs::write(&one, content.to_string()).unwrap();
        fs::write(&two, json!({ "auths": { "https://other/v1/": { "auth": auth("o:x:y") } } }).to_string()).unwrap();
        let files = [folder.path().join("none.json"), one, two];
        let user = |host, repository| find(&files, host, repository).unwrap().map(|c| (c.username, c.password));
        assert_eq!(user("r.example", "team/app"), Some(("team".into(), "2".into())));
        assert_eq!(user("r.example", "app"), Some(("all".into(), "1".into())));
        assert_eq!(user("other", "app"), Some(("o".into(), "x:y".into())));
        assert_eq!(user("nobody", "app"), None);
    }

    #[test]
    fn login_and_logout_keep_what_else_is_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/auth.json");
        login(&file, "a", &Credentials { username: "u".into(), password: "p".into() }).unwrap();
        let mut content = load(&file).unwrap().unwrap();
        content.insert("keep".into(), json!(1));
        save(&file, content).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(find(std::slice::from_ref(&file), "a", "x").unwrap().unwrap().password, "p");
        assert!(logout(&file, "a").unwrap());
        assert!(!logout(&file, "a").unwrap());
        assert_eq!(load(&file).unwrap().unwrap().get("keep"), Some(&json!(1)));
    }

    #[test]
    fn a_broken_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("auth.json");
        fs::write(&file, "{").unwrap();
        let error = find(&[file], "a", "x").unwrap_err();
        assert_eq!(error.kind(), Kind::Integrity);
        assert!(error.message().contains("auth.json is not a credentials file"));
    }

    #[test]
    fn the_search_order() {
        let files = files(&|name| match name {
            "HOME" => Some("/h".into()),
            "REGISTRY_AUTH_FILE" => Some("/r".into()),
            _ => None,
        });
        let expected = ["/r", "/h/.config/containers/auth.json", "/h/.docker/config.json"];
        assert_eq!(files, expected.map(PathBuf::from));
    }
}
