//! The Lua files that are part of the binary.

/// Names and texts of files below a folder of `stdlib/`.
macro_rules! files {
    ($folder:literal: $($name:literal)*) => {
        &[$(($name, include_str!(concat!("../stdlib/", $folder, $name, ".lua")))),*]
    };
}

/// Files of the prelude, and the built-in libraries, by name.
const FILES: &[(&str, &str)] =
    files!("": "prelude" "prelude/coroutine" "prelude/objects" "prelude/parallel" "prelude/require");

/// The commands, by name.
pub const COMMANDS: &[(&str, &str)] = files!("commands/":
    "history" "image/inspect" "image/prune" "image/tree" "images" "info" "load" "login" "logout" "pull" "push" "rmi"
    "save" "tag" "version");

/// What commands share, by name.
const COMMAND_LIBRARY: &[(&str, &str)] = files!("lib/": "ask" "command" "filter" "format" "images" "template" "template_functions" "template_reader" "time" "units");

/// The editor file made from the API rows.
pub const META: &str = include_str!("../stdlib/meta/api.lua");

fn text(files: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    files.iter().find(|(file, _)| *file == name).map(|(_, text)| *text)
}

/// The text of a prelude file.
pub fn prelude(name: &str) -> Option<&'static str> {
    text(FILES, name)
}

/// The text of a built-in library, by the name `require` is given.
pub fn library(name: &str) -> Option<&'static str> {
    text(FILES, &name.replace('.', "/")).filter(|_| !name.starts_with("prelude"))
}

/// The text of a built-in command: `ps`, `image/inspect`.
pub fn command(name: &str) -> Option<&'static str> {
    text(COMMANDS, name)
}

/// The text of a piece that commands share.
pub fn command_library(name: &str) -> Option<&'static str> {
    text(COMMAND_LIBRARY, name)
}
