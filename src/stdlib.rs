//! The Lua files that are part of the binary.

/// Files of the prelude, and the built-in libraries, by name.
const FILES: &[(&str, &str)] = &[
    ("prelude", include_str!("../stdlib/prelude.lua")),
    ("prelude/coroutine", include_str!("../stdlib/prelude/coroutine.lua")),
    ("prelude/objects", include_str!("../stdlib/prelude/objects.lua")),
    ("prelude/parallel", include_str!("../stdlib/prelude/parallel.lua")),
    ("prelude/require", include_str!("../stdlib/prelude/require.lua")),
];

/// The editor file made from the API rows.
pub const META: &str = include_str!("../stdlib/meta/api.lua");

/// The text of a prelude file.
pub fn prelude(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(file, _)| *file == name).map(|(_, text)| *text)
}

/// The text of a built-in library, by the name `require` is given.
pub fn library(name: &str) -> Option<&'static str> {
    let path = name.replace('.', "/");
    FILES.iter().find(|(file, _)| *file == path && !file.starts_with("prelude")).map(|(_, text)| *text)
}
