//! `rotate`: the named keys, whatever their age; `--now` for a key that has leaked.

use std::time::Duration;

use rotator::sandbox::{Action, Fault, FaultKind};

use super::bench::{Bench, Ended};

const USER: &str = "app1/production";

/// Both keys would work for an hour.
const AN_HOUR: (&str, &str) = ("ROTATOR_POLICY_OVERLAP", "1h");

fn keys(bench: &Bench, user: &str) -> Vec<String> {
    bench.sandbox.keys_of(user).iter().map(|key| key.id.to_string()).collect()
}

#[test]
fn a_named_key_is_rotated_whatever_its_age_and_no_other() {
    let bench = Bench::with_users(&[USER, "app2/production"]);
    let (old, other) = (bench.key_of(USER), bench.key_of("app2/production"));
    bench.run_in(("ROTATOR_POLICY_OLDER_THAN", "80d"), &["rotate", USER]).code(0).prints("1 rotated");
    bench.assert_rotated(USER, &old);
    assert_eq!(bench.key_of("app2/production"), other);
    // rotator made the key a moment ago, which would keep `run` from it.
    let new = bench.key_of(USER);
    bench.run(&["rotate", &new]).code(0).prints("1 rotated");
    bench.assert_rotated(USER, &new);
    // Without --now the settings hold.
    bench.run_in(AN_HOUR, &["rotate", USER]).code(3).prints("stored-new: both keys work");
}

#[test]
fn a_leaked_key_is_replaced_without_a_wait_once_that_is_agreed_to() {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    bench.run_in(AN_HOUR, &["rotate", USER, "--now"]).code(2).says("--yes");
    assert_eq!(bench.key_of(USER), old, "nothing was changed");
    bench.run_in(AN_HOUR, &["rotate", USER, "--now", "--yes"]).code(0).says("deleted at once").prints("1 rotated");
    bench.assert_rotated(USER, &old);
}

#[test]
fn a_wait_in_flight_ends_and_the_user_is_not_rotated_twice() {
    let bench = Bench::with_users(&[USER, "app2/production"]);
    let old = bench.key_of(USER);
    bench.run_in(AN_HOUR, &["run"]).code(3).prints("2 in flight");
    let new = keys(&bench, USER).into_iter().find(|key| *key != old).expect("a new key");
    // The rotation of app2 waits on, and does not count.
    let ended = bench.run_in(AN_HOUR, &["rotate", USER, "--now", "--yes"]).code(0).prints("deleted-old: rotated");
    assert!(!ended.stdout.contains("app2/production"), "{}", ended.stdout);
    assert_eq!(keys(&bench, USER), [new]);
    assert_eq!(keys(&bench, "app2/production").len(), 2);
}

#[test]
fn a_leaked_new_key_is_replaced_after_its_own_rotation() {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    bench.run_in(AN_HOUR, &["run"]).code(3);
    let new = keys(&bench, USER).into_iter().find(|key| *key != old).expect("a new key");
    bench.run_in(AN_HOUR, &["rotate", &new, "--now", "--yes"]).code(0).prints("2 rotated");
    bench.assert_rotated(USER, &new);
    assert_ne!(bench.key_of(USER), old);
}

#[test]
fn what_cannot_be_rotated_needs_an_operator_and_is_named() {
    let bench = Bench::with_users(&[USER, "app2/production"]);
    bench.sandbox.create_key("app2/production").expect("a second key");
    // A key in no store.
    bench.sandbox.add_user("ci").expect("a user");
    let unstored = bench.sandbox.create_key("ci").expect("a key").id.to_string();
    let ended = bench.run(&["rotate", &unstored, "--now", "--yes"]).code(4).says("no store holds the key");
    ended.says(&format!("aws iam update-access-key --user-name ci --access-key-id {unstored} --status Inactive"));
    // A user with two keys.
    let ended = bench.run(&["rotate", "app2/production", "--now", "--yes"]).code(4).prints("has a second key");
    assert!(!ended.stdout.contains(USER), "{}", ended.stdout);
    let leaked = bench.run(&["store", "get", "app2/production/AWS_ACCESS_KEY_ID"]).code(0).stdout;
    ended.says(&format!("{leaked} still works")).says(&format!(
        "  aws iam update-access-key --user-name app2/production --access-key-id {leaked} --status Inactive"
    ));
    // Without --now there is no hurry.
    let ended = bench.run(&["rotate", "app2/production", "--yes"]).code(4);
    assert!(!ended.stderr.contains("still works"), "{}", ended.stderr);
    // An exclusion holds.
    bench.run_in(("ROTATOR_POLICY_EXCLUDE", "app1/*"), &["rotate", USER, "--yes"]).code(4).prints("left out by");
    // A name that nothing has.
    bench.run(&["rotate", "app1/productoin"]).code(2).says("the nearest is").says(USER);
    assert_eq!(keys(&bench, USER).len(), 1);
    // Without a setting or a word, no old key is deleted at once.
    let mut command = bench.command(&["rotate", USER]);
    let output = command.env_remove("ROTATOR_POLICY_OVERLAP").output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
}

/// Waits for `settle`, and for the time-out of a create without a reply.
fn resume(bench: &Bench, seconds: u64) -> Ended {
    bench.sandbox.advance(Duration::from_secs(seconds));
    bench.run_in(AN_HOUR, &["resume"])
}

/// The wait after a lost create cannot be ended. The overlap and the quarantine that would follow are not begun.
#[test]
fn asked_for_before_the_new_pair_is_stored_the_old_key_waits_for_nothing_afterwards() {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    bench.sandbox.arm(Fault::new(FaultKind::LostReplyBefore).on(Action::CreateAccessKey));
    bench.run_in(AN_HOUR, &["run"]).code(3).prints("making the new key");
    let said = format!("{old} is to be deleted without a wait");
    bench.run_in(AN_HOUR, &["rotate", USER, "--now", "--yes"]).code(3).says(&said);
    bench.run(&["status", USER]).prints("old key deleted without a wait");
    // It is on record once, however often it is asked for.
    bench.run_in(AN_HOUR, &["rotate", USER, "--now", "--yes"]).code(3).says(&said);
    let told = bench.run(&["status", USER]).code(0).stdout;
    assert_eq!(told.matches("asked to delete").count(), 1, "{told}");
    bench.sandbox.disarm_all();
    resume(&bench, 3600).code(0).prints("deleted-old: rotated");
    assert!(!keys(&bench, USER).contains(&old));
}

/// An abort that was asked for before is taken back, as the last of several requests counts.
#[test]
fn a_blocked_rotation_takes_the_request_and_an_abort_is_taken_back() {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    bench.sandbox.arm(Fault::new(FaultKind::LostReplyBefore).on(Action::CreateAccessKey));
    bench.run_in(AN_HOUR, &["run"]).code(3);
    bench.run_in(AN_HOUR, &["abort", USER]).code(3);
    bench.sandbox.disarm_all();
    // rotator cannot know whether this is the key of the lost create: it was not created within the call.
    bench.sandbox.advance(Duration::from_secs(3600));
    let other = bench.sandbox.create_key(USER).expect("a key").id.to_string();
    bench.run_in(AN_HOUR, &["rotate", USER, "--now", "--yes"]);
    resume(&bench, 60).code(4).prints("unclaimed-keys");
    bench.run_in(AN_HOUR, &["rotate", USER, "--now", "--yes"]).code(4).says("is to be deleted without a wait");
    bench.run_in(AN_HOUR, &["resolve", USER, "--delete-key", &other]);
    resume(&bench, 60).code(0).prints("deleted-old: rotated");
    assert_eq!(keys(&bench, USER).len(), 1);
    bench.assert_rotated(USER, &old);
}

/// The answer to that question would say that the user is gone.
#[test]
fn the_question_what_became_of_a_user_is_not_answered_by_the_way() {
    let bench = Bench::with_users(&[USER]);
    bench.run_in(AN_HOUR, &["run"]).code(3);
    bench.sandbox.delete_user(USER).expect("deleted");
    bench.sandbox.advance(Duration::from_secs(4_000));
    resume(&bench, 60);
    resume(&bench, 60).code(4).prints("user-not-found");
    let ended = bench.run_in(AN_HOUR, &["rotate", USER, "--now", "--yes"]).code(4).prints("user-not-found");
    assert!(!ended.stderr.contains("on record"), "{}", ended.stderr);
    resume(&bench, 60).code(4).prints("user-not-found");
}

/// The secret of that key is lost, and an operator who knows so need not wait until IAM shows late uses.
#[test]
fn the_wait_for_a_key_whose_secret_was_lost_is_shortened_by_the_printed_command() {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    bench.sandbox.arm(Fault::new(FaultKind::LostReplyAfter).on(Action::CreateAccessKey).times(1));
    let mut run = bench.command(&["run", "--overlap", "1h"]);
    let run = run.env("ROTATOR_POLICY_UNCLAIMED_AFTER", "15m").output().expect("it starts");
    assert_eq!(run.status.code(), Some(3));
    let lost = keys(&bench, USER).into_iter().find(|key| *key != old).expect("it was executed");
    let command = format!("rotator resolve {USER} --delete-key {lost}");
    resume(&bench, 120);
    resume(&bench, 2).code(3).prints("looked at once more").prints(&command);
    bench.run_in(AN_HOUR, &["rotate", USER, "--now", "--yes"]).code(3).prints(&command);
    bench.run_in(AN_HOUR, &command.split(' ').skip(1).collect::<Vec<_>>());
    // Four minutes have passed, and not 15.
    resume(&bench, 120).code(0);
    bench.assert_rotated(USER, &old);
    assert_eq!(keys(&bench, USER).len(), 1);
}

#[test]
fn every_name_of_a_rotation_in_flight_ends_its_wait() {
    for name in ["app1/production/AWS_ACCESS_KEY_ID", "app1/production", "APP1/Production"] {
        let bench = Bench::with_users(&[USER]);
        let old = bench.key_of(USER);
        bench.run_in(AN_HOUR, &["run"]).code(3);
        let new = keys(&bench, USER).into_iter().find(|key| *key != old).expect("a new key");
        let ended = bench.run_in(AN_HOUR, &["rotate", name, "--now", "--yes"]).code(0).prints("1 rotated");
        ended.says(&format!("the key {new} that it made stays")).says(&format!("rotator rotate {new} --now"));
        assert_eq!(keys(&bench, USER), [new], "{name}");
    }
}

#[test]
fn keys_that_are_not_named_do_not_count_even_if_they_are_excluded() {
    let bench = Bench::with_users(&[USER, "app2/production", "app3/production"]);
    bench.sandbox.create_key("app3/production").expect("a second key, which would need an operator");
    let exclude = ("ROTATOR_POLICY_EXCLUDE", "app2/*");
    let document = bench.run_in(exclude, &["rotate", USER, "--yes", "--output", "json"]).code(0).json();
    assert_eq!((&document["skipped"], &document["counts"]["needs_operator"]), (&serde_json::json!([]), &0.into()));
    let document = bench.run_in(exclude, &["rotate", "app2/production", "--yes", "--output", "json"]).code(4).json();
    assert_eq!(
        (&document["skipped"][0]["needs_operator"], &document["counts"]["needs_operator"]),
        (&true.into(), &1.into())
    );
}

/// What only was not named is left out by no setting, and the commands after it do not count it.
#[test]
fn keys_that_are_not_named_are_not_excluded_afterwards() {
    let bench = Bench::with_users(&[USER, "app2/production"]);
    bench.run_in(AN_HOUR, &["rotate", USER, "--yes"]).code(3);
    for command in [&["resume"][..], &["status"]] {
        let ended = bench.run(command);
        assert!(!ended.stdout.contains("excluded"), "{command:?}: {}", ended.stdout);
    }
}

#[test]
fn a_request_that_a_block_holds_up_is_said_to_be_on_record() {
    let bench = Bench::with_users(&[USER]);
    let entries = ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"].map(|name| format!("{USER}/{name}"));
    let before = entries.each_ref().map(|entry| bench.run(&["store", "get", entry]).code(0).stdout);
    bench.run_in(AN_HOUR, &["run"]).code(3);
    for (entry, value) in entries.iter().zip(&before) {
        bench.run_with(&["store", "set", entry], value).code(0);
    }
    let old = &before[1];
    bench.run(&["resume"]).code(4).prints("reverted");
    let on_record = format!("{old} is to be deleted without a wait");
    bench.run(&["resolve", USER, "--finish"]).code(4).prints(&on_record);
    let ended = bench.run(&["rotate", USER, "--now", "--yes"]).code(4).says(&on_record);
    ended.says(&format!("{old} may still work; it is on record"));
}

#[test]
fn an_old_key_that_an_operator_made_active_again_stays() {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    bench.run(&["run", "--overlap", "1h", "--quarantine", "7d"]).code(3);
    bench.sandbox.advance(std::time::Duration::from_secs(3700));
    bench.run(&["resume"]).code(3).prints("deactivated-old");
    bench.run(&["reactivate", USER]).code(3).prints("stored-new");
    bench.run(&["rotate", USER, "--now", "--yes"]).code(3);
    assert!(keys(&bench, USER).contains(&old), "only `resolve --delete-key` deletes it");
}
