//! `run` and `resume`: take the journal, arrive in the world, let the drive work.

use std::io::BufRead;
use std::sync::Arc;

use super::Context;
use super::args::{ChoiceArgs, ResumeArgs, RunArgs};
use super::conclude::{Ended, Happened, conclude};
use super::config::Config;
use super::error::CliError;
use super::exit::Exit;
use super::output::document::PlanDocument;
use super::output::table::{self, Paint};
use super::output::terminal::printable;
use super::plan;
use super::signals::{self, Signalled};
use super::wire::{self, HeldJournal, storage_failed};
use crate::adapters::system_clock::SystemClock;
use crate::drive::campaign::{CampaignError, Drive, LOOK_FOR_LATE_KEYS};
use crate::drive::report::{Report, with_causes};
use crate::drive::stop::Stop;
use crate::drive::survey::Choice;
use crate::journal::clock::Clock;
use crate::journal::store::Which;
use crate::rotation::name::RotationId;

/// What is said wherever it is so.
pub const AT_ONCE: &str = "neither overlap nor quarantine is set: each old key is deleted at once, as soon as every \
                           place holds the new one";

/// `rotator run`.
///
/// # Errors
/// [`CliError`] with the exit code that the failure calls for.
pub fn run(context: &Context, args: &RunArgs) -> Result<Exit, CliError> {
    if args.dry_run {
        return plan::plan(context, &args.choice);
    }
    let config = context.config(&args.choice)?;
    let choice = config.choice(&args.choice)?;
    let asks = context.terminal.can_ask && !args.yes;
    if config.deletes_at_once() && !asks {
        context.terminal.say(AT_ONCE);
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let held = wire::hold_journal(&config.journal, &clock)?;
    block_on(Box::pin(async {
        let stop = Arc::new(Stop::default());
        let signalled = signals::listen(context, &stop, &clock)?;
        let mut report = Report::default();
        let mut declined = None;
        let done = async {
            let world = wire::arrive(&config, &context.given, &clock, &stop, args.wait, context.terminal).await?;
            let drive = Drive::new(world, held.journal.clone());
            if asks {
                declined = ask_first(context, &config, &drive, &choice, args.limit, &stop).await?;
                if declined.is_some() {
                    return Ok(());
                }
            }
            drive.finish_in_flight(&[], &mut report).await.map_err(|error| campaign_failed(&error))?;
            drive.open_due(&choice, args.limit, &mut report).await.map_err(|error| campaign_failed(&error))
        };
        let failure = Box::pin(done).await.err();
        if let Some(why) = declined {
            let exit = signalled.exit().unwrap_or(Exit::Failed);
            let hint = "`rotator plan` shows more".to_owned();
            return Err(CliError { message: format!("nothing was changed: {why}"), hint, exit });
        }
        finish(context, Ended::Run, report, failure, &signalled, &held).await
    }))
}

/// `rotator resume`.
///
/// # Errors
/// [`CliError`] with the exit code that the failure calls for.
pub fn resume(context: &Context, args: &ResumeArgs) -> Result<Exit, CliError> {
    let choice = ChoiceArgs { concurrency: args.concurrency.clone(), ..ChoiceArgs::default() };
    let config = context.config(&choice)?;
    if wire::read_journal(&config.journal)?.is_none() {
        if let Some(id) = args.ids.first() {
            return Err(unknown(*id));
        }
        context.terminal.say(&format!("there is no journal yet at {}", config.journal.display()));
        return super::status::print_empty(context);
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let held = wire::hold_journal(&config.journal, &clock)?;
    drive_on(context, &config, &clock, &held, &args.ids, args.wait)
}

/// Drives what is in flight, or only `ids`, and ends as `resume` does.
pub(super) fn drive_on(
    context: &Context,
    config: &Config,
    clock: &Arc<dyn Clock>,
    held: &HeldJournal,
    ids: &[RotationId],
    wait: bool,
) -> Result<Exit, CliError> {
    block_on(Box::pin(async {
        let store = held.journal.store();
        for id in ids {
            if store.summary(*id).await.map_err(|error| storage_failed(&error))?.is_none() {
                return Err(unknown(*id));
            }
        }
        let open = store.summaries(Which::Open).await.map_err(|error| storage_failed(&error))?;
        let to_do = open.iter().filter(|summary| ids.is_empty() || ids.contains(&summary.rotation.id)).count();
        let stop = Arc::new(Stop::default());
        let signalled = signals::listen(context, &stop, clock)?;
        // Only whether AWS is asked is decided by the local clock.
        let watched = Which::WatchedAfter(clock.now().minus(LOOK_FOR_LATE_KEYS));
        let watched = store.summaries(watched).await.map_err(|error| storage_failed(&error))?;
        if to_do == 0 && (watched.is_empty() || !ids.is_empty()) {
            // Nothing to ask AWS about. What was asked for is shown as it is.
            let report = Report { touched: ids.to_vec(), ..Report::default() };
            return finish(context, Ended::Resume, report, None, &signalled, held).await;
        }
        let done = async {
            let world = wire::arrive(config, &context.given, clock, &stop, wait, context.terminal).await?;
            let drive = Drive::new(world, held.journal.clone());
            drive.resume(ids).await.map_err(|error| campaign_failed(&error))
        };
        let (report, failure) = match Box::pin(done).await {
            Ok(report) => (report, None),
            Err(failure) => (Report::default(), Some(failure)),
        };
        finish(context, Ended::Resume, report, failure, &signalled, held).await
    }))
}

async fn finish(
    context: &Context,
    ended: Ended,
    report: Report,
    failure: Option<CliError>,
    signalled: &Signalled,
    held: &HeldJournal,
) -> Result<Exit, CliError> {
    let happened = Happened { ended, report, failure, signalled: signalled.exit() };
    conclude(happened, held.journal.store(), context.terminal).await
}

fn unknown(id: RotationId) -> CliError {
    CliError::usage(format!("the journal knows no rotation {id}"), "`rotator status --all` lists every one")
}

pub(super) fn campaign_failed(error: &CampaignError) -> CliError {
    match error {
        CampaignError::Journal(error) => storage_failed(error),
        CampaignError::Survey(_) => CliError::failed(
            format!("the store could not be read: {}", with_causes(error)),
            "no rotation was opened; mend the cause, then `rotator run` again",
        ),
    }
}

/// Shows the plan and asks; why the answer is no, if it is. Finishing what is in flight needs no new yes.
async fn ask_first(
    context: &Context,
    config: &Config,
    drive: &Drive,
    choice: &Choice,
    limit: Option<usize>,
    stop: &Stop,
) -> Result<Option<&'static str>, CliError> {
    let mut plan = drive.plan(choice).await.map_err(|error| campaign_failed(&error))?;
    plan.due.truncate(limit.unwrap_or(usize::MAX));
    if plan.due.is_empty() {
        return Ok(None);
    }
    let shown = PlanDocument::new(&plan.due, &plan.left_alone);
    let terminal = context.terminal;
    terminal.raw(&table::due(&shown.due, Paint(terminal.color_on_stderr)));
    if config.deletes_at_once() {
        terminal.warn(AT_ONCE);
    }
    let number = plan.due.len();
    let keys = if number == 1 { "this key" } else { &format!("these {number} keys") };
    terminal.raw(&printable(&format!("Rotate {keys}? [y/N] ")));
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    Ok(tokio::select! {
        answer = answer => match answer {
            Ok(Ok(line)) if ["y", "yes"].contains(&line.trim().to_lowercase().as_str()) => None,
            Ok(_) | Err(_) => Some("the answer was no"),
        },
        () = stop.wait() => Some("it was interrupted"),
    })
}

/// Runs a command that talks to AWS.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        CliError::failed(format!("the asynchronous runtime could not start: {error}"), "nothing was changed; try again")
    })?;
    let result = runtime.block_on(future);
    // A question that nobody has answered must not keep the process.
    runtime.shutdown_background();
    result
}
