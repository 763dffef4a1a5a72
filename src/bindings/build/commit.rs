//! From a state to an image.

use mlua::Value;

use super::super::api::{Function, Type};
use super::super::call::{Call, Outcome};
use super::super::class::object;
use super::{STRINGS, one_or_more, this};
use crate::engine::build::CommitOptions;
use crate::engine::error::Result;
use crate::engine::image::Image;
use crate::engine::reference::Reference;

/// The methods.
pub fn rows() -> Vec<Function> {
    vec![
        Function::new("commit", "Makes an image of the state.", commit)
            .optional("ref", STRINGS, "Its name, or a list of names. Without one it is kept untagged.")
            .option("message", Type::String, "A remark for the history.")
            .option("author", Type::String, "Who made it.")
            .returns(Type::Handle("Image"), "The image.")
            .errors(&["invalid_argument", "not_found", "interrupted"])
            .example("local img = s:commit \"app:1.0\""),
    ]
}

fn commit(call: &Call) -> Result<Outcome> {
    let state_ = this(call)?;
    let names = match call.arg(0) {
        Value::Nil => Vec::new(),
        value => one_or_more(&value).map_err(|e| call.named(e))?,
    };
    let names = names.iter().map(|name| name.parse()).collect::<Result<Vec<Reference>>>()?;
    let opts = call.options();
    let options = CommitOptions { message: opts.string("message")?, author: opts.string("author")? };
    call.work(move |at| state_.commit(&at.engine()?, &names, &options), |lua, image: Image| object(lua, image))
}
