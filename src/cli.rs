//! The command line: options, environment variables, exit statuses.
//!
//! The only reader of environment variables (but for colours): the engine gets what it needs in its [`Config`].

use std::ffi::OsString;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};
use mlua::{IntoLua, MultiValue};

use crate::bindings::docs;
use crate::bindings::install::Api;
use crate::commands::Commands;
use crate::commands::names::Names;
use crate::engine::cancel::Cancel;
use crate::engine::error::{Error, OsContext, Result};
use crate::engine::suggest::nearest;
use crate::engine::{Config, Proxies};
use crate::report::{self, Report};
use crate::runtime::{Ending, Options, Runtime, interrupt, panics};
use crate::{credentials, editor, progress, repl};

/// What the command line asks for.
enum Program {
    /// `-e CODE`.
    Code(String),
    /// A script.
    File(PathBuf),
    /// A script from standard input.
    Stdin,
    /// A command and its arguments.
    Command(Vec<String>),
    /// The prompt.
    Prompt,
}

/// Runs the program and returns its exit status.
pub fn main() -> ExitCode {
    panics::silence();
    let status = match parser().try_get_matches() {
        Ok(matches) => run(&matches),
        Err(error) => {
            // Help and the version are "errors" that go to standard output.
            let _ = error.print();
            if error.use_stderr() { report::USAGE } else { 0 }
        }
    };
    // Through exit(3), so that what Lua's io library holds back is written.
    std::process::exit(status)
}

fn parser() -> Command {
    let words = |name: &'static str, long, value, help| Arg::new(name).long(long).value_name(value).help(help);
    Command::new("moonshell")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A container engine that is scripted in Lua")
        .override_usage(
            "moonshell [OPTIONS] [FILE.lua [ARG...]]\n       moonshell [OPTIONS] -e CODE [ARG...]\n       \
             moonshell [OPTIONS] COMMAND [ARG...]\n       moonshell help [NAME]\n       moonshell init [DIR]",
        )
        .disable_help_subcommand(true)
        .arg(words("root", "root", "DIR", "State folder").value_parser(clap::value_parser!(PathBuf)))
        .arg(
            words("log", "log", "LEVEL", "error, warn, info or debug").value_parser(["error", "warn", "info", "debug"]),
        )
        .arg(
            words("progress", "progress", "MODE", "auto, plain, none or json")
                .value_parser(["auto", "plain", "none", "json"])
                .default_value("auto")
                .hide_default_value(true)
                .hide_possible_values(true),
        )
        .arg(Arg::new("no-cache").long("no-cache").action(ArgAction::SetTrue).help("Run every build step again"))
        .arg(Arg::new("code").short('e').value_name("CODE").help("Run a piece of Lua"))
        .arg(
            Arg::new("words")
                .value_name("FILE.lua")
                .num_args(0..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true)
                .help("A script and its arguments")
                .value_parser(clap::value_parser!(OsString)),
        )
}

fn run(matches: &ArgMatches) -> i32 {
    let words: Vec<String> =
        matches.get_many::<OsString>("words").into_iter().flatten().map(|w| w.to_string_lossy().into_owned()).collect();
    let code = matches.get_one::<String>("code").cloned();
    let program = match (code, words.first().map(String::as_str)) {
        (Some(code), _) => Program::Code(code),
        // A command wins over a file of that name, for which one can write `./run`.
        (None, Some("help")) => return help(matches, &words[1..]),
        (None, Some("init")) => return init(words.get(1).map(String::as_str)),
        (None, Some("-")) => Program::Stdin,
        (None, Some(_)) if names().find(&words.iter().map(String::as_str).collect::<Vec<_>>()).is_some() => {
            Program::Command(words.clone())
        }
        (None, Some(file)) if Path::new(file).is_file() => Program::File(file.into()),
        (None, Some(other)) => return unknown(other),
        (None, None) if std::io::stdin().is_terminal() => Program::Prompt,
        (None, None) => Program::Stdin,
    };
    let is_code = matches!(program, Program::Code(_));
    let mut arguments = words;
    if is_code || arguments.is_empty() {
        arguments.insert(0, "moonshell".into());
    }
    match start(matches, arguments).and_then(|(runtime, token)| {
        interrupt::install(token.clone()).os(|| "install signal handlers")?;
        Ok((runtime, token))
    }) {
        Ok((runtime, token)) => {
            let status = execute(&runtime, &token, program, matches.get_one::<String>("log").map(String::as_str));
            // Closing the state runs what finalizers are left.
            drop(runtime);
            status
        }
        Err(error) => fail(&Report::engine(&error)),
    }
}

fn start(matches: &ArgMatches, arguments: Vec<String>) -> Result<(Runtime, Cancel)> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let token = Cancel::new()?;
    let files = credentials::files(&variable);
    let login_file = files.first().cloned();
    let mode = progress::Mode::of(matches.get_one::<String>("progress").map_or("auto", String::as_str));
    let progress = Arc::new(progress::Switch::new(progress::sink(mode)));
    let epoch = match variable("SOURCE_DATE_EPOCH").map(|value| value.to_string_lossy().parse::<i64>()) {
        Some(Err(_)) => return Err(Error::invalid("SOURCE_DATE_EPOCH is not a number of seconds")),
        Some(Ok(seconds)) => Some(seconds),
        None => None,
    };
    let config = Config {
        credentials: Arc::new(move |host, repository| credentials::find(&files, host, repository)),
        proxies: proxies(&variable),
        source_date_epoch: epoch,
        use_cache: !matches.get_flag("no-cache"),
        progress: progress.clone(),
        ..Config::new(root(matches, &variable)?, "/proc/self/exe", token.clone())
    };
    let library_path = library_path(&variable);
    let options = Options { library_path, arguments, login_file, progress: Some(progress) };
    Ok((Runtime::new(config, options)?, token))
}

type Variable<'a> = &'a dyn Fn(&str) -> Option<OsString>;

fn data_home(variable: Variable) -> Option<PathBuf> {
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    variable("XDG_DATA_HOME").map(PathBuf::from).or_else(home)
}

/// The commands: those built in and those in the user's folder.
fn names() -> Names {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    Names::new(data_home(&variable).map(|home| home.join("moonshell/commands")))
}

fn root(matches: &ArgMatches, variable: Variable) -> Result<PathBuf> {
    let given = matches.get_one::<PathBuf>("root").cloned().or_else(|| variable("MOONSHELL_ROOT").map(PathBuf::from));
    if let Some(root) = given {
        return std::path::absolute(&root).os(|| format!("state folder {}", root.display()));
    }
    if rustix::process::geteuid().is_root() {
        return Ok("/var/lib/moonshell".into());
    }
    let none = || Error::invalid("no place for the state folder").with_hint("give --root DIR or set HOME");
    Ok(data_home(variable).ok_or_else(none)?.join("moonshell"))
}

fn proxies(variable: Variable) -> Proxies {
    // Lower case first, as curl does; an upper-case HTTP_PROXY is accepted because people expect it.
    let either = |lower: &str, upper: &str| {
        variable(lower).or_else(|| variable(upper)).map(|value| value.to_string_lossy().into_owned())
    };
    let all = either("all_proxy", "ALL_PROXY");
    Proxies {
        http: either("http_proxy", "HTTP_PROXY").or(all.clone()),
        https: either("https_proxy", "HTTPS_PROXY").or(all),
        no_proxy: either("no_proxy", "NO_PROXY"),
    }
}

fn library_path(variable: Variable) -> String {
    let mut templates = Vec::new();
    if let Some(path) = variable("MOONSHELL_PATH") {
        // A folder, or several with colons between them; a template (with `?`) is taken as it is.
        for part in path.to_string_lossy().split([':', ';']).filter(|part| !part.is_empty()) {
            if part.contains('?') {
                templates.push(part.to_string());
            } else {
                templates.extend([format!("{part}/?.lua"), format!("{part}/?/init.lua")]);
            }
        }
    }
    if let Some(folder) = data_home(variable).map(|home| home.join("moonshell/lib")) {
        let folder = folder.display();
        templates.extend([format!("{folder}/?.lua"), format!("{folder}/?/init.lua")]);
    }
    templates.join(";")
}

fn execute(runtime: &Runtime, token: &Cancel, program: Program, log: Option<&str>) -> i32 {
    let read_stdin = || {
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text).os(|| "read standard input").map(|_| text)
    };
    let (text, name) = match program {
        Program::Prompt => return repl::run(runtime, token, &prompt_settings(log)),
        Program::Command(words) => {
            let commands = match Commands::new(runtime, names()) {
                Ok(commands) => commands,
                Err(error) => return fail(&Report::engine(&error)),
            };
            return commands.run(&words, log == Some("debug")).unwrap_or_else(|| unknown(&words[0]));
        }
        Program::Code(code) => (Ok(code.into_bytes()), "=-e".to_string()),
        Program::Stdin => (read_stdin(), "=stdin".to_string()),
        Program::File(path) => {
            (std::fs::read(&path).os(|| format!("read {}", path.display())), format!("@{}", path.display()))
        }
    };
    let text = match text {
        Ok(text) => text,
        Err(error) => return fail(&Report::engine(&error)),
    };
    let shown = String::from_utf8_lossy(&text).into_owned();
    let source = |file: &str, line: usize| match file == &name[1..] {
        true => report::line_of_text(&shown, line),
        false => report::line_of_file(file, line),
    };
    let body = match runtime.compile(&text, &name) {
        Ok(body) => body,
        Err(error) => {
            let report = Report::syntax(&error, &name[1..]);
            report.print(&source);
            return report.status();
        }
    };
    finish(runtime, runtime_run(runtime, body), log == Some("debug"), &source)
}

fn prompt_settings(log: Option<&str>) -> repl::Settings {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = variable("XDG_STATE_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/state")));
    repl::Settings {
        history: state.map(|state| state.join("moonshell/history")),
        color: report::color(),
        names: names(),
        traceback: log == Some("debug"),
    }
}

fn runtime_run(runtime: &Runtime, body: mlua::Function) -> Result<Ending> {
    let arguments = runtime.lua().globals().get::<mlua::Table>("arg")?;
    let values: Vec<mlua::Value> = arguments.sequence_values().collect::<mlua::Result<_>>()?;
    let values = values.into_iter().map(|value| value.into_lua(runtime.lua())).collect::<mlua::Result<MultiValue>>()?;
    runtime.run(body, values)
}

fn finish(
    runtime: &Runtime,
    ending: Result<Ending>,
    traceback: bool,
    source: &dyn Fn(&str, usize) -> Option<String>,
) -> i32 {
    for text in runtime.take_close_errors() {
        report::warning(&format!("while closing: {text}"));
    }
    match ending {
        Ok(Ending::Finished(_)) => 0,
        Ok(Ending::Exited(code)) => code,
        Ok(Ending::Interrupted(signal)) => {
            Report { message: "interrupted".into(), ..Report::default() }.print(source);
            128 + signal
        }
        Ok(Ending::Failed(failure)) => {
            let report = Report::script(runtime, &failure, traceback);
            report.print(source);
            report.status()
        }
        Err(error) => fail(&Report::engine(&error)),
    }
}

fn fail(report: &Report) -> i32 {
    report.print(&report::line_of_file);
    report.status()
}

/// Commands that are no Lua modules.
const COMMANDS: &[&str] = &["help", "init"];

fn unknown(name: &str) -> i32 {
    if name.starts_with('-') {
        let parser = parser();
        let known: Vec<String> =
            parser.get_arguments().filter_map(|option| Some(format!("--{}", option.get_long()?))).collect();
        let near = nearest(name, known.iter().map(String::as_str).chain(["--help", "--version"]));
        let hint = near.map_or("`moonshell --help` lists them".into(), |near| format!("did you mean '{near}'?"));
        Report::usage(format!("unknown option '{name}'"), Some(hint)).print(&report::line_of_file);
        return report::USAGE;
    }
    let names = names();
    let commands: Vec<String> = names.all().into_iter().chain(names.groups()).collect();
    let hint = match nearest(name, commands.iter().map(String::as_str).chain(COMMANDS.iter().copied())) {
        Some(near) => format!("did you mean '{near}'?"),
        None => match scripts(name) {
            Some(file) => format!("did you mean '{file}'?"),
            None => "`moonshell --help` shows how it is used".into(),
        },
    };
    Report::usage(format!("no such file or command: '{name}'"), Some(hint)).print(&report::line_of_file);
    report::USAGE
}

/// A script of nearly that name, in the folder it was looked for.
fn scripts(name: &str) -> Option<String> {
    let path = Path::new(name);
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    let names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".lua"))
        .collect();
    let wanted = path.file_name()?.to_string_lossy();
    let with_ending = format!("{wanted}.lua");
    let exact = names.iter().find(|name| **name == with_ending).map(String::as_str);
    let found = exact.or_else(|| nearest(&wanted, names.iter().map(String::as_str)))?;
    Some(folder.map_or(found.to_string(), |folder| folder.join(found).display().to_string()))
}

/// `moonshell help`: of a command, of a function of the API, or of everything.
fn help(matches: &ArgMatches, words: &[String]) -> i32 {
    let api = Api::new();
    let Some(name) = words.first() else {
        say(&format!("{}\n{}", parser().render_help(), docs::overview(&api)));
        return with_commands(matches, |commands| commands.overview());
    };
    let list: Vec<&str> = words.iter().map(String::as_str).collect();
    let is_command = names().find(&list).is_some();
    let text = docs::help(&api, name);
    if let Some(text) = &text {
        say(text);
    }
    if is_command {
        if text.is_some() {
            say("\n");
        }
        return with_commands(matches, |commands| commands.help(words).unwrap_or(0));
    }
    if text.is_some() {
        return 0;
    }
    let (known, commands) = (docs::names(&api), names().all());
    let near = nearest(name, known.iter().chain(&commands).map(String::as_str));
    let hint = near.map(|near| format!("did you mean '{near}'?"));
    Report::usage(format!("no help for '{name}'"), hint).print(&report::line_of_file);
    report::USAGE
}

fn with_commands(matches: &ArgMatches, act: impl FnOnce(&Commands) -> i32) -> i32 {
    let status =
        start(matches, vec!["moonshell".into()]).and_then(|(runtime, _)| Ok(act(&Commands::new(&runtime, names())?)));
    // A reader that closes the pipe has seen enough.
    status
        .map(|status| if status == report::CLOSED { 0 } else { status })
        .unwrap_or_else(|error| fail(&Report::engine(&error)))
}

fn say(text: &str) {
    // A reader that closes the pipe has seen enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn init(folder: Option<&str>) -> i32 {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    match editor::init(Path::new(folder.unwrap_or(".")), data_home(&variable)) {
        Ok(path) => {
            say(&format!("wrote {}\n", path.display()));
            0
        }
        Err(error) => fail(&Report::engine(&error)),
    }
}
