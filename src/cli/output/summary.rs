//! The end of `run`, `resume` and the operator commands: the result on stdout, and the exit code.

use super::counted;
use super::document::{self, Counts, Document, ErrorShown, SkippedShown};
use super::entry_counts;
use super::given;
use super::look::Look;
use super::paragraph::paragraph;
use super::progress;
use super::rotation_table::{self, RotationRow};
use super::table;
use super::terminal::{Terminal, text_to_stdout, to_stdout};
use super::times;
use crate::cli::error::CliError;
use crate::cli::exit::{Exit, Tally};
use crate::cli::snapshot::{InFlight, Snapshot, next_time_of, ready_of, tally_of};
use crate::cli::wiring::journal::storage_failed;
use crate::engine::report::{Report, Went};
use crate::journal::line::Summary;
use crate::journal::store::SharedStore;
use crate::types::name::AccessKeyId;
use crate::types::time::Timestamp;

/// How many rotations are in memory at once as the journal has them.
const READ_AT_ONCE: usize = 256;

/// The kind of the command, which determines what to run next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandKind {
    Run,
    Resume,
    /// `abort`, `reactivate`, `resolve`, or `resume` with names: about these rotations.
    Decide,
    /// `rotate`: about some rotations.
    Rotate,
}

/// The outcome of a command.
pub struct CommandOutcome {
    pub command: CommandKind,
    /// Whether waiting for a known time counts as done.
    pub waiting_ok: bool,
    /// The report of the engine.
    pub report: Report,
    /// Why the command could not do everything, if it failed.
    pub failure: Option<CliError>,
    /// The exit code of the first signal, if there was one.
    pub signalled: Option<Exit>,
    /// The number of roles that ask for a code of an MFA device, if one of them got none.
    pub roles_without_code: usize,
}

/// Prints the outcome and determines the exit code.
///
/// # Errors
/// The failure of the command, with the exit code that takes precedence; or a failure of the journal or of stdout.
pub async fn summarize(outcome: CommandOutcome, store: &SharedStore, terminal: Terminal) -> Result<Exit, CliError> {
    let CommandOutcome { command, waiting_ok, mut report, failure, signalled, roles_without_code } = outcome;
    progress::end();
    let snapshot = Snapshot::take(store).await.map_err(|error| storage_failed(&error))?;
    if matches!(command, CommandKind::Resume | CommandKind::Decide) && report.left_alone.is_empty() {
        report.left_alone = snapshot.skipped().iter().filter(|note| note.due).cloned().collect();
    }
    let (mut document, own) = document_of(command, &report, &snapshot, store).await?;
    let tally = match command {
        // `status --exit-code` reports the same from now on.
        CommandKind::Run => snapshot.tally(),
        CommandKind::Rotate => tally_of_the_named(&report, &snapshot),
        // `resume` checks no key without a rotation, and what the last `run` reported about those may be outdated.
        CommandKind::Resume => Tally { unopened: report.aborted, ..snapshot.tally_in_flight() },
        CommandKind::Decide => {
            let named = of_the_named(&report, &snapshot).map(InFlight::of);
            Tally { unopened: report.aborted, ..tally_of(named, snapshot.campaign.as_ref()) }
        }
    };
    if command == CommandKind::Rotate {
        document.skipped = report.left_alone.iter().map(SkippedShown::of).collect();
        document.counts.needs_operator = tally.needs_operator();
    }
    entry_counts::say(&report.entries, &report.identities, terminal);
    let lacks_credentials = failure.as_ref().is_some_and(|error| error.is_about_credentials);
    let of_failure = |exit| match lacks_credentials {
        true => exit,
        false => above_failure(exit, &snapshot, tally.exit(waiting_ok)),
    };
    let exit = signalled.or_else(|| failure.as_ref().map(|failure| of_failure(failure.exit)));
    let failure = failure.map(|error| CliError { exit: exit.unwrap_or(error.exit), is_in_document: true, ..error });
    document.error = failure.as_ref().map(ErrorShown::of);
    say_troubles(&report, &document, terminal);
    let look = terminal.look();
    show(command, &document, &report, terminal, &look)
        .map_err(|error| CliError { exit: of_failure(error.exit), ..error })?;
    if let Some(failure) = failure {
        if !snapshot.open.is_empty() {
            let in_flight = in_flight(command, &report, &snapshot);
            let resume = match roles_without_code {
                0 => "`rotator resume` continues",
                1 => {
                    "`rotator resume --mfa-code CODE` continues, or `rotator resume` on a terminal, which asks for the code"
                }
                _ => "`rotator resume` on a terminal continues, which asks for each code",
            };
            terminal.warn(&format!("{in_flight}: {resume}"));
        }
        return Err(failure);
    }
    let exit = signalled.unwrap_or_else(|| tally.exit(waiting_ok));
    let own = Counts { needs_operator: tally.needs_operator(), ..own };
    let line = last_line(command, exit, tally, &document, &snapshot, (own, &report, &look));
    let (first, more) =
        line.split_once('\n').map_or((line.as_str(), String::new()), |(first, more)| (first, format!("\n{more}")));
    let line = format!("{first}   ({}){more}", times::took(terminal.began.elapsed()));
    if terminal.is_json() {
        terminal.say(&line);
    } else {
        let line: String = line.lines().map(|line| paragraph(line, 2, look.width)).collect();
        text_to_stdout(&line)?;
    }
    Ok(exit)
}

/// The rotations of the command that are in flight.
fn of_the_named<'s>(report: &Report, snapshot: &'s Snapshot) -> impl Iterator<Item = &'s Summary> {
    snapshot.open.iter().filter(|open| report.touched.contains(&open.rotation.id))
}

/// How many rotations are in flight after a failure. A command about some rotations counts these apart.
fn in_flight(command: CommandKind, report: &Report, snapshot: &Snapshot) -> String {
    let are = |number: usize| if number == 1 { "rotation is" } else { "rotations are" };
    let others = |number: usize| if number == 1 { "1 other".to_owned() } else { format!("{number} others") };
    let (all, named) = (snapshot.open.len(), of_the_named(report, snapshot).count());
    if !is_of_some(command) || named == 0 || named == all {
        return format!("{all} {} in flight", are(all));
    }
    format!("{named} named {} in flight, and {}", are(named), others(all - named))
}

/// Whether the command is about some rotations only.
const fn is_of_some(command: CommandKind) -> bool {
    match command {
        CommandKind::Decide | CommandKind::Rotate => true,
        CommandKind::Run | CommandKind::Resume => false,
    }
}

/// What is left to do for the keys that `rotate` was to rotate. Other rotations do not count.
fn tally_of_the_named(report: &Report, snapshot: &Snapshot) -> Tally {
    let open: Vec<_> = of_the_named(report, snapshot).collect();
    let tally = tally_of(open.iter().map(|open| InFlight::of(open)), snapshot.campaign.as_ref());
    let is_open = |key: &AccessKeyId| open.iter().any(|open| open.rotation.opened.old_key == *key);
    let failed = report.went.iter().filter(|(key, went)| matches!(went, Went::Failed { .. }) && !is_open(key));
    Tally { stuck: tally.stuck + report.left_alone.len(), unopened: failed.count(), ..tally }
}

/// The exit code of a failure: that of the rotations in flight takes precedence over a failure outside any rotation,
/// but not over a usage error.
fn above_failure(failure: Exit, snapshot: &Snapshot, tally: Exit) -> Exit {
    match (failure, tally) {
        (Exit::Failed, Exit::InFlight | Exit::NeedsOperator) if !snapshot.open.is_empty() => tally,
        (failure, _) => failure,
    }
}

/// The document that shows the rotations that this command changed, and all others in flight unless it named these; and the
/// counts of those that it changed.
async fn document_of(
    command: CommandKind,
    report: &Report,
    snapshot: &Snapshot,
    store: &SharedStore,
) -> Result<(Document, Counts), CliError> {
    let mut shown = snapshot.gathered();
    for some in report.touched.chunks(READ_AT_ONCE) {
        let some = store.summaries_of(some).await.map_err(|error| storage_failed(&error))?;
        some.iter().for_each(|summary| shown.take(summary));
    }
    let (own, touched) = (shown.counts, shown.ids());
    let others = snapshot.open.iter().filter(|summary| !touched.contains(&summary.rotation.id));
    let mut shown = shown.with(others.filter(|_| command != CommandKind::Decide));
    shown.sort();
    Ok((snapshot.document(shown), own))
}

/// Prints the failures that the table does not show.
fn say_troubles(report: &Report, document: &Document, terminal: Terminal) {
    for (id, why) in &report.troubles {
        let rotation = document.rotations.iter().find(|rotation| Some(rotation.id) == *id);
        let told = rotation.and_then(|rotation| rotation.last_error.as_ref()).is_some_and(|told| why.ends_with(told));
        if told && !terminal.is_json() {
            continue;
        }
        let whose =
            rotation.map(|rotation| format!("{} ({}): ", rotation.user, rotation.old_key_id)).unwrap_or_default();
        terminal.warn(&format!("{whose}{why}"));
    }
}

fn show(
    command: CommandKind,
    document: &Document,
    report: &Report,
    terminal: Terminal,
    look: &Look,
) -> Result<(), CliError> {
    if terminal.is_json() {
        return to_stdout(&document::to_bytes(document));
    }
    let is_of_some = is_of_some(command);
    let is_shown = |id| !is_of_some || report.touched.contains(&id);
    let rows = document.rotations.iter().filter(|rotation| is_shown(rotation.id)).map(RotationRow::of);
    let mut text = rotation_table::rotation_rows(rows.collect(), look);
    if !report.left_alone.is_empty() && command != CommandKind::Decide {
        if !text.is_empty() {
            text.push('\n');
        }
        let by_latest_run = command == CommandKind::Resume;
        text.push_str(&table::skipped_in_short(&report.left_alone, by_latest_run, look));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text_to_stdout(&text)
}

/// What `run` or `resume`, which work on all that is in flight, did; and the numbers of the campaign, if they are others.
fn of_all(own: Counts, all: Counts, snapshot: &Snapshot, ready: usize) -> (String, Option<String>) {
    let Counts { done, aborted, gone, .. } = own;
    let line = table::counts(Counts { done, aborted, gone, ..all }, ready);
    (line, table::campaign(snapshot.counts.closed, own))
}

/// What a command about some rotations did with these, and what else is in flight.
fn of_some(own: Counts, report: &Report, snapshot: &Snapshot, now: Timestamp) -> (String, Option<String>) {
    let named = of_the_named(report, snapshot).map(InFlight::of);
    let line = table::counts(own, ready_of(named, now)).replacen("nothing in flight", "nothing rotated", 1);
    let others = || snapshot.open.iter().filter(|open| !report.touched.contains(&open.rotation.id));
    let counts = Counts::of(others().map(|open| &open.rotation));
    let others = || table::counts(counts, ready_of(others().map(InFlight::of), now));
    (line, (counts.in_flight > 0).then(|| format!("other rotations: {}", others())))
}

/// The line of a `run` that found nothing to do.
fn nothing_due(unused: usize) -> String {
    let (keys, them) = match unused {
        0 => return "nothing is in flight, and no key is due".to_owned(),
        1 => ("1 key is".to_owned(), "it"),
        unused => (format!("{unused} keys are"), "them"),
    };
    let flags = given::for_plan();
    format!("nothing is in flight; {keys} due and unused: `rotator plan{flags}` says how to retire {them}")
}

fn last_line(
    command: CommandKind,
    exit: Exit,
    tally: Tally,
    document: &Document,
    snapshot: &Snapshot,
    (own, report, look): (Counts, &Report, &Look),
) -> String {
    let again = match command {
        CommandKind::Resume | CommandKind::Decide if tally.waiting + tally.failed + tally.blocked > 0 => {
            "`rotator resume`"
        }
        // Only `run` opens what is due.
        CommandKind::Rotate if tally.needs_operator() == 0 => "`rotator resume`",
        CommandKind::Run | CommandKind::Resume | CommandKind::Decide | CommandKind::Rotate => "`rotator run`",
    };
    let is_of_some = is_of_some(command);
    let now = look.times.now();
    let (mut line, mut beside) = match is_of_some {
        true => of_some(own, report, snapshot, now),
        false => of_all(own, document.counts, snapshot, snapshot.ready(now)),
    };
    let unsaid = snapshot.counts.unsaid;
    let unopened = snapshot.unopened().saturating_sub(unsaid);
    let see_above = if tally.needs_operator() > 0 { "; what needs an operator is above" } else { "" };
    let next = match is_of_some {
        true => next_time_of(of_the_named(report, snapshot).map(InFlight::of)),
        false => snapshot.next_time(),
    };
    match exit {
        Exit::HungUp | Exit::Interrupted | Exit::Terminated => {
            if tally == Tally::default() {
                // `run` would start a new campaign, so the line does not suggest it.
                line.push_str("; interrupted, with nothing left in flight");
            } else {
                line.push_str(&format!("; interrupted: {again} continues"));
            }
        }
        Exit::NeedsOperator if command == CommandKind::Rotate => line.push_str(", see above"),
        Exit::NeedsOperator => line.push_str(&format!(": see above; then {again} again")),
        Exit::InFlight => {
            if command == CommandKind::Run && unopened > 0 {
                line.push_str(&format!(", {unopened} due but not rotated yet"));
            }
            if command == CommandKind::Run && unsaid > 0 {
                line.push_str(&format!(", {}", counted::unsaid(unsaid)));
            }
            match next.filter(|time| *time > look.times.now()) {
                Some(time) => {
                    line.push_str(&format!(": {again} again after {}{see_above}", look.times.local(time)));
                }
                None => line.push_str(&format!(": {again} again{see_above}")),
            }
        }
        Exit::Done if command == CommandKind::Run && document.rotations.is_empty() => {
            beside = None;
            line = nothing_due(document.counts.unused);
        }
        Exit::Done => {
            line.extend(next.map(|time| format!(": {again} again after {}", look.times.local(time))));
        }
        Exit::Failed | Exit::Usage | Exit::Busy => {}
    }
    if command == CommandKind::Resume && unopened > 0 {
        let keys = if unopened == 1 { "1 due key is" } else { &format!("{unopened} due keys are") };
        line.push_str(&format!("\n{keys} not rotated yet: `rotator run` does that"));
    }
    if command == CommandKind::Resume && unsaid > 0 {
        line.push_str(&format!("\n{}: `rotator run` asks again", counted::unsaid(unsaid)));
    }
    beside.into_iter().for_each(|beside| line.push_str(&format!("\n{beside}")));
    line
}
