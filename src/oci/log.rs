//! Where errors and warnings go.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;
use std::time::SystemTime;

use clap::ArgMatches;

use crate::report;

static LOG: OnceLock<(File, bool)> = OnceLock::new();

/// The log of one run of the program.
pub struct Log(bool);

impl Log {
    /// Opens what the flags name.
    pub fn new(matches: &ArgMatches) -> Log {
        let json = matches.get_one::<String>("log-format").is_some_and(|format| format == "json");
        if let Some(path) = matches.get_one::<String>("log").map(Path::new).filter(|path| !path.as_os_str().is_empty())
        {
            match OpenOptions::new().create(true).append(true).open(path) {
                Ok(file) => drop(LOG.set((file, json))),
                Err(e) => report::plain(&format!("cannot open log {}: {e}", path.display())),
            }
        }
        Log(json)
    }

    /// The failure of the program.
    pub fn error(&mut self, text: &str) {
        write("error", text);
        // Standard error in the form of the log, for engines that read it there; as plain text for people.
        match (LOG.get(), self.0) {
            (None, true) => report::plain(line("error", text, true).trim_end()),
            _ => report::plain(text),
        }
    }
}

/// Something that does not keep a container from running. Nobody need read it, so it is not on standard error, which
/// may be the container's.
pub fn warning(text: &str) {
    write("warning", text);
}

fn write(level: &str, text: &str) {
    let Some((file, json)) = LOG.get() else { return };
    let line = line(level, text, *json);
    // In one write, as others may append too. A log that cannot be written must not hide the error itself.
    let _ = (&mut &*file).write_all(line.as_bytes());
}

fn line(level: &str, text: &str, json: bool) -> String {
    let time = humantime::format_rfc3339_seconds(SystemTime::now());
    match json {
        true => format!("{}\n", serde_json::json!({ "level": level, "msg": text, "time": time.to_string() })),
        false => format!("time=\"{time}\" level={level} msg={text:?}\n"),
    }
}
