//! The command line as clap parses it. What a command does is in its own file below `commands`.

mod rotations;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

pub use self::rotations::{
    AbortArgs, ChoiceArgs, OneRotation, PlanArgs, Resolution, ResolveArgs, ResumeArgs, RotateArgs, RunArgs, StatusArgs,
};
use crate::adapters::aws::MfaCode;
use crate::types::name::EntryName;

/// Rotates the AWS access keys in a secret store, and survives a crash at any moment.
#[derive(Debug, Parser)]
#[command(name = "rotator", version, max_term_width = 110, after_help = AFTER_HELP)]
pub struct Cli {
    /// The options of every command.
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 done; 1 failed outside any rotation; 2 usage or configuration; 3 something continues by itself, run it again; 4 an operator is needed, and nothing continues by itself (with --waiting-ok, 4 wins over 3, and waiting counts as 0); 5 another rotator holds the journal; 129, 130 and 143 interrupted.

Start with `rotator demo`, which needs nothing, or with `rotator init` and `rotator doctor`.";

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Read this configuration file instead of rotator.toml here, in the XDG config folder or in /etc/rotator
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Keep the journal here
    #[arg(long, global = true, value_name = "FILE")]
    pub journal: Option<String>,
    /// A secret store, for example sqlite:secrets.db or file:.env; may be given several times
    #[arg(long, global = true, value_name = "URI")]
    pub store: Vec<String>,
    /// The one-time code for a role that asks for MFA; it serves one role, once. Without it, rotator asks on the
    /// terminal. This option is visible in the list of processes, and what is entered at the prompt is not
    #[arg(long, global = true, value_name = "CODE", value_parser = mfa_code)]
    pub mfa_code: Option<MfaCode>,
    /// How results are printed on stdout: table, wide (a table with the ids of rotations and keys) or json
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT", hide_possible_values = true)]
    pub output: OutputFormat,
    /// How logs are printed on stderr: text or json
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT", hide_possible_values = true)]
    pub log_format: LogFormat,
    /// Log more: -v info, -vv debug
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Log errors only, and show no progress
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Whether to use colour: always, never or auto (never if NO_COLOR is set; always if CLICOLOR_FORCE is set and not
    /// 0; else on a terminal that is not `dumb`)
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", hide_possible_values = true)]
    pub color: ColorWhen,
}

fn mfa_code(text: &str) -> Result<MfaCode, &'static str> {
    MfaCode::new(text).ok_or("a code has six digits")
}

/// The format of results on stdout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Aligned columns and sentences.
    #[default]
    Table,
    /// As `table`, with the ids of rotations and keys.
    Wide,
    /// One JSON document.
    Json,
}

/// The format of logs on stderr.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines.
    #[default]
    Text,
    /// One JSON object on each line.
    Json,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// Never if `NO_COLOR` is set; always if `CLICOLOR_FORCE` is set and not `0`; else on a terminal that is not `dumb`.
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Finish what is in flight, then rotate every key that is due
    Run(RunArgs),
    /// Rotate the named keys now, whatever their age; with --now, as for a leaked key, without a wait
    Rotate(RotateArgs),
    /// Continue what is in flight; open no rotation
    Resume(ResumeArgs),
    /// Show what is in flight, as the journal has it
    Status(StatusArgs),
    /// Show what `run` would rotate, and what it would skip and why; change nothing
    Plan(PlanArgs),
    /// Manage the entries of the embedded secret store
    #[command(subcommand)]
    Store(StoreCommand),
    /// Give up one rotation while every place holds the old pair: discard the new key, keep the old one
    ///
    /// Every place holds the old pair until the new one is stored. After that, rotator cannot put it back, since it keeps
    /// no copy of the old secret: put it into every place yourself, let `rotator resume` find it there, which blocks the
    /// rotation, and then abort it.
    ///
    /// While an abort waits or is blocked, it can be taken back: with --undo, the rotation continues as before,
    /// but for an earlier request to delete the old key without a wait, which has to be made again. With
    /// `rotator resolve ROTATION --finish` or `rotator rotate USER --now` it continues, too, and the old key is deleted
    /// without a wait.
    Abort(AbortArgs),
    /// Make the old key of one rotation active again; rotator does not deactivate it a second time
    Reactivate(OneRotation),
    /// Decide what happens to a key that rotator must not touch on its own, or to the rotation
    Resolve(ResolveArgs),
    /// Check configuration, store, journal, credentials, clock and permissions, before the first create
    Doctor,
    /// Print the least IAM policy that this configuration needs, as JSON
    Policy(PolicyArgs),
    /// Look for stores that hold keys, and write a rotator.toml with them
    Init(InitArgs),
    /// Trust a rotator.toml of the working directory as it is now; shows what it would run, read and contact
    Allow(AllowArgs),
    /// Show how rotator is killed between creating a key and storing it, and recovers; uses nothing of yours
    Demo,
    /// Run a simulation of IAM and STS on 127.0.0.1, to try things out; it has no roles, and no AssumeRole
    Sandbox(SandboxArgs),
    /// Print a completion script
    Completions {
        /// For this shell
        shell: clap_complete::Shell,
    },
    /// Print a JSON Schema, for editors and programs
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Print the manual page, or write one for each command
    Man(ManArgs),
}

/// The commands of `store`.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// List the names of the entries
    List,
    /// Print the value of one entry: its bytes and nothing else
    Get {
        /// The entry, <app>/<environment>/<secret-name>
        name: EntryName,
        /// Print the value that an open rotation has replaced; it is kept until that rotation closes
        #[arg(long)]
        previous: bool,
    },
    /// Set one entry to the content of stdin, byte for byte (a final newline is kept; use printf, not echo)
    Set {
        /// The entry, <app>/<environment>/<secret-name>
        name: EntryName,
        /// Accepted only to refuse it without repeating it: a value does not belong on a command line.
        #[arg(hide = true, allow_hyphen_values = true, trailing_var_arg = true)]
        value: Vec<OsString>,
    },
    /// Set all entries of a JSON object of names and string values, or none of them
    Import {
        /// The file; - reads stdin
        file: PathBuf,
    },
    /// Seal all entries under another key: a new one, or the one given in ROTATOR_STORE_NEW_KEY
    Rekey,
    /// Remove one entry
    Rm {
        /// The entry, <app>/<environment>/<secret-name>
        name: EntryName,
    },
}

/// The schemas that `schema` prints.
#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// Print the schema of rotator.toml
    Config,
    /// Print the schema of the document of run, status and the other commands about rotations
    Run,
    /// Print the schema of the document of plan and `run --dry-run`
    Plan,
    /// Print the schema of the document of doctor
    Doctor,
    /// Print the schema of the document of allow
    Allow,
    /// Print the schema of the document of `store list`
    StoreList,
    /// Print the schema of the document of a command that failed before it had one
    Error,
}

/// The options of `policy`.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// Print the policy for this account: its number, or the name of an [[account]]
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// Print what an audit needs, with plan, doctor and status: no action that writes
    #[arg(long)]
    pub read_only: bool,
    /// Ask the stores and IAM, as `plan` does, and name only the users and the entries that have pairs
    #[arg(long)]
    pub found: bool,
    /// Print the Vault policy for the vault: stores instead
    #[arg(long)]
    pub vault: bool,
    /// Print the roles for the kubernetes: stores instead, for `kubectl apply -f -`
    #[arg(long, conflicts_with = "vault")]
    pub kubernetes: bool,
}

/// The options of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The file to write
    #[arg(default_value = "rotator.toml", value_name = "FILE")]
    pub file: PathBuf,
}

/// The options of `allow`.
#[derive(Debug, Args)]
pub struct AllowArgs {
    /// The file; by default the one that the other commands would read
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Do not ask first
    #[arg(short, long)]
    pub yes: bool,
}

/// The options of `sandbox`.
#[derive(Debug, Args)]
pub struct SandboxArgs {
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Accept / in user names, which IAM itself refuses
    #[arg(long)]
    pub allow_slash: bool,
    /// Make these users, each with one key, and entries for it in the embedded store of --store, or in one that is
    /// empty
    #[arg(long, value_name = "APP/ENVIRONMENT")]
    pub seed: Vec<String>,
}

/// The options of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page for the program and for each command into this folder
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_word_is_one_of_two() {
        let id = "0190b3a5-0000-7000-8000-000000000000";
        assert!(Cli::try_parse_from(["rotator", "resolve", id]).is_err());
        let both =
            ["rotator", "resolve", id, "--delete-key", "AKIAAAAAAAAAAAAAAAAA", "--keep-key", "AKIAAAAAAAAAAAAAAAAB"];
        assert!(Cli::try_parse_from(both).is_err());
        assert!(Cli::try_parse_from(["rotator", "resolve", id, "--keep-key", "AKIAAAAAAAAAAAAAAAAA"]).is_ok());
    }
}
