//! What is wrong with a command line, in a line that names the flag, and a hint.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::declaration::Declaration;
use crate::engine::suggest::nearest;
use crate::report::Report;

/// The report for what clap found.
pub fn report(name: &str, declaration: &Declaration, error: &clap::Error) -> Report {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(list)) => list.join(", "),
        _ => String::new(),
    };
    let flag = flag_only(&text(ContextKind::InvalidArg));
    let value = text(ContextKind::InvalidValue);
    let (message, hint) = match error.kind() {
        ErrorKind::UnknownArgument => (format!("unknown flag '{flag}'"), near(declaration, &flag, error)),
        ErrorKind::InvalidValue => {
            let hint = Some(text(ContextKind::ValidValue)).filter(|valid| !valid.is_empty());
            let what = match value.is_empty() {
                true => format!("flag '{flag}' needs a value"),
                false => format!("invalid value '{value}' for '{flag}'"),
            };
            (what, hint.map(|valid| format!("one of {valid}")))
        }
        ErrorKind::ValueValidation => {
            let why = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
            (format!("invalid value '{value}' for '{flag}'{why}"), None)
        }
        ErrorKind::ArgumentConflict => {
            let other = flag_only(&text(ContextKind::PriorArg));
            (format!("flags '{flag}' and '{other}' cannot be given together"), None)
        }
        ErrorKind::InvalidUtf8 => ("an argument is not valid UTF-8".into(), None),
        // Nothing else can come from what is declared.
        _ => (error.to_string().trim_start_matches("error: ").trim_end().to_string(), None),
    };
    Report::usage(format!("{name}: {message}"), hint.or_else(|| Some(help_hint(name))))
}

/// The report for too few or too many positional arguments.
pub fn wrong_count(name: &str, declaration: &Declaration, given: usize) -> Report {
    let (least, most) = declaration.word_counts();
    let count = |number: usize| format!("{number} argument{}", if number == 1 { "" } else { "s" });
    let message = match most {
        Some(0) => format!("{name}: takes no arguments"),
        Some(most) if most == least => format!("{name}: takes {}, got {given}", count(most)),
        Some(most) if given > most => format!("{name}: takes at most {}, got {given}", count(most)),
        _ => format!("{name}: needs at least {}", count(least)),
    };
    Report::usage(message, Some(format!("usage: moonshell {name} {}", declaration.usage())))
}

fn help_hint(name: &str) -> String {
    format!("`moonshell {name} --help` lists the flags")
}

fn near(declaration: &Declaration, flag: &str, error: &clap::Error) -> Option<String> {
    let by_clap = match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(text)) => Some(flag_only(text)),
        Some(ContextValue::Strings(list)) => list.first().map(|text| flag_only(text)),
        _ => None,
    };
    let known: Vec<String> = declaration.flags.iter().map(|flag| format!("--{}", flag.long)).collect();
    let found = by_clap.or_else(|| nearest(flag, known.iter().map(String::as_str)).map(String::from))?;
    Some(format!("did you mean '{found}'?"))
}

/// `--time` of `--time <SECONDS>`.
fn flag_only(text: &str) -> String {
    let end = text.find([' ', '=', '<', '[']).unwrap_or(text.len());
    text[..end].to_string()
}
