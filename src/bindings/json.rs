//! The `json` module.

use mlua::serde::SerializeOptions;
use mlua::{Lua, LuaSerdeExt, Value};
use serde::Serialize;

use super::api::{Function, Type};
use super::call::{Call, Outcome};
use crate::engine::error::{Error, Result};

/// The functions.
pub fn rows() -> Vec<Function> {
    vec![
        Function::new("json.encode", "Turns a value into JSON text.", encode)
            .details("A table with elements 1 to n is an array, any other an object with sorted keys.")
            .param("value", Type::Any, "The value.")
            .option("pretty", Type::Boolean, "Indent it. Default false.")
            .returns(Type::String, "The text.")
            .errors(&["invalid_argument"])
            .example("print(json.encode({name=\"web\", ports={80, 443}}))"),
        Function::new("json.decode", "Reads JSON text.", decode)
            .details("A null in an object is left out; in an array it becomes false, so that no hole appears.")
            .param("text", Type::String, "The text.")
            .returns(Type::Any, "The value.")
            .errors(&["invalid_argument"])
            .example("print(json.decode('{\"a\": [1, 2]}').a[2])"),
    ]
}

fn encode(call: &Call) -> Result<Outcome> {
    let value = call.arg(0);
    let bad = |e: serde_json::Error| Error::invalid(format!("cannot encode as JSON: {e}"));
    let serializable = value.to_serializable().sort_keys(true);
    let mut bytes = Vec::new();
    if call.options().boolean("pretty").unwrap_or(false) {
        let mut serializer = serde_json::Serializer::pretty(&mut bytes);
        serializable.serialize(&mut serializer).map_err(bad)?;
    } else {
        let mut serializer = serde_json::Serializer::new(&mut bytes);
        serializable.serialize(&mut serializer).map_err(bad)?;
    }
    call.value(call.lua().create_string(bytes)?)
}

fn decode(call: &Call) -> Result<Outcome> {
    let bytes = call.bytes(0)?;
    let mut parsed: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|e| Error::invalid(format!("invalid JSON: {e}")))?;
    without_nulls(&mut parsed);
    if parsed.is_null() {
        return call.value(Value::Nil);
    }
    // The array metatable keeps an empty array an array when it is encoded again.
    let options = SerializeOptions::new().set_array_metatable(true);
    call.value(call.lua().to_value_with(&parsed, options)?)
}

/// A Rust value as plain Lua tables; what is absent is nil.
///
/// # Errors
/// When it cannot be represented.
pub fn to_lua(lua: &Lua, value: &impl Serialize) -> mlua::Result<Value> {
    lua.to_value_with(value, SerializeOptions::new().serialize_none_to_null(false).serialize_unit_to_null(false))
}

fn without_nulls(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| {
            if item.is_null() {
                *item = serde_json::Value::Bool(false);
            }
            without_nulls(item);
        }),
        serde_json::Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        _ => {}
    }
}
