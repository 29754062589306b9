//! A user that is renamed or deleted while its rotation is open, and the message of `run` about its entry afterwards.

use std::time::Duration;

use rotator::sandbox::{Action, ApiError, Behaviour, Fault, FaultKind};
use serde_json::Value;

use super::bench::{Bench, Ended};

const USER: &str = "app1/production";
const RENAMED: &str = "till";
const SHORT: (&str, &str) = ("ROTATOR_AWS_CALL_TIMEOUT", "1s");

fn last_use_is_refused() -> Fault {
    let refusal = ApiError::new(403, "AccessDenied", "not authorized to perform: iam:GetAccessKeyLastUsed");
    Fault::new(FaultKind::Refuse(refusal)).on(Action::GetAccessKeyLastUsed).always()
}

/// The rotation as `status` shows it, whatever its user is called by now.
#[track_caller]
fn rotation(bench: &Bench) -> Value {
    let document = bench.run(&["status", "--all", "--output", "json"]).code(0).json();
    document["rotations"][0].clone()
}

/// Again as long as something is only waited for.
#[track_caller]
fn until(bench: &Bench, code: i32, args: &[&str]) -> Ended {
    for _ in 0..20 {
        let ended = bench.run_in(SHORT, args);
        if ended.code != 3 {
            return ended.code(code);
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    bench.run_in(SHORT, args).code(code)
}

#[track_caller]
fn stored_key(bench: &Bench) -> String {
    bench.run(&["store", "get", &format!("{USER}/AWS_ACCESS_KEY_ID")]).code(0).stdout
}

#[track_caller]
fn assert_rotated(bench: &Bench, old: &str) {
    let rotation = rotation(bench);
    assert_eq!((&rotation["state"], &rotation["user"]), (&"deleted-old".into(), &RENAMED.into()), "{rotation}");
    let keys: Vec<String> = bench.sandbox.keys_of(RENAMED).iter().map(|key| key.id.to_string()).collect();
    assert_eq!(keys, [stored_key(bench)], "the stored key and no other");
    assert!(!keys.contains(&old.to_owned()), "the old key is gone");
}

/// The reply to a delete is lost, before or after it was executed; then the user is renamed.
#[test]
fn a_user_is_renamed_while_a_delete_is_in_doubt() {
    let lost = |kind| Fault::new(kind).on(Action::DeleteAccessKey);
    for fault in [lost(FaultKind::LostReplyBefore).always(), lost(FaultKind::LostReplyAfter)] {
        let bench = Bench::with_users(&[USER]);
        let old = bench.key_of(USER);
        bench.sandbox.arm(fault);
        bench.run_in(SHORT, &["run"]).code(3);
        assert_eq!(rotation(&bench)["in_doubt"], "delete-old");
        bench.sandbox.disarm_all();
        bench.sandbox.rename_user(USER, RENAMED).expect("renamed");
        until(&bench, 0, &["resume"]);
        assert_rotated(&bench, &old);
    }
}

/// Renamed during the overlap, during the quarantine, with the old name free or given to another user.
#[test]
fn a_user_is_renamed_while_its_rotation_waits() {
    for (waits, state) in [(["--overlap", "1h"], "stored-new"), (["--quarantine", "1h"], "deactivated-old")] {
        for is_taken in [false, true] {
            let bench = Bench::with_users(&[USER]);
            let old = bench.key_of(USER);
            bench.run(&["run", waits[0], waits[1]]).code(3);
            assert_eq!(rotation(&bench)["state"], state);
            bench.sandbox.rename_user(USER, RENAMED).expect("renamed");
            let theirs = is_taken.then(|| {
                bench.sandbox.add_user(USER).expect("the name is free");
                bench.sandbox.create_key(USER).expect("a key").id
            });
            bench.sandbox.advance(Duration::from_secs(4_000));
            until(&bench, 0, &["resume"]);
            assert_rotated(&bench, &old);
            let others: Vec<_> = bench.sandbox.keys_of(USER).into_iter().map(|key| key.id).collect();
            assert_eq!(others, theirs.into_iter().collect::<Vec<_>>(), "another user's keys are not touched");
        }
    }
}

#[test]
fn a_rename_that_cannot_be_confirmed_blocks_its_rotation_and_nothing_is_concluded() {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    bench.run(&["run", "--overlap", "1h"]).code(3);
    bench.sandbox.rename_user(USER, RENAMED).expect("renamed");
    bench.sandbox.advance(Duration::from_secs(4_000));
    bench.sandbox.arm(last_use_is_refused());
    until(&bench, 4, &["resume"]).prints("IAM has no user app1/production").prints(&old).prints("GetAccessKeyLastUsed");
    let blocked = rotation(&bench);
    assert_eq!((&blocked["blocked"]["reason"], &blocked["state"]), (&"user-not-found".into(), &"stored-new".into()));
    assert_eq!(bench.sandbox.keys_of(RENAMED).len(), 2, "both keys are as they were");
    bench.sandbox.disarm_all();
    until(&bench, 0, &["resume"]);
    assert_rotated(&bench, &old);
}

/// Real IAM does not say that there is no such key, it refuses the question: an operator says what became of the user.
#[test]
fn the_printed_command_closes_the_rotation_of_a_deleted_user() {
    for (create_is_lost, state) in [(false, "stored-new"), (true, "opened")] {
        let bench = Bench::with_users(&[USER]);
        if create_is_lost {
            bench.sandbox.arm(Fault::new(FaultKind::LostReplyAfter).on(Action::CreateAccessKey).times(1));
        }
        bench.run_in(SHORT, &["run", "--overlap", "1h"]).code(3);
        bench.sandbox.delete_user(USER).expect("deleted");
        bench.sandbox.advance(Duration::from_secs(4_000));
        until(&bench, 4, &["resume"]).prints("renamed or deleted");
        let blocked = rotation(&bench);
        assert_eq!(
            (&blocked["blocked"]["reason"], &blocked["state"]),
            (&"user-not-found".into(), &state.into()),
            "{blocked}"
        );
        let command = blocked["blocked"]["command"].as_str().expect("a command").to_owned();
        bench.run(&command.split(' ').skip(1).collect::<Vec<_>>());
        until(&bench, 0, &["resume"]);
        let closed = rotation(&bench);
        let ending = if create_is_lost { "aborted" } else { "gone" };
        assert_eq!(closed["state"], ending, "{closed}");
    }
}

/// The entry still leads to the old name.
#[test]
fn the_entry_of_a_renamed_user_is_reported_with_the_line_that_corrects_it() {
    let bench = Bench::with_users(&[USER]);
    bench.sandbox.rename_user(USER, RENAMED).expect("renamed");
    let old = bench.sandbox.keys_of(RENAMED)[0].id.to_string();
    for command in ["run", "plan"] {
        let ended = bench.run(&[command]).code(if command == "run" { 4 } else { 0 });
        ended.prints("the user was renamed").prints("[owner.table] \"app1/production\" = \"till\"");
    }
    bench.write("rotator.toml", "[owner.table]\n\"app1/production\" = \"till\"\n");
    bench.run(&["run"]).code(0);
    assert_rotated(&bench, &old);
}

#[test]
fn a_key_that_iam_names_and_does_not_list_needs_an_operator_after_a_quarter_of_an_hour() {
    let bench = Bench::with_users(&[USER]);
    let lists_after = |hours: u64| {
        let new_keys_invisible_for = Duration::from_secs(hours * 3_600);
        let behaviour = Behaviour { allow_slash_in_user_names: true, new_keys_invisible_for, ..Behaviour::default() };
        bench.sandbox.set_behaviour(behaviour);
    };
    lists_after(10);
    bench.run(&["run"]).code(3).prints("1 not-listed-yet");
    bench.run(&["plan"]).code(0).prints("does not list it for app1/production yet");
    bench.sandbox.advance(Duration::from_secs(600));
    bench.run(&["run"]).code(3);
    bench.sandbox.advance(Duration::from_secs(600));
    for _ in 0..2 {
        bench.run(&["run"]).code(4).prints("aws iam list-access-keys");
    }
    lists_after(0);
    let old = bench.key_of(USER);
    bench.run(&["run"]).code(0);
    bench.assert_rotated(USER, &old);
}
