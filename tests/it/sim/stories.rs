//! Schedules that tell one story each, and the checks of the promises for every schedule.

use std::time::Duration;

use rotator::rotation::policy::{Policy, Unclaimed};

use super::{Fault, Faults, Interference, Lasting, Op, Played, Setup, Trouble, play};
use crate::support::proof::{self, Proof};

pub(super) fn runtime() -> tokio::runtime::Runtime {
    // Without IO and timers: everything that happens happens in the simulated world.
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

/// Plays one schedule; if a promise was broken, plays it once more and fails with its whole story.
pub(super) async fn must_hold(setup: &Setup, faults: &Faults, which: impl FnOnce() -> String) -> Played {
    let played = play(setup, faults, false).await;
    if played.broken.is_empty() {
        return played;
    }
    let again = play(setup, faults, true).await;
    panic!(
        "broken: {:#?}\n{} of seed {}\nfaults: {faults:?}\nsetup: {setup:?}\nstory, played again:\n{}\nbroken then: {:#?}",
        played.broken,
        which(),
        proof::seed(),
        again.reported.join("\n"),
        again.broken,
    );
}

fn waits() -> Setup {
    let simple = Setup::simple();
    let policy = Policy {
        overlap: Duration::from_secs(30),
        quarantine: Duration::from_secs(60),
        settle: Duration::ZERO,
        ..simple.policy.clone()
    };
    Setup { policy, ..simple }
}

#[test]
fn a_rotation_without_a_fault_closes() {
    let runtime = runtime();
    let simple = Setup::simple;
    let document = Setup { document: true, ..simple() };
    for setup in [
        Setup { sink: true, ..simple() },
        Setup { sink: true, ..waits() },
        simple(),
        waits(),
        document,
        Setup { stores: 2, users: 3, ..simple() },
    ] {
        let played = runtime.block_on(must_hold(&setup, &Faults::default(), String::new));
        assert!(played.touches > 10, "only {} touches: this tests nothing", played.touches);
    }
}

#[test]
fn a_key_of_another_client_is_kept_and_harms_no_other_user() {
    let setup = Setup { users: 3, stranger: Some(1), ..Setup::simple() };
    let runtime = runtime();
    let touches = runtime.block_on(must_hold(&setup, &Faults::default(), String::new)).touches;
    for touch in 0..touches {
        for fault in [Fault::CrashBefore, Fault::LostAfter] {
            runtime.block_on(must_hold(&setup, &Faults::at([(touch, fault)]), String::new));
        }
    }
}

/// A fence write whose reply was lost may still take effect until the time of the next fence. Neither this process nor
/// another continues before. (A fence time is later than AWS's clock and was once mistaken for AWS's own time.)
#[test]
fn a_lost_fence_is_waited_for() {
    let setup = Setup { compare_and_set: false, atomic: false, ..Setup::simple() };
    let faults = Faults {
        of: [((Op::Create, 0), Fault::CrashAfter), ((Op::Write, 0), Fault::Late(400))].into(),
        ..Faults::default()
    };
    let played = runtime().block_on(must_hold(&setup, &faults, String::new));
    let met = |window| played.windows.contains_key(window);
    assert!(met("write in doubt") && met("fence raised"), "{:?}", played.windows);
}

/// In a store without versions, a late write of the id may still take effect after the old pair is restored and the new
/// secret is lost; the next process restores the old id too. (The late id was once mistaken for another writer's.)
#[test]
fn an_id_that_is_written_late_beside_the_old_secret_is_put_back() {
    let setup = Setup { compare_and_set: false, atomic: false, ..Setup::simple() };
    let (runtime, mut met) = (runtime(), 0);
    for (first, second) in (1..7).flat_map(|first| (first + 1..9).map(move |second| (first, second))) {
        let faults = Faults {
            of: [
                ((Op::Write, 0), Fault::LostAfter),
                ((Op::Write, first), Fault::Late(830)),
                ((Op::Write, second), Fault::Late(549)),
            ]
            .into(),
            ..Faults::default()
        };
        let played = runtime.block_on(must_hold(&setup, &faults, || format!("writes {first} and {second} are late")));
        met += played.windows.get("a late id beside the old secret").copied().unwrap_or_default();
    }
    assert!(met > 0, "it never came about");
}

/// The secret is written, and then every write is refused, long enough for many runs. The old values were lost with
/// the first process, so the rotation cannot be undone: each run tries to write the id once, and is blocked. (Each
/// once spent all of its 400 steps on tries.)
#[test]
fn half_a_pair_whose_other_half_is_refused_is_tried_once_a_run() {
    let setup = Setup { atomic: false, ..Setup::simple() };
    let of = (1..=60).map(|write| ((Op::Write, write), Fault::Denied)).collect();
    let faults = Faults { of, ..Faults::default() };
    let played = runtime().block_on(must_hold(&setup, &faults, String::new));
    assert!(played.processes >= 15, "{} processes met 60 refusals", played.processes);
}

/// A fence that the store accepts but does not enforce protects nothing: the first write is still under way and takes
/// effect after the fence.
#[test]
fn a_fence_that_a_store_only_claims_is_no_fence() {
    let runtime = runtime();
    let faults = Faults { of: [((Op::Write, 0), Fault::Late(358))].into(), ..Faults::default() };
    let mut met = std::collections::BTreeMap::new();
    for (from, touches) in (0..60).flat_map(|from| [6, 10, 16, 24].map(|touches| (from, touches))) {
        let lies = Lasting { trouble: Trouble::Lies(0), from, touches };
        let setup = Setup { document: true, troubles: vec![lies], ..Setup::simple() };
        let played = runtime.block_on(must_hold(&setup, &faults, || format!("lies from {from}, {touches} touches")));
        for (window, times) in played.windows {
            *met.entry(window).or_insert(0) += times;
        }
    }
    assert!(met["fence raised"] > 30 && met["a store that lies"] > 30, "{met:?}");
}

/// Under `reclaim` and `report`, with and without a fault near what the operator does.
#[test]
fn an_operator_interferes_at_every_call() {
    let mut proof = Proof::of(
        "T5",
        "an operator interferes at every call, and a fault near it",
        &["an operator interfered", "a stranger's key beside a create in doubt", "blocked by what an operator wrote"],
    );
    let runtime = runtime();
    let reports = Policy { unclaimed: Unclaimed::Report, ..Setup::simple().policy };
    let mut beside = 0;
    for setup in [Setup::simple(), waits(), Setup { policy: reports, ..Setup::simple() }] {
        let touches = runtime.block_on(must_hold(&setup, &Faults::default(), String::new)).touches;
        for at in 0..touches {
            for kind in Interference::ALL {
                let setup = Setup { interference: Some((at, kind)), ..setup.clone() };
                let near = [at.saturating_sub(1), at, at + 1, at + 2, at + 5].into_iter();
                let faults = near.flat_map(|touch| BESIDE.map(|fault| Faults::at([(touch, fault)])));
                for faults in std::iter::once(Faults::default()).chain(faults) {
                    beside += 1;
                    if !faults.at.is_empty() && !proof::plays(beside, 4) {
                        continue;
                    }
                    let played = runtime.block_on(must_hold(&setup, &faults, String::new));
                    proof.case();
                    for window in [
                        "an operator interfered",
                        "a stranger's key beside a create in doubt",
                        "blocked by what an operator wrote",
                    ] {
                        proof.hit(window, played.windows.get(window).copied().unwrap_or_default());
                    }
                }
            }
        }
    }
    proof.conclude();
}

const BESIDE: [Fault; 3] = [Fault::CrashAfter, Fault::LostBefore, Fault::LostAfter];

/// Every trouble, from every touch on, for a short and a long while.
#[test]
fn troubles_that_last_a_while() {
    let runtime = runtime();
    let setups = [
        (Setup { hidden_note: true, ..Setup::simple() }, vec![Trouble::Unreadable]),
        (
            Setup { stores: 2, atomic: false, ..Setup::simple() },
            vec![Trouble::StoreDown(0), Trouble::StoreDown(1), Trouble::SomebodyElse],
        ),
        (Setup { stores: 2, ..Setup::simple() }, vec![Trouble::Lies(0), Trouble::Lies(1)]),
        (Setup { sink: true, ..Setup::simple() }, vec![Trouble::StoreDown(0), Trouble::StoreDown(1)]),
    ];
    for (setup, troubles) in setups {
        let touches = runtime
            .block_on(must_hold(&Setup { hidden_note: false, ..setup.clone() }, &Faults::default(), String::new))
            .touches;
        for trouble in troubles {
            for (from, touches) in (0..touches).flat_map(|from| [1, 4, 12, 40].map(|touches| (from, touches))) {
                let lasting = if setup.hidden_note {
                    Lasting { trouble, from: 0, touches: from + touches }
                } else {
                    Lasting { trouble, from, touches }
                };
                let setup = Setup { troubles: vec![lasting], ..setup.clone() };
                runtime.block_on(must_hold(&setup, &Faults::default(), String::new));
            }
        }
    }
}

/// Two rotations run at once, and one of them is delayed: an operator writes between its observation and its effect, while
/// the other observes. (That observation was once counted for the first rotation.)
#[test]
fn an_operator_writes_while_another_users_rotation_observes() {
    let simple = Setup::simple();
    let policy = Policy { overlap: Duration::ZERO, quarantine: Duration::from_secs(5), ..simple.policy.clone() };
    let setup = Setup { users: 2, stores: 2, policy, ..simple };
    let runtime = runtime();
    let touches = runtime.block_on(must_hold(&setup, &Faults::default(), String::new)).touches;

    for held_up in 30..touches.min(60) {
        for call in held_up..(held_up + 16) {
            for interference in [Interference::Reverts, Interference::CopiesOldKey] {
                let setup = Setup { interference: Some((call, interference)), ..setup.clone() };
                runtime.block_on(must_hold(&setup, &Faults::at([(held_up, Fault::Throttled)]), String::new));
            }
        }
    }
}
