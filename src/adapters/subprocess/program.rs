//! Asking a program of a few lines one thing, a JSON object a line on its stdin and stdout: `exec:` stores and sinks.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use super::child::{self, Ran};
use super::environment::{self, Kind};

/// The protocol's version, in every request.
const VERSION: u32 = 1;

/// A program as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecProgram {
    /// Itself and its arguments.
    pub words: Vec<String>,
    /// The folder that it is started in; rotator's own, where none is given.
    pub folder: Option<PathBuf>,
    /// The variables of rotator's environment that it is given beside those that every program gets.
    pub env: Vec<String>,
}

impl ExecProgram {
    /// Its words separated by blanks, started in rotator's own folder.
    #[must_use]
    pub fn of_words(words: &str) -> Self {
        Self { words: words.split_whitespace().map(str::to_owned).collect(), folder: None, env: Vec::new() }
    }

    /// What it is called in messages.
    #[must_use]
    pub fn called(&self) -> String {
        self.words.join(" ")
    }

    fn command(&self) -> Option<Command> {
        let (program, arguments) = self.words.split_first()?;
        let mut command = Command::new(program);
        command.args(arguments);
        self.folder.as_ref().map(|folder| command.current_dir(folder));
        environment::restrict(&mut command, Kind::Any, &self.env);
        Some(command)
    }
}

/// What came of a question.
pub(in crate::adapters) enum ProgramReply<L> {
    /// Every line of a program that ended well.
    Lines(Vec<L>),
    /// The program never ran.
    NotStarted(String),
    /// It said more than is read, and may have done anything.
    TooLarge(String),
    /// It may have done anything.
    Failed(String),
}

/// Starts the program (no shell) and asks it one thing.
pub(in crate::adapters) async fn ask<L>(program: &ExecProgram, limit: Duration, mut request: Value) -> ProgramReply<L>
where
    L: DeserializeOwned + Send + 'static,
{
    request["version"] = VERSION.into();
    let mut line = Zeroizing::new(request.to_string().into_bytes());
    line.push(b'\n');
    let started = program.clone();
    let told = tokio::task::spawn_blocking(move || talk(&started, &line, limit)).await;
    told.unwrap_or_else(|_| ProgramReply::Failed(format!("{} gave no answer", program.called())))
}

/// Starts the program, gives it the request and reads all that it says.
fn talk<L: DeserializeOwned>(program: &ExecProgram, request: &[u8], limit: Duration) -> ProgramReply<L> {
    let called = program.called();
    let Some(mut command) = program.command() else {
        return ProgramReply::NotStarted("exec: names no program".to_owned());
    };
    match child::run(&mut command, request, limit) {
        Ran::Ended { status, said } if status.success() => parse(&called, &said),
        Ran::Ended { .. } => ProgramReply::Failed(format!("{called} failed; run it by hand to see what it says")),
        Ran::NotStarted(error) => ProgramReply::NotStarted(format!("{called} could not be started: {error}")),
        Ran::TooLarge => {
            let most = child::LARGEST / (1024 * 1024);
            ProgramReply::TooLarge(format!(
                "{called} says more than {most} MiB, and rotator reads no more of one answer"
            ))
        }
        Ran::Killed => ProgramReply::Failed(format!("{called} did not answer within {} s", limit.as_secs())),
    }
}

fn parse<L: DeserializeOwned>(called: &str, bytes: &[u8]) -> ProgramReply<L> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let lines: Result<Vec<L>, _> = lines.map(serde_json::from_slice).collect();
    lines.map_or_else(
        |_| ProgramReply::Failed(format!("{called} says what is no JSON object on a line")),
        ProgramReply::Lines,
    )
}
