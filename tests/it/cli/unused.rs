//! `unused_for`: a due key that no program uses is left alone, with the command that retires it.

use std::time::Duration;

use rotator::sandbox::{Action, ApiError, Fault, FaultKind};
use serde_json::Value;

use super::bench::{Bench, Ended};
use crate::support::aws::{self, Pair};

const IDLE: &str = "idle/production";
const BUSY: &str = "busy/production";

const DAY: Duration = Duration::from_secs(86_400);

/// The flags under which each key is due, and unused after 45 days.
const FLAGS: [&str; 4] = ["--older-than", "50d", "--unused-for", "45d"];

fn with_flags(bench: &Bench, args: &[&str]) -> Ended {
    bench.run(&[args, &FLAGS].concat())
}

/// Has the user use the key in the store.
async fn use_key(bench: &Bench, user: &str) {
    let value = |name: &str| bench.run(&["store", "get", &format!("{user}/{name}")]).code(0).stdout;
    let pair = Pair::new(value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"));
    aws::sts(bench.sandbox.addr(), &pair).get_caller_identity().send().await.expect("it works");
}

fn note(document: &Value, id: &str) -> Value {
    let notes = document["skipped"].as_array().expect("a list");
    notes.iter().find(|note| note["key_id"] == id).unwrap_or_else(|| panic!("nothing of {id}: {document:#}")).clone()
}

fn asked(bench: &Bench) -> u64 {
    bench.sandbox.calls().get(&Action::GetAccessKeyLastUsed).copied().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_no_program_uses_is_left_alone_and_counted_by_every_summary() {
    let bench = Bench::with_users(&[IDLE, BUSY]);
    bench.sandbox.advance(60 * DAY);
    use_key(&bench, BUSY).await;
    let [idle, busy] = [IDLE, BUSY].map(|user| bench.key_of(user));
    let document = with_flags(&bench, &["plan", "--output", "json"]).code(0).json();
    let skipped = note(&document, &idle);
    assert_eq!((&skipped["reason"], &skipped["last_used"]["at"]), (&"unused".into(), &Value::Null), "{skipped:#}");
    let message = skipped["message"].as_str().expect("text");
    let command = format!("aws iam update-access-key --user-name {IDLE} --access-key-id {idle} --status Inactive");
    assert!(message.contains(&command) && message.contains("was never used since"), "{message}");
    let due = document["due"].as_array().expect("a list");
    assert_eq!((due.len(), &due[0]["key_id"]), (1, &busy.clone().into()));
    assert_eq!((&due[0]["last_used"]["service"], &due[0]["last_used"]["by_rotator"]), (&"sts".into(), &false.into()));
    with_flags(&bench, &["plan"]).code(0).prints("1 key is due").prints("1 unused").prints(&command);

    with_flags(&bench, &["run"]).code(0).prints("1 rotated, 1 unused").prints("skipped: 1 unused");
    bench.assert_rotated(BUSY, &busy);
    assert_eq!(bench.key_of(IDLE), idle);
    bench.run(&["status", "--exit-code"]).code(0).prints("1 unused");
    bench.run(&["resume"]).code(0).prints("1 unused");
    let document = bench.run(&["status", "--output", "json"]).code(0).json();
    assert_eq!((&document["counts"]["unused"], &document["counts"]["needs_operator"]), (&1.into(), &0.into()));
    assert_eq!(note(&document, &idle)["reason"], "unused");
    with_flags(&bench, &["run"]).code(0).prints("1 key is due and unused");
    bench.run(&["run", "--older-than", "50d"]).code(0).prints("1 rotated");
    bench.assert_rotated(IDLE, &idle);
}

#[test]
fn a_run_that_finds_only_unused_keys_is_on_record() {
    let bench = Bench::with_users(&[IDLE]);
    bench.sandbox.advance(60 * DAY);
    with_flags(&bench, &["run"]).code(0).prints("1 key is due and unused");
    bench.run(&["status", "--exit-code"]).code(0).prints("1 unused");
}

#[test]
fn only_due_keys_are_asked_about_and_an_unknown_use_is_no_reason() {
    let bench = Bench::with_users(&[IDLE]);
    bench.sandbox.advance(60 * DAY);
    bench.add(BUSY);
    bench.run(&["plan", "--older-than", "50d"]).code(0);
    assert_eq!(asked(&bench), 0, "unused_for is not set");
    with_flags(&bench, &["plan"]).code(0);
    assert_eq!(asked(&bench), 1, "the other key is not due");
    let denied = FaultKind::Refuse(ApiError::new(403, "AccessDenied", "no"));
    bench.sandbox.arm(Fault::new(denied).on(Action::GetAccessKeyLastUsed).always());
    let planned = with_flags(&bench, &["plan", "--output", "json"]).code(0).says("whose last use is not known");
    let document = planned.json();
    assert_eq!(document["due"][0]["last_used"], Value::Null, "{document:#}");
    with_flags(&bench, &["doctor"]).code(2);
    bench.run_in(("ROTATOR_POLICY_UNUSED_FOR", "45d"), &["doctor"]).code(1).prints("FAIL  permissions");
}

#[test]
fn a_proof_by_rotator_itself_is_no_use() {
    let bench = Bench::with_users(&[IDLE]);
    bench.sandbox.advance(60 * DAY);
    let idle = bench.key_of(IDLE);
    // The old pair answers, and the new one never does: the rotation gives up.
    let never = Fault::new(FaultKind::Refuse(ApiError::new(403, "InvalidClientTokenId", "no")));
    bench.sandbox.arm(never.on(Action::GetCallerIdentity).for_user(IDLE).nth(2).always());
    bench.run(&["run", "--overlap", "1h", "--proof-timeout", "1s"]).code(3).prints("aborted");
    bench.sandbox.disarm_all();
    let planned = with_flags(&bench, &["plan", "--output", "json"]).code(0);
    let skipped = note(&planned.json(), &idle);
    assert_eq!(
        (&skipped["reason"], &skipped["last_used"]["by_rotator"]),
        (&"unused".into(), &true.into()),
        "{skipped:#}"
    );
    assert!(skipped["message"].as_str().is_some_and(|text| text.contains("rotator's own proof")), "{skipped:#}");
    // Another process has no journal, and the use is that of any program.
    bench.run(&[&["plan", "--journal", "other.db"], &FLAGS[..]].concat()).code(0).prints("1 key is due");
}

#[test]
fn a_key_that_is_not_due_shows_a_proof_of_rotator_as_such() {
    let bench = Bench::with_users(&[IDLE]);
    bench.write("rotator.toml", "[owner]\nfrom = \"aws\"\n");
    bench.run(&["run", "--yes"]).code(0).prints("1 rotated");
    let new = bench.key_of(IDLE);
    let document = bench.run(&["plan", "--older-than", "50d", "--output", "json"]).code(0).json();
    let skipped = note(&document, &new);
    assert_eq!(
        (&skipped["reason"], &skipped["last_used"]["service"], &skipped["last_used"]["by_rotator"]),
        (&"not-due".into(), &"sts".into(), &true.into()),
        "{skipped:#}"
    );
    bench.run(&["plan", "--older-than", "50d"]).code(0).prints("just now (rotator)");
    let other = ["plan", "--older-than", "50d", "--journal", "other.db"];
    bench.run(&other).code(0).prints("just now (sts)");
}
