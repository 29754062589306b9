//! Draws setups and faults from a seed, with a bias to dangerous ones.

use std::time::Duration;

use rotator::rotation::policy::{Policy, Unclaimed};

use super::{Backing, Fault, Faults, Interference, Lasting, Op, Setup, Spans, Trouble, Visibility};
use crate::support::proof::Draw;

/// Faults of the calls that can harm a rotation are drawn as often as all others together.
const DANGEROUS: [Op; 6] = [Op::Create, Op::Write, Op::WriteSink, Op::Delete, Op::ChangeStatus, Op::Append];

fn small(draw: &mut Draw, bound: u64) -> usize {
    usize::try_from(draw.below(bound)).expect("small")
}

fn one_in(draw: &mut Draw, often: u64) -> bool {
    draw.below(often) == 0
}

impl Setup {
    /// The world of one schedule.
    pub(crate) fn drawn(draw: &mut Draw, backing: Backing) -> Self {
        let visibility = if one_in(draw, 3) { Visibility::drawn(draw) } else { Visibility::default() };
        let users = 1 + small(draw, 3);
        let stores = 1 + small(draw, 2);
        let hidden_note = one_in(draw, 8);
        Self {
            users,
            stores,
            atomic: one_in(draw, 2),
            compare_and_set: !one_in(draw, 4),
            document: one_in(draw, 4),
            policy: policy(draw, &visibility),
            stranger: one_in(draw, 6).then(|| small(draw, 3)).filter(|number| *number < users),
            visibility,
            backing,
            interference: one_in(draw, 4).then(|| (small(draw, 120), *draw.one_of(&Interference::ALL))),
            troubles: troubles(draw, stores, hidden_note),
            traffic: None,
            planned: Vec::new(),
            denials: Vec::new(),
            wrong_dates: Default::default(),
            resent: Default::default(),
            in_use: None,
            hidden_note,
            sink: one_in(draw, 3),
            // Never the first user's, whom persons concern.
            wrong_pair: one_in(draw, 8).then(|| users - 1).filter(|number| *number > 0),
        }
    }
}

fn policy(draw: &mut Draw, visibility: &Visibility) -> Policy {
    let seconds = |draw: &mut Draw, choices: &[u64]| Duration::from_secs(*draw.one_of(choices));
    let (overlap, quarantine) = (seconds(draw, &[0, 5, 90]), seconds(draw, &[0, 5, 90]));
    // IAM's lag is what `settle` is for: shorter than that, absence would prove nothing.
    let settle = if visibility.lists_lag() { Duration::from_secs(60) } else { seconds(draw, &[0, 5, 60, 90]) };
    Policy {
        overlap,
        quarantine,
        settle,
        confirmations: 1 + u32::try_from(draw.below(3)).expect("small"),
        proof_span: seconds(draw, &[0, 10]),
        unclaimed: if one_in(draw, 4) { Unclaimed::Report } else { Unclaimed::Reclaim },
        ..Policy::default()
    }
}

fn troubles(draw: &mut Draw, stores: usize, hidden_note: bool) -> Vec<Lasting> {
    let mut troubles = Vec::new();
    if hidden_note {
        // From before the survey, which would not open a rotation of a key that is named elsewhere.
        troubles.push(Lasting { trouble: Trouble::Unreadable, from: 0, touches: 20 + small(draw, 100) });
    }
    if one_in(draw, 5) {
        let store = small(draw, 2) % stores;
        let of_sts = *draw.one_of(&[Trouble::SomebodyElse, Trouble::Forbids, Trouble::AcceptsNone]);
        let trouble = *draw.one_of(&[Trouble::StoreDown(store), of_sts, Trouble::Lies(store)]);
        troubles.push(Lasting { trouble, from: small(draw, 80), touches: 1 + small(draw, 40) });
    }
    troubles
}

impl Visibility {
    /// Lags of up to a minute, in which a key may be listed and then be missing again.
    pub(crate) fn drawn(draw: &mut Draw) -> Self {
        let lag = |draw: &mut Draw, longest: u64| {
            if one_in(draw, 3) { 0 } else { i64::try_from(draw.below(longest)).expect("short") }
        };
        Self {
            unlisted: spans(draw, 60_000),
            unaccepted: spans(draw, 60_000),
            ghost: lag(draw, 60_000),
            stale_status: lag(draw, 60_000),
            ..Self::default()
        }
    }
}

/// Up to three spans, one after the other, that end within `longest`.
fn spans(draw: &mut Draw, longest: u64) -> Spans {
    let mut ends: Vec<i64> =
        (0..2 * draw.below(4)).map(|_| i64::try_from(draw.below(longest)).expect("short")).collect();
    ends.sort_unstable();
    if one_in(draw, 2)
        && let Some(first) = ends.first_mut()
    {
        *first = 0;
    }
    Spans(ends.chunks(2).map(|span| (span[0], span[1])).collect())
}

impl Faults {
    /// Up to six.
    pub(crate) fn drawn(draw: &mut Draw) -> Self {
        let mut faults = Self::default();
        for _ in 0..draw.below(7) {
            let fault = match *draw.one_of(&Fault::ALL) {
                Fault::Late(_) => Fault::Late(u32::try_from(draw.below(900)).expect("small")),
                fault @ (Fault::CrashBefore
                | Fault::CrashAfter
                | Fault::LostBefore
                | Fault::LostAfter
                | Fault::Throttled
                | Fault::Denied
                | Fault::Credentials) => fault,
            };
            if one_in(draw, 2) {
                faults.at.insert(small(draw, 200), fault);
            } else {
                faults.of.insert((*draw.one_of(&DANGEROUS), small(draw, 4)), fault);
            }
        }
        faults
    }
}
