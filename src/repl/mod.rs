//! The prompt: reads a line, runs it as a program of its own, shows its values.

pub mod complete;
pub mod highlight;
mod lexer;
mod session;
pub mod show;

use std::borrow::Cow;
use std::io::Write;
use std::path::PathBuf;

use mlua::{MultiValue, Table, Value};
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::history::{FileHistory, History};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{ColorMode, CompletionType, Config, Context, Editor, Helper, Hinter};

use crate::commands::Commands;
use crate::commands::names::Names;
use crate::engine::cancel::Cancel;
use crate::engine::suggest::nearest;
use crate::report::{self, Report};
use crate::runtime::{Ending, Runtime, interrupt};
use complete::Completer;
use session::Line;

const PROMPT: &str = "moonshell> ";
const HISTORY: usize = 10_000;

#[derive(Helper, Hinter)]
struct Assistant {
    completer: Completer,
    color: bool,
}

impl rustyline::completion::Completer for Assistant {
    type Candidate = String;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.completer.complete(line, cursor))
    }
}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if self.color { Cow::Owned(highlight::paint(line)) } else { Cow::Borrowed(line) }
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        self.color && kind != CmdKind::MoveCursor
    }
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input();
        if asks_for_help(text).is_some() || command(text).is_some() {
            return Ok(ValidationResult::Valid(None));
        }
        Ok(match session::compile(&self.completer.lua, &self.completer.variables, text) {
            Line::Incomplete => ValidationResult::Incomplete,
            _ => ValidationResult::Valid(None),
        })
    }
}

/// Where and how the prompt works.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Keeps what was typed.
    pub history: Option<PathBuf>,
    /// Whether to use colours.
    pub color: bool,
    /// The commands.
    pub names: Names,
    /// Whether errors of commands show the call stack.
    pub traceback: bool,
}

/// Runs the prompt until Ctrl-D or `os.exit`; returns the exit status.
pub fn run(runtime: &Runtime, token: &Cancel, settings: &Settings) -> i32 {
    match Prompt::new(runtime, token, settings) {
        Ok(mut prompt) => prompt.read_lines(),
        Err(error) => {
            let report = Report::usage(format!("cannot use the terminal: {error}"), None);
            report.print(&report::line_of_file);
            report.status()
        }
    }
}

struct Prompt<'a> {
    runtime: &'a Runtime,
    token: &'a Cancel,
    variables: Table,
    editor: Editor<Assistant, FileHistory>,
    history: Option<PathBuf>,
    commands: Commands<'a>,
    traceback: bool,
}

impl<'a> Prompt<'a> {
    fn new(runtime: &'a Runtime, token: &'a Cancel, settings: &Settings) -> rustyline::Result<Prompt<'a>> {
        let variables = session::environment(runtime.lua()).map_err(|e| std::io::Error::other(e.to_string()))?;
        let config = Config::builder()
            .max_history_size(HISTORY)?
            .history_ignore_dups(true)?
            .completion_type(CompletionType::List)
            .auto_add_history(false)
            .build();
        let mut editor = Editor::with_history(config.clone(), FileHistory::with_config(&config))?;
        editor.set_color_mode(if settings.color { ColorMode::Enabled } else { ColorMode::Disabled });
        let context = runtime.context();
        // Completion must not make a state folder.
        let looked = context.clone();
        let containers = move || match looked.config().root.is_dir() {
            true => looked.engine().and_then(|engine| engine.container_list()).map_or(Vec::new(), |containers| {
                containers.into_iter().map(|container| container.record.name).collect()
            }),
            false => Vec::new(),
        };
        let images = move || match context.config().root.is_dir() {
            true => context.engine().and_then(|engine| engine.image_list()).map_or(Vec::new(), |images| {
                images.iter().flat_map(|image| image.names.iter().map(|name| name.familiar())).collect()
            }),
            false => Vec::new(),
        };
        let (lua, api) = (runtime.lua().clone(), runtime.api().clone());
        let names = settings.names.clone();
        let commands = Box::new(move || names.all().into_iter().chain(names.groups()).collect());
        let (images, containers) = (Box::new(images), Box::new(containers));
        let completer = Completer { lua, variables: variables.clone(), api, commands, images, containers };
        editor.set_helper(Some(Assistant { completer, color: settings.color }));
        if let Some(file) = &settings.history {
            // The first time there is none, and an unreadable one is no reason not to start.
            let _ = file.parent().map(std::fs::create_dir_all);
            let _ = editor.load_history(file);
        }
        let commands = Commands::new(runtime, settings.names.clone());
        let commands = commands.map_err(|e| std::io::Error::other(e.to_string()))?;
        let (history, traceback) = (settings.history.clone(), settings.traceback);
        Ok(Prompt { runtime, token, variables, editor, history, commands, traceback })
    }

    fn read_lines(&mut self) -> i32 {
        say(&format!("moonshell {}, Lua 5.4. help() explains, Tab completes, Ctrl-D ends.", env!("CARGO_PKG_VERSION")));
        interrupt::prompt();
        loop {
            interrupt::waits_for_input(true);
            let line = self.editor.readline(PROMPT);
            interrupt::waits_for_input(false);
            interrupt::reset(self.token);
            match line {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => {
                    self.remember(&text);
                    if let Some(status) = self.line(&text) {
                        return status;
                    }
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return 0,
                Err(error) => {
                    Report::usage(format!("cannot read the terminal: {error}"), None).print(&report::line_of_file);
                    return report::FAILURE;
                }
            }
        }
    }

    fn remember(&mut self, text: &str) {
        // A history that cannot be written is only missed later.
        let _ = self.editor.add_history_entry(text);
        if let Some(file) = &self.history
            && !self.editor.history().is_empty()
        {
            let _ = self.editor.append_history(file);
        }
    }

    /// Runs a line; the exit status when it ends the session.
    fn line(&mut self, text: &str) -> Option<i32> {
        if let Some(text) = command(text) {
            return self.command(text);
        }
        let question = asks_for_help(text).map(|name| match name.contains(':') {
            true => format!("help(\"{name}\")"),
            false => format!("help({name})"),
        });
        let text = question.as_deref().unwrap_or(text);
        let (body, shown) = match session::compile(self.runtime.lua(), &self.variables, text) {
            Line::Expression(body) => (body, true),
            Line::Statement(body) => (body, false),
            Line::Incomplete => return None,
            Line::Wrong(error) => {
                self.print(&Report::syntax(&error, "prompt"), text);
                return None;
            }
        };
        let ending = self.runtime.run(body, MultiValue::new());
        for text in self.runtime.take_close_errors() {
            report::warning(&format!("while closing: {text}"));
        }
        match ending {
            Ok(Ending::Finished(values)) if shown => self.show(text, values),
            Ok(Ending::Finished(_)) => {}
            Ok(Ending::Exited(status)) => return Some(status),
            Ok(Ending::Interrupted(signal)) if signal == signal_hook::consts::SIGTERM => return Some(128 + signal),
            Ok(Ending::Interrupted(_)) => {
                self.print(&Report { message: "interrupted".into(), ..Report::default() }, text);
            }
            Ok(Ending::Failed(failure)) => self.print(&Report::script(self.runtime, &failure, false), text),
            Err(error) => self.print(&Report::engine(&error), text),
        }
        None
    }

    /// Runs a command; the exit status when it ends the session.
    fn command(&mut self, text: &str) -> Option<i32> {
        let Some(words) = shlex::split(text) else {
            let report = Report::usage("a quotation mark is not closed", None);
            report.print(&report::line_of_file);
            return None;
        };
        let known = words.is_empty() || self.commands.run(&words, self.traceback).is_some();
        if !known {
            let names = self.commands.names().all();
            let near = nearest(&words[0], names.iter().map(String::as_str));
            let hint = near.map_or("`moonshell help` lists them".into(), |near| format!("did you mean ':{near}'?"));
            Report::usage(format!("no such command '{}'", words[0]), Some(hint)).print(&report::line_of_file);
        }
        interrupt::signal().filter(|signal| *signal == signal_hook::consts::SIGTERM).map(|signal| 128 + signal)
    }

    fn print(&self, report: &Report, text: &str) {
        report.print(&|file, line| match file {
            "prompt" => report::line_of_text(text, line).filter(|_| text.contains('\n')),
            _ => report::line_of_file(file, line),
        });
    }

    fn show(&self, text: &str, values: MultiValue) {
        let called = text.trim_end().ends_with([')', '"', '\'', '}', ']']);
        let silent = values.is_empty() || (called && values.len() == 1 && values[0].is_nil());
        if silent {
            return;
        }
        for value in &values {
            say(&show::show(self.runtime, value));
        }
        // A failure here can only mean that memory is short, which the next line will tell.
        let _ = self.variables.raw_set("_", values.front().cloned().unwrap_or(Value::Nil));
    }
}

/// `name?` asks for help about a name.
fn asks_for_help(text: &str) -> Option<&str> {
    let name = text.trim().strip_suffix('?')?.trim_end();
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':');
    (!name.is_empty() && name.chars().all(word)).then_some(name)
}

/// `:ps -a` is a command; `::name::` is a label of Lua.
fn command(text: &str) -> Option<&str> {
    text.trim().strip_prefix(':').filter(|rest| !rest.starts_with(':'))
}

fn say(text: &str) {
    let mut out = std::io::stdout();
    // A closed terminal ends the session at the next line.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
