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

/// A program's words are cut off here.
const MOST_WORDS: usize = 300;

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

/// Words of another program: printable, and not too many.
pub(in crate::adapters) fn plain(words: &str) -> String {
    words.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(MOST_WORDS).collect()
}

/// So many characters of what a program was given are a part of it.
const A_PART: usize = 8;

/// A program's words, unless they quote a part of what it was given.
pub(in crate::adapters) fn without(words: Option<String>, given: Option<&str>) -> String {
    let words = plain(&words.unwrap_or_default());
    let given = given.unwrap_or_default().as_bytes();
    let quotes = words.as_bytes().windows(A_PART).any(|part| memchr::memmem::find(given, part).is_some());
    if quotes { "its error quotes what it was given, and is not shown".to_owned() } else { words }
}

/// What came of a question.
pub(in crate::adapters) enum Told<L> {
    /// Every line of a program that ended well.
    Lines(Vec<L>),
    /// The program never ran.
    NotStarted(String),
    /// It may have done anything.
    Failed(String),
}

/// Starts the program (no shell) and asks it one thing.
pub(in crate::adapters) async fn ask<L>(program: &ExecProgram, limit: Duration, mut request: Value) -> Told<L>
where
    L: DeserializeOwned + Send + 'static,
{
    request["version"] = VERSION.into();
    let mut line = Zeroizing::new(request.to_string().into_bytes());
    line.push(b'\n');
    let started = program.clone();
    let told = tokio::task::spawn_blocking(move || talk(&started, &line, limit)).await;
    told.unwrap_or_else(|_| Told::Failed(format!("{} gave no answer", program.called())))
}

/// Starts the program, gives it the request and reads all that it says.
fn talk<L: DeserializeOwned>(program: &ExecProgram, request: &[u8], limit: Duration) -> Told<L> {
    let called = program.called();
    let Some(mut command) = program.command() else {
        return Told::NotStarted("exec: names no program".to_owned());
    };
    match child::run(&mut command, request, limit) {
        Ran::Ended { status, said } if status.success() => parse(&called, &said),
        Ran::Ended { .. } => Told::Failed(format!("{called} failed; run it by hand to see what it says")),
        Ran::NotStarted(error) => Told::NotStarted(format!("{called} could not be started: {error}")),
        Ran::Killed => Told::Failed(format!("{called} did not answer within {} s", limit.as_secs())),
    }
}

fn parse<L: DeserializeOwned>(called: &str, bytes: &[u8]) -> Told<L> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let lines: Result<Vec<L>, _> = lines.map(serde_json::from_slice).collect();
    lines.map_or_else(|_| Told::Failed(format!("{called} says what is no JSON object on a line")), Told::Lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_quote_a_part_of_what_was_given_are_not_shown() {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKE";
        let told = |words: &str| without(Some(words.to_owned()), Some(secret));
        assert_eq!(told("the quota is used up"), "the quota is used up");
        assert_eq!(told(&secret[..7]), secret[..7]);
        for words in
            [secret.to_owned(), format!("no to {} {}", &secret[..20], &secret[20..]), secret[11..19].to_owned()]
        {
            assert_eq!(told(&words), "its error quotes what it was given, and is not shown");
        }
        assert_eq!(without(None, Some(secret)), "");
        assert_eq!(without(Some("anything\u{7}".to_owned()), None), "anything ");
    }
}
