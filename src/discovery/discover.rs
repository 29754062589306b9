//! From stored entries to candidates, and a reason for everything else that looks like a key.

use std::collections::{BTreeMap, BTreeSet};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::apart::{Apart, Taken, read_entry};
use super::entry::StoredEntry;
use super::key_format;
use super::label::Label;
use super::left_alone::{LeftAlone, WhyLeftAlone};
use super::limits::MOST_PAIRS;
use super::mentions::Mentions;
use super::pairing::{ByValue, Pair, Paired, pair};
use super::references::{self, Named};
use super::splice::{Rehearsed, SpliceError, rehearse_all};
use super::sweep;
use crate::types::name::{AccessKeyId, EntryName, StoreName};
use crate::types::place::{FieldRef, Place};
use crate::types::secret::SecretValue;

/// A key that may be rotated once IAM has confirmed it: every place that holds it, all with the same secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The id of the key.
    pub key_id: AccessKeyId,
    /// The places that hold the key, in order; at least one. [`Place::app`] and [`Place::environment`] hint at the
    /// owner.
    pub places: Vec<Place>,
}

/// What a scan of all entries found, in an order that depends on the entries alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// By id.
    pub candidates: Vec<Candidate>,
    /// By id, those without one first.
    pub left_alone: Vec<LeftAlone>,
}

/// Finds the keys in `entries`, which are all entries of all stores. The time is linear in their size.
#[must_use]
pub fn discover(entries: &[StoredEntry]) -> Findings {
    let mut scan = Scan::default();
    scan.take(entries);
    let values: BTreeMap<_, _> = entries.iter().map(|entry| ((&entry.store, &entry.name), &entry.value)).collect();
    scan.finish(|store, entry| values.get(&(store, entry)).copied())
}

/// [`discover`] for entries that are not in memory at the same time. It keeps the values of entries with a pair or
/// one half of it. Of every entry it keeps the ids that it names.
#[derive(Default)]
pub struct Discovery {
    scan: Scan,
    values: Values,
}

/// The values of some entries.
#[derive(Default)]
pub struct Values(BTreeMap<StoreName, BTreeMap<EntryName, SecretValue>>);

impl Values {
    /// Returns the value of an entry, if it was kept.
    #[must_use]
    pub fn get(&self, store: &StoreName, entry: &EntryName) -> Option<&SecretValue> {
        self.0.get(store)?.get(entry)
    }
}

/// What [`Discovery`] found.
pub struct Discovered {
    pub findings: Findings,
    /// The values of the entries that hold a pair, which include the places of all candidates.
    pub values: Values,
    pub mentions: Mentions,
}

impl Discovery {
    /// Takes all entries of one or more `<app>/<environment>` of a store. A pair may be spread over the entries of one
    /// environment, so its entries must be taken together.
    pub fn take(&mut self, entries: Vec<StoredEntry>) {
        self.scan.take(&entries);
        for StoredEntry { store, name, value } in entries {
            if self.scan.with_pairs.contains(&(store.clone(), name.clone())) {
                self.values.0.entry(store).or_default().insert(name, value);
            }
        }
        self.scan.with_pairs.clear();
    }

    /// Judges what was found in all entries.
    #[must_use]
    pub fn finish(mut self) -> Discovered {
        let mentions = std::mem::take(&mut self.scan.mentions);
        let values = self.values;
        Discovered { findings: self.scan.finish(|store, entry| values.get(store, entry)), values, mentions }
    }
}

#[derive(Default)]
struct Scan {
    pairs: BTreeMap<AccessKeyId, Vec<(StoreName, Pair)>>,
    findings: Findings,
    mentions: Mentions,
    /// The entries of the present call of `take` that hold a pair or one half of it.
    with_pairs: BTreeSet<(StoreName, EntryName)>,
    /// Which ids have been reported in which of these entries.
    told: BTreeSet<(StoreName, EntryName, AccessKeyId)>,
    /// Those of these entries with too many pairs.
    left_whole: BTreeSet<(StoreName, EntryName)>,
}

impl Scan {
    /// Takes all entries of some environments.
    fn take(&mut self, entries: &[StoredEntry]) {
        let mut sorted: Vec<&StoredEntry> = entries.iter().collect();
        sorted.sort_by_key(|entry| (&entry.store, &entry.name));
        let read: Vec<(Named, Apart)> = sorted.par_iter().map(|entry| read_entry(entry)).collect();
        let mut ids = Vec::with_capacity(sorted.len());
        let mut apart = Vec::with_capacity(sorted.len());
        for (entry, (named, parts)) in sorted.iter().zip(read) {
            if named.ids.are_more {
                self.leave_whole(entry);
            }
            self.mentions.take(entry, named.like_ids, named.unopened);
            ids.push(named.ids.ids);
            apart.push((*entry, parts));
        }
        let mut apart = apart.into_iter().peekable();
        while let Some((first, parts)) = apart.next() {
            let mut together = vec![(first, parts)];
            let is_together =
                |other: &StoredEntry| other.store == first.store && other.name.scope() == first.name.scope();
            while let Some(next) = apart.next_if(|(next, _)| is_together(next)) {
                together.push(next);
            }
            self.environment(together);
        }
        for (entry, ids) in sorted.into_iter().zip(ids) {
            if !self.left_whole.contains(&(entry.store.clone(), entry.name.clone())) {
                self.sweep(entry, ids);
            }
        }
        self.told.clear();
        self.left_whole.clear();
    }

    fn finish<'v>(mut self, value_of: impl Fn(&StoreName, &EntryName) -> Option<&'v SecretValue>) -> Findings {
        self.judge(value_of);
        self.findings.left_alone.sort();
        self.findings.left_alone.dedup();
        self.findings
    }

    /// All entries of one `<app>/<environment>` in one store.
    fn environment(&mut self, entries: Vec<(&StoredEntry, Apart)>) {
        let mut whole = Vec::new();
        let first = entries.first().map(|(first, _)| *first);
        for (entry, apart) in entries {
            match apart {
                Apart::Not => {}
                Apart::Taken(taken) => {
                    let Taken { paired, whole: seen, is_text } = *taken;
                    self.collect(&entry.store, paired);
                    whole.extend(seen);
                    if !is_text && Label::of_entry(entry.name.secret_name()).is_some_and(|label| label.is_certain()) {
                        self.leave(None, &entry.store, vec![sweep::whole_value(&entry.name)], WhyLeftAlone::NotUtf8);
                    }
                }
                Apart::TooMuch => self.leave_whole(entry),
            }
        }
        // Of one text an entry: here nothing is held against all others.
        if let (Some(first), Ok(paired)) = (first, pair(whole, ByValue::No)) {
            self.collect(&first.store, paired);
        }
    }

    /// Skips a value that has too many pairs.
    fn leave_whole(&mut self, entry: &StoredEntry) {
        self.left_whole.insert((entry.store.clone(), entry.name.clone()));
        self.leave(None, &entry.store, vec![sweep::whole_value(&entry.name)], WhyLeftAlone::TooManyPairs);
    }

    fn collect(&mut self, store: &StoreName, paired: Paired) {
        for pair in paired.pairs {
            self.told.insert((store.clone(), pair.id_spot.entry.clone(), pair.id.clone()));
            for entry in [&pair.id_spot.entry, &pair.secret_spot.entry] {
                self.with_pairs.insert((store.clone(), entry.clone()));
            }
            self.pairs.entry(pair.id.clone()).or_default().push((store.clone(), pair));
        }
        for (key_id, spots, why) in paired.left_alone {
            self.leave(key_id, store, spots, why);
        }
    }

    fn leave(&mut self, key_id: Option<AccessKeyId>, store: &StoreName, spots: Vec<FieldRef>, why: WhyLeftAlone) {
        let mut why = why;
        if let Some(id) = &key_id {
            self.told.extend(spots.iter().map(|spot| (store.clone(), spot.entry.clone(), id.clone())));
            // That nothing has to be done about it at all is the better reason.
            if let Some(better) = never_rotated(id) {
                why = better;
            }
        }
        let places = spots.into_iter().map(|spot| (store.clone(), spot)).collect();
        self.findings.left_alone.push(LeftAlone { key_id, places, why });
    }

    /// Which of the pairs are candidates.
    fn judge<'v>(&mut self, value_of: impl Fn(&StoreName, &EntryName) -> Option<&'v SecretValue>) {
        let pairs = std::mem::take(&mut self.pairs);
        let places: Vec<Vec<Place>> = pairs.values().map(|pairs| places_of(pairs)).collect();
        let whys: Vec<Option<WhyLeftAlone>> = pairs.iter().map(|(key_id, pairs)| why_not(key_id, pairs)).collect();
        let tried = pairs.keys().zip(&places).zip(&whys).filter(|(_, why)| why.is_none());
        let mut rehearsed: Vec<Rehearsed<'_>> =
            tried.map(|((key_id, places), _)| Rehearsed::new(key_id, places)).collect();
        rehearse_all(&mut rehearsed, value_of);
        let failed = rehearsed.into_iter().filter_map(|one| Some((one.key.clone(), one.failed?.1)));
        let failed: BTreeMap<AccessKeyId, SpliceError> = failed.collect();
        for ((key_id, places), why) in pairs.into_keys().zip(places).zip(whys) {
            let cannot = |error| WhyLeftAlone::CannotBeSpliced { why: format!("failed to {error}") };
            let Some(why) = why.or_else(|| failed.get(&key_id).map(cannot)) else {
                self.findings.candidates.push(Candidate { key_id, places });
                continue;
            };
            let mut spots: Vec<(StoreName, FieldRef)> = Vec::new();
            for place in places {
                spots.push((place.store.clone(), place.id));
                spots.push((place.store, place.secret));
            }
            self.findings.left_alone.push(LeftAlone { key_id: Some(key_id), places: spots, why });
        }
    }

    /// Whatever id an entry names that nothing has been said about.
    fn sweep(&mut self, entry: &StoredEntry, in_value: BTreeSet<AccessKeyId>) {
        let in_name = references::ids(&entry.name.as_str().as_bytes(), MOST_PAIRS).ids;
        let is_new = |id: &AccessKeyId| !self.told.contains(&(entry.store.clone(), entry.name.clone(), id.clone()));
        let in_value: Vec<AccessKeyId> = in_value.into_iter().filter(|id| is_new(id)).collect();
        let whole = || vec![sweep::whole_value(&entry.name)];
        for (id, why) in sweep::reasons(&entry.value, in_value) {
            self.leave(Some(id), &entry.store, whole(), why);
        }
        for id in in_name {
            if !self.told.contains(&(entry.store.clone(), entry.name.clone(), id.clone())) {
                self.leave(Some(id), &entry.store, whole(), WhyLeftAlone::InName);
            }
        }
    }
}

fn places_of(pairs: &[(StoreName, Pair)]) -> Vec<Place> {
    let place = |(store, pair): &(StoreName, Pair)| Place {
        store: store.clone(),
        id: pair.id_spot.clone(),
        secret: pair.secret_spot.clone(),
    };
    let mut places: Vec<Place> = pairs.iter().map(place).collect();
    places.sort();
    places
}

/// Why a key that was found whole is no candidate, as far as what was found tells.
fn why_not(key_id: &AccessKeyId, pairs: &[(StoreName, Pair)]) -> Option<WhyLeftAlone> {
    if let Some(why) = never_rotated(key_id) {
        return Some(why);
    }
    if !key_id.as_str().starts_with("AKIA") && pairs.iter().any(|(_, pair)| pair.has_token) {
        return Some(WhyLeftAlone::TemporaryKey);
    }
    let (_, first) = pairs.first()?;
    pairs.iter().any(|(_, pair)| pair.secret != first.secret).then_some(WhyLeftAlone::TwoSecrets)
}

/// Why a key is never rotated, in whatever place it is stored.
fn never_rotated(id: &AccessKeyId) -> Option<WhyLeftAlone> {
    if key_format::is_example(id.as_str()) {
        Some(WhyLeftAlone::DocumentationExample)
    } else if key_format::is_temporary(id.as_str()) {
        Some(WhyLeftAlone::TemporaryKey)
    } else {
        None
    }
}

#[cfg(test)]
mod left_alone_tests;
#[cfg(test)]
mod limits_tests;
#[cfg(test)]
mod others_tests;
#[cfg(test)]
mod parts_tests;
#[cfg(test)]
mod relevance_tests;
#[cfg(test)]
mod tests;
