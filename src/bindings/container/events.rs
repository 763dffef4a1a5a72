//! `container.events`: what happens to containers, as it happens.

use std::sync::{Arc, Mutex, PoisonError};

use mlua::{Lua, Table, Value};

use super::super::api::{Function, Type};
use super::super::call::{Call, Outcome};
use super::super::class::Class;
use super::streams::{TIME, iterator, time};
use crate::engine::container::events::{Event, Reader};
use crate::engine::error::{Error, Result};
use crate::engine::suggest::suggest;

/// The function.
pub fn rows() -> Vec<Function> {
    vec![
        Function::new("container.events", "Tells what happens to containers: an iterator of tables.", events)
            .details(
                "Each has `time` (seconds since 1970), `type`, `action` (`create`, `start`, `die`, `oom`, `kill`, \
                 `stop`, `pause`, ...), `id`, `name`, `image` and `attributes`. Without `until` it goes on for ever.",
            )
            .option("since", TIME, "Begin with what happened then. Default: now.")
            .option("until", TIME, "End then.")
            .option("before", TIME, "The same, as `until` is a word of Lua's.")
            .option("filters", Type::Table, "A value or a list each: `event`, `container`, `image`, `label`, `type`.")
            .returns(Type::Function, "`for event in container.events() do`.")
            .errors(&["invalid_argument", "interrupted"])
            .example("for e in container.events{since=\"10m\", before=0} do print(e.action, e.name) end"),
    ]
}

/// Open events.
pub struct Events {
    reader: Arc<Mutex<Reader>>,
    filters: Vec<(String, String)>,
}

const FILTERS: [&str; 5] = ["event", "container", "image", "label", "type"];

fn events(call: &Call) -> Result<Outcome> {
    let opts = call.options();
    let filters = super::filters(&opts)?;
    if let Some((name, _)) = filters.iter().find(|(name, _)| !FILTERS.contains(&name.as_str())) {
        return Err(suggest(Error::invalid(format!("unknown filter '{name}'")), name, FILTERS));
    }
    let (since, until) = (time(&opts, "since")?, time(&opts, "until")?.or(time(&opts, "before")?));
    call.work(
        move |at| at.engine()?.container_events(since, until),
        |lua, reader| iterator(lua, Events { reader: Arc::new(Mutex::new(reader)), filters }),
    )
}

/// The `Events` class: what `container.events()` iterates with.
pub fn class() -> Class {
    Class::new::<Events>("Events", "What happens to containers, open for reading.").method(
        Function::new("next", "Waits for the next event.", |call| {
            let events = call.this::<Events>()?;
            let (reader, filters) = (events.reader.clone(), events.filters.clone());
            call.work(
                move |at| {
                    let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
                    let engine = at.engine()?;
                    loop {
                        match engine.container_event(&mut reader)? {
                            Some(event) if !passes(&event, &filters) => {}
                            other => return Ok::<_, Error>(other),
                        }
                    }
                },
                |lua, event| event.map(|event| table(lua, event)).transpose(),
            )
        })
        .returns_optional(Type::Table, "The event; nil at the end.")
        .errors(&["interrupted"])
        .example("local next = container.events{before=0} print(next())"),
    )
}

/// Values of one name are alternatives.
fn passes(event: &Event, filters: &[(String, String)]) -> bool {
    let agrees = |name: &str, value: &str| match name {
        "event" => event.action == value,
        "container" => event.name == value || event.id.starts_with(value),
        "image" => event.image == value,
        "type" => event.kind == value,
        _ => {
            let (label, wanted) = value.split_once('=').map_or((value, None), |(label, wanted)| (label, Some(wanted)));
            event.attributes.get(label).is_some_and(|have| wanted.is_none_or(|wanted| have == wanted))
        }
    };
    FILTERS.iter().all(|name| {
        let mut wanted = filters.iter().filter(|(other, _)| other == name).peekable();
        wanted.peek().is_none() || wanted.any(|(name, value)| agrees(name, value))
    })
}

fn table(lua: &Lua, event: Event) -> mlua::Result<Value> {
    let table: Table = lua.create_table()?;
    table.raw_set("time", event.time.seconds())?;
    table.raw_set("type", event.kind)?;
    table.raw_set("action", event.action)?;
    table.raw_set("id", event.id)?;
    table.raw_set("name", event.name)?;
    table.raw_set("image", event.image)?;
    table.raw_set("attributes", event.attributes)?;
    Ok(Value::Table(table))
}
