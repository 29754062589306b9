//! T10: many users while AWS throttles, is unavailable and slow: each user's key is created once, no create is
//! repeated blindly, and the calls stay within three times the ideal.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rotator::engine::survey::choice::MADE_LATELY;
use rotator::sandbox::{Action, CallSeen, Fault, FaultId, FaultKind, Sandbox};
use serde_json::Value;

use super::scene::Scene;
use crate::support::http;
use crate::support::program::AGAIN;
use crate::support::proof::{self, Proof};

const WINDOWS: [&str; 3] = ["throttled", "503", "slow"];
/// The delay of a slow response: well within the time-out of a call.
const SLOW: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: &str = "15s";

/// The requests about each user's keys that the sandbox received, in order.
type Seen = BTreeMap<String, Vec<(Action, Result<(), String>)>>;

/// Notes every call about a user.
fn watch(sandbox: &Sandbox) -> Arc<Mutex<Seen>> {
    let seen = Arc::new(Mutex::new(Seen::new()));
    let notes = Arc::clone(&seen);
    sandbox.observe(move |call: &CallSeen| {
        if let Some(user) = &call.user {
            let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            notes.entry(user.clone()).or_default().push((call.action, call.outcome.clone()));
        }
    });
    seen
}

/// The number of times that each of these faults has struck.
fn struck(sandbox: &Sandbox, faults: &[FaultId]) -> Vec<u64> {
    let answer = http::send(sandbox.addr(), "GET", "/_sandbox/state", &[], b"").expect("an answer");
    let state: Value = serde_json::from_str(&answer.body).expect("JSON");
    let armed = state["faults"].as_array().expect("faults");
    let of = |id: &FaultId| {
        let fault = armed.iter().find(|fault| fault["fault"] == id.0).expect("armed");
        fault["struck"].as_u64().expect("a number")
    };
    faults.iter().map(of).collect()
}

/// P4 of one user: one create succeeded. After a create with an unknown outcome, no other was sent before two lists
/// showed the outcome.
fn one_create(user: &str, calls: &[(Action, Result<(), String>)]) -> u64 {
    let (mut made, mut lists_since_unknown, mut unknown) = (0, usize::MAX, 0);
    for (action, outcome) in calls {
        match (action, outcome) {
            (Action::CreateAccessKey, outcome) => {
                assert!(lists_since_unknown >= 2, "{user}: a create was repeated blindly: {calls:?}");
                made += u64::from(outcome.is_ok());
                if outcome.as_ref().is_err_and(|code| code == "ServiceUnavailable") {
                    (lists_since_unknown, unknown) = (0, unknown + 1);
                }
            }
            (Action::ListAccessKeys, Ok(())) => lists_since_unknown = lists_since_unknown.saturating_add(1),
            _ => {}
        }
    }
    assert_eq!(made, 1, "{user}: {calls:?}");
    unknown
}

#[test]
fn throttled_unavailable_and_slow_it_creates_each_key_once() {
    let users = usize::try_from(proof::cases(50, 1_000)).expect("small");
    let what = "users rotated while 30 % of calls are throttled, 10 % unavailable, and some slow by 5 s";
    let mut proof = Proof::of("T10", what, &WINDOWS);
    let mut scene = Scene::with_users(users);
    scene.rig.program.set("ROTATOR_AWS_CALL_TIMEOUT", CALL_TIMEOUT);
    scene.rig.program.ends_with(0, &AGAIN);
    let ideal_by_action = scene.sandbox.calls();
    let ideal: u64 = ideal_by_action.values().sum();
    let seed = proof::seed();
    let arm = |kind, probability, nth| scene.sandbox.arm(Fault::new(kind).sometimes(probability, seed + nth));
    let faults = [
        arm(FaultKind::Throttle, 0.3, 1),
        arm(FaultKind::ServiceUnavailable, 0.1, 2),
        // Of the calls that neither of these has met; in full, a few more for twenty times the calls.
        arm(FaultKind::Latency(SLOW), if proof::is_full() { 0.01 } else { 0.08 }, 3),
    ];
    let seen = watch(&scene.sandbox);
    let began = Instant::now();
    // A rotation that met too much trouble is left to the next run, which must not rotate the completed ones again.
    scene.sandbox.advance(MADE_LATELY + Duration::from_secs(3600));
    let finished = scene.finish_as(&["run"]).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    let all = scene.sandbox.calls();
    let troubled = all.values().sum::<u64>() - ideal;
    for (action, calls) in all {
        proof.count(action.name(), calls - ideal_by_action[&action]);
    }
    for (window, times) in WINDOWS.into_iter().zip(struck(&scene.sandbox, &faults)) {
        proof.hit(window, times);
    }
    scene.sandbox.disarm_all();
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for user in &scene.rig.users {
        proof.count("creates of unknown fate", one_create(user, &seen[user]));
        proof.case();
    }
    scene.rig.all_settled().and_then(|()| scene.stranger_untouched()).expect("one key each, and none of a stranger's");
    proof.count("calls when all goes well", ideal);
    proof.count("calls in trouble", troubled);
    proof.count("runs", finished.tries as u64);
    proof.count("seconds in trouble", began.elapsed().as_secs());
    proof.conclude();
    // A removal reads again what has grown old behind throttled calls.
    assert!(troubled <= 3 * ideal, "{troubled} calls, and {ideal} when all goes well");
}
