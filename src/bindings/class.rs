//! Handle types: a Rust value as an immutable Lua value with fields and methods.

use std::any::TypeId;

use mlua::{AnyUserData, IntoLua, Lua, MetaMethod, UserDataFields, UserDataRegistry, Value};

use super::api::{Function, Param, Type};

type Getter = Box<dyn Fn(&Lua, &AnyUserData) -> mlua::Result<Value>>;
type Text = Box<dyn Fn(&AnyUserData) -> mlua::Result<String>>;
type Register = fn(&Lua, &'static str, Metatable) -> mlua::Result<()>;

/// The Lua functions of a class's metatable.
pub(super) struct Metatable {
    pub index: mlua::Function,
    pub newindex: mlua::Function,
    pub tostring: mlua::Function,
    pub eq: Option<mlua::Function>,
    pub close: Option<mlua::Function>,
}

/// A field of a handle.
pub struct Field {
    /// Name, type and meaning.
    pub param: Param,
    pub(super) get: Getter,
}

/// A handle type: its row.
pub struct Class {
    /// The name scripts see.
    pub name: &'static str,
    /// What it is, a sentence.
    pub summary: &'static str,
    /// Its fields.
    pub fields: Vec<Field>,
    /// Its methods.
    pub methods: Vec<Function>,
    /// The method that `<close>` calls.
    pub closes_with: Option<&'static str>,
    pub(super) show: Option<Text>,
    pub(super) key: Option<Text>,
    pub(super) register: Register,
    pub(super) type_id: TypeId,
}

impl Class {
    /// A class for the Rust type `T`.
    pub fn new<T: 'static>(name: &'static str, summary: &'static str) -> Class {
        Class {
            name,
            summary,
            fields: Vec::new(),
            methods: Vec::new(),
            closes_with: None,
            show: None,
            key: None,
            register: register::<T>,
            type_id: TypeId::of::<T>(),
        }
    }

    fn owns<T: 'static>(&self) {
        debug_assert_eq!(self.type_id, TypeId::of::<T>(), "class {} is for another type", self.name);
    }

    fn add<T, V>(mut self, param: Param, get: impl Fn(&Lua, &T) -> mlua::Result<V> + 'static) -> Class
    where
        T: 'static,
        V: IntoLua,
    {
        self.owns::<T>();
        let get: Getter = Box::new(move |lua, handle| get(lua, &*handle.borrow::<T>()?)?.into_lua(lua));
        self.fields.push(Field { param, get });
        self
    }

    /// Adds a field.
    pub fn field<T: 'static, V: IntoLua>(
        self,
        name: &'static str,
        ty: Type,
        doc: &'static str,
        get: impl Fn(&Lua, &T) -> mlua::Result<V> + 'static,
    ) -> Class {
        self.add(Param { name, ty, doc, required: true }, get)
    }

    /// Adds a field that may be nil.
    pub fn optional_field<T: 'static, V: IntoLua>(
        self,
        name: &'static str,
        ty: Type,
        doc: &'static str,
        get: impl Fn(&Lua, &T) -> mlua::Result<V> + 'static,
    ) -> Class {
        self.add(Param { name, ty, doc, required: false }, get)
    }

    /// Adds a method; its row's name is the bare name.
    pub fn method(mut self, method: Function) -> Class {
        self.methods.push(method);
        self
    }

    /// How `tostring` and the prompt show it.
    pub fn show<T: 'static>(mut self, show: impl Fn(&T) -> String + 'static) -> Class {
        self.owns::<T>();
        self.show = Some(Box::new(move |handle| Ok(show(&*handle.borrow::<T>()?))));
        self
    }

    /// What makes two handles equal.
    pub fn key<T: 'static>(mut self, key: impl Fn(&T) -> String + 'static) -> Class {
        self.owns::<T>();
        self.key = Some(Box::new(move |handle| Ok(key(&*handle.borrow::<T>()?))));
        self
    }

    /// The method that runs when a `<close>` variable goes out of scope.
    pub fn closes_with(mut self, method: &'static str) -> Class {
        self.closes_with = Some(method);
        self
    }
}

fn register<T: 'static>(lua: &Lua, name: &'static str, metatable: Metatable) -> mlua::Result<()> {
    lua.register_userdata_type::<T>(|registry: &mut UserDataRegistry<T>| {
        registry.add_meta_field(MetaMethod::Type, name);
        registry.add_meta_field(MetaMethod::Index, metatable.index);
        registry.add_meta_field(MetaMethod::NewIndex, metatable.newindex);
        registry.add_meta_field(MetaMethod::ToString, metatable.tostring);
        if let Some(eq) = metatable.eq {
            registry.add_meta_field(MetaMethod::Eq, eq);
        }
        if let Some(close) = metatable.close {
            registry.add_meta_field(MetaMethod::Close, close);
        }
    })
}

/// Makes a handle. Its type must have a class.
///
/// # Errors
/// When memory is short.
pub fn object<T: 'static>(lua: &Lua, value: T) -> mlua::Result<AnyUserData> {
    lua.create_any_userdata(value)
}
