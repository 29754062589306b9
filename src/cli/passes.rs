//! What `run` and `resume` share: connecting to AWS and the stores, doing the work, and with `--wait` repeating it
//! once the credentials work.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::config::{Config, warning_at_once};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::output::summary::{CommandKind, CommandOutcome, summarize};
use super::runtime::Signalled;
use super::session_end::Waits;
use super::wiring;
use super::wiring::journal::{HeldJournal, storage_failed};
use crate::engine::error::CampaignError;
use crate::engine::options::{Progress, Watcher};
use crate::engine::own_credentials::{Pass, TRY_AGAIN, until_they_work};
use crate::engine::report::Report;
use crate::engine::session::Session;
use crate::engine::shutdown::Stop;
use crate::engine::survey::choice::Unmatched;
use crate::journal::clock::Clock;
use crate::types::error_text::with_causes;

/// The context of `run` and `resume`.
pub(in crate::cli) struct Passes<'a> {
    pub(in crate::cli) context: &'a Context,
    pub(in crate::cli) config: &'a Config,
    pub(in crate::cli) clock: &'a Arc<dyn Clock>,
    pub(in crate::cli) stop: &'a Arc<Stop>,
    pub(in crate::cli) wait: bool,
    /// Whether to say which old keys are deleted at once, before the first rotation is opened.
    pub(in crate::cli) says_at_once: bool,
    /// What may be waited for.
    pub(in crate::cli) waits: Waits<'a>,
}

impl Passes<'_> {
    /// Connects and does `work`. With `--wait` it repeats that with the current credentials until they work. Returns
    /// the result of the last pass.
    pub(in crate::cli) async fn make(
        &self,
        mut work: impl AsyncFnMut(Arc<Session>, &mut Report) -> Result<(), CliError>,
    ) -> (Report, Option<CliError>) {
        let &Self { context, config, clock, stop, wait, ref waits, .. } = self;
        let mut touched = BTreeSet::new();
        let pass = async || {
            let (mut report, mut failures) = (Report::default(), None);
            let done = async {
                context.mfa.forget_failures();
                let connecting = wiring::connect(config, context, clock, stop, wait, self.watcher());
                let session = Box::pin(connecting).await?;
                waits.warn(&session, wait, context.terminal).await?;
                failures = Some(session.failures.clone());
                work(session, &mut report).await
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
            // Another pass would lack the same code.
            let failed = if context.mfa.lacks_a_code() { Vec::new() } else { failed };
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

impl Passes<'_> {
    fn watcher(&self) -> Option<Watcher> {
        let (terminal, shown) = (self.context.terminal, self.context.terminal.watcher());
        if !self.says_at_once {
            return shown;
        }
        Some(Arc::new(move |heard| {
            if let Progress::Due { keys, at_once } = heard
                && let Some(warning) = warning_at_once(at_once, keys)
            {
                terminal.say(&warning);
            }
            if let Some(shown) = &shown {
                shown(heard);
            }
        }))
    }
}

/// The error of a run whose own credentials fail.
fn lacking(failed: &[String]) -> CliError {
    CliError::of_credentials(
        failed.join("; "),
        "what needs these credentials was left as it is and is blocked by nothing: renew them, then run it again",
    )
}

/// What the summary of a command depends on.
#[derive(Clone, Copy)]
pub(in crate::cli) struct End {
    pub(in crate::cli) command: CommandKind,
    /// Whether waiting for a known time counts as done.
    pub(in crate::cli) waiting_ok: bool,
}

pub(in crate::cli) async fn finish(
    context: &Context,
    End { command, waiting_ok }: End,
    report: Report,
    failure: Option<CliError>,
    signalled: &Signalled,
    held: &HeldJournal,
) -> Result<Exit, CliError> {
    let roles_without_code = if context.mfa.lacks_a_code() { context.mfa.roles() } else { 0 };
    let outcome =
        CommandOutcome { command, waiting_ok, report, failure, signalled: signalled.exit(), roles_without_code };
    summarize(outcome, held.journal.store(), context.terminal).await
}

pub(in crate::cli) fn campaign_failed(error: &CampaignError) -> CliError {
    match error {
        CampaignError::Journal(error) => storage_failed(error),
        CampaignError::Survey(_) => CliError::failed(
            format!("the store could not be read: {}", with_causes(error)),
            "no rotation was opened; fix the cause, then run it again",
        ),
        CampaignError::NothingMatches { patterns, unread } => nothing_matches(patterns, unread),
    }
}

/// The error for a pattern that matches nothing. It may be a typing error, or mean an entry that could not be read.
fn nothing_matches(patterns: &[Unmatched], unread: &[String]) -> CliError {
    let named: Vec<String> = patterns.iter().map(|unmatched| format!("`{}`", unmatched.pattern)).collect();
    let origin = patterns.first().map_or("--only", |unmatched| unmatched.origin.as_str());
    let what = format!("{} of {origin} matches no key that was found or is in flight", named.join(", "));
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
        "no rotation was opened; `rotator plan` lists every key that was found".to_owned()
    } else {
        format!("no rotation was opened; the nearest is {}; `rotator plan` lists every key", nearest.join(", "))
    };
    CliError::usage(what, hint)
}
