//! A second active key that no store holds, as a rotation with a lost journal leaves it.

use rotator::sandbox::KeyStatus;

use super::bench::Bench;

const USER: &str = "app1/production";

/// A rotation in its overlap, whose journal was deleted.
fn journal_lost() -> (Bench, String) {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    bench.run(&["run", "--overlap", "1h"]).code(3);
    for file in ["journal.db", "journal.db-wal", "journal.db-shm"] {
        let _ = std::fs::remove_file(bench.path(file));
    }
    (bench, old)
}

#[test]
fn it_is_reported_by_run_plan_and_doctor_though_no_key_is_due() {
    let (bench, old) = journal_lost();
    let young = ["--older-than", "80d"];
    let reported = bench.run(&[&["run"], &young[..]].concat()).code(4).prints(&old).prints("its journal was lost");
    reported.prints("aws iam delete-access-key").prints("1 needs an operator");
    bench.run(&["status", "--exit-code"]).code(4).prints(&old);
    bench.run(&[&["plan"], &young[..]].concat()).code(0).prints(&old).prints("1 needs an operator");
    bench.run_in(("ROTATOR_POLICY_OLDER_THAN", "80d"), &["doctor"]).code(1).prints("FAIL  keys").prints(&old);
    let document = bench.run(&[&["run", "--output", "json"], &young[..]].concat()).code(4).json();
    let reasons: Vec<_> = document["skipped"].as_array().expect("a list").iter().map(|n| n["reason"].clone()).collect();
    assert!(reasons.contains(&"second-active-key".into()), "{reasons:?}");
    assert_eq!(bench.sandbox.keys_of(USER).len(), 2, "and left as it is");
    // The way out.
    bench.sandbox.set_status(USER, &old, KeyStatus::Inactive).expect("set");
    bench.run(&[&["run"], &young[..]].concat()).code(0);
    bench.run(&["status", "--exit-code"]).code(0);
}

#[test]
fn a_due_key_says_so_as_well() {
    let (bench, old) = journal_lost();
    bench.run(&["run"]).code(4).prints(&old).prints("two keys already").prints("journal").prints("1 needs an operator");
}

#[test]
fn a_key_that_another_entry_holds_or_that_is_excluded_is_no_such_key() {
    let bench = Bench::with_users(&[USER]);
    let other = bench.sandbox.create_key(USER).expect("a second key");
    let run = ["run", "--older-than", "80d"];
    bench.run(&run).code(4);
    bench.run(&[&run[..], &["--exclude", other.id.as_str()]].concat()).code(0);
    bench.run_with(&["store", "set", "notes/production/NOTE"], &format!("the laptop has {}", other.id)).code(0);
    bench.run(&run).code(0);
}
