//! What commands print.

use std::io::Write;

use comfy_table::Table;

use crate::engine::error::{OsContext, Result};

/// Prints lines of columns under upper-case headings.
pub fn print(headings: &[&str], rows: Vec<Vec<String>>) -> Result<()> {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(headings.to_vec());
    table.add_rows(rows);
    let last = headings.len().saturating_sub(1);
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if at == last { 0 } else { 2 }));
    }
    let text: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    write(&text)
}

/// Prints a value, for people to read as well.
pub fn json(value: &serde_json::Value) -> Result<()> {
    write(&format!("{value:#}\n"))
}

/// Prints text.
pub fn write(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).os(|| "write standard output")
}
