//! The schedules: every single fault, every pair, and random ones.

use std::collections::BTreeMap;
use std::time::Duration;

use rotator::rotation::policy::Policy;

use super::{Backing, Fault, Faults, Interference, Setup, play};

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
    singles(Backing::Memory, &setups());
}

#[test]
fn every_single_fault_over_sqlite() {
    singles(Backing::Sqlite, &setups()[1..3]);
}

fn singles(backing: Backing, setups: &[Setup]) {
    runtime().block_on(async {
        let mut played = 0;
        for setup in setups {
            let setup = Setup { backing, ..setup.clone() };
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

/// What a second fault can be, at its own touch: dying before a touch is dying after the one before it.
const SECOND: [Fault; 3] = [Fault::CrashAfter, Fault::LostBefore, Fault::LostAfter];

/// Every pair of faults in which the first strikes a touch of `half`.
fn pairs(setup: &Setup, half: usize, stride: usize) {
    runtime().block_on(async {
        let touches = must_hold(setup, &Faults::default()).await;
        let mut played = 0;
        for first in (half..touches).step_by(2) {
            for (kind, one) in SECOND.into_iter().enumerate() {
                let after_one = must_hold(setup, &Faults(BTreeMap::from([(first, one)]))).await;
                for second in (first + 1..after_one).filter(|second| (second + kind + first) % stride == 0) {
                    for two in SECOND {
                        must_hold(setup, &Faults(BTreeMap::from([(first, one), (second, two)]))).await;
                        played += 1;
                    }
                }
            }
        }
        assert!(played > 300, "only {played} pairs");
    });
}

#[test]
fn every_pair_of_faults_first_half() {
    pairs(&Setup::simple(), 0, 1);
}

#[test]
fn every_pair_of_faults_second_half() {
    pairs(&Setup::simple(), 1, 1);
}

#[test]
fn pairs_of_faults_where_a_write_can_be_torn() {
    pairs(&Setup { atomic: false, ..Setup::simple() }, 0, 7);
}

#[test]
fn pairs_of_faults_over_two_stores() {
    pairs(&Setup { stores: 2, ..Setup::simple() }, 1, 7);
}

#[test]
fn pairs_of_faults_with_overlap_and_quarantine() {
    for half in [0, 1] {
        pairs(&setups()[1], half, 11);
    }
}

#[test]
fn a_strangers_key_is_left_alone_and_harms_nobody_else() {
    let setup = Setup { users: 3, stranger: Some(1), ..Setup::simple() };
    runtime().block_on(async {
        let touches = must_hold(&setup, &Faults::default()).await;
        for touch in (0..touches).step_by(3) {
            for fault in [Fault::CrashBefore, Fault::LostAfter] {
                must_hold(&setup, &Faults(BTreeMap::from([(touch, fault)]))).await;
            }
        }
    });
}

#[test]
fn a_person_interferes_at_every_touch() {
    runtime().block_on(async {
        for setup in [&setups()[0], &setups()[1]] {
            let touches = must_hold(setup, &Faults::default()).await;
            for at in 0..touches {
                for kind in Interference::ALL {
                    let setup = Setup { interference: Some((at, kind)), ..setup.clone() };
                    must_hold(&setup, &Faults::default()).await;
                    for fault in SECOND {
                        for second in [at.saturating_sub(1), at, at + 1, at + 2, at + 5] {
                            must_hold(&setup, &Faults(BTreeMap::from([(second, fault)]))).await;
                        }
                    }
                }
            }
        }
    });
}

mod random {
    use proptest::prelude::*;

    use super::*;

    fn setup() -> impl Strategy<Value = Setup> {
        let policy = (0..3_u64, 0..3_u64, 0..3_u64, 1..4_u32, 0..2_u64);
        let lag = (prop_oneof![Just(0_i64), 0..50_000_i64], prop_oneof![Just(0_i64), 0..5_000_i64]);
        (1..4_usize, 1..3_usize, any::<bool>(), policy, prop::option::of(0..4_usize), lag).prop_map(
            |(users, stores, atomic, (overlap, quarantine, settle, confirmations, span), stranger, lag)| {
                let seconds = |choice| Duration::from_secs([0, 5, 90][usize::try_from(choice).unwrap_or(0)]);
                // IAM's lag is what `settle` is for: shorter than that, absence would prove nothing.
                let settle = if lag.0 > 0 { Duration::from_secs(60) } else { seconds(settle) };
                let policy = Policy {
                    overlap: seconds(overlap),
                    quarantine: seconds(quarantine),
                    settle,
                    confirmations,
                    proof_span: Duration::from_secs(span * 10),
                    ..Policy::default()
                };
                Setup { users, stores, atomic, policy, stranger, lag, backing: Backing::Sqlite, interference: None }
            },
        )
    }

    fn faults() -> impl Strategy<Value = Faults> {
        let kind = prop::sample::select(Fault::ALL.to_vec());
        prop::collection::btree_map(0..220_usize, kind, 0..7).prop_map(Faults)
    }

    fn cases() -> u32 {
        std::env::var("ROTATOR_TEST_SCHEDULES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2_000)
    }

    #[test]
    fn schedules_keep_every_promise() {
        // The same schedules on every machine; `ROTATOR_TEST_SEED` draws others.
        let seed = std::env::var("ROTATOR_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_123);
        let config = ProptestConfig {
            cases: cases(),
            failure_persistence: None,
            rng_seed: proptest::test_runner::RngSeed::Fixed(seed),
            ..ProptestConfig::default()
        };
        let runtime = runtime();
        proptest!(config, |(setup in setup(), faults in faults())| {
            let played = runtime.block_on(play(&setup, faults.clone()));
            prop_assert!(
                played.broken.is_empty(),
                "broken: {:#?}\nfaults: {faults:?}\nsetup: {setup:?}\nstory:\n{}",
                played.broken,
                played.told.join("\n")
            );
        });
    }
}
