//! Bugs: a panic becomes an error of kind `internal` instead of ending the program without clean-up.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::bindings::Failed;
use crate::engine::error::{Error, Kind};

thread_local! {
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps the standard library from printing panics: they are reported like any other error.
pub fn silence() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|place| format!("{}:{}", place.file(), place.line()));
        PLACE.with(|cell| *cell.borrow_mut() = place);
    }));
}

/// Runs `f`; a panic becomes an error.
pub fn caught<T>(f: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| Err(error(payload.as_ref()).into()))
}

/// The error for a panic's payload.
pub fn error(payload: &(dyn Any + Send)) -> Error {
    let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text.as_str(),
        _ => "panic",
    };
    let place = PLACE.with(|cell| cell.borrow_mut().take()).unwrap_or_default();
    Error::new(Kind::Internal, format!("bug in moonshell: {text} ({place})"))
        .with_hint("please report this with the script that caused it")
}
