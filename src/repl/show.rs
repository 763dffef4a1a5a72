//! Prints Lua values for people: nested tables with limits on depth and items.

use mlua::{Table, Value};

use crate::runtime::Runtime;

const DEPTH: usize = 4;
const ITEMS: usize = 50;
const WIDTH: usize = 100;

/// A value as the prompt shows it.
pub fn show(runtime: &Runtime, value: &Value) -> String {
    render(runtime, value, 0, &mut Vec::new())
}

fn render(runtime: &Runtime, value: &Value, depth: usize, above: &mut Vec<*const std::ffi::c_void>) -> String {
    match value {
        Value::String(text) if depth > 0 => quoted(&text.to_string_lossy()),
        Value::String(text) => text.to_string_lossy(),
        Value::Table(table) if !has_tostring(table) => {
            if above.contains(&table.to_pointer()) {
                return "{<loop>}".into();
            }
            above.push(table.to_pointer());
            let text = render_table(runtime, table, depth, above);
            above.pop();
            text
        }
        other => runtime.format(other),
    }
}

fn has_tostring(table: &Table) -> bool {
    table.metatable().is_some_and(|meta| !matches!(meta.raw_get("__tostring"), Ok(Value::Nil) | Err(_)))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn render_table(runtime: &Runtime, table: &Table, depth: usize, above: &mut Vec<*const std::ffi::c_void>) -> String {
    if table.is_empty() {
        return "{}".into();
    }
    if depth >= DEPTH {
        return "{...}".into();
    }
    let length = table.raw_len();
    let mut items = Vec::new();
    for index in 1..=length.min(ITEMS) {
        let value = table.raw_get(index).unwrap_or(Value::Nil);
        items.push(render(runtime, &value, depth + 1, above));
    }
    let mut fields: Vec<(Value, Value)> = table.pairs().filter_map(Result::ok).collect();
    fields.retain(|(key, _)| key.as_usize().is_none_or(|index| index == 0 || index > length));
    let total = length + fields.len();
    let mut named: Vec<(String, Value)> =
        fields.into_iter().map(|(key, value)| (label(runtime, &key), value)).collect();
    named.sort_by(|left, right| left.0.cmp(&right.0));
    for (label, value) in named.iter().take(ITEMS.saturating_sub(items.len())) {
        items.push(format!("{label} = {}", render(runtime, value, depth + 1, above)));
    }
    if items.len() < total {
        items.push(format!("... {} more", total - items.len()));
    }
    let short: usize = items.iter().map(|item| item.len() + 2).sum();
    if short + depth * 2 < WIDTH && !items.iter().any(|item| item.contains('\n')) {
        return format!("{{{}}}", items.join(", "));
    }
    let indent = "  ".repeat(depth + 1);
    let lines: String = items.iter().map(|item| format!("{indent}{item},\n")).collect();
    format!("{{\n{lines}{}}}", "  ".repeat(depth))
}

fn label(runtime: &Runtime, key: &Value) -> String {
    match key {
        Value::String(text) => {
            let text = text.to_string_lossy();
            let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && text.chars().next().is_some_and(|c| !c.is_ascii_digit());
            if plain { text } else { format!("[{}]", quoted(&text)) }
        }
        other => format!("[{}]", runtime.format(other)),
    }
}
