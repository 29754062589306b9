//! `status`: shows the content of the journal. It only reads, and calls no server.

use std::time::Duration;

use super::named_rotation;
use crate::adapters::sqlite_journal::SyncReader;
use crate::cli::args::StatusArgs;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::{Exit, Tally};
use crate::cli::output::document::{Counts, RotationShown, to_bytes};
use crate::cli::output::table::{self, Paint, RotationRow};
use crate::cli::output::terminal::to_stdout;
use crate::cli::snapshot::{InFlight, Snapshot, next_time_of, tally_of};
use crate::cli::wiring::journal::{self, storage_failed};
use crate::journal::campaign::LeftAloneNote;
use crate::journal::overview::{ClosedCounts, OpenRotation, Overview};
use crate::journal::store::RotationFilter;
use crate::types::time::Timestamp;

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
        if let Some(name) = &args.rotation {
            return Err(CliError::usage(
                format!("there is no rotation {name}: there is no journal yet at {}", config.journal.display()),
                "name the journal with --journal, if it is elsewhere",
            ));
        }
        context.terminal.say(&format!("there is no journal yet at {}", config.journal.display()));
        return Ok((empty(context), Exit::Done));
    };
    if args.rotation.is_none() && !args.all && !context.terminal.is_json() {
        let overview = reader.overview().map_err(|error| storage_failed(&error))?;
        let shown = Shown::of(&overview);
        return Ok((shown.text(context), shown.tally.exit(args.waiting_ok)));
    }
    let snapshot = Snapshot::read(&reader).map_err(|error| storage_failed(&error))?;
    let text = show(context, args, &reader, &snapshot)?;
    Ok((text, snapshot.tally().exit(args.waiting_ok)))
}

fn show(context: &Context, args: &StatusArgs, reader: &SyncReader, snapshot: &Snapshot) -> Result<Vec<u8>, CliError> {
    let shown = match (&args.rotation, args.all) {
        (Some(name), _) => {
            let id = named_rotation::in_flight_or_closed(reader, name)?;
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
    end(&mut text, snapshot.skipped(), document.counts, snapshot.tally(), snapshot.next_time());
    Ok(text.into_bytes())
}

/// What is shown of an [`Overview`].
struct Shown<'a> {
    overview: &'a Overview,
    /// The rotations whose rows need more than the columns of the journal.
    whole: Vec<RotationShown>,
    tally: Tally,
}

impl<'a> Shown<'a> {
    fn of(overview: &'a Overview) -> Self {
        let whole = overview.open.iter().filter_map(|open| match open {
            OpenRotation::Whole(summary) => Some(RotationShown::of(summary)),
            OpenRotation::InShort(_) => None,
        });
        let in_flight = tally_of(overview.open.iter().map(in_flight), overview.campaign.as_ref());
        let stuck = skipped(overview).iter().filter(|note| note.due).count();
        Self { overview, whole: whole.collect(), tally: Tally { stuck, unopened: overview.unopened, ..in_flight } }
    }

    fn text(&self, context: &Context) -> Vec<u8> {
        let Self { overview, whole, tally } = self;
        let mut whole = whole.iter();
        let mut rows = Vec::with_capacity(overview.open.len());
        rows.extend(overview.open.iter().filter_map(|open| match open {
            OpenRotation::Whole(_) => whole.next().map(RotationRow::of),
            OpenRotation::InShort(rotation) => Some(RotationRow::in_short(rotation)),
        }));
        let mut text = table::rotation_rows(&rows, Paint(context.terminal.color));
        if !text.is_empty() {
            text.push('\n');
        }
        let open = || overview.open.iter().map(in_flight);
        let ClosedCounts { done, aborted, gone } = overview.closed;
        let counts = Counts {
            in_flight: overview.open.len(),
            waiting: open().filter(|rotation| !rotation.is_blocked && rotation.waiting_until.is_some()).count(),
            blocked: tally.blocked,
            done,
            aborted,
            gone,
            needs_operator: tally.needs_operator(),
        };
        end(&mut text, skipped(overview), counts, *tally, next_time_of(open()));
        text.into_bytes()
    }
}

fn in_flight(open: &OpenRotation) -> InFlight<'_> {
    match open {
        OpenRotation::Whole(summary) => InFlight::of(summary),
        OpenRotation::InShort(rotation) => {
            InFlight { old_key: &rotation.old_key, is_blocked: false, waiting_until: rotation.waiting_until }
        }
    }
}

fn skipped(overview: &Overview) -> &[LeftAloneNote] {
    overview.campaign.as_ref().map_or(&[], |campaign| &campaign.notes.left_alone)
}

/// Adds the text below the table.
fn end(text: &mut String, skipped: &[LeftAloneNote], counts: Counts, tally: Tally, next: Option<Timestamp>) {
    let due: Vec<_> = skipped.iter().filter(|note| note.due).cloned().collect();
    text.push_str(&table::skipped_in_short(&due));
    text.push_str(&table::counts(counts));
    text.push_str(&advice(tally, next));
    text.push('\n');
}

fn advice(tally: Tally, next: Option<Timestamp>) -> String {
    let unopened = tally.unopened;
    let keys = match unopened {
        0 => String::new(),
        1 => "; 1 due key is not rotated yet: `rotator run`".to_owned(),
        _ => format!("; {unopened} due keys are not rotated yet: `rotator run`"),
    };
    let goes_on = tally.waiting + tally.failed > 0;
    let open = match (goes_on, tally.needs_operator() > 0, next) {
        (false, false, _) => String::new(),
        (false, true, _) => ": see above".to_owned(),
        (true, _, Some(time)) => format!(": `rotator resume` continues after {time}"),
        (true, _, None) => ": `rotator resume` continues".to_owned(),
    };
    open + &keys
}

/// The output if there is no journal.
fn empty(context: &Context) -> Vec<u8> {
    let document = Snapshot::default().document(std::iter::empty());
    if context.terminal.is_json() { to_bytes(&document) } else { b"nothing in flight\n".to_vec() }
}

/// Prints the output for a missing journal.
pub(super) fn print_empty(context: &Context) -> Result<Exit, CliError> {
    to_stdout(&empty(context))?;
    Ok(Exit::Done)
}
