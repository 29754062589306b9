//! `run` again and again until all are rotated: once they are, it says so, and none is rotated twice.

use rotator::sandbox::{Action, ApiError, Fault, FaultKind};

use super::bench::Bench;

const MOVED: &str = "app1/production";
const FINE: &str = "app2/production";

/// Every create for this user is refused.
fn refuse_creates(bench: &Bench, user: &str) {
    let refused = Fault::new(FaultKind::Refuse(ApiError::new(409, "LimitExceeded", "not now")));
    bench.sandbox.arm(refused.on(Action::CreateAccessKey).for_user(user).always());
}

/// One user is rotated. The other's rotation is open, without a key, when a person moves the pair to another entry: the
/// rotation gives up by itself.
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

/// Both users have had one key each, and the next `run` finds nothing of the campaign left: it begins another.
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
fn what_gives_up_in_resume_keeps_the_campaign_open_for_the_next_run() {
    let bench = one_rotated_and_one_to_give_up();
    bench.run(&["resume"]).code(3).prints("aborted");
    bench.run(&["status", "--exit-code"]).code(3).prints("1 due key is not rotated yet: `rotator run`");
    bench.run(&["run"]).code(0);
    assert_each_rotated_once(&bench);
}

#[tokio::test]
async fn a_key_that_turned_up_late_is_told_and_is_no_reason_to_run_again() {
    let bench = Bench::with_users(&[MOVED, FINE]);
    refuse_creates(&bench, FINE);
    bench.sandbox.arm(Fault::new(FaultKind::HoldUntilReleased).on(Action::CreateAccessKey).for_user(MOVED));
    bench.run_in(("ROTATOR_AWS_CALL_TIMEOUT", "500ms"), &["run"]).code(3);
    bench.run(&["resume", "--wait"]).code(3).prints("1 rotated");
    bench.sandbox.disarm_all();
    bench.sandbox.release(None);
    for _ in 0..500 {
        if bench.sandbox.keys_of(MOVED).len() == 2 {
            bench.run(&["run"]).code(0).says("turned up late").prints("rotated");
            return assert_each_rotated_once(&bench);
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the held create was not carried out");
}
