//! The `sops` program: its commands and its exit codes. Values are passed through pipes only. The program gets the
//! environment variables that decryption may need, including AWS credentials.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use zeroize::Zeroizing;

use super::copy::Copy;
use super::format::{Change, Format};
use crate::adapters::subprocess::child::{self, Ran};
use crate::adapters::subprocess::environment::{self, Kind};
use crate::types::secret::SecretValue;
use crate::types::shell::operand;

/// The first version that takes a value on stdin.
const LEAST: (u32, u32) = (3, 11);

/// The file with the settings for writing documents, and the variable for another path.
const CONFIG: &str = ".sops.yaml";
const CONFIG_VARIABLE: &str = "SOPS_CONFIG";

/// The recipient of a document in which nothing is encrypted, since sops requires one. No private key for it is kept.
const NOBODY: &str = "age1twa22en0667nrclpvqn788sg063fyxgylur2ssrd3reh9489cfqqs4l8pr";

/// Why a command failed. It quotes nothing of the input or the output.
#[derive(Debug, thiserror::Error)]
pub(super) enum SopsError {
    /// The program was not started.
    #[error("sops could not be started: {0}")]
    NotStarted(std::io::Error),
    /// The program was killed at its time-out.
    #[error("sops did not end within {} s", limit.as_secs())]
    Late { limit: Duration },
    /// The program ended with an exit code.
    #[error("{} (sops ended with {code}; run `sops {verb} {}` to see what it says)", meaning(*code), operand(file))]
    Code {
        /// The command.
        verb: &'static str,
        file: PathBuf,
        code: i32,
    },
    /// The program was killed because of too much output.
    #[error("sops prints more than {} MiB for {}, and rotator reads no more", child::LARGEST / (1024 * 1024), file.display())]
    TooLarge { file: PathBuf },
    /// A signal ended the program.
    #[error("sops was killed by a signal")]
    Signal,
    /// The output is not valid.
    #[error("the output of sops is not valid")]
    Answer,
}

/// The meaning of an exit code, from the documentation of sops.
fn meaning(code: i32) -> &'static str {
    match code {
        3 => "the file could not be written",
        24 | 25 => "a value of it cannot be decrypted: it was changed by something else than sops",
        51 => "its checksum (MAC) is another: it was changed by something else than sops",
        52 => "it has no checksum (MAC)",
        128 => "no key that it is encrypted for could be used",
        _ => "sops cannot take it for a document of its own",
    }
}

/// Why the program cannot be used. Each message follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum SopsProgramError {
    /// The program cannot be started.
    #[error("start `{program}`: {source}")]
    NotStarted { program: String, source: std::io::Error },
    /// The program does not report a version.
    #[error("find the version of `{program}`: it does not report one")]
    NoVersion { program: String },
    /// The program is too old.
    #[error("use sops {found}: it does not take a value on stdin; install {}.{} or a later version", LEAST.0, LEAST.1)]
    Old {
        /// The reported version.
        found: String,
    },
}

/// The program and its time-out.
pub(super) struct Sops {
    program: String,
    /// The variables that the program gets in addition to those for every `sops`.
    env: Vec<String>,
    limit: Duration,
}

impl Sops {
    /// Asks the program for its version.
    pub(super) fn find(program: &str, env: Vec<String>, limit: Duration) -> Result<Self, SopsProgramError> {
        let mut command = Command::new(program);
        environment::restrict(&mut command, Kind::Any, &[]);
        command.args(["--disable-version-check", "--version"]);
        let no_version = || SopsProgramError::NoVersion { program: program.to_owned() };
        let said = match child::run(&mut command, &[], limit) {
            Ran::Ended { status, said } if status.success() => said,
            Ran::Ended { .. } | Ran::Killed | Ran::TooLarge => return Err(no_version()),
            Ran::NotStarted(source) => {
                return Err(SopsProgramError::NotStarted { program: program.to_owned(), source });
            }
        };
        let said = std::str::from_utf8(&said).map_err(|_| no_version())?;
        let found =
            said.strip_prefix("sops ").and_then(|rest| rest.split_whitespace().next()).ok_or_else(no_version)?;
        if version(found).ok_or_else(no_version)? < LEAST {
            let is_of_a_version = |letter: &char| letter.is_ascii_digit() || *letter == '.';
            return Err(SopsProgramError::Old { found: found.chars().take_while(is_of_a_version).collect() });
        }
        Ok(Self { program: program.to_owned(), env, limit })
    }

    /// Decrypts the bytes of `file`, in the format of the file.
    pub(super) fn decrypt(&self, file: &Path, format: Format, encrypted: &[u8]) -> Result<SecretValue, SopsError> {
        let mut command = self.at(file);
        command.args(["decrypt", "--input-type", format.word(), "--output-type", format.word()]);
        let said = self.ask(&mut command, "decrypt", file, encrypted)?;
        Ok(SecretValue::new(said.to_vec()))
    }

    /// Changes one text in `copy`, a copy of the encrypted `file`.
    pub(super) fn set(&self, copy: &Copy, file: &Path, format: Format, change: &Change) -> Result<(), SopsError> {
        let value = serde_json::to_string(change.text.as_str()).map_err(|_| SopsError::Answer)?;
        let value = Zeroizing::new(value);
        let mut command = self.at(file);
        command.args(["set", "--input-type", format.word(), "--output-type", format.word(), "--value-stdin"]);
        let copy = copy.give_to(&mut command);
        command.arg(copy).arg(&change.index);
        self.ask(&mut command, "set", file, value.as_bytes()).map(|_| ())
    }

    /// The document in `text` as sops parses it, in JSON: it is encrypted with nothing in it encrypted, which needs
    /// no key. The result shows for every format which texts `set` has to change.
    pub(super) fn tree(&self, file: &Path, format: Format, text: &SecretValue) -> Result<Value, SopsError> {
        let mut command = Command::new(&self.program);
        // With the variables of sops, its keys would be used for this document, too.
        environment::restrict(&mut command, Kind::Any, &[]);
        command.args(["--config", "/dev/null", "encrypt", "--age", NOBODY, "--unencrypted-regex", "^"]);
        command.args(["--input-type", format.word(), "--output-type", "json", "--filename-override", "document"]);
        let said = self.ask(&mut command, "encrypt", file, text.expose())?;
        serde_json::from_slice(&said).map_err(|_| SopsError::Answer)
    }

    /// The command with the settings for `file`, as if it ran in that folder.
    fn at(&self, file: &Path) -> Command {
        let mut command = Command::new(&self.program);
        environment::restrict(&mut command, Kind::Sops, &self.env);
        if std::env::var_os(CONFIG_VARIABLE).is_none_or(|path| path.is_empty()) {
            let folders = file.ancestors().skip(1);
            let config = folders.map(|folder| folder.join(CONFIG)).find(|config| config.is_file());
            command.arg("--config").arg(config.unwrap_or_else(|| PathBuf::from("/dev/null")));
        }
        command
    }

    fn ask(
        &self,
        command: &mut Command,
        verb: &'static str,
        file: &Path,
        input: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SopsError> {
        match child::run(command, input, self.limit) {
            Ran::Ended { status, said } if status.success() => Ok(said),
            Ran::Ended { status, .. } => Err(match status.code() {
                Some(code) => SopsError::Code { verb, file: file.to_owned(), code },
                None => SopsError::Signal,
            }),
            Ran::NotStarted(error) => Err(SopsError::NotStarted(error)),
            Ran::TooLarge => Err(SopsError::TooLarge { file: file.to_owned() }),
            Ran::Killed => Err(SopsError::Late { limit: self.limit }),
        }
    }
}

/// The major and the minor version.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::shell::real::{HOSTILE, assert_says};

    #[test]
    fn the_command_names_the_file_whatever_its_name() {
        for file in HOSTILE {
            let message = SopsError::Code { verb: "decrypt", file: file.into(), code: 128 }.to_string();
            let dashes = if file.starts_with('-') { &["--"][..] } else { &[] };
            assert_says(&message, "` to see what it says", &[&["sops", "decrypt"], dashes, &[file]].concat());
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("3.11.0"), Some((3, 11)));
        assert!(version("3.9.4") < Some(LEAST) && version("4.0.0") > Some(LEAST));
        assert_eq!(version("latest"), None);
    }
}
