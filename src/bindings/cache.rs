//! The `cache` module: what builds remember.

use mlua::{Lua, Table};

use super::api::{Function, Type};
use super::list::tables;
use crate::engine::build::{CacheEntry, PruneOptions, Pruned};

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
    ]
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
