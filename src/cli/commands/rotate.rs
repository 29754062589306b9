//! `rotate`: rotates the named keys, whatever their age; with `--now`, as for a key that has leaked, without a wait.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::ask::{Answer, ask};
use super::leaked_key::{Told, in_no_store, say_what_still_works};
use super::lost_key::what_becomes_of_it;
use super::still_active::{self, Done, When, as_key, exactly, has_stored};
use crate::adapters::system_clock::SystemClock;
use crate::cli::args::{ChoiceArgs, RotateArgs};
use crate::cli::config::{AT_ONCE, Config};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::document::DueShown;
use crate::cli::output::plan_table;
use crate::cli::output::summary::CommandKind;
use crate::cli::passes::{End, Passes, campaign_failed, finish};
use crate::cli::runtime::{self, block_on};
use crate::cli::session_end::Waits;
use crate::cli::wiring::journal::{self, HeldJournal, storage_failed};
use crate::engine::campaign::Engine;
use crate::engine::error::CampaignError;
use crate::engine::report::Report;
use crate::engine::session::Session;
use crate::engine::shutdown::Stop;
use crate::engine::survey::choice::{Choice, Names, Patterns};
use crate::engine::survey::rules::Terms;
use crate::journal::campaign::PlaceNote;
use crate::journal::clock::Clock;
use crate::journal::line::{Line, Summary};
use crate::journal::store::RotationFilter;
use crate::rotation::block_reason::BlockReason;
use crate::rotation::event::{Event, OperatorRequest};
use crate::rotation::intent::Intent;
use crate::rotation::policy::StillInUse;
use crate::rotation::record::Rotation;
use crate::rotation::state::State;
use crate::types::error_text::with_causes;
use crate::types::name::{AccessKeyId, RotationId};
use crate::types::shell::quoted;

/// What `--now` means for the old keys.
const WITHOUT_WAIT: &str = "--now uses neither overlap nor quarantine: each old key is deleted at once, as soon \
                                       as every place holds the new one";

/// Runs `rotator rotate`.
///
/// # Errors
/// Exit code 2 if a name fits nothing, or nothing says that old keys may be deleted at once; 4 if a named key cannot be
/// rotated; otherwise as `run`.
pub fn rotate(context: &Context, args: &RotateArgs) -> Result<Exit, CliError> {
    let (overlap, quarantine) = (args.overlap.clone(), args.quarantine.clone());
    let config = context.config(&ChoiceArgs { overlap, quarantine, ..ChoiceArgs::default() })?;
    let mut done = Done::default();
    let ended = rotate_named(context, args, &config, &mut done);
    let failed = match &ended {
        Ok(exit) => matches!(exit, Exit::HungUp | Exit::Interrupted | Exit::Terminated),
        Err(_) => true,
    };
    let says_enough = match &ended {
        Ok(exit) => *exit == Exit::Done,
        Err(error) => error.exit == Exit::Usage || done.declined,
    };
    if args.now && !says_enough {
        let journal = journal::read(&config.journal).ok().flatten();
        still_active::say(context, journal.as_ref(), &args.names, When::Ended { done: &done, failed }, &done.told);
    }
    ended
}

fn rotate_named(context: &Context, args: &RotateArgs, config: &Config, done: &mut Done) -> Result<Exit, CliError> {
    let told = &done.told;
    let mut choice = config.choice();
    for terms in std::iter::once(&mut choice.terms).chain(choice.rules.iter_mut().map(|rule| &mut rule.terms)) {
        whatever_its_age(terms, args.now);
    }
    let asks = context.terminal.can_ask && !args.yes;
    if !args.yes && !asks && (args.now || !config.removal_is_set) {
        return Err(not_agreed(args.now));
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let held = journal::hold(&config.journal, &clock)?;
    block_on(Box::pin(async {
        let stop = Arc::new(Stop::default());
        let signalled = runtime::listen(context, &stop, &clock)?;
        // Where the command asks, the question says so.
        let says_at_once = !asks && !args.now;
        if !asks && args.now {
            context.terminal.say(WITHOUT_WAIT);
        }
        let waits = Waits { opened: Some(&choice), in_flight: None, held: &held };
        let passes = Passes { context, config, clock: &clock, stop: &stop, wait: args.wait, says_at_once, waits };
        let (mut asked, mut declined) = (!asks, None);
        // The rotations of an earlier pass, which --wait repeats with new credentials.
        let mut opened = Vec::new();
        let work = async |session: Arc<Session>, report: &mut Report| {
            let engine = Engine::new(Arc::clone(&session), held.journal.clone());
            if !opened.is_empty() {
                return engine.finish_in_flight(&opened, report).await.map_err(|error| campaign_failed(&error));
            }
            let named = Named::find(&held, &args.names).await?;
            let choice = named.choice(&choice);
            if !asked {
                let in_flight = if args.now { named.in_flight.as_slice() } else { &[] };
                let warning = if args.now { without_wait } else { plan_table::warning_at_once };
                declined = match ask(context, &engine, choice.as_ref(), None, in_flight, &stop, warning).await? {
                    Answer::Yes | Answer::NothingToAsk => None,
                    Answer::No(why) => Some(why),
                };
                asked = true;
            }
            if declined.is_some() {
                return Ok(());
            }
            named.advance(&held, &engine, args.now, report).await?;
            named.say_what_stays(&held, args.now, context).await?;
            let Some(choice) = choice else { return Ok(()) };
            open_named(&session, &engine, &choice, report, told).await?;
            if args.now {
                say_what_still_works(&session, report, &held, context, told).await?;
            }
            opened.clone_from(&report.touched);
            Ok(())
        };
        let making = Box::pin(passes.make(work));
        let (mut report, failure) = still_active::say_beside(making, context, config, args, told).await;
        // Only the error about a key in no store has this exit code.
        let in_no_store = failure.as_ref().is_some_and(|error| error.exit == Exit::NeedsOperator);
        (done.touched, done.declined, done.in_no_store) = (report.touched.clone(), declined.is_some(), in_no_store);
        if let Some(why) = declined {
            let exit = signalled.exit().unwrap_or(Exit::Failed);
            let failed = CliError::failed(format!("nothing was changed: {why}"), "`rotator plan` shows more");
            return Err(CliError { exit, ..failed });
        }
        if failure.is_some() {
            Named::find(&held, &args.names).await?.count_in(&mut report);
        }
        let end = End { command: CommandKind::Rotate, waiting_ok: false };
        finish(context, end, report, failure, &signalled, &held).await
    }))
}

/// What is said before keys are rotated with `--now`.
fn without_wait(due: &[DueShown]) -> Option<String> {
    (!due.is_empty()).then(|| WITHOUT_WAIT.to_owned())
}

/// Opens rotations of the named keys that are in no rotation.
async fn open_named(
    session: &Session,
    engine: &Engine,
    choice: &Choice,
    report: &mut Report,
    told: &Told,
) -> Result<(), CliError> {
    match engine.open_due(choice, None, report).await {
        Ok(()) => {
            keep_the_named(report, choice.only.as_ref());
            Ok(())
        }
        // What could not be read may hold the key.
        Err(CampaignError::NothingMatches { patterns, unread }) if unread.is_empty() => {
            Err(match patterns.iter().find_map(|unmatched| as_key(&unmatched.pattern)) {
                Some(key) => in_no_store(session, &key, told).await,
                None => campaign_failed(&CampaignError::NothingMatches { patterns, unread }),
            })
        }
        Err(error) => Err(campaign_failed(&error)),
    }
}

/// The terms under which a named key is rotated: its age and its last use do not count, and with `now` nothing is waited
/// for but the proof of the new pair.
fn whatever_its_age(terms: &mut Terms, now: bool) {
    terms.older_than = Duration::ZERO;
    terms.again = true;
    terms.is_named = true;
    terms.unused_for = None;
    if now {
        terms.policy.overlap = Duration::ZERO;
        terms.policy.quarantine = Duration::ZERO;
        terms.policy.still_in_use = StillInUse::Ignore;
    }
}

/// The error where nothing says that deleting at once is meant, and there is no terminal to ask on.
fn not_agreed(now: bool) -> CliError {
    let why = match now {
        true => "--now deletes the old key as soon as every place holds the new one and it works",
        false => AT_ONCE,
    };
    CliError::usage(
        format!("no rotation was opened: {why}, and there is no terminal to ask on"),
        "say --yes if this is meant; without --now, `[policy] overlap` and `quarantine` keep the old key for a time",
    )
}

/// What the names mean.
struct Named {
    /// The rotations in flight that a name fits.
    in_flight: Vec<Rotation>,
    /// The names of keys that a rotation is to be opened for. `None`: each name is that of a rotation in flight.
    to_open: Option<Patterns>,
}

impl Named {
    /// Makes the report count these rotations in flight. The result is about what was named, also where a failure came before
    /// it.
    fn count_in(&self, report: &mut Report) {
        report.touched.extend(self.in_flight.iter().map(|rotation| rotation.id));
        report.touched.sort();
        report.touched.dedup();
    }

    /// A name fits a rotation as it fits a key: by the user, a key, an entry or its `<app>/<environment>`.
    async fn find(held: &HeldJournal, names: &[String]) -> Result<Self, CliError> {
        let open =
            held.journal.store().summaries(RotationFilter::Open).await.map_err(|error| storage_failed(&error))?;
        let (mut in_flight, mut to_open): (Vec<Rotation>, _) = (Vec::new(), Vec::new());
        for name in names {
            let pattern = exactly(std::slice::from_ref(name))?;
            let fits = |rotation: &&Rotation| pattern.matches(&Names::of_rotation(rotation));
            let fitting: Vec<&Rotation> = open.iter().map(|open| &open.rotation).filter(fits).collect();
            // A rotation of the user or of the old key does what is asked. A new key that has leaked needs another one, if a
            // place holds it: rotator deletes a new key whose secret is lost.
            let is_new_key = |rotation: &&Rotation| rotation.new_key.as_ref().is_some_and(|key| key.as_str() == name);
            if fitting.iter().all(|rotation| is_new_key(rotation) && has_stored(rotation)) {
                to_open.push(name.clone());
            }
            in_flight.extend(fitting.into_iter().cloned());
        }
        let to_open = if to_open.is_empty() { None } else { Some(exactly(&to_open)?) };
        Ok(Self { in_flight, to_open })
    }

    /// The choice of exactly the keys that a rotation is to be opened for.
    fn choice(&self, choice: &Choice) -> Option<Choice> {
        Some(Choice { only: Some(self.to_open.clone()?), ..choice.clone() })
    }

    /// Advances the named rotations in flight; with `now`, past their waits.
    async fn advance(
        &self,
        held: &HeldJournal,
        engine: &Engine,
        now: bool,
        report: &mut Report,
    ) -> Result<(), CliError> {
        let ids: BTreeSet<RotationId> = self.in_flight.iter().map(|rotation| rotation.id).collect();
        let ids: Vec<RotationId> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(());
        }
        if now {
            // What is asked for before the new pair is stored counts once it is.
            request_delete(held, &ids, |rotation| !has_stored(rotation)).await?;
        }
        engine.finish_in_flight(&ids, report).await.map_err(|error| campaign_failed(&error))?;
        if !now {
            return Ok(());
        }
        // After a look: only that shows whether an operator made the old key active again.
        let requested = request_delete(held, &ids, |_| true).await?;
        if requested.is_empty() {
            return Ok(());
        }
        // What they come to now is what counts.
        report.troubles.retain(|(of, _)| of.is_none_or(|of| !requested.contains(&of)));
        engine.finish_in_flight(&requested, report).await.map_err(|error| campaign_failed(&error))?;
        let once: BTreeSet<RotationId> = report.touched.iter().copied().collect();
        report.touched = once.into_iter().collect();
        Ok(())
    }
}

impl Named {
    /// Says what became of the new keys that the rotations in flight made, and what is left to do after an abort.
    async fn say_what_stays(&self, held: &HeldJournal, now: bool, context: &Context) -> Result<(), CliError> {
        for before in &self.in_flight {
            let found = held.journal.store().summary(before.id).await.map_err(|error| storage_failed(&error))?;
            let Some(Summary { rotation, .. }) = found else { continue };
            let (user, old) = (&rotation.opened.user, &rotation.opened.old_key);
            if now && rotation.is_aborted() {
                context.terminal.say(&format!(
                    "{user}: the rotation in flight ended aborted, so {old} is still in every place; to replace it:\n  \
                     rotator rotate {} --now",
                    quoted(user.as_str())
                ));
            }
            let is_replaced =
                |key: &&AccessKeyId| !self.to_open.as_ref().is_some_and(|names| names.match_any([key.as_str()]));
            let lines = held.journal.store().lines(before.id).await.map_err(|error| storage_failed(&error))?;
            let is_deleted = |key: &&AccessKeyId| rotation.new_key.as_ref() != Some(*key) && was_discarded(&lines, key);
            if let Some(lost) = before.new_key.as_ref().filter(is_deleted) {
                context.terminal.say(&format!("{user}: the new key {lost}, whose secret was lost, is deleted"));
            }
            let stays = rotation.new_key.as_ref().filter(|_| has_stored(&rotation)).filter(is_replaced);
            if let Some(new) = stays {
                context.terminal.say(&format!(
                    "{user}: the rotation in flight replaces {old}; the key {new} that it made stays; if {new} itself has \
                     leaked:\n  rotator rotate {new} --now"
                ));
            }
            if let Some(becomes) = what_becomes_of_it(&rotation, rotation.abort_asked) {
                context.terminal.say(&format!("{user}: {becomes}"));
            }
        }
        Ok(())
    }
}

/// Whether a discard of this key was asked for, and not only that it was found to be of another program.
fn was_discarded(lines: &[Line], key: &AccessKeyId) -> bool {
    let is_of_it =
        |line: &Line| matches!(&line.event, Event::Intended(Intent::DiscardNew { key: of, .. }) if of == key);
    lines.iter().any(is_of_it)
}

/// Whether a request to delete the old key without a wait ends nothing but waits. What an operator has decided about that
/// key or must decide about its user stays: it is changed by `resolve` only.
fn takes_the_request(rotation: &Rotation) -> bool {
    let is_asked = match &rotation.state {
        State::Closed { .. } => return false,
        State::Settled { .. } | State::InDoubt { .. } => false,
        State::Blocked { reason, .. } => {
            matches!(reason, BlockReason::UserNotFound { .. } | BlockReason::OldKeyReactivated { .. })
        }
    };
    !is_asked && !rotation.is_never_deactivated_again() && !rotation.named.contains(&rotation.opened.old_key)
}

/// Journals for the chosen rotations that the old key is to be deleted without a wait, as `resolve --finish` does. Every
/// check before a removal stays. Returns the rotations that were not asked for it before.
async fn request_delete(
    held: &HeldJournal,
    ids: &[RotationId],
    is_chosen: impl Fn(&Rotation) -> bool,
) -> Result<Vec<RotationId>, CliError> {
    let failed = |error| CliError::failed(with_causes(&error), "look at `rotator status`, then run the command again");
    let mut requested = Vec::new();
    for id in ids {
        let found = held.journal.store().summary(*id).await.map_err(|error| storage_failed(&error))?;
        let Some(Summary { rotation, .. }) = found else { continue };
        if !takes_the_request(&rotation) || !is_chosen(&rotation) {
            continue;
        }
        let journal = held.journal.replay(*id).await.map_err(failed)?;
        let asked = OperatorRequest::DeleteKey { key: rotation.opened.old_key };
        let _ = journal.note(Event::Asked(asked)).await.map_err(failed)?;
        requested.push(*id);
    }
    Ok(requested)
}

/// Keeps the notes about the named keys and entries. Each says why a key was not rotated, so each needs an operator.
fn keep_the_named(report: &mut Report, names: Option<&Patterns>) {
    let chosen = std::mem::take(&mut report.chosen);
    let is_named = |place: &PlaceNote| {
        let scope = place.entry.rsplit_once('/').map_or("", |(scope, _)| scope);
        names.is_some_and(|names| names.match_any([place.entry.as_str(), scope]))
    };
    report.left_alone.retain(|note| match &note.key_id {
        Some(key) => chosen.contains(key),
        None => note.places.iter().any(is_named),
    });
    for note in &mut report.left_alone {
        note.due = true;
    }
}
