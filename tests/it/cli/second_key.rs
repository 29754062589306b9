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
    reported.prints("aws iam update-access-key").prints("1 needs an operator");
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
    bench.run(&["run"]).code(4).prints(&old).prints("has a second key").prints("journal").prints("1 needs an operator");
}

/// The lines about users with two keys: each user, and the next command.
fn told(text: &str) -> Vec<String> {
    let is_told = |line: &&str| line.contains(" has a second key, ") || line.trim_start().starts_with("aws iam ");
    let without_number = |line: &str| {
        line.trim_start_matches(|c: char| c == ' ' || c == '(' || c == ')' || c.is_ascii_digit()).to_owned()
    };
    text.lines().filter(is_told).map(without_number).collect()
}

#[test]
fn each_user_with_two_keys_is_told_in_short_and_in_one_order_on_every_screen() {
    let users = ["zoo/production", "app/production", "kiosk/production"];
    let bench = Bench::with_users(&users);
    let second = users.map(|user| bench.sandbox.create_key(user).expect("a second key").id.to_string());
    bench.sandbox.set_status(users[2], &second[2], KeyStatus::Inactive).expect("set");
    let status = |user: usize| {
        format!(
            "aws iam update-access-key --user-name {} --access-key-id {} --status Inactive",
            users[user], second[user]
        )
    };
    let sentence = |user: usize, status, then| {
        format!("{} has a second key, {}: {status}, made just now, never used. {then}:", users[user], second[user])
    };
    let expected = [
        sentence(1, "active", "If nothing needs it"),
        status(1),
        sentence(2, "inactive", "If nothing has failed without it for some days"),
        format!("aws iam delete-access-key --user-name {} --access-key-id {}", users[2], second[2]),
        sentence(0, "active", "If nothing needs it"),
        status(0),
    ];
    for (args, code) in [(&["plan"][..], 0), (&["run", "--yes"], 4), (&["status"], 0), (&["resume"], 0)] {
        let screen = bench.run(args).code(code).stdout;
        assert_eq!(told(&screen), expected, "{args:?}: {screen}");
        assert_eq!(screen.matches("spare_key").count(), 1, "{args:?}: the advice is given once: {screen}");
    }
}

#[test]
fn no_rotation_is_suggested_for_which_iam_has_no_room() {
    let bench = Bench::with_users(&[USER]);
    bench.run(&["run", "--yes"]).code(0);
    bench.run(&["plan"]).code(0).prints(&format!("`rotator rotate {USER}` rotates it all the same"));
    let other = bench.sandbox.create_key(USER).expect("a second key");
    for args in [&["plan", "--output", "json"][..], &["run", "--output", "json"]] {
        let document = bench.run(args).json();
        let notes = document["skipped"].as_array().expect("a list");
        let made = notes.iter().find(|note| note["reason"] == "recently-rotated").expect("a note");
        let message = made["message"].as_str().expect("text");
        assert!(message.contains(&format!("decide about {}", other.id)), "{args:?}: {message}");
        assert!(!message.contains("rotator rotate"), "{args:?}: {message}");
    }
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
