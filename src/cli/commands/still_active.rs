//! What `rotate --now` leaves: which of the named keys may still work, what is on record about each, and how to turn it off.

use std::cell::LazyCell;

use super::leaked_key::turned_off_by;
use super::operator_request::on_record;
use crate::adapters::sqlite_journal::SyncReader;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::engine::survey::choice::{Names, Patterns};
use crate::journal::line::Summary;
use crate::journal::store::RotationFilter;
use crate::rotation::block_reason::BlockReason;
use crate::rotation::event::Ending;
use crate::rotation::record::Rotation;
use crate::rotation::state::{Phase, State};
use crate::types::name::{AccessKeyId, RotationId};
use crate::types::shell::quoted;

/// What chooses the keys, in the words of a message.
const BY_NAME: &str = "the names of rotate";

/// What the command had done when it ended.
#[derive(Default)]
pub(super) struct Done {
    /// The rotations that it advanced.
    pub(super) touched: Vec<RotationId>,
    /// Whether the operator declined.
    pub(super) declined: bool,
    /// Whether its error is about a named key that no store holds, and says how to turn that off.
    pub(super) in_no_store: bool,
}

/// Says it of each name. `failed`: the command did not get to all of them.
pub(super) fn say(context: &Context, journal: Option<&SyncReader>, names: &[String], done: &Done, failed: bool) {
    // What cannot be read now may hold a rotation, and the way to turn a key off is the same.
    let read = |which| journal.and_then(|journal| journal.summaries(which).ok()).unwrap_or_default();
    let open = read(RotationFilter::Open);
    // A journal of years takes seconds to read, and most names have a rotation in flight.
    let all = LazyCell::new(|| read(RotationFilter::All));
    let mut said = Vec::new();
    for name in names {
        for line in lines(name, &open, || all.as_slice(), done, failed) {
            if !said.contains(&line) {
                context.terminal.say(&line);
                said.push(line);
            }
        }
    }
}

fn lines<'a>(
    name: &str,
    open: &[Summary],
    all: impl FnOnce() -> &'a [Summary],
    done: &Done,
    failed: bool,
) -> Vec<String> {
    let Ok(pattern) = exactly(std::slice::from_ref(&name.to_owned())) else { return Vec::new() };
    let fits = |summary: &&Summary| pattern.matches(&Names::of_rotation(&summary.rotation));
    let in_flight: Vec<&Rotation> = open.iter().filter(fits).map(|open| &open.rotation).collect();
    if !in_flight.is_empty() {
        return in_flight.into_iter().filter_map(|rotation| of_open(rotation, name, failed)).collect();
    }
    let latest = all().iter().rev().filter(|one| one.rotation.is_closed()).find(fits).map(|closed| &closed.rotation);
    let is_own = |rotation: &&Rotation| done.touched.contains(&rotation.id);
    match latest {
        Some(rotation) if failed || (is_own(&rotation) && rotation.is_aborted()) => {
            of_closed(rotation, name, is_own(&rotation)).into_iter().collect()
        }
        None if failed && !(done.in_no_store && as_key(name).is_some()) => vec![of_unknown(name)],
        Some(_) | None => Vec::new(),
    }
}

pub(super) fn as_key(name: &str) -> Option<AccessKeyId> {
    AccessKeyId::new(name).ok().filter(|_| name.starts_with("AKIA"))
}

/// Of a rotation in flight either key may have leaked.
fn of_open(rotation: &Rotation, name: &str, failed: bool) -> Option<String> {
    let (user, old) = (&rotation.opened.user, &rotation.opened.old_key);
    let word = quoted(user.as_str());
    if let Some(new) = rotation.new_key.as_ref().filter(|new| new.as_str() == name) {
        let again = format!("once the rotation of {old} has ended, `rotator rotate {new} --now` replaces it");
        return (failed || !has_stored(rotation)).then(|| still_works(user.as_str(), &word, new, &again));
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
    old_key_may_work(rotation).then(|| still_works(user.as_str(), &word, old, &record))
}

/// The key that a closed rotation has left in the places of its user. `is_own`: the command itself ended it.
fn of_closed(rotation: &Rotation, name: &str, is_own: bool) -> Option<String> {
    let (user, old) = (&rotation.opened.user, &rotation.opened.old_key);
    let key = match &rotation.state {
        State::Closed { ending: Ending::Aborted } => Some(old),
        State::Closed { ending: Ending::DeletedOld } if !is_own && old.as_str() != name => rotation.new_key.as_ref(),
        State::Closed { .. } | State::Settled { .. } | State::InDoubt { .. } | State::Blocked { .. } => None,
    };
    let word = quoted(user.as_str());
    let again = format!("nothing is on record about it: run `rotator rotate {word} --now` again");
    key.map(|key| still_works(user.as_str(), &word, key, &again))
}

/// A name that the journal does not know: a key, a user or an entry.
fn of_unknown(name: &str) -> String {
    let again = format!("nothing is on record about {name}: run `rotator rotate {} --now` again", quoted(name));
    let (user, key, find) = match as_key(name) {
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
    format!(
        "{again}\n  its key may still work, and this finds it:\n  {find}\n  if it is abused now, {}",
        turned_off_by(&user, &key)
    )
}

fn still_works(user: &str, word: &str, key: &AccessKeyId, record: &str) -> String {
    format!("{user}: {key} may still work; {record}; if it is abused now, {}", turned_off_by(word, key.as_str()))
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
