//! T5: a crash, or another fault, at every effect boundary, singly and in pairs, for each kind of store.

use std::time::Duration;

use rotator::rotation::policy::Policy;

use super::stories::{must_hold, runtime};
use super::{Backing, Fault, Faults, Setup, Visibility};
use crate::support::proof::{self, Draw, Proof};

/// The kinds of store, two manners of waiting, and a sink. What waits has many effects: CI plays one pair of faults in eight
/// there, and of single faults over SQLite; the full run plays all, and third crashes after one pair in eight.
fn kinds() -> [(&'static str, Setup, u64); 8] {
    let simple = Setup::simple();
    let waits = Policy {
        overlap: Duration::from_secs(30),
        quarantine: Duration::from_secs(60),
        settle: Duration::ZERO,
        ..simple.policy.clone()
    };
    [
        ("atomic", simple.clone(), 1),
        ("two entries, not atomic", Setup { atomic: false, ..simple.clone() }, 1),
        ("two stores", Setup { stores: 2, ..simple.clone() }, 1),
        ("a pair and a document, not atomic", Setup { document: true, atomic: false, ..simple.clone() }, 1),
        ("no compare-and-set", Setup { compare_and_set: false, atomic: false, ..simple.clone() }, 1),
        ("overlap and quarantine", Setup { policy: waits, ..simple.clone() }, 8),
        ("lists that lag", Setup { visibility: Visibility::lagging(20_000, 3_000), ..simple.clone() }, 8),
        ("a sink follows the place", Setup { sink: true, ..simple }, 1),
    ]
}

/// The faults at the boundary of an effect. A crash before an effect is a crash after the previous one.
const BESIDE_AN_EFFECT: [Fault; 4] = [Fault::CrashAfter, Fault::LostBefore, Fault::LostAfter, Fault::Late(400)];

fn merge(proof: &mut Proof, windows: impl IntoIterator<Item = (&'static str, u64)>) {
    for (window, times) in windows {
        proof.count(window, times);
    }
}

#[test]
fn every_fault_at_every_touch_over_memory() {
    singles("single faults at every touch, journal in memory", Backing::Memory);
}

#[test]
fn every_fault_at_every_touch_over_sqlite() {
    singles("single faults at every touch, journal in SQLite", Backing::Sqlite);
}

fn singles(what: &'static str, backing: Backing) {
    let mut proof = Proof::of("T5", what, &[]);
    let runtime = runtime();
    let mut single = 0;
    for (kind, setup, often) in kinds() {
        let setup = Setup { backing, ..setup };
        let often = if backing == Backing::Sqlite { often } else { 1 };
        let touches = runtime.block_on(must_hold(&setup, &Faults::default(), String::new)).touches;
        for touch in 0..touches {
            for fault in Fault::ALL {
                single += 1;
                if !proof::plays(single, often) {
                    continue;
                }
                let played = runtime.block_on(must_hold(&setup, &Faults::at([(touch, fault)]), String::new));
                proof.case();
                proof.count(kind, 1);
                merge(&mut proof, played.windows);
            }
        }
    }
    proof.conclude();
}

/// Every pair of faults beside an effect, for one kind of store.
fn pairs(number: usize) {
    let (kind, setup, often) = kinds()[number].clone();
    let mut proof = Proof::of("T5", kind, &["create in doubt", "write in doubt", "append in doubt", "delete in doubt"]);
    let runtime = runtime();
    let whole = runtime.block_on(must_hold(&setup, &Faults::default(), String::new));
    let mut pair = 0;
    for first in whole.effects {
        for one in BESIDE_AN_EFFECT {
            let after_one = runtime.block_on(must_hold(&setup, &Faults::at([(first, one)]), String::new));
            for second in after_one.effects.into_iter().filter(|second| *second > first) {
                for two in BESIDE_AN_EFFECT {
                    pair += 1;
                    if !proof::plays(pair, often) {
                        continue;
                    }
                    let faults = Faults::at([(first, one), (second, two)]);
                    let played = runtime.block_on(must_hold(&setup, &faults, String::new));
                    proof.case();
                    note(&mut proof, played.windows);
                    if proof::is_full() && pair % often == 0 {
                        thirds(&mut proof, &runtime, &setup, [(first, one), (second, two)], &played.effects);
                    }
                }
            }
        }
    }
    proof.conclude();
}

/// In full: every third crash after a pair.
fn thirds(
    proof: &mut Proof,
    runtime: &tokio::runtime::Runtime,
    setup: &Setup,
    two: [(usize, Fault); 2],
    effects: &[usize],
) {
    for third in effects.iter().copied().filter(|third| *third > two[1].0) {
        let faults = Faults::at([two[0], two[1], (third, Fault::CrashAfter)]);
        let played = runtime.block_on(must_hold(setup, &faults, String::new));
        proof.case();
        proof.count("triples", 1);
        note(proof, played.windows);
    }
}

fn note(proof: &mut Proof, windows: std::collections::BTreeMap<&'static str, u64>) {
    for window in ["create in doubt", "write in doubt", "append in doubt", "delete in doubt"] {
        proof.hit(window, windows.get(window).copied().unwrap_or_default());
    }
    let others = [
        "secret lost",
        "fence raised",
        "torn pair",
        "late write after resume",
        "late create after reconcile",
        "sink in doubt",
        "late write to a sink",
    ];
    merge(proof, windows.into_iter().filter(|(window, _)| others.contains(window)));
}

#[test]
fn every_pair_of_faults_where_a_store_is_atomic() {
    pairs(0);
}

#[test]
fn every_pair_of_faults_where_a_write_can_be_torn() {
    pairs(1);
}

#[test]
fn every_pair_of_faults_over_two_stores() {
    pairs(2);
}

#[test]
fn every_pair_of_faults_over_a_pair_and_a_document() {
    pairs(3);
}

#[test]
fn every_pair_of_faults_without_compare_and_set() {
    pairs(4);
}

#[test]
fn every_pair_of_faults_with_overlap_and_quarantine() {
    pairs(5);
}

#[test]
fn every_pair_of_faults_where_lists_lag() {
    pairs(6);
}

#[test]
fn every_pair_of_faults_where_a_sink_follows() {
    pairs(7);
}

#[test]
fn pairs_of_faults_over_sqlite() {
    let mut proof = Proof::of("T5", "sampled pairs, journal in SQLite", &["create in doubt", "write in doubt"]);
    let runtime = runtime();
    let kinds = kinds();
    let whole: Vec<_> =
        kinds.iter().map(|(_, setup, _)| runtime.block_on(must_hold(setup, &Faults::default(), String::new))).collect();
    for case in 0..proof::cases(700, 20_000) {
        let mut draw = Draw::new(proof::seed(), case);
        let number = usize::try_from(draw.below(8)).expect("small");
        let setup = Setup { backing: Backing::Sqlite, ..kinds[number].1.clone() };
        let (first, one) = (*draw.one_of(&whole[number].effects), *draw.one_of(&BESIDE_AN_EFFECT));
        let second = first + 1 + usize::try_from(draw.below(40)).expect("small");
        let faults = Faults::at([(first, one), (second, *draw.one_of(&BESIDE_AN_EFFECT))]);
        let played = runtime.block_on(must_hold(&setup, &faults, || format!("case {case}")));
        proof.case();
        for window in ["create in doubt", "write in doubt"] {
            proof.hit(window, played.windows.get(window).copied().unwrap_or_default());
        }
    }
    proof.conclude();
}
