//! T4: random schedules, the same on every machine; `ROTATOR_TEST_SEED` draws others.

use proptest::prelude::*;

use super::stories::{must_hold, runtime};
use super::{Backing, Faults, Setup};
use crate::support::proof::{self, Draw, Proof};

/// The windows that these schedules must hit. Rarer windows are only counted here; T2 and the stories of T5 hit them by
/// construction.
const WINDOWS: [&str; 24] = [
    "create in doubt",
    "write in doubt",
    "status in doubt",
    "delete in doubt",
    "append in doubt",
    "late create after reconcile",
    "late write after resume",
    "sink in doubt",
    "late write to a sink",
    "late write refused after resume",
    "late key reported",
    "secret lost",
    "key on evidence",
    "fence raised",
    "torn pair",
    "a store down",
    "a store that lies",
    "answered as another user",
    "an unreadable entry in the way",
    "an operator interfered",
    "unclaimed keys reported",
    "blocked by what an operator wrote",
    "blocked by a wrong identity",
    "stored, active, and not accepted for a moment",
];

/// Plays the cases `from..to`, of which each has its own draws.
fn schedules(what: &'static str, windows: &[&'static str], backing: Backing, cases: std::ops::Range<u64>) {
    let mut proof = Proof::of("T4", what, windows);
    let runtime = runtime();
    let cases = proof::part(cases);
    for number in 1.. {
        if !proof.needs(number, cases.end - cases.start) {
            break;
        }
        let case = cases.start + number - 1;
        let mut draw = Draw::new(proof::seed(), case);
        let setup = Setup::drawn(&mut draw, backing);
        let faults = Faults::drawn(&mut draw);
        let played = runtime.block_on(must_hold(&setup, &faults, || format!("case {case}")));
        proof.case();
        proof.met(played.windows);
        proof.count("touches of the world", played.touches as u64);
    }
    proof.conclude();
}

/// In CI 12,400 schedules or a few more, on two threads.
fn half() -> u64 {
    proof::cases(12_400, 1_000_000) / 2
}

#[test]
fn schedules_keep_every_promise_first_half() {
    schedules("random schedules, journal in memory, first half", &WINDOWS, Backing::Memory, 0..half());
}

#[test]
fn schedules_keep_every_promise_second_half() {
    schedules("random schedules, journal in memory, second half", &WINDOWS, Backing::Memory, half()..2 * half());
}

/// proptest draws these schedules, so that it shrinks a failing one.
#[test]
fn schedules_over_sqlite_keep_every_promise() {
    let cases = u32::try_from(proof::cases(700, 10_000)).expect("a number of cases");
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(proof::seed()),
        ..ProptestConfig::default()
    };
    let runtime = runtime();
    let proof = std::cell::RefCell::new(Proof::of("T4", "random schedules, journal in SQLite", &WINDOWS[..5]));
    proptest!(config, |(world in any::<u64>(), strikes in any::<u64>())| {
        let setup = Setup::drawn(&mut Draw::new(world, 0), Backing::Sqlite);
        let faults = Faults::drawn(&mut Draw::new(strikes, 1));
        let played = runtime.block_on(must_hold(&setup, &faults, String::new));
        let mut proof = proof.borrow_mut();
        proof.case();
        for window in &WINDOWS[..5] {
            proof.hit(window, played.windows.get(window).copied().unwrap_or_default());
        }
    });
    proof.into_inner().conclude();
}
