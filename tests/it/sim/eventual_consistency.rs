//! T11: IAM shows changes late and inconsistently.

use std::time::Duration;

use rotator::rotation::policy::{Policy, Unclaimed};

use super::stories::{must_hold, runtime};
use super::{Backing, Fault, Faults, Op, Setup, Visibility};
use crate::support::proof::{self, Draw, Proof};

#[test]
fn lists_and_authentication_that_lag_and_flap() {
    let unready = "stored, active, and not accepted for a moment";
    let windows = [unready, "create in doubt", "delete in doubt", "status in doubt", "key on evidence"];
    let mut proof = Proof::of("T11", "lists and authentication that lag 0 to 60 s and flap", &windows);
    let runtime = runtime();
    for case in 0..proof::cases(5_000, 50_000) {
        let mut draw = Draw::new(proof::seed(), case);
        let visibility = Visibility::drawn(&mut draw);
        let policy = Policy {
            settle: Duration::from_secs(60),
            quarantine: Duration::from_secs(*draw.one_of(&[0, 90])),
            proof_span: Duration::from_secs(*draw.one_of(&[0, 10])),
            unclaimed: Unclaimed::Reclaim,
            ..Policy::default()
        };
        let atomic = draw.below(2) == 0;
        let setup = Setup { users: 2, atomic, policy, visibility, backing: Backing::Memory, ..Setup::simple() };
        // The looks that follow a lost reply are the ones that a lag deceives.
        let mut faults = Faults::default();
        let kinds = [Fault::CrashBefore, Fault::CrashAfter, Fault::LostBefore, Fault::LostAfter];
        for op in [Op::Create, Op::Delete, Op::ChangeStatus] {
            if draw.below(2) == 0 {
                faults.of.insert((op, usize::try_from(draw.below(2)).expect("small")), *draw.one_of(&kinds));
            }
        }
        let played = runtime.block_on(must_hold(&setup, &faults, || format!("case {case}")));
        proof.case();
        for window in windows {
            proof.hit(window, played.windows.get(window).copied().unwrap_or_default());
        }
    }
    proof.conclude();
}
