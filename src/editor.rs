//! `moonshell init`: tells an editor's Lua language server about the API.

use std::path::{Path, PathBuf};

use crate::engine::error::{Error, OsContext, Result};
use crate::stdlib;

/// Writes the type file into the user's data folder, and a setting that names it into `folder`. Returns the file
/// with the setting.
///
/// # Errors
/// `invalid_argument` without a data folder, or when the settings are no JSON object; `permission`, `os`.
pub fn init(folder: &Path, data: Option<PathBuf>) -> Result<PathBuf> {
    let none = || Error::invalid("no place for the editor files").with_hint("set HOME");
    let library = data.ok_or_else(none)?.join("moonshell/meta");
    std::fs::create_dir_all(&library).os(|| format!("make folder {}", library.display()))?;
    let meta = library.join("moonshell.lua");
    std::fs::write(&meta, stdlib::META).os(|| format!("write {}", meta.display()))?;
    let path = folder.join(".luarc.json");
    let old = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|e| Error::invalid(format!("{} is not JSON: {e}", path.display())))?,
        Err(_) => serde_json::json!({}),
    };
    let serde_json::Value::Object(mut settings) = old else {
        return Err(Error::invalid(format!("{} is not a JSON object", path.display())));
    };
    settings.insert("runtime.version".into(), "Lua 5.4".into());
    let libraries = settings.entry("workspace.library").or_insert_with(|| serde_json::json!([]));
    let entry = serde_json::Value::from(library.display().to_string());
    if let Some(list) = libraries.as_array_mut()
        && !list.contains(&entry)
    {
        list.push(entry);
    }
    let text = format!("{:#}\n", serde_json::Value::Object(settings));
    std::fs::write(&path, text).os(|| format!("write {}", path.display()))?;
    Ok(path)
}
