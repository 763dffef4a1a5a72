//! Running from a view of the own program that no container can write to.
//!
//! A process that enters a container is for a moment this program, and `/proc/PID/exe` leads to its file: what is not
//! read-only there could be overwritten from inside (CVE-2019-5736). So the program starts itself again from a
//! read-only mount of its file that exists nowhere else, or where it may not mount, from a sealed copy in memory.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;

use crate::engine::container::protected;
use crate::engine::error::{Error, Result};

/// Goes on in such a view; returns when this process is in one, or runs a command that enters no container.
pub fn enter(arguments: &[OsString]) -> Result<()> {
    let enters = arguments.iter().any(|word| word == "create" || word == "run" || word == "exec");
    if !enters || protected::is_protected()? {
        return Ok(());
    }
    let text = |word: OsString| CString::new(word.into_vec()).map_err(|_| Error::invalid("an argument holds a NUL"));
    let words = [OsString::from(super::NAME)].into_iter().chain(arguments.iter().cloned());
    let argv = words.map(text).collect::<Result<Vec<_>>>()?;
    let env = std::env::vars_os().map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        text(name)
    });
    protected::execute(&argv, &env.collect::<Result<Vec<_>>>()?).map(drop)
}
