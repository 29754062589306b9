//! `allow`: records that the user trusts a configuration file as it is now. The command first shows what the file
//! would run, read and contact, and records the same bytes that it has shown.

use std::io::BufRead;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use crate::adapters::allowed::digest;
use crate::cli::args::AllowArgs;
use crate::cli::config::{FILE_NAME, Found, Reach, ReachKind};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::document::to_bytes;
use crate::cli::output::paragraph::paragraph;
use crate::cli::output::printable::printable;
use crate::cli::output::terminal::to_stdout;
use crate::types::shell::operand;

/// What `allow` prints.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "rotator: allow")]
pub(super) struct Document<'a> {
    /// Fields are only added under this version.
    #[schemars(extend("const" = 1))]
    version: u32,
    /// The configuration file.
    file: &'a Path,
    /// The SHA-256 digest of its bytes.
    sha256: String,
    /// Who else may change the file, or null.
    exposed: Option<String>,
    /// The programs that the file would run.
    runs: Vec<&'a str>,
    /// The files that it would read, and write if they are a store or the journal.
    reads: Vec<&'a str>,
    /// The servers that it would contact.
    contacts: Vec<&'a str>,
    /// Whether the file is now allowed.
    allowed: bool,
}

/// Runs `rotator allow`.
///
/// # Errors
/// Exit code 2 if there is no such file, it is not valid or there is no terminal to ask on; 1 if the answer is no or
/// the record cannot be written.
pub fn allow(context: &Context, args: &AllowArgs) -> Result<Exit, CliError> {
    let host = &context.host;
    let named = args.file.as_deref().or(context.global.config.as_deref());
    let found = match named {
        Some(path) => Found::named(path, "the command line", host)?,
        None => Found::look(None, host)?.ok_or_else(no_file)?,
    };
    let reach = found.reach(host)?;
    let exposed = found.exposed()?;
    let asks = context.terminal.can_ask && !args.yes;
    if context.terminal.is_json() {
        if args.yes {
            found.allow(host)?;
        }
        let of = |kind| reach.iter().filter(|one| one.kind == kind).map(|one| one.what.as_str()).collect();
        to_stdout(&to_bytes(&Document {
            version: 1,
            file: &found.path,
            sha256: digest(found.text.as_bytes()),
            exposed,
            runs: of(ReachKind::Runs),
            reads: of(ReachKind::Reads),
            contacts: of(ReachKind::Contacts),
            allowed: args.yes,
        }))?;
        return if args.yes { Ok(Exit::Done) } else { Err(not_asked(&found.path)) };
    }
    let text = printable(&shown(&found, &reach, exposed.as_deref())).into_owned();
    to_stdout(paragraph(&text, 2, context.terminal.look().width).as_bytes())?;
    if asks && !is_agreed(context) {
        return Err(CliError::failed("nothing was allowed: the answer was no", "the file stays as it is"));
    }
    if !asks && !args.yes {
        return Err(not_asked(&found.path));
    }
    let records = found.allow(host)?;
    context.terminal.say(&format!(
        "{} is allowed as it is now, which is recorded for this user in {}; once it has changed, allow it again",
        found.path.display(),
        records.display()
    ));
    Ok(Exit::Done)
}

fn no_file() -> CliError {
    CliError::usage(
        format!("there is no {FILE_NAME} that a command would read"),
        "name a file: rotator allow FILE; or write one with `rotator init`",
    )
}

fn not_asked(path: &Path) -> CliError {
    CliError::usage(
        "nothing was allowed: there is no terminal to ask on",
        format!("read what is listed above, then run:\n  rotator allow --yes {}", operand(path)),
    )
}

fn shown(found: &Found, reach: &[Reach], exposed: Option<&str>) -> String {
    let mut text = format!("{} (sha256 {})\n", found.path.display(), digest(found.text.as_bytes()));
    if let Some(why) = exposed {
        text += &format!("  warning: other users may change it: {why}\n");
    }
    if reach.is_empty() {
        text += "  runs no program, names no file and no server of its own\n";
    }
    // The list starts with what requires the user's permission.
    for kind in [ReachKind::Runs, ReachKind::Reads, ReachKind::Contacts] {
        let mut of_kind: Vec<&Reach> = reach.iter().filter(|one| one.kind == kind).collect();
        of_kind.sort_by_key(|one| !one.asks);
        text.extend(of_kind.iter().map(|one| format!("  {one}\n")));
    }
    text
}

fn is_agreed(context: &Context) -> bool {
    context.terminal.raw("Trust this file as it is now? [y/N] ");
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.is_ok() && ["y", "yes"].contains(&line.trim().to_lowercase().as_str())
}
