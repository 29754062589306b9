//! From stored entries to candidates, and a reason for everything else that looks like a key.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use super::connection;
use super::document::{self, Field, Group};
use super::form;
use super::label::Label;
use super::left_alone::{LeftAlone, WhyLeftAlone};
use super::named::Haystack;
use super::nested;
use super::pairing::{ByValue, Pair, Paired, Seen, pair};
use super::place::{Location, Part, Place, Spot};
use super::siblings;
use super::splice::{SpliceError, rehearse_splice};
use crate::rotation::name::{AccessKeyId, EntryName, StoreName};
use crate::rotation::secret::SecretValue;

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
    /// Where it stands, in order; at least one. [`Place::app`] and [`Place::environment`] hint at the owner.
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

/// Finds the keys in `entries`, which are all entries of all stores.
#[must_use]
pub fn discover(entries: &[StoredEntry]) -> Findings {
    let mut sorted: Vec<&StoredEntry> = entries.iter().collect();
    sorted.sort_by_key(|entry| (&entry.store, &entry.name));
    let mut scan = Scan::default();
    for together in sorted.chunk_by(|one, two| one.store == two.store && one.name.scope() == two.name.scope()) {
        scan.environment(together);
    }
    let values = sorted.iter().map(|entry| ((&entry.store, &entry.name), &entry.value)).collect();
    scan.judge(&values);
    for entry in sorted {
        scan.sweep(entry);
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
    /// Which ids have been told of in which entry.
    told: BTreeSet<(StoreName, EntryName, AccessKeyId)>,
}

impl Scan {
    /// All entries of one `<app>/<environment>` in one store.
    fn environment(&mut self, entries: &[&StoredEntry]) {
        let mut whole = Vec::new();
        for entry in entries {
            let (read, strings) = read(entry);
            self.collect(&entry.store, Paired { pairs: strings, left_alone: Vec::new() });
            match read {
                Read::Document(fields, inside) => {
                    for fields in std::iter::once(fields).chain(inside) {
                        self.collect(&entry.store, pair(fields, ByValue::Yes));
                    }
                }
                Read::Whole(seen) => whole.push(seen),
                Read::NotText => {
                    if Label::of_entry(entry.name.secret_name()).is_some_and(|label| label.is_certain()) {
                        self.leave(None, &entry.store, vec![whole_value(&entry.name)], WhyLeftAlone::NotUtf8);
                    }
                }
            }
        }
        if let Some(first) = entries.first() {
            self.collect(&first.store, pair(whole, ByValue::No));
        }
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

    fn leave(&mut self, key_id: Option<AccessKeyId>, store: &StoreName, spots: Vec<Spot>, why: WhyLeftAlone) {
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
        for (key_id, pairs) in std::mem::take(&mut self.pairs) {
            let mut places: Vec<Place> = pairs
                .iter()
                .map(|(store, pair)| Place {
                    store: store.clone(),
                    id: pair.id_spot.clone(),
                    secret: pair.secret_spot.clone(),
                })
                .collect();
            places.sort();
            match why_not(&key_id, &pairs, &places, values) {
                None => self.findings.candidates.push(Candidate { key_id, places }),
                Some(why) => {
                    let mut spots: Vec<(StoreName, Spot)> = Vec::new();
                    for place in places {
                        spots.push((place.store.clone(), place.id));
                        spots.push((place.store, place.secret));
                    }
                    self.findings.left_alone.push(LeftAlone { key_id: Some(key_id), places: spots, why });
                }
            }
        }
    }

    /// Whatever id an entry names that nothing has been said about.
    fn sweep(&mut self, entry: &StoredEntry) {
        let mut fields = None;
        let text = entry.value.expose_text();
        for (seen, is_name) in [(Haystack::new(&entry.value), false), (Haystack::of_name(&entry.name), true)] {
            for id in seen.ids() {
                if self.told.contains(&(entry.store.clone(), entry.name.clone(), id.clone())) {
                    continue;
                }
                let why = match text {
                    _ if is_name => WhyLeftAlone::InName,
                    Some(text) => {
                        let fields = fields.get_or_insert_with(|| document::fields(text).unwrap_or_default());
                        unsupported(text, fields, &id)
                    }
                    None => WhyLeftAlone::NotUtf8,
                };
                self.leave(Some(id), &entry.store, vec![whole_value(&entry.name)], why);
            }
        }
    }
}

/// Why a key that was found whole is no candidate.
fn why_not(
    key_id: &AccessKeyId,
    pairs: &[(StoreName, Pair)],
    places: &[Place],
    values: &Values<'_>,
) -> Option<WhyLeftAlone> {
    if let Some(why) = never_rotated(key_id) {
        return Some(why);
    }
    if !key_id.as_str().starts_with("AKIA") && pairs.iter().any(|(_, pair)| pair.has_token) {
        return Some(WhyLeftAlone::TemporaryKey);
    }
    let (_, first) = pairs.first()?;
    if pairs.iter().any(|(_, pair)| pair.secret != first.secret) {
        return Some(WhyLeftAlone::TwoSecrets);
    }
    for of_one_store in places.chunk_by(|one, two| one.store == two.store) {
        if let Err(error) = rehearse(of_one_store, values) {
            return Some(WhyLeftAlone::CannotBeSpliced { why: format!("failed to {error}") });
        }
    }
    None
}

fn rehearse(places: &[Place], values: &Values<'_>) -> Result<(), SpliceError> {
    let Some(first) = places.first() else { return Ok(()) };
    let places: Vec<&Place> = places.iter().collect();
    rehearse_splice(&places, |entry| values.get(&(&first.store, entry)).copied())
}

/// Keys that are never rotated, wherever they stand.
fn never_rotated(id: &AccessKeyId) -> Option<WhyLeftAlone> {
    if form::is_example(id.as_str()) {
        Some(WhyLeftAlone::DocumentationExample)
    } else if form::is_temporary(id.as_str()) {
        Some(WhyLeftAlone::TemporaryKey)
    } else {
        None
    }
}

/// Where in `text` the id stands that nothing was made of.
fn unsupported(text: &str, fields: &[Field], id: &AccessKeyId) -> WhyLeftAlone {
    let line = text.find(id.as_str()).map(|at| text[..at].matches('\n').count() + 1);
    let holds = |field: &&Field| field.text.as_ref().is_ok_and(|said| said.contains(id.as_str()));
    WhyLeftAlone::UnsupportedForm {
        line: line.filter(|_| text.trim_end().contains('\n')),
        within: fields.iter().find(holds).map(|field| field.location.to_string()),
    }
}

fn whole_value(entry: &EntryName) -> Spot {
    Spot { entry: entry.clone(), location: Location::WholeValue }
}

/// An entry's value, taken for what it looks like.
enum Read {
    /// Texts that stand together, and those of each document inside one of them.
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

/// The pair in a connection string that stands at `spot`.
fn pair_within(spot: &Spot, text: &str) -> Option<Pair> {
    let ((id_part, id), (secret_part, secret)) = connection::pair(text)?;
    let spot = |part: Part| Spot {
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
        spot: Spot { entry: entry.name.clone(), location: field.location },
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
            || field.text.as_ref().is_ok_and(|text| form::ids_within(text.as_bytes()).next().is_some())
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
        spot: Spot { entry: entry.name.clone(), location: field.location },
        group: field.group,
        text: field.text,
        twice: field.twice,
    }
}

#[cfg(test)]
mod left_alone_tests;
#[cfg(test)]
mod others_tests;
#[cfg(test)]
mod tests;
