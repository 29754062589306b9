//! T20: installations over weeks, drawn from a seed, and stories of single ones.

use std::sync::Arc;
use std::time::Duration;

use rotator::rotation::policy::{Policy, StillInUse};

use super::clockwork::Clockwork;
use super::faults::{Faults, Op};
use super::kinds;
use super::life::{Denial, Life, live};
use super::schedule::Played;
use super::traffic::{Happening, Planned, Traffic};
use super::{Fault, Interference, Setup, Visibility};
use crate::support::proof::{self, Draw, Proof};

const DAY: i64 = 86_400_000;
/// The calls that may be denied, for all users or for one.
const REFUSED: [Op; 10] = [
    Op::ListKeys,
    Op::LastUsed,
    Op::Create,
    Op::ChangeStatus,
    Op::Delete,
    Op::WhoIs,
    Op::Write,
    Op::ReadAll,
    Op::ReadPlaces,
    Op::StoreIdentity,
];

fn small(draw: &mut Draw, bound: u64) -> usize {
    usize::try_from(draw.below(bound)).expect("small")
}

fn one_in(draw: &mut Draw, often: u64) -> bool {
    draw.below(often) == 0
}

/// An installation without disturbances: three users in virtual time.
fn quiet(clock: &Arc<Clockwork>, seed: u64) -> Setup {
    let traffic = Traffic {
        clock: clock.clone(),
        seed,
        rate: Some(20.0),
        concurrency: 16,
        wait: false,
        call: (10, 200),
        scan: (10, 500),
        throttled: Vec::new(),
        throttled_for: 0,
        signal_at: None,
    };
    Setup { users: 3, traffic: Some(traffic), ..Setup::simple() }
}

fn weeks() -> Life {
    Life { runs: 30, every: DAY, older_than: Duration::ZERO, limit: None, only_in: None }
}

fn denial(draw: &mut Draw, users: usize) -> Denial {
    let op = *draw.one_of(&REFUSED);
    let whose = if op.is_of_a_store() || one_in(draw, 3) {
        String::new()
    } else {
        super::schedule::user_name(small(draw, users as u64))
    };
    let from = if one_in(draw, 2) { 0 } else { i64::try_from(draw.below(600_000)).expect("short") };
    let until = if one_in(draw, 2) { i64::MAX / 2 } else { from + i64::try_from(draw.below(5)).expect("small") * DAY };
    Denial { op, whose, from, until, credentials: false }
}

fn drawn(draw: &mut Draw, clock: &Arc<Clockwork>) -> (Setup, Life, Faults) {
    let mut setup = quiet(clock, draw.bits());
    setup.users = 1 + small(draw, 5);
    let hours = |draw: &mut Draw, choices: &[u64]| Duration::from_secs(3600 * *draw.one_of(choices));
    let waits = one_in(draw, 2);
    setup.policy = Policy {
        overlap: if waits { hours(draw, &[1, 24]) } else { Duration::ZERO },
        quarantine: if waits { hours(draw, &[0, 1, 48]) } else { Duration::ZERO },
        ..setup.policy
    };
    let mut life = weeks();
    life.runs = 10 + small(draw, 30);
    life.older_than = hours(draw, &[0, 0, 24, 24 * 7]);
    life.every = i64::try_from(hours(draw, &[1, 6, 24, 24]).as_millis()).expect("short");
    life.limit = one_in(draw, 3).then(|| 1 + small(draw, 2));
    life.only_in = one_in(draw, 3).then(|| 2 + small(draw, 3));
    setup.stranger = one_in(draw, 4).then_some(0);
    if one_in(draw, 2) {
        setup.denials = vec![denial(draw, setup.users)];
    }
    if one_in(draw, 6) {
        let from = i64::try_from(draw.below(3)).expect("small") * DAY;
        let (op, whose) = (Op::Caller, String::new());
        setup.denials.push(Denial { op, whose, from, until: from + 2 * DAY, credentials: true });
    }
    if one_in(draw, 3) {
        let wrong = *draw.one_of(&[-31_536_000, -7_200, 7_200, 31_536_000]);
        setup.wrong_dates = [(1 + small(draw, 300), wrong)].into();
    }
    if one_in(draw, 4) {
        setup.resent = [1 + small(draw, 4)].into();
    }
    if let Some(traffic) = setup.traffic.as_mut().filter(|_| one_in(draw, 8)) {
        traffic.wait = true;
        life.runs = 4;
    }
    if one_in(draw, 5) {
        setup.in_use = Some((small(draw, setup.users as u64), i64::try_from(draw.below(12)).expect("small") * DAY));
        setup.policy.overlap = Duration::from_secs(3600);
        setup.policy.still_in_use = StillInUse::Wait;
        setup.policy.still_in_use_for = hours(draw, &[6, 48]);
    }
    setup.visibility = Visibility {
        stale_status: if one_in(draw, 2) { 50_000 } else { 0 },
        unknown: if one_in(draw, 3) { 50_000 } else { 0 },
        last_used: if one_in(draw, 3) { 600_000 } else { 0 },
        ..Visibility::default()
    };
    let acts = [
        Interference::Reverts,
        Interference::CreatesAndUses,
        Interference::DeletesUser,
        Interference::RenamesUser,
        Interference::MakesUserAgain,
    ];
    if one_in(draw, 3) {
        let at = i64::try_from(draw.below(5 * DAY.unsigned_abs())).expect("short");
        let what = Happening::Operator(small(draw, setup.users as u64), *draw.one_of(&acts));
        setup.planned = vec![Planned { at: if one_in(draw, 2) { at % 60_000 } else { at }, what }];
    }
    if one_in(draw, 20) {
        // An entry whose key was deleted, and no right to ask whose it was.
        setup.planned = vec![Planned { at: 0, what: Happening::Operator(0, Interference::DeletesOld) }];
        let (op, whose) = (Op::LastUsed, String::new());
        setup.denials.push(Denial { op, whose, from: 0, until: i64::MAX / 2, credentials: false });
    }
    let mut faults = Faults::default();
    for _ in 0..draw.below(3) {
        let fault = *draw.one_of(&[Fault::LostBefore, Fault::LostAfter, Fault::CrashAfter, Fault::Late(400)]);
        faults.of.insert((*draw.one_of(&[Op::Create, Op::Delete, Op::ChangeStatus, Op::Write]), small(draw, 4)), fault);
    }
    if setup.visibility.unknown > 0 {
        // A key whose place does not hold the old pair any more is discarded at once.
        let what = Happening::Operator(small(draw, setup.users as u64), Interference::Overwrites);
        setup.planned = vec![Planned { at: i64::try_from(draw.below(8_000)).expect("short"), what }];
    }
    if setup.visibility.last_used > 0 && one_in(draw, 2) {
        // A stranger's key beside a lost create of ours.
        faults.of.insert((Op::Create, 0), Fault::LostBefore);
        (life.every, life.older_than) = (90_000, Duration::from_secs(24 * 3600));
        let what = Happening::Operator(0, Interference::CreatesAndUses);
        setup.planned = vec![Planned { at: i64::try_from(draw.below(15_000)).expect("short"), what }];
    }
    (setup, life, faults)
}

fn holds(runtime: &tokio::runtime::Runtime, setup: &Setup, life: &Life, faults: &Faults, which: &str) -> Played {
    let played = runtime.block_on(live(setup, life, faults, false));
    if played.broken.is_empty() {
        return played;
    }
    let again = runtime.block_on(live(setup, life, faults, true));
    panic!(
        "broken: {:#?}\n{which} of seed {}\nfaults: {faults:?}\nlife: {life:?}\nsetup: {setup:?}\nstory, played again:\n{}",
        played.broken,
        proof::seed(),
        again.reported.join("\n")
    );
}

#[test]
fn weeks_in_which_something_is_refused_lags_or_is_renamed() {
    let windows = ["removals sent", "create in doubt", "an operator interfered"];
    let mut proof =
        Proof::of("T20", "weeks of runs, with what is refused, lags, is renamed or wrongly dated", &windows)
            .of_kinds(&kinds::IN_LIVES);
    let (clock, runtime) = Clockwork::with_runtime();
    for case in proof::part(0..proof::cases(600, 60_000)) {
        let mut draw = Draw::new(proof::seed() ^ 0x20, case);
        let (setup, life, faults) = drawn(&mut draw, &clock);
        let played = holds(&runtime, &setup, &life, &faults, &format!("case {case}"));
        proof.case();
        proof.count("runs", life.runs as u64);
        proof.met(played.windows);
    }
    proof.conclude();
}

#[test]
fn weeks_in_which_nothing_happens() {
    let (clock, runtime) = Clockwork::with_runtime();
    for hours in [1, 6, 24] {
        for older_than in [0, 24, 24 * 7] {
            let life = Life { every: hours * DAY / 24, older_than: Duration::from_secs(3600 * older_than), ..weeks() };
            holds(&runtime, &quiet(&clock, 1), &life, &Faults::default(), "quiet weeks");
        }
    }
}

/// A key whose pair STS never lets prove itself has its turn under `--limit`, and takes none from the others.
#[test]
fn a_key_that_is_refused_leaves_the_others_their_turns() {
    let (clock, runtime) = Clockwork::with_runtime();
    let denial = Denial {
        op: Op::WhoIs,
        whose: super::schedule::user_name(0),
        from: 0,
        until: i64::MAX / 2,
        credentials: false,
    };
    let setup = Setup { users: 4, denials: vec![denial], ..quiet(&clock, 5) };
    let life = Life { older_than: Duration::from_secs(24 * 3600), limit: Some(2), ..weeks() };
    holds(&runtime, &setup, &life, &Faults::default(), "a key that is refused");
}

/// Each call refused, from the beginning or from a moment on, for good or until it is lifted: no loop of creates, no
/// rotation that fails for ever, and the other users are rotated.
#[test]
fn every_call_refused_for_good_and_for_a_while() {
    let (clock, runtime) = Clockwork::with_runtime();
    for op in REFUSED {
        for whose in ["".to_owned(), super::schedule::user_name(0)] {
            for (from, until) in [(0, i64::MAX / 2), (0, 3 * DAY), (1_000, i64::MAX / 2), (5_000, 4 * DAY)] {
                let denial = Denial { op, whose: whose.clone(), from, until, credentials: false };
                let setup = Setup { denials: vec![denial], ..quiet(&clock, 3) };
                holds(&runtime, &setup, &Life { runs: 12, ..weeks() }, &Faults::default(), "a refusal");
            }
        }
    }
}
