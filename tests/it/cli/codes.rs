//! The exit codes when some rotations continue by themselves and others need an operator, with and without
//! `--waiting-ok`.

use rotator::sandbox::{Action, ApiError, Fault, FaultKind};

use super::bench::Bench;

const STUCK: &str = "stuck/production";
const FINE: &str = "app1/production";

#[test]
fn rotations_that_continue_by_themselves_are_listed_above_those_that_need_an_operator() {
    let bench = Bench::with_users(&[STUCK, FINE]);
    bench.sandbox.create_key(STUCK).expect("a second key");
    let run = ["run", "--overlap", "1h"];
    bench.run(&run).code(3).prints("1 needs an operator").prints("again after");
    let document = bench.run(&[&run[..], &["--output", "json"]].concat()).code(3).json();
    assert_eq!((&document["counts"]["needs_operator"], &document["counts"]["waiting"]), (&1.into(), &1.into()));
    bench.run(&["status", "--exit-code"]).code(3).prints("1 needs an operator").prints("continues after");
    bench.run(&["resume"]).code(3).prints("1 needs an operator");

    bench.run(&[&run[..], &["--waiting-ok"]].concat()).code(4).prints("1 needs an operator");
    bench.run(&["status", "--exit-code", "--waiting-ok"]).code(4);

    bench.sandbox.advance(std::time::Duration::from_secs(2 * 3600));
    bench.run(&run).code(4).prints("1 rotated").prints("1 needs an operator");
    bench.run(&["status", "--exit-code"]).code(4);
}

#[test]
fn a_waiting_rotation_counts_as_done_with_waiting_ok() {
    let bench = Bench::with_users(&[FINE]);
    let run = ["run", "--overlap", "1h", "--waiting-ok"];
    bench.run(&run).code(0).prints("1 waiting").prints("again after");
    for args in [&run[..], &["resume", "--waiting-ok"], &["status", "--exit-code", "--waiting-ok"]] {
        bench.run(args).code(0);
    }
    for args in [&run[..3], &["resume"], &["status", "--exit-code"]] {
        bench.run(args).code(3);
    }
}

#[test]
fn a_temporary_failure_ends_with_three_also_with_waiting_ok() {
    let bench = Bench::with_users(&[FINE]);
    let refused = Fault::new(FaultKind::Refuse(ApiError::new(409, "LimitExceeded", "not now")));
    bench.sandbox.arm(refused.on(Action::CreateAccessKey).always());
    bench.run(&["run", "--waiting-ok"]).code(3);
    for waiting_ok in [&[][..], &["--waiting-ok"]] {
        bench.run(&[&["resume"], waiting_ok].concat()).code(3);
        bench.run(&[&["status", "--exit-code"], waiting_ok].concat()).code(3);
    }
}

#[test]
fn keys_that_a_limit_left_are_three_and_a_failure_is_never_zero() {
    let bench = Bench::with_users(&[FINE, "app2/production"]);
    bench.run(&["run", "--limit", "1", "--waiting-ok"]).code(3);
    bench.run(&["status", "--exit-code", "--waiting-ok"]).code(3);
    bench.run(&["run", "--overlap", "1h", "--waiting-ok"]).code(0);
    let nowhere = ("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    bench.run_in(nowhere, &["run", "--waiting-ok"]).code(1);
}

#[test]
fn status_tells_of_a_blocked_rotation_beside_one_that_waits() {
    let bench = Bench::with_users(&[STUCK, FINE]);
    let old = bench.key_of(STUCK);
    let secret = bench.run(&["store", "get", &format!("{STUCK}/AWS_SECRET_ACCESS_KEY")]).code(0).stdout;
    bench.run(&["run", "--overlap", "1h"]).code(3);
    // Put back: it is blocked, and the other one waits.
    bench.run_with(&["store", "set", &format!("{STUCK}/AWS_ACCESS_KEY_ID")], &old).code(0);
    bench.run_with(&["store", "set", &format!("{STUCK}/AWS_SECRET_ACCESS_KEY")], &secret).code(0);
    bench.run(&["resume"]).code(3).prints("reverted");
    let reported =
        bench.run(&["status", "--exit-code"]).prints("1 blocked").prints("1 waiting").prints("BLOCKED  reverted");
    reported.prints("1 needs an operator").prints("continues after").code(3);
    bench.run(&["status", "--exit-code", "--waiting-ok"]).code(4);
}
