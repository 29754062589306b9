//! What journals hold stays readable: the first form is a golden file, and every value reads back as it was written.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::journal::line;

/// A journal of the first version: a line for each kind of event, of intent, of outcome and of reason. It never changes;
/// new fields have a default.
const V1: &str = include_str!("journal-v1.jsonl");

/// What was added since, a line for each, without the version that each carries. A line is added and never changed.
const ADDED: &str = include_str!("journal-added.jsonl");

fn lines() -> impl Iterator<Item = &'static str> {
    V1.lines().chain(ADDED.lines())
}

fn reads_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let written = line::write(value).expect("it serialises");
    let read: T = line::read(&written).unwrap_or_else(|error| panic!("{error}: {written}"));
    assert_eq!(read, *value, "{written}");
}

#[test]
fn every_event_reads_back() {
    events().iter().for_each(reads_back);
}

#[test]
fn every_rotation_reads_back() {
    for policy in policies() {
        for rotation in unblocked(&policy) {
            for (_, record) in records() {
                let mut rotation = rotation.clone();
                record(&mut rotation);
                reads_back(&rotation);
            }
            reads_back(&blocked(&rotation, reasons()[0].clone()));
        }
    }
    let closed = settled(Phase::Opened, &Policy::default());
    let end = Event::Ended { ending: Ending::Gone, why: "gone".to_owned() };
    reads_back(&apply(&closed, &end).expect("legal"));
}

#[test]
fn a_journal_of_an_earlier_version_means_what_it_meant() {
    let events = events();
    for line in lines() {
        let event: Event = line::read(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(events.contains(&event), "{line} is read as {event:?}");
    }
}

#[test]
fn the_form_has_not_changed_by_accident() {
    let golden: BTreeSet<&str> = lines().collect();
    for event in events() {
        let written = line::write(&event).expect("it serialises").replacen(r#""format":2,"#, "", 1);
        assert!(
            golden.contains(written.as_str()),
            "not as in an earlier version (if it is new, add it to journal-added.jsonl): {written}"
        );
    }
}

#[test]
fn a_rule_that_a_journal_does_not_know_has_its_default() {
    let policy: Policy = serde_json::from_str(r#"{"overlap":{"secs":5,"nanos":0}}"#).expect("reads");
    assert_eq!(policy, Policy { overlap: Duration::from_secs(5), ..Policy::default() });
    let old = r#"{"intent":"discard-new","key":"AKIANEWNEWNEWNEWNEW0","then":"abort"}"#;
    let intent: Intent = serde_json::from_str(old).expect("reads");
    assert_eq!(intent, Intent::DiscardNew { key: key(NEW), then: AfterDiscard::Abort, why: String::new() });
}

#[test]
fn no_line_holds_the_secret() {
    // Types forbid it (no `Serialize` on `SecretKey`); a fingerprint is all that is left of one.
    assert!(!V1.contains(NEW_SECRET) && !ADDED.contains(NEW_SECRET));
    assert!(V1.contains(&serde_json::to_string(&fingerprint()).expect("serialises")));
}
