//! Reading the pair at a place, and writing a new one there with every other byte left as it is.

pub use self::edit::SpliceError;
use self::edit::{MADE_UP_ID, MADE_UP_SECRET, splice_texts};
pub use self::reading::{PairSeen, ReadPairError, read_pair, read_pairs};
pub(super) use self::rehearse::{Rehearsed, rehearse_all};
use super::references::names;
use crate::types::name::{AccessKeyId, EntryName};
use crate::types::place::Place;
use crate::types::secret::{SecretKey, SecretValue};

mod edit;
mod reading;
mod rehearse;

/// Returns the new values of the entries of `places`, all of one store, whose pairs may share a document. Each entry occurs
/// once, in the order in which the entries are to be written: secrets only, then both halves, then ids only.
///
/// # Errors
/// [`SpliceError`] where the new pair cannot be written so that, read again, only the pair differs.
pub fn splice_all<'v>(
    places: &[&Place],
    value_of: impl Fn(&EntryName) -> Option<&'v SecretValue>,
    new_id: &AccessKeyId,
    new_secret: &SecretKey,
) -> Result<Vec<(EntryName, SecretValue)>, SpliceError> {
    splice_texts(places, value_of, new_id.as_str(), new_secret.expose())
}

/// Tries [`splice_all`] with a made-up pair that has every character a real one may have, before any key is created.
/// `places` are all places of one key in one store.
///
/// # Errors
/// As [`splice_all`]; [`SpliceError::StillReferenced`] if an entry would still contain the old id.
pub fn rehearse_splice<'v>(
    places: &[&Place],
    value_of: impl Fn(&EntryName) -> Option<&'v SecretValue>,
) -> Result<(), SpliceError> {
    let values = splice_texts(places, &value_of, MADE_UP_ID, MADE_UP_SECRET)?;
    let Some(first) = places.first() else { return Ok(()) };
    let Some(old_id) = read_pair(first, &value_of)?.id else { return Ok(()) };
    match values.into_iter().find(|(_, value)| names(value, &old_id)) {
        Some((entry, _)) => Err(SpliceError::StillReferenced { entry }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod tests;
