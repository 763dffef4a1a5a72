//! Files from the web, kept between builds.
//!
//! ```text
//! ROOT/cache/http/KEY        what was downloaded, mode 0600, with the time the server says it changed
//! ROOT/cache/http/KEY.json   Record; KEY is the digest of the URL
//! ```
//!
//! Each use asks the server whether there is something newer, unless the digest that is wanted is known beforehand.

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{Timespec, Timestamps, futimens};
use serde::{Deserialize, Serialize};

use super::super::Engine;
use super::super::digest::Digest;
use super::super::error::{Error, Kind, OsContext, Result};
use super::super::registry::Conditions;
use super::super::store::Lock;

/// What is known of a download.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    url: String,
    digest: Digest,
    size: u64,
    etag: Option<String>,
    last_modified: Option<String>,
}

/// A download that is in the cache, and stays as it is while this lives.
pub(super) struct WebFile {
    pub path: PathBuf,
    pub digest: Digest,
    _lock: Lock,
}

/// Whether a name is the URL of a file.
pub(super) fn is_url(name: &str) -> bool {
    name.starts_with("https://") || name.starts_with("http://")
}

/// The last name of a URL's path; none if it ends in a slash.
pub(super) fn name_of(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.split(['?', '#']).next().unwrap_or(rest);
    let (_, name) = path.rsplit_once('/')?;
    let name = unescape(name);
    Some(name).filter(|name| !matches!(name.as_str(), "" | "." | "..") && !name.contains(['/', '\0']))
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What is at a URL now; where `checksum` is given, content of that digest.
///
/// # Errors
/// `integrity` for other content; those of [`Engine::download`].
pub(super) fn fetch(engine: &Engine, url: &str, checksum: Option<&Digest>) -> Result<WebFile> {
    let store = engine.store();
    let folder = store.join("cache/http");
    fs::create_dir_all(&folder).os(|| format!("create {}", folder.display()))?;
    let key = Digest::of(url).hex();
    let (path, record_path) = (folder.join(&key), folder.join(format!("{key}.json")));
    let lock = store.lock_object(&format!("http-{key}"), engine.cancel())?;
    let known = fs::read(&record_path).ok().and_then(|text| serde_json::from_slice::<Record>(&text).ok());
    // Of another URL it is only if somebody put it there.
    let known = known.filter(|known| {
        known.url == url && fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file() && meta.len() == known.size)
    });
    if let Some(known) = &known
        && checksum == Some(&known.digest)
    {
        return Ok(WebFile { path, digest: known.digest, _lock: lock });
    }
    let conditions =
        known.as_ref().map(|known| Conditions { etag: known.etag.clone(), last_modified: known.last_modified.clone() });
    let mut file = store.temporary_file()?;
    let mut body = file.as_file().try_clone().os(|| "duplicate a descriptor")?;
    let digest = match (engine.download(url, &conditions.unwrap_or_default(), &mut body)?, known) {
        (None, Some(known)) => known.digest,
        (None, None) => {
            return Err(Error::new(
                Kind::Network,
                format!("{url}: the server says it is unchanged, but nothing is known of it"),
            ));
        }
        (Some(new), _) => {
            if checksum.is_none_or(|wanted| *wanted == new.digest) {
                let time = Timespec { tv_sec: changed(new.last_modified.as_deref()), tv_nsec: 0 };
                futimens(file.as_file(), &Timestamps { last_access: time, last_modification: time })
                    .os(|| "set the time of a download")?;
                let record = Record {
                    url: url.into(),
                    digest: new.digest,
                    size: new.size,
                    etag: new.etag,
                    last_modified: new.last_modified,
                };
                let text = serde_json::to_vec(&record)
                    .map_err(|e| Error::new(Kind::Internal, format!("a download's record: {e}")))?;
                // No record tells of content that is not there.
                let _ = fs::remove_file(&record_path);
                use std::io::Write;
                file.flush().and_then(|()| file.persist(&path)).os(|| format!("keep {url}"))?;
                store.write_file(&record_path, &text)?;
            }
            new.digest
        }
    };
    match checksum {
        Some(wanted) if *wanted != digest => {
            Err(Error::integrity(format!("{url} has digest {digest}, expected {wanted}")))
        }
        _ => Ok(WebFile { path, digest, _lock: lock }),
    }
}

/// Seconds since 1970; 0 where the server does not say.
fn changed(last_modified: Option<&str>) -> i64 {
    let time: Option<SystemTime> = last_modified.and_then(|text| httpdate::parse_http_date(text).ok());
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |age| age.as_secs() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_times_of_downloads() {
        for (url, name) in [
            ("https://h/a/b.tar.gz", Some("b.tar.gz")),
            ("https://h/a/b%20c?x=/y#/z", Some("b c")),
            ("https://h/a/", None),
            ("https://h", None),
            ("https://h/..", None),
            ("https://h/a%2fb", None),
            ("https://h/50%", Some("50%")),
        ] {
            assert_eq!(name_of(url).as_deref(), name, "{url}");
        }
        assert_eq!(changed(Some("Sun, 06 Nov 1994 08:49:37 GMT")), 784_111_777);
        assert_eq!([changed(Some("soon")), changed(None)], [0, 0]);
    }
}
