---@meta moonshell
-- Made from the API rows in src/bindings by `UPDATE=1 cargo test --test golden`. Do not edit.

---@alias command string|string[]
---@alias size integer|string
---@alias duration number|string

---An image in the store.
---@class Image
---@field id string The digest of its configuration.
---@field short_id string The first digits of its id.
---@field digest string What its registry calls it.
---@field names string[] Its names.
---@field size integer Bytes of its layers as a registry holds them.
---@field created string? When it was made, RFC 3339.
---@field platform string What machine it is for.
---@field config table Its configuration.
---@field layers table[] `digest`, `diff_id`, `size` of each, base first.
local Image = {}

---Returns how it was made, oldest step first.
---@return table[] # `created_by`, `created`, `comment`, `empty_layer`, `digest`, `size`.
function Image:history() end

---Returns all that is known of it.
---@return table # `id`, `digest`, `names`, `size`, `created`, `platform`, `config`, `layers`.
function Image:inspect() end

---Gives it another name.
---@param ref string The new name.
function Image:tag(ref) end

---@class Image.push.options
---@field to? string Its name there. Default: its own name.
---@field creds? table `{username=, password=}`, used instead of what is remembered.

---Pushes it to a registry.
---@param opts? Image.push.options
---@return string # The digest of its manifest.
function Image:push(opts) end

---How a program ended.
---@class Result
---@field exit_code integer Its status; 128+n for signal n.
---@field ok boolean Whether the status is 0.
---@field stdout string Captured output.
---@field stderr string Captured error output.
local Result = {}

---A temporary folder; `<close>` removes it.
---@class Folder
---@field path string Where it is.
local Folder = {}

---Removes it and what it holds.
function Folder:remove() end

---Images: pull, list, name, push, save.
image = {}

---@class image.pull.options
---@field platform? string For which machine, such as `linux/arm64`. Default: this one's.
---@field policy? "missing"|"always"|"never" When to ask the registry. Default `missing`.
---@field creds? table `{username=, password=}`, used instead of what is remembered.

---Pulls an image from its registry and unpacks it.
---@param ref string Its name, such as `debian:bookworm` or `ghcr.io/me/app@sha256:...`.
---@param opts? image.pull.options
---@return Image # The image.
function image.pull(ref, opts) end

---@class image.push.options
---@field to? string Its name there. Default: its own name.
---@field creds? table `{username=, password=}`, used instead of what is remembered.

---Pushes an image to a registry.
---@param image string|Image The image.
---@param opts? image.push.options
---@return string # The digest of its manifest.
function image.push(image, opts) end

---Finds an image by name, id or the first digits of its id.
---@param name string Name or id.
---@return Image? # The image; nil when there is none.
function image.get(name) end

---@class image.list.options
---@field name? string Only those with this text in a name.

---Lists the images in the store.
---@param opts? image.list.options
---@return Image[] # The images; prints as a table.
function image.list(opts) end

---Gives an image another name.
---@param image string|Image The image.
---@param ref string The new name.
function image.tag(image, ref) end

---@class image.remove.options
---@field force? boolean Also when the image has several names. Default false.

---Removes a name, or an image by its id.
---@param image string|Image A name takes away that name only; an id or an `Image` the whole image.
---@param opts? image.remove.options
---@return table # `names` and `images` that are gone.
function image.remove(image, opts) end

---@class image.prune.options
---@field all? boolean Every image, named or not. Default false.

---Removes images that nothing names.
---@param opts? image.prune.options
---@return table # `names` and `images` that are gone.
function image.prune(opts) end

---@class image.save.options
---@field format? "oci"|"docker" Default `oci`.

---Writes images to an archive.
---@param path string The file; it appears whole or not at all.
---@param ... string|Image The images.
function image.save(path, ...) end

---Loads the images of an archive and sets their names.
---@param path string An OCI or docker archive.
---@return Image[] # The images.
function image.load(path) end

---Registries: passwords and tags.
registry = {}

---Lists the tags of a repository.
---@param repository string The repository, such as `debian` or `ghcr.io/me/app`.
---@return string[] # The tags.
function registry.tags(repository) end

---@class registry.login.options
---@field username string The user.
---@field password string The password or token.
---@field check? boolean False: do not ask the registry whether it accepts them. Default true.

---Remembers a user and password for a registry.
---They go into the file other container tools read too; only its owner can read it.
---@param host string The registry, such as `ghcr.io` or `127.0.0.1:5000`.
---@param opts registry.login.options
function registry.login(host, opts) end

---Forgets the password for a registry.
---@param host string The registry.
---@return boolean # False when none was remembered.
function registry.logout(host) end

---The machine this script runs on.
host = {}
---The environment's variables as they were at the start.
---@type table<string, string>
host.env = {}

---@class host.run.options
---@field env? table<string, string|number|boolean> Variables set besides the inherited ones.
---@field cwd? string Working folder.
---@field input? string What the program reads.
---@field check? boolean False: a status other than 0 is no error. Default true.
---@field timeout? duration Stop the program after this long.
---@field capture? boolean Keep the output in the result. Default false.

---Runs a program of the host and waits for it.
---A string goes to /bin/sh, a table is an argument vector. Output goes to the terminal unless `capture` is set. Ctrl-C stops the program and all it started.
---@param cmd command The command.
---@param opts? host.run.options
---@return Result # How it ended.
function host.run(cmd, opts) end

---@class host.out.options
---@field env? table<string, string|number|boolean> Variables set besides the inherited ones.
---@field cwd? string Working folder.
---@field input? string What the program reads.
---@field check? boolean False: a status other than 0 is no error. Default true.
---@field timeout? duration Stop the program after this long.

---Runs a program of the host and returns its output without the last line end.
---@param cmd command The command.
---@param opts? host.out.options
---@return string # Its standard output.
function host.out(cmd, opts) end

---Describes the machine.
---@return table # `hostname`, `kernel`, `cpus`, `memory` (bytes), `cgroup` (1 or 2), `user`, `root`.
function host.info() end

---Returns the machine's name.
---@return string # The name.
function host.hostname() end

---Files of the host.
fs = {}

---Reads a whole file.
---@param path string The file.
---@return string # Its bytes.
function fs.read(path) end

---@class fs.write.options
---@field mode? integer Permission bits, such as `tonumber("755", 8)`.

---Writes a whole file.
---The file has the old content or the new one, never a part of it.
---@param path string The file.
---@param text string Its new content.
---@param opts? fs.write.options
function fs.write(path, text, opts) end

---Appends to a file; makes it first if need be.
---@param path string The file.
---@param text string What to add.
function fs.append(path, text) end

---Copies a file, link or whole folder.
---@param from string What to copy.
---@param to string The copy's path, or an existing folder to put it into.
function fs.copy(from, to) end

---Moves a file or folder, also to another file system.
---@param from string What to move.
---@param to string Its new path.
function fs.move(from, to) end

---Tells whether there is anything at a path.
---@param path string The path.
---@return boolean # True when there is.
function fs.exists(path) end

---Describes a file; a link itself, not what it points to.
---@param path string The path.
---@return table? # `kind` (file, folder, link, other), `size`, `mode`, `uid`, `gid`, `modified`.
function fs.stat(path) end

---Lists a folder.
---@param path? string The folder; default the current one.
---@return string[] # The names in it, sorted.
function fs.list(path) end

---Finds paths that match a pattern.
---@param pattern string `*` and `?` match within a name, `**` across folders.
---@return string[] # The paths, sorted.
function fs.glob(pattern) end

---Makes a folder and those above it; an existing one is fine.
---@param path string The folder.
function fs.mkdir(path) end

---Removes a file or a whole folder. Links are not followed.
---@param path string What to remove.
---@return boolean # False when there was nothing.
function fs.remove(path) end

---Makes an empty folder that is removed at the end of its scope.
---@return Folder # The folder.
function fs.tempdir() end

---JSON text and Lua values.
json = {}

---@class json.encode.options
---@field pretty? boolean Indent it. Default false.

---Turns a value into JSON text.
---A table with elements 1 to n is an array, any other an object with sorted keys.
---@param value any The value.
---@param opts? json.encode.options
---@return string # The text.
function json.encode(value, opts) end

---Reads JSON text.
---A null in an object is left out; in an array it becomes false, so that no hole appears.
---@param text string The text.
---@return any # The value.
function json.decode(text) end

---Runs functions at the same time and returns when all have ended.
---Engine calls of different functions overlap; Lua code does not. The first error cancels the other functions, whose `<close>` variables are closed, and is raised as it is. A list of functions returns a list of results.
---@param ... function|function[] Functions, or one list of them.
---@return any ... # The first result of each function, in order.
function parallel(...) end

---Prints what the reference says.
---@param what? any A function, module, handle or name; default: everything, in short.
function help(what) end
