//! Names of containers: what they may be, how one is made up, and the files that reserve them.
//!
//! `ROOT/names/NAME` is a symbolic link whose text is the id of the container that has the name: made in one step that
//! fails where there is one, it belongs to one container, and is never half written. It is made before the container
//! appears under its id; a name whose container never appeared is free.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::super::cancel::Cancel;
use super::super::error::{Error, Kind, OsContext, Result};
use super::super::store::Store;

const ADJECTIVES: [&str; 64] = [
    "amber", "ample", "ancient", "autumn", "azure", "blue", "bold", "brave", "bright", "brisk", "calm", "candid",
    "clear", "clever", "cool", "coral", "crisp", "dawn", "deep", "distant", "eager", "early", "easy", "fair", "fleet",
    "fresh", "gentle", "glad", "golden", "grand", "green", "happy", "hidden", "honest", "humble", "icy", "keen",
    "kind", "late", "light", "lively", "lucky", "lunar", "mellow", "merry", "misty", "noble", "pale", "patient",
    "plain", "polar", "proud", "quick", "quiet", "rapid", "round", "silent", "silver", "smooth", "steady", "sunny",
    "swift", "tidal", "warm",
];

/// Moons, mostly.
const NOUNS: [&str; 64] = [
    "aegir",
    "albiorix",
    "amalthea",
    "ananke",
    "ariel",
    "atlas",
    "belinda",
    "bianca",
    "callisto",
    "calypso",
    "carme",
    "charon",
    "cordelia",
    "cressida",
    "cupid",
    "daphnis",
    "deimos",
    "despina",
    "dione",
    "dysnomia",
    "elara",
    "enceladus",
    "epimetheus",
    "europa",
    "fenrir",
    "ferdinand",
    "galatea",
    "ganymede",
    "greip",
    "halimede",
    "helene",
    "himalia",
    "hydra",
    "hyperion",
    "iapetus",
    "io",
    "janus",
    "juliet",
    "kerberos",
    "larissa",
    "leda",
    "luna",
    "mab",
    "metis",
    "mimas",
    "miranda",
    "naiad",
    "nereid",
    "nix",
    "oberon",
    "ophelia",
    "pandora",
    "phobos",
    "phoebe",
    "portia",
    "proteus",
    "puck",
    "rhea",
    "rosalind",
    "styx",
    "telesto",
    "tethys",
    "titania",
    "triton",
];

/// Refuses what cannot be a name: two or more letters, digits, `_`, `.`, `-`, the first a letter or digit.
///
/// # Errors
/// `invalid_argument`.
pub fn check(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let starts = name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if !starts || name.len() < 2 || name.len() > 200 || !name.chars().all(good) {
        let message = format!("invalid container name '{}'", name.escape_debug());
        return Err(Error::invalid(message)
            .with_hint("two or more letters, digits, '_', '.' and '-', beginning with a letter or digit"));
    }
    Ok(())
}

/// A random name.
///
/// # Errors
/// `os` when the kernel gives no random bytes.
fn make_up() -> Result<String> {
    let mut bytes = [0u8; 2];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).os(|| "getrandom")?;
    let pick = |list: &[&'static str; 64], byte: u8| list[usize::from(byte) % 64];
    Ok(format!("{}_{}", pick(&ADJECTIVES, bytes[0]), pick(&NOUNS, bytes[1])))
}

/// Reserves a name for `id`: the one asked for, or a made-up one (with a number when all luck fails).
///
/// # Errors
/// `already_exists` naming the container that has it; `invalid_argument`, `interrupted`, `os`.
pub fn reserve(store: &Store, wanted: Option<&str>, id: &str, cancel: &Cancel) -> Result<String> {
    if let Some(name) = wanted {
        check(name)?;
        return match take(store, name, id, cancel)? {
            None => Ok(name.to_string()),
            Some(owner) => Err(Error::new(
                Kind::AlreadyExists,
                format!("the name '{name}' is taken by container {}", &owner[..owner.len().min(12)]),
            )
            .with_hint("remove or rename that container, or take another name")),
        };
    }
    let mut number = 0;
    loop {
        let name = make_up()?;
        let name = if number < 8 { name } else { format!("{name}{number}") };
        if take(store, &name, id, cancel)?.is_none() {
            return Ok(name);
        }
        number += 1;
    }
}

/// Takes a name; the owner's id if somebody has it.
fn take(store: &Store, name: &str, id: &str, cancel: &Cancel) -> Result<Option<String>> {
    let path = path(store, name);
    loop {
        match std::os::unix::fs::symlink(id, &path) {
            Ok(()) => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e).os(|| format!("create {}", path.display())),
        }
        let Some(owner) = owner(store, name)? else { continue };
        if is_used(store, &owner) {
            return Ok(Some(owner));
        }
        // Whoever reserved it is about to appear, or was killed before: its work area's lock tells.
        let _mine = store.lock_object(&format!("name-{name}"), cancel)?;
        if self::owner(store, name)?.as_deref() == Some(owner.as_str()) && !is_used(store, &owner) {
            gone(fs::remove_file(&path), &path)?;
        }
    }
}

/// True while a container, or somebody who makes one, has this id.
fn is_used(store: &Store, id: &str) -> bool {
    !id.is_empty() && (store.join("containers").join(id).exists() || store.is_running(id))
}

/// The id behind a name.
///
/// # Errors
/// `os`.
pub fn owner(store: &Store, name: &str) -> Result<Option<String>> {
    let path = path(store, name);
    match fs::read_link(&path) {
        Ok(id) => Ok(Some(id.to_string_lossy().into_owned())),
        // Not a link, so none of ours: nobody's.
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(Some(String::new())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).os(|| format!("read {}", path.display())),
    }
}

/// Gives a name up, if `id` has it.
///
/// # Errors
/// `os`.
pub fn release(store: &Store, name: &str, id: &str) -> Result<()> {
    if owner(store, name)?.as_deref() == Some(id) {
        let path = path(store, name);
        gone(fs::remove_file(&path), &path)?;
    }
    Ok(())
}

/// Gives up all names of an id that has no container.
///
/// # Errors
/// `os`.
pub fn forget(store: &Store, id: &str) -> Result<()> {
    let folder = store.join("names");
    for entry in fs::read_dir(&folder).os(|| format!("list {}", folder.display()))? {
        let entry = entry.os(|| format!("list {}", folder.display()))?;
        release(store, &entry.file_name().to_string_lossy(), id)?;
    }
    Ok(())
}

fn gone(removed: io::Result<()>, path: &std::path::Path) -> Result<()> {
    match removed {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.os(|| format!("remove {}", path.display())),
    }
}

fn path(store: &Store, name: &str) -> PathBuf {
    store.join("names").join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["web", "a1", "my_db.2-x", "0x"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "-web", "_x", "../x", "a/b", "a b", "ü1", ".hidden", "a\0b"] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        assert!(make_up().unwrap().contains('_'));
    }

    #[test]
    fn a_name_has_one_owner_until_it_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let cancel = Cancel::new().unwrap();
        fs::create_dir(store.join("containers/aa11")).unwrap();
        assert_eq!(reserve(&store, Some("web"), "aa11", &cancel).unwrap(), "web");
        let error = reserve(&store, Some("web"), "bb22", &cancel).unwrap_err();
        assert_eq!(error.message(), "the name 'web' is taken by container aa11");
        // Its container never appeared: the name is free.
        std::os::unix::fs::symlink("cc33", store.join("names/ghost")).unwrap();
        assert_eq!(reserve(&store, Some("ghost"), "bb22", &cancel).unwrap(), "ghost");
        release(&store, "web", "bb22").unwrap();
        assert!(owner(&store, "web").unwrap().is_some());
        release(&store, "web", "aa11").unwrap();
        assert!(owner(&store, "web").unwrap().is_none());
    }
}
