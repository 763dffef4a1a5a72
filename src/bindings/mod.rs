//! What scripts see of the engine. Thin: read arguments, call one engine function, convert the result.
//!
//! # Adding a module
//!
//! One file, `src/bindings/volume.rs`, and one line in [`modules`]:
//!
//! ```text
//! /// The `volume` module.
//! pub fn rows() -> Vec<Function> {
//!     vec![
//!         Function::new("volume.create", "Makes a volume.", |call| {
//!             let name = call.string(0)?;
//!             let labels = call.options().map("labels")?;
//!             call.work(move |at| at.engine()?.volume_create(&name, labels), |lua, volume| object(lua, volume))
//!         })
//!         .param("name", Type::String, "Its name.")
//!         .option("labels", Type::Map, "Labels to put on it.")
//!         .returns(Type::Handle("Volume"), "The new volume.")
//!         .errors(&["already_exists"])
//!         .example("local v = volume.create(\"data\")"),
//!     ]
//! }
//! ```
//!
//! The closure given to `work` runs without Lua, possibly in another thread; the second one converts in Lua's
//! thread. A call that does not block returns `call.value(...)` instead. Arguments and options are checked against
//! the row before the body runs, so a body only asks for what the row declares.
//!
//! A handle type is any `'static` Rust value with a [`Class`]:
//!
//! ```text
//! pub fn class() -> Class {
//!     Class::new::<Volume>("Volume", "A named volume.")
//!         .field("name", Type::String, "Its name.", |lua, volume: &Volume| volume.name().into_lua(lua))
//!         .show(|volume: &Volume| format!("Volume({})", volume.name()))
//!         .key(|volume: &Volume| volume.name().into())
//!         .method(Function::new("remove", "Removes it.", |call| { let volume = call.this::<Volume>()?; ... }))
//!         .closes_with("remove")
//! }
//! ```
//!
//! In methods, argument 0 is the first one after the handle.

pub mod api;
pub mod args;
pub mod build;
mod call;
pub mod class;
mod complete;
mod container;
mod dockerfile;
pub mod docs;
pub mod error;
mod fs;
mod help;
mod host;
pub mod image;
pub mod install;
pub mod json;
pub mod list;
pub mod opts;
mod registry;

pub use api::{Function, Module, Param, Type};
pub use args::{describe, duration, size};
pub use call::{Call, Done, Outcome, Work};
pub use class::{Class, object};
pub use error::Failed;
pub use opts::Options;

/// Every module of the API, in the order the reference shows them.
pub fn modules() -> Vec<Module> {
    vec![
        Module { name: "image", summary: "Images: pull, list, name, push, save.", functions: image::rows() },
        Module {
            name: "container",
            summary: "Containers: programs in a world of their own.",
            functions: container::rows(),
        },
        Module {
            name: "build",
            summary: "Builds: cached steps from state to state.",
            functions: with(build::rows(), dockerfile::build_rows()),
        },
        Module {
            name: "dockerfile",
            summary: "Dockerfiles: as tables, and as Lua scripts.",
            functions: dockerfile::rows(),
        },
        Module { name: "registry", summary: "Registries: passwords and tags.", functions: registry::rows() },
        Module { name: "host", summary: "The machine this script runs on.", functions: host::rows() },
        Module { name: "fs", summary: "Files of the host.", functions: fs::rows() },
        Module { name: "json", summary: "JSON text and Lua values.", functions: json::rows() },
    ]
}

fn with(mut rows: Vec<Function>, more: Vec<Function>) -> Vec<Function> {
    rows.extend(more);
    rows
}

/// Functions that are globals of their own.
pub fn globals() -> Vec<Function> {
    help::rows()
}

/// Every handle type.
pub fn classes() -> Vec<Class> {
    vec![
        image::class(),
        container::class(),
        container::lines_class(),
        container::events_class(),
        build::class(),
        build::entry_class(),
        host::result_class(),
        fs::folder_class(),
    ]
}
