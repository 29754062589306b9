//! `resume`: continues the rotations that are in flight, and opens none.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::named_rotation::{self, Beginning};
use super::status;
use crate::adapters::system_clock::SystemClock;
use crate::cli::args::{ChoiceArgs, ResumeArgs};
use crate::cli::config::Config;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::summary::CommandKind;
use crate::cli::passes::{End, Passes, campaign_failed, finish};
use crate::cli::runtime::{self, block_on};
use crate::cli::session_end::Waits;
use crate::cli::wiring::journal::{self, HeldJournal, storage_failed};
use crate::engine::campaign::{Engine, LOOK_FOR_LATE_KEYS};
use crate::engine::report::Report;
use crate::engine::shutdown::Stop;
use crate::journal::clock::Clock;
use crate::journal::store::RotationFilter;
use crate::types::name::RotationId;

/// Runs `rotator resume`.
///
/// # Errors
/// [`CliError`] with the exit code for the failure.
pub fn resume(context: &Context, args: &ResumeArgs) -> Result<Exit, CliError> {
    let choice = ChoiceArgs { concurrency: args.concurrency.clone(), ..ChoiceArgs::default() };
    let config = context.config(&choice)?;
    if !journal::is_present(&config.journal)? {
        if let Some(name) = args.rotations.first() {
            return Err(journal::none_yet(&config.journal, name));
        }
        context.terminal.say(&format!("there is no journal yet at {}", config.journal.display()));
        return status::print_empty(context, None);
    }
    let ids = named(&config.journal, &args.rotations)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let held = journal::hold(&config.journal, &clock)?;
    // What was named is shown, and nothing else.
    let command = if ids.is_empty() { CommandKind::Resume } else { CommandKind::Decide };
    let end = End { command, waiting_ok: args.waiting_ok };
    resume_rotations(context, &config, &clock, &held, &ids, args.wait, end)
}

/// The rotations with these names. Without names, the journal is not opened.
fn named(path: &Path, names: &[String]) -> Result<Vec<RotationId>, CliError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let Some(reader) = journal::read(path)? else { return Err(journal::none_yet(path, &names[0])) };
    names.iter().map(|name| named_rotation::in_flight(&reader, name, Beginning::OfAny)).collect()
}

/// Continues the rotations in flight, or only those with these `ids`, and prints the summary of `resume`.
pub(super) fn resume_rotations(
    context: &Context,
    config: &Config,
    clock: &Arc<dyn Clock>,
    held: &HeldJournal,
    ids: &[RotationId],
    wait: bool,
    end: End,
) -> Result<Exit, CliError> {
    block_on(Box::pin(async {
        let store = held.journal.store();
        for id in ids {
            if store.summary(*id).await.map_err(|error| storage_failed(&error))?.is_none() {
                return Err(unknown(&id.to_string()));
            }
        }
        let open = store.open_ids().await.map_err(|error| storage_failed(&error))?;
        let to_do = open.iter().filter(|id| ids.is_empty() || ids.contains(id)).count();
        let stop = Arc::new(Stop::default());
        let signalled = runtime::listen(context, &stop, clock)?;
        // The local clock decides only whether AWS is asked.
        let watched = RotationFilter::WatchedAfter(clock.now().minus(LOOK_FOR_LATE_KEYS));
        let watched = store.summaries(watched).await.map_err(|error| storage_failed(&error))?;
        if to_do == 0 && (watched.is_empty() || !ids.is_empty()) {
            // There is nothing to ask AWS about, so the requested rotations are shown as they are.
            let report = Report { touched: ids.to_vec(), ..Report::default() };
            return finish(context, end, report, None, &signalled, held).await;
        }
        let waits = Waits { opened: None, in_flight: Some(ids), held };
        let passes = Passes { context, config, clock, stop: &stop, wait, says_at_once: false, waits };
        let work = async |session, report: &mut Report| {
            let engine = Engine::new(session, held.journal.clone());
            *report = engine.resume(ids).await.map_err(|error| campaign_failed(&error))?;
            Ok(())
        };
        let (mut report, failure) = Box::pin(passes.make(work)).await;
        // The result is about what was named, also where a failure came before it.
        if !ids.is_empty() {
            report.touched = ids.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        }
        finish(context, end, report, failure, &signalled, held).await
    }))
}

fn unknown(name: &str) -> CliError {
    CliError::usage(format!("the journal knows no rotation {name}"), "`rotator status --all` lists every one")
}
