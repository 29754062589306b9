//! What the proof of the old pair leaves on record, and what it is good for later.

use super::*;
use crate::rotation::decide::{Step, next_step};
use crate::rotation::event::UsedBefore;
use crate::rotation::observed::{
    KeySeen, KeyStatus, KeyUse, KeysSeen, Observed, PlaceContent, PlacesSeen, Proof, ScanSeen,
};
use crate::types::name::UserId;

const OVERLAP: i64 = 100;

fn used(second: i64, service: &str) -> KeyUse {
    KeyUse { at: at(second), service: Some(service.to_owned()), region: Some("us-east-1".to_owned()) }
}

/// All that a proof can leave on record.
pub(super) fn proven() -> OldPair {
    OldPair {
        user_id: UserId::new("AIDAEXAMPLE").ok(),
        last_used: Some(UsedBefore::Last(used(3, "s3"))),
        proofs: vec![at(4)],
    }
}

/// `stored-new` when the overlap is just over, and IAM tells this use of the old key.
fn step_after(old_pair: OldPair, last: KeyUse) -> Step {
    let overlap = Duration::from_secs(OVERLAP.unsigned_abs());
    let policy = Policy { overlap, still_in_use: StillInUse::Wait, ..Policy::default() };
    let made = NewKeyState::new(key(NEW), Provenance::Acknowledged { fingerprint: fingerprint() });
    let mut rotation = settled(Phase::StoredNew { made, stored_at: at(STORED_AT) }, &policy);
    rotation.opened.old_pair = old_pair;
    let now = at(STORED_AT + OVERLAP);
    let listed = |id: &str| KeySeen { id: key(id), status: KeyStatus::Active, created: at(0) };
    let known = Observed {
        keys: Some(KeysSeen { at: now, keys: Some(vec![listed(OLD), listed(NEW)]) }),
        places: Some(PlacesSeen { places: vec![("one".to_owned(), PlaceContent::New)] }),
        scan: Some(ScanSeen { named: BTreeMap::from([(key(OLD), Vec::new())]), unreadable: Vec::new() }),
        stored_pair: Some(Proof::Passed),
        last_used: BTreeMap::from([(key(OLD), Some(last))]),
        ..Observed::default()
    };
    next_step(&rotation, empty_hand(), &known, now)
}

#[test]
fn a_proof_of_rotators_own_is_no_use_of_the_old_key() {
    let proven = |before| OldPair { last_used: Some(before), proofs: vec![at(STORED_AT - 5)], ..OldPair::default() };
    let proof = || used(STORED_AT + 30, "sts");
    assert_eq!(step_after(proven(UsedBefore::Never), proof()), Step::Execute(Intent::DeleteOld));
    let before = UsedBefore::Last(used(STORED_AT - 20, "s3"));
    assert_eq!(step_after(proven(before.clone()), proof()), Step::Execute(Intent::DeleteOld));

    let waits = |step: &Step| matches!(step, Step::Wait { .. });
    for (what, step) in [
        ("another service", step_after(proven(before.clone()), used(STORED_AT + 30, "s3"))),
        ("sts a while after the proof", step_after(proven(before), used(STORED_AT + 56, "sts"))),
        ("sts, and no proof is on record", step_after(OldPair::default(), proof())),
    ] {
        assert!(waits(&step), "{what}: {step:?}");
    }
}

#[test]
fn where_the_last_use_is_a_proof_the_use_before_it_counts() {
    let record = |last_used| OldPair { last_used, proofs: vec![at(0)], ..OldPair::default() };
    let told = used(-60, "sts");
    assert_eq!(record(Some(UsedBefore::Last(used(-500, "s3")))).last_use_by_others(Some(&told)), Some(at(-500)));
    assert_eq!(record(Some(UsedBefore::Never)).last_use_by_others(Some(&told)), None);
    assert_eq!(record(None).last_use_by_others(Some(&told)), None);
    assert_eq!(record(None).last_use_by_others(Some(&used(-61, "sts"))), Some(at(-61)));
    assert_eq!(record(None).last_use_by_others(None), None);
}

#[test]
fn the_record_is_left_out_where_nothing_was_proven_and_reads_back_where_something_was() {
    let plain = serde_json::to_value(opened(Policy::default())).expect("text");
    assert!(plain.get("old_pair").is_none(), "{plain}");
    let old_pair = proven();
    let text =
        serde_json::to_string(&Opened { old_pair: old_pair.clone(), ..opened(Policy::default()) }).expect("text");
    assert_eq!(serde_json::from_str::<Opened>(&text).expect("reads back").old_pair, old_pair, "{text}");
}
