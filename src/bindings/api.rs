//! A row per Lua function: everything anyone needs to know about it, once.
//!
//! From rows come the Lua functions and their argument checks ([`super::install`]), `help()`, the reference and the
//! editor file ([`super::docs`]), and completion.

use super::call::{Call, Outcome};
use crate::engine::error::Result;

/// What a parameter, option or result may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Type {
    /// Text or bytes.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// A sequence of values of one type.
    List(&'static Type),
    /// A table from names to strings, numbers or booleans.
    Map,
    /// Any table.
    Table,
    /// A shell command line (string) or an argument vector (list).
    Command,
    /// Bytes: an integer, or a string such as `"512m"`.
    Size,
    /// A time span: seconds, or a string such as `"1.5s"`.
    Duration,
    /// A handle of the named class.
    Handle(&'static str),
    /// A Lua function.
    Function,
    /// One of a few words.
    OneOf(&'static [&'static str]),
    /// One of several types.
    AnyOf(&'static [Type]),
    /// Anything but nil.
    Any,
}

/// A parameter or option of a function, or a value it returns.
#[derive(Debug, Clone)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub ty: Type,
    /// What it means, a sentence.
    pub doc: &'static str,
    /// False when it may be left out.
    pub required: bool,
}

/// A key of an option table that may be left out, for lists of options that several functions share.
pub fn option(name: &'static str, ty: Type, doc: &'static str) -> Param {
    Param { name, ty, doc, required: false }
}

/// A function in Rust.
pub type Native = Box<dyn Fn(&Call) -> Result<Outcome>>;

/// What a function does when called. Arguments have been checked against its row.
pub enum Body {
    /// Rust.
    Rust(Native),
    /// A function of a built-in Lua library, which is loaded at the first call.
    Lua {
        /// The library's name.
        library: &'static str,
        /// The function's key in the table that the library returns.
        function: &'static str,
    },
}

/// One Lua function or method.
pub struct Function {
    /// `image.pull`; for a method its bare name.
    pub name: &'static str,
    /// What it does, a sentence beginning with a verb.
    pub summary: &'static str,
    /// More, where a sentence is not enough.
    pub details: &'static str,
    /// Positional parameters.
    pub params: Vec<Param>,
    /// The last parameter, any number of times.
    pub variadic: Option<Param>,
    /// Keys of the trailing option table.
    pub options: Vec<Param>,
    /// Values returned.
    pub returns: Vec<Param>,
    /// Error kinds to expect.
    pub errors: &'static [&'static str],
    /// A few lines that show its use.
    pub example: &'static str,
    /// The first version that has it.
    pub since: &'static str,
    /// Lua's buffered output is written out before the call, because a program may write to the terminal.
    pub flushes: bool,
    /// What it does.
    pub body: Body,
}

impl Function {
    /// A function without parameters; the other methods add the rest.
    pub fn new(
        name: &'static str,
        summary: &'static str,
        body: impl Fn(&Call) -> Result<Outcome> + 'static,
    ) -> Function {
        Function::with_body(name, summary, Body::Rust(Box::new(body)))
    }

    /// A function whose body is `function` of the built-in Lua library `library`.
    pub fn in_lua(
        name: &'static str,
        summary: &'static str,
        library: &'static str,
        function: &'static str,
    ) -> Function {
        Function::with_body(name, summary, Body::Lua { library, function })
    }

    fn with_body(name: &'static str, summary: &'static str, body: Body) -> Function {
        Function {
            name,
            summary,
            details: "",
            params: Vec::new(),
            variadic: None,
            options: Vec::new(),
            returns: Vec::new(),
            errors: &[],
            example: "",
            since: "0.1.0",
            flushes: false,
            body,
        }
    }

    /// Adds more words.
    pub fn details(mut self, text: &'static str) -> Function {
        self.details = text;
        self
    }

    /// Adds a required parameter.
    pub fn param(mut self, name: &'static str, ty: Type, doc: &'static str) -> Function {
        self.params.push(Param { name, ty, doc, required: true });
        self
    }

    /// Adds a parameter that may be left out.
    pub fn optional(mut self, name: &'static str, ty: Type, doc: &'static str) -> Function {
        self.params.push(Param { name, ty, doc, required: false });
        self
    }

    /// Accepts any number of further arguments.
    pub fn variadic(mut self, name: &'static str, ty: Type, doc: &'static str) -> Function {
        self.variadic = Some(Param { name, ty, doc, required: false });
        self
    }

    /// Adds a key of the option table.
    pub fn option(mut self, name: &'static str, ty: Type, doc: &'static str) -> Function {
        self.options.push(Param { name, ty, doc, required: false });
        self
    }

    /// Adds a key of the option table that must be given.
    pub fn required_option(mut self, name: &'static str, ty: Type, doc: &'static str) -> Function {
        self.options.push(Param { name, ty, doc, required: true });
        self
    }

    /// Adds options that several functions share.
    pub fn options(mut self, options: Vec<Param>) -> Function {
        self.options.extend(options);
        self
    }

    /// Adds a returned value.
    pub fn returns(mut self, ty: Type, doc: &'static str) -> Function {
        self.returns.push(Param { name: "", ty, doc, required: true });
        self
    }

    /// Adds a returned value that may be nil.
    pub fn returns_optional(mut self, ty: Type, doc: &'static str) -> Function {
        self.returns.push(Param { name: "", ty, doc, required: false });
        self
    }

    /// Names the error kinds to expect.
    pub fn errors(mut self, kinds: &'static [&'static str]) -> Function {
        self.errors = kinds;
        self
    }

    /// Shows its use.
    pub fn example(mut self, code: &'static str) -> Function {
        self.example = code;
        self
    }

    /// Says that programs it runs may write to the terminal.
    pub fn flushes(mut self) -> Function {
        self.flushes = true;
        self
    }

    /// The name after the dot.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }
}

/// A global table of functions.
pub struct Module {
    /// The global's name.
    pub name: &'static str,
    /// What it is about, a sentence.
    pub summary: &'static str,
    /// Its functions.
    pub functions: Vec<Function>,
}
