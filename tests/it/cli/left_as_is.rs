//! A key in use, in a form that rotator cannot edit, keeps a run from ending as if no key was due.

use serde_json::Value;

use super::bench::Bench;

const USER: &str = "app1/production";

/// The user's pair, only in a CSV file as the console of AWS gives it out.
fn bench() -> (Bench, String) {
    let bench = Bench::new();
    bench.sandbox.add_user(USER).expect("a user");
    let key = bench.sandbox.create_key(USER).expect("a key");
    let csv = format!("Access key ID,Secret access key\n{},{}\n", key.id, key.secret.expose());
    bench.run_with(&["store", "set", &format!("{USER}/accessKeys.csv")], &csv).code(0);
    (bench, key.id.to_string())
}

fn note(ended: &super::bench::Ended) -> Value {
    let document = ended.json();
    let notes = document["skipped"].as_array().expect("a list");
    assert_eq!(notes.len(), 1, "{document:#}");
    notes[0].clone()
}

#[test]
fn a_due_key_in_text_that_cannot_be_edited_needs_an_operator() {
    let (bench, id) = bench();
    let ended = bench.run(&["run", "--output", "json"]).code(4);
    let alone = note(&ended);
    assert_eq!((&alone["reason"], &alone["key_id"]), (&"unsupported-form".into(), &id.as_str().into()));
    let message = alone["message"].as_str().expect("text");
    assert!(message.contains("line 2") && message.contains("due") && message.contains("--exclude"), "{message}");
    assert_eq!(ended.json()["counts"]["needs_operator"], 1);
    bench.run(&["status", "--exit-code"]).code(4);
    assert_eq!(bench.key_of(USER), id, "nothing was changed");
}

/// Keys that are not due, not in use, not IAM user keys or excluded are reported and need no action.
#[test]
fn a_key_that_is_not_due_or_not_in_use_is_only_reported() {
    let (bench, id) = bench();
    bench.run(&["run", "--older-than", "30d"]).code(0).prints("unsupported-form");
    bench.run(&["run", "--exclude", &id]).code(0);
    bench.run(&["run", "--exclude", "app1/*"]).code(0);
    bench.sandbox.set_status(USER, &id, rotator::sandbox::KeyStatus::Inactive).expect("set");
    bench.run(&["run"]).code(0);
    bench.sandbox.set_status(USER, &id, rotator::sandbox::KeyStatus::Active).expect("set");
    bench.run(&["run"]).code(4);
    bench.sandbox.delete_key(USER, &id).expect("deleted");
    bench.run(&["run"]).code(0).prints("unsupported-form");
}

/// Different secrets beside one id need an operator, but not where IAM does not have the key any more.
#[test]
fn two_secrets_of_a_deleted_key_are_only_reported() {
    let bench = Bench::with_users(&[USER]);
    let id = bench.key_of(USER);
    let other = "kT8vQ2mXr5LbN0dHs7GcYw3JfPz9UaEo1RiB6/+t";
    bench.run_with(&["store", "set", "app2/production/AWS_ACCESS_KEY_ID"], &id).code(0);
    bench.run_with(&["store", "set", "app2/production/AWS_SECRET_ACCESS_KEY"], other).code(0);
    bench.run(&["run"]).code(4).prints("different secrets");
    bench.sandbox.delete_key(USER, &id).expect("deleted");
    bench.run(&["run"]).code(0).prints("two-secrets");
}
