//! T14, outputs: a rotation is carried out as usual whether stdout and stderr are closed, full, or lose their reader
//! before the first line or in the middle. Only output is lost, and the exit code reports a failed stdout. (`hardening`
//! tests that no command dies of it.)

use rotator::sandbox::{Action, Fault, FaultKind};

use super::scene::Scene;
use crate::support::program::AGAIN;
use crate::support::program::{Ended, ROTATOR};
use crate::support::proof::{self, Draw, Proof};

const LOST: &str = "output lost while a key was made";
/// The destination of the output, and whether the exit code reports an error. A pipe without a reader is no error: the
/// reader has seen enough.
const WAYS: [(&str, bool); 11] = [
    (">/dev/full", true),
    ("2>/dev/full", false),
    (">/dev/full 2>&1", true),
    (">&-", false),
    ("2>&-", false),
    (">&- 2>&-", false),
    ("> >(exec true)", false),
    ("2> >(exec true)", false),
    ("> >(exec head -c N >/dev/null)", false),
    ("2> >(exec head -c N >/dev/null)", false),
    ("> >(exec head -c N >/dev/null) 2>&1", false),
];
/// `-vv` says more than that.
const MOST_READ: u64 = 3_000;

struct Outputs {
    scene: Scene,
    proof: Proof,
}

impl Outputs {
    /// Runs rotator in the place of a shell that has redirected its outputs.
    fn redirected(&self, args: &str, way: &str) -> Ended {
        let script = format!("exec \"$0\" {args} {way}");
        Ended::of(self.scene.rig.program.command("/bin/bash", &["-c", &script, ROTATOR]).spawn().expect("started"))
    }

    /// Kills a run that has keys in hand, so that there is something to resume.
    fn leave_keys_lost(&self) -> Result<(), String> {
        // After the call by which rotator asks who it is itself, and the proof of the old pair.
        let proofs = Fault::new(FaultKind::HoldUntilReleased).on(Action::GetCallerIdentity).nth(3).always();
        self.scene.sandbox.arm(proofs);
        let mut running = self.scene.rig.program.spawn(&AGAIN);
        let held = self.scene.wait_until_held(&mut running);
        running.kill();
        self.scene.sandbox.disarm_all();
        self.scene.sandbox.release(None);
        if held { Ok(()) } else { Err("no key was in hand of the run that was to be killed".to_owned()) }
    }

    /// `run` or `resume` makes a key, stores it and deletes the old one, and nothing of it is seen.
    fn rotate(&mut self, command: &str, args: &str, (way, fails): (&str, bool)) -> Result<(), String> {
        if command == "resume" {
            self.leave_keys_lost()?;
        }
        let before = self.scene.rig.stored()?;
        let ended = self.redirected(&format!("{command} {args}"), way);
        if ended.code != Some(i32::from(fails)) {
            return Err(format!("it ends with {:?}, signal {:?}", ended.code, ended.signal));
        }
        let after = self.scene.rig.all_accepted()?;
        let made = before.iter().filter(|(user, pair)| after[*user].id != pair.id).count();
        if made != before.len() {
            return Err(format!("{made} of {} keys were rotated", before.len()));
        }
        self.proof.hit(LOST, 1);
        self.scene.rig.all_settled()?;
        self.scene.stranger_untouched()?;
        let counts = &self.scene.status()["counts"];
        if counts["in_flight"] == 0 { Ok(()) } else { Err(format!("something is in flight: {counts}")) }
    }

    /// With something in flight the exit code says that, above the output that failed; what only asks says 1.
    fn ask(&self, (way, fails): (&str, bool)) {
        for (args, otherwise) in [("status", 0), ("plan", 0), ("doctor", 0), ("store list", 0), ("resume", 3)] {
            for format in ["table", "json"] {
                let ended = self.redirected(&format!("{args} -vv --output {format}"), way);
                let expected = if fails && otherwise == 0 { 1 } else { otherwise };
                assert_eq!((ended.code, ended.signal), (Some(expected), None), "{args} as {format} {way}");
            }
        }
    }
}

#[test]
fn a_rotation_is_completed_even_if_its_output_is_lost() {
    let what = "stdout and stderr closed, full, and with a reader that stops reading";
    let (seed, mut drawn) = (proof::seed(), 0);
    let mut outputs = Outputs { scene: Scene::with_users(1), proof: Proof::of("T14", what, &[LOST]) };
    for _ in 0..proof::cases(1, 8) {
        for (way, fails) in WAYS {
            for command in ["run --older-than 0s", "resume"] {
                for args in ["-vv", "-vv --output json"] {
                    drawn += 1;
                    let read = 1 + Draw::new(seed, drawn).below(MOST_READ);
                    let way = way.replace('N', &read.to_string());
                    if let Err(broken) = outputs.rotate(command, args, (&way, fails)) {
                        panic!("{command} {args} {way}, seed {seed}: {broken}\n{:#?}", outputs.proof);
                    }
                    outputs.proof.case();
                }
            }
        }
    }
    outputs.scene.rig.program.set("ROTATOR_POLICY_OVERLAP", "1h");
    outputs.scene.rig.program.ends_with(3, &AGAIN);
    for way in [(">/dev/full", true), (">&-", false), ("> >(exec true)", false), ("2>/dev/full", false)] {
        outputs.ask(way);
    }
    outputs.proof.conclude();
}
