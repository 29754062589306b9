//! T19: hundreds of rotations behind a rate limit, with throttling, slow calls, operators who write at the same time,
//! and suspends.

use std::sync::Arc;
use std::time::Duration;

use rotator::rotation::policy::Policy;

use super::clockwork::Clockwork;
use super::kinds;
use super::stories::must_hold;
use super::traffic::{Happening, Planned, Traffic};
use super::{Faults, Interference, Op, Setup};
use crate::support::proof::{self, Draw, Proof};

const WINDOWS: [&str; 4] = ["removals sent", "an operator interfered", "throttled", "signalled"];

fn size(draw: &mut Draw, bound: u64) -> usize {
    usize::try_from(draw.below(bound)).expect("small")
}

fn minutes(draw: &mut Draw, most: u64) -> i64 {
    i64::try_from(draw.below(most * 60_000)).expect("short")
}

impl Setup {
    /// From `least` to `most` users.
    fn crowd(draw: &mut Draw, clock: &Arc<Clockwork>, least: u64, most: u64) -> Self {
        let users = usize::try_from(least + draw.below(most - least + 1)).expect("small");
        let limited = least >= 100 || draw.below(10) > 0;
        let rate = Some(*draw.one_of(&[0.5, 2.0, 5.0, 20.0, 20.0])).filter(|_| limited);
        let ops = [Op::Delete, Op::ListKeys, Op::WhoIs, Op::Create, Op::ChangeStatus];
        let throttled = (0..draw.below(3)).map(|_| (*draw.one_of(&ops), *draw.one_of(&[100, 300, 700]))).collect();
        let traffic = Traffic {
            clock: clock.clone(),
            seed: draw.bits(),
            rate,
            concurrency: *draw.one_of(&[1, 4, 16, 64]),
            wait: draw.below(4) == 0,
            call: *draw.one_of(&[(10, 80), (20, 400), (50, 4_000)]),
            scan: *draw.one_of(&[(10, 200), (200, 8_000)]),
            throttled,
            throttled_for: minutes(draw, 10),
            signal_at: (draw.below(3) == 0).then(|| minutes(draw, 2)),
        };
        let waits = draw.below(3) == 0;
        let simple = Self::simple();
        let policy = Policy {
            overlap: Duration::from_secs(if waits { 30 } else { 0 }),
            quarantine: Duration::from_secs(if waits { 60 } else { 0 }),
            ..simple.policy.clone()
        };
        let acts = [Interference::Reverts, Interference::Reverts, Interference::CopiesOldKey];
        // Most of a run with a rate limit ends within this number of minutes.
        let lasts = 1 + (users as u64 * 12) / rate.map_or(600, |rate| ((rate * 60.0) as u64).max(60));
        let planned: Vec<Planned> = (0..draw.below(9))
            .map(|_| Planned {
                at: minutes(draw, lasts),
                what: Happening::Operator(size(draw, users as u64), *draw.one_of(&acts)),
            })
            .collect();
        let suspends = (0..draw.below(3)).map(|_| Planned {
            at: minutes(draw, lasts),
            what: Happening::Suspend(*draw.one_of(&[20_000, 900_000, 86_400_000])),
        });
        let planned: Vec<Planned> = planned.into_iter().chain(suspends.collect::<Vec<_>>()).collect();
        Self { users, policy, traffic: Some(traffic), planned, atomic: draw.below(3) > 0, ..simple }
    }
}

fn crowds(what: &'static str, windows: &[&'static str], cases: std::ops::Range<u64>, least: u64, most: u64) {
    let mut proof = Proof::of("T19", what, windows).of_kinds(&kinds::IN_CROWDS);
    let (clock, runtime) = Clockwork::with_runtime();
    for case in proof::part(cases) {
        let mut draw = Draw::new(proof::seed() ^ 0x19, case);
        // Of hundreds most are just above one hundred: what they cost grows faster than their number.
        let most = if least >= 100 && case % 10 > 0 { most.min(least + 30) } else { most };
        let setup = Setup::crowd(&mut draw, &clock, least, most);
        let played = runtime.block_on(must_hold(&setup, &Faults::default(), || format!("case {case}")));
        proof.case();
        proof.met(played.windows);
        let limited = setup.traffic.as_ref().is_some_and(|traffic| traffic.rate.is_some());
        proof.count("worlds of 100 rotations or more behind a rate limit", u64::from(limited && setup.users >= 100));
        proof.count("rotations", setup.users as u64);
        proof.count("touches of the world", played.touches as u64);
    }
    proof.conclude();
}

#[test]
fn a_few_rotations_behind_a_rate_limit() {
    crowds("3 to 30 rotations, time that goes by itself", &WINDOWS, 0..proof::cases(300, 60_000), 3, 30);
}

/// Requests about hundreds of keys are in the queue at the signal.
#[test]
fn a_signal_is_heard_while_keys_are_looked_at() {
    let (clock, runtime) = Clockwork::with_runtime();
    let mut setup = Setup::crowd(&mut Draw::new(1, 1), &clock, 200, 200);
    setup.planned.clear();
    let traffic = setup.traffic.as_mut().expect("time goes by itself");
    (traffic.rate, traffic.signal_at) = (Some(2.0), Some(5_000));
    (traffic.scan, traffic.throttled) = ((10, 200), Vec::new());
    runtime.block_on(must_hold(&setup, &Faults::default(), || "a signal in the survey".to_owned()));
}

/// Rotations outnumber the slots: at each turn of a create, a list of keys that was read in the queue is older than a
/// create allows.
#[test]
fn slow_calls_and_a_long_queue_do_not_keep_a_key_from_being_created() {
    let (clock, runtime) = Clockwork::with_runtime();
    let mut setup = Setup::crowd(&mut Draw::new(1, 2), &clock, 300, 300);
    setup.planned.clear();
    let traffic = setup.traffic.as_mut().expect("time goes by itself");
    (traffic.rate, traffic.concurrency, traffic.call) = (Some(20.0), 16, (50, 4_000));
    (traffic.scan, traffic.throttled, traffic.signal_at) = ((10, 200), Vec::new(), None);
    runtime.block_on(must_hold(&setup, &Faults::default(), || "a long queue of slow calls".to_owned()));
}

/// In CI 20 worlds in all, on two threads.
fn hundreds(what: &'static str, half: u64) {
    let half_of_all = proof::cases(20, 20_400) / 2;
    crowds(what, &WINDOWS[..3], half * half_of_all..(half + 1) * half_of_all, 100, 300);
}

#[test]
fn hundreds_of_rotations_behind_a_rate_limit_first_half() {
    hundreds("100 to 300 rotations behind a rate limit, first half", 0);
}

#[test]
fn hundreds_of_rotations_behind_a_rate_limit_second_half() {
    hundreds("100 to 300 rotations behind a rate limit, second half", 1);
}
