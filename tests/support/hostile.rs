//! What attacks are made of: tar streams written field by field, and a canary that must not change.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{Timespec, Timestamps};

/// A tar stream written field by field, so that it can be wrong.
#[derive(Default, Clone)]
pub struct Tar(pub Vec<u8>);

impl Tar {
    pub fn header(mut self, kind: u8, name: &str, link: &str, size: u64, edit: impl FnOnce(&mut tar::Header)) -> Tar {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(if kind == b'5' { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(size);
        edit(&mut header);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self
    }

    pub fn data(mut self, content: &[u8]) -> Tar {
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn entry(self, kind: u8, name: &str, link: &str) -> Tar {
        self.header(kind, name, link, 0, |_| ())
    }
    pub fn file(self, name: &str, content: &str) -> Tar {
        self.header(b'0', name, "", content.len() as u64, |_| ()).data(content.as_bytes())
    }
    pub fn dir(self, name: &str) -> Tar {
        self.entry(b'5', name, "")
    }
    pub fn symlink(self, name: &str, target: &str) -> Tar {
        self.entry(b'2', name, target)
    }
    pub fn hard(self, name: &str, target: &str) -> Tar {
        self.entry(b'1', name, target)
    }
    pub fn device(self, name: &str, major: u32, minor: u32) -> Tar {
        self.header(b'3', name, "", 0, |header| {
            header.set_device_major(major).unwrap();
            header.set_device_minor(minor).unwrap();
        })
    }
    pub fn pax(self, kind: u8, records: &[(&str, &[u8])]) -> Tar {
        let mut block = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (1..).map(|digits| rest + digits).find(|sum| sum - rest == sum.to_string().len()).unwrap();
            block.extend_from_slice(format!("{length} {key}=").as_bytes());
            block.extend_from_slice(value);
            block.push(b'\n');
        }
        self.header(kind, "pax", "", block.len() as u64, |_| ()).data(&block)
    }
    pub fn long(self, kind: u8, text: &str) -> Tar {
        self.header(kind, "././@LongLink", "", text.len() as u64 + 1, |_| ()).data(format!("{text}\0").as_bytes())
    }
    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// Names that attacks aim at, some with odd modes.
pub fn make_canary(canary: &Path) {
    fs::create_dir(canary).unwrap();
    for (name, mode) in [("file", 0o640), ("program", 0o4755)] {
        fs::write(canary.join(name), name).unwrap();
        fs::set_permissions(canary.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::create_dir(canary.join("dir")).unwrap();
    fs::write(canary.join("dir/inner"), "inner").unwrap();
    symlink("file", canary.join("link")).unwrap();
    for name in ["dir/inner", "dir", "file", "program", ""] {
        let time = Timespec { tv_sec: 1_234_567_890, tv_nsec: 987_654_321 };
        let times = Timestamps { last_access: time, last_modification: time };
        let path = canary.join(name);
        rustix::fs::utimensat(rustix::fs::CWD, &path, &times, rustix::fs::AtFlags::empty()).unwrap();
    }
}

/// One line a file: everything but the access time.
pub fn snapshot(path: &Path) -> Vec<String> {
    let meta = fs::symlink_metadata(path).unwrap();
    let mut names = vec![0u8; 4096];
    let count = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let content = if meta.is_file() { fs::read(path).unwrap() } else { Vec::new() };
    let mut lines = vec![format!(
        "{} {:o} {}:{} links {} mtime {}.{} ctime {}.{} {:?} {content:?}",
        path.display(),
        meta.mode(),
        meta.uid(),
        meta.gid(),
        meta.nlink(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec(),
        &names[..count]
    )];
    if meta.is_dir() {
        let mut inner: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        inner.sort();
        lines.extend(inner.iter().flat_map(|path| snapshot(path)));
    }
    lines
}
