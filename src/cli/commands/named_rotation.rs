//! Which rotation is meant: by its user, its old or new key, its id, the beginning of one of these, or an entry that the
//! key is in.

use crate::adapters::sqlite_journal::SyncReader;
use crate::cli::error::CliError;
use crate::cli::wiring::journal::storage_failed;
pub(super) use crate::engine::account_label::called;
use crate::engine::survey::choice::Names;
use crate::journal::line::Summary;
use crate::journal::store::RotationFilter;
use crate::rotation::event::Ending;
use crate::rotation::record::Rotation;
use crate::rotation::state::State;
use crate::types::name::RotationId;
use crate::types::shell::quoted;

/// How many rotations a message lists.
const MOST_LISTED: usize = 5;

/// The least number of characters of an id that names a rotation.
const LEAST_OF_ID: usize = 8;

/// Which beginnings name a rotation, beside whole users, keys and ids.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// That of its user, of its keys or of its id.
    OfAny,
    /// That of its id. A command that decides something must not take the rotation of `shop-prod` for that of `shop`,
    /// which has just ended.
    OfId,
}

/// Returns the rotation in flight that `name` names. Whether a rotation with a whole id exists is not checked.
///
/// # Errors
/// Exit code 2 if `name` fits no rotation in flight or several; exit code 1 if the journal cannot be read.
pub(super) fn in_flight(reader: &SyncReader, name: &str, beginning: Beginning) -> Result<RotationId, CliError> {
    if let Some(id) = whole_id(name) {
        return Ok(id);
    }
    let open = reader.summaries(RotationFilter::Open).map_err(|error| storage_failed(&error))?;
    let fits = match exactly(&open, name)? {
        Some(id) => Some(id),
        None => beginning_with(&open, name, beginning)?,
    };
    if let Some(id) = fits {
        return Ok(id);
    }
    let all = reader.summaries(RotationFilter::All).map_err(|error| storage_failed(&error))?;
    Err(latest(&all, name).map_or_else(|| none(&open, name), closed))
}

/// The error of a command that asks something of a closed rotation: why nothing can be asked of it, and what to run instead.
pub(super) fn closed(rotation: &Rotation) -> CliError {
    let (user, old) = (quoted(rotation.opened.user.as_str()), &rotation.opened.old_key);
    let rotate = format!("`rotator rotate {user}`");
    let (why, hint) = match &rotation.state {
        State::Closed { ending: Ending::DeletedOld } => (
            format!("the old key {old} is deleted, and a deleted key cannot come back"),
            match &rotation.new_key {
                Some(new) => format!("every place got the pair of {new}; {rotate} replaces that one"),
                None => format!("{rotate} begins another rotation"),
            },
        ),
        State::Closed { ending: Ending::Aborted } => (
            format!("IAM has no new key of it any more, and the old key {old} is as it was"),
            format!("{rotate} begins another rotation"),
        ),
        State::Closed { ending: Ending::Gone }
        | State::Settled { .. }
        | State::InDoubt { .. }
        | State::Blocked { .. } => (
            format!("IAM did not list its user, or not the old key {old}"),
            format!("`rotator status {user}` shows what happened"),
        ),
    };
    CliError::usage(
        format!(
            "{} is closed ({}), so nothing can be done or undone in it: {why}",
            called(rotation),
            rotation.state.name()
        ),
        hint,
    )
}

/// The latest rotation of exactly this user, key or entry.
fn latest<'a>(all: &'a [Summary], name: &str) -> Option<&'a Rotation> {
    let latest = |fits: fn(&Rotation, &str) -> bool| {
        all.iter().rev().map(|summary| &summary.rotation).find(|rotation| fits(rotation, name))
    };
    latest(is_exactly).or_else(|| latest(is_in))
}

/// As [`in_flight`] with any beginning. The latest closed rotation of exactly this user or key comes before a rotation in
/// flight that only begins with the name.
///
/// # Errors
/// As [`in_flight`].
pub(super) fn in_flight_or_closed(reader: &SyncReader, name: &str) -> Result<RotationId, CliError> {
    if let Some(id) = whole_id(name) {
        return Ok(id);
    }
    let open = reader.summaries(RotationFilter::Open).map_err(|error| storage_failed(&error))?;
    if let Some(id) = exactly(&open, name)? {
        return Ok(id);
    }
    let all = reader.summaries(RotationFilter::All).map_err(|error| storage_failed(&error))?;
    match latest(&all, name) {
        Some(rotation) => Ok(rotation.id),
        None => beginning_with(&open, name, Beginning::OfAny)?.ok_or_else(|| none(&open, name)),
    }
}

/// A user may be named by 32 digits, so an id has its hyphens.
fn whole_id(name: &str) -> Option<RotationId> {
    name.contains('-').then(|| name.parse().ok()).flatten()
}

/// An entry and its `<app>/<environment>` name a rotation, too, as they name a key for `rotate` and `--only`.
fn exactly(open: &[Summary], name: &str) -> Result<Option<RotationId>, CliError> {
    match only_one(open, name, |rotation| is_exactly(rotation, name))? {
        Some(id) => Ok(Some(id)),
        None => only_one(open, name, |rotation| is_in(rotation, name)),
    }
}

fn beginning_with(open: &[Summary], name: &str, beginning: Beginning) -> Result<Option<RotationId>, CliError> {
    // Every name begins with an empty one, which an unset variable of a script gives.
    only_one(open, name, |rotation| match beginning {
        Beginning::OfAny => !name.is_empty() && begins(rotation, name),
        Beginning::OfId => name.len() >= LEAST_OF_ID && rotation.id.to_string().starts_with(name),
    })
}

fn only_one(open: &[Summary], name: &str, fits: impl Fn(&Rotation) -> bool) -> Result<Option<RotationId>, CliError> {
    let found: Vec<&Rotation> =
        open.iter().map(|summary| &summary.rotation).filter(|rotation| fits(rotation)).collect();
    match found[..] {
        [] => Ok(None),
        [one] => Ok(Some(one.id)),
        [..] => Err(CliError::usage(
            format!("`{name}` fits {} rotations in flight", found.len()),
            format!("name one of them: {}", listed(&found)),
        )),
    }
}

fn is_exactly(rotation: &Rotation, name: &str) -> bool {
    rotation.opened.user.as_str() == name || keys(rotation).any(|key| key == name)
}

fn is_in(rotation: &Rotation, name: &str) -> bool {
    Names::of_rotation(rotation).has(name)
}

fn begins(rotation: &Rotation, name: &str) -> bool {
    rotation.opened.user.as_str().starts_with(name)
        || rotation.id.to_string().starts_with(name)
        || keys(rotation).any(|key| key.starts_with(name))
}

fn keys(rotation: &Rotation) -> impl Iterator<Item = &str> {
    std::iter::once(&rotation.opened.old_key).chain(&rotation.new_key).map(|key| key.as_str())
}

fn none(open: &[Summary], name: &str) -> CliError {
    let message = format!("no rotation in flight is of the user, key, entry or id `{name}`");
    let all: Vec<&Rotation> = open.iter().map(|summary| &summary.rotation).collect();
    let hint = if all.is_empty() {
        "nothing is in flight; `rotator status --all` lists every rotation".to_owned()
    } else {
        format!("in flight: {}", listed(&all))
    };
    CliError::usage(message, hint)
}

/// The rotations, each by its user and its old key, and by its account if there are several.
fn listed(rotations: &[&Rotation]) -> String {
    let are_several = rotations.windows(2).any(|pair| pair[0].opened.account != pair[1].opened.account);
    let named = |rotation: &&Rotation| {
        let opened = &rotation.opened;
        let account = if are_several { format!(" in {}", opened.account) } else { String::new() };
        format!("{}{account} ({})", opened.user, opened.old_key)
    };
    let names: Vec<String> = rotations.iter().take(MOST_LISTED).map(named).collect();
    let more = rotations.len().saturating_sub(MOST_LISTED);
    if more == 0 { names.join(", ") } else { format!("{} and {more} more", names.join(", ")) }
}
