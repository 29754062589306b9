//! The schedules: every single fault, every pair, and random ones.

use std::collections::BTreeMap;
use std::time::Duration;

use rotator::rotation::policy::Policy;

use super::{Backing, Fault, Faults, Setup, play};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Plays one schedule and fails with its whole story if a promise was broken.
async fn must_hold(setup: &Setup, faults: &Faults) -> usize {
    let played = play(setup, faults.clone()).await;
    assert!(
        played.broken.is_empty(),
        "broken: {:#?}\nfaults: {faults:?}\nsetup: {setup:?}\nstory:\n{}",
        played.broken,
        played.told.join("\n")
    );
    played.touches
}

fn setups() -> Vec<Setup> {
    let simple = Setup::simple();
    let waits = Policy {
        overlap: Duration::from_secs(30),
        quarantine: Duration::from_secs(60),
        settle: Duration::ZERO,
        ..simple.policy.clone()
    };
    vec![
        simple.clone(),
        Setup { policy: waits, ..simple.clone() },
        Setup { atomic: false, ..simple.clone() },
        Setup { stores: 2, ..simple.clone() },
        Setup { lag: (20_000, 3_000), ..simple.clone() },
    ]
}

#[test]
fn nothing_goes_wrong() {
    runtime().block_on(async {
        for setup in setups() {
            let touches = must_hold(&setup, &Faults::default()).await;
            assert!(touches > 10, "only {touches} touches: this tests nothing");
        }
    });
}

#[test]
fn every_single_fault_over_memory() {
    singles(Backing::Memory);
}

fn singles(backing: Backing) {
    runtime().block_on(async {
        let mut played = 0;
        for setup in setups() {
            let setup = Setup { backing, ..setup };
            let touches = must_hold(&setup, &Faults::default()).await;
            for touch in 0..touches {
                for fault in Fault::ALL {
                    must_hold(&setup, &Faults(BTreeMap::from([(touch, fault)]))).await;
                    played += 1;
                }
            }
        }
        assert!(played > 500, "only {played} schedules");
    });
}
