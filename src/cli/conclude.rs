//! The end of `run`, `resume` and a person's word: what became of it, on stdout, and the exit code.

use std::collections::BTreeSet;

use super::entries;
use super::error::CliError;
use super::exit::{Exit, Tally};
use super::output::document::{self, Document};
use super::output::table::{self, Paint};
use super::output::terminal::{Terminal, print};
use super::picture::Picture;
use super::progress;
use super::wire::storage_failed;
use crate::drive::report::Report;
use crate::journal::entry::Summary;
use crate::journal::store::SharedStore;
use crate::rotation::name::RotationId;

/// Which command comes to its end: they judge keys that have no rotation differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// `run`: a due key without a rotation counts.
    Run,
    /// `resume`, or a person's word on one rotation: only what is in flight counts.
    Resume,
}

/// What happened.
pub struct Happened {
    /// Which command.
    pub ended: Ended,
    /// What the drive reports.
    pub report: Report,
    /// Why it could not do all it was to do, where it could not.
    pub failure: Option<CliError>,
    /// The code that a signal calls for, if one came.
    pub signalled: Option<Exit>,
}

/// Prints what happened and finds the exit code.
///
/// # Errors
/// The failure that happened, with the code that stands above its own; or a journal or stdout that fails now.
pub async fn conclude(happened: Happened, store: &SharedStore, terminal: Terminal) -> Result<Exit, CliError> {
    let Happened { ended, report, failure, signalled } = happened;
    if terminal.progress {
        progress::wipe();
    }
    let picture = Picture::take(store).await.map_err(|error| storage_failed(&error))?;
    let shown = shown(&report, &picture, store).await?;
    let document = picture.document(&shown);
    // A key whose rotation ended `aborted` has been looked at again by `run`: it is rotated, unopened, or no longer due.
    // To call a campaign that is complete unfinished would begin another: README's loop would rotate all keys once more.
    let tally = match ended {
        Ended::Run => Tally { need_a_person: report.need_a_person, unopened: report.unopened, ..picture.tally() },
        Ended::Resume => Tally { aborted: report.aborted, ..picture.tally() },
    };
    entries::say(&report.entries, terminal);
    say_troubles(&report, &document, terminal);
    show(&document, &report, terminal).map_err(|error| CliError { exit: above_failure(tally), ..error })?;
    if let Some(mut failure) = failure {
        if tally.in_flight > 0 {
            let open = tally.in_flight;
            let verb = if open == 1 { "rotation is" } else { "rotations are" };
            terminal.warn(&format!("{open} {verb} in flight: `rotator resume` goes on"));
            failure.exit = above_failure(tally);
        }
        failure.exit = signalled.unwrap_or(failure.exit);
        return Err(failure);
    }
    let exit = signalled.unwrap_or_else(|| tally.exit());
    let line = last_line(ended, exit, tally, &document, &report, &picture);
    if terminal.is_json() {
        terminal.say(&line);
    } else {
        to_stdout(format!("{line}\n").as_bytes())?;
    }
    Ok(exit)
}

/// The code of a failure: what is in flight stands above it.
const fn above_failure(tally: Tally) -> Exit {
    if tally.in_flight > 0 { tally.exit() } else { Exit::Failed }
}

/// What was touched, then all else that is in flight.
async fn shown(report: &Report, picture: &Picture, store: &SharedStore) -> Result<Vec<Summary>, CliError> {
    let (mut shown, elsewhere) = picture.find(&report.touched);
    for id in elsewhere {
        shown.extend(store.summary(id).await.map_err(|error| storage_failed(&error))?);
    }
    let touched: BTreeSet<RotationId> = report.touched.iter().copied().collect();
    for summary in &picture.open {
        if !touched.contains(&summary.rotation.id) {
            shown.push(summary.clone());
        }
    }
    shown.sort_by_key(|summary| summary.rotation.id);
    Ok(shown)
}

/// Those that the table does not tell anyway.
fn say_troubles(report: &Report, document: &Document, terminal: Terminal) {
    for (id, why) in &report.troubles {
        let rotation = document.rotations.iter().find(|rotation| Some(rotation.id) == *id);
        let told = rotation.and_then(|rotation| rotation.last_error.as_ref()).is_some_and(|told| why.ends_with(told));
        if told && !terminal.is_json() {
            continue;
        }
        let whose = rotation.map(|rotation| format!("{} ({}): ", rotation.user, rotation.id)).unwrap_or_default();
        terminal.warn(&format!("{whose}{why}"));
    }
}

fn show(document: &Document, report: &Report, terminal: Terminal) -> Result<(), CliError> {
    if terminal.is_json() {
        return to_stdout(&document::to_bytes(document));
    }
    let mut text = table::rotations(document, Paint(terminal.color));
    if !report.left_alone.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&table::left_alone_in_short(&report.left_alone));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    to_stdout(text.as_bytes())
}

/// Writes a command's result.
///
/// # Errors
/// [`CliError::failed`] if stdout takes no more.
pub fn to_stdout(bytes: &[u8]) -> Result<(), CliError> {
    print(bytes).map_err(|error| {
        CliError::failed(format!("the output could not be written: {error}"), "what was done is in `rotator status`")
    })
}

fn last_line(
    ended: Ended,
    exit: Exit,
    tally: Tally,
    document: &Document,
    report: &Report,
    picture: &Picture,
) -> String {
    let again = match ended {
        Ended::Resume if picture.tally().in_flight > 0 => "`rotator resume`",
        // What ended `aborted` is opened again by `run` only.
        Ended::Run | Ended::Resume => "`rotator run`",
    };
    let mut line = table::counts(document.counts);
    let unopened = picture.unopened();
    match exit {
        Exit::HungUp | Exit::Interrupted | Exit::Terminated => {
            if tally.exit() == Exit::Done {
                // `run` would begin a new campaign.
                line.push_str("; interrupted, with nothing left in flight");
            } else {
                line.push_str(&format!("; interrupted: {again} goes on"));
            }
        }
        Exit::NeedsPerson => {
            if ended == Ended::Run && report.need_a_person > 0 {
                line.push_str(&format!(", {} due but not rotated", report.need_a_person));
            }
            line.push_str(&format!(": a person is needed, see above; then {again} again"));
        }
        Exit::InFlight => {
            if ended == Ended::Run && report.unopened > 0 {
                line.push_str(&format!(", {} due but not rotated yet", report.unopened));
            }
            match picture.next_time() {
                Some(time) => line.push_str(&format!(": {again} again after {time}")),
                None => line.push_str(&format!(": {again} again")),
            }
        }
        Exit::Done if ended == Ended::Run && document.rotations.is_empty() => {
            line = "nothing is in flight, and no key is due".to_owned();
        }
        Exit::Done | Exit::Failed | Exit::Usage | Exit::Busy => {}
    }
    if ended == Ended::Resume && unopened > 0 {
        let keys = if unopened == 1 { "1 due key is" } else { &format!("{unopened} due keys are") };
        line.push_str(&format!("\n{keys} not rotated yet: `rotator run` does that"));
    }
    line
}
