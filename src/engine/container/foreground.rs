//! `container.run`: an image's program in the foreground, from start to end.

use std::path::PathBuf;

use super::super::Engine;
use super::super::build::State;
use super::super::error::{Error, ExitDetail, Kind, Result};
use super::super::host::RunResult;
use super::super::image::config::RunConfig;
use super::super::image::{Image, Policy, PullOptions};
use super::options::{Command, Options};
use super::run::Base;
use super::streams::{Ending, OutputSink, Stream};

/// How much output an error carries, in bytes.
const TAIL_BYTES: usize = 4 << 10;

/// What a container is made from.
#[derive(Debug, Clone)]
pub enum Target {
    /// A name or id; a name that is not here is pulled.
    Name(String),
    /// An image of the store.
    Image(Box<Image>),
    /// A state of a build.
    State(State),
}

/// How to treat a foreground container's output and end.
#[derive(Debug, Clone, Copy)]
pub struct Foreground {
    /// Keep the output for the result instead of passing it on.
    pub capture: bool,
    /// Make a status other than zero an error.
    pub check: bool,
    /// When to ask the registry for a name.
    pub pull: Policy,
}

impl Engine {
    /// Finds an image by name or id, and pulls it where the policy says so.
    ///
    /// # Errors
    /// `not_found`; those of a pull.
    pub fn image_resolve(&self, name: &str, policy: Policy) -> Result<Image> {
        if policy != Policy::Always
            && let Some(image) = self.image_get(name)?
        {
            return Ok(image);
        }
        let reference = name.parse()?;
        self.image_pull(&reference, &PullOptions { policy, ..PullOptions::default() })
    }

    /// Runs a program in the foreground. `pass` receives output that is not captured.
    ///
    /// # Errors
    /// `exit` with code and last output when it fails and `check` is set; as [`Engine::run_once`] otherwise.
    pub fn container_run(
        &self,
        target: &Target,
        command: Option<&Command>,
        options: &Options,
        how: Foreground,
        pass: &mut OutputSink<'_>,
    ) -> Result<RunResult> {
        let (lowers, config) = self.resolve_target(target, how.pull)?;
        let mut result = RunResult { exit_code: 0, stdout: Vec::new(), stderr: Vec::new() };
        let mut tail = Vec::new();
        let ending =
            self.run_once(Base { lowers: &lowers, config: &config }, command, options, &mut |stream, bytes| {
                tail.extend_from_slice(bytes);
                let excess = tail.len().saturating_sub(TAIL_BYTES);
                tail.drain(..excess);
                match (how.capture, stream) {
                    (true, Stream::Out) => result.stdout.extend_from_slice(bytes),
                    (true, Stream::Err) => result.stderr.extend_from_slice(bytes),
                    (false, _) => pass(stream, bytes)?,
                }
                Ok(())
            });
        match ending {
            Ok(ending) if ending.code != 0 && how.check => Err(failure(command, ending, &tail)),
            Ok(ending) => {
                result.exit_code = ending.code;
                Ok(result)
            }
            // A program that cannot be executed has a status too, for those who look at statuses themselves.
            Err(error) => match error.exit().map(|exit| exit.code) {
                Some(code) if !how.check => {
                    let message = format!("{}\n", error.message());
                    if how.capture {
                        result.stderr.extend_from_slice(message.as_bytes());
                    } else {
                        pass(Stream::Err, message.as_bytes())?;
                    }
                    result.exit_code = code;
                    Ok(result)
                }
                _ => Err(error),
            },
        }
    }

    fn resolve_target(&self, target: &Target, policy: Policy) -> Result<(Vec<PathBuf>, RunConfig)> {
        let image = match target {
            Target::State(state) => return Ok((state.ready_lowers(self)?, state.config().config.clone())),
            Target::Image(image) => image.as_ref().clone(),
            Target::Name(name) => self.image_resolve(name, policy)?,
        };
        Ok((self.image_lowers(&image)?, image.config.config))
    }
}

fn failure(command: Option<&Command>, ending: Ending, tail: &[u8]) -> Error {
    let what = command.map_or("the image's command".into(), |command| format!("command '{}'", command.display()));
    Error::new(Kind::Exit, format!("{what} {ending}"))
        .with_exit(ExitDetail { code: ending.code, stderr: String::from_utf8_lossy(tail).into_owned() })
}
