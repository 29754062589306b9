//! `--wait` for weeks: errors one at a time, hundreds of passes, an outage in the middle.

use std::collections::BTreeMap;
use std::time::Duration;

use rotator::rotation::policy::Policy;

use super::clockwork::Clockwork;
use super::traffic::Traffic;
use super::{Fault, Faults, Op, Setup, play};

const DAY: Duration = Duration::from_secs(86_400);
/// The number of tries before a read counts as failed.
const TRIES: usize = 6;

/// One user, an overlap and a quarantine of these spans, and one process that waits for both.
fn waiting(clock: &std::sync::Arc<Clockwork>, overlap: Duration, quarantine: Duration) -> Setup {
    let traffic = Traffic {
        clock: clock.clone(),
        seed: 1,
        rate: None,
        concurrency: 1,
        wait: true,
        call: (10, 80),
        scan: (10, 80),
        throttled: Vec::new(),
        throttled_for: 0,
        signal_at: None,
    };
    let simple = Setup::simple();
    let policy = Policy { overlap, quarantine, ..simple.policy.clone() };
    Setup { policy, traffic: Some(traffic), ..simple }
}

/// One process does it all, and the one after it finds nothing left to do.
fn one_process_does_it(setup: &Setup, faults: &Faults, runtime: &tokio::runtime::Runtime) {
    let played = runtime.block_on(play(setup, faults, true));
    assert!(played.broken.is_empty(), "{:#?}", played.broken);
    let ends: Vec<_> = played.reported.iter().filter(|line| line.starts_with("-- ")).collect();
    assert!(played.processes <= 2, "{} processes; how each ended: {ends:#?}", played.processes);
}

#[test]
fn one_process_waits_for_three_weeks() {
    let (clock, runtime) = Clockwork::with_runtime();
    let setup = waiting(&clock, DAY * 7, DAY * 14);
    one_process_does_it(&setup, &Faults::default(), &runtime);
}

/// The reply to the create is lost and IAM takes three hours to show what it did: each look of the wait asks for the keys.
/// A question counts as failed when all of its tries were lost.
fn a_wait_that_asks(clock: &std::sync::Arc<Clockwork>, lost: impl Iterator<Item = usize>) -> (Setup, Faults) {
    let simple = waiting(clock, Duration::ZERO, Duration::ZERO);
    let policy = Policy { settle: Duration::from_secs(3 * 3_600), ..simple.policy.clone() };
    let mut of: BTreeMap<_, _> = lost.map(|number| ((Op::ListKeys, number), Fault::LostBefore)).collect();
    of.insert((Op::Create, 0), Fault::LostBefore);
    (Setup { policy, ..simple }, Faults { of, ..Faults::default() })
}

#[test]
fn errors_that_come_one_at_a_time_do_not_end_a_wait() {
    let (clock, runtime) = Clockwork::with_runtime();
    // More questions fail than one pass may, each alone.
    let lost = (0..10).flat_map(|error| (0..TRIES).map(move |number| 6 + (TRIES + 2) * error + number));
    let (setup, faults) = a_wait_that_asks(&clock, lost);
    one_process_does_it(&setup, &faults, &runtime);
}

#[test]
fn an_outage_in_the_middle_of_a_wait_does_not_end_it() {
    let (clock, runtime) = Clockwork::with_runtime();
    let (setup, faults) = a_wait_that_asks(&clock, 6..6 + 15 * TRIES);
    one_process_does_it(&setup, &faults, &runtime);
}
