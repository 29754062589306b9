//! What a removal relies on is fresh: a pair that is put back while a removal waits keeps its key, whatever it waits for;
//! and a wait for the rate limit hears a signal.

use std::time::{Duration, Instant};

use rotator::sandbox::{Action, Fault, FaultKind};
use rustix::process::{Pid, Signal, kill_process};

use super::bench::{Bench, Ended};

const USER: &str = "app1/production";

/// Longer than the facts behind a removal may be old.
const TOO_OLD: Duration = Duration::from_secs(6);

fn calls(bench: &Bench, action: Action) -> u64 {
    bench.sandbox.calls().get(&action).copied().unwrap_or_default()
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what} did not come about");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The pair that stands in the entries of the user.
fn pair(bench: &Bench, user: &str) -> [(String, String); 2] {
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| {
        let entry = format!("{user}/{name}");
        let value = bench.run(&["store", "get", &entry]).code(0).stdout;
        (entry, value)
    })
}

fn put_back(bench: &Bench, old: &[(String, String); 2]) {
    for (entry, value) in old {
        bench.run_with(&["store", "set", entry], value).code(0);
    }
}

fn has(bench: &Bench, user: &str, key: &str) -> bool {
    bench.sandbox.keys_of(user).iter().any(|has| has.id.as_str() == key)
}

#[test]
fn a_pair_that_is_put_back_while_its_removal_is_throttled_keeps_its_key() {
    let users = ["app1/production", "app2/production", "app3/production", "app4/production"];
    let bench = Bench::with_users(&users);
    let old = users.map(|user| pair(&bench, user));
    for user in &users[..3] {
        bench.sandbox.arm(Fault::new(FaultKind::Throttle).on(Action::DeleteAccessKey).for_user(*user).always());
    }
    let run = bench.start(&["run", "--wait"]);
    eventually("throttled removals", || calls(&bench, Action::DeleteAccessKey) > 3);
    put_back(&bench, &old[0]);
    put_back(&bench, &old[1]);
    std::thread::sleep(TOO_OLD);
    bench.sandbox.disarm_all();
    let ended: Ended = run.wait_with_output().expect("it ends").into();
    ended.code(4).prints("holds the old pair again");
    let kept = users.map(|user| has(&bench, user, &old[users.iter().position(|is| *is == user).expect("one")][0].1));
    assert_eq!(kept, [true, true, false, false], "the keys that the entries name again are kept");
}

#[test]
fn a_pair_that_is_put_back_while_the_process_stands_still_keeps_its_key() {
    // How many lists a rotation takes: the last is that of the final check.
    let rehearsal = Bench::with_users(&[USER]);
    rehearsal.run(&["run"]).code(0);
    let last = u32::try_from(calls(&rehearsal, Action::ListAccessKeys)).expect("few");
    let bench = Bench::with_users(&[USER]);
    let old = pair(&bench, USER);
    bench.sandbox.arm(Fault::new(FaultKind::HoldReply).on(Action::ListAccessKeys).nth(last));
    let run = bench.start(&["run"]);
    eventually("the final check", || calls(&bench, Action::ListAccessKeys) >= u64::from(last));
    std::thread::sleep(Duration::from_millis(200));
    let pid = Pid::from_child(&run);
    kill_process(pid, Signal::STOP).expect("stopped");
    put_back(&bench, &old);
    bench.sandbox.release(None);
    std::thread::sleep(TOO_OLD);
    kill_process(pid, Signal::CONT).expect("goes on");
    let ended: Ended = run.wait_with_output().expect("it ends").into();
    ended.code(4).prints("holds the old pair again");
    assert!(has(&bench, USER, &old[0].1), "the entries name the old key again, and it was deleted");
}

#[test]
fn a_signal_ends_the_wait_for_the_rate_limit_and_no_removal_follows() {
    for (users, signal, code) in [(12, Signal::TERM, 143), (20, Signal::INT, 130)] {
        let users: Vec<String> = (0..users).map(|number| format!("app{number}/production")).collect();
        let bench = Bench::with_users(&users.iter().map(String::as_str).collect::<Vec<_>>());
        bench.run(&["run", "--overlap", "1h"]).code(3);
        bench.sandbox.advance(Duration::from_secs(2 * 3600));
        let mut command = bench.command(&["resume"]);
        let resume = command.env("ROTATOR_POLICY_RATE", "0.5").spawn().expect("started");
        eventually("a first removal", || calls(&bench, Action::DeleteAccessKey) > 0);
        let (removed, began) = (calls(&bench, Action::DeleteAccessKey), Instant::now());
        kill_process(Pid::from_child(&resume), signal).expect("signalled");
        let ended: Ended = resume.wait_with_output().expect("it ends").into();
        assert!(began.elapsed() < Duration::from_secs(31), "it ended after {:?}", began.elapsed());
        ended.code(code).prints("interrupted");
        let after = calls(&bench, Action::DeleteAccessKey) - removed;
        assert!(after <= 1, "{after} removals after the signal, and one may have been on its way");
    }
}
