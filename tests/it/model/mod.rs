//! T2: a model of the protocol, explored exhaustively. The machine in it is the real one (`plan`, `reconcile`, `apply`);
//! the world around it is small: IAM's keys, the places of a pair, requests under way, a person.
//!
//! Each row below is a bound, and within it every state is visited: so many crashes, lost replies (executed at once,
//! late or never), lists that lag, standstills between a look and its effect, and acts of a person.

mod dates;
mod fingerprint;
mod machine;
mod moves;
mod person;
mod promises;
mod search;
mod seen;
mod setup;
mod take;
mod visit;
mod windows;
mod world;

use std::time::Duration;

use rotator::rotation::policy::Unclaimed;
use search::Model;
use setup::{Budget, Layout, Second, Setup, policy};
use windows::WINDOWS;

use crate::support::proof::{self, Proof};

const fn budget([crashes, losses, lags, stalls, acts]: [u8; 5]) -> Budget {
    Budget { crashes, losses, lags, stalls, acts }
}

/// One exploration: users, the second rotator, layout, what is done with unclaimed keys, overlap and quarantine in
/// seconds, and how much goes wrong.
type Row = (usize, Second, Layout, Unclaimed, u64, [u8; 5]);

/// What CI explores: one user and two rotators, two users and one.
fn in_ci() -> Vec<Row> {
    use Layout::{AndSink, Atomic, TwoEntries, TwoStores};
    use Second::{Copies, None, Opens};
    use Unclaimed::{Reclaim, Report};
    vec![
        (1, None, AndSink, Report, 100, [1, 1, 0, 0, 0]),
        (1, None, AndSink, Report, 0, [0, 1, 0, 0, 2]),
        (1, None, Atomic, Reclaim, 0, [1, 1, 0, 0, 1]),
        (1, None, TwoEntries, Report, 0, [1, 1, 0, 0, 0]),
        (1, None, TwoStores, Reclaim, 0, [1, 0, 0, 0, 0]),
        (1, None, Atomic, Report, 100, [1, 1, 1, 1, 0]),
        (1, Opens, Atomic, Report, 0, [0, 1, 0, 0, 0]),
        (1, Copies, Atomic, Report, 0, [0, 1, 0, 0, 0]),
        (1, Opens, Atomic, Report, 0, [1, 0, 0, 0, 0]),
        (1, Opens, Atomic, Report, 0, [0, 0, 1, 1, 0]),
        (1, Opens, Atomic, Report, 0, [0, 0, 0, 0, 1]),
        (1, Opens, Atomic, Reclaim, 0, [1, 1, 0, 0, 0]),
        (1, Opens, TwoEntries, Report, 0, [1, 0, 0, 0, 0]),
        (1, Copies, Atomic, Report, 0, [1, 0, 0, 0, 0]),
        (1, Copies, Atomic, Report, 0, [0, 0, 1, 1, 0]),
        (1, Copies, Atomic, Report, 0, [0, 0, 0, 0, 1]),
        (2, None, Atomic, Reclaim, 0, [1, 0, 0, 0, 0]),
        (2, None, Atomic, Report, 0, [0, 1, 0, 0, 0]),
        (2, None, TwoEntries, Report, 0, [0, 0, 1, 1, 0]),
    ]
}

/// What the full run explores on top.
fn in_full() -> Vec<Row> {
    use Layout::{AndSink, Atomic, TwoEntries, TwoStores};
    use Second::{Copies, None, Opens};
    use Unclaimed::{Reclaim, Report};
    vec![
        (1, None, AndSink, Report, 0, [1, 2, 0, 0, 1]),
        (1, None, AndSink, Report, 100, [0, 2, 0, 0, 2]),
        (2, Opens, Atomic, Report, 0, [0, 0, 0, 0, 0]),
        (1, None, Atomic, Reclaim, 100, [2, 1, 1, 0, 0]),
        (1, None, TwoEntries, Reclaim, 0, [2, 2, 0, 0, 0]),
        (1, None, TwoStores, Reclaim, 0, [2, 1, 0, 0, 0]),
        (1, Opens, TwoEntries, Report, 0, [1, 1, 0, 0, 0]),
        // With a crash, more than 110 million states; none of these broke a promise.
        (1, Copies, TwoEntries, Report, 0, [0, 0, 0, 0, 0]),
        (2, None, Atomic, Report, 0, [1, 1, 0, 0, 0]),
        (1, None, Atomic, Report, 0, [3, 0, 0, 0, 0]),
        (1, Opens, Atomic, Report, 0, [2, 0, 0, 0, 0]),
        (1, Opens, Atomic, Report, 0, [1, 0, 0, 0, 1]),
        (1, Copies, Atomic, Report, 0, [2, 0, 0, 0, 0]),
        (1, Copies, Atomic, Report, 0, [1, 0, 0, 0, 1]),
    ]
}

#[test]
fn no_way_through_the_protocol_breaks_a_promise() {
    let mut proof = Proof::of("T2", "every state of the protocol within its bounds", &WINDOWS);
    let rows = if proof::is_full() { [in_ci(), in_full()].concat() } else { in_ci() };
    for (users, second, layout, unclaimed, waits, goes_wrong) in rows {
        let policy = policy(unclaimed, Duration::from_secs(waits));
        let mut model = Model::new(Setup { users, second, layout, policy, budget: budget(goes_wrong) });
        model.explore();
        for (window, times) in &model.hits {
            if WINDOWS.contains(window) { proof.hit(window, *times) } else { proof.count(window, *times) }
        }
        proof.count("states", model.states);
        proof.count("transitions", model.transitions);
        proof.count("ends", model.ends);
        proof.count("questions to the machine", model.machine.questions() as u64);
        proof.case();
    }
    proof.conclude();
}
