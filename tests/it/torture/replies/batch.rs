//! Plays one batch of bad replies: a `run` that meets them, the state that it leaves, and the recovery.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rotator::sandbox::{Action, Fault, FaultId, FaultKind};
use serde_json::Value;

use super::super::reader::Reader;
use super::super::scene::Scene;
use super::{Batch, Release};
use crate::support::http;
use crate::support::program::again;
use crate::support::proof::Proof;

/// The windows that the batches have to hit.
pub(super) const WINDOWS: [&str; 5] =
    ["create in doubt", "delete in doubt", "truncated and seen as such", "half a secret refused", "executed late"];
/// A command that takes longer hangs: of several users each meets one bad reply, in parallel.
const LONGEST: Duration = Duration::from_secs(90);
/// Every reply that is held longer counts as none.
const CALL_TIMEOUT: &str = "1s";
const READER_PAUSE: Duration = Duration::from_millis(100);

/// A scene, and what was counted in all of them.
pub(super) struct Replies<'a> {
    scene: Scene,
    proof: &'a Mutex<Proof>,
}

impl<'a> Replies<'a> {
    pub(super) fn new(mut scene: Scene, proof: &'a Mutex<Proof>) -> Self {
        let program = &mut scene.rig.program;
        program.set("ROTATOR_AWS_CALL_TIMEOUT", CALL_TIMEOUT);
        program.set("ROTATOR_POLICY_PROOF_TIMEOUT", "30s");
        // The rate limiter logs the result of a try that it repeats.
        program.set("ROTATOR_LOG", "warn,rotator::engine::rate_limit=debug");
        Self { scene, proof }
    }

    /// The output of `status`, for the report of a failure.
    pub(super) fn status(&self) -> String {
        self.scene.rig.program.rotator(&["status"]).stdout
    }

    fn proof(&self) -> MutexGuard<'_, Proof> {
        self.proof.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plays one batch, or says how a promise was broken.
    pub(super) fn play(&mut self, batch: &Batch) -> Result<(), String> {
        let (setting, program) = (batch.setting, &mut self.scene.rig.program);
        program.set("ROTATOR_POLICY_SETTLE", &format!("{}s", setting.settle));
        program.set("ROTATOR_POLICY_QUARANTINE", setting.quarantine);
        program.set("ROTATOR_OWNER_FROM", setting.owner);
        let faults = self.arm(batch);
        let reader = Reader::of(&self.scene.rig, READER_PAUSE);
        let mut said = self.command("run")?;
        self.look()?;
        if batch.release == Release::BeforeResume {
            self.release();
        }
        said.push_str(&self.command("resume")?);
        self.look()?;
        if batch.release == Release::AfterResume {
            self.release();
        }
        said.push_str(&self.finish(batch)?);
        self.all_struck(batch, &faults)?;
        self.scene.sandbox.disarm_all();
        self.judge_cuts(batch, &said)?;
        self.judge_end(said)?;
        self.proof().count("pairs that the reader tried", reader.end()?);
        for _ in &batch.bad {
            self.proof().case();
        }
        Ok(())
    }

    /// One fault for each user. `GetAccessKeyLastUsed` names none: there each call of the batch meets another one.
    fn arm(&self, batch: &Batch) -> Vec<FaultId> {
        let action = batch.setting.action;
        let (sandbox, users) = (&self.scene.sandbox, &self.scene.rig.users);
        if batch.setting.orphans {
            for user in users {
                sandbox.arm(Fault::new(FaultKind::LostReplyAfter).on(Action::CreateAccessKey).for_user(user));
            }
        }
        let arm = |(user, bad): (&String, &super::Bad)| {
            let fault = Fault::new(bad.kind.clone()).on(action);
            if action == Action::GetAccessKeyLastUsed {
                return sandbox.arm(fault);
            }
            if bad.nth > 1 && batch.setting.calls == 1 {
                sandbox.arm(Fault::new(FaultKind::LostReplyBefore).on(action).for_user(user));
            }
            sandbox.arm(fault.for_user(user).nth(bad.nth))
        };
        let armed = users.iter().zip(&batch.bad).map(arm).collect();
        if action == Action::GetCallerIdentity {
            // rotator asks who it is itself, too.
            let admin = |bad: &super::Bad| Fault::new(bad.kind.clone()).on(action).for_user("rotator-admin");
            for bad in batch.bad.iter().take(2) {
                sandbox.arm(admin(bad));
            }
        }
        armed
    }

    /// Runs a command, which must end in time and by an exit code that means no defect; what it said.
    fn command(&self, command: &str) -> Result<String, String> {
        let running = self.scene.rig.program.spawn(&[&again(command)[..], &["--output", "json"]].concat());
        let ended = running.within(LONGEST).map_err(|hung| format!("{command} hangs: {}", hung.stderr))?;
        match ended.code {
            Some(0 | 3 | 4) => Ok(ended.stderr),
            _ => Err(format!("{command} ends with {:?}: {}", ended.code, ended.stderr)),
        }
    }

    /// The promises at this moment, and what the bad replies left in doubt.
    fn look(&self) -> Result<(), String> {
        self.scene.rig.all_accepted()?;
        self.scene.stranger_untouched()?;
        let status = self.scene.status();
        let rotations = status["rotations"].as_array().expect("rotations");
        for doubt in rotations.iter().filter_map(|rotation: &Value| rotation["in_doubt"].as_str()) {
            match doubt {
                "create-new" => self.proof().hit("create in doubt", 1),
                "delete-old" | "discard-new" => self.proof().hit("delete in doubt", 1),
                other => {
                    assert!(!other.is_empty(), "an intent has a name");
                    self.proof().count("another effect in doubt", 1);
                }
            }
        }
        Ok(())
    }

    fn release(&self) {
        for call in self.scene.release_all() {
            let is_effect =
                matches!(call.action, Action::CreateAccessKey | Action::DeleteAccessKey | Action::UpdateAccessKey);
            match (is_effect, call.outcome) {
                (true, Ok(())) => self.proof().hit("executed late", 1),
                (true, Err(_)) => self.proof().count("executed late in vain", 1),
                (false, _) => self.proof().count("asked late", 1),
            }
        }
    }

    /// P6: finishes the batch, with an operator who does what rotator says.
    fn finish(&self, batch: &Batch) -> Result<String, String> {
        let began = Instant::now();
        let mut finished = self.scene.finish("resume")?;
        if self.scene.rig.program.rotator(&["status", "--exit-code"]).code != Some(0) {
            let run = self.scene.finish("run")?;
            finished.tries += run.tries;
            finished.said.push_str(&run.said);
            finished.resolved.extend(run.resolved);
        }
        let longest = LONGEST * u32::try_from(finished.tries).expect("few");
        if began.elapsed() > longest {
            return Err(format!("{} commands took {:?}", finished.tries, began.elapsed()));
        }
        self.proof().count("commands to the end", finished.tries as u64);
        self.proof().count("blocks resolved by the command given", finished.resolved.len() as u64);
        self.scene.sandbox.advance(Duration::from_secs(batch.setting.settle + 1));
        self.scene.rig.all_accepted()?;
        self.release();
        Ok(finished.said)
    }

    /// A fault that met nothing proves nothing.
    fn all_struck(&self, batch: &Batch, faults: &[FaultId]) -> Result<(), String> {
        let answer = http::send(self.scene.sandbox.addr(), "GET", "/_sandbox/state", &[], b"").expect("an answer");
        let state: Value = serde_json::from_str(&answer.body).expect("JSON");
        let armed = state["faults"].as_array().expect("faults");
        for (id, bad) in faults.iter().zip(&batch.bad) {
            let found = armed.iter().find(|fault| fault["fault"] == id.0).expect("armed");
            if found["struck"] == 0 {
                return Err(format!("no call met {bad:?} of {}", found["user"]));
            }
        }
        Ok(())
    }

    /// A cut answer was seen as one; of a create, each by itself: half a secret is never believed.
    fn judge_cuts(&self, batch: &Batch, said: &str) -> Result<(), String> {
        let is_cut = |kind: &FaultKind| matches!(kind, FaultKind::Truncate(_) | FaultKind::CutOff(_));
        let cut = batch.bad.iter().filter(|bad| is_cut(&bad.kind)).count();
        if cut == 0 {
            return Ok(());
        }
        let call = format!("call {} for ", batch.setting.action);
        let seen = said.lines().filter(|line| line.contains(&call)).count();
        if seen < cut {
            return Err(format!("{cut} answers were cut, and {seen} seen as such: {said}"));
        }
        self.proof().hit("truncated and seen as such", cut as u64);
        for (user, bad) in self.scene.rig.users.iter().zip(&batch.bad).filter(|(_, bad)| bad.half_a_secret) {
            if !said.contains(&format!("{call}user {user}: ")) {
                return Err(format!("half a secret was believed for {user}: {bad:?}"));
            }
            self.proof().hit("half a secret refused", 1);
        }
        Ok(())
    }

    /// Checks that each user has the stored key only; a key that was created late is reported and was kept.
    fn judge_end(&self, mut said: String) -> Result<(), String> {
        // A released call may be executed after the last look: the next command reports its key.
        said.push_str(&self.scene.rig.program.rotator(&["run", "-q", "--only", "nothing/here"]).stderr);
        for user in &self.scene.rig.users {
            let late = self.scene.delete_late_key(user, &said)?;
            self.proof().count("late keys reported and kept", u64::from(late));
        }
        self.scene.rig.all_settled()?;
        self.scene.stranger_untouched()
    }
}
