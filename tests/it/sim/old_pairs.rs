//! An old pair must authenticate as its user before its rotation is opened; any other pair is left unchanged.

use super::stories::{must_hold, runtime};
use super::{Backing, Fault, Faults, Lasting, Setup, Trouble};

/// One user of three has its id beside another program's secret. With every fault, that id is never rotated, its
/// entries stay unchanged, and the other users are rotated.
#[test]
fn a_pair_that_aws_does_not_accept_is_never_rotated() {
    let setup = Setup { users: 3, stores: 2, wrong_pair: Some(1), backing: Backing::Memory, ..Setup::simple() };
    let runtime = runtime();
    let touches = runtime.block_on(must_hold(&setup, &Faults::default(), String::new)).touches;
    for touch in 0..touches {
        for fault in [Fault::CrashBefore, Fault::LostAfter, Fault::Throttled] {
            let faults = Faults::at([(touch, fault)]);
            runtime.block_on(must_hold(&setup, &faults, || format!("{fault:?} at {touch}")));
        }
    }
}

/// A refusal by STS that ends: the keys are rotated once it has, and none of them before.
#[test]
fn a_refusal_of_sts_that_ends_stops_no_rotation_for_good() {
    let setup = Setup { users: 2, ..Setup::simple() };
    let runtime = runtime();
    let touches = runtime.block_on(must_hold(&setup, &Faults::default(), String::new)).touches;
    let mut forbade = 0;
    for trouble in [Trouble::Forbids, Trouble::AcceptsNone, Trouble::SomebodyElse] {
        for (from, touches) in (0..touches).flat_map(|from| [1, 4, 12].map(|touches| (from, touches))) {
            let setup = Setup { troubles: vec![Lasting { trouble, from, touches }], ..setup.clone() };
            let which = || format!("{trouble:?} from {from} for {touches} touches");
            let played = runtime.block_on(must_hold(&setup, &Faults::default(), which));
            forbade += played.windows.get("STS forbade the question").copied().unwrap_or_default();
        }
    }
    assert!(forbade > 10, "only {forbade} times: this tests nothing");
}
