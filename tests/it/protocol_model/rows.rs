//! The bounds of the explorations: one row each.

use std::time::Duration;

use rotator::rotation::policy::Unclaimed;

use super::setup::{Budget, Layout, Second, Setup, policy};

/// One exploration: users, the second rotator, layout, what is done with unclaimed keys, overlap and quarantine in
/// seconds, and the number of faults of each kind.
type Row = (usize, Second, Layout, Unclaimed, u64, [u8; 5]);
/// The same, with how often rights are revoked, and users are renamed or deleted. There, operators do what blocks ask
/// for.
type Obeyed = (Row, [u8; 2]);

/// The explorations in CI.
pub(super) fn in_ci() -> Vec<Setup> {
    setups(&operators_in_ci(), &obeyed_in_ci())
}

/// The further explorations of the full run.
pub(super) fn in_full() -> Vec<Setup> {
    setups(&operators_in_full(), &obeyed_in_full())
}

fn setups(rows: &[Row], obeyed: &[Obeyed]) -> Vec<Setup> {
    let all = rows.iter().map(|row| (*row, [0, 0])).chain(obeyed.iter().copied());
    let setup = |(row, [refusals, fates]): Obeyed| {
        let (users, second, layout, unclaimed, waits, [crashes, losses, lags, stalls, acts]) = row;
        let budget = Budget { crashes, losses, lags, stalls, acts, refusals, fates };
        Setup { users, second, layout, policy: policy(unclaimed, Duration::from_secs(waits)), budget }
    };
    all.map(setup).collect()
}

/// One user with two rotators, and two users with one, each with operators.
fn operators_in_ci() -> Vec<Row> {
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

fn operators_in_full() -> Vec<Row> {
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

/// Rights that are missing, and users that are renamed or deleted.
fn obeyed_in_ci() -> Vec<Obeyed> {
    use Layout::{AndSink, Atomic, TwoEntries, TwoStores};
    use Second::None;
    use Unclaimed::{Reclaim, Report};
    vec![
        ((1, None, AndSink, Report, 100, [0, 0, 0, 0, 0]), [1, 0]),
        ((1, None, TwoEntries, Report, 0, [0, 0, 0, 0, 0]), [1, 0]),
        ((1, None, TwoStores, Report, 0, [0, 0, 0, 0, 0]), [1, 0]),
        ((1, None, Atomic, Reclaim, 100, [0, 1, 0, 0, 0]), [1, 0]),
        ((1, None, Atomic, Report, 0, [1, 0, 0, 0, 0]), [1, 0]),
        ((1, None, Atomic, Report, 0, [0, 0, 1, 0, 0]), [1, 0]),
        ((1, None, Atomic, Report, 0, [0, 0, 0, 0, 1]), [1, 0]),
        ((2, None, Atomic, Report, 0, [0, 0, 0, 0, 0]), [1, 0]),
        ((1, None, Atomic, Report, 100, [0, 0, 0, 0, 0]), [0, 2]),
        ((1, None, Atomic, Reclaim, 0, [0, 1, 0, 0, 0]), [0, 1]),
        ((1, None, Atomic, Report, 0, [1, 0, 0, 0, 0]), [0, 1]),
        ((1, None, Atomic, Report, 0, [0, 0, 1, 0, 0]), [0, 1]),
        ((1, None, Atomic, Report, 0, [0, 0, 0, 0, 0]), [1, 1]),
    ]
}

/// The same, in the full run.
fn obeyed_in_full() -> Vec<Obeyed> {
    use Layout::{AndSink, Atomic, TwoEntries};
    use Second::{None, Opens};
    use Unclaimed::{Reclaim, Report};
    vec![
        ((1, None, Atomic, Report, 100, [0, 0, 0, 0, 0]), [2, 0]),
        ((1, None, Atomic, Reclaim, 0, [1, 1, 0, 0, 0]), [0, 1]),
        ((1, None, AndSink, Reclaim, 100, [1, 0, 0, 0, 0]), [1, 0]),
        ((1, None, TwoEntries, Report, 0, [0, 1, 0, 0, 0]), [0, 1]),
        ((1, None, Atomic, Reclaim, 100, [0, 1, 0, 0, 0]), [1, 1]),
        ((1, None, Atomic, Report, 100, [0, 0, 1, 1, 0]), [0, 1]),
        ((1, Opens, Atomic, Report, 0, [0, 0, 0, 0, 0]), [1, 0]),
    ]
}
