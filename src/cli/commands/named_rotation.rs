//! Which rotation is meant: by its user, its old or new key, its id, or the beginning of one of these.

use crate::adapters::sqlite_journal::SyncReader;
use crate::cli::error::CliError;
use crate::cli::wiring::journal::storage_failed;
use crate::journal::line::Summary;
use crate::journal::store::RotationFilter;
use crate::rotation::record::Rotation;
use crate::types::name::RotationId;

/// How many rotations a message lists.
const MOST_LISTED: usize = 5;

/// Returns the rotation in flight that `name` names. Whether a rotation with a whole id exists is not checked.
///
/// # Errors
/// Exit code 2 if `name` fits no rotation in flight or several; exit code 1 if the journal cannot be read.
pub(super) fn in_flight(reader: &SyncReader, name: &str) -> Result<RotationId, CliError> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let open = reader.summaries(RotationFilter::Open).map_err(|error| storage_failed(&error))?;
    one_of(&open, name)?.ok_or_else(|| none(&open, name))
}

/// As [`in_flight`]. If none is in flight, it returns the latest closed rotation of this user or key.
///
/// # Errors
/// As [`in_flight`].
pub(super) fn in_flight_or_closed(reader: &SyncReader, name: &str) -> Result<RotationId, CliError> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let open = reader.summaries(RotationFilter::Open).map_err(|error| storage_failed(&error))?;
    if let Some(id) = one_of(&open, name)? {
        return Ok(id);
    }
    let all = reader.summaries(RotationFilter::All).map_err(|error| storage_failed(&error))?;
    let latest = all.iter().rev().map(|summary| &summary.rotation).find(|rotation| is_exactly(rotation, name));
    latest.map(|rotation| rotation.id).ok_or_else(|| none(&open, name))
}

fn one_of(open: &[Summary], name: &str) -> Result<Option<RotationId>, CliError> {
    let rotations = || open.iter().map(|summary| &summary.rotation);
    let exact: Vec<&Rotation> = rotations().filter(|rotation| is_exactly(rotation, name)).collect();
    let found = if exact.is_empty() { rotations().filter(|rotation| begins(rotation, name)).collect() } else { exact };
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

fn begins(rotation: &Rotation, name: &str) -> bool {
    rotation.opened.user.as_str().starts_with(name)
        || rotation.id.to_string().starts_with(name)
        || keys(rotation).any(|key| key.starts_with(name))
}

fn keys(rotation: &Rotation) -> impl Iterator<Item = &str> {
    std::iter::once(&rotation.opened.old_key).chain(&rotation.new_key).map(|key| key.as_str())
}

fn none(open: &[Summary], name: &str) -> CliError {
    let message = format!("no rotation in flight is of the user, key or id `{name}`");
    let all: Vec<&Rotation> = open.iter().map(|summary| &summary.rotation).collect();
    let hint = if all.is_empty() {
        "nothing is in flight; `rotator status --all` lists every rotation".to_owned()
    } else {
        format!("in flight: {}", listed(&all))
    };
    CliError::usage(message, hint)
}

/// The rotations, each by its user and its old key.
fn listed(rotations: &[&Rotation]) -> String {
    let names = rotations.iter().take(MOST_LISTED);
    let names: Vec<String> =
        names.map(|rotation| format!("{} ({})", rotation.opened.user, rotation.opened.old_key)).collect();
    let more = rotations.len().saturating_sub(MOST_LISTED);
    if more == 0 { names.join(", ") } else { format!("{} and {more} more", names.join(", ")) }
}
