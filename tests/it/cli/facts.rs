//! A removal depends on fresh facts: an old pair that is restored while a removal waits keeps its key. A wait for the
//! rate limit ends at a signal.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rotator::sandbox::{Action, Fault, FaultKind};
use rustix::process::{Pid, Signal, kill_process};

use super::bench::{Bench, Ended};

/// The greatest age of the facts behind a removal.
const FACTS: Duration = Duration::from_secs(5);

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

/// The pair in the entries of the user.
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

/// Rotates users whose deletions are throttled for a while, puts the old pairs of some of them back meanwhile, and gives
/// how many of those kept their keys. None may be deleted later than facts may be old.
fn put_back_in_the_queue(users: usize, throttled: usize, put: usize, stands_still: bool) -> usize {
    let users: Vec<String> = (0..users).map(|number| format!("app{number}/production")).collect();
    let bench = Bench::with_users(&users.iter().map(String::as_str).collect::<Vec<_>>());
    let old: Vec<_> = users.iter().map(|user| pair(&bench, user)).collect();
    for user in &users[..throttled] {
        bench.sandbox.arm(Fault::new(FaultKind::Throttle).on(Action::DeleteAccessKey).for_user(user).always());
    }
    let deleted: Arc<Mutex<Vec<(Instant, String)>>> = Arc::default();
    let sink = Arc::clone(&deleted);
    bench.sandbox.observe(move |seen| {
        if let (Action::DeleteAccessKey, Ok(()), Some(user)) = (seen.action, &seen.outcome, &seen.user) {
            sink.lock().expect("sound").push((Instant::now(), user.clone()));
        }
    });
    let mut run = bench.start(&["run", "--wait"]);
    eventually("throttled removals", || calls(&bench, Action::DeleteAccessKey) > throttled as u64 * 3 / 2);
    let pid = Pid::from_child(&run);
    if stands_still {
        kill_process(pid, Signal::STOP).expect("stopped");
    }
    let put_back_at: Vec<Instant> = (0..put)
        .map(|number| {
            put_back(&bench, &old[number]);
            Instant::now()
        })
        .collect();
    if !stands_still {
        // A removal that was checked before the entries were put back may still be sent while its facts are fresh.
        std::thread::sleep(FACTS + Duration::from_secs(2));
    }
    bench.sandbox.disarm_all();
    if stands_still {
        std::thread::sleep(FACTS + Duration::from_secs(2));
        kill_process(pid, Signal::CONT).expect("goes on");
    }
    // Until every removal that was in the queue has been sent or given up.
    std::thread::sleep(FACTS + Duration::from_secs(10));
    run.kill().expect("killed");
    run.wait().expect("ended");
    let deleted = deleted.lock().expect("sound");
    for (number, put_back_at) in put_back_at.iter().enumerate() {
        let late =
            deleted.iter().filter(|(_, user)| *user == users[number]).map(|(at, _)| at.duration_since(*put_back_at));
        let late: Vec<Duration> = late.filter(|after| *after > FACTS + Duration::from_secs(1)).collect();
        assert!(late.is_empty(), "the key of {} was deleted {late:?} after its entries named it again", users[number]);
    }
    (0..put).filter(|number| has(&bench, &users[*number], &old[*number][0].1)).count()
}

#[test]
fn a_pair_that_is_put_back_while_its_removal_is_throttled_keeps_its_key() {
    assert!(put_back_in_the_queue(12, 10, 3, false) > 0, "no key was still in the queue");
}

#[test]
fn a_pair_that_is_put_back_while_the_process_stands_still_keeps_its_key() {
    assert!(put_back_in_the_queue(16, 12, 4, true) > 0, "no key was still in the queue");
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
