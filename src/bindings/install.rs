//! Rows to Lua: makes the functions, module tables and metatables, and checks arguments before a body runs.

use std::rc::Rc;

use mlua::{AnyUserData, Lua, MultiValue, Table, Value};

use super::api::{Body, Function, Module};
use super::call::{Call, Outcome, Work};
use super::class::{Class, Metatable};
use super::error::{Failed, pair};
use super::{args, classes, globals, modules};
use crate::engine::error::{Error, Result};
use crate::engine::suggest::suggest;
use crate::runtime::{branches, panics};

/// The whole API as rows, kept in the Lua state: help, completion and suggestions read it.
pub struct Api {
    /// Modules.
    pub modules: Vec<Module>,
    /// Functions that are globals.
    pub globals: Vec<Function>,
    /// Handle types.
    pub classes: Vec<Class>,
}

/// Where a row is in the [`Api`].
#[derive(Clone, Copy)]
enum Place {
    Module(usize, usize),
    Global(usize),
    Method(usize, usize),
}

impl Api {
    /// All rows.
    pub fn new() -> Api {
        Api { modules: modules(), globals: globals(), classes: classes() }
    }

    /// The module of that name.
    pub fn module(&self, name: &str) -> Option<&Module> {
        self.modules.iter().find(|module| module.name == name)
    }

    /// The class of that name.
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.classes.iter().find(|class| class.name == name)
    }

    /// A function by its full name: `fs.read`, `parallel`, `Image:push`.
    pub fn function(&self, name: &str) -> Option<(Option<&'static str>, &Function)> {
        if let Some((class, method)) = name.split_once(':') {
            let class = self.class(class)?;
            return class.methods.iter().find(|row| row.name == method).map(|row| (Some(class.name), row));
        }
        let functions = self.modules.iter().flat_map(|module| &module.functions).chain(&self.globals);
        functions.into_iter().find(|row| row.name == name).map(|row| (None, row))
    }

    fn row(&self, place: Place) -> (Option<&'static str>, &Function) {
        match place {
            Place::Module(module, function) => (None, &self.modules[module].functions[function]),
            Place::Global(function) => (None, &self.globals[function]),
            Place::Method(class, method) => (Some(self.classes[class].name), &self.classes[class].methods[method]),
        }
    }
}

impl Default for Api {
    fn default() -> Api {
        Api::new()
    }
}

/// What [`install`] makes things with: the prelude's functions.
struct Maker<'a> {
    lua: &'a Lua,
    api: &'a Rc<Api>,
    core: &'a Table,
    names: &'a Table,
}

impl Maker<'_> {
    fn function(&self, place: Place) -> mlua::Result<mlua::Function> {
        let api = self.api.clone();
        let native = self.lua.create_function(move |lua, args: MultiValue| call(lua, &api, place, args))?;
        let (class, row) = self.api.row(place);
        let function: mlua::Function = match &row.body {
            Body::Rust(_) => self.core.raw_get::<mlua::Function>("shim")?.call((native, row.flushes))?,
            // The native part only checks the arguments.
            Body::Lua { library, function } => {
                self.core.raw_get::<mlua::Function>("in_library")?.call((native, *library, *function))?
            }
        };
        self.names.raw_set(&function, args::function_name(class, row))?;
        Ok(function)
    }

    fn module(&self, index: usize, module: &Module) -> mlua::Result<Table> {
        let table = self.lua.create_table()?;
        for (place, row) in module.functions.iter().enumerate() {
            table.raw_set(row.short_name(), self.function(Place::Module(index, place))?)?;
        }
        if module.name == "host" {
            table.raw_set("env", super::host::environment(self.lua)?)?;
        }
        self.names.raw_set(&table, module.name)?;
        let make: mlua::Function = self.core.raw_get("module")?;
        make.call((module.name, table))
    }

    fn class(&self, index: usize, class: &Class) -> mlua::Result<()> {
        let methods = self.lua.create_table()?;
        for (place, row) in class.methods.iter().enumerate() {
            methods.raw_set(row.name, self.function(Place::Method(index, place))?)?;
        }
        let api = self.api.clone();
        let get = self.lua.create_function(move |lua, (this, key): (AnyUserData, Value)| {
            pair(lua, panics::caught(|| Ok(field(lua, &api.classes[index], &this, &key)?)))
        })?;
        let make: mlua::Function = self.core.raw_get("class")?;
        let (index_function, newindex) = make.call((class.name, &methods, get))?;
        let closer: mlua::Function = self.core.raw_get("closer")?;
        let close = |name| closer.call(methods.raw_get::<mlua::Function>(name)?);
        let close = class.closes_with.map(close).transpose()?;
        let (api, eq_api) = (self.api.clone(), self.api.clone());
        let tostring = self.lua.create_function(move |_, this: AnyUserData| show(&api.classes[index], &this))?;
        let eq = match class.key {
            Some(_) => Some(self.lua.create_function(move |_, (left, right): (Value, Value)| {
                equal(&eq_api.classes[index], &left, &right)
            })?),
            None => None,
        };
        let metatable = Metatable { index: index_function, newindex, tostring, eq, close };
        (class.register)(self.lua, class.name, metatable)
    }
}

/// Puts the whole API into the Lua globals. Returns the table of everything that `require "moonshell"` gives.
///
/// # Errors
/// When memory is short.
pub fn install(lua: &Lua, api: &Rc<Api>, core: &Table) -> mlua::Result<Table> {
    let names = lua.create_table()?;
    let maker = Maker { lua, api, core, names: &names };
    let exports = lua.create_table()?;
    for (index, class) in api.classes.iter().enumerate() {
        maker.class(index, class)?;
    }
    for (index, module) in api.modules.iter().enumerate() {
        exports.raw_set(module.name, maker.module(index, module)?)?;
    }
    for (index, row) in api.globals.iter().enumerate() {
        // `parallel` is Lua; its row documents it.
        let function = match core.raw_get::<Value>(row.name)? {
            Value::Function(function) => {
                names.raw_set(&function, row.name)?;
                function
            }
            _ => maker.function(Place::Global(index))?,
        };
        exports.raw_set(row.name, function)?;
    }
    for pair in exports.pairs::<Value, Value>() {
        let (name, value) = pair?;
        lua.globals().raw_set(name, value)?;
    }
    lua.set_named_registry_value(NAMES, names)?;
    core.raw_set("exports", &exports)?;
    Ok(exports)
}

const NAMES: &str = "moonshell.names";

/// The name of an API function or module, given its value.
pub fn name_of(lua: &Lua, value: &Value) -> Option<String> {
    lua.named_registry_value::<Table>(NAMES).ok()?.raw_get::<Option<String>>(value).ok()?
}

/// One call from Lua. The first argument says whether it may run in another thread.
fn call(lua: &Lua, api: &Rc<Api>, place: Place, args: MultiValue) -> mlua::Result<MultiValue> {
    let args: Vec<Value> = args.into_iter().collect();
    let (concurrent, args) = match args.split_first() {
        Some((Value::Boolean(concurrent), rest)) => (*concurrent, rest),
        _ => (false, &args[..]),
    };
    let (class, row) = api.row(place);
    let short = row.name;
    let name = move |failed: Failed| {
        let prefix = class.map_or(String::new(), |class| format!("{class}:"));
        failed.with_op(&prefix, short)
    };
    let outcome = panics::caught(|| {
        args::check(class, row, args)?;
        match &row.body {
            Body::Rust(body) => Ok(body(&Call::new(lua, row, class, args))?),
            Body::Lua { .. } => Ok(Outcome::Now(MultiValue::new())),
        }
    });
    let result = match outcome {
        Ok(Outcome::Now(values)) => Ok(values),
        Ok(Outcome::Work(work)) => {
            let work: Work = Box::new(move |context| work(context).map_err(name));
            let branches = branches(lua);
            if concurrent {
                match branches.start(work) {
                    Ok(job) => return Ok([Value::Nil, Value::Integer(job as i64)].into_iter().collect()),
                    Err(error) => Err(error.into()),
                }
            } else {
                branches.run(work).and_then(|done| panics::caught(|| Ok(done(lua)?)))
            }
        }
        Err(failed) => Err(failed),
    };
    pair(lua, result.map_err(name))
}

fn field(lua: &Lua, class: &Class, this: &AnyUserData, key: &Value) -> Result<MultiValue> {
    let key = key.as_string().map(|key| key.to_string_lossy()).unwrap_or_default();
    match class.fields.iter().find(|field| field.param.name == key) {
        Some(field) => Ok([Value::Boolean(true), (field.get)(lua, this)?].into_iter().collect()),
        None => Ok([Value::Boolean(false)].into_iter().collect()),
    }
}

fn show(class: &Class, this: &AnyUserData) -> mlua::Result<String> {
    match &class.show {
        Some(show) => show(this),
        None => Ok(class.name.to_string()),
    }
}

fn equal(class: &Class, left: &Value, right: &Value) -> mlua::Result<bool> {
    match (&class.key, left, right) {
        (Some(key), Value::UserData(left), Value::UserData(right)) => {
            Ok(left.type_name()? == right.type_name()? && key(left)? == key(right)?)
        }
        _ => Ok(false),
    }
}

/// The error for a misspelt function of a module.
pub fn no_function(api: &Api, module: &str, key: &str) -> Error {
    let error = Error::invalid(format!("{module} has no function '{key}'"));
    match api.module(module) {
        Some(rows) => suggest(error, key, rows.functions.iter().map(Function::short_name)),
        None => error,
    }
}

/// The error for a misspelt method or field of a handle.
pub fn no_member(api: &Api, class: &str, key: &str) -> Error {
    let error = Error::invalid(format!("{class} has no method '{key}'"));
    match api.class(class) {
        Some(rows) => {
            let fields = rows.fields.iter().map(|field| field.param.name);
            suggest(error, key, fields.chain(rows.methods.iter().map(|row| row.name)))
        }
        None => error,
    }
}
