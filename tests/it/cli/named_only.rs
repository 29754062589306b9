//! A command about some rotations speaks of these: in its text, its exit code and its document. And the order of lists.

use std::time::Duration;

use super::bench::{Bench, Ended};

/// The users in the order of a document.
fn users(ended: &Ended) -> Vec<String> {
    let document = ended.json();
    let rotations = document["rotations"].as_array().expect("a list");
    rotations.iter().map(|rotation| rotation["user"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn what_waits_or_is_blocked_beside_the_named_one_does_not_count() {
    let bench = Bench::with_users(&["a/p", "b/p", "c/p"]);
    bench.run(&["run", "--only", "a/p", "--overlap", "1h"]).code(3);
    bench.run(&["run", "--only", "b/p", "--overlap", "1h", "--quarantine", "7d"]).code(3);
    bench.run(&["run", "--only", "c/p", "--overlap", "5h"]).code(3);
    let done = bench
        .run(&["resolve", "a/p", "--finish"])
        .code(0)
        .prints("1 rotated")
        .prints("other rotations: 2 in flight (2 waiting)");
    assert!(!done.stdout.contains("again"), "{}", done.stdout);

    // Blocked, and an operator is needed: for this one only.
    bench.sandbox.advance(Duration::from_secs(2 * 3600));
    bench.run(&["resume", "b/p"]).code(3).prints("deactivated-old");
    let blocked = bench.run(&["reactivate", "b/p"]).code(3);
    assert!(!blocked.stdout.contains("c/p"), "{}", blocked.stdout);
    bench.sandbox.advance(Duration::from_secs(2 * 3600));
    let blocked = bench.run(&["resume", "b/p"]).code(4).prints("old-key-reactivated").prints(": see above");
    assert!(!blocked.stdout.contains("` again after"), "{}", blocked.stdout);
    let waiting = bench.run(&["resume", "c/p"]).code(3).prints("1 in flight (1 waiting): ").prints("again after");
    assert!(!waiting.stdout.contains("operator") && !waiting.stdout.contains("b/p"), "{}", waiting.stdout);
    bench.run(&["resume", "c/p", "--waiting-ok"]).code(0);

    let document = bench.run(&["resume", "c/p", "--output", "json"]).code(3);
    assert_eq!(users(&document), ["c/p"]);
    assert_eq!(users(&bench.run(&["resume", "--output", "json"]).code(3)), ["b/p", "c/p"]);
    // A failure before anything was done: the rotation that was named is open, and is the one that counts.
    bench.run_in(("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), &["resume", "c/p"]).code(3);
}

#[test]
fn lists_are_in_the_order_of_the_users() {
    let bench = Bench::with_users(&["a/p", "b/p", "c/p"]);
    for user in ["c/p", "a/p", "b/p"] {
        bench.run(&["run", "--only", user, "--overlap", "1h"]).code(3);
    }
    for args in [["status", "--output", "json"], ["resume", "--output", "json"]] {
        assert_eq!(users(&bench.run(&args)), ["a/p", "b/p", "c/p"], "{args:?}");
    }
}

#[test]
fn what_has_ended_is_listed_with_its_time_and_both_keys() {
    let bench = Bench::with_users(&["a/p"]);
    let first = bench.key_of("a/p");
    bench.run(&["run"]).code(0);
    let second = bench.key_of("a/p");
    bench.run(&["rotate", "a/p", "--yes"]).code(0);
    let third = bench.key_of("a/p");
    let listed = bench.run(&["status", "--all"]).code(0);
    let listed = listed.prints(&format!(" {first} -> {second}\n")).prints(&format!(" {second} -> {third}\n"));
    bench.run(&["status", "--all", "--output", "wide"]).code(0).prints("deleted-old at ");
    assert!(listed.stdout.find(&first) < listed.stdout.find(&third), "the oldest first: {}", listed.stdout);
}
