//! The properties of every stored document. Discovery never panics, and every candidate can be spliced. After a splice
//! every byte outside of the pair is unchanged, and discovery finds the new pair at the same places. This file has no
//! tests; the fuzz targets share it.

use std::collections::BTreeMap;

use rotator::discovery::{Candidate, Findings, StoredEntry, discover, names, read_pair, splice_all};
use rotator::types::name::{AccessKeyId, EntryName};
use rotator::types::place::{FieldRef, Location, Place};
use rotator::types::secret::{SecretKey, SecretValue};

const NEW_ID: &str = "AKIAZZZZNEWNEWNEWNEW";
const NEW_SECRET: &str = "zzzzNewNewNewNew/New+New/NewNewNewNewNew";

/// The counts of one case.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Spliced places, by the position of their secret.
    pub(crate) whole: u64,
    pub(crate) json: u64,
    pub(crate) variable: u64,
    pub(crate) section: u64,
    pub(crate) toml: u64,
    pub(crate) yaml: u64,
    pub(crate) connection: u64,
    /// In a document inside a text.
    pub(crate) nested: u64,
    /// Reported and left as it is.
    pub(crate) left_alone: u64,
}

/// Checks all that holds for these entries. Panics where it does not.
pub(crate) fn check(entries: &[StoredEntry]) -> Shown {
    let findings = discover(entries);
    assert_eq!(findings, discover(entries), "the same entries, the same findings");
    let mut shown = Shown { left_alone: findings.left_alone.len() as u64, ..Shown::default() };
    for candidate in &findings.candidates {
        if candidate.key_id.as_str() == NEW_ID {
            continue;
        }
        check_splice(entries, &findings, candidate);
        for place in &candidate.places {
            match &place.secret.location {
                Location::WholeValue => shown.whole += 1,
                Location::Json { .. } => shown.json += 1,
                Location::Variable { section: None, .. } => shown.variable += 1,
                Location::Variable { section: Some(_), .. } => shown.section += 1,
                Location::Toml { .. } => shown.toml += 1,
                Location::Yaml { .. } => shown.yaml += 1,
                Location::Connection { .. } => shown.connection += 1,
                Location::Nested { .. } => shown.nested += 1,
            }
        }
    }
    shown
}

fn value<'e>(entries: &'e [StoredEntry], name: &EntryName) -> Option<&'e SecretValue> {
    entries.iter().find(|entry| entry.name == *name).map(|entry| &entry.value)
}

fn check_splice(entries: &[StoredEntry], before: &Findings, candidate: &Candidate) {
    let places: Vec<&Place> = candidate.places.iter().collect();
    let old = read_pair(places[0], |name| value(entries, name)).expect("a candidate can be read");
    let (id, secret) = (AccessKeyId::new(NEW_ID).expect("valid"), SecretKey::new(NEW_SECRET.to_owned()));
    let spliced = splice_all(&places, |name| value(entries, name), &id, &secret);
    let spliced =
        spliced.unwrap_or_else(|error| panic!("a candidate that cannot be spliced must not be offered: {error}"));
    let mut written: BTreeMap<EntryName, SecretValue> = spliced.into_iter().collect();
    for (name, new) in &written {
        let old_value = value(entries, name).expect("it was there");
        let spots = places.iter().flat_map(|place| [&place.id, &place.secret]).filter(|spot| spot.entry == *name);
        let spots: Vec<&FieldRef> = spots.collect();
        only_the_pair_changed(
            old_value.expose(),
            new.expose(),
            candidate.key_id.as_str(),
            old.secret.expose(),
            spots.len(),
        );
        assert!(!names(new, &candidate.key_id), "the old id stays in {name}");
    }
    let after: Vec<StoredEntry> = entries
        .iter()
        .map(|entry| StoredEntry {
            store: entry.store.clone(),
            name: entry.name.clone(),
            value: written.remove(&entry.name).unwrap_or_else(|| entry.value.duplicate()),
        })
        .collect();
    assert!(written.is_empty(), "no entry is made");
    let again = discover(&after);
    let found = again.candidates.iter().find(|found| found.key_id == id).expect("the new pair is found");
    assert_eq!(found.places, candidate.places, "at the same places");
    let pair = read_pair(places[0], |name| value(&after, name)).expect("it can be read");
    assert!(pair.id.as_ref() == Some(&id) && pair.secret.is_same_as(&secret), "it is the new pair");
    // A spoilt id may begin with another key's: that one counted as named by it, and is free now.
    let is_within = |other: &Candidate| candidate.key_id.as_str().contains(other.key_id.as_str());
    let others = |findings: &Findings, but: &AccessKeyId| -> Vec<Candidate> {
        findings.candidates.iter().filter(|other| other.key_id != *but && !is_within(other)).cloned().collect()
    };
    assert_eq!(others(&again, &id), others(before, &candidate.key_id), "every other key is found as before");
}

/// Reads both values side by side by nothing but the texts themselves: wherever the new one has half of the new pair, the
/// old one has that half of the old pair, plain, percent-encoded or in JSON's escapes; everything between is equal.
fn only_the_pair_changed(old: &[u8], new: &[u8], old_id: &str, old_secret: &str, halves: usize) {
    let (mut in_old, mut in_new, mut seen) = (0, 0, 0);
    while in_new < new.len() {
        let halves = [(NEW_ID, old_id), (NEW_SECRET, old_secret)].into_iter();
        let mut here = halves.filter_map(|(half, old)| Some((spelled(&new[in_new..], half)?, old)));
        if let Some((length, old_half)) = here.next() {
            in_old += spelled(&old[in_old..], old_half).expect("where the new half stands, the old one stood");
            in_new += length;
            seen += 1;
        } else {
            assert_eq!(old.get(in_old), new.get(in_new), "a byte besides the pair has changed, at {in_new}");
            in_old += 1;
            in_new += 1;
        }
    }
    assert_eq!(in_old, old.len(), "nothing is lost at the end");
    assert_eq!(seen, halves, "each half was replaced, once for each place");
}

/// Returns the number of bytes that `text` takes at the start of `bytes`: plain, percent-encoded, in JSON escapes, or in
/// both. `None` if `bytes` begins with another text.
fn spelled(bytes: &[u8], text: &str) -> Option<usize> {
    let mut at = 0;
    for letter in text.chars() {
        let rest = bytes.get(at..)?;
        if rest.starts_with(letter.encode_utf8(&mut [0; 4]).as_bytes()) {
            at += letter.len_utf8();
            continue;
        }
        let (mut said, length) = unescaped(rest)?;
        at += length;
        if said == u32::from(b'%') {
            said = 0;
            for _ in 0..2 {
                let (digit, length) = unescaped(bytes.get(at..)?)?;
                said = said << 4 | char::from_u32(digit)?.to_digit(16)?;
                at += length;
            }
        }
        if said != u32::from(letter) {
            return None;
        }
    }
    Some(at)
}

/// The first character, which may be one of JSON's escapes, and how many bytes it takes.
fn unescaped(bytes: &[u8]) -> Option<(u32, usize)> {
    match bytes {
        [b'\\', b'u', digits @ ..] => {
            let digits = std::str::from_utf8(digits.get(..4)?).ok()?;
            Some((u32::from_str_radix(digits, 16).ok()?, 6))
        }
        [b'\\', escaped, ..] => Some((u32::from(*escaped), 2)),
        [plain, ..] => Some((u32::from(*plain), 1)),
        [] => None,
    }
}
