//! The `dockerfile` module and `build.dockerfile`. Their bodies are Lua, in `stdlib/dockerfile/`.

use super::api::{Function, Param, Type, option};

const LIBRARY: &str = "dockerfile.init";
const STRINGS: Type = Type::AnyOf(&[Type::String, Type::List(&Type::String)]);
const ERRORS: &[&str] = &["invalid_argument", "not_found", "exit", "network", "permission", "timeout", "interrupted"];

/// The functions of the module.
pub fn rows() -> Vec<Function> {
    vec![
        Function::in_lua("dockerfile.parse", "Reads a Dockerfile.", LIBRARY, "parse")
            .details(
                "The table has `args` (the ARG instructions before the first FROM) and `stages`, each with `name`, \
                 `base`, `platform`, `from` (the instruction) and `steps`. An instruction has `keyword`, `flags`, \
                 `text` (without continuation), `comments` before it and `place` (`file`, `line`, `last`, `source`).",
            )
            .param("path", Type::String, "The file.")
            .returns(Type::Table, "What it says.")
            .errors(&["not_found", "invalid_argument"])
            .example("for _, stage in ipairs(dockerfile.parse(\"Dockerfile\").stages) do print(stage.base) end"),
        Function::in_lua(
            "dockerfile.to_lua",
            "Writes a Lua script that builds what a Dockerfile builds.",
            LIBRARY,
            "to_lua",
        )
        .details(
            "ARGs become variables, which the script's own arguments (`NAME=VALUE`) replace, and stages become \
                 states. The script needs nothing but the functions of this reference.",
        )
        .param("path", Type::String, "The Dockerfile.")
        .option("context", Type::String, "The context the script takes. Default `.`.")
        .option("target", Type::String, "The stage to build. Default the last one.")
        .option("args", Type::Map, "Values of ARGs that the script takes when it is given none.")
        .option("contexts", Type::Map, "Folders, URLs and images (`docker-image://NAME`) in the place of names.")
        .option("secrets", Type::List(&Type::String), "The script's secrets, as `id=ID,src=FILE` or `id=ID,env=NAME`.")
        .option("ssh", Type::List(&Type::String), "The script's agents and keys, as `default` or `ID=SOCKET`.")
        .option("network", Type::OneOf(&["default", "none", "host"]), "Network of RUN.")
        .option("tags", STRINGS, "The image's name or names.")
        .option("labels", Type::Map, "Labels to put on the image.")
        .option("squash", Type::AnyOf(&[Type::Boolean, Type::String]), "As of build.dockerfile.")
        .returns(Type::String, "The script.")
        .errors(&["not_found", "invalid_argument"])
        .example("fs.write(\"build.lua\", dockerfile.to_lua(\"Dockerfile\"))"),
        Function::in_lua("dockerfile.expand", "Replaces variables as a Dockerfile does.", LIBRARY, "expand")
            .details("`$x`, `${x}`, `${x:-default}`, `${x%.*}`, `${x/a/b}` and their like; quotes are removed.")
            .param("text", Type::String, "The text.")
            .param("variables", Type::Table, "Names and values.")
            .returns(Type::String, "The result.")
            .errors(&["invalid_argument"])
            .example("print(dockerfile.expand(\"${file%.*}\", {file=\"a.tar.gz\"}))"),
    ]
}

/// What the `build` module has of it.
pub fn build_rows() -> Vec<Function> {
    vec![
        Function::in_lua("build.dockerfile", "Builds an image as a Dockerfile says.", LIBRARY, "build")
            .details(
                "Only stages the target needs are built, independent ones at the same time. An error has `file`, \
                 `line` and `source`, and in a failed step `exit_code`, `stderr` and `state`.",
            )
            .options(input_options())
            .options(step_options())
            .options(output_options())
            .returns(Type::Handle("Image"), "The image.")
            .errors(ERRORS)
            .example("local img = build.dockerfile{context=\".\", tags=\"app:1.0\", args={VERSION=\"1.0\"}}"),
    ]
}

fn input_options() -> Vec<Param> {
    vec![
        option(
            "context",
            Type::AnyOf(&[Type::String, Type::Handle("Context")]),
            "A folder, a tar, `-`, a git URL, or a Context. Default `.`.",
        ),
        option("file", Type::String, "The Dockerfile; `-` for standard input. Default `Dockerfile` in the context."),
        option("text", Type::String, "The Dockerfile's text instead."),
        option("target", Type::String, "The stage to build. Default the last one."),
        option("args", Type::Map, "Values for ARG."),
        option("contexts", Type::Table, "Contexts, states, images, names or folders to put in the place of names."),
        option("platform", Type::String, "`OS/ARCH[/VARIANT]` to build for. Default this machine's."),
        option(
            "pull",
            Type::AnyOf(&[Type::Boolean, Type::OneOf(&["missing", "always", "never"])]),
            "When to ask the registry; true for `always`.",
        ),
    ]
}

fn step_options() -> Vec<Param> {
    let mut rows = vec![
        option("cache", Type::Boolean, "False: take every step even if its result is known. Default true."),
        option("secrets", Type::Table, "Secrets for `--mount=type=secret`, as of State:run."),
        option("ssh", Type::Table, "Agents and keys for `--mount=type=ssh`, as of State:run."),
        option("network", Type::OneOf(&["default", "none", "host"]), "Network of RUN."),
        option("allow", Type::List(&Type::String), "`security.insecure` allows `RUN --security=insecure`."),
        option("add_hosts", Type::List(&Type::String), "`NAME:ADDRESS` lines for /etc/hosts."),
        option("ulimits", Type::List(&Type::String), "`NAME=SOFT[:HARD]`, such as `nofile=1024`."),
        option("shm_size", Type::Size, "Size of /dev/shm."),
    ];
    rows.extend(super::build::limit_options());
    rows
}

fn output_options() -> Vec<Param> {
    vec![
        option("tags", STRINGS, "The image's name or names."),
        option("labels", Type::Map, "Labels to put on the image."),
        option("annotations", Type::Map, "Annotations of the image's manifest."),
        option(
            "squash",
            Type::AnyOf(&[Type::Boolean, Type::String]),
            "One layer of this build's layers; `all`: of all.",
        ),
        option("compression", Type::OneOf(&["gzip", "zstd", "none"]), "Of new layers."),
        option(
            "output",
            Type::AnyOf(&[Type::String, Type::Table]),
            "Where to put the result besides, as of State:commit.",
        ),
    ]
}
