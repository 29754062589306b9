//! Which of the keys that `rotate --now` names may still work, what is on record about each, and how to turn it off. It is
//! said when the command ends without a new pair everywhere, and before that if the stores or AWS take long to answer.

use std::cell::LazyCell;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use super::leaked_key::Told;
use super::operator_request::on_record;
use crate::adapters::sqlite_journal::SyncReader;
use crate::cli::args::RotateArgs;
use crate::cli::config::Config;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::awaited::Silent;
use crate::cli::output::progress::{self, Looking};
use crate::cli::wiring::journal;
use crate::engine::survey::choice::{Names, Patterns};
use crate::journal::line::Summary;
use crate::journal::store::RotationFilter;
use crate::rotation::block_reason::BlockReason;
use crate::rotation::event::Ending;
use crate::rotation::record::Rotation;
use crate::rotation::state::{Phase, State};
use crate::types::name::{AccessKeyId, AccountId, RotationId};
use crate::types::shell::quoted;

/// What chooses the keys, in the words of a message.
const BY_NAME: &str = "the keys named on the command line";

/// What the command had done when it ended.
#[derive(Default)]
pub(super) struct Done {
    /// The rotations that it advanced.
    pub(super) touched: Vec<RotationId>,
    /// Whether the operator declined.
    pub(super) declined: bool,
    /// Whether its error is about a named key that no store holds, and says how to turn that off.
    pub(super) in_no_store: bool,
    /// What it has printed.
    pub(super) told: Told,
}

/// When it is said.
#[derive(Clone, Copy)]
pub(super) enum When<'a> {
    /// The command is at work, and has changed nothing yet.
    AtWork,
    /// It has ended. `failed`: it did not get to all names.
    Ended { done: &'a Done, failed: bool },
}

/// After this time a key that may be abused is not to wait for the stores and AWS.
const AT_WORK_AFTER: Duration = Duration::from_secs(3);
const LOOKS_EVERY: Duration = Duration::from_millis(200);

/// Does the work of a `rotate`. With `--now`, says it once meanwhile if the stores or AWS take long to answer.
pub(super) async fn say_beside<T>(
    work: impl Future<Output = T>,
    context: &Context,
    config: &Config,
    args: &RotateArgs,
    told: &Told,
) -> T {
    tokio::select! {
        biased;
        made = work => made,
        never = say_if_it_takes_long(context, config, &args.names, told), if args.now => match never {},
    }
}

async fn say_if_it_takes_long(context: &Context, config: &Config, names: &[String], told: &Told) -> Infallible {
    let mut began = Instant::now();
    loop {
        tokio::time::sleep(LOOKS_EVERY).await;
        let why = match progress::looking() {
            Looking::Paused => {
                began = Instant::now();
                continue;
            }
            Looking::Still(silent) | Looking::Advancing { silent, .. } if !silent.is_empty() => {
                silent.iter().map(Silent::in_full).collect::<Vec<_>>().join("; ")
            }
            Looking::Still(_) if began.elapsed() >= AT_WORK_AFTER => "the stores have not all been read yet".to_owned(),
            Looking::Advancing { is_refused: true, .. } => "a call is refused, and is tried again".to_owned(),
            Looking::Still(_) | Looking::Advancing { .. } => continue,
        };
        context.terminal.say(&why);
        progress::told_who_is_silent();
        let journal = journal::read(&config.journal).ok().flatten();
        say(context, journal.as_ref(), names, When::AtWork, told);
        return std::future::pending().await;
    }
}

/// Says it of each name.
pub(super) fn say(context: &Context, journal: Option<&SyncReader>, names: &[String], when: When<'_>, told: &Told) {
    // What cannot be read now may hold a rotation, and the way to turn a key off is the same.
    let read = |which| journal.and_then(|journal| journal.summaries(which).ok()).unwrap_or_default();
    let open = read(RotationFilter::Open);
    // A journal of years takes seconds to read, and most names have a rotation in flight.
    let all = LazyCell::new(|| read(RotationFilter::All));
    let mut said = Vec::new();
    for name in names {
        for key in keys(name, &open, || all.as_slice(), when) {
            if !said.contains(&key) {
                context.terminal.say(&key.in_words(told));
                said.push(key);
            }
        }
    }
}

/// A key that may still work.
#[derive(PartialEq, Eq)]
struct Key {
    /// What is known of it, up to how it is turned off.
    words: String,
    /// The command that finds it, if its user or its id is unknown.
    find: Option<String>,
    /// Its user, as a word of the shell, and its id.
    user: String,
    id: String,
    /// The account, if the journal knows it.
    account: Option<AccountId>,
}

impl Key {
    fn in_words(&self, told: &Told) -> String {
        let found = self.find.as_ref().map(|find| told.found_by(find)).unwrap_or_default();
        let off = told.turned_off_by(&self.user, &self.id, self.account.as_ref());
        format!("{}{found}if it is abused now, {off}", self.words)
    }
}

fn keys<'a>(name: &str, open: &[Summary], all: impl FnOnce() -> &'a [Summary], when: When<'_>) -> Vec<Key> {
    let Ok(pattern) = exactly(std::slice::from_ref(&name.to_owned())) else { return Vec::new() };
    let fits = |summary: &&Summary| pattern.matches(&Names::of_rotation(&summary.rotation));
    let in_flight: Vec<&Rotation> = open.iter().filter(fits).map(|open| &open.rotation).collect();
    if !in_flight.is_empty() {
        return in_flight.into_iter().filter_map(|rotation| of_open(rotation, name, when)).collect();
    }
    let latest = all().iter().rev().filter(|one| one.rotation.is_closed()).find(fits).map(|closed| &closed.rotation);
    let (is_own, failed, in_no_store) = match (when, latest) {
        (When::AtWork, _) => (false, true, false),
        (When::Ended { done, failed }, Some(rotation)) => (done.touched.contains(&rotation.id), failed, false),
        (When::Ended { done, failed }, None) => (false, failed, done.in_no_store),
    };
    match latest {
        Some(rotation) if failed || (is_own && rotation.is_aborted()) => {
            of_closed(rotation, name, is_own, when).into_iter().collect()
        }
        None if failed && !(in_no_store && as_key(name).is_some()) => vec![of_unknown(name, when)],
        Some(_) | None => Vec::new(),
    }
}

pub(super) fn as_key(name: &str) -> Option<AccessKeyId> {
    AccessKeyId::new(name).ok().filter(|_| name.starts_with("AKIA"))
}

/// Of a rotation in flight either key may have leaked.
fn of_open(rotation: &Rotation, name: &str, when: When<'_>) -> Option<Key> {
    let (user, old) = (&rotation.opened.user, &rotation.opened.old_key);
    let word = quoted(user.as_str());
    if let Some(new) = rotation.new_key.as_ref().filter(|new| new.as_str() == name) {
        let again = format!("once the rotation of {old} has ended, `rotator rotate {new} --now` replaces it");
        let is_done = matches!(when, When::Ended { failed: false, .. }) && has_stored(rotation);
        return (!is_done).then(|| may_work(rotation, new, &again, when));
    }
    let policy = &rotation.opened.policy;
    let record = match () {
        () if rotation.named.contains(old) => on_record(old),
        () if rotation.is_never_deactivated_again() => {
            format!("an operator made it active again, so only `rotator resolve {word} --finish` deletes it")
        }
        () if policy.overlap.is_zero() && policy.quarantine.is_zero() => {
            format!("its rotation deletes it without a wait: `rotator resume {word}` continues that")
        }
        () => format!("no request to delete it is on record: run `rotator rotate {word} --now` again"),
    };
    old_key_may_work(rotation).then(|| may_work(rotation, old, &record, when))
}

/// The key that a closed rotation has left in the places of its user. `is_own`: the command itself ended it.
fn of_closed(rotation: &Rotation, name: &str, is_own: bool, when: When<'_>) -> Option<Key> {
    let (user, old) = (&rotation.opened.user, &rotation.opened.old_key);
    let key = match &rotation.state {
        State::Closed { ending: Ending::Aborted } => Some(old),
        State::Closed { ending: Ending::DeletedOld } if !is_own && old.as_str() != name => rotation.new_key.as_ref(),
        State::Closed { .. } | State::Settled { .. } | State::InDoubt { .. } | State::Blocked { .. } => None,
    };
    let again = format!("nothing is on record about it: run `rotator rotate {} --now` again", quoted(user.as_str()));
    key.map(|key| may_work(rotation, key, &again, when))
}

/// A name that the journal does not know: a key, a user or an entry.
fn of_unknown(name: &str, when: When<'_>) -> Key {
    let (user, id, find) = match as_key(name) {
        Some(key) => {
            let find = format!("aws iam get-access-key-last-used --access-key-id {key}");
            ("USER".to_owned(), key.to_string(), find)
        }
        None => {
            let user = if name.contains('/') { "USER".to_owned() } else { quoted(name) };
            let find = format!("aws iam list-access-keys --user-name {user}");
            (user, "KEY".to_owned(), find)
        }
    };
    let words = match when {
        When::AtWork => format!("{name}: its key may work until it is replaced, and "),
        When::Ended { .. } => {
            let again = quoted(name);
            format!(
                "nothing is on record about {name}: run `rotator rotate {again} --now` again\n  its key may still work, and "
            )
        }
    };
    Key { words, find: Some(find), user, id, account: None }
}

/// `record`: what is on record about the key once the command has ended.
fn may_work(rotation: &Rotation, key: &AccessKeyId, record: &str, when: When<'_>) -> Key {
    let (user, account) = (&rotation.opened.user, Some(rotation.opened.account.clone()));
    let words = match when {
        When::AtWork => format!("{user}: {key} may work until it is replaced; "),
        When::Ended { .. } => format!("{user}: {key} may still work; {record}; "),
    };
    Key { words, find: None, user: quoted(user.as_str()), id: key.to_string(), account }
}

/// Whether the old key works, as far as the rotation knows.
pub(super) fn old_key_may_work(rotation: &Rotation) -> bool {
    let is_off = match &rotation.state {
        State::Blocked { reason, .. } => matches!(
            reason,
            BlockReason::OldKeyNotActive { .. } | BlockReason::OldKeyGone { .. } | BlockReason::UserNotFound { .. }
        ),
        State::Settled { .. } | State::InDoubt { .. } | State::Closed { .. } => false,
    };
    !is_off && !matches!(rotation.state.phase(), None | Some(Phase::DeactivatedOld { .. }))
}

/// Whether every place holds the new pair.
pub(super) fn has_stored(rotation: &Rotation) -> bool {
    match &rotation.state {
        State::Closed { ending } => *ending == Ending::DeletedOld,
        State::Settled { phase } | State::InDoubt { phase, .. } | State::Blocked { phase, .. } => {
            matches!(phase, Phase::StoredNew { .. } | Phase::DeactivatedOld { .. })
        }
    }
}

/// Patterns that match exactly these names.
pub(super) fn exactly(names: &[String]) -> Result<Patterns, CliError> {
    let escaped: Vec<String> = names.iter().map(|name| globset::escape(name)).collect();
    Patterns::new(&escaped, BY_NAME).map_err(|(name, why)| {
        CliError::usage(format!("`{}` names no key: {why}", name.unwrap_or_default()), "name users or key ids")
    })
}
