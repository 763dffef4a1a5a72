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
---@field age string? How long ago it was made, in words.
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

---A container.
---@class Container
---@field id string 64 hexadecimal digits.
---@field short_id string The first 12 of them.
---@field name string Its name.
---@field image string The image as it was asked for.
---@field image_id string? The image's id.
---@field command string What it executes.
---@field created number When it was made, in seconds since 1970.
---@field status string `created`, `running`, `paused`, `restarting`, `exited`; `removed`.
---@field started number? When its program started last.
---@field finished number? When its program ended last.
---@field exit_code integer How its program ended last; 128+n for signal n.
---@field pid integer Its first process on the host; 0 when it does not run.
---@field labels table<string, string|number|boolean> Its labels, the image's included.
---@field network_mode string `none`, `host` or `container:ID`.
---@field health string? `starting`, `healthy` or `unhealthy`; nil without checks.
---@field restart_count integer How often its policy has started it again.
---@field oom_killed boolean Whether memory was too short for it.
---@field error string? Why it did not start, or what became of it.
---@field mounts string[] Where something is mounted.
local Container = {}

---@class Container.start.options
---@field attach? boolean Wait for its end, with this program's streams. Default false.
---@field interactive? boolean With `attach`: let it read standard input. Default false.
---@field detach_keys? string Keys that leave it running. Default `ctrl-p,ctrl-q`, with a terminal.
---@field sig_proxy? boolean Pass signals on to it. Default false.

---Starts it; one that runs stays as it is.
---@param opts? Container.start.options
---@return integer? # With `attach` its exit code; nil when it was left running.
function Container:start(opts) end

---@class Container.stop.options
---@field timeout? duration From the signal to its end; then it is killed. Default: its own, 10 seconds.
---@field signal? string The signal. Default: its own, TERM.

---Asks it to end, and kills it when that takes too long.
---@param opts? Container.stop.options
function Container:stop(opts) end

---Sends it a signal.
---@param signal? string|integer Name or number. Default KILL.
function Container:kill(signal) end

---@class Container.restart.options
---@field timeout? duration From the signal to its end; then it is killed. Default: its own, 10 seconds.
---@field signal? string The signal. Default: its own, TERM.

---Stops it, if it runs, and starts it.
---@param opts? Container.restart.options
function Container:restart(opts) end

---Freezes its processes.
function Container:pause() end

---Thaws its processes.
function Container:unpause() end

---Waits for its end.
---@return integer # Its exit code; at once if it does not run.
function Container:wait() end

---@class Container.remove.options
---@field force? boolean Kill it first if it runs. Default false.
---@field volumes? boolean Remove the data folders made for it, too. Default false.

---Removes it.
---@param opts? Container.remove.options
function Container:remove(opts) end

---Kills and removes it, if it still is there: what `<close>` does.
function Container:close() end

---Gives it another name.
---@param name string The new name.
function Container:rename(name) end

---@class Container.update.options
---@field memory? size Memory it may use.
---@field memory_swap? size|integer Memory and swap together; -1 for any amount.
---@field memory_reservation? size Memory the kernel tries to leave to it.
---@field memory_swappiness? integer 0 to 100; hosts with cgroup v1 only.
---@field oom_kill_disable? boolean Let it wait for memory rather than kill it; cgroup v1 only.
---@field oom_score_adj? integer How readily the kernel kills it for memory: -1000 to 1000.
---@field cpus? number Processors it may use, such as 1.5.
---@field cpu_shares? integer Its weight when processors are scarce; 1024 is usual.
---@field cpu_quota? integer Microseconds of processor time in each period.
---@field cpu_period? integer The period, in microseconds.
---@field cpuset_cpus? string The processors it may use, such as `0-1,3`.
---@field cpuset_mems? string The memory nodes it may use.
---@field pids_limit? integer Processes and threads it may have; -1 for any number.
---@field blkio_weight? integer Its weight when disks are busy: 10 to 1000.
---@field blkio_weight_device? string[] `DEVICE:WEIGHT`.
---@field device_read_bps? string[] `DEVICE:RATE`, such as `/dev/sda:10m`.
---@field device_write_bps? string[] `DEVICE:RATE`, such as `/dev/sda:10m`.
---@field device_read_iops? string[] `DEVICE:RATE`, such as `/dev/sda:10m`.
---@field device_write_iops? string[] `DEVICE:RATE`, such as `/dev/sda:10m`.
---@field hugetlb? string[] `SIZE:BYTES`, such as `2MB:64m`.
---@field restart? string `no`, `on-failure[:N]`, `always`, `unless-stopped`.

---Changes limits and restart policy, while it runs, too.
---@param opts? Container.update.options
function Container:update(opts) end

---@class Container.attach.options
---@field no_stdin? boolean Give it no input. Default false.
---@field detach_keys? string Keys that leave it running. Default `ctrl-p,ctrl-q`, with a terminal.
---@field sig_proxy? boolean Pass signals on to it. Default false.

---Joins in: its output from now on, and its input.
---Ctrl-C leaves it running, as do the detach keys on a terminal.
---@param opts? Container.attach.options
---@return integer? # Its exit code; nil when it was left running.
function Container:attach(opts) end

---@class Container.exec.options
---@field env? table<string, string|number|boolean> Variables over the container's; false removes one.
---@field workdir? string Working folder; it must exist. Default: the container's.
---@field user? string `USER[:GROUP]` of the container. Default: the container's.
---@field privileged? boolean Every capability, no system call filter. Default false.
---@field tty? boolean Give it a terminal. Default false.
---@field interactive? boolean Let it read this program's standard input. Default false.
---@field input? string What it reads on standard input.
---@field check? boolean False: a status other than 0 is no error. Default true.
---@field timeout? duration Kill it after this long.
---@field detach_keys? string Keys that leave it running. Default `ctrl-p,ctrl-q`, with a terminal.
---@field capture? boolean Keep the output in the result. Default false.
---@field detach? boolean Leave it there without streams. Default false.

---Runs a further program inside, and waits for its end.
---@param cmd command The command: a line for the image's shell, or a vector.
---@param opts? Container.exec.options
---@return Result? # How it ended; nil with `detach`.
function Container:exec(cmd, opts) end

---@class Container.out.options
---@field env? table<string, string|number|boolean> Variables over the container's; false removes one.
---@field workdir? string Working folder; it must exist. Default: the container's.
---@field user? string `USER[:GROUP]` of the container. Default: the container's.
---@field privileged? boolean Every capability, no system call filter. Default false.
---@field tty? boolean Give it a terminal. Default false.
---@field interactive? boolean Let it read this program's standard input. Default false.
---@field input? string What it reads on standard input.
---@field check? boolean False: a status other than 0 is no error. Default true.
---@field timeout? duration Kill it after this long.
---@field detach_keys? string Keys that leave it running. Default `ctrl-p,ctrl-q`, with a terminal.

---Runs a program inside and returns its output without the last line end.
---@param cmd command The command.
---@param opts? Container.out.options
---@return string # Its standard output.
function Container:out(cmd, opts) end

---@class Container.shell.options
---@field user? string `USER[:GROUP]` of the container. Default: the container's.
---@field detach_keys? string Keys that leave it running. Default `ctrl-p,ctrl-q`.

---Opens the image's shell inside, on this terminal.
---@param opts? Container.shell.options
---@return integer # The shell's exit code.
function Container:shell(opts) end

---@class Container.logs.options
---@field follow? boolean Go on with what comes, until it ends. Default false.
---@field tail? integer Only so many of the last lines.
---@field since? string|number Only what was written since then.
---@field until? string|number Only what was written before.
---@field before? string|number The same, as `until` is a word of Lua's.
---@field ends? boolean Keep line ends: a last line may have none, nor has a part of a very long one.

---Reads its log: an iterator of lines, each with its stream and time.
---Lines come without their line end; the stream is `stdout` or `stderr`, the time in seconds since 1970. Fourth comes a table of the labels and variables that `log_opts` asked for, if it did.
---@param opts? Container.logs.options
---@return function # `for line, stream, time in c:logs() do`.
function Container:logs(opts) end

---Everything about it, in the field's shape.
---@return table # `Id`, `Name`, `State`, `Config`, `HostConfig`, `Mounts`, ...
function Container:inspect() end

---What it uses now.
---@return table # `cpu`, `memory`, `pids`, `blkio`, `net_rx_bytes`, `net_tx_bytes`; `time` in nanoseconds.
function Container:stats() end

---Its processes, as the host sees them.
---@return table[] # `uid`, `pid`, `ppid`, `state`, `tty`, `cpu_seconds`, `started`, `rss_bytes`, `command` each.
function Container:top() end

---Its published ports: none, as there are no bridges yet.
---@return table # From `80/tcp` to `{{ip=, port=}}`.
function Container:port() end

---Bytes it has written to its root file system.
---@return integer # Bytes; then the same with those of the layers below.
function Container:size() end

---@class Container.copy_in.options
---@field archive? boolean Keep owners. Default false: root inside, you outside.
---@field follow? boolean A source that is a link stands for what it leads to. Default false.

---Copies a file or folder of the host into it, running or not.
---A source that ends with `/.` means what is in the folder. `-` reads a tar stream from standard input.
---@param source string On the host; `-` for a tar stream.
---@param target string In the container.
---@param opts? Container.copy_in.options
function Container:copy_in(source, target, opts) end

---@class Container.copy_out.options
---@field archive? boolean Keep owners. Default false: root inside, you outside.
---@field follow? boolean A source that is a link stands for what it leads to. Default false.

---Copies a file or folder out of it, running or not. Links are never followed out.
---A source that ends with `/.` means what is in the folder. `-` writes a tar stream to standard output.
---@param source string In the container.
---@param target string On the host; `-` for a tar stream.
---@param opts? Container.copy_out.options
function Container:copy_out(source, target, opts) end

---What it added, changed and deleted against its image.
---@return table[] # `kind` (`A`, `C`, `D`) and `path` each, by path.
function Container:diff() end

---Writes its root file system, without what is mounted in it, as a tar.
---@param path string The file; it appears whole or not at all. `-` for standard output.
function Container:export(path) end

---@class Container.commit.options
---@field message? string A remark for the history.
---@field author? string Who made it.
---@field changes? string[] Dockerfile instructions such as `CMD ["/app"]`, `ENV A=b`.
---@field pause? boolean Freeze a running container meanwhile. Default true.

---Makes an image of it as it is.
---@param ref? string The image's name.
---@param opts? Container.commit.options
---@return Image # The image.
function Container:commit(ref, opts) end

---A container's log, open for reading.
---@class Lines
local Lines = {}

---Returns the next line.
---@return string? # The line without its end, its stream and time; nil at the end.
function Lines:next() end

---What happens to containers, open for reading.
---@class Events
local Events = {}

---Waits for the next event.
---@return table? # The event; nil at the end.
function Events:next() end

---An immutable file system and configuration; steps return new ones.
---@class State
---@field key string Equal keys mean equal states.
---@field step string The step that made it.
---@field config table Its configuration so far.
local State = {}

---@class State.run.options
---@field env? table<string, string|number|boolean> Variables for this step alone; false removes one.
---@field hidden_env? table<string, string|number|boolean> The same, counting neither for the cache nor the history: for proxies.
---@field workdir? string Working folder for this step alone.
---@field user? string `USER[:GROUP]` for this step alone.
---@field network? "default"|"none"|"host" `host` (default) or `none`.
---@field mounts? table A list of `{type=, target=, ...}` or of a Dockerfile's `"type=cache,target=/root/.cache"`. Types: `bind` (`from`, `source`, `rw`), `cache` (`id`, `sharing`, `from`, `source`, `mode`, `uid`, `gid`, `ro`), `tmpfs` (`size`), `secret` (`id`, `env`, `required`, `mode`, `uid`, `gid`), `ssh` (`id`, `required`, ...), `file` (`content`, `mode`).
---@field tmpfs? string[] `TARGET[:size=SIZE]`: memory, such as `/tmp:size=64m`.
---@field secrets? table For mounts that ask for them: `{ID={file=|env=|value=}}`, or a list of `"id=ID,src=PATH"`.
---@field ssh? string|table Agents for mounts that ask for them: `{ID="socket"}`, or a list of `"default"` and `"ID=socket"`.
---@field memory? size Memory it may use.
---@field memory_swap? size|integer Memory and swap together; -1 for any amount.
---@field cpus? number Processors it may use, such as 1.5.
---@field cpu_shares? integer Its weight when processors are scarce; 1024 is usual.
---@field cpu_quota? integer Microseconds of processor time in each period.
---@field cpu_period? integer The period, in microseconds.
---@field cpuset_cpus? string The processors it may use, such as `0-1,3`.
---@field cpuset_mems? string The memory nodes it may use.
---@field pids_limit? integer Processes and threads it may have; -1 for any number.
---@field ulimits? string[] `NAME=SOFT[:HARD]`, such as `nofile=1024`.
---@field shm_size? size Size of /dev/shm. Default 64m.
---@field add_hosts? table<string, string|number|boolean> Names for its /etc/hosts and their addresses; or a list of `NAME:ADDRESS`.
---@field privileged? boolean Every capability, no system call filter, nothing hidden. Default false.
---@field security? "sandbox"|"insecure" `insecure` is `privileged`.
---@field timeout? duration Kill it after this long.
---@field cache? boolean False: take the step even if its result is known. Default true.
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Runs a program; what it changes is in the new state.
---Cached by parent, command, options and the files of bind mounts; not by what caches hold, what secrets say, nor by limits. An error carries `exit_code`, `stderr` (the last output) and `state` (with what the program had written: read, list, run, `shell` work there; it is kept only as long as it is used).
---@param cmd command A line for the image's shell, or an argument vector.
---@param opts? State.run.options
---@return State # The new state.
function State:run(cmd, opts) end

---@class State.out.options
---@field env? table<string, string|number|boolean> Variables for this step alone; false removes one.
---@field hidden_env? table<string, string|number|boolean> The same, counting neither for the cache nor the history: for proxies.
---@field workdir? string Working folder for this step alone.
---@field user? string `USER[:GROUP]` for this step alone.
---@field network? "default"|"none"|"host" `host` (default) or `none`.
---@field mounts? table A list of `{type=, target=, ...}` or of a Dockerfile's `"type=cache,target=/root/.cache"`. Types: `bind` (`from`, `source`, `rw`), `cache` (`id`, `sharing`, `from`, `source`, `mode`, `uid`, `gid`, `ro`), `tmpfs` (`size`), `secret` (`id`, `env`, `required`, `mode`, `uid`, `gid`), `ssh` (`id`, `required`, ...), `file` (`content`, `mode`).
---@field tmpfs? string[] `TARGET[:size=SIZE]`: memory, such as `/tmp:size=64m`.
---@field secrets? table For mounts that ask for them: `{ID={file=|env=|value=}}`, or a list of `"id=ID,src=PATH"`.
---@field ssh? string|table Agents for mounts that ask for them: `{ID="socket"}`, or a list of `"default"` and `"ID=socket"`.
---@field memory? size Memory it may use.
---@field memory_swap? size|integer Memory and swap together; -1 for any amount.
---@field cpus? number Processors it may use, such as 1.5.
---@field cpu_shares? integer Its weight when processors are scarce; 1024 is usual.
---@field cpu_quota? integer Microseconds of processor time in each period.
---@field cpu_period? integer The period, in microseconds.
---@field cpuset_cpus? string The processors it may use, such as `0-1,3`.
---@field cpuset_mems? string The memory nodes it may use.
---@field pids_limit? integer Processes and threads it may have; -1 for any number.
---@field ulimits? string[] `NAME=SOFT[:HARD]`, such as `nofile=1024`.
---@field shm_size? size Size of /dev/shm. Default 64m.
---@field add_hosts? table<string, string|number|boolean> Names for its /etc/hosts and their addresses; or a list of `NAME:ADDRESS`.
---@field privileged? boolean Every capability, no system call filter, nothing hidden. Default false.
---@field security? "sandbox"|"insecure" `insecure` is `privileged`.
---@field timeout? duration Kill it after this long.
---@field cache? boolean False: take the step even if its result is known. Default true.
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Runs a program for its output; what it changes is forgotten.
---The output is cached like any step.
---@param cmd command A line for the image's shell, or an argument vector.
---@param opts? State.out.options
---@return string # Its standard output without the last line end.
function State:out(cmd, opts) end

---@class State.shell.options
---@field command? command Run this instead of a shell.
---@field input? string What it reads on standard input, instead of the terminal.
---@field env? table<string, string|number|boolean> Variables for this step alone; false removes one.
---@field hidden_env? table<string, string|number|boolean> The same, counting neither for the cache nor the history: for proxies.
---@field workdir? string Working folder for this step alone.
---@field user? string `USER[:GROUP]` for this step alone.
---@field network? "default"|"none"|"host" `host` (default) or `none`.
---@field mounts? table A list of `{type=, target=, ...}` or of a Dockerfile's `"type=cache,target=/root/.cache"`. Types: `bind` (`from`, `source`, `rw`), `cache` (`id`, `sharing`, `from`, `source`, `mode`, `uid`, `gid`, `ro`), `tmpfs` (`size`), `secret` (`id`, `env`, `required`, `mode`, `uid`, `gid`), `ssh` (`id`, `required`, ...), `file` (`content`, `mode`).
---@field tmpfs? string[] `TARGET[:size=SIZE]`: memory, such as `/tmp:size=64m`.
---@field secrets? table For mounts that ask for them: `{ID={file=|env=|value=}}`, or a list of `"id=ID,src=PATH"`.
---@field ssh? string|table Agents for mounts that ask for them: `{ID="socket"}`, or a list of `"default"` and `"ID=socket"`.
---@field memory? size Memory it may use.
---@field memory_swap? size|integer Memory and swap together; -1 for any amount.
---@field cpus? number Processors it may use, such as 1.5.
---@field cpu_shares? integer Its weight when processors are scarce; 1024 is usual.
---@field cpu_quota? integer Microseconds of processor time in each period.
---@field cpu_period? integer The period, in microseconds.
---@field cpuset_cpus? string The processors it may use, such as `0-1,3`.
---@field cpuset_mems? string The memory nodes it may use.
---@field pids_limit? integer Processes and threads it may have; -1 for any number.
---@field ulimits? string[] `NAME=SOFT[:HARD]`, such as `nofile=1024`.
---@field shm_size? size Size of /dev/shm. Default 64m.
---@field add_hosts? table<string, string|number|boolean> Names for its /etc/hosts and their addresses; or a list of `NAME:ADDRESS`.
---@field privileged? boolean Every capability, no system call filter, nothing hidden. Default false.
---@field security? "sandbox"|"insecure" `insecure` is `privileged`.
---@field timeout? duration Kill it after this long.

---Opens a shell in the state; what is changed there is forgotten.
---With a terminal where there is one; without one it needs a `command`.
---@param opts? State.shell.options
---@return integer # Its exit code.
function State:shell(opts) end

---@class State.copy.options
---@field from? State|Context|Image|string Copy from there instead: a state, a context, an image or its name.
---@field exclude? string|string[] What to leave out. From a context: rules as in `.dockerignore`; else one without `/` fits names anywhere.
---@field chown? string `USER[:GROUP]` of the image, or ids; folders on the way that are new get it, too. Default root, and from another state the owners files have there.
---@field chmod? string Octal mode, such as `"0755"`, or words, such as `"u=rwX,go=rX"`.
---@field parents? boolean Keep the folders of each source's path, from `/./` on if it has that. Default false.
---@field link? boolean Make a layer that does not depend on what is below it. Default false.
---@field cache? boolean False: take the step even if its result is known. Default true.
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Copies files of the host, of a context or of another state, by content.
---Of a folder its contents are copied. A target that ends in `/` or is a folder takes things into it. Sources may be patterns with `*`, `?` and `[a-z]`; one that fits nothing copies nothing. Relative sources start at the current folder, relative targets at the working folder. Those of a context start at its folder, which they cannot leave.
---@param src string|string[] One source or a list.
---@param dst string Where to.
---@param opts? State.copy.options
---@return State # The new state.
function State:copy(src, dst, opts) end

---@class State.add.options
---@field from? State|Context|Image|string Copy from there instead: a state, a context, an image or its name.
---@field exclude? string|string[] What to leave out. From a context: rules as in `.dockerignore`; else one without `/` fits names anywhere.
---@field chown? string `USER[:GROUP]` of the image, or ids; folders on the way that are new get it, too. Default root, and from another state the owners files have there.
---@field chmod? string Octal mode, such as `"0755"`, or words, such as `"u=rwX,go=rX"`.
---@field parents? boolean Keep the folders of each source's path, from `/./` on if it has that. Default false.
---@field link? boolean Make a layer that does not depend on what is below it. Default false.
---@field unpack? boolean Unpack archives, or not. Default: those that are not downloaded.
---@field checksum? string `sha256:...`, which downloads must have.
---@field keep_git_dir? boolean Keep `.git` of a repository. Default false.
---@field cache? boolean False: take the step even if its result is known. Default true.
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Copies files, unpacks archives, downloads URLs and fetches git repositories.
---As copy; but a local tar archive (plain or compressed with gzip, bzip2, xz or zstd) is unpacked into `dst`. `https://host/file` is downloaded, with mode 0600 and the server's time. `https://host/repository.git#ref:folder` and `git@host:repository` are fetched by git.
---@param src string|string[] One source or a list.
---@param dst string Where to.
---@param opts? State.add.options
---@return State # The new state.
function State:add(src, dst, opts) end

---@class State.copy_out.options
---@field archive? boolean Keep owners and extended attributes. Default false.
---@field follow? boolean A source that is a link stands for what it leads to. Default false.

---Copies a file or folder to the host. Links are never followed out.
---A source that ends with `/.` means what is in the folder.
---@param src string In the state.
---@param dst string On the host; a folder takes it in.
---@param opts? State.copy_out.options
function State:copy_out(src, dst, opts) end

---@class State.write.options
---@field mode? string Octal mode. Default `"0644"`.
---@field chown? string `USER[:GROUP]` of the image. Default root.
---@field cache? boolean False: take the step even if its result is known. Default true.
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Writes a file.
---@param path string Where to; missing folders are made.
---@param text string The content.
---@param opts? State.write.options
---@return State # The new state.
function State:write(path, text, opts) end

---@class State.mkdir.options
---@field mode? string Octal mode. Default `"0755"`.
---@field chown? string `USER[:GROUP]` of the image. Default root.
---@field cache? boolean False: take the step even if its result is known. Default true.
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Makes a folder, and those above it.
---One that exists stays as it is.
---@param path string Where.
---@param opts? State.mkdir.options
---@return State # The new state.
function State:mkdir(path, opts) end

---@class State.remove.options
---@field cache? boolean False: take the step even if its result is known. Default true.
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Removes a file or folder.
---@param path string What; a link is removed itself.
---@param opts? State.remove.options
---@return State # The new state.
function State:remove(path, opts) end

---@class State.env.options
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Sets variables; false removes one.
---@param vars table Names and values.
---@param opts? State.env.options
---@return State # The new state.
function State:env(vars, opts) end

---@class State.label.options
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Sets labels; false removes one.
---@param labels table Names and values.
---@param opts? State.label.options
---@return State # The new state.
function State:label(labels, opts) end

---@class State.workdir.options
---@field create? boolean Make the folder, for the state's user, where it is missing.
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Changes the working folder.
---@param path string A relative one continues the one before.
---@param opts? State.workdir.options
---@return State # The new state.
function State:workdir(path, opts) end

---@class State.user.options
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Sets the user.
---@param user string `USER[:GROUP]`.
---@param opts? State.user.options
---@return State # The new state.
function State:user(user, opts) end

---@class State.cmd.options
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Sets the command; false removes it.
---@param cmd command|boolean A line for the shell, or a vector.
---@param opts? State.cmd.options
---@return State # The new state.
function State:cmd(cmd, opts) end

---@class State.entrypoint.options
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Sets the entry point, and with it drops the command; false removes it.
---@param cmd command|boolean A line for the shell, or a vector.
---@param opts? State.entrypoint.options
---@return State # The new state.
function State:entrypoint(cmd, opts) end

---@class State.expose.options
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Names ports.
---@param ports string|integer|string[] `80`, `53/udp`.
---@param opts? State.expose.options
---@return State # The new state.
function State:expose(ports, opts) end

---@class State.volume.options
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Names paths that hold data.
---@param paths string|string[] Absolute paths.
---@param opts? State.volume.options
---@return State # The new state.
function State:volume(paths, opts) end

---@class State.stop_signal.options
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Sets the signal that asks a container to stop.
---@param signal string `SIGINT`.
---@param opts? State.stop_signal.options
---@return State # The new state.
function State:stop_signal(signal, opts) end

---@class State.shell_form.options
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Sets the shell for commands that are one line.
---@param argv string[] Such as `{"/bin/bash", "-c"}`.
---@param opts? State.shell_form.options
---@return State # The new state.
function State:shell_form(argv, opts) end

---@class State.healthcheck.options
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Says how to tell whether a container is well; false turns checks off.
---@param check table|boolean `test` (a line for the shell, or a vector), `interval`, `timeout`, `start_period`, `start_interval`, `retries`.
---@param opts? State.healthcheck.options
---@return State # The new state.
function State:healthcheck(check, opts) end

---@class State.on_build.options
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Adds an instruction for builds that start from the image.
---@param instruction string In a Dockerfile's words.
---@param opts? State.on_build.options
---@return State # The new state.
function State:on_build(instruction, opts) end

---@class State.unset.options
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Takes settings away, inherited ones too.
---@param what table Lists of names under `env`, `labels`, `ports`, `volumes`; true under `cmd`, `entrypoint`, `user`, `workdir`, `healthcheck`, `stop_signal`, `shell`, `on_build`.
---@param opts? State.unset.options
---@return State # The new state.
function State:unset(what, opts) end

---Reads a file.
---@param path string Which.
---@return string # Its content.
function State:read(path) end

---Tells whether something is there.
---@param path string What; links are followed.
---@return boolean # Whether it is.
function State:exists(path) end

---Lists a folder.
---@param path? string Which. Default `/`.
---@return Entry[] # Its entries by name; prints as a table.
function State:list(path) end

---Looks at one file or folder.
---@param path string Which; a link at its end is looked at itself.
---@return Entry? # What is there, or nil.
function State:stat(path) end

---Compares it with another state.
---Content, kind, mode and owner count, times do not. A folder that is deleted stands for what was in it.
---@param other State The other state.
---@return table[] # What differs there: `kind` (`added`, `changed` or `deleted`) and `path`.
function State:diff(other) end

---Lists the steps that led to it.
---@return table[] # From the base: `step`, `size`, `layer`, `created`, `cached`, `key`; prints as a table.
function State:tree() end

---Returns the history an image of it would have, oldest step first.
---@return table[] # `created_by`, `created`, `comment`, `empty_layer`, `layer`, `size`.
function State:history() end

---Tells why its last step that was not in the cache had to run.
---What the step read is compared with what it read the last time it ran.
---@return table[] # Reasons: `step`, `kind` (`file`, `env`, `parent`, `command`, `option`, `first`, `cached`, `disabled` or `gone`), `name`, `before`, `after`; prints as a sentence.
function State:why() end

---@class State.layer.options
---@field cache? boolean False: take the step even if its result is known. Default true.
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Makes one layer of several steps.
---The steps are taken and cached one by one. What they change together is one layer over this state, with one line of history.
---@param steps function|State Called with this state; returns the last state. Or that state.
---@param opts? State.layer.options
---@return State # The new state.
function State:layer(steps, opts) end

---@class State.merge.options
---@field cache? boolean False: take the step even if its result is known. Default true.
---@field label? string What progress shows instead of the step's own words.
---@field history? string|boolean The history entry instead; false for none.

---Puts another state's files on top of this one's.
---Of two states with a common base only the layers above it are added, with what they remove. The layers are used as they are: nothing is copied. The configuration stays.
---@param other State The other state.
---@param opts? State.merge.options
---@return State # The new state.
function State:merge(other, opts) end

---@class State.commit.options
---@field message? string A remark for the history.
---@field author? string Who made it.
---@field created? string|integer When it was made: RFC 3339, or seconds since 1970. Default: when its last step ran.
---@field labels? table<string, string|number|boolean> Labels; false removes one.
---@field annotations? table<string, string|number|boolean> Annotations of the manifest; false leaves out one that is set by itself.
---@field squash? boolean|"all" True: the layers above the first image become one. `all`: all layers do.
---@field layers? integer[] Only these layers, by number from 1, the lowest.
---@field compression? "gzip"|"zstd"|"none" The form of new layers. Default `gzip`.
---@field compression_level? integer 0 to 9 of gzip, 1 to 22 of zstd.
---@field output? string|table Where it goes besides: one output or a list.

---Makes an image of the state.
---The same steps with SOURCE_DATE_EPOCH give the same image, to the byte. The manifest's annotations say when it was made and from which image. The image is in the store wherever `output` brings it. Outputs: `type=local,dest=FOLDER` and `type=tar,dest=FILE` are the files; `type=oci,dest=FILE` (or a folder) and `type=docker,dest=FILE` are archives of the image; `type=registry` pushes it, with `name=` under another name; `type=image,name=` gives a further name. A file `-` is standard output.
---@param ref? string|string[] Its name, or a list of names. Without one it is kept untagged.
---@param opts? State.commit.options
---@return Image # The image.
function State:commit(ref, opts) end

---A folder that builds copy from and cannot leave; `<close>` gives it up.
---@class Context
---@field folder string The folder of the host it stands for.
---@field file string? The only file in it, where a stream was no archive.
local Context = {}

---Reads a file, whatever the rules say.
---@param path string Which; links lead nowhere but into the context.
---@return string? # Its content; nil when nothing is there.
function Context:read(path) end

---Tells whether something is there, whatever the rules say.
---@param path string What; links are followed inside the context.
---@return boolean # Whether it is.
function Context:exists(path) end

---Gives the context up; what was unpacked for it is removed.
function Context:close() end

---Something in a folder of a state.
---@class Entry
---@field name string Its name.
---@field kind string `file`, `dir`, `link`, `device`, `fifo` or `socket`.
---@field size integer Bytes.
---@field mode integer Permission bits.
---@field octal string Permission bits in octal digits.
---@field uid integer Owner.
---@field gid integer Group.
---@field mtime integer Modification time, seconds since 1970.
local Entry = {}

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
---@field max_layer_bytes? size Refuse a layer that unpacks to more. Default 64 GiB.

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
---@param path string The file; it appears whole or not at all. `-` is standard output.
---@param ... string|Image The images.
function image.save(path, ...) end

---@class image.load.options
---@field max_layer_bytes? size Refuse a layer that unpacks to more. Default 64 GiB.

---Loads the images of an archive and sets their names.
---@param path string An OCI or docker archive; `-` is standard input.
---@param opts? image.load.options
---@return Image[] # The images.
function image.load(path, opts) end

---Containers: programs in a world of their own.
container = {}

---@class container.run.options
---@field name? string Its name; one is made up by default.
---@field hostname? string Host name. Default: the short id.
---@field domainname? string NIS domain name.
---@field labels? table<string, string|number|boolean> Labels, besides the image's.
---@field annotations? table<string, string|number|boolean> Annotations for its runtime specification.
---@field cidfile? string A file to write its id to; it must not exist.
---@field platform? string For which machine, such as `linux/arm64`. Default: this one's.
---@field pull? "missing"|"always"|"never" When to ask the registry. Default `missing`.
---@field entrypoint? command Replaces the image's entry point; `{}` takes it away.
---@field env? table<string, string|number|boolean> Variables; they win over the image's; false removes one.
---@field env_file? string[] Files of `NAME=VALUE` lines; `env` wins over them.
---@field workdir? string Working folder; made if it is missing.
---@field user? string `USER[:GROUP]`, names of the image or numbers.
---@field group_add? string[] Further groups, names of the image or numbers.
---@field tty? boolean Give it a terminal. Default false.
---@field interactive? boolean Keep its standard input open. Default false.
---@field init? boolean Run it below a small first process that reaps orphans. Default false.
---@field ulimits? string[] `NAME=SOFT[:HARD]`, such as `nofile=1024`.
---@field stop_signal? string The signal that asks it to stop. Default: the image's, or TERM.
---@field stop_timeout? integer Seconds from that signal to its end. Default 10.
---@field network? string `none` (default): loopback only; `host`; `container:NAME`.
---@field pid? string Process ids: `private` (default), `host`, `container:NAME`.
---@field ipc? string Shared memory: `private` (default), `host`, `container:NAME`.
---@field uts? string Host name: `private` (default), `host`, `container:NAME`.
---@field cgroupns? string Control groups: `private` (default), `host`.
---@field userns? string `host` (default), or the first of 65,536 host ids its own are mapped to.
---@field volumes? string[] `SOURCE:TARGET[:ro]`: folders or files of the host; `TARGET`: a data folder.
---@field mounts? string[] `type=bind,source=...,target=...[,readonly]`, `type=tmpfs,target=...`.
---@field tmpfs? string[] `TARGET[:OPTION,...]`: memory, such as `/tmp:size=64m`.
---@field volumes_from? string[] `NAME[:ro]`: containers whose mounts it gets, too.
---@field devices? string[] `HOST[:CONTAINER][:rwm]`: devices of the host.
---@field read_only? boolean Refuse writes to the root file system. Default false.
---@field shm_size? size Size of /dev/shm. Default 64m.
---@field extra_hosts? table<string, string|number|boolean> Names for its /etc/hosts and their addresses.
---@field dns? string[] Name servers instead of the host's.
---@field dns_search? string[] Search domains.
---@field dns_options? string[] Options of the resolver.
---@field sysctls? table<string, string|number|boolean> Kernel parameters of its namespaces.
---@field privileged? boolean Every capability, no system call filter, nothing hidden. Default false.
---@field cap_add? string[] Capabilities to add; `ALL` for every one.
---@field cap_drop? string[] Capabilities to take away; `ALL` for every one.
---@field no_new_privileges? boolean Refuse gaining privileges by setuid programs. Default false.
---@field seccomp? string `default`, `unconfined`, or a file with a profile in Docker's JSON form.
---@field security_opt? string[] `no-new-privileges`, `seccomp=FILE|unconfined`, `apparmor=NAME|unconfined`, `systempaths=unconfined`.
---@field device_cgroup_rules? string[] Further rules for devices, such as `c 42:* rmw`.
---@field memory? size Memory it may use.
---@field memory_swap? size|integer Memory and swap together; -1 for any amount.
---@field memory_reservation? size Memory the kernel tries to leave to it.
---@field memory_swappiness? integer 0 to 100; hosts with cgroup v1 only.
---@field oom_kill_disable? boolean Let it wait for memory rather than kill it; cgroup v1 only.
---@field oom_score_adj? integer How readily the kernel kills it for memory: -1000 to 1000.
---@field cpus? number Processors it may use, such as 1.5.
---@field cpu_shares? integer Its weight when processors are scarce; 1024 is usual.
---@field cpu_quota? integer Microseconds of processor time in each period.
---@field cpu_period? integer The period, in microseconds.
---@field cpuset_cpus? string The processors it may use, such as `0-1,3`.
---@field cpuset_mems? string The memory nodes it may use.
---@field pids_limit? integer Processes and threads it may have; -1 for any number.
---@field blkio_weight? integer Its weight when disks are busy: 10 to 1000.
---@field blkio_weight_device? string[] `DEVICE:WEIGHT`.
---@field device_read_bps? string[] `DEVICE:RATE`, such as `/dev/sda:10m`.
---@field device_write_bps? string[] `DEVICE:RATE`, such as `/dev/sda:10m`.
---@field device_read_iops? string[] `DEVICE:RATE`, such as `/dev/sda:10m`.
---@field device_write_iops? string[] `DEVICE:RATE`, such as `/dev/sda:10m`.
---@field hugetlb? string[] `SIZE:BYTES`, such as `2MB:64m`.
---@field rm? boolean Remove it when it has ended.
---@field restart? string `no` (default), `on-failure[:N]`, `always`, `unless-stopped`.
---@field health? table `{cmd=, interval=, timeout=, retries=, start_period=, start_interval=, disable=}`.
---@field log_driver? string `json-file` (default) or `none`.
---@field log_opts? table<string, string|number|boolean> `max-size`, `max-file`; `labels`, `env`: names of what to write down with each line.
---@field input? string What it reads on standard input.
---@field capture? boolean Keep the output in the result. Default false.
---@field check? boolean False: a status other than 0 is no error. Default true.
---@field timeout? duration Kill it after this long.
---@field detach_keys? string Keys that leave it running. Default `ctrl-p,ctrl-q`, with a terminal.
---@field sig_proxy? boolean Pass signals on to it rather than end it by them. Default false.

---Runs a program in a fresh container and waits for its end.
---A string goes to the image's shell, a table is an argument vector; either is put behind the image's entry point. Without a command the image's own is run. Output goes to the terminal unless `capture` is set. Nothing of the container remains, unless `rm=false`. Ctrl-C kills it.
---@param image string|Image|State A name or id (a missing name is pulled), an Image or a State.
---@param cmd? command The command.
---@param opts? container.run.options
---@return Result # How it ended; with code 0 when it was left running by the detach keys.
function container.run(image, cmd, opts) end

---@class container.create.options
---@field name? string Its name; one is made up by default.
---@field hostname? string Host name. Default: the short id.
---@field domainname? string NIS domain name.
---@field labels? table<string, string|number|boolean> Labels, besides the image's.
---@field annotations? table<string, string|number|boolean> Annotations for its runtime specification.
---@field cidfile? string A file to write its id to; it must not exist.
---@field platform? string For which machine, such as `linux/arm64`. Default: this one's.
---@field pull? "missing"|"always"|"never" When to ask the registry. Default `missing`.
---@field entrypoint? command Replaces the image's entry point; `{}` takes it away.
---@field env? table<string, string|number|boolean> Variables; they win over the image's; false removes one.
---@field env_file? string[] Files of `NAME=VALUE` lines; `env` wins over them.
---@field workdir? string Working folder; made if it is missing.
---@field user? string `USER[:GROUP]`, names of the image or numbers.
---@field group_add? string[] Further groups, names of the image or numbers.
---@field tty? boolean Give it a terminal. Default false.
---@field interactive? boolean Keep its standard input open. Default false.
---@field init? boolean Run it below a small first process that reaps orphans. Default false.
---@field ulimits? string[] `NAME=SOFT[:HARD]`, such as `nofile=1024`.
---@field stop_signal? string The signal that asks it to stop. Default: the image's, or TERM.
---@field stop_timeout? integer Seconds from that signal to its end. Default 10.
---@field network? string `none` (default): loopback only; `host`; `container:NAME`.
---@field pid? string Process ids: `private` (default), `host`, `container:NAME`.
---@field ipc? string Shared memory: `private` (default), `host`, `container:NAME`.
---@field uts? string Host name: `private` (default), `host`, `container:NAME`.
---@field cgroupns? string Control groups: `private` (default), `host`.
---@field userns? string `host` (default), or the first of 65,536 host ids its own are mapped to.
---@field volumes? string[] `SOURCE:TARGET[:ro]`: folders or files of the host; `TARGET`: a data folder.
---@field mounts? string[] `type=bind,source=...,target=...[,readonly]`, `type=tmpfs,target=...`.
---@field tmpfs? string[] `TARGET[:OPTION,...]`: memory, such as `/tmp:size=64m`.
---@field volumes_from? string[] `NAME[:ro]`: containers whose mounts it gets, too.
---@field devices? string[] `HOST[:CONTAINER][:rwm]`: devices of the host.
---@field read_only? boolean Refuse writes to the root file system. Default false.
---@field shm_size? size Size of /dev/shm. Default 64m.
---@field extra_hosts? table<string, string|number|boolean> Names for its /etc/hosts and their addresses.
---@field dns? string[] Name servers instead of the host's.
---@field dns_search? string[] Search domains.
---@field dns_options? string[] Options of the resolver.
---@field sysctls? table<string, string|number|boolean> Kernel parameters of its namespaces.
---@field privileged? boolean Every capability, no system call filter, nothing hidden. Default false.
---@field cap_add? string[] Capabilities to add; `ALL` for every one.
---@field cap_drop? string[] Capabilities to take away; `ALL` for every one.
---@field no_new_privileges? boolean Refuse gaining privileges by setuid programs. Default false.
---@field seccomp? string `default`, `unconfined`, or a file with a profile in Docker's JSON form.
---@field security_opt? string[] `no-new-privileges`, `seccomp=FILE|unconfined`, `apparmor=NAME|unconfined`, `systempaths=unconfined`.
---@field device_cgroup_rules? string[] Further rules for devices, such as `c 42:* rmw`.
---@field memory? size Memory it may use.
---@field memory_swap? size|integer Memory and swap together; -1 for any amount.
---@field memory_reservation? size Memory the kernel tries to leave to it.
---@field memory_swappiness? integer 0 to 100; hosts with cgroup v1 only.
---@field oom_kill_disable? boolean Let it wait for memory rather than kill it; cgroup v1 only.
---@field oom_score_adj? integer How readily the kernel kills it for memory: -1000 to 1000.
---@field cpus? number Processors it may use, such as 1.5.
---@field cpu_shares? integer Its weight when processors are scarce; 1024 is usual.
---@field cpu_quota? integer Microseconds of processor time in each period.
---@field cpu_period? integer The period, in microseconds.
---@field cpuset_cpus? string The processors it may use, such as `0-1,3`.
---@field cpuset_mems? string The memory nodes it may use.
---@field pids_limit? integer Processes and threads it may have; -1 for any number.
---@field blkio_weight? integer Its weight when disks are busy: 10 to 1000.
---@field blkio_weight_device? string[] `DEVICE:WEIGHT`.
---@field device_read_bps? string[] `DEVICE:RATE`, such as `/dev/sda:10m`.
---@field device_write_bps? string[] `DEVICE:RATE`, such as `/dev/sda:10m`.
---@field device_read_iops? string[] `DEVICE:RATE`, such as `/dev/sda:10m`.
---@field device_write_iops? string[] `DEVICE:RATE`, such as `/dev/sda:10m`.
---@field hugetlb? string[] `SIZE:BYTES`, such as `2MB:64m`.
---@field rm? boolean Remove it when it has ended.
---@field restart? string `no` (default), `on-failure[:N]`, `always`, `unless-stopped`.
---@field health? table `{cmd=, interval=, timeout=, retries=, start_period=, start_interval=, disable=}`.
---@field log_driver? string `json-file` (default) or `none`.
---@field log_opts? table<string, string|number|boolean> `max-size`, `max-file`; `labels`, `env`: names of what to write down with each line.

---Makes a container without starting it.
---@param image string|Image|State A name or id (a missing name is pulled), an Image or a State.
---@param cmd? command The command; the image's own by default.
---@param opts? container.create.options
---@return Container # The container.
function container.create(image, cmd, opts) end

---@class container.start.options
---@field name? string Its name; one is made up by default.
---@field hostname? string Host name. Default: the short id.
---@field domainname? string NIS domain name.
---@field labels? table<string, string|number|boolean> Labels, besides the image's.
---@field annotations? table<string, string|number|boolean> Annotations for its runtime specification.
---@field cidfile? string A file to write its id to; it must not exist.
---@field platform? string For which machine, such as `linux/arm64`. Default: this one's.
---@field pull? "missing"|"always"|"never" When to ask the registry. Default `missing`.
---@field entrypoint? command Replaces the image's entry point; `{}` takes it away.
---@field env? table<string, string|number|boolean> Variables; they win over the image's; false removes one.
---@field env_file? string[] Files of `NAME=VALUE` lines; `env` wins over them.
---@field workdir? string Working folder; made if it is missing.
---@field user? string `USER[:GROUP]`, names of the image or numbers.
---@field group_add? string[] Further groups, names of the image or numbers.
---@field tty? boolean Give it a terminal. Default false.
---@field interactive? boolean Keep its standard input open. Default false.
---@field init? boolean Run it below a small first process that reaps orphans. Default false.
---@field ulimits? string[] `NAME=SOFT[:HARD]`, such as `nofile=1024`.
---@field stop_signal? string The signal that asks it to stop. Default: the image's, or TERM.
---@field stop_timeout? integer Seconds from that signal to its end. Default 10.
---@field network? string `none` (default): loopback only; `host`; `container:NAME`.
---@field pid? string Process ids: `private` (default), `host`, `container:NAME`.
---@field ipc? string Shared memory: `private` (default), `host`, `container:NAME`.
---@field uts? string Host name: `private` (default), `host`, `container:NAME`.
---@field cgroupns? string Control groups: `private` (default), `host`.
---@field userns? string `host` (default), or the first of 65,536 host ids its own are mapped to.
---@field volumes? string[] `SOURCE:TARGET[:ro]`: folders or files of the host; `TARGET`: a data folder.
---@field mounts? string[] `type=bind,source=...,target=...[,readonly]`, `type=tmpfs,target=...`.
---@field tmpfs? string[] `TARGET[:OPTION,...]`: memory, such as `/tmp:size=64m`.
---@field volumes_from? string[] `NAME[:ro]`: containers whose mounts it gets, too.
---@field devices? string[] `HOST[:CONTAINER][:rwm]`: devices of the host.
---@field read_only? boolean Refuse writes to the root file system. Default false.
---@field shm_size? size Size of /dev/shm. Default 64m.
---@field extra_hosts? table<string, string|number|boolean> Names for its /etc/hosts and their addresses.
---@field dns? string[] Name servers instead of the host's.
---@field dns_search? string[] Search domains.
---@field dns_options? string[] Options of the resolver.
---@field sysctls? table<string, string|number|boolean> Kernel parameters of its namespaces.
---@field privileged? boolean Every capability, no system call filter, nothing hidden. Default false.
---@field cap_add? string[] Capabilities to add; `ALL` for every one.
---@field cap_drop? string[] Capabilities to take away; `ALL` for every one.
---@field no_new_privileges? boolean Refuse gaining privileges by setuid programs. Default false.
---@field seccomp? string `default`, `unconfined`, or a file with a profile in Docker's JSON form.
---@field security_opt? string[] `no-new-privileges`, `seccomp=FILE|unconfined`, `apparmor=NAME|unconfined`, `systempaths=unconfined`.
---@field device_cgroup_rules? string[] Further rules for devices, such as `c 42:* rmw`.
---@field memory? size Memory it may use.
---@field memory_swap? size|integer Memory and swap together; -1 for any amount.
---@field memory_reservation? size Memory the kernel tries to leave to it.
---@field memory_swappiness? integer 0 to 100; hosts with cgroup v1 only.
---@field oom_kill_disable? boolean Let it wait for memory rather than kill it; cgroup v1 only.
---@field oom_score_adj? integer How readily the kernel kills it for memory: -1000 to 1000.
---@field cpus? number Processors it may use, such as 1.5.
---@field cpu_shares? integer Its weight when processors are scarce; 1024 is usual.
---@field cpu_quota? integer Microseconds of processor time in each period.
---@field cpu_period? integer The period, in microseconds.
---@field cpuset_cpus? string The processors it may use, such as `0-1,3`.
---@field cpuset_mems? string The memory nodes it may use.
---@field pids_limit? integer Processes and threads it may have; -1 for any number.
---@field blkio_weight? integer Its weight when disks are busy: 10 to 1000.
---@field blkio_weight_device? string[] `DEVICE:WEIGHT`.
---@field device_read_bps? string[] `DEVICE:RATE`, such as `/dev/sda:10m`.
---@field device_write_bps? string[] `DEVICE:RATE`, such as `/dev/sda:10m`.
---@field device_read_iops? string[] `DEVICE:RATE`, such as `/dev/sda:10m`.
---@field device_write_iops? string[] `DEVICE:RATE`, such as `/dev/sda:10m`.
---@field hugetlb? string[] `SIZE:BYTES`, such as `2MB:64m`.
---@field rm? boolean Remove it when it has ended.
---@field restart? string `no` (default), `on-failure[:N]`, `always`, `unless-stopped`.
---@field health? table `{cmd=, interval=, timeout=, retries=, start_period=, start_interval=, disable=}`.
---@field log_driver? string `json-file` (default) or `none`.
---@field log_opts? table<string, string|number|boolean> `max-size`, `max-file`; `labels`, `env`: names of what to write down with each line.

---Makes a container and starts it in the background.
---It goes on when this program ends. A `<close>` variable stops and removes it.
---@param image string|Image|State A name or id (a missing name is pulled), an Image or a State.
---@param cmd? command The command; the image's own by default.
---@param opts? container.start.options
---@return Container # The container; its program runs.
function container.start(image, cmd, opts) end

---Finds a container by name, id or the first digits of its id.
---@param name string Name or id.
---@return Container? # The container; nil when there is none.
function container.get(name) end

---@class container.list.options
---@field all? boolean Those that do not run, too. Default false.
---@field last? integer Only so many of the newest, running or not.
---@field filters? table A value or a list each: `status`, `name`, `id`, `label` (`NAME` or `NAME=VALUE`), `ancestor`, `exited`, `health`, `network`, `volume`, `before`, `since`, `until`.

---Lists containers, newest first.
---@param opts? container.list.options
---@return Container[] # The containers, as they are now; prints as a table.
function container.list(opts) end

---@class container.prune.options
---@field filters? table A value or a list each: `status`, `name`, `id`, `label` (`NAME` or `NAME=VALUE`), `ancestor`, `exited`, `health`, `network`, `volume`, `before`, `since`, `until`.

---Removes the containers that do not run.
---@param opts? container.prune.options
---@return table # `ids` of those that are gone, and the `bytes` they took.
function container.prune(opts) end

---Starts, after a boot of the host, what is to be started again.
---Those with restart policy `always`, and `unless-stopped` if nobody had stopped them.
---@return string[] # The names of those that were started.
function container.boot() end

---@class container.events.options
---@field since? string|number Begin with what happened then. Default: now.
---@field until? string|number End then.
---@field before? string|number The same, as `until` is a word of Lua's.
---@field filters? table A value or a list each: `event`, `container`, `image`, `label`, `type`.

---Tells what happens to containers: an iterator of tables.
---Each has `time` (seconds since 1970), `type`, `action` (`create`, `start`, `die`, `oom`, `kill`, `stop`, `pause`, ...), `id`, `name`, `image` and `attributes`. Without `until` it goes on for ever.
---@param opts? container.events.options
---@return function # `for event in container.events() do`.
function container.events(opts) end

---Builds: cached steps from state to state.
build = {}

---@class build.from.options
---@field pull? "missing"|"always"|"never" When to ask the registry.

---Starts a build from an image or continues one from a state.
---@param base string|Image|State A name or id (a missing name is pulled), an Image or a State.
---@param opts? build.from.options
---@return State # The state.
function build.from(base, opts) end

---Starts a build from nothing.
---@return State # An empty state.
function build.scratch() end

---@class build.context.options
---@field ignore? string|string[] Rules of what to leave out of copies.
---@field ignore_file? string A file of rules in the context; an absolute path is the host's.
---@field file? string Of a stream that is text and no archive: the file that it becomes.

---Opens a folder that builds copy from and that they cannot leave.
---Archives (tar, plain or compressed, also at a URL) are unpacked into a temporary folder, `-` is one on standard input. A repository (`https://host/repository.git#ref:folder`, `git@host:repository`, `file:///folder#ref`) is fetched by git. Rules are those of `.dockerignore`. A Context stands for itself, under the rules given here.
---@param src string|Context A folder, an archive, a URL or `-`; or a Context.
---@param opts? build.context.options
---@return Context # The context.
function build.context(src, opts) end

---Starts a build from programs of this host.
---The programs, their interpreters and the libraries they need are found by reading them; nothing is executed and nothing downloaded.
---@param programs string[] Absolute paths.
---@return State # A state with just these.
function build.from_host(programs) end

---@class build.dockerfile.options
---@field context? string|Context A folder, a tar, `-`, a git URL, or a Context. Default `.`.
---@field file? string The Dockerfile; `-` for standard input. Default `Dockerfile` in the context.
---@field text? string The Dockerfile's text instead.
---@field target? string The stage to build. Default the last one.
---@field args? table<string, string|number|boolean> Values for ARG.
---@field contexts? table Contexts, states, images, names or folders to put in the place of names.
---@field platform? string `OS/ARCH[/VARIANT]` to build for. Default this machine's.
---@field pull? boolean|"missing"|"always"|"never" When to ask the registry; true for `always`.
---@field cache? boolean False: take every step even if its result is known. Default true.
---@field secrets? table Secrets for `--mount=type=secret`, as of State:run.
---@field ssh? table Agents and keys for `--mount=type=ssh`, as of State:run.
---@field network? "default"|"none"|"host" Network of RUN.
---@field allow? string[] `security.insecure` allows `RUN --security=insecure`.
---@field add_hosts? string[] `NAME:ADDRESS` lines for /etc/hosts.
---@field ulimits? string[] `NAME=SOFT[:HARD]`, such as `nofile=1024`.
---@field shm_size? size Size of /dev/shm.
---@field memory? size Memory it may use.
---@field memory_swap? size|integer Memory and swap together; -1 for any amount.
---@field cpus? number Processors it may use, such as 1.5.
---@field cpu_shares? integer Its weight when processors are scarce; 1024 is usual.
---@field cpu_quota? integer Microseconds of processor time in each period.
---@field cpu_period? integer The period, in microseconds.
---@field cpuset_cpus? string The processors it may use, such as `0-1,3`.
---@field cpuset_mems? string The memory nodes it may use.
---@field pids_limit? integer Processes and threads it may have; -1 for any number.
---@field tags? string|string[] The image's name or names.
---@field labels? table<string, string|number|boolean> Labels to put on the image.
---@field annotations? table<string, string|number|boolean> Annotations of the image's manifest.
---@field squash? boolean|string One layer of this build's layers; `all`: of all.
---@field compression? "gzip"|"zstd"|"none" Of new layers.
---@field output? string|table Where to put the result besides, as of State:commit.

---Builds an image as a Dockerfile says.
---Only stages the target needs are built, independent ones at the same time. An error has `file`, `line` and `source`, and in a failed step `exit_code`, `stderr` and `state`.
---@param opts? build.dockerfile.options
---@return Image # The image.
function build.dockerfile(opts) end

---Dockerfiles: as tables, and as Lua scripts.
dockerfile = {}

---Reads a Dockerfile.
---The table has `args` (the ARG instructions before the first FROM) and `stages`, each with `name`, `base`, `platform`, `from` (the instruction) and `steps`. An instruction has `keyword`, `flags`, `text` (without continuation), `comments` before it and `place` (`file`, `line`, `last`, `source`).
---@param path string The file.
---@return table # What it says.
function dockerfile.parse(path) end

---@class dockerfile.to_lua.options
---@field context? string The context the script takes. Default `.`.
---@field target? string The stage to build. Default the last one.
---@field args? table<string, string|number|boolean> Values of ARGs that the script takes when it is given none.
---@field contexts? table<string, string|number|boolean> Folders, URLs and images (`docker-image://NAME`) in the place of names.
---@field secrets? string[] The script's secrets, as `id=ID,src=FILE` or `id=ID,env=NAME`.
---@field ssh? string[] The script's agents and keys, as `default` or `ID=SOCKET`.
---@field network? "default"|"none"|"host" Network of RUN.
---@field tags? string|string[] The image's name or names.
---@field labels? table<string, string|number|boolean> Labels to put on the image.
---@field squash? boolean|string As of build.dockerfile.

---Writes a Lua script that builds what a Dockerfile builds.
---ARGs become variables, which the script's own arguments (`NAME=VALUE`) replace, and stages become states. The script needs nothing but the functions of this reference.
---@param path string The Dockerfile.
---@param opts? dockerfile.to_lua.options
---@return string # The script.
function dockerfile.to_lua(path, opts) end

---Replaces variables as a Dockerfile does.
---`$x`, `${x}`, `${x:-default}`, `${x%.*}`, `${x/a/b}` and their like; quotes are removed.
---@param text string The text.
---@param variables table Names and values.
---@return string # The result.
function dockerfile.expand(text, variables) end

---The build cache: what steps made, and where it goes.
cache = {}

---Lists what builds remember.
---@return table[] # What was used last comes first: `kind` (`step`, `mount`, `download` or `digests`), `key`, `step`, `size`, `created`, `last_used`, `shared` (an image or container has the layer), `in_use` (a running process stands on it), `remote` (the layer is in a registry only); prints as a table.
function cache.list() end

---@class cache.prune.options
---@field keep? size Keep this much of what was used last, such as `"10g"`.
---@field older? duration Only what was not used for this long, such as `"7d"`.
---@field all? boolean Also the steps whose layers images have. Default false.

---Removes what builds remember, what was not used for longest first.
---What running processes stand on stays, this one's states too. Layers of images and containers stay. Without `keep` and `older` everything else goes.
---@param opts? cache.prune.options
---@return table # What is gone: `steps`, `layers`, `others` (cache mounts, kept files) and `bytes`.
function cache.prune(opts) end

---@class cache.export.options
---@field states? State[] Only the steps that led to these.
---@field all? boolean All that are known. Default false.

---Pushes steps and what they made to a registry.
---Without options those this process has taken or found in the cache.
---@param ref string Its name in the registry.
---@param opts? cache.export.options
---@return table # `steps`, `layers`, `bytes` and the `digest` of its manifest.
function cache.export(ref, opts) end

---@class cache.import.options
---@field now? boolean Fetch all layers at once. Default false.

---Learns the steps of a cache in a registry.
---A layer is fetched when a step is first built on, or the state committed. Everything is checked by its digest, but whether a step really makes the layer its record names is for who exported it to say: import from where you would pull images. An image is never taken for a cache.
---@param ref string Its name in the registry.
---@param opts? cache.import.options
---@return table # `steps` that are new, `layers` and `bytes` of all.
function cache.import(ref, opts) end

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
---@return table # `hostname`, `kernel`, `cpus`, `memory` (bytes), `cgroup` (1 or 2), `apparmor` (the profile of containers; nil without one), `warnings` (what they lack), `user`, `root`.
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
