//! Plays a scene: the real binary in a folder of its own, on a fixed day, and what each command prints.

use std::process::Command;
use std::time::Duration;

use rotator::sandbox::KeyStatus;
use serde_json::Value;

use super::super::bench::{Bench, Ended};
use crate::support::faketime;

/// The day of each scene. The width of a date depends on the day, and with it where a line is folded.
const BEGIN: &str = "2040-01-16T10:00:00Z";

/// How a scene is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Columns80,
    Columns40,
    Json,
}

impl Form {
    pub(super) const ALL: [Self; 3] = [Self::Columns80, Self::Columns40, Self::Json];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Columns80 => "80",
            Self::Columns40 => "40",
            Self::Json => "json",
        }
    }

    fn columns(self) -> Option<usize> {
        match self {
            Self::Columns80 => Some(80),
            Self::Columns40 => Some(40),
            Self::Json => None,
        }
    }
}

/// One command of a scene, and what it printed.
pub(super) struct Step {
    pub(super) line: String,
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Step {
    /// The coloured parts, each with the number of its colour.
    pub(super) fn painted(&self) -> Vec<(String, String)> {
        let both = format!("{}{}", self.stdout, self.stderr);
        let parts = both.split("\u{1b}[").skip(1).filter_map(|part| part.split_once('m'));
        let parts = parts.filter(|(code, text)| *code != "0" && !text.trim().is_empty());
        parts.map(|(code, text)| (code.to_owned(), text.trim_end().replace('\n', "⏎"))).collect()
    }
}

/// The text without the codes of its colours.
pub(super) fn uncoloured(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest))
}

/// A scene that is being played.
pub(super) struct Play {
    pub(super) bench: Bench,
    form: Form,
    is_coloured: bool,
    /// Whether the variable that names the stores is set.
    pub(super) names_store: bool,
    /// The time of the machine. It is not in the folder, where `init` would look at it.
    clock: tempfile::NamedTempFile,
    steps: Vec<Step>,
    secrets: Vec<String>,
}

impl Play {
    /// Plays a scene to its end.
    pub(super) fn of(scene: fn(&mut Self), form: Form, is_coloured: bool) -> Vec<Step> {
        // The length of the path decides where a line is folded.
        let folder = tempfile::Builder::new().prefix("rotator-").rand_bytes(6).tempdir_in("/tmp").expect("a folder");
        let bench = Bench::in_folder(folder);
        let begin: jiff::Timestamp = BEGIN.parse().expect("a time");
        let until = begin.as_second() - bench.sandbox.now().as_second();
        bench.sandbox.advance(Duration::from_secs(until.try_into().expect("the day is in the future")));
        let clock = tempfile::NamedTempFile::new().expect("a file");
        let secrets = vec![bench.sandbox.admin().secret.expose().to_owned()];
        let mut play = Self { bench, form, is_coloured, names_store: true, clock, steps: Vec::new(), secrets };
        scene(&mut play);
        play.ended()
    }

    pub(super) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// A user whose key is 100 days old and was used: the id and the secret.
    pub(super) fn user(&mut self, user: &str) -> (String, String) {
        let sandbox = &self.bench.sandbox;
        sandbox.add_user(user).expect("a user");
        let key = sandbox.create_key(user).expect("a key");
        let (id, secret) = (key.id.to_string(), key.secret.expose().to_owned());
        sandbox.delete_key(user, &id).expect("deleted");
        let created = sandbox.now() - jiff::SignedDuration::from_hours(100 * 24);
        sandbox.add_key(user, &id, &secret, KeyStatus::Active, Some(created)).expect("added");
        sandbox.use_key(&id).expect("used");
        self.secrets.push(secret.clone());
        (id, secret)
    }

    /// As [`Self::user`], with the pair in the embedded store.
    pub(super) fn user_with_entries(&mut self, user: &str) -> (String, String) {
        let pair = self.user(user);
        let entries = serde_json::json!({
            format!("{user}/AWS_ACCESS_KEY_ID"): pair.0,
            format!("{user}/AWS_SECRET_ACCESS_KEY"): pair.1,
        });
        self.bench.run_with(&["store", "import", "-"], &entries.to_string()).code(0);
        pair
    }

    /// Lets time pass, for AWS and for rotator.
    pub(super) fn pass(&self, hours: u64) {
        self.bench.sandbox.advance(Duration::from_secs(hours * 3600));
    }

    fn command(&self, args: &[&str]) -> Command {
        let now = self.bench.sandbox.now().to_string();
        let now = now.split(['.', 'Z']).next().unwrap_or_default().replace('T', " ");
        std::fs::write(self.clock.path(), format!("@{now}\n")).expect("written");
        let mut command = self.bench.command(args);
        command.envs(faketime::environment(self.clock.path())).env("TZ", "UTC");
        if let Some(columns) = self.form.columns() {
            command.env("COLUMNS", columns.to_string());
        }
        if self.is_coloured {
            command.env("CLICOLOR_FORCE", "1");
        }
        if !self.names_store {
            command.env_remove("ROTATOR_STORE");
        }
        command
    }

    /// Runs a command that has a JSON document, and shows it.
    pub(super) fn shows(&mut self, code: i32, args: &[&str]) {
        if self.is_json() {
            self.runs(code, &[args, &["--output", "json"]].concat());
        } else {
            self.runs(code, args);
        }
    }

    /// Runs a command that has text alone, and shows the text.
    pub(super) fn tells(&mut self, code: i32, args: &[&str]) {
        if self.is_json() {
            self.does(code, args);
        } else {
            self.runs(code, args);
        }
    }

    /// Runs a command, and shows nothing.
    pub(super) fn does(&self, code: i32, args: &[&str]) {
        Ended::from(self.command(args).output().expect("it starts")).code(code);
    }

    fn runs(&mut self, code: i32, args: &[&str]) {
        let ended = Ended::from(self.command(args).output().expect("it starts")).code(code);
        let line = format!("rotator {}", args.join(" "));
        self.check(&line, &ended);
        let ended = if self.is_json() { Ended { stdout: sorted(&ended.stdout), ..ended } } else { ended };
        self.steps.push(Step { line, code: ended.code, stdout: ended.stdout, stderr: ended.stderr });
    }

    /// Nothing that is printed has a secret, and each line fits.
    #[track_caller]
    fn check(&self, line: &str, ended: &Ended) {
        for text in [&ended.stdout, &ended.stderr] {
            let known = self.secrets.iter().any(|secret| text.contains(secret));
            assert!(!known && !looks_like_a_secret(text), "a secret is printed by `{line}`");
            // `wide` has the whole ids.
            let is_document = text.starts_with(['{', '[']) || line.contains(" schema ") || line.ends_with(" wide");
            if let Some(columns) = self.form.columns().filter(|_| !is_document) {
                let wide = too_wide(&uncoloured(text), columns);
                assert!(
                    std::env::var_os("LENIENT").is_some() || wide.is_none(),
                    "`{line}` is wider than {columns} columns: {}\nin:\n{text}",
                    wide.unwrap_or_default()
                );
            }
        }
    }

    /// The steps, with ids, the folder and the port as they are in the files.
    fn ended(self) -> Vec<Step> {
        let folder = self.bench.path("").display().to_string();
        let folder = folder.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let port = self.bench.sandbox.endpoint_url();
        let mut ids: Vec<String> = Vec::new();
        for step in &self.steps {
            words(&format!("{}\n{}\n{}", step.line, step.stdout, step.stderr), |word| {
                if (is_key(word) || is_uuid(word)) && !ids.iter().any(|id| id == word) {
                    ids.push(word.to_owned());
                }
                None
            });
        }
        let plain = |text: &str| {
            let text = text.replace(folder, "rotator-folder").replace(&port, "http://127.0.0.1:43210");
            words(&text, |word| numbered(word, &ids))
        };
        let steps = self.steps.into_iter();
        let steps = steps.map(|Step { line, code, stdout, stderr }| Step {
            line: plain(&line),
            code,
            stdout: plain(&without_duration(&stdout)),
            stderr: plain(&stderr),
        });
        steps.collect()
    }
}

/// The text without how long the command took: its length decides where the line is folded.
fn without_duration(text: &str) -> String {
    let is_duration = |part: &str| part.ends_with(" s)") && part.starts_with(|letter: char| letter.is_ascii_digit());
    let line = |line: &str| match line.rsplit_once('(').filter(|(_, part)| is_duration(part)) {
        Some((before, _)) if before.trim().is_empty() => String::new(),
        Some((before, _)) => before.trim_end().to_owned() + "\n",
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// The JSON document with the keys and rotations of a list by user. Their order in a document is that of random ids.
fn sorted(document: &str) -> String {
    let Ok(mut document) = serde_json::from_str::<Value>(document) else { return document.to_owned() };
    for list in ["rotations", "skipped", "due"] {
        if let Some(Value::Array(list)) = document.get_mut(list) {
            list.sort_by_key(|one| one["user"].to_string());
        }
    }
    format!("{document:#}\n")
}

/// The text with other words where `change` returns one.
fn words(text: &str, mut change: impl FnMut(&str) -> Option<String>) -> String {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(is_part) {
        out.push_str(&rest[..at]);
        let end = rest[at..].find(|letter| !is_part(letter)).map_or(rest.len(), |end| at + end);
        let word = &rest[at..end];
        out.push_str(change(word).as_deref().unwrap_or(word));
        rest = &rest[end..];
    }
    out + rest
}

/// The id with its number in place of what is random in it; of a part of an id, which a narrow table has, that part.
fn numbered(word: &str, ids: &[String]) -> Option<String> {
    let plain = |number: usize| {
        if is_key(&ids[number]) {
            format!("AKIAEXAMPLE{number:09}")
        } else {
            format!("00000000-0000-7000-8000-{number:012}")
        }
    };
    if let Some(number) = ids.iter().position(|id| id == word) {
        return Some(plain(number));
    }
    let is_part = word.len() >= 4 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let mut found = ids.iter().enumerate().filter(|(_, id)| is_part && is_key(id));
    found.find_map(|(number, id)| id.find(word).map(|at| plain(number)[at..at + word.len()].to_owned()))
}

fn is_key(word: &str) -> bool {
    word.len() == 20 && word.starts_with("AKIA")
}

fn is_uuid(word: &str) -> bool {
    let parts: Vec<usize> = word.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// Whether the text has forty letters in a row as a secret has them, and no digest.
pub(super) fn looks_like_a_secret(text: &str) -> bool {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && !"/+".contains(letter));
    words.filter(|word| word.len() == 40).any(|word| {
        let has = |kind: fn(&u8) -> bool| word.as_bytes().iter().any(kind);
        has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase)
    })
}

/// The first line that is wider, although it could be folded: it is no command, no link and no word that is
/// wider than that.
pub(super) fn too_wide(text: &str, columns: usize) -> Option<String> {
    text.lines()
        .find(|line| {
            let words = line.trim();
            let is_command = ["aws ", "rotator ", "(aws ", "(rotator ", "printf ", "curl ", "-d '", "see docs/"]
                .iter()
                .any(|one| words.starts_with(one));
            // A command between backticks, with at most a word before it.
            let outside: String = words.split('`').step_by(2).collect();
            let is_quoted = words.contains('`') && outside.trim().len() < 12;
            // A log is for a file.
            let is_logged = [" WARN ", " ERROR "].iter().any(|level| words.contains(level)) && words.starts_with("20");
            let indent = line.len() - line.trim_start().len();
            let longest = words.split(' ').map(|word| word.chars().count()).max().unwrap_or_default();
            let is_wide = line.chars().count() > columns && indent + 2 + longest <= columns && words.contains(' ');
            is_wide && !is_command && !is_quoted && !is_logged
        })
        .map(str::to_owned)
}
