//! What of the stores stands in the way of a rotation: entries that name the key and cannot be rewritten, places that are
//! not rotator's to write. Better known before a create than after.

use std::collections::BTreeMap;

use super::world::World;
use crate::discovery::{Candidate, Haystack, Needle, StoredEntry};
use crate::rotation::name::{AccessKeyId, EntryName, StoreName};

/// Entries that something else rewrites, and what.
pub(super) type NotOurs = BTreeMap<(StoreName, EntryName), String>;

/// What of the stores stands in the way of a rotation.
pub(super) struct Bars<'a> {
    /// Entries that name the key and are none of its places.
    pub(super) elsewhere: Option<&'a Vec<String>>,
    /// A place that must not be written, and why.
    pub(super) fixed: Option<String>,
}

/// A place of the candidate's that must not be written, and why.
pub(super) fn fixed(world: &World, not_ours: &NotOurs, candidate: &Candidate) -> Option<String> {
    candidate.places.iter().find_map(|place| {
        if world.store(&place.store).is_some_and(|store| store.capabilities().read_only) {
            return Some(format!("{} stands in {}, which rotator may only read", place.id, place.store));
        }
        let why = place.entries().into_iter().find_map(|entry| not_ours.get(&(place.store.clone(), entry.clone())));
        why.map(|why| format!("{} is not rotator's to write: {why}", world.describe(&place.store, &place.id)))
    })
}

/// Entries that name a candidate's key and are none of its places. Better known before a create than after.
pub(super) fn named_elsewhere(
    world: &World,
    entries: &[StoredEntry],
    candidates: &[Candidate],
) -> BTreeMap<AccessKeyId, Vec<String>> {
    let needles: Vec<(&Candidate, Needle)> =
        candidates.iter().map(|candidate| (candidate, Needle::new(&candidate.key_id))).collect();
    let mut elsewhere: BTreeMap<AccessKeyId, Vec<String>> = BTreeMap::new();
    for entry in entries {
        let haystack = Haystack::new(&entry.value);
        for (candidate, needle) in &needles {
            let is_place = || {
                let mut places = candidate.places.iter().filter(|place| place.store == entry.store);
                places.any(|place| place.id.entry == entry.name || place.secret.entry == entry.name)
            };
            if haystack.names(needle) && !is_place() {
                let label = world.describe(&entry.store, &entry.name);
                elsewhere.entry(candidate.key_id.clone()).or_default().push(label);
            }
        }
    }
    elsewhere
}
