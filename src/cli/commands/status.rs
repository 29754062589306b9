//! `status`: shows the content of the journal. It only reads, and calls no server.

mod watch;

use super::named_rotation;
use crate::adapters::sqlite_journal::{JournalLock, SyncReader};
use crate::cli::args::StatusArgs;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::{Exit, Tally};
use crate::cli::output::counted;
use crate::cli::output::document::{Counts, ErrorShown, RotationShown, to_text, unused};
use crate::cli::output::look::Look;
use crate::cli::output::paragraph::paragraph;
use crate::cli::output::rotation_table::{self, RotationRow};
use crate::cli::output::story::story;
use crate::cli::output::table;
use crate::cli::output::terminal::{text_to_stdout, to_stdout};
use crate::cli::snapshot::{InFlight, Snapshot, next_time_of, ready_of, tally_of};
use crate::cli::wiring::journal::{self, storage_failed};
use crate::journal::campaign::LeftAloneNote;
use crate::journal::line::Summary;
use crate::journal::overview::{CampaignCounts, ClosedCounts, OpenRotation, Overview};
use crate::journal::store::RotationFilter;
use crate::types::time::Timestamp;

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
    if args.watch {
        return watch::watch(context, args);
    }
    let seen = look(context, args)?;
    if context.terminal.is_json() {
        to_stdout(seen.body.as_bytes())?;
    } else {
        text_to_stdout(&format!("{}{}", seen.body, seen.line))?;
    }
    Ok(if args.exit_code { seen.exit } else { Exit::Done })
}

/// What a reading of the journal shows.
struct Seen {
    body: String,
    /// The counts, and what to run next.
    line: String,
    exit: Exit,
}

fn look(context: &Context, args: &StatusArgs) -> Result<Seen, CliError> {
    let config = context.config(&Default::default())?;
    let Some(reader) = journal::read(&config.journal)? else {
        if let Some(name) = &args.rotation {
            return Err(journal::none_yet(&config.journal, name));
        }
        context.terminal.say(&format!("there is no journal yet at {}", config.journal.display()));
        return Ok(Seen { body: empty(context, None), line: String::new(), exit: Exit::Done });
    };
    let look = Look { at_work: JournalLock::holder(&config.journal), ..context.terminal.look() };
    if args.rotation.is_none() && !args.all && !context.terminal.is_json() {
        let overview = reader.overview().map_err(|error| storage_failed(&error))?;
        let shown = Shown::of(&overview);
        let (body, line) = shown.text(&look);
        return Ok(Seen { body, line, exit: shown.tally.exit(args.waiting_ok) });
    }
    let snapshot = Snapshot::read(&reader).map_err(|error| storage_failed(&error))?;
    let (body, line) = show(context, args, &reader, &snapshot, &look)?;
    Ok(Seen { body, line, exit: snapshot.tally().exit(args.waiting_ok) })
}

/// The text, and the line below it.
fn show(
    context: &Context,
    args: &StatusArgs,
    reader: &SyncReader,
    snapshot: &Snapshot,
    look: &Look,
) -> Result<(String, String), CliError> {
    let shown = match (&args.rotation, args.all) {
        (Some(name), _) => {
            let found = one(reader, name)?;
            if !context.terminal.is_json() && !look.wide {
                let lines = reader.lines(found.rotation.id).map_err(|error| storage_failed(&error))?;
                return Ok((story(&found, &lines, look), String::new()));
            }
            vec![found]
        }
        (None, true) => reader.summaries(RotationFilter::All).map_err(|error| storage_failed(&error))?,
        (None, false) => snapshot.open.clone(),
    };
    let mut shown = snapshot.gathered().with(&shown);
    shown.sort();
    let document = snapshot.document(shown);
    if context.terminal.is_json() {
        return Ok((to_text(&document), String::new()));
    }
    let mut text = rotation_table::rotations(&document, look);
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&skipped_keys(snapshot.skipped(), look));
    let tally = (snapshot.tally(), snapshot.ready(look.times.now()));
    let of_campaign = snapshot.counts;
    let (counts, of_campaign) = match args.all {
        // The closed rotations are shown above.
        true => (document.counts, CampaignCounts { closed: ClosedCounts::default(), ..of_campaign }),
        false => (in_flight_of(document.counts), of_campaign),
    };
    let line = last_line(counts, of_campaign, tally, snapshot.next_time(), look);
    Ok((text, line))
}

/// The rotation that is named.
fn one(reader: &SyncReader, name: &str) -> Result<Summary, CliError> {
    let id = named_rotation::in_flight_or_closed(reader, name)?;
    let found = reader.summary(id).map_err(|error| storage_failed(&error))?;
    found.ok_or_else(|| {
        CliError::usage(format!("the journal knows no rotation {id}"), "`rotator status --all` lists every one")
    })
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
        Self {
            overview,
            whole: whole.collect(),
            tally: Tally { stuck, unopened: overview.counts.unopened, ..in_flight },
        }
    }

    fn text(&self, look: &Look) -> (String, String) {
        let Self { overview, whole, tally } = self;
        let mut whole = whole.iter();
        let mut rows = Vec::with_capacity(overview.open.len());
        rows.extend(overview.open.iter().filter_map(|open| match open {
            OpenRotation::Whole(_) => whole.next().map(RotationRow::of),
            OpenRotation::InShort(rotation) => Some(RotationRow::in_short(rotation)),
        }));
        let mut text = rotation_table::rotation_rows(rows, look);
        if !text.is_empty() {
            text.push('\n');
        }
        let open = || overview.open.iter().map(in_flight);
        let counts = Counts {
            in_flight: overview.open.len(),
            waiting: open().filter(|rotation| !rotation.is_blocked && rotation.waiting_until.is_some()).count(),
            blocked: tally.blocked,
            needs_operator: tally.needs_operator(),
            unused: unused(skipped(overview)),
            ..Counts::default()
        };
        text.push_str(&skipped_keys(skipped(overview), look));
        let tally = (*tally, ready_of(open(), look.times.now()));
        (text, last_line(counts, overview.counts, tally, next_time_of(open()), look))
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

/// The due keys without a rotation, each with the reason.
fn skipped_keys(skipped: &[LeftAloneNote], look: &Look) -> String {
    let due: Vec<_> = skipped.iter().filter(|note| note.due).cloned().collect();
    table::skipped_in_short(&due, true, look)
}

/// The counts without those of closed rotations.
fn in_flight_of(counts: Counts) -> Counts {
    Counts { done: 0, aborted: 0, gone: 0, ..counts }
}

/// What is in flight, then the closed rotations of the campaign. `ready`: how many have reached the time that they wait for.
fn last_line(
    counts: Counts,
    of_campaign: CampaignCounts,
    (tally, ready): (Tally, usize),
    next: Option<Timestamp>,
    look: &Look,
) -> String {
    let mut line = format!("{}{}", table::counts(counts, ready), advice(tally, of_campaign.unsaid, next, look));
    if let Some(campaign) = table::campaign(of_campaign.closed, counts) {
        line.push_str(&format!("\n{campaign}"));
    }
    line.lines().map(|line| paragraph(line, 2, look.width)).collect()
}

/// `unsaid`: how many of the unopened keys may not be due.
fn advice(tally: Tally, unsaid: usize, next: Option<Timestamp>, look: &Look) -> String {
    let unopened = tally.unopened.saturating_sub(unsaid);
    let mut keys = match unopened {
        0 => String::new(),
        1 => "; 1 due key is not rotated yet: `rotator run`".to_owned(),
        _ => format!("; {unopened} due keys are not rotated yet: `rotator run`"),
    };
    if unsaid > 0 {
        keys.push_str(&format!("; {}: `rotator run` asks again", counted::unsaid(unsaid)));
    }
    let goes_on = tally.waiting + tally.failed > 0;
    let needs_operator = tally.needs_operator() > 0;
    let when = look.once_it_has_ended().map(|when| format!("; the commands above work {when}")).unwrap_or_default();
    let open = match (goes_on, needs_operator, next) {
        (true, _, next) if let Some(process) = look.at_work => {
            let later = next.filter(|next| *next > look.times.now() && tally.failed == 0);
            let later = later.map(|next| format!(", and the next step is due after {}", look.times.local(next)));
            let when = if needs_operator { "; the commands above work once it has ended" } else { "" };
            format!(": another rotator is at work (pid {process}){}{when}", later.unwrap_or_default())
        }
        (false, false, _) => String::new(),
        (false, true, _) => format!(": see above{when}"),
        // Others can go on now.
        (true, _, Some(time)) if time > look.times.now() && tally.failed == 0 => {
            format!(": `rotator resume` continues after {}", look.times.local(time))
        }
        (true, ..) => ": `rotator resume` continues".to_owned(),
    };
    open + &keys
}

/// The output if there is no journal, and the error of the command if it has one.
fn empty(context: &Context, error: Option<&CliError>) -> String {
    if !context.terminal.is_json() {
        return "nothing in flight\n".to_owned();
    }
    let mut document = Snapshot::default().document(Default::default());
    document.error = error.map(ErrorShown::of);
    to_text(&document)
}

/// Prints the output for a missing journal.
pub(super) fn print_empty(context: &Context, error: Option<&CliError>) -> Result<Exit, CliError> {
    to_stdout(empty(context, error).as_bytes())?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::cli::output::columns::Paint;
    use crate::cli::output::times::Times;

    #[test]
    fn a_time_is_named_only_where_nothing_can_go_on_before_it() {
        let now = Timestamp::from_unix_seconds(1_700_000_000);
        let times = Times::at(now, TimeZone::UTC);
        let look = Look { paint: Paint(false), width: None, wide: false, times, at_work: None };
        let later = Some(now.plus(std::time::Duration::from_secs(3_600)));
        let said = |waiting, failed| advice(Tally { waiting, failed, ..Tally::default() }, 0, later, &look);
        assert!(said(2, 0).contains("continues after"), "{}", said(2, 0));
        assert_eq!(said(2, 1), ": `rotator resume` continues");
    }
}
