//! Repeated `run` commands rotate every key once and then report that all keys are rotated.

use std::time::Duration;

use rotator::sandbox::{Action, ApiError, Behaviour, Fault, FaultKind};

use super::bench::Bench;

const MOVED: &str = "app1/production";
const FINE: &str = "app2/production";

/// Every create for this user is refused.
fn refuse_creates(bench: &Bench, user: &str) {
    let refused = Fault::new(FaultKind::Refuse(ApiError::new(409, "LimitExceeded", "not now")));
    bench.sandbox.arm(refused.on(Action::CreateAccessKey).for_user(user).always());
}

/// One user is rotated. The other user's rotation is open and has no key yet when an operator moves the pair to another
/// entry, so this rotation gives up by itself.
fn one_rotated_and_one_to_give_up() -> Bench {
    let bench = Bench::with_users(&[MOVED, FINE]);
    refuse_creates(&bench, MOVED);
    bench.run(&["run"]).code(3).prints("1 in flight");
    bench.sandbox.disarm_all();
    for part in ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY"] {
        let entry = format!("{MOVED}/AWS_{part}");
        let value = bench.run(&["store", "get", &entry]).code(0).stdout;
        bench.run_with(&["store", "set", &format!("{MOVED}/DEPLOY_AWS_{part}")], &value).code(0);
        bench.run(&["store", "rm", &entry]).code(0);
    }
    bench
}

/// Checks that each user's key was rotated once. The campaign has nothing left to open, so the next `run` would begin
/// another.
fn assert_each_rotated_once(bench: &Bench) {
    assert_eq!(bench.sandbox.calls()[&Action::DeleteAccessKey], 2, "each old key, and no other");
    bench.run(&["status", "--exit-code"]).code(0);
}

#[test]
fn a_rotation_that_gives_up_and_is_opened_anew_by_the_same_run_leaves_nothing_to_do() {
    let bench = one_rotated_and_one_to_give_up();
    let run = bench.run(&["run"]).code(0).prints("aborted");
    run.prints("2 rotated, 1 aborted");
    assert_each_rotated_once(&bench);
}

#[test]
fn a_rotation_that_gives_up_in_resume_keeps_the_campaign_open_for_the_next_run() {
    let bench = one_rotated_and_one_to_give_up();
    bench.run(&["resume"]).code(3).prints("aborted");
    bench.run(&["status", "--exit-code"]).code(3).prints("1 due key is not rotated yet: `rotator run`");
    bench.run(&["run"]).code(0);
    assert_each_rotated_once(&bench);
}

#[tokio::test]
async fn a_late_key_is_reported_and_is_no_reason_to_run_again() {
    let bench = Bench::with_users(&[MOVED, FINE]);
    refuse_creates(&bench, FINE);
    bench.sandbox.arm(Fault::new(FaultKind::HoldUntilReleased).on(Action::CreateAccessKey).for_user(MOVED));
    bench.run_in(("ROTATOR_AWS_CALL_TIMEOUT", "500ms"), &["run"]).code(3);
    bench.run(&["resume", "--wait"]).code(3).prints("1 rotated");
    bench.sandbox.disarm_all();
    bench.sandbox.release(None);
    for _ in 0..500 {
        if bench.sandbox.keys_of(MOVED).len() == 2 {
            // No rotation continues by itself; an operator must find out who created the key.
            bench.run(&["run"]).code(4).says("turned up late").prints("rotated").prints("1 needs an operator");
            assert_eq!(bench.sandbox.calls()[&Action::DeleteAccessKey], 2, "each old key, and no other");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the held create was not carried out");
}

/// No new pair authenticates, or all do at once.
/// Whether keys that are made from now on are accepted. Those of the scene are old enough.
fn new_pairs_fail(bench: &Bench, they_do: bool) {
    let new_keys_invalid_for = if they_do { HOUR } else { Duration::ZERO };
    if they_do {
        bench.sandbox.advance(2 * HOUR);
    }
    bench.sandbox.set_behaviour(Behaviour {
        allow_slash_in_user_names: true,
        new_keys_invalid_for,
        ..Behaviour::default()
    });
}

fn creates(bench: &Bench) -> u64 {
    bench.sandbox.calls().get(&Action::CreateAccessKey).copied().unwrap_or_default()
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_key_that_needs_an_operator_does_not_stop_the_healthy_ones() {
    let bench = Bench::with_users(&["stuck/production", FINE]);
    bench.sandbox.create_key("stuck/production").expect("a second key");
    for rotated in 1..=3 {
        bench.run(&["run"]).code(4).prints("1 rotated");
        assert_eq!(creates(&bench), rotated, "it is rotated again when its key is old enough");
        bench.run(&["run"]).code(4);
        assert_eq!(creates(&bench), rotated, "and not before");
        bench.run(&["status", "--exit-code"]).code(4).prints("1 needs an operator");
        bench.sandbox.advance(21 * HOUR);
    }
}

#[test]
fn a_recently_rotated_key_is_not_due_unless_an_age_says_so() {
    let bench = Bench::with_users(&[FINE]);
    bench.run(&["run"]).code(0);
    bench.run(&["run"]).code(0).prints("no key is due").prints("recently-rotated");
    bench
        .run(&["plan"])
        .code(0)
        .prints("no key is due")
        .prints(&format!("`rotator rotate {FINE}` rotates it all the same"));
    bench.run(&["doctor"]).code(0).prints("keys due: 0");
    bench.run_in(("ROTATOR_POLICY_OLDER_THAN", "0s"), &["run"]).code(0).prints("no key is due");
    assert_eq!(creates(&bench), 1);
    bench.run(&["run", "--older-than", "0s"]).code(0);
    assert_eq!(creates(&bench), 2, "the flag says so");
    bench.sandbox.advance(2 * HOUR);
    bench.run_in(("ROTATOR_POLICY_OLDER_THAN", "1h"), &["run"]).code(0);
    assert_eq!(creates(&bench), 3, "above zero, age alone decides");
}

#[test]
fn a_key_of_the_open_campaign_says_how_it_is_rotated_and_which_plan_shows_it() {
    let bench = Bench::with_users(&[FINE, MOVED]);
    let old = bench.key_of(FINE);
    bench.run(&["run", "--limit", "1"]).code(3);
    let first = if bench.key_of(FINE) == old { MOVED } else { FINE };
    bench.run(&["run", "--overlap", "1h"]).code(3);
    // The campaign is open, so the key that it made is not due, whatever the flag says.
    let run = ["run", "--older-than", "0s", "--overlap", "1h"];
    let skipped = bench.run(&run).code(3).prints("skipped: 1 recently-rotated");
    skipped.prints("`rotator plan --older-than 0s --overlap 1h` says which");
    let plan = bench.run(&["plan", "--older-than", "0s", "--overlap", "1h"]).code(0).prints("recently-rotated");
    plan.prints("the campaign that is still open").prints(&format!("`rotator rotate {first}` does"));
    bench
        .run(&["rotate", first, "--yes"])
        .code(0)
        .prints("1 rotated")
        .prints("\nother rotations: 1 in flight (1 waiting)\n");
}

#[test]
fn the_numbers_of_the_campaign_are_not_those_of_the_command() {
    let bench = Bench::with_users(&[FINE, MOVED]);
    bench.run(&["run", "--limit", "1"]).code(3).prints("1 rotated, 1 due but not rotated yet");
    let second = bench.run(&["run", "--overlap", "1h"]).code(3);
    let second = second.prints("\nthe latest campaign so far: 1 rotated\n");
    assert!(second.stdout.contains("\n1 in flight (1 waiting): "), "{}", second.stdout);
    bench.sandbox.advance(2 * HOUR);
    bench
        .run(&["status"])
        .code(0)
        .prints("1 in flight (1 waiting)")
        .prints("\nthe latest campaign so far: 1 rotated\n");
    let resumed = bench.run(&["resume"]).code(0).prints("\n1 rotated");
    drop(resumed.prints("\nthe latest campaign so far: 2 rotated\n"));
    let nothing = bench.run(&["resume"]).code(0);
    assert!(nothing.stdout.starts_with("nothing in flight"), "{}", nothing.stdout);
    drop(nothing.prints("the latest campaign so far: 2 rotated"));
    bench.run(&["run", "--older-than", "0s", "--overlap", "1h", "--only", FINE]).code(3);
    bench.sandbox.create_key(MOVED).expect("a second key");
    let refused = bench.run(&["rotate", MOVED, "--yes"]).code(4);
    let refused = refused.prints("nothing rotated, 1 needs an operator, see above");
    drop(refused.prints("\nother rotations: 1 in flight (1 waiting)\n"));
}

#[test]
fn a_run_for_some_keys_does_not_shorten_the_campaign_of_all() {
    let bench = Bench::with_users(&["a/p", "b/p", "c/p"]);
    bench.run(&["run", "--older-than", "0s", "--limit", "1"]).code(3);
    bench.run(&["run", "--older-than", "0s", "--only", "c/p"]).code(3).prints("1 due but not rotated yet");
    bench.run(&["run", "--older-than", "0s"]).code(0);
    assert_eq!(creates(&bench), 3, "none twice");
}

#[test]
fn a_limit_takes_what_gave_up_last() {
    let bench = Bench::with_users(&["a/p", "b/p"]);
    let old = bench.key_of("b/p");
    new_pairs_fail(&bench, true);
    bench.run(&["run", "--limit", "1", "--proof-timeout", "1s"]).code(3).prints("aborted");
    new_pairs_fail(&bench, false);
    bench.run(&["run", "--limit", "1"]).code(3);
    bench.assert_rotated("b/p", &old);
    bench.run(&["run", "--limit", "1"]).code(0);
}

#[test]
fn a_key_that_keeps_failing_asks_for_an_operator_and_is_tried_once_a_day() {
    let bench = Bench::with_users(&[FINE]);
    let old = bench.key_of(FINE);
    let run = ["run", "--proof-timeout", "1s", "--output", "json"];
    new_pairs_fail(&bench, true);
    for _ in 0..2 {
        bench.run(&run).code(3);
        bench.sandbox.advance(13 * HOUR);
    }
    let document = bench.run(&run).code(4).json();
    let note = &document["skipped"][0];
    assert_eq!((&note["reason"], &document["counts"]["needs_operator"]), (&"keeps-failing".into(), &1.into()));
    let message = note["message"].as_str().expect("text");
    assert!(message.contains("failed in 3 runs") && message.contains("rotator run"), "{message}");
    assert_eq!(creates(&bench), 3);
    bench.run(&["status", "--exit-code"]).code(4).prints("failed in 3 runs");

    bench.sandbox.advance(HOUR);
    let used = bench.sandbox.keys_of(FINE)[0].last_used.clone();
    bench.run(&run).code(4);
    assert_eq!(creates(&bench), 3, "one create a day");
    assert_eq!(bench.sandbox.keys_of(FINE)[0].last_used, used, "and no proof until then");
    bench.sandbox.advance(25 * HOUR);
    bench.run(&run).code(4);
    assert_eq!(creates(&bench), 4, "it is looked at again");
    new_pairs_fail(&bench, false);
    bench.sandbox.advance(25 * HOUR);
    bench.run(&["run"]).code(0).prints("1 rotated");
    bench.assert_rotated(FINE, &old);
    bench.run(&["status", "--exit-code"]).code(0);
}
