//! Which files of this host a program needs to run in an image of its own.
//!
//! Found by reading, never by running: the program, its ELF interpreter, and all libraries its headers name, searched
//! for where the dynamic linker would (ld.so(8)): DT_RPATH, DT_RUNPATH, the folders of `/etc/ld.so.conf`, the built-in
//! ones. A script brings the program in its `#!` line. Links on the way to a file become links in the image, so every
//! path that works here works there. Not found are files a program opens by itself when it runs: plug-ins, modules of
//! the C library's name service, data.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::elf::{self, Elf, Machine};
use super::error::{Error, Kind, OsContext, Result};
use super::inroot::resolve_links;

/// Interpreters of interpreters of scripts, like the kernel's own bound.
const MAX_SCRIPTS: usize = 4;

/// Where the content of a [`HostFile`] comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostSource {
    /// A regular file of this host.
    File(PathBuf),
    /// A symbolic link with this target.
    Symlink(PathBuf),
}

/// One file for the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFile {
    /// Where it goes: absolute, and no folder on the way is a link.
    pub path_in_image: PathBuf,
    /// What it is.
    pub source: HostSource,
}

/// The files that `programs` (absolute paths) need, themselves included, sorted by path.
///
/// # Errors
/// `not_found` for a missing program, interpreter or library, named together with what needs it; `invalid_argument`
/// for what cannot be run; `os`.
pub fn host_files(programs: &[PathBuf]) -> Result<Vec<HostFile>> {
    let mut search = Search { files: BTreeMap::new(), configured: None, cache: false };
    for program in programs {
        search.program(program, 0)?;
    }
    if search.cache {
        let cache = Path::new("/etc/ld.so.cache");
        if cache.exists() {
            search.add(cache)?;
        }
    }
    let file = |(path_in_image, source)| HostFile { path_in_image, source };
    Ok(search.files.into_iter().map(file).collect())
}

struct Search {
    files: BTreeMap<PathBuf, HostSource>,
    /// The folders of `/etc/ld.so.conf`, once read.
    configured: Option<Vec<PathBuf>>,
    /// Whether a library lies where the dynamic linker finds it through its cache alone.
    cache: bool,
}

/// A file to be linked.
struct Object {
    path: PathBuf,
    elf: Elf,
    /// DT_RPATH of what loads it, and of what loads that.
    inherited: Vec<PathBuf>,
}

impl Search {
    fn program(&mut self, path: &Path, depth: usize) -> Result<()> {
        if !path.is_absolute() {
            return Err(Error::invalid(format!("program '{}' is not an absolute path", path.display())));
        }
        let real = self.add(path)?;
        let mut start = Vec::new();
        let file = open(&real)?;
        file.take(256).read_to_end(&mut start).os(|| format!("read {}", real.display()))?;
        if start.starts_with(b"\x7fELF") {
            return self.linked(path, &real);
        }
        let Some(interpreter) = script_interpreter(&start) else {
            return Err(Error::invalid(format!("'{}' is neither an ELF program nor a script", path.display())));
        };
        if depth == MAX_SCRIPTS {
            return Err(Error::invalid(format!("'{}' needs too many interpreters", path.display())));
        }
        self.program(&interpreter, depth + 1).map_err(|e| needed_by(e, path))
    }

    /// The interpreter and all libraries of one program, the way the dynamic linker goes: breadth first, each name
    /// loaded once.
    fn linked(&mut self, path: &Path, real: &Path) -> Result<()> {
        let elf = read_elf(real)?;
        let musl = elf.interpreter.as_deref().is_some_and(|path| path.windows(7).any(|part| part == b"ld-musl"));
        let machine = elf.machine;
        if let Some(interpreter) = &elf.interpreter {
            self.add(Path::new(&OsString::from_vec(interpreter.clone()))).map_err(|e| needed_by(e, path))?;
        }
        let mut loaded: HashSet<Vec<u8>> = HashSet::new();
        // The linker is loaded already, under its own name; musl's is the C library too.
        loaded
            .extend(elf.interpreter.iter().filter_map(|path| path.rsplit(|byte| *byte == b'/').next()).map(Vec::from));
        if musl {
            loaded.insert(b"libc.so".to_vec());
        }
        let mut queue = VecDeque::from([Object { path: real.to_path_buf(), elf, inherited: Vec::new() }]);
        while let Some(object) = queue.pop_front() {
            let rpath = match object.elf.runpath {
                None => object.elf.rpath.as_deref().map_or_else(Vec::new, |list| expand(list, &object.path, machine)),
                Some(_) => Vec::new(),
            };
            let inherited: Vec<PathBuf> = rpath.into_iter().chain(object.inherited.iter().cloned()).collect();
            for name in &object.elf.needed {
                if !loaded.insert(name.clone()) {
                    continue;
                }
                let (path, elf) = self.library(name, &object, &inherited, machine, musl)?;
                self.add(&path)?;
                queue.push_back(Object { path, elf, inherited: inherited.clone() });
            }
        }
        Ok(())
    }

    fn library(
        &mut self,
        name: &[u8],
        object: &Object,
        inherited: &[PathBuf],
        machine: Machine,
        musl: bool,
    ) -> Result<(PathBuf, Elf)> {
        let text = String::from_utf8_lossy(name).into_owned();
        let fits = |path: &Path| match read_elf(path) {
            Ok(elf) if elf.machine == machine => Some(elf),
            _ => None,
        };
        if name.contains(&b'/') {
            let path = expand(name, &object.path, machine).pop().filter(|path| path.is_absolute());
            if let Some((path, elf)) = path.and_then(|path| fits(&path).map(|elf| (path, elf))) {
                return Ok((path, elf));
            }
        } else {
            let mut own = match &object.elf.runpath {
                Some(list) => expand(list, &object.path, machine),
                None => inherited.to_vec(),
            };
            let builtin = if musl { musl_folders() } else { builtin_folders(machine) };
            own.extend(builtin.iter().cloned());
            let sure = own.len();
            if !musl {
                own.extend(self.configured()?.iter().cloned());
            }
            for (at, folder) in own.iter().enumerate() {
                let path = folder.join(OsString::from_vec(name.to_vec()));
                if let Some(elf) = fits(&path) {
                    self.cache |= at >= sure;
                    return Ok((path, elf));
                }
            }
        }
        let object = object.path.display();
        Err(Error::not_found(format!("library '{text}', which {object} needs, is not on this host"))
            .with_hint("install the package that holds it"))
    }

    fn configured(&mut self) -> Result<&[PathBuf]> {
        if self.configured.is_none() {
            let mut folders = Vec::new();
            read_conf(Path::new("/etc/ld.so.conf"), &mut folders, 0)?;
            self.configured = Some(folders);
        }
        Ok(self.configured.as_deref().unwrap_or_default())
    }

    /// Adds a file and the links on the way to it; gives its path without links.
    fn add(&mut self, path: &Path) -> Result<PathBuf> {
        let files = &mut self.files;
        let readlink = |folder: &[Vec<u8>], name: &[u8]| -> Result<Option<Vec<u8>>> {
            let path = absolute(folder).join(OsString::from_vec(name.to_vec()));
            match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_symlink() => {
                    let target = fs::read_link(&path).os(|| format!("read {}", path.display()))?;
                    files.insert(path, HostSource::Symlink(target.clone()));
                    Ok(Some(target.into_os_string().into_vec()))
                }
                Ok(_) => Ok(None),
                Err(e) => Err(e).os(|| format!("find {}", path.display())),
            }
        };
        let found = resolve_links(path.as_os_str().as_bytes(), readlink).map_err(|e| match e.kind() {
            Kind::NotFound => Error::not_found(format!("'{}' does not exist on this host", path.display())),
            _ => e,
        })?;
        let real = found.ok_or_else(|| Error::os(libc::ELOOP, format!("find {}", path.display())))?;
        let real = absolute(&real);
        let meta = fs::metadata(&real).os(|| format!("stat {}", real.display()))?;
        if !meta.is_file() {
            return Err(Error::invalid(format!("'{}' is not a regular file", path.display())));
        }
        self.files.insert(real.clone(), HostSource::File(real.clone()));
        Ok(real)
    }
}

fn needed_by(error: Error, program: &Path) -> Error {
    Error::new(error.kind(), format!("{}, and {} needs it", error.message(), program.display()))
}

fn absolute(parts: &[Vec<u8>]) -> PathBuf {
    PathBuf::from(OsString::from_vec([b"/", &parts.join(&b'/')[..]].concat()))
}

fn open(path: &Path) -> Result<File> {
    File::open(path).os(|| format!("open {}", path.display()))
}

fn read_elf(path: &Path) -> Result<Elf> {
    // Not open before it is known to be a file: a pipe would block.
    if !fs::metadata(path).os(|| format!("stat {}", path.display()))?.is_file() {
        return Err(Error::invalid(format!("'{}' is not a regular file", path.display())));
    }
    elf::read(open(path)?).map_err(|e| Error::integrity(format!("'{}' is a damaged ELF file: {e}", path.display())))
}

/// The program in a `#!` line.
fn script_interpreter(start: &[u8]) -> Option<PathBuf> {
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let word = line.trim_ascii().split(u8::is_ascii_whitespace).next().filter(|word| !word.is_empty())?;
    Some(PathBuf::from(OsString::from_vec(word.to_vec())))
}

/// A list of folders with `$ORIGIN`, `$LIB` and `$PLATFORM` replaced; ld.so's `$LIB` depends on how it was built, so all
/// it can be are tried.
fn expand(list: &[u8], object: &Path, machine: Machine) -> Vec<PathBuf> {
    let origin = object.parent().unwrap_or(Path::new("/")).as_os_str().to_string_lossy().into_owned();
    let mut libs = vec!["lib".to_string()];
    libs.extend(machine.wide.then(|| "lib64".to_string()));
    libs.extend(machine.multiarch().map(|name| format!("lib/{name}")));
    let platform = machine.multiarch().and_then(|name| name.split('-').next()).unwrap_or("");
    let mut folders = Vec::new();
    for part in list.split(|byte| *byte == b':').filter(|part| !part.is_empty()) {
        let part = String::from_utf8_lossy(part).replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", &origin);
        let part = part.replace("${PLATFORM}", "$PLATFORM").replace("$PLATFORM", platform);
        let part = part.replace("${LIB}", "$LIB");
        match part.contains("$LIB") {
            true => folders.extend(libs.iter().map(|lib| PathBuf::from(part.replace("$LIB", lib)))),
            false => folders.push(PathBuf::from(part)),
        }
    }
    folders
}

/// The folders every dynamic linker of this architecture looks into.
fn builtin_folders(machine: Machine) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let mut both = |name: &str| folders.extend([format!("/lib{name}"), format!("/usr/lib{name}")]);
    if let Some(multiarch) = machine.multiarch() {
        both(&format!("/{multiarch}"));
    }
    both(if machine.wide { "64" } else { "32" });
    both("");
    folders.into_iter().map(PathBuf::from).collect()
}

fn musl_folders() -> Vec<PathBuf> {
    ["/lib", "/usr/local/lib", "/usr/lib"].map(PathBuf::from).to_vec()
}

/// Reads the dynamic linker's list of folders: one a line, `#` comments, `include PATTERN`.
fn read_conf(path: &Path, folders: &mut Vec<PathBuf>, depth: usize) -> Result<()> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        // No such file, or one that is no text: nothing is configured.
        Err(_) => return Ok(()),
    };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or("").trim();
        match line.strip_prefix("include").filter(|rest| rest.starts_with([' ', '\t'])) {
            Some(patterns) if depth < 8 => {
                for pattern in patterns.split_whitespace() {
                    for file in matching(&Path::new("/etc").join(pattern)) {
                        read_conf(&file, folders, depth + 1)?;
                    }
                }
            }
            Some(_) => {}
            None => {
                let parts = line.split([' ', '\t', ':', ',']).filter(|part| part.starts_with('/'));
                folders.extend(parts.map(PathBuf::from));
            }
        }
    }
    Ok(())
}

/// The files whose name fits a pattern with at most one `*` in its last component, sorted.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some((before, after)) = name.split_once('*') else { return vec![pattern.to_path_buf()] };
    let Some(Ok(folder)) = pattern.parent().map(fs::read_dir) else { return Vec::new() };
    let mut found: Vec<PathBuf> = folder
        .flatten()
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
        })
        .map(|entry| entry.path())
        .collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_lines() {
        for (line, want) in [
            ("#!/bin/sh\n", Some("/bin/sh")),
            ("#! /usr/bin/env python3\nx", Some("/usr/bin/env")),
            ("#!\n", None),
            ("#!", None),
            ("echo", None),
        ] {
            assert_eq!(script_interpreter(line.as_bytes()), want.map(PathBuf::from), "{line}");
        }
    }

    #[test]
    fn search_lists_are_expanded() {
        let machine = Machine { wide: true, machine: object::elf::EM_X86_64.0 };
        let found = expand(b"$ORIGIN/../lib:${ORIGIN}:/opt/$LIB::/x", Path::new("/opt/app/bin/p"), machine);
        let want = ["/opt/app/bin/../lib", "/opt/app/bin", "/opt/lib", "/opt/lib64", "/opt/lib/x86_64-linux-gnu", "/x"];
        assert_eq!(found, want.map(PathBuf::from));
    }

    #[test]
    fn what_is_missing_is_named() {
        let fail = |path: &str| host_files(&[PathBuf::from(path)]).unwrap_err();
        assert_eq!(fail("/bin/no-such-program").message(), "'/bin/no-such-program' does not exist on this host");
        assert_eq!(fail("/bin/no-such-program").kind(), Kind::NotFound);
        assert_eq!(fail("bin/sh").message(), "program 'bin/sh' is not an absolute path");
        assert_eq!(fail("/").message(), "'/' is not a regular file");
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("script");
        fs::write(&script, "#!/no/interpreter -x\n").unwrap();
        let error = host_files(std::slice::from_ref(&script)).unwrap_err();
        let want = format!("'/no/interpreter' does not exist on this host, and {} needs it", script.display());
        assert_eq!((error.message(), error.kind()), (&want[..], Kind::NotFound));
        fs::write(&script, "just text").unwrap();
        let error = host_files(std::slice::from_ref(&script)).unwrap_err();
        assert_eq!(error.message(), format!("'{}' is neither an ELF program nor a script", script.display()));
    }
}
