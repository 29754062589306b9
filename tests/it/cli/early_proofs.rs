//! `run` proves an old pair as soon as IAM has confirmed its key, and only where the rotation is then opened.

use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rotator::sandbox::{Action, ApiError, Fault, FaultKind, KeyStatus};
use serde_json::json;

use super::bench::{Bench, Ended};

const FINE: &str = "fine/production";
const OTHER: &str = "other/production";

/// Ends a run that hangs.
fn within(limit: Duration, mut child: Child) -> Ended {
    let began = Instant::now();
    while child.try_wait().expect("asked").is_none() {
        if began.elapsed() > limit {
            child.kill().expect("ended");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().expect("it ended").into()
}

fn uses_pair_of(bench: &Bench, user: &str) -> bool {
    bench.sandbox.keys_of(user).iter().any(|key| key.last_used.is_some())
}

#[test]
fn a_pair_is_proven_while_iam_is_still_asked_about_another_key() {
    let bench = Bench::with_users(&[FINE, OTHER]);
    let old = [FINE, OTHER].map(|user| (user, bench.key_of(user)));
    // IAM answers about the other key only after the test has seen the proof.
    let fault =
        bench.sandbox.arm(Fault::new(FaultKind::HoldUntilReleased).on(Action::ListAccessKeys).for_user(OTHER).always());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sees = seen.clone();
    bench.sandbox.observe(move |call| sees.lock().expect("whole").push((call.action, call.user.clone())));
    let running = bench.start(&["run"]);
    let proven = (Action::GetCallerIdentity, Some(FINE.to_owned()));
    let began = Instant::now();
    while !seen.lock().expect("whole").contains(&proven) && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let before = seen.lock().expect("whole").clone();
    assert!(before.contains(&proven), "{before:?}");
    assert!(!before.contains(&(Action::CreateAccessKey, Some(FINE.to_owned()))), "no key before the survey ends");
    bench.sandbox.disarm_all();
    bench.sandbox.release(Some(fault));
    within(Duration::from_secs(120), running).code(0);
    for (user, old) in &old {
        bench.assert_rotated(user, old);
    }
    let proofs = seen.lock().expect("whole").iter().filter(|call| **call == proven).count();
    assert_eq!(proofs, 5, "the old pair, the new one three times, and the stored one");
}

#[test]
fn a_pair_is_proven_only_if_its_rotation_is_opened() {
    let bench = Bench::with_users(&[FINE, OTHER]);
    bench.run(&["plan"]).code(0);
    bench.run(&["run", "--only", FINE, "--only", "nothing/*"]).code(2);
    assert!(!uses_pair_of(&bench, FINE) && !uses_pair_of(&bench, OTHER), "nothing is rotated");
    bench.run(&["run", "--exclude", FINE, "--limit", "1"]).code(0);
    assert!(!uses_pair_of(&bench, FINE), "left out");
    bench.add("third/production");
    bench.run(&["run", "--older-than", "0s", "--limit", "1"]).code(3);
    assert!(uses_pair_of(&bench, FINE), "it is the oldest key");
    assert!(!uses_pair_of(&bench, "third/production"), "the limit is one key");
}

/// Adds users whose keys are the older the higher their number is, or the reverse.
fn with_many(bench: &Bench, count: u8, created: impl Fn(i64) -> i64) -> Vec<(String, String)> {
    let mut entries = serde_json::Map::new();
    let mut keys = Vec::new();
    for number in 0..count {
        let [tens, ones] = [number / 10, number % 10].map(|digit| char::from(b'A' + digit));
        let (user, id) = (format!("app{number:02}/live"), format!("AKIAQQQQQQQQQQQQQQ{tens}{ones}"));
        bench.sandbox.add_user(&user).expect("a user");
        let secret = format!("kP3vQ9xT2mL7wN4bZ8cR1yF6hJ5sD0gA+uE/iO{number:02}");
        let created = jiff::Timestamp::from_second(1_600_000_000 + created(number.into()) * 1000).ok();
        bench.sandbox.add_key(&user, &id, &secret, KeyStatus::Active, created).expect("a key");
        entries.insert(format!("{user}/AWS_ACCESS_KEY_ID"), json!(id));
        entries.insert(format!("{user}/AWS_SECRET_ACCESS_KEY"), json!(secret));
        keys.push((user, id));
    }
    bench.run_with(&["store", "import", "-"], &json!(entries).to_string()).code(0);
    keys
}

/// The first keys that IAM confirms are the last ones to be opened, and their proofs take all permits for new keys.
#[test]
fn proofs_that_begin_early_never_keep_the_permits_of_all_rotations() {
    let bench = Bench::new();
    let old = with_many(&bench, 50, |number| -number);
    let running = bench.command(&["run"]).env("ROTATOR_POLICY_CONCURRENCY", "1").spawn().expect("it starts");
    within(Duration::from_secs(180), running).code(0).prints("50 rotated");
    for (user, old) in &old {
        assert_ne!(&bench.key_of(user), old);
    }
}

/// The pairs of the oldest keys are refused at first and tried again after a while. The other proofs take all permits in
/// that time, and their rotations come later.
#[test]
fn proofs_that_are_tried_again_do_not_wait_for_the_permits_of_later_rotations() {
    const REFUSED: u8 = 24;
    let bench = Bench::new();
    let keys = with_many(&bench, 50, |number| number);
    let denied = || FaultKind::Refuse(ApiError::new(403, "AccessDenied", "an explicit deny in a VPC endpoint policy"));
    for (user, _) in &keys[..REFUSED.into()] {
        bench.sandbox.arm(Fault::new(denied()).on(Action::GetCallerIdentity).for_user(user).always());
    }
    let running = bench.command(&["run"]).env("ROTATOR_POLICY_CONCURRENCY", "1").spawn().expect("it starts");
    within(Duration::from_secs(180), running).code(4).prints("26 rotated");
    for (number, (user, old)) in keys.iter().enumerate() {
        assert_eq!(&bench.key_of(user) == old, number < REFUSED.into(), "{user}");
    }
}
