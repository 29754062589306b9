//! `status`: shows the content of the journal. It only reads, and calls no server.

use std::time::Duration;

use crate::adapters::sqlite_journal::SyncReader;
use crate::cli::args::StatusArgs;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::document::to_bytes;
use crate::cli::output::table::{self, Paint};
use crate::cli::output::terminal::to_stdout;
use crate::cli::snapshot::Snapshot;
use crate::cli::wiring::journal::{self, storage_failed};
use crate::journal::store::RotationFilter;

/// The interval of `--watch`.
const EVERY: Duration = Duration::from_secs(2);

/// Moves the cursor to the upper left corner and clears the screen.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Runs `rotator status`.
///
/// # Errors
/// [`CliError`] if the journal cannot be read, or there is no such rotation.
pub fn status(context: &Context, args: &StatusArgs) -> Result<Exit, CliError> {
    if args.watch && context.terminal.is_json() {
        return Err(CliError::usage(
            "--watch is for a terminal, and --output json for programs",
            "leave one of them out",
        ));
    }
    loop {
        let (text, exit) = look(context, args)?;
        if !args.watch {
            to_stdout(&text)?;
            return Ok(if args.exit_code { exit } else { Exit::Done });
        }
        to_stdout(&[CLEAR.as_bytes(), &text].concat())?;
        std::thread::sleep(EVERY);
    }
}

fn look(context: &Context, args: &StatusArgs) -> Result<(Vec<u8>, Exit), CliError> {
    let config = context.config(&Default::default())?;
    let Some(reader) = journal::read(&config.journal)? else {
        if let Some(id) = args.id {
            return Err(CliError::usage(
                format!("there is no rotation {id}: there is no journal yet at {}", config.journal.display()),
                "name the journal with --journal, if it is elsewhere",
            ));
        }
        context.terminal.say(&format!("there is no journal yet at {}", config.journal.display()));
        return Ok((empty(context), Exit::Done));
    };
    let snapshot = Snapshot::read(&reader).map_err(|error| storage_failed(&error))?;
    let text = show(context, args, &reader, &snapshot)?;
    Ok((text, snapshot.tally().exit(args.waiting_ok)))
}

fn show(context: &Context, args: &StatusArgs, reader: &SyncReader, snapshot: &Snapshot) -> Result<Vec<u8>, CliError> {
    let shown = match (args.id, args.all) {
        (Some(id), _) => {
            let found = reader.summary(id).map_err(|error| storage_failed(&error))?;
            vec![found.ok_or_else(|| {
                CliError::usage(format!("the journal knows no rotation {id}"), "`rotator status --all` lists every one")
            })?]
        }
        (None, true) => reader.summaries(RotationFilter::All).map_err(|error| storage_failed(&error))?,
        (None, false) => snapshot.open.clone(),
    };
    let document = snapshot.document(&shown);
    if context.terminal.is_json() {
        return Ok(to_bytes(&document));
    }
    let mut text = table::rotations(&document, Paint(context.terminal.color));
    if !text.is_empty() {
        text.push('\n');
    }
    let due: Vec<_> = snapshot.skipped().iter().filter(|note| note.due).cloned().collect();
    text.push_str(&table::skipped_in_short(&due));
    text.push_str(&table::counts(document.counts));
    text.push_str(&advice(snapshot));
    text.push('\n');
    Ok(text.into_bytes())
}

fn advice(snapshot: &Snapshot) -> String {
    let unopened = snapshot.unopened();
    let keys = match unopened {
        0 => String::new(),
        1 => "; 1 due key is not rotated yet: `rotator run`".to_owned(),
        _ => format!("; {unopened} due keys are not rotated yet: `rotator run`"),
    };
    let tally = snapshot.tally();
    let goes_on = tally.waiting + tally.failed > 0;
    let open = match (goes_on, tally.needs_operator() > 0, snapshot.next_time()) {
        (false, false, _) => String::new(),
        (false, true, _) => ": see above".to_owned(),
        (true, _, Some(time)) => format!(": `rotator resume` continues after {time}"),
        (true, _, None) => ": `rotator resume` continues".to_owned(),
    };
    open + &keys
}

/// The output if there is no journal.
fn empty(context: &Context) -> Vec<u8> {
    let document = Snapshot::default().document(&[]);
    if context.terminal.is_json() { to_bytes(&document) } else { b"nothing in flight\n".to_vec() }
}

/// Prints the output for a missing journal.
pub(super) fn print_empty(context: &Context) -> Result<Exit, CliError> {
    to_stdout(&empty(context))?;
    Ok(Exit::Done)
}
