//! The protocol of `exec:` stores and sinks: one JSON object per line on stdin and stdout.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use super::child::{self, Ran};
use super::environment::{self, Kind};

/// The version of the protocol, in every request.
const VERSION: u32 = 1;

/// A configured program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecProgram {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// The working directory of the program; by default that of rotator.
    pub folder: Option<PathBuf>,
    /// The variables that the program gets in addition to the standard list.
    pub env: Vec<String>,
}

impl ExecProgram {
    /// A program from words separated by blanks, with rotator's working directory.
    #[must_use]
    pub fn of_words(words: &str) -> Self {
        Self { words: words.split_whitespace().map(str::to_owned).collect(), folder: None, env: Vec::new() }
    }

    /// The name of the program in messages.
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

/// The result of a request.
pub(in crate::adapters) enum ProgramReply<L> {
    /// Every line of a program that ended with success.
    Lines(Vec<L>),
    /// The program was not started.
    NotStarted(String),
    /// The output was too large; the program may have done anything.
    TooLarge(String),
    /// The program failed, and may have done anything.
    Failed(String),
}

/// Starts the program, without a shell, and sends it one request.
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

/// Starts the program, writes the request and reads the whole output.
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
        |_| ProgramReply::Failed(format!("{called} printed a line that is not a JSON object")),
        ProgramReply::Lines,
    )
}
