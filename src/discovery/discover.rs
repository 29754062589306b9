//! From stored entries to candidates, and a reason for everything else that looks like a key.

use std::collections::{BTreeMap, BTreeSet};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use zeroize::Zeroizing;

use super::connection;
use super::document;
use super::field::{Field, Group};
use super::key_format;
use super::label::Label;
use super::left_alone::{LeftAlone, WhyLeftAlone};
use super::limits::{LARGEST_DOCUMENT, MOST_PAIRS};
use super::nested;
use super::pairing::{ByValue, Pair, Paired, Seen, TooMuch, pair};
use super::references::{self, Ids};
use super::relevance;
use super::siblings;
use super::splice::{Rehearsed, SpliceError, rehearse_all};
use super::sweep;
use crate::types::name::{AccessKeyId, EntryName, StoreName};
use crate::types::place::{FieldRef, Location, Part, Place};
use crate::types::secret::SecretValue;

/// An entry as it was read.
#[derive(Debug)]
pub struct StoredEntry {
    /// The store it was read from.
    pub store: StoreName,
    /// Its name.
    pub name: EntryName,
    /// Its value.
    pub value: SecretValue,
}

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
    let mut sorted: Vec<&StoredEntry> = entries.iter().collect();
    sorted.sort_by_key(|entry| (&entry.store, &entry.name));
    let mut scan = Scan::default();
    let read: Vec<(Ids, Apart)> = sorted.par_iter().map(|entry| read_entry(entry)).collect();
    let mut ids = Vec::with_capacity(sorted.len());
    let mut apart = Vec::with_capacity(sorted.len());
    for (entry, (of_this, parts)) in sorted.iter().zip(read) {
        if of_this.are_more {
            scan.leave_whole(entry);
        }
        ids.push(of_this.ids);
        apart.push((*entry, parts));
    }
    let mut apart = apart.into_iter().peekable();
    while let Some((first, parts)) = apart.next() {
        let mut together = vec![(first, parts)];
        let is_together = |other: &StoredEntry| other.store == first.store && other.name.scope() == first.name.scope();
        while let Some(next) = apart.next_if(|(next, _)| is_together(next)) {
            together.push(next);
        }
        scan.environment(together);
    }
    let values = sorted.iter().map(|entry| ((&entry.store, &entry.name), &entry.value)).collect();
    scan.judge(&values);
    for (entry, ids) in sorted.into_iter().zip(ids) {
        if !scan.left_whole.contains(&(entry.store.clone(), entry.name.clone())) {
            scan.sweep(entry, ids);
        }
    }
    scan.findings.left_alone.sort();
    scan.findings.left_alone.dedup();
    scan.findings
}

type Values<'a> = BTreeMap<(&'a StoreName, &'a EntryName), &'a SecretValue>;

#[derive(Default)]
struct Scan {
    pairs: BTreeMap<AccessKeyId, Vec<(StoreName, Pair)>>,
    findings: Findings,
    /// Which ids have been reported in which entry.
    told: BTreeSet<(StoreName, EntryName, AccessKeyId)>,
    /// Entries with too many pairs.
    left_whole: BTreeSet<(StoreName, EntryName)>,
}

impl Scan {
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
    fn judge(&mut self, values: &Values<'_>) {
        let pairs = std::mem::take(&mut self.pairs);
        let places: Vec<Vec<Place>> = pairs.values().map(|pairs| places_of(pairs)).collect();
        let whys: Vec<Option<WhyLeftAlone>> = pairs.iter().map(|(key_id, pairs)| why_not(key_id, pairs)).collect();
        let tried = pairs.keys().zip(&places).zip(&whys).filter(|(_, why)| why.is_none());
        let mut rehearsed: Vec<Rehearsed<'_>> =
            tried.map(|((key_id, places), _)| Rehearsed::new(key_id, places)).collect();
        rehearse_all(&mut rehearsed, |store, entry| values.get(&(store, entry)).copied());
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

/// What was made of one value.
struct Taken {
    paired: Paired,
    /// The one text that it is, named by the entry.
    whole: Option<Seen>,
    is_text: bool,
}

/// What one value says on its own.
enum Apart {
    /// Nothing about a key, or too much to be taken apart.
    Not,
    Taken(Box<Taken>),
    TooMuch,
}

/// Returns the ids in one entry, and takes it apart.
fn read_entry(entry: &StoredEntry) -> (Ids, Apart) {
    let ids = references::ids(&entry.value, MOST_PAIRS);
    if ids.are_more || entry.value.expose().len() > LARGEST_DOCUMENT {
        return (ids, Apart::Not);
    }
    if ids.ids.is_empty() && !relevance::may_be_relevant(&entry.name, &entry.value) {
        assert!(!cfg!(test) || says_nothing(&take_apart(entry)), "{} was passed over", entry.name);
        return (ids, Apart::Not);
    }
    let apart = match take_apart(entry) {
        Ok(Taken { paired, whole, is_text }) => {
            Apart::Taken(Box::new(Taken { paired, whole: whole.filter(Seen::may_be_half), is_text }))
        }
        Err(TooMuch) => Apart::TooMuch,
    };
    (ids, apart)
}

/// Returns whether a value holds nothing about a key: what the check of its relevance claims.
fn says_nothing(taken: &Result<Taken, TooMuch>) -> bool {
    let Ok(Taken { paired, whole, is_text }) = taken else { return false };
    let is_half = whole.as_ref().is_some_and(Seen::may_be_half);
    *is_text && !is_half && paired.pairs.is_empty() && paired.left_alone.is_empty()
}

fn take_apart(entry: &StoredEntry) -> Result<Taken, TooMuch> {
    let (read, strings) = read(entry);
    let mut paired = Paired { pairs: strings, left_alone: Vec::new() };
    let (mut whole, mut is_text) = (None, true);
    match read {
        Read::Document(fields, inside) => {
            for fields in std::iter::once(fields).chain(inside) {
                let Paired { pairs, left_alone } = pair(fields, ByValue::Yes)?;
                paired.pairs.extend(pairs);
                paired.left_alone.extend(left_alone);
                if paired.pairs.len() + paired.left_alone.len() > MOST_PAIRS {
                    return Err(TooMuch);
                }
            }
        }
        Read::Whole(seen) => whole = Some(seen),
        Read::NotText => is_text = false,
    }
    Ok(Taken { paired, whole, is_text })
}

/// An entry's value, taken for what it looks like.
enum Read {
    /// The texts of one group, and those of each document inside one of them.
    Document(Vec<Seen>, Vec<Vec<Seen>>),
    /// One text, named by the entry.
    Whole(Seen),
    NotText,
}

/// The pairs in connection strings, and all else.
fn read(entry: &StoredEntry) -> (Read, Vec<Pair>) {
    let mut strings = Vec::new();
    let mut is_string = |seen: &Seen| {
        let pair = seen.text.as_ref().ok().filter(|_| !seen.twice).and_then(|text| pair_within(&seen.spot, text));
        let is_string = pair.is_some();
        strings.extend(pair);
        is_string
    };
    let read = match read_document(entry) {
        Read::Whole(seen) if is_string(&seen) => Read::Document(Vec::new(), Vec::new()),
        Read::Document(mut fields, inside) => {
            fields.retain(|seen| !is_string(seen));
            Read::Document(fields, inside)
        }
        other @ (Read::Whole(_) | Read::NotText) => other,
    };
    (read, strings)
}

/// The pair in a connection string that is stored at `spot`.
fn pair_within(spot: &FieldRef, text: &str) -> Option<Pair> {
    let ((id_part, id), (secret_part, secret)) = connection::pair(text)?;
    let spot = |part: Part| FieldRef {
        entry: spot.entry.clone(),
        location: Location::Connection { within: Box::new(spot.location.clone()), part },
    };
    let id = AccessKeyId::new(id.as_str()).ok()?;
    Some(Pair { id, secret, id_spot: spot(id_part), secret_spot: spot(secret_part), has_token: false })
}

fn read_document(entry: &StoredEntry) -> Read {
    let Some(text) = entry.value.expose_text() else { return Read::NotText };
    let label = Label::of_entry(entry.name.secret_name());
    let whole = |field: Field| Seen {
        spot: FieldRef { entry: entry.name.clone(), location: field.location },
        name: entry.name.secret_name().to_owned(),
        label: Label::of_entry(entry.name.secret_name()),
        group: Group::Section(None),
        text: field.text.map(|text| Zeroizing::new(text.trim().to_owned())),
        twice: false,
    };
    let Some(mut fields) = document::fields(text) else { return Read::Whole(whole(document::whole(text))) };
    siblings::name(&mut fields);
    // A secret with `=` at its end looks like a variable without a value, and most texts look like YAML: the entry's name
    // knows better, unless something within says the same.
    let is_named_within = |field: &Field| {
        field.name.as_deref().is_some_and(|name| Label::of(name).is_some())
            || field.text.as_ref().is_ok_and(|text| key_format::ids_within(text.as_bytes()).next().is_some())
    };
    let is_json = fields.iter().any(|field| matches!(field.location, Location::Json { .. }));
    if label.is_some() && !is_json && !fields.is_empty() && !fields.iter().any(is_named_within) {
        return Read::Whole(whole(document::whole(text)));
    }
    if matches!(fields.as_slice(), [Field { location: Location::Json { pointer }, .. }] if pointer.is_empty())
        && let Some(string) = fields.pop()
    {
        return Read::Whole(whole(string));
    }
    let mut inside = nested::unfold(text, &mut fields);
    inside.iter_mut().for_each(|fields| siblings::name(fields));
    let seen = |fields: Vec<Field>| fields.into_iter().map(|field| seen_in(entry, field)).collect();
    Read::Document(seen(fields), inside.into_iter().map(seen).collect())
}

fn seen_in(entry: &StoredEntry, field: Field) -> Seen {
    Seen {
        label: field.name.as_deref().and_then(Label::of),
        name: field.name.unwrap_or_default(),
        spot: FieldRef { entry: entry.name.clone(), location: field.location },
        group: field.group,
        text: field.text,
        twice: field.twice,
    }
}

#[cfg(test)]
mod left_alone_tests;
#[cfg(test)]
mod limits_tests;
#[cfg(test)]
mod others_tests;
#[cfg(test)]
mod relevance_tests;
#[cfg(test)]
mod tests;
