//! `run`: continues what is in flight, then opens a rotation for each key that is due.

use std::sync::Arc;

use super::ask::{Answer, ask};
use super::{plan, status};
use crate::adapters::system_clock::SystemClock;
use crate::cli::args::RunArgs;
use crate::cli::config::AT_ONCE;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::plan_table;
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

/// Runs `rotator run`.
///
/// # Errors
/// [`CliError`] with the exit code for the failure.
pub fn run(context: &Context, args: &RunArgs) -> Result<Exit, CliError> {
    if args.dry_run {
        return plan::plan(context, &args.choice);
    }
    let config = context.config(&args.choice)?;
    let choice = config.choice();
    let asks = context.terminal.can_ask && !args.yes;
    let agreed = args.yes || asks || config.removal_is_set;
    if !agreed && journal::read(&config.journal)?.is_none() {
        let error = CliError { is_in_document: true, ..not_agreed() };
        status::print_empty(context, Some(&error))?;
        return Err(error);
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let held = journal::hold(&config.journal, &clock)?;
    block_on(Box::pin(async {
        let stop = Arc::new(Stop::default());
        let signalled = runtime::listen(context, &stop, &clock)?;
        if !agreed && is_at_rest(&held, &clock).await? {
            let end = End { command: CommandKind::Run, waiting_ok: args.waiting_ok };
            return finish(context, end, Report::default(), Some(not_agreed()), &signalled, &held).await;
        }
        let (mut asked, mut declined) = (!asks, None);
        // Where the command asks, the question says so.
        let says_at_once = !asks;
        let waits = Waits { opened: Some(&choice), in_flight: Some(&[]), held: &held };
        let passes =
            Passes { context, config: &config, clock: &clock, stop: &stop, wait: args.wait, says_at_once, waits };
        let work = async |session, report: &mut Report| {
            let engine = Engine::new(session, held.journal.clone());
            if !agreed {
                *report = engine.resume(&[]).await.map_err(|error| campaign_failed(&error))?;
                return Err(not_agreed());
            }
            if !asked {
                declined =
                    match ask(context, &engine, Some(&choice), config.limit, &[], &stop, plan_table::warning_at_once)
                        .await?
                    {
                        Answer::Yes | Answer::NothingToAsk => None,
                        Answer::No(why) => Some(why),
                    };
                asked = true;
            }
            if declined.is_some() {
                return Ok(());
            }
            engine.finish_in_flight(&[], report).await.map_err(|error| campaign_failed(&error))?;
            engine.open_due(&choice, config.limit, report).await.map_err(|error| campaign_failed(&error))
        };
        let (report, failure) = Box::pin(passes.make(work)).await;
        if let Some(why) = declined {
            let exit = signalled.exit().unwrap_or(Exit::Failed);
            let failed = CliError::failed(format!("nothing was changed: {why}"), "`rotator plan` shows more");
            return Err(CliError { exit, ..failed });
        }
        let end = End { command: CommandKind::Run, waiting_ok: args.waiting_ok };
        finish(context, end, report, failure, &signalled, &held).await
    }))
}

/// Whether the journal has nothing that requires a call to AWS.
async fn is_at_rest(held: &HeldJournal, clock: &Arc<dyn Clock>) -> Result<bool, CliError> {
    let store = held.journal.store();
    let open = store.open_ids().await.map_err(|error| storage_failed(&error))?;
    // The local clock decides only whether AWS is asked.
    let watched = RotationFilter::WatchedAfter(clock.now().minus(LOOK_FOR_LATE_KEYS));
    let watched = store.summaries(watched).await.map_err(|error| storage_failed(&error))?;
    Ok(open.is_empty() && watched.is_empty())
}

/// The error if no setting says how long old keys stay and there is no terminal to ask on.
fn not_agreed() -> CliError {
    CliError::usage(
        format!("no rotation was opened: {AT_ONCE}, and there is no terminal to ask on"),
        "set `[policy] overlap` or `quarantine` (ROTATOR_POLICY_OVERLAP, --overlap), for example to 1h, or to 0s if old \
         keys are to be deleted at once; or say --yes",
    )
}
