//! Where a build goes besides the store: files, archives, registries; in the words of `docker build --output`.
//!
//! Source: Docker's command line reference, "docker buildx build", `--output`.

use std::fs;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::super::super::Engine;
use super::super::super::container::files::{CopyOptions, copy_out};
use super::super::super::error::{Error, OsContext, Result};
use super::super::super::image::{ArchiveFormat, Image};
use super::super::super::layer::diff::{PackOptions, pack};
use super::super::super::progress::Task;
use super::super::super::reference::Reference;
use super::super::super::suggest::suggest;
use super::super::State;
use super::CommitOptions;

/// A file, or standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It appears whole or not at all.
    File(PathBuf),
    /// Standard output.
    Stream,
}

/// One place a build goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The store, which has it in any case; perhaps under a further name.
    Image(Option<Reference>),
    /// A registry, under its names or this one.
    Registry(Option<Reference>),
    /// An archive of the image.
    Archive(ArchiveFormat, Place),
    /// A folder in the OCI layout.
    Layout(PathBuf),
    /// The files in a tar.
    Tar(Place),
    /// The files in a folder.
    Local(PathBuf),
}

/// The types and the keys each has.
const TYPES: [(&str, &[&str]); 6] = [
    ("image", &["name", "push"]),
    ("registry", &["name"]),
    ("oci", &["dest", "tar"]),
    ("docker", &["dest"]),
    ("tar", &["dest"]),
    ("local", &["dest"]),
];

impl Output {
    /// Reads `type=TYPE,KEY=VALUE,...`. A word alone is a folder for the files, `-` is a tar on standard output.
    ///
    /// # Errors
    /// `invalid_argument`, naming the type or key.
    pub fn parse(text: &str) -> Result<Output> {
        if !text.contains('=') && !text.is_empty() {
            return Ok(if text == "-" { Output::Tar(Place::Stream) } else { Output::Local(text.into()) });
        }
        let pair = |part: &str| {
            let bad = || Error::invalid(format!("output '{text}': '{part}' is not KEY=VALUE"));
            part.split_once('=').map(|(key, value)| (key.trim().to_string(), value.to_string())).ok_or_else(bad)
        };
        Output::from_pairs(&text.split(',').map(pair).collect::<Result<Vec<_>>>()?)
    }

    /// Reads keys and values.
    ///
    /// # Errors
    /// `invalid_argument`, naming the type or key.
    pub fn from_pairs(pairs: &[(String, String)]) -> Result<Output> {
        let get = |key: &str| pairs.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        let kind = get("type").ok_or_else(|| Error::invalid("an output needs a 'type'"))?;
        let Some((_, keys)) = TYPES.iter().find(|(name, _)| *name == kind) else {
            let error = suggest(Error::invalid(format!("unknown output type '{kind}'")), kind, TYPES.map(|it| it.0));
            let all = || format!("known types: {}", TYPES.map(|it| it.0).join(", "));
            return Err(if error.hint().is_some() { error } else { error.with_hint(all()) });
        };
        if let Some((key, _)) = pairs.iter().find(|(key, _)| key != "type" && !keys.contains(&key.as_str())) {
            let error = Error::invalid(format!("an output of type {kind} has no key '{key}'"));
            return Err(suggest(error, key, keys.iter().copied()));
        }
        let flag = |key: &str| match get(key) {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => Err(Error::invalid(format!("output key '{key}' must be true or false, got '{other}'"))),
        };
        let name = get("name").map(str::parse::<Reference>).transpose()?;
        match kind {
            "image" if flag("push")? == Some(true) => return Ok(Output::Registry(name)),
            "image" => return Ok(Output::Image(name)),
            "registry" => return Ok(Output::Registry(name)),
            _ => {}
        }
        let dest = get("dest").filter(|dest| !dest.is_empty());
        let dest = dest.ok_or_else(|| Error::invalid(format!("an output of type {kind} needs a 'dest'")))?;
        let place = if dest == "-" { Place::Stream } else { Place::File(dest.into()) };
        match (kind, &place) {
            ("local", Place::Stream) => Err(Error::invalid("an output of type local needs a folder as 'dest'")),
            ("local", Place::File(folder)) => Ok(Output::Local(folder.clone())),
            ("tar", _) => Ok(Output::Tar(place)),
            ("docker", _) => Ok(Output::Archive(ArchiveFormat::Docker, place)),
            (_, Place::File(path)) if flag("tar")?.map_or(dest.ends_with('/') || path.is_dir(), |tar| !tar) => {
                Ok(Output::Layout(path.clone()))
            }
            _ => Ok(Output::Archive(ArchiveFormat::Oci, place)),
        }
    }

    /// Whether it goes to standard output.
    pub fn is_stream(&self) -> bool {
        matches!(self, Output::Archive(_, Place::Stream) | Output::Tar(Place::Stream))
    }
}

impl State {
    /// Brings what was committed with these options to a place; `stream` stands for standard output.
    ///
    /// # Errors
    /// `invalid_argument` for a registry and no name, and for files where the place is something else; `permission`,
    /// `network`, `os`, `interrupted`.
    pub fn deliver(
        &self,
        engine: &Engine,
        image: &Image,
        options: &CommitOptions,
        output: &Output,
        stream: &mut dyn Write,
    ) -> Result<()> {
        match output {
            Output::Image(None) => Ok(()),
            Output::Image(Some(name)) => engine.image_tag(image, name),
            Output::Registry(name) => {
                let names = name.as_ref().map_or(image.names.as_slice(), std::slice::from_ref);
                if names.is_empty() {
                    return Err(Error::invalid("cannot push an image without a name")
                        .with_hint("give the commit a name, or the output one: type=registry,name=..."));
                }
                names.iter().try_for_each(|name| engine.image_push(image, name, None).map(drop))
            }
            Output::Archive(format, place) => {
                let images = [(image.clone(), image.names.clone())];
                match place {
                    Place::File(path) => engine.image_save_file(path, &images, *format),
                    Place::Stream => engine.image_save(stream, &images, *format),
                }
            }
            Output::Layout(folder) => engine.image_save_folder(folder, &[(image.clone(), image.names.clone())]),
            Output::Tar(place) => self.chosen(options.layers.as_deref())?.files_as_tar(engine, place, stream),
            Output::Local(folder) => self.chosen(options.layers.as_deref())?.files_into(engine, folder.clone()),
        }
    }

    fn files_as_tar(&self, engine: &Engine, place: &Place, stream: &mut dyn Write) -> Result<()> {
        let what = match place {
            Place::File(path) => path.display().to_string(),
            Place::Stream => "standard output".into(),
        };
        let task = Task::start(engine.progress(), "export", what, None);
        let area = self.tree_of_all(engine)?;
        let options = PackOptions { clamp_mtime: engine.config().source_date_epoch, ..PackOptions::default() };
        let tree = area.join("fs");
        let write = |out: &mut dyn Write| pack(&tree, out, &options, engine.cancel());
        match place {
            Place::File(path) => super::super::super::image::write_whole(path, write)?,
            Place::Stream => {
                let mut out = io::BufWriter::new(stream);
                write(&mut out)?;
                out.flush().os(|| "write to standard output")?;
            }
        }
        task.end("done");
        Ok(())
    }

    /// Files become the caller's, with their permissions and times.
    fn files_into(&self, engine: &Engine, folder: PathBuf) -> Result<()> {
        let task = Task::start(engine.progress(), "export", folder.display().to_string(), None);
        let area = self.tree_of_all(engine)?;
        fs::create_dir_all(&folder).os(|| format!("create {}", folder.display()))?;
        let root = fs::File::open(area.path()).os(|| "open a build's files")?;
        copy_out(root.as_fd(), "fs/.", &folder, &CopyOptions::default(), engine.cancel())?;
        task.end("done");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_read() {
        let file = |path: &str| Place::File(path.into());
        let table = [
            ("-", Output::Tar(Place::Stream)),
            ("out", Output::Local("out".into())),
            ("type=local,dest=a b", Output::Local("a b".into())),
            ("type=tar,dest=x.tar", Output::Tar(file("x.tar"))),
            ("type=tar,dest=-", Output::Tar(Place::Stream)),
            ("type=docker,dest=d.tar", Output::Archive(ArchiveFormat::Docker, file("d.tar"))),
            ("dest=o.tar,type=oci", Output::Archive(ArchiveFormat::Oci, file("o.tar"))),
            ("type=oci,dest=o/", Output::Layout("o/".into())),
            ("type=oci,dest=o,tar=false", Output::Layout("o".into())),
            ("type=oci,dest=/,tar=true", Output::Archive(ArchiveFormat::Oci, file("/"))),
            ("type=image", Output::Image(None)),
            ("type=image,push=true", Output::Registry(None)),
            ("type=registry,name=r:1", Output::Registry(Some("r:1".parse().unwrap()))),
        ];
        for (text, want) in table {
            assert_eq!(Output::parse(text).unwrap(), want, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let table = [
            ("dest=x", "an output needs a 'type'", None),
            ("", "output '': '' is not KEY=VALUE", None),
            ("type=local", "an output of type local needs a 'dest'", None),
            ("type=local,dest=-", "an output of type local needs a folder as 'dest'", None),
            ("type=locl,dest=x", "unknown output type 'locl'", Some("did you mean 'local'?")),
            (
                "type=zip,dest=x",
                "unknown output type 'zip'",
                Some("known types: image, registry, oci, docker, tar, local"),
            ),
            ("type=tar,des=x", "an output of type tar has no key 'des'", Some("did you mean 'dest'?")),
            ("type=tar,x", "output 'type=tar,x': 'x' is not KEY=VALUE", None),
            ("type=oci,dest=x,tar=no", "output key 'tar' must be true or false, got 'no'", None),
        ];
        for (text, message, hint) in table {
            let error = Output::parse(text).unwrap_err();
            assert_eq!((error.message(), error.hint()), (message, hint), "{text}");
        }
    }
}
