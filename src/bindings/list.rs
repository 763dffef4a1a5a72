//! Lists of handles that print as aligned tables.

use comfy_table::Table as Grid;
use mlua::{AnyUserData, Lua, Table, Value};

use super::install::Api;
use crate::engine::build::in_a_short_line;
use crate::runtime::api;

/// Longer steps are cut in tables.
const LONGEST: usize = 80;

/// Makes a Lua list whose `tostring` is a table with the given columns (heading, field).
///
/// # Errors
/// When memory is short.
pub fn list(
    lua: &Lua,
    items: Vec<AnyUserData>,
    columns: &'static [(&'static str, &'static str)],
) -> mlua::Result<Table> {
    let table = lua.create_sequence_from(items)?;
    printing(lua, table, lua.create_function(move |lua, list: Table| render(lua, &list, columns))?)
}

fn render(lua: &Lua, list: &Table, columns: &[(&str, &str)]) -> mlua::Result<String> {
    let rows = api(lua);
    let mut lines = Vec::new();
    for item in list.sequence_values::<AnyUserData>() {
        let item = item?;
        let cells =
            columns.iter().map(|(_, field)| cell(lua, &rows, &item, field)).collect::<mlua::Result<Vec<_>>>()?;
        lines.push(cells);
    }
    Ok(grid(columns.iter().map(|(heading, _)| heading.to_string()).collect(), lines))
}

/// Makes a Lua list of plain tables that prints as a table with the given columns (heading, key).
///
/// # Errors
/// When memory is short.
pub fn tables(lua: &Lua, items: Vec<Table>, columns: &'static [(&'static str, &'static str)]) -> mlua::Result<Table> {
    let list = lua.create_sequence_from(items)?;
    let text = move |_: &Lua, list: Table| {
        let line = |item: mlua::Result<Table>| -> mlua::Result<Vec<String>> {
            let item = item?;
            columns.iter().map(|(_, key)| shown(key, item.get(*key)?)).collect()
        };
        let lines = list.sequence_values::<Table>().map(line).collect::<mlua::Result<Vec<_>>>()?;
        Ok(grid(columns.iter().map(|(heading, _)| heading.to_string()).collect(), lines))
    };
    printing(lua, list, lua.create_function(text)?)
}

/// Makes a list print as a text.
///
/// # Errors
/// When memory is short.
pub fn with_text(lua: &Lua, list: Table, text: String) -> mlua::Result<Table> {
    printing(lua, list, lua.create_function(move |_, _: Table| Ok(text.clone()))?)
}

fn printing(lua: &Lua, list: Table, text: mlua::Function) -> mlua::Result<Table> {
    let metatable = lua.create_table()?;
    metatable.raw_set("__name", "list")?;
    metatable.raw_set("__tostring", text)?;
    list.set_metatable(Some(metatable))?;
    Ok(list)
}

/// An aligned table without lines.
pub fn grid(headings: Vec<String>, rows: Vec<Vec<String>>) -> String {
    let mut grid = Grid::new();
    grid.load_style(comfy_table::presets::NOTHING);
    grid.set_header(headings);
    grid.add_rows(rows);
    for column in grid.column_iter_mut() {
        column.set_padding((0, 2));
    }
    grid.lines().map(|line| line.trim_end().to_string()).collect::<Vec<_>>().join("\n")
}

/// A table as container tools print it: three blanks between columns, none narrower than ten. Control characters
/// in a cell are shown, not sent to the terminal.
pub fn columns(headings: Option<Vec<String>>, rows: Vec<Vec<String>>) -> String {
    const GAP: u16 = 3;
    const LEAST: usize = 10 - GAP as usize;
    let mut grid = Grid::new();
    grid.load_style(comfy_table::presets::NOTHING);
    let wide = |text: String| format!("{:<LEAST$}", visible(&text));
    if let Some(headings) = headings {
        grid.set_header(headings.into_iter().map(wide));
    }
    for row in rows {
        grid.add_row(row.into_iter().map(wide));
    }
    for column in grid.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    grid.lines().map(|line| line.trim_end().to_string()).collect::<Vec<_>>().join("\n")
}

fn cell(lua: &Lua, rows: &Api, item: &AnyUserData, name: &str) -> mlua::Result<String> {
    let class = item.type_name()?.to_string_lossy();
    let found = rows.class(&class).and_then(|class| class.fields.iter().find(|field| field.param.name == name));
    let value = match found {
        Some(field) => (field.get)(lua, item)?,
        None => Value::Nil,
    };
    shown(name, value)
}

fn shown(name: &str, value: Value) -> mlua::Result<String> {
    Ok(match value {
        Value::Nil => String::new(),
        Value::Integer(bytes) if name == "size" => human_size(bytes),
        // As digests are shown: enough to tell them apart.
        Value::String(key) if name == "key" => {
            key.to_string_lossy().trim_start_matches("sha256:").chars().take(12).collect()
        }
        // Scripts of many lines are told by their beginning.
        Value::String(words) if matches!(name, "step" | "created_by") => {
            in_a_short_line(&words.to_string_lossy(), LONGEST)
        }
        Value::String(time) if matches!(name, "created" | "last_used") => seconds(&time.to_string_lossy()),
        Value::String(text) => visible(&text.to_string_lossy()),
        Value::Table(list) => list.sequence_values::<String>().collect::<mlua::Result<Vec<_>>>()?.join(", "),
        other => other.to_string()?,
    })
}

/// A time without the parts of its second.
fn seconds(time: &str) -> String {
    match (time.split_once('.'), time.strip_suffix('Z')) {
        (Some((whole, _)), Some(_)) => format!("{whole}Z"),
        _ => time.into(),
    }
}

/// Control characters are shown, not sent to the terminal.
fn visible(text: &str) -> String {
    match text.contains(|c: char| c.is_control()) {
        true => text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.into() }).collect(),
        false => text.into(),
    }
}

/// `12.3 MB`.
pub fn human_size(bytes: i64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}
