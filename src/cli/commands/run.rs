//! `run` and `resume`: take the journal, arrive in the world, let the drive work.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::sync::Arc;

use super::plan;
use crate::adapters::kill_every_program;
use crate::adapters::system_clock::SystemClock;
use crate::cli::Context;
use crate::cli::args::{ChoiceArgs, ResumeArgs, RunArgs};
use crate::cli::config::Config;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::document::PlanDocument;
use crate::cli::output::summary::{CommandKind, CommandOutcome, summarize};
use crate::cli::output::table::{self, Paint};
use crate::cli::output::terminal::printable;
use crate::cli::runtime::{self, Signalled};
use crate::cli::wiring::{self, HeldJournal, storage_failed};
use crate::drive::campaign::{CampaignError, Drive, LOOK_FOR_LATE_KEYS};
use crate::drive::choice::{Choice, Unmatched};
use crate::drive::own_credentials::{Pass, TRY_AGAIN, until_they_work};
use crate::drive::report::{Report, with_causes};
use crate::drive::stop::Stop;
use crate::drive::world::World;
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
    let agreed = args.yes || asks || config.removal_is_set;
    if config.deletes_at_once() && !asks && agreed {
        context.terminal.say(AT_ONCE);
    }
    if !agreed && wiring::read_journal(&config.journal)?.is_none() {
        super::status::print_empty(context)?;
        return Err(not_agreed());
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let held = wiring::hold_journal(&config.journal, &clock)?;
    block_on(Box::pin(async {
        let stop = Arc::new(Stop::default());
        let signalled = runtime::listen(context, &stop, &clock)?;
        if !agreed && is_at_rest(&held, &clock).await? {
            let end = End { ended: CommandKind::Run, waiting_ok: args.waiting_ok };
            return finish(context, end, Report::default(), Some(not_agreed()), &signalled, &held).await;
        }
        let (mut asked, mut declined) = (!asks, None);
        let passes = Passes { context, config: &config, clock: &clock, stop: &stop, wait: args.wait };
        let work = async |world, report: &mut Report| {
            let drive = Drive::new(world, held.journal.clone());
            if !agreed {
                *report = drive.resume(&[]).await.map_err(|error| campaign_failed(&error))?;
                return Err(not_agreed());
            }
            if !asked {
                declined = ask_first(context, &config, &drive, &choice, args.limit, &stop).await?;
                asked = true;
            }
            if declined.is_some() {
                return Ok(());
            }
            drive.finish_in_flight(&[], report).await.map_err(|error| campaign_failed(&error))?;
            drive.open_due(&choice, args.limit, report).await.map_err(|error| campaign_failed(&error))
        };
        let (report, failure) = Box::pin(passes.make(work)).await;
        if let Some(why) = declined {
            let exit = signalled.exit().unwrap_or(Exit::Failed);
            let failed = CliError::failed(format!("nothing was changed: {why}"), "`rotator plan` shows more");
            return Err(CliError { exit, ..failed });
        }
        let end = End { ended: CommandKind::Run, waiting_ok: args.waiting_ok };
        finish(context, end, report, failure, &signalled, &held).await
    }))
}

/// Whether there is nothing to ask AWS about in this journal.
async fn is_at_rest(held: &HeldJournal, clock: &Arc<dyn Clock>) -> Result<bool, CliError> {
    let store = held.journal.store();
    let open = store.summaries(Which::Open).await.map_err(|error| storage_failed(&error))?;
    // Only whether AWS is asked is decided by the local clock.
    let watched = Which::WatchedAfter(clock.now().minus(LOOK_FOR_LATE_KEYS));
    let watched = store.summaries(watched).await.map_err(|error| storage_failed(&error))?;
    Ok(open.is_empty() && watched.is_empty())
}

/// Nothing says how long old keys stay, and there is no terminal to ask on.
fn not_agreed() -> CliError {
    CliError::usage(
        format!("no rotation was opened: {AT_ONCE}, and there is no terminal to ask on"),
        "set `[policy] overlap` or `quarantine` (ROTATOR_POLICY_OVERLAP, --overlap), for example to 1h, or to 0s if old \
         keys are to be deleted at once; or say --yes",
    )
}

/// `rotator resume`.
///
/// # Errors
/// [`CliError`] with the exit code that the failure calls for.
pub fn resume(context: &Context, args: &ResumeArgs) -> Result<Exit, CliError> {
    let choice = ChoiceArgs { concurrency: args.concurrency.clone(), ..ChoiceArgs::default() };
    let config = context.config(&choice)?;
    if wiring::read_journal(&config.journal)?.is_none() {
        if let Some(id) = args.ids.first() {
            return Err(unknown(*id));
        }
        context.terminal.say(&format!("there is no journal yet at {}", config.journal.display()));
        return super::status::print_empty(context);
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let held = wiring::hold_journal(&config.journal, &clock)?;
    let end = End { ended: CommandKind::Resume, waiting_ok: args.waiting_ok };
    drive_on(context, &config, &clock, &held, &args.ids, args.wait, end)
}

/// Drives what is in flight, or only `ids`, and ends as `resume` does.
pub(super) fn drive_on(
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
                return Err(unknown(*id));
            }
        }
        let open = store.summaries(Which::Open).await.map_err(|error| storage_failed(&error))?;
        let to_do = open.iter().filter(|summary| ids.is_empty() || ids.contains(&summary.rotation.id)).count();
        let stop = Arc::new(Stop::default());
        let signalled = runtime::listen(context, &stop, clock)?;
        // Only whether AWS is asked is decided by the local clock.
        let watched = Which::WatchedAfter(clock.now().minus(LOOK_FOR_LATE_KEYS));
        let watched = store.summaries(watched).await.map_err(|error| storage_failed(&error))?;
        if to_do == 0 && (watched.is_empty() || !ids.is_empty()) {
            // Nothing to ask AWS about. What was asked for is shown as it is.
            let report = Report { touched: ids.to_vec(), ..Report::default() };
            return finish(context, end, report, None, &signalled, held).await;
        }
        let passes = Passes { context, config, clock, stop: &stop, wait };
        let work = async |world, report: &mut Report| {
            let drive = Drive::new(world, held.journal.clone());
            *report = drive.resume(ids).await.map_err(|error| campaign_failed(&error))?;
            Ok(())
        };
        let (report, failure) = Box::pin(passes.make(work)).await;
        finish(context, end, report, failure, &signalled, held).await
    }))
}

/// What `run` and `resume` work in.
struct Passes<'a> {
    context: &'a Context,
    config: &'a Config,
    clock: &'a Arc<dyn Clock>,
    stop: &'a Arc<Stop>,
    wait: bool,
}

impl Passes<'_> {
    /// Arrives in the world and does the work in it; with `--wait` again and again, with the
    /// credentials as they are by then, for as long as these fail. What came of the last pass.
    async fn make(
        &self,
        mut work: impl AsyncFnMut(Arc<World>, &mut Report) -> Result<(), CliError>,
    ) -> (Report, Option<CliError>) {
        let &Self { context, config, clock, stop, wait } = self;
        let mut touched = BTreeSet::new();
        let pass = async || {
            let (mut report, mut failures) = (Report::default(), None);
            let done = async {
                let arriving = wiring::arrive(config, &context.given, clock, stop, wait, context.terminal);
                let world = Box::pin(arriving).await?;
                failures = Some(world.failures.clone());
                work(world, &mut report).await
            };
            let failure = Box::pin(done).await.err();
            touched.extend(std::mem::take(&mut report.touched));
            let mut failed = failures.map(|failures| failures.all()).unwrap_or_default();
            if let Some(error) = failure.as_ref().filter(|error| error.is_about_credentials && failed.is_empty()) {
                failed.push(error.message.clone());
            }
            let failure = match failure {
                None if failed.is_empty() => None,
                None => Some(lacking(&failed)),
                Some(error) => Some(CliError { is_about_credentials: !failed.is_empty(), ..error }),
            };
            Pass { came_to: (report, failure), failed }
        };
        let say = |failed: &[String]| {
            let minutes = TRY_AGAIN.as_secs() / 60;
            context.terminal.warn(&format!("{}; --wait tries again in {minutes} minutes", failed.join("; ")));
        };
        let Pass { came_to: (mut report, failure), .. } = until_they_work(clock.as_ref(), stop, wait, say, pass).await;
        report.touched = touched.into_iter().collect();
        (report, failure)
    }
}

/// The run as a whole ends for want of its own credentials.
fn lacking(failed: &[String]) -> CliError {
    CliError::of_credentials(
        failed.join("; "),
        "what needs these credentials was left as it is and is blocked by nothing: renew them, then run it again",
    )
}

/// How a command comes to its end.
#[derive(Clone, Copy)]
pub(super) struct End {
    /// Which command.
    pub(super) ended: CommandKind,
    /// Whether what waits for a stated time counts as done.
    pub(super) waiting_ok: bool,
}

async fn finish(
    context: &Context,
    End { ended, waiting_ok }: End,
    report: Report,
    failure: Option<CliError>,
    signalled: &Signalled,
    held: &HeldJournal,
) -> Result<Exit, CliError> {
    let outcome = CommandOutcome { ended, waiting_ok, report, failure, signalled: signalled.exit() };
    summarize(outcome, held.journal.store(), context.terminal).await
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
        CampaignError::NothingMatches { patterns, unread } => nothing_matches(patterns, unread),
    }
}

/// A pattern that matches nothing is a slip, unless it may have meant what could not be read.
fn nothing_matches(patterns: &[Unmatched], unread: &[String]) -> CliError {
    let named: Vec<String> = patterns.iter().map(|unmatched| format!("`{}`", unmatched.pattern)).collect();
    let what = format!("{} of --only matches no key that was found or is in flight", named.join(", "));
    if let Some(first) = unread.first() {
        let more = if unread.len() > 1 { format!(" and {} more", unread.len() - 1) } else { String::new() };
        return CliError::failed(
            format!("{what}, and not everything could be read: {first}{more}"),
            "no rotation was opened; remove the cause, then run it again",
        );
    }
    let nearest = patterns.iter().filter_map(|one| Some(format!("`{}` for `{}`", one.nearest.as_ref()?, one.pattern)));
    let nearest: Vec<String> = nearest.collect();
    let hint = if nearest.is_empty() {
        "no rotation was opened; the stores hold no access key".to_owned()
    } else {
        format!("no rotation was opened; the nearest is {}; `rotator plan` lists every key", nearest.join(", "))
    };
    CliError::usage(what, hint)
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
    // Nor may a program that was asked it outlive this process.
    kill_every_program();
    result
}
