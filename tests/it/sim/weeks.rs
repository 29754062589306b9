//! `--wait` for weeks: errors that come one at a time, hundreds of passes, an outage in the middle.

use std::time::Duration;

use rotator::rotation::policy::Policy;

use super::clockwork::Clockwork;
use super::traffic::Traffic;
use super::{Fault, Faults, Op, Setup, play};

const DAY: Duration = Duration::from_secs(86_400);

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
    let end = played.told.len().saturating_sub(60);
    assert!(played.processes <= 2, "{} processes:\n{}", played.processes, played.told[end..].join("\n"));
}

#[test]
fn one_process_waits_for_three_weeks() {
    let (clock, runtime) = Clockwork::with_runtime();
    let setup = waiting(&clock, DAY * 7, DAY * 14);
    one_process_does_it(&setup, &Faults::default(), &runtime);
}

#[test]
fn errors_that_come_one_at_a_time_do_not_end_a_wait() {
    let (clock, runtime) = Clockwork::with_runtime();
    let setup = waiting(&clock, Duration::from_secs(3 * 3_600), Duration::ZERO);
    // Every third read of the places fails, more often than one pass may fail.
    let of = (0..10).map(|number| ((Op::ReadPlaces, 6 + 3 * number), Fault::LostBefore)).collect();
    let faults = Faults { of, ..Faults::default() };
    one_process_does_it(&setup, &faults, &runtime);
}

#[test]
fn an_outage_in_the_middle_of_a_wait_does_not_end_it() {
    let (clock, runtime) = Clockwork::with_runtime();
    let setup = waiting(&clock, Duration::from_secs(3 * 3_600), Duration::ZERO);
    let of = (6..16).map(|number| ((Op::ReadPlaces, number), Fault::LostBefore)).collect();
    let faults = Faults { of, ..Faults::default() };
    one_process_does_it(&setup, &faults, &runtime);
}
