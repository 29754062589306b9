//! Killed, signalled, or not alone.

use std::process::Child;
use std::time::Duration;

use rotator::sandbox::{Action, Fault, FaultKind};

use super::bench::{Bench, Ended};

/// Holds the proofs of these users' new pairs; the first call that a user's pair signs is the proof of the old one.
fn hold_proofs(bench: &Bench, users: &[&str]) {
    for user in users {
        let fault = Fault::new(FaultKind::HoldUntilReleased).on(Action::GetCallerIdentity).for_user(*user);
        bench.sandbox.arm(fault.nth(2).always());
    }
}

async fn held(bench: &Bench, count: usize) {
    tokio::time::timeout(Duration::from_secs(30), bench.sandbox.held(count)).await.expect("the proofs are held");
}

fn let_go(bench: &Bench) {
    bench.sandbox.disarm_all();
    bench.sandbox.release(None);
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, signal).expect("signalled");
}

fn ended(child: Child) -> Ended {
    child.wait_with_output().expect("it ends").into()
}

#[tokio::test]
async fn killed_between_create_and_store_it_recovers() {
    let bench = Bench::with_users(&["app1/production", "app1/staging"]);
    let old = ["app1/production", "app1/staging"].map(|user| (user, bench.key_of(user)));
    hold_proofs(&bench, &["app1/production", "app1/staging"]);
    let mut run = bench.start(&["run"]);
    held(&bench, 2).await;
    run.kill().expect("killed");
    run.wait().expect("ended");
    let_go(&bench);
    bench.run(&["status", "--exit-code"]).code(3).prints("created-new").prints("2 in flight");
    bench.run(&["resume", "--wait"]).code(0).prints("2 rotated");
    for (user, old) in &old {
        bench.assert_rotated(user, old);
    }
    // The killed run's campaign is complete: nothing of it is left for the next one.
    bench.run(&["status", "--exit-code"]).code(0);
}

#[tokio::test]
async fn a_signal_lets_the_keys_in_hand_be_stored() {
    for (number, code) in [(rustix::process::Signal::INT, 130), (rustix::process::Signal::TERM, 143)] {
        let bench = Bench::with_users(&["app1/production"]);
        hold_proofs(&bench, &["app1/production"]);
        let run = bench.start(&["run"]);
        held(&bench, 1).await;
        signal(&run, number);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let_go(&bench);
        let run = ended(run).code(code).says("stopping").prints("interrupted");
        run.prints("stored-new");
        bench.run(&["resume"]).code(0).prints("1 rotated");
    }
}

#[tokio::test]
async fn interrupted_with_nothing_to_do_it_does_not_ask_for_another_run() {
    let bench = Bench::with_users(&["app1/production"]);
    bench.sandbox.arm(Fault::new(FaultKind::HoldUntilReleased).on(Action::ListAccessKeys));
    let run = bench.start(&["run", "--older-than", "1d"]);
    held(&bench, 1).await;
    signal(&run, rustix::process::Signal::TERM);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let_go(&bench);
    ended(run).code(143).prints("interrupted, with nothing left in flight");
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let bench = Bench::with_users(&["app1/production"]);
    hold_proofs(&bench, &["app1/production"]);
    let run = bench.start(&["run"]);
    held(&bench, 1).await;
    signal(&run, rustix::process::Signal::INT);
    tokio::time::sleep(Duration::from_millis(200)).await;
    signal(&run, rustix::process::Signal::INT);
    ended(run).code(130).says("stopping");
    let_go(&bench);
    bench.run(&["resume", "--wait"]).code(0).prints("1 rotated");
}

/// Rotates the only user, whose first create meets `kind`.
fn rotate_through(bench: &Bench, kind: FaultKind) {
    bench.sandbox.arm(Fault::new(kind).on(Action::CreateAccessKey));
    bench
        .run_in(("ROTATOR_AWS_CALL_TIMEOUT", "500ms"), &["run", "--older-than", "0s", "--wait"])
        .code(0)
        .prints("deleted-old");
    assert_eq!(bench.sandbox.keys_of("app1/production").len(), 1);
}

/// Lets the create that is held go on, and waits for its key.
async fn let_create_go(bench: &Bench) {
    let_go(bench);
    for _ in 0..500 {
        if bench.sandbox.keys_of("app1/production").len() == 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the held create was not carried out");
}

#[tokio::test]
async fn a_create_that_is_executed_after_all_is_told_of_by_resume_with_nothing_in_flight() {
    let bench = Bench::with_users(&["app1/production"]);
    rotate_through(&bench, FaultKind::HoldUntilReleased);
    let_create_go(&bench).await;
    bench.run(&["resume"]).code(0).says("turned up late");
    assert_eq!(bench.sandbox.keys_of("app1/production").len(), 2, "it is left as it is");
}

#[tokio::test]
async fn a_late_key_is_told_once_however_many_creates_may_have_made_it() {
    let bench = Bench::with_users(&["app1/production"]);
    rotate_through(&bench, FaultKind::LostReplyBefore);
    rotate_through(&bench, FaultKind::HoldUntilReleased);
    let_create_go(&bench).await;
    for times in [1, 0] {
        let said = bench.run(&["resume"]).code(0).stderr;
        assert_eq!(said.matches("turned up late").count(), times, "{said}");
    }
}

#[tokio::test]
async fn a_second_rotator_is_kept_out_and_told_by_whom() {
    let bench = Bench::with_users(&["app1/production"]);
    hold_proofs(&bench, &["app1/production"]);
    let run = bench.start(&["run"]);
    held(&bench, 1).await;
    let pid = format!("pid {}", run.id());
    bench.run(&["run"]).code(5).says(&pid);
    bench.run(&["resume"]).code(5).says(&pid);
    let id = bench.rotation_of("app1/production").0;
    bench.run(&["abort", &id]).code(5).says(&pid);
    bench.run(&["status"]).code(0).prints("created-new");
    let_go(&bench);
    ended(run).code(0);
}

#[tokio::test]
async fn nobody_reading_its_output_does_not_stop_a_run() {
    let bench = Bench::with_users(&["app1/production"]);
    let old = bench.key_of("app1/production");
    hold_proofs(&bench, &["app1/production"]);
    let mut run = bench.start(&["run", "-vv"]);
    held(&bench, 1).await;
    drop(run.stdout.take());
    drop(run.stderr.take());
    let_go(&bench);
    assert_eq!(run.wait().expect("it ends").code(), Some(0));
    bench.assert_rotated("app1/production", &old);
}
