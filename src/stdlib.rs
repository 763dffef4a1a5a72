//! The Lua files that are part of the binary.

/// Names and texts of files below a folder of `stdlib/`.
macro_rules! files {
    ($folder:literal: $($name:literal)*) => {
        &[$(($name, include_str!(concat!("../stdlib/", $folder, $name, ".lua")))),*]
    };
}

/// Files of the prelude, and the built-in libraries, by name.
const FILES: &[(&str, &str)] = files!("":
    "prelude" "prelude/coroutine" "prelude/gate" "prelude/methods" "prelude/objects" "prelude/parallel"
    "prelude/require"
    "dockerfile/api" "dockerfile/build" "dockerfile/expand" "dockerfile/failure" "dockerfile/files"
    "dockerfile/glob" "dockerfile/graph" "dockerfile/heredoc" "dockerfile/history" "dockerfile/init"
    "dockerfile/instructions" "dockerfile/lua_stage" "dockerfile/lua_steps" "dockerfile/lua_text" "dockerfile/modes"
    "dockerfile/mounts" "dockerfile/parser" "dockerfile/platform" "dockerfile/ports" "dockerfile/reader" "dockerfile/scope"
    "dockerfile/shown" "dockerfile/sources" "dockerfile/steps" "dockerfile/to_lua" "dockerfile/words"
    "fail" "git" "matrix" "packages" "services");

/// The commands, by name.
pub const COMMANDS: &[(&str, &str)] = files!("commands/":
    "attach" "boot" "build" "cache/export" "cache/import" "cache/ls" "cache/prune" "commit" "container/inspect"
    "container/prune" "cp" "create" "diff" "events" "exec" "export"
    "history" "image/inspect" "image/prune" "image/tree" "images" "info" "inspect" "kill" "load" "login" "logout"
    "logs" "pause" "port" "ps" "pull" "push" "rename" "restart" "rm" "rmi" "run" "save" "start" "stats" "stop"
    "system/df" "system/prune" "tag" "top" "unpause" "update" "version" "wait");

/// What commands share, by name.
const COMMAND_LIBRARY: &[(&str, &str)] = files!("lib/":
    "ask" "command" "containers" "create" "filter" "format" "images" "template" "template_functions"
    "template_reader" "time" "units");

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib");
        let dockerfile: Vec<_> =
            FILES.iter().filter_map(|(name, text)| Some((name.strip_prefix("dockerfile/")?, *text))).collect();
        let lists = [("commands", COMMANDS), ("lib", COMMAND_LIBRARY), ("dockerfile", &dockerfile[..])];
        for (folder, files) in lists {
            let pattern = root.join(folder).join("**/*.lua");
            let mut found = glob::glob(pattern.to_str().unwrap()).unwrap().map(Result::unwrap).collect::<Vec<_>>();
            found.sort();
            let below = |path: &std::path::Path| {
                path.strip_prefix(root.join(folder)).unwrap().with_extension("").display().to_string()
            };
            let found: Vec<String> = found.iter().map(|path| below(path)).collect();
            let mut listed: Vec<String> = files.iter().map(|(name, _)| name.to_string()).collect();
            listed.sort();
            assert_eq!(found, listed);
        }
    }
}
