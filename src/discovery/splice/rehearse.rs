//! Trying to write a made-up pair, before any key is created. For many keys at once, each entry is written and read again
//! once for all keys in it, as long as that succeeds.

use std::collections::BTreeMap;

use super::edit::{Edit, MADE_UP_ID, MADE_UP_SECRET, SpliceError, changes, splice_entry, splice_texts};
use super::reading::{Document, read_pair, text_of};
use crate::discovery::references::{Needles, names};
use crate::types::name::{AccessKeyId, EntryName, StoreName};
use crate::types::place::Place;
use crate::types::secret::SecretValue;

/// How many bytes may be read again to find out which keys of an entry cannot be replaced; and for each byte of it.
const READ_AGAIN: usize = 32 * 1024 * 1024;
const READ_AGAIN_FOR_EACH: usize = 8;

/// Tries [`super::splice_all`] with a made-up pair that has every character a real one may have, before any key is
/// created. `places` are all places of one key in one store.
///
/// # Errors
/// As [`super::splice_all`]; [`SpliceError::StillReferenced`] if an entry would still contain the old id.
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

/// A key with its places, and why a new pair could not be written there.
pub(crate) struct Rehearsed<'k> {
    pub(crate) key: &'k AccessKeyId,
    pub(crate) places: &'k [Place],
    /// The first reason in the order in which the entries would be written.
    pub(crate) failed: Option<(Rank, SpliceError)>,
}

/// Orders the errors: a reference that would stay is the last, and the entries with the secret are the first.
type Rank = (bool, bool, bool);

impl<'k> Rehearsed<'k> {
    pub(crate) const fn new(key: &'k AccessKeyId, places: &'k [Place]) -> Self {
        Self { key, places, failed: None }
    }

    fn fails(&mut self, rank: Rank, error: SpliceError) {
        if self.failed.as_ref().is_none_or(|(before, _)| rank < *before) {
            self.failed = Some((rank, error));
        }
    }
}

/// What is to be replaced in one entry for one key.
#[derive(Default)]
struct OfKey<'k> {
    edits: Vec<Edit<'k>>,
    has_id: bool,
    has_secret: bool,
}

/// Tries all of them, before any key is created.
pub(crate) fn rehearse_all<'k, 'v>(
    keys: &mut [Rehearsed<'k>],
    value_of: impl Fn(&StoreName, &EntryName) -> Option<&'v SecretValue>,
) {
    let mut entries: BTreeMap<(&StoreName, &EntryName), BTreeMap<usize, OfKey<'k>>> = BTreeMap::new();
    let mut count = 0;
    for (number, key) in keys.iter().enumerate() {
        for place in key.places {
            count += 1;
            for (spot, new, is_id) in [(&place.secret, MADE_UP_SECRET, false), (&place.id, MADE_UP_ID, true)] {
                let of_entry = entries.entry((&place.store, &spot.entry)).or_default();
                let of_key = of_entry.entry(number).or_default();
                of_key.edits.push(Edit { spot, new, place: count });
                of_key.has_id |= is_id;
                of_key.has_secret |= !is_id;
            }
        }
    }
    for ((store, entry), of_keys) in entries {
        match text_of(entry, |entry| value_of(store, entry)) {
            Ok(text) => rehearse_entry(keys, entry, text, &of_keys),
            Err(error) => {
                for (number, of_key) in of_keys {
                    keys[number].fails((false, of_key.has_id, !of_key.has_secret), error.clone().into());
                }
            }
        }
    }
}

fn rehearse_entry(keys: &mut [Rehearsed<'_>], entry: &EntryName, text: &str, of_keys: &BTreeMap<usize, OfKey<'_>>) {
    let mut document = Document::new(text);
    let mut fits: Vec<(usize, &OfKey<'_>)> = Vec::new();
    for (number, of_key) in of_keys {
        match changes(&mut document, &of_key.edits.iter().collect::<Vec<_>>()) {
            Ok(_) => fits.push((*number, of_key)),
            Err(error) => keys[*number].fails((false, of_key.has_id, !of_key.has_secret), error),
        }
    }
    let mut work = READ_AGAIN.saturating_add(text.len().saturating_mul(READ_AGAIN_FOR_EACH));
    let mut left = vec![fits.as_slice()];
    while let Some(some) = left.pop() {
        if some.is_empty() {
            continue;
        }
        let edits: Vec<&Edit<'_>> = some.iter().flat_map(|(_, of_key)| &of_key.edits).collect();
        let spliced = match work.checked_sub(text.len()) {
            Some(rest) => {
                work = rest;
                splice_entry(entry, &mut document, &edits)
            }
            None => Err(SpliceError::TooMuch { entry: entry.clone() }),
        };
        match (spliced, some) {
            (Ok(value), _) => {
                for number in still_named(keys, &mut document, &value, some) {
                    keys[number].fails((true, false, false), SpliceError::StillReferenced { entry: entry.clone() });
                }
            }
            (Err(error), [(number, of_key)]) => {
                keys[*number].fails((false, of_key.has_id, !of_key.has_secret), error);
            }
            (Err(error @ SpliceError::TooMuch { .. }), _) => {
                for (number, of_key) in some {
                    keys[*number].fails((false, of_key.has_id, !of_key.has_secret), error.clone());
                }
            }
            (Err(_), _) => {
                let (one, other) = some.split_at(some.len() / 2);
                left.extend([other, one]);
            }
        }
    }
}

/// The keys whose old ids `value`, in which all of these were replaced, still names; or would name, if only they were: what
/// is replaced of the others may name them, too.
fn still_named(
    keys: &[Rehearsed<'_>],
    document: &mut Document<'_>,
    value: &SecretValue,
    replaced: &[(usize, &OfKey<'_>)],
) -> Vec<usize> {
    let numbers: BTreeMap<&AccessKeyId, usize> =
        replaced.iter().map(|(number, _)| (keys[*number].key, *number)).collect();
    let needles = Needles::new(numbers.keys().copied());
    let mut named: Vec<usize> = needles.search(value).named.iter().map(|id| numbers[*id]).collect();
    for (number, of_key) in replaced {
        for edit in &of_key.edits {
            let Ok(old) = document.says(edit.spot) else { continue };
            let in_it = needles.search(&old.as_bytes()).named;
            named.extend(in_it.iter().map(|id| numbers[*id]).filter(|other| other != number));
        }
    }
    named
}
