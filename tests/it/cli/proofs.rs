//! `run` proves the old pair at STS before it opens a rotation, and leaves a pair without proof unchanged.

use std::time::Duration;

use rotator::adapters::sqlite_journal::SqliteJournal;
use rotator::journal::store::RotationFilter;
use rotator::rotation::event::{OldPair, UsedBefore};
use rotator::sandbox::{Action, ApiError, Behaviour, Fault, FaultKind, KeyStatus};
use serde_json::{Value, json};

use super::bench::Bench;

const FINE: &str = "fine/production";
const OTHER: &str = "other/production";
const WALLED: &str = "walled/production";

/// A value of the form of a secret that another program needs as it is.
const ANOTHERS: &str = "zY8xW7vU6tS5rQ4pO3nM2lK1jI0hG9fE8dC7bA6+";

fn denied() -> FaultKind {
    FaultKind::Refuse(ApiError::new(403, "AccessDenied", "an explicit deny in a VPC endpoint policy"))
}

fn note<'a>(document: &'a Value, id: &str) -> &'a Value {
    let notes = document["skipped"].as_array().expect("a list");
    notes.iter().find(|note| note["key_id"] == id).unwrap_or_else(|| panic!("nothing of {id}: {document:#}"))
}

fn proof_of(bench: &Bench, user: &str) -> OldPair {
    let reader = SqliteJournal::open_read_only(&bench.path("journal.db")).expect("opened").expect("there");
    let all = reader.summaries(RotationFilter::All).expect("read");
    let found = all.into_iter().rfind(|summary| summary.rotation.opened.user.as_str() == user);
    found.expect("a rotation of that user").rotation.opened.old_pair
}

#[test]
fn a_pair_that_does_not_answer_is_named_with_both_places_and_changed_in_nothing() {
    let bench = Bench::with_users(&[FINE, OTHER, WALLED]);
    let secret_entry = format!("{OTHER}/AWS_SECRET_ACCESS_KEY");
    bench.run_with(&["store", "set", &secret_entry], ANOTHERS).code(0);
    // A refusal of a key that is younger than `settle` says nothing.
    bench.sandbox.advance(std::time::Duration::from_secs(60));
    bench.sandbox.arm(Fault::new(denied()).on(Action::GetCallerIdentity).for_user(WALLED).always());
    let [fine, other, walled] = [FINE, OTHER, WALLED].map(|user| bench.key_of(user));
    let used = |user: &str| bench.sandbox.keys_of(user)[0].last_used.is_some();

    for args in [&["plan"][..], &["run", "--dry-run"], &["doctor"]] {
        bench.run(args).code(0);
        assert!(!used(FINE), "{args:?} has used the pair of {FINE}");
    }
    let ended = bench.run(&["run", "--output", "json"]).code(4);
    let document = ended.json();
    let unproven = note(&document, &other);
    assert_eq!(unproven["reason"], "pair-not-proven", "{document:#}");
    let message = unproven["message"].as_str().expect("text");
    for words in [&secret_entry, &format!("{OTHER}/AWS_ACCESS_KEY_ID"), &other, "SignatureDoesNotMatch", OTHER] {
        assert!(message.contains(words), "no {words} in {message}");
    }
    let walled_off = note(&document, &walled);
    assert_eq!(walled_off["reason"], "sts-denied", "{document:#}");
    assert!(walled_off["message"].as_str().is_some_and(|text| text.contains("VPC endpoint")), "{document:#}");
    assert_eq!(bench.key_of(OTHER), other, "nothing was created");
    assert_eq!(bench.key_of(WALLED), walled, "nothing was created");
    assert_eq!(bench.run(&["store", "get", &secret_entry]).code(0).stdout, ANOTHERS);
    bench.assert_rotated(FINE, &fine);
    assert!(!ended.stdout.contains(ANOTHERS) && !ended.stderr.contains(ANOTHERS), "a secret was printed");
    bench.run(&["status", "--exit-code"]).code(4).prints(&other).prints(&walled);
}

#[test]
fn without_an_answer_of_sts_a_run_opens_nothing() {
    let bench = Bench::with_users(&[FINE, OTHER, WALLED]);
    let old = [FINE, OTHER, WALLED].map(|user| (user, bench.key_of(user)));
    for (user, kind) in [(OTHER, FaultKind::Throttle), (WALLED, FaultKind::ServiceUnavailable)] {
        bench.sandbox.arm(Fault::new(kind).on(Action::GetCallerIdentity).for_user(user).always());
    }
    bench.run(&["run"]).code(3).prints("1 rotated").says(&old[1].1).says(&old[2].1);
    assert_eq!(bench.key_of(OTHER), old[1].1);
    bench.sandbox.disarm_all();
    bench.run(&["run"]).code(0);
    for (user, old) in &old {
        bench.assert_rotated(user, old);
    }
}

#[test]
fn the_last_use_is_read_before_the_proof_where_the_policy_waits_for_the_other_users() {
    let bench = Bench::with_users(&[FINE, OTHER]);
    let old = [FINE, OTHER].map(|user| bench.key_of(user));
    let waits = ("ROTATOR_POLICY_STILL_IN_USE", "wait");
    bench.run_in(waits, &["run", "--only", FINE]).code(0);
    let proof = proof_of(&bench, FINE);
    assert_eq!((proof.last_used, proof.proofs.len()), (Some(UsedBefore::Never), 1), "read before the pair was tried");
    assert!(proof.user_id.is_some_and(|id| id.as_str().starts_with("AIDA")));

    bench.sandbox.arm(Fault::new(denied()).on(Action::GetAccessKeyLastUsed).always());
    // Any other policy does not ask, so that a refusal stops nothing.
    bench.run(&["run", "--only", OTHER]).code(0);
    bench.assert_rotated(OTHER, &old[1]);
    let proof = proof_of(&bench, OTHER);
    assert_eq!((proof.last_used, proof.proofs.len()), (None, 1));
}

#[test]
fn a_key_that_is_younger_than_settle_is_tried_later() {
    let bench = Bench::new();
    let behaviour = Behaviour { allow_slash_in_user_names: true, ..Behaviour::default() };
    let late = Behaviour { new_keys_invalid_for: Duration::from_secs(50), ..behaviour.clone() };
    bench.sandbox.set_behaviour(late);
    bench.add(FINE);
    let old = bench.key_of(FINE);
    let settle = ("ROTATOR_POLICY_SETTLE", "60s");
    bench.run_in(settle, &["run"]).code(3).says(&old).says("created at");
    bench.sandbox.advance(Duration::from_secs(61));
    bench.sandbox.set_behaviour(behaviour);
    bench.run_in(settle, &["run"]).code(0);
    bench.assert_rotated(FINE, &old);
}

/// Ids of another form than AWS's own are found by name, confirmed by IAM, and proven in the same way.
#[test]
fn an_id_without_the_form_of_aws_is_proven_the_same_way() {
    let bench = Bench::new();
    let id = "PROD111111111EXAMPLE";
    bench.sandbox.add_user(FINE).expect("a user");
    let secret = "kP3vQ9xT2mL7wN4bZ8cR1yF6hJ5sD0gA+uE/iOqV";
    bench.sandbox.add_key(FINE, id, secret, KeyStatus::Active, None).expect("a key");
    let entries = json!({ format!("{FINE}/AWS_ACCESS_KEY_ID"): id, format!("{FINE}/AWS_SECRET_ACCESS_KEY"): secret });
    bench.run_with(&["store", "import", "-"], &entries.to_string()).code(0);
    bench.run(&["run"]).code(0);
    bench.assert_rotated(FINE, id);
    assert_eq!(proof_of(&bench, FINE).proofs.len(), 1);
}

/// The list of the user's keys is the stronger source: that IAM does not say whose key it is changes nothing about it.
#[test]
fn an_entry_whose_key_is_gone_is_stale_whatever_iam_refuses() {
    let bench = Bench::with_users(&[FINE, OTHER]);
    let [old, gone] = [FINE, OTHER].map(|user| bench.key_of(user));
    bench.sandbox.delete_key(OTHER, &gone).expect("deleted");
    bench.sandbox.arm(Fault::new(denied()).on(Action::GetAccessKeyLastUsed).always());
    bench.run(&["doctor"]).code(1).prints("the entry is stale").prints(&gone).prints("GetAccessKeyLastUsed");
    let document = bench.run(&["run", "--output", "json"]).code(0).json();
    let message = note(&document, &gone)["message"].as_str().expect("text");
    assert!(message.contains("the entry is stale") && message.contains(OTHER), "{message}");
    assert!(!message.contains("IAM has no user"), "{message}");
    bench.assert_rotated(FINE, &old);
}
