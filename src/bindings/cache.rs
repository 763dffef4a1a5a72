//! The `cache` module: what builds remember.

use mlua::{AnyUserData, Lua, Table, Value};

use super::Options;
use super::api::{Function, Type};
use super::build::StateHandle;
use super::list::tables;
use crate::engine::build::{CacheEntry, Exchanged, Exported, PruneOptions, Pruned, State};
use crate::engine::error::Result;
use crate::engine::reference::Reference;

/// The functions.
pub fn rows() -> Vec<Function> {
    vec![
        Function::new("cache.list", "Lists what builds remember.", |call| {
            call.work(|at| at.engine()?.cache_list(), entries)
        })
        .returns(
            Type::List(&Type::Table),
            "What was used last comes first: `kind` (`step`, `mount`, `download` or `digests`), `key`, `step`, `size`, \
             `created`, `last_used`, `shared` (an image or container has the layer), `in_use` (a running process stands \
             on it), `remote` (the layer is in a registry only); prints as a table.",
        )
        .errors(&["integrity"])
        .example("print(cache.list())"),
        Function::new("cache.prune", "Removes what builds remember, what was not used for longest first.", |call| {
            let opts = call.options();
            let options = PruneOptions {
                keep: opts.size("keep")?,
                older: opts.duration("older")?,
                all: opts.boolean("all").unwrap_or(false),
            };
            call.work(move |at| at.engine()?.cache_prune(&options), pruned)
        })
        .details(
            "What running processes stand on stays, this one's states too. Layers of images and containers stay. \
             Without `keep` and `older` everything else goes.",
        )
        .option("keep", Type::Size, "Keep this much of what was used last, such as `\"10g\"`.")
        .option("older", Type::Duration, "Only what was not used for this long, such as `\"7d\"`.")
        .option("all", Type::Boolean, "Also the steps whose layers images have. Default false.")
        .returns(Type::Table, "What is gone: `steps`, `layers`, `others` (cache mounts, kept files) and `bytes`.")
        .errors(&["integrity", "interrupted"])
        .example("cache.prune{keep=\"10g\", older=\"7d\"}"),
        Function::new("cache.export", "Pushes steps and what they made to a registry.", |call| {
            let (to, opts) = (call.string(0)?.parse::<Reference>()?, call.options());
            let what = match (states(&opts)?, opts.boolean("all")) {
                (Some(states), _) => Exported::States(states),
                (None, Some(true)) => Exported::All,
                (None, _) => Exported::Taken,
            };
            call.work(move |at| at.engine()?.cache_export(&to, &what), exchanged)
        })
        .details("Without options those this process has taken or found in the cache.")
        .param("ref", Type::String, "Its name in the registry.")
        .option("states", Type::List(&Type::Handle("State")), "Only the steps that led to these.")
        .option("all", Type::Boolean, "All that are known. Default false.")
        .returns(Type::Table, "`steps`, `layers`, `bytes` and the `digest` of its manifest.")
        .errors(&["not_found", "permission", "network", "timeout", "interrupted"])
        .example("cache.export(\"127.0.0.1:5000/cache:main\")"),
        Function::new("cache.import", "Learns the steps of a cache in a registry.", |call| {
            let (from, now) = (call.string(0)?.parse::<Reference>()?, call.options().boolean("now").unwrap_or(false));
            call.work(move |at| at.engine()?.cache_import(&from, now), exchanged)
        })
        .details(
            "A layer is fetched when a step is first built on, or the state committed. Everything is checked by its \
             digest, but whether a step really makes the layer its record names is for who exported it to say: import \
             from where you would pull images. An image is never taken for a cache.",
        )
        .param("ref", Type::String, "Its name in the registry.")
        .option("now", Type::Boolean, "Fetch all layers at once. Default false.")
        .returns(Type::Table, "`steps` that are new, `layers` and `bytes` of all.")
        .errors(&["not_found", "permission", "network", "timeout", "integrity", "unsupported", "interrupted"])
        .example("cache.import(\"127.0.0.1:5000/cache:main\")"),
    ]
}

fn states(opts: &Options) -> Result<Option<Vec<State>>> {
    let Value::Table(list) = opts.value("states") else { return Ok(None) };
    let state = |handle: mlua::Result<AnyUserData>| Ok(handle?.borrow::<StateHandle>()?.0.clone());
    list.sequence_values::<AnyUserData>().map(state).collect::<Result<_>>().map(Some)
}

fn exchanged(lua: &Lua, what: Exchanged) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("steps", what.steps)?;
    table.raw_set("layers", what.layers)?;
    table.raw_set("bytes", what.bytes)?;
    table.raw_set("digest", what.digest.map(|digest| digest.to_string()))?;
    Ok(table)
}

fn entries(lua: &Lua, list: Vec<CacheEntry>) -> mlua::Result<Table> {
    const COLUMNS: &[(&str, &str)] =
        &[("KEY", "key"), ("KIND", "kind"), ("SIZE", "size"), ("LAST USED", "last_used"), ("STEP", "step")];
    let row = |entry: CacheEntry| {
        let row = lua.create_table()?;
        row.raw_set("kind", entry.kind.word())?;
        row.raw_set("key", entry.key)?;
        row.raw_set("step", entry.step)?;
        row.raw_set("size", entry.size)?;
        row.raw_set("created", entry.created)?;
        row.raw_set("last_used", humantime::format_rfc3339_seconds(entry.used).to_string())?;
        row.raw_set("shared", entry.shared)?;
        row.raw_set("in_use", entry.in_use)?;
        row.raw_set("remote", entry.remote)?;
        Ok(row)
    };
    let rows = list.into_iter().map(row).collect::<mlua::Result<Vec<_>>>()?;
    tables(lua, rows, COLUMNS)
}

fn pruned(lua: &Lua, pruned: Pruned) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("steps", pruned.steps)?;
    table.raw_set("layers", pruned.layers)?;
    table.raw_set("others", pruned.others)?;
    table.raw_set("bytes", pruned.bytes)?;
    Ok(table)
}
