//! A missing permission blocks the rotation as `access-denied`. No run makes a second key, and the printed command
//! resolves the block.

use rotator::sandbox::{Action, ApiError, Fault, FaultKind};
use serde_json::Value;

use super::bench::Bench;

const USER: &str = "app1/production";

fn always_denied(action: Action) -> Fault {
    let refusal = ApiError::new(403, "AccessDenied", format!("not authorized to perform: iam:{}", action.name()));
    Fault::new(FaultKind::Refuse(refusal)).on(action).always()
}

fn rotation(bench: &Bench) -> Value {
    let document = bench.run(&["status", "--output", "json"]).code(0).json();
    document["rotations"][0].clone()
}

/// As a loop around `run` does: again as long as it ends with 3.
fn until(code: i32, run: impl Fn() -> super::bench::Ended) -> super::bench::Ended {
    let mut ended = run();
    for _ in 0..30 {
        if ended.code != 3 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
        ended = run();
    }
    ended.code(code)
}

/// The printed command, run as it is.
fn obey(bench: &Bench, rotation: &Value) -> super::bench::Ended {
    let command = rotation["blocked"]["command"].as_str().expect("a command").to_owned();
    bench.run(&command.split(' ').skip(1).collect::<Vec<_>>())
}

#[test]
fn a_delete_that_is_refused_for_good_blocks_its_rotation() {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    bench.sandbox.arm(always_denied(Action::DeleteAccessKey));
    bench.run(&["run"]).code(4).prints("DeleteAccessKey").prints(&old).prints("is still in IAM");
    let blocked = rotation(&bench);
    assert_eq!((&blocked["blocked"]["reason"], &blocked["state"]), (&"access-denied".into(), &"stored-new".into()));
    for _ in 0..2 {
        bench.run(&["run"]).code(4).prints("access denied");
        assert_eq!(bench.sandbox.keys_of(USER).len(), 2, "no run makes a second key");
    }
    bench.sandbox.disarm_all();
    obey(&bench, &blocked).code(0);
    bench.assert_rotated(USER, &old);
}

#[test]
fn a_key_that_the_operator_deleted_after_the_refusal_is_gone_for_rotator_too() {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    bench.sandbox.arm(always_denied(Action::DeleteAccessKey));
    bench.run(&["run"]).code(4).prints("delete");
    bench.sandbox.delete_key(USER, &old).expect("deleted");
    bench.run(&["run", "--wait"]).code(0).prints("deleted-old");
}

#[test]
fn a_last_use_that_may_not_be_asked_for_is_finished_without_it() {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    bench.run(&["run", "--overlap", "1h"]).code(3);
    bench.sandbox.arm(always_denied(Action::GetAccessKeyLastUsed));
    bench.sandbox.advance(std::time::Duration::from_secs(4_000));
    bench.run(&["run"]).code(4).prints("GetAccessKeyLastUsed").prints("--finish");
    let blocked = rotation(&bench);
    assert_eq!(blocked["blocked"]["reason"], "access-denied");
    obey(&bench, &blocked).code(0);
    bench.assert_rotated(USER, &old);
}

#[test]
fn a_lost_create_whose_last_use_may_not_be_asked_for_has_a_way_out() {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    bench.sandbox.arm(Fault::new(FaultKind::LostReplyAfter).on(Action::CreateAccessKey));
    bench.sandbox.arm(always_denied(Action::GetAccessKeyLastUsed));
    let short = ("ROTATOR_AWS_CALL_TIMEOUT", "1s");
    until(4, || bench.run_in(short, &["run"])).prints("--delete-key");
    let blocked = rotation(&bench);
    assert_eq!((&blocked["blocked"]["reason"], &blocked["state"]), (&"access-denied".into(), &"opened".into()));
    let command = blocked["blocked"]["command"].as_str().expect("a command").to_owned();
    bench.run_in(short, &command.split(' ').skip(1).collect::<Vec<_>>());
    until(0, || bench.run_in(short, &["run"]));
    bench.assert_rotated(USER, &old);
}

#[test]
fn a_create_that_is_refused_is_tried_once_a_run() {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    bench.sandbox.arm(always_denied(Action::CreateAccessKey));
    for _ in 0..2 {
        let ended = bench.run(&["run"]).code(4).prints("access denied").prints("CreateAccessKey");
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!((said.matches("AccessDenied").count(), said.matches("request id").count()), (1, 1), "{said}");
    }
    for log in [&["--log-format", "json"][..], &["-v"]] {
        bench.run(&[log, &["run"]].concat()).code(4).says("AWS answered AccessDenied");
    }
    let blocked = rotation(&bench);
    bench.sandbox.disarm_all();
    obey(&bench, &blocked).code(0);
    bench.assert_rotated(USER, &old);
}
