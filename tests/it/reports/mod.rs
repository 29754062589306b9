//! Configuration as public reports and the documentation of its formats show it. A pair in it is rotated and nothing else
//! changes; other text is skipped for the right reason.

mod cases;
mod corpus;
mod planted_pair;
mod readers;

use rotator::discovery::{Findings, StoredEntry, splice_all};
use rotator::types::name::{AccessKeyId, EntryName, StoreName};
use rotator::types::place::Place;
use rotator::types::secret::{SecretKey, SecretValue};

const NEW_ID: &str = "AKIAZZZZNEWNEWNEWNEW";
const NEW_SECRET: &str = "zzzzNewNewNewNew/New+New/NewNewNewNewNew";

fn entry(name: &str, text: &str) -> StoredEntry {
    StoredEntry {
        store: StoreName::new("s").expect("valid"),
        name: EntryName::new(name).expect("valid"),
        value: SecretValue::new(text.as_bytes().to_vec()),
    }
}

/// The text of the only entry with a new pair in every place of the key `id`; none where it is no candidate.
fn rotated(entry: &StoredEntry, findings: &Findings, id: &str) -> Option<String> {
    let candidate = findings.candidates.iter().find(|candidate| candidate.key_id.as_str() == id)?;
    let places: Vec<&Place> = candidate.places.iter().collect();
    let (new_id, secret) = (AccessKeyId::new(NEW_ID).expect("valid"), SecretKey::new(NEW_SECRET.to_owned()));
    let value_of = |name: &EntryName| (*name == entry.name).then_some(&entry.value);
    let written = splice_all(&places, value_of, &new_id, &secret).expect("a candidate can be written");
    let [(_, value)] = written.as_slice() else { panic!("one entry, written once") };
    Some(value.expose_text().expect("text").to_owned())
}
