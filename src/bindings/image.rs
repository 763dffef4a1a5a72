//! The `image` module and the `Image` handle.

use mlua::{AnyUserData, Lua, Table, Value};

use super::api::{Function, Param, Type, option};
use super::call::{Call, Outcome};
use super::class::{Class, object};
use super::json::to_lua;
use super::list::{human_size, list};
use super::{Options, args};
use crate::engine::error::{Error, Result};
use crate::engine::image::{ArchiveFormat, HistoryStep, Image, Layer, Policy, PullOptions, Removed};
use crate::engine::reference::Reference;
use crate::engine::{Credentials, Engine, Limits};

/// A name or an `Image`.
pub const IMAGE: Type = Type::AnyOf(&[Type::String, Type::Handle("Image")]);

const CREDENTIALS: &str = "`{username=, password=}`, used instead of what is remembered.";

const MOST_BYTES: &str = "Refuse a layer that unpacks to more. Default 64 GiB.";

/// The functions.
pub fn rows() -> Vec<Function> {
    let mut rows = transfers();
    rows.extend(names());
    rows.extend(archives());
    rows
}

fn transfers() -> Vec<Function> {
    vec![
        Function::new("image.pull", "Pulls an image from its registry and unpacks it.", pull)
            .param("ref", Type::String, "Its name, such as `debian:bookworm` or `ghcr.io/me/app@sha256:...`.")
            .option("platform", Type::String, "For which machine, such as `linux/arm64`. Default: this one's.")
            .option(
                "policy",
                Type::OneOf(&["missing", "always", "never"]),
                "When to ask the registry. Default `missing`.",
            )
            .option("creds", Type::Table, CREDENTIALS)
            .option("max_layer_bytes", Type::Size, MOST_BYTES)
            .returns(Type::Handle("Image"), "The image.")
            .errors(&["not_found", "permission", "network", "timeout", "integrity", "unsupported", "interrupted"])
            .example("local img = image.pull(\"debian:bookworm\")"),
        Function::new("image.push", "Pushes an image to a registry.", push)
            .param("image", IMAGE, "The image.")
            .options(push_options())
            .returns(Type::String, "The digest of its manifest.")
            .errors(&["not_found", "permission", "network", "timeout", "interrupted"])
            .example("image.push(\"127.0.0.1:5000/app:1\")"),
    ]
}

fn push_options() -> Vec<Param> {
    vec![
        option("to", Type::String, "Its name there. Default: its own name."),
        option("creds", Type::Table, CREDENTIALS),
    ]
}

fn names() -> Vec<Function> {
    vec![
        Function::new("image.get", "Finds an image by name, id or the first digits of its id.", |call| {
            let text = call.string(0)?;
            call.work(move |at| at.engine()?.image_get(&text), |lua, image| image.map(|i| object(lua, i)).transpose())
        })
        .param("name", Type::String, "Name or id.")
        .returns_optional(Type::Handle("Image"), "The image; nil when there is none.")
        .errors(&["invalid_argument"])
        .example("if not image.get(\"app:1\") then print(\"not built yet\") end"),
        Function::new("image.list", "Lists the images in the store.", |call| {
            let name = call.options().string("name")?;
            let run = move |at: &crate::runtime::Context| -> Result<Vec<Image>> {
                let wanted = |image: &Image| match &name {
                    Some(name) => image.names.iter().any(|other| other.familiar().contains(name.as_str())),
                    None => true,
                };
                Ok(at.engine()?.image_list()?.into_iter().filter(wanted).collect())
            };
            call.work(run, images)
        })
        .option("name", Type::String, "Only those with this text in a name.")
        .returns(Type::List(&Type::Handle("Image")), "The images; prints as a table.")
        .example("print(image.list())"),
        Function::new("image.tag", "Gives an image another name.", tag)
            .param("image", IMAGE, "The image.")
            .param("ref", Type::String, "The new name.")
            .errors(&["not_found", "invalid_argument"])
            .example("image.tag(\"app:1\", \"ghcr.io/me/app:1\")"),
        Function::new("image.remove", "Removes a name, or an image by its id.", |call| {
            let (name, force) = (key(&call.arg(0))?, call.options().boolean("force").unwrap_or(false));
            call.work(move |at| at.engine()?.image_remove(&name, force), |lua, gone| removed(lua, &[gone]))
        })
        .param("image", IMAGE, "A name takes away that name only; an id or an `Image` the whole image.")
        .option("force", Type::Boolean, "Also when the image has several names. Default false.")
        .returns(Type::Table, "`names` and `images` that are gone.")
        .errors(&["not_found", "in_use"])
        .example("image.remove(\"app:1\")"),
        Function::new("image.prune", "Removes images that nothing names.", |call| {
            let all = call.options().boolean("all").unwrap_or(false);
            call.work(move |at| at.engine()?.image_prune(all), |lua, gone| removed(lua, &gone))
        })
        .option("all", Type::Boolean, "Every image, named or not. Default false.")
        .returns(Type::Table, "`names` and `images` that are gone.")
        .errors(&["in_use"])
        .example("image.prune()"),
    ]
}

fn archives() -> Vec<Function> {
    vec![
        Function::new("image.save", "Writes images to an archive.", save)
            .param("path", Type::String, "The file; it appears whole or not at all. `-` is standard output.")
            .variadic("image", IMAGE, "The images.")
            .option("format", Type::OneOf(&["oci", "docker"]), "Default `oci`.")
            .errors(&["not_found", "permission"])
            .example("image.save(\"app.tar\", \"app:1\", {format=\"docker\"})")
            .flushes(),
        Function::new("image.load", "Loads the images of an archive and sets their names.", |call| {
            let (path, most) = (call.string(0)?, call.options().size("max_layer_bytes")?);
            let run = move |at: &crate::runtime::Context| match path.as_str() {
                "-" => bounded(&at.engine()?, most).image_load(std::io::stdin()),
                path => bounded(&at.engine()?, most).image_load_file(path.as_ref()),
            };
            call.work(run, images)
        })
        .param("path", Type::String, "An OCI or docker archive; `-` is standard input.")
        .option("max_layer_bytes", Type::Size, MOST_BYTES)
        .returns(Type::List(&Type::Handle("Image")), "The images.")
        .errors(&["not_found", "invalid_argument", "integrity", "unsupported"])
        .example("local img = image.load(\"app.tar\")[1]"),
    ]
}

/// The `Image` class.
pub fn class() -> Class {
    Class::new::<Image>("Image", "An image in the store.")
        .field("id", Type::String, "The digest of its configuration.", |_, i: &Image| Ok(i.id.to_string()))
        .field("short_id", Type::String, "The first digits of its id.", |_, i: &Image| Ok(i.id.short().to_string()))
        .field("digest", Type::String, "What its registry calls it.", |_, i: &Image| Ok(i.digest.to_string()))
        .field("names", Type::List(&Type::String), "Its names.", |_, i: &Image| {
            Ok(i.names.iter().map(Reference::familiar).collect::<Vec<_>>())
        })
        .field("size", Type::Integer, "Bytes of its layers as a registry holds them.", |_, i: &Image| Ok(i.size()))
        .optional_field("created", Type::String, "When it was made, RFC 3339.", |_, i: &Image| {
            Ok(i.created().map(String::from))
        })
        .optional_field("age", Type::String, "How long ago it was made, in words.", |_, i: &Image| {
            Ok(i.created().and_then(age))
        })
        .field("platform", Type::String, "What machine it is for.", |_, i: &Image| Ok(i.platform().to_string()))
        .field("config", Type::Table, "Its configuration.", |lua, i: &Image| to_lua(lua, &i.config))
        .field(
            "layers",
            Type::List(&Type::Table),
            "`digest`, `diff_id`, `size` of each, base first.",
            |lua, i: &Image| i.layers.iter().map(|layer| layer_table(lua, layer)).collect::<mlua::Result<Vec<_>>>(),
        )
        .show(|i: &Image| {
            let name = i.names.first().map_or("no name".into(), Reference::familiar);
            format!("Image({name}, {}, {})", i.id.short(), human_size(i.size() as i64))
        })
        .key(|i: &Image| i.id.to_string())
        .method(
            Function::new("history", "Returns how it was made, oldest step first.", |call| {
                let steps = call.this::<Image>()?.history();
                let tables = steps.iter().map(|step| step_table(call.lua(), step)).collect::<mlua::Result<Vec<_>>>()?;
                call.value(tables)
            })
            .returns(Type::List(&Type::Table), "`created_by`, `created`, `comment`, `empty_layer`, `digest`, `size`.")
            .example("for _, step in ipairs(img:history()) do print(step.created_by) end"),
        )
        .method(
            Function::new("inspect", "Returns all that is known of it.", inspect)
                .returns(Type::Table, "`id`, `digest`, `names`, `size`, `created`, `platform`, `config`, `layers`.")
                .example("print(json.encode(img:inspect(), {pretty=true}))"),
        )
        .method(
            Function::new("tag", "Gives it another name.", |call| {
                let (image, name) = (call.this::<Image>()?.clone(), reference(call, 0)?);
                call.work(move |at| at.engine()?.image_tag(&image, &name), |_, ()| Ok(()))
            })
            .param("ref", Type::String, "The new name.")
            .errors(&["invalid_argument"])
            .example("img:tag(\"app:latest\")"),
        )
        .method(
            Function::new("push", "Pushes it to a registry.", |call| {
                let image = call.this::<Image>()?.clone();
                push_image(call, Source::Image(Box::new(image)), &call.options())
            })
            .options(push_options())
            .returns(Type::String, "The digest of its manifest.")
            .errors(&["not_found", "permission", "network", "timeout", "interrupted"])
            .example("img:push{to=\"127.0.0.1:5000/app:1\"}"),
        )
}

/// An image argument, to be found in the store by the work.
pub enum Source {
    /// A handle.
    Image(Box<Image>),
    /// A name or id.
    Name(String),
}

impl Source {
    /// Reads argument `index`.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub fn read(value: &Value) -> Result<Source> {
        match value {
            Value::UserData(handle) => Ok(Source::Image(Box::new(handle.borrow::<Image>()?.clone()))),
            other => args::text(other).map(Source::Name),
        }
    }

    /// The image.
    ///
    /// # Errors
    /// `not_found`.
    pub fn find(self, engine: &Engine) -> Result<Image> {
        match self {
            Source::Image(image) => Ok(*image),
            Source::Name(name) => {
                let missing = || Error::not_found(format!("no such image '{name}'")).with_subject(name.as_str());
                engine.image_get(&name)?.ok_or_else(missing)
            }
        }
    }
}

/// `3 hours ago`, from an RFC 3339 time.
fn age(created: &str) -> Option<String> {
    let since = humantime::parse_rfc3339_weak(created).ok()?.elapsed().ok()?;
    Some(format!("{} ago", indicatif::HumanDuration(since)))
}

fn reference(call: &Call, index: usize) -> Result<Reference> {
    call.string(index)?.parse()
}

fn key(value: &Value) -> Result<String> {
    match Source::read(value)? {
        Source::Image(image) => Ok(image.id.to_string()),
        Source::Name(name) => Ok(name),
    }
}

fn credentials(call: &Call, opts: &Options) -> Result<Option<Credentials>> {
    let Value::Table(table) = opts.value("creds") else { return Ok(None) };
    let field = |name: &str| match table.get::<Option<String>>(name) {
        Ok(Some(text)) => Ok(text),
        _ => Err(Error::invalid(format!("{}: option 'creds' must have a string '{name}'", call.name()))),
    };
    Ok(Some(Credentials { username: field("username")?, password: field("password")? }))
}

/// An option that says when to ask the registry: `missing` unless given.
pub fn policy(opts: &Options, key: &str) -> Result<Policy> {
    Ok(match opts.string(key)?.as_deref() {
        Some("always") => Policy::Always,
        Some("never") => Policy::Never,
        _ => Policy::Missing,
    })
}

fn pull(call: &Call) -> Result<Outcome> {
    let (name, opts) = (reference(call, 0)?, call.options());
    let policy = policy(&opts, "policy")?;
    let platform = opts.string("platform")?.map(|text| text.parse()).transpose()?;
    let options = PullOptions { platform, policy, credentials: credentials(call, &opts)?, ..PullOptions::default() };
    let most = opts.size("max_layer_bytes")?;
    call.work(move |at| bounded(&at.engine()?, most).image_pull(&name, &options), object)
}

/// The engine with another bound on a layer's size, where one was given.
fn bounded(engine: &Engine, layer_bytes: Option<u64>) -> Engine {
    match layer_bytes {
        Some(layer_bytes) => engine.with_limits(Limits { layer_bytes, ..engine.config().limits }),
        None => engine.clone(),
    }
}

fn push(call: &Call) -> Result<Outcome> {
    push_image(call, Source::read(&call.arg(0))?, &call.options())
}

fn push_image(call: &Call, source: Source, opts: &Options) -> Result<Outcome> {
    let to = opts.string("to")?.map(|text| text.parse::<Reference>()).transpose()?;
    let creds = credentials(call, opts)?;
    let run = move |at: &crate::runtime::Context| -> Result<String> {
        let engine = at.engine()?;
        let image = source.find(&engine)?;
        let unnamed = || Error::invalid("the image has no name").with_hint("give one: {to=\"registry/name:tag\"}");
        let to = to.or_else(|| image.names.first().cloned()).ok_or_else(unnamed)?;
        engine.image_push(&image, &to, creds.as_ref()).map(|digest| digest.to_string())
    };
    call.work(run, |_, digest| Ok(digest))
}

fn tag(call: &Call) -> Result<Outcome> {
    let (source, name) = (Source::read(&call.arg(0))?, reference(call, 1)?);
    let run = move |at: &crate::runtime::Context| -> Result<()> {
        let engine = at.engine()?;
        engine.image_tag(&source.find(&engine)?, &name)
    };
    call.work(run, |_, ()| Ok(()))
}

fn save(call: &Call) -> Result<Outcome> {
    let path = call.string(0)?;
    let (mut sources, mut format) = (Vec::new(), ArchiveFormat::Oci);
    for index in 1..call.count() {
        match call.arg(index) {
            Value::Table(_) => {
                if call.options().string("format")?.as_deref() == Some("docker") {
                    format = ArchiveFormat::Docker;
                }
            }
            value => sources.push(Source::read(&value)?),
        }
    }
    if sources.is_empty() {
        return Err(Error::invalid("image.save: no image given"));
    }
    let run = move |at: &crate::runtime::Context| -> Result<()> {
        let engine = at.engine()?;
        let found = sources.into_iter().map(|source| source.find(&engine)).collect::<Result<Vec<_>>>()?;
        let named: Vec<_> = found.into_iter().map(|image| (image.clone(), image.names)).collect();
        match path.as_str() {
            "-" => engine.image_save(std::io::BufWriter::new(std::io::stdout()), &named, format),
            path => engine.image_save_file(path.as_ref(), &named, format),
        }
    };
    call.work(run, |_, ()| Ok(()))
}

fn inspect(call: &Call) -> Result<Outcome> {
    let (lua, image) = (call.lua(), call.this::<Image>()?);
    let table = lua.create_table()?;
    table.raw_set("id", image.id.to_string())?;
    table.raw_set("digest", image.digest.to_string())?;
    table.raw_set("names", image.names.iter().map(Reference::familiar).collect::<Vec<_>>())?;
    table.raw_set("size", image.size())?;
    table.raw_set("created", image.created())?;
    table.raw_set("platform", image.platform().to_string())?;
    table.raw_set("config", to_lua(lua, &image.config)?)?;
    let layers = image.layers.iter().map(|layer| layer_table(lua, layer)).collect::<mlua::Result<Vec<_>>>()?;
    table.raw_set("layers", layers)?;
    call.value(table)
}

fn images(lua: &Lua, images: Vec<Image>) -> mlua::Result<Table> {
    let handles = images.into_iter().map(|image| object(lua, image)).collect::<mlua::Result<Vec<AnyUserData>>>()?;
    list(lua, handles, &[("NAMES", "names"), ("ID", "short_id"), ("CREATED", "age"), ("SIZE", "size")])
}

fn layer_table(lua: &Lua, layer: &Layer) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("digest", layer.blob.digest.to_string())?;
    table.raw_set("diff_id", layer.diff_id.to_string())?;
    table.raw_set("size", layer.blob.size)?;
    Ok(table)
}

fn step_table(lua: &Lua, step: &HistoryStep) -> mlua::Result<Table> {
    let table = match to_lua(lua, &step.entry)? {
        Value::Table(table) => table,
        _ => lua.create_table()?,
    };
    if let Some(layer) = &step.layer {
        table.raw_set("digest", layer.blob.digest.to_string())?;
        table.raw_set("size", layer.blob.size)?;
    }
    Ok(table)
}

fn removed(lua: &Lua, gone: &[Removed]) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let names: Vec<String> = gone.iter().flat_map(|one| one.names.iter().map(Reference::familiar)).collect();
    let images: Vec<String> = gone.iter().filter_map(|one| one.image.map(|id| id.to_string())).collect();
    table.raw_set("names", names)?;
    table.raw_set("images", images)?;
    Ok(table)
}
