//! Rows to text: `help()`, the reference page and the editor file.

use std::fmt::Write;

use super::api::{Function, Param, Type};
use super::args::{function_name, plain};
use super::class::Class;
use super::install::Api;

/// `image.pull(ref [, opts])`.
pub fn signature(class: Option<&'static str>, row: &Function) -> String {
    let mut parts = Vec::new();
    for param in &row.params {
        parts.push(if param.required { param.name.to_string() } else { format!("[{}]", param.name) });
    }
    parts.extend(row.variadic.iter().map(|param| format!("{}, ...", param.name)));
    if !row.options.is_empty() {
        let required = row.options.iter().any(|option| option.required);
        parts.push(if required { "opts".into() } else { "[opts]".into() });
    }
    let returns: Vec<String> = row.returns.iter().map(|r| optional(plain(r.ty), r)).collect();
    let arrow = if returns.is_empty() { String::new() } else { format!(" -> {}", returns.join(", ")) };
    format!("{}({}){arrow}", function_name(class, row), parts.join(", "))
}

fn optional(text: String, param: &Param) -> String {
    if param.required { text } else { format!("{text}?") }
}

/// Every name `help` knows.
pub fn names(api: &Api) -> Vec<String> {
    let mut names: Vec<String> = api.modules.iter().map(|module| module.name.to_string()).collect();
    names.extend(api.modules.iter().flat_map(|module| module.functions.iter().map(|row| row.name.to_string())));
    names.extend(api.globals.iter().map(|row| row.name.to_string()));
    for class in &api.classes {
        names.push(class.name.to_string());
        names.extend(class.methods.iter().map(|row| function_name(Some(class.name), row)));
    }
    names
}

/// The short overview.
pub fn overview(api: &Api) -> String {
    let mut text = String::from("Modules:\n");
    for module in &api.modules {
        let _ = writeln!(text, "  {:<10} {}", module.name, module.summary);
    }
    text.push_str("\nFunctions:\n");
    for row in &api.globals {
        let _ = writeln!(text, "  {:<10} {}", row.name, row.summary);
    }
    text.push_str("\nhelp(fs) lists a module, help(fs.read) explains a function.\n");
    text
}

/// The help text for a name; `None` when nothing has that name.
pub fn help(api: &Api, name: &str) -> Option<String> {
    if let Some((class, row)) = api.function(name) {
        return Some(function_help(class, row));
    }
    if let Some(module) = api.module(name) {
        let mut text = format!("{}: {}\n\n", module.name, module.summary);
        lines(&mut text, None, &module.functions);
        return Some(text);
    }
    api.class(name).map(class_help)
}

fn lines(text: &mut String, class: Option<&'static str>, rows: &[Function]) {
    for row in rows {
        let _ = writeln!(text, "  {}\n      {}", signature(class, row), row.summary);
    }
}

fn class_help(class: &Class) -> String {
    let mut text = format!("{}: {}\n\n", class.name, class.summary);
    if !class.fields.is_empty() {
        text.push_str("Fields:\n");
        for field in &class.fields {
            let param = &field.param;
            let _ = writeln!(text, "  {:<12} {} ({})", param.name, param.doc, optional(plain(param.ty), param));
        }
    }
    if !class.methods.is_empty() {
        text.push_str("\nMethods:\n");
        lines(&mut text, Some(class.name), &class.methods);
    }
    text
}

/// A paragraph in lines of at most 100 columns, behind `start`; further lines begin at column `indent`.
fn wrapped(start: &str, indent: usize, words: &str) -> String {
    let rest = " ".repeat(indent);
    textwrap::fill(words, textwrap::Options::new(100).initial_indent(start).subsequent_indent(&rest))
}

fn function_help(class: Option<&'static str>, row: &Function) -> String {
    let mut text = format!("{}\n\n  {}\n", signature(class, row), row.summary);
    if !row.details.is_empty() {
        let _ = writeln!(text, "{}", wrapped("  ", 2, row.details));
    }
    let section = |text: &mut String, title: &str, params: &[Param]| {
        if !params.is_empty() {
            let _ = writeln!(text, "\n{title}:");
            let width = params.iter().map(|param| param.name.len()).max().unwrap_or(0);
            for param in params {
                let ty = type_words(param.ty);
                let start = format!("  {:<width$}  ", param.name);
                let words = format!("{} ({})", param.doc, optional(ty, param));
                let _ = writeln!(text, "{}", wrapped(&start, width + 4, &words));
            }
        }
    };
    let positional: Vec<Param> = row.params.iter().chain(&row.variadic).cloned().collect();
    section(&mut text, "Arguments", &positional);
    section(&mut text, "Options", &row.options);
    if !row.returns.is_empty() {
        text.push_str("\nReturns:\n");
        for value in &row.returns {
            let _ = writeln!(text, "  {} ({})", value.doc, optional(plain(value.ty), value));
        }
    }
    if !row.errors.is_empty() {
        let _ = writeln!(text, "\nErrors: {}", row.errors.join(", "));
    }
    if !row.example.is_empty() {
        let _ = writeln!(text, "\nExample:\n  {}", row.example.replace('\n', "\n  "));
    }
    text
}

fn type_words(ty: Type) -> String {
    match ty {
        Type::OneOf(words) => words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join("|"),
        other => plain(other),
    }
}

const GENERATED: &str = "Made from the API rows in src/bindings by `UPDATE=1 cargo test --test golden`. Do not edit.";

/// The reference page, Markdown.
pub fn reference(api: &Api) -> String {
    let mut text = format!("<!-- {GENERATED} -->\n\n# Lua reference\n");
    for module in &api.modules {
        let _ = write!(text, "\n## {}\n\n{}\n", module.name, module.summary);
        module.functions.iter().for_each(|row| function_page(&mut text, None, row));
    }
    text.push_str("\n## Functions\n");
    api.globals.iter().for_each(|row| function_page(&mut text, None, row));
    for class in &api.classes {
        let _ = write!(text, "\n## {}\n\n{}\n", class.name, class.summary);
        if !class.fields.is_empty() {
            text.push_str("\n| field | type | |\n|---|---|---|\n");
            for field in &class.fields {
                let ty = optional(type_words(field.param.ty), &field.param).replace('|', "\\|");
                let _ = writeln!(text, "| `{}` | {ty} | {} |", field.param.name, field.param.doc);
            }
        }
        class.methods.iter().for_each(|row| function_page(&mut text, Some(class.name), row));
    }
    text
}

fn function_page(text: &mut String, class: Option<&'static str>, row: &Function) {
    let _ = write!(text, "\n### {}\n\n`{}`\n\n{}", function_name(class, row), signature(class, row), row.summary);
    let details = if row.details.is_empty() { String::new() } else { format!(" {}", row.details) };
    let _ = writeln!(text, "{details}\n");
    for param in row.params.iter().chain(&row.variadic) {
        let _ = writeln!(text, "- `{}` ({}): {}", param.name, optional(type_words(param.ty), param), param.doc);
    }
    for option in &row.options {
        let must = if option.required { ", required" } else { "" };
        let _ = writeln!(text, "- option `{}` ({}{must}): {}", option.name, type_words(option.ty), option.doc);
    }
    for value in &row.returns {
        let _ = writeln!(text, "- returns {}: {}", optional(plain(value.ty), value), value.doc);
    }
    if !row.errors.is_empty() {
        let _ = writeln!(text, "- errors: {}", row.errors.join(", "));
    }
    let _ = writeln!(text, "- since {}", row.since);
    if !row.example.is_empty() {
        let _ = write!(text, "\n```lua\n{}\n```\n", row.example);
    }
}

/// The editor file: LuaLS definitions.
pub fn meta(api: &Api) -> String {
    let mut text = format!("---@meta moonshell\n-- {GENERATED}\n");
    text.push_str("\n---@alias command string|string[]\n---@alias size integer|string\n");
    text.push_str("---@alias duration number|string\n");
    for class in &api.classes {
        let _ = write!(text, "\n---{}\n---@class {}\n", class.summary, class.name);
        for field in &class.fields {
            let (name, doc) = (field.param.name, field.param.doc);
            let _ = writeln!(text, "---@field {name} {} {doc}", optional(editor_type(field.param.ty), &field.param));
        }
        let _ = writeln!(text, "local {} = {{}}", class.name);
        class.methods.iter().for_each(|row| function_meta(&mut text, Some(class.name), row));
    }
    for module in &api.modules {
        let _ = write!(text, "\n---{}\n{} = {{}}\n", module.summary, module.name);
        if module.name == "host" {
            text.push_str(
                "---The environment's variables as they were at the start.\n---@type table<string, string>\n",
            );
            text.push_str("host.env = {}\n");
        }
        module.functions.iter().for_each(|row| function_meta(&mut text, None, row));
    }
    api.globals.iter().for_each(|row| function_meta(&mut text, None, row));
    text
}

fn function_meta(text: &mut String, class: Option<&'static str>, row: &Function) {
    let name = function_name(class, row);
    let options_class = format!("{}.options", name.replace(':', "."));
    if !row.options.is_empty() {
        let _ = write!(text, "\n---@class {options_class}\n");
        for option in &row.options {
            let mark = if option.required { "" } else { "?" };
            let _ = writeln!(text, "---@field {}{mark} {} {}", option.name, editor_type(option.ty), option.doc);
        }
    }
    let _ = writeln!(text, "\n---{}", row.summary);
    if !row.details.is_empty() {
        let _ = writeln!(text, "---{}", row.details);
    }
    for param in &row.params {
        let mark = if param.required { "" } else { "?" };
        let _ = writeln!(text, "---@param {}{mark} {} {}", param.name, editor_type(param.ty), param.doc);
    }
    let mut names: Vec<&str> = row.params.iter().map(|param| param.name).collect();
    if let Some(param) = &row.variadic {
        let _ = writeln!(text, "---@param ... {} {}", editor_type(param.ty), param.doc);
        names.push("...");
    } else if !row.options.is_empty() {
        let mark = if row.options.iter().any(|option| option.required) { "" } else { "?" };
        let _ = writeln!(text, "---@param opts{mark} {options_class}");
        names.push("opts");
    }
    for value in &row.returns {
        let many = if row.variadic.is_some() && value.ty == Type::Any { "any ..." } else { "" };
        let ty = if many.is_empty() { optional(editor_type(value.ty), value) } else { many.into() };
        let _ = writeln!(text, "---@return {ty} # {}", value.doc);
    }
    let _ = writeln!(text, "function {name}({}) end", names.join(", "));
}

fn editor_type(ty: Type) -> String {
    match ty {
        Type::List(item) => format!("{}[]", editor_type(*item)),
        Type::Map => "table<string, string|number|boolean>".into(),
        Type::Function => "function".into(),
        Type::OneOf(_) => type_words(ty),
        Type::AnyOf(types) => types.iter().map(|ty| editor_type(*ty)).collect::<Vec<_>>().join("|"),
        other => plain(other),
    }
}
