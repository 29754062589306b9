//! The key ids of an entry of which discovery made nothing, and why each is skipped.

use std::collections::BTreeMap;

use super::document;
use super::left_alone::{LeftAlone, WhyLeftAlone};
use super::limits::{LARGEST_DOCUMENT, MOST_PAIRS};
use super::references::{self, Ids, Needles};
use super::source::Source;
use crate::types::name::{AccessKeyId, EntryName, StoreName};
use crate::types::place::{FieldRef, Location};
use crate::types::secret::SecretValue;

pub(super) fn whole_value(entry: &EntryName) -> FieldRef {
    FieldRef { entry: entry.clone(), location: Location::WholeValue }
}

/// Why each of these ids, which `value` names, was not paired.
pub(super) fn reasons(value: &SecretValue, ids: Vec<AccessKeyId>) -> Vec<(AccessKeyId, WhyLeftAlone)> {
    if ids.is_empty() {
        return Vec::new();
    }
    let all = |why: WhyLeftAlone| ids.iter().map(|id| (id.clone(), why.clone())).collect();
    if value.expose().len() > LARGEST_DOCUMENT {
        return all(WhyLeftAlone::TooLarge);
    }
    match value.expose_text() {
        Some(text) => unsupported(text, &ids),
        None => all(WhyLeftAlone::NotUtf8),
    }
}

/// The reason for each id, with the line and the field of `text` that contain the id.
fn unsupported(text: &str, ids: &[AccessKeyId]) -> Vec<(AccessKeyId, WhyLeftAlone)> {
    let needles = Needles::new(ids);
    let mut lines: BTreeMap<&AccessKeyId, usize> = BTreeMap::new();
    if text.trim_end().contains('\n') {
        let (mut line, mut counted) = (1, 0);
        for (at, id) in needles.first_places(text.as_bytes()) {
            line += memchr::memchr_iter(b'\n', &text.as_bytes()[counted..at]).count();
            counted = at;
            lines.insert(id, line);
        }
    }
    let mut within: BTreeMap<&AccessKeyId, String> = BTreeMap::new();
    for field in document::fields(text).unwrap_or_default() {
        let Ok(said) = &field.text else { continue };
        for (_, id) in needles.first_places(said.as_bytes()) {
            within.entry(id).or_insert_with(|| field.location.to_string());
        }
    }
    let why = |id| WhyLeftAlone::UnsupportedForm { line: lines.get(id).copied(), within: within.get(id).cloned() };
    ids.iter().map(|id| (id.clone(), why(id))).collect()
}

/// What a value names that is not in memory, for it is too large to be taken apart.
#[must_use]
pub fn left_in_large(store: &StoreName, entry: &EntryName, value: &dyn Source) -> Vec<LeftAlone> {
    let about = |key_id, why| LeftAlone { key_id, places: vec![(store.clone(), whole_value(entry))], why };
    let Ids { ids, are_more } = references::ids(value, MOST_PAIRS);
    if are_more {
        return vec![about(None, WhyLeftAlone::TooManyPairs)];
    }
    ids.into_iter().map(|id| about(Some(id), WhyLeftAlone::TooLarge)).collect()
}
