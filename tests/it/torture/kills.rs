//! T6: `kill -9` of `run` and `resume` against the sandbox, at random moments and in the windows that matter, while a
//! reader authenticates with the stored pairs.
//!
//! The seed draws the moments, not what the scheduler does with them: the same seed meets nearly the same states.
//! `ROTATOR_TEST_USERS` sets how many users there are (`scripts/torture` kills over fifty).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rotator::sandbox::{Action, Behaviour, Fault, FaultKind};
use serde_json::Value;

use super::reader::Reader;
use super::scene::{Finished, Scene};
use crate::support::program::AGAIN;
use crate::support::program::{Ended, Running};
use crate::support::proof::{self, Draw, Proof};

const USERS: usize = 4;
/// The number of sandboxes at once: while one round waits for a moment, another works.
const SCENES: usize = 3;
const LATE: &str = "late create after a resume";
pub(super) const RESUME_KILLED: &str = "killed while resuming";
/// The windows that a kill has to catch.
pub(super) const WINDOWS: [&str; 5] =
    ["create in doubt", "secret lost", "store in doubt", "delete in doubt", RESUME_KILLED];
/// The approximate number of journal lines of the rotation of one user.
pub(super) const LINES_EACH: u64 = 12;
/// As an app would read: often, but not as the only thing that this machine does.
const READER_PAUSE: Duration = Duration::from_millis(20);

/// The moment of the kill.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    /// After this fraction of a typical run.
    Anytime(f64),
    /// So long after the n-th success of a call.
    After(Action, u64, Duration),
    /// As the journal grows for the n-th time: an intent or an outcome was just written.
    Written(u64),
    /// While the call of this user is held: before it is carried out, or before its reply is sent.
    During(Action, usize, HeldEnd),
}

/// The end of a call that is held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum HeldEnd {
    Call,
    Reply,
}

impl HeldEnd {
    /// The fault that holds it.
    pub(super) fn fault(self) -> FaultKind {
        match self {
            Self::Call => FaultKind::HoldUntilReleased,
            Self::Reply => FaultKind::HoldReply,
        }
    }
}

/// The parameters of one round.
#[derive(Debug)]
struct Round {
    settle: u64,
    invisible: Duration,
    invalid: Duration,
    overlap: &'static str,
    quarantine: &'static str,
    moment: Moment,
    /// The number of resumes before a held create is executed; 0: at once.
    late: usize,
    /// One kill of `resume` for each element, after this fraction of a typical run.
    resumes_killed: Vec<f64>,
}

impl Round {
    fn draw(draw: &mut Draw, users: usize) -> Self {
        let user = usize::try_from(draw.below(users as u64)).expect("small");
        let nth = 1 + draw.below(users as u64);
        let delay = Duration::from_micros(draw.below(40_000));
        let end = *draw.one_of(&[HeldEnd::Call, HeldEnd::Reply]);
        let moment = match draw.below(24) {
            0..6 => Moment::After(Action::CreateAccessKey, nth, delay),
            6..12 => Moment::During(Action::CreateAccessKey, user, HeldEnd::Call),
            12 => Moment::During(Action::CreateAccessKey, user, HeldEnd::Reply),
            13..15 => Moment::During(Action::DeleteAccessKey, user, end),
            // Each old pair is proved once, and each new one three times before it is stored; the first call is rotator's own.
            15..18 => Moment::After(Action::GetCallerIdentity, 4 * nth, delay),
            18..21 => Moment::Written(1 + draw.below(LINES_EACH * users as u64)),
            _ => Moment::Anytime(draw.fraction()),
        };
        let held_call = matches!(moment, Moment::During(Action::CreateAccessKey, _, HeldEnd::Call));
        let late = if held_call { *draw.one_of(&[0, 1, 2, 2, 9]) } else { 0 };
        // A run gets as far as a delete only where nothing makes it wait.
        let slow = draw.below(2) == 1 && !matches!(moment, Moment::During(Action::DeleteAccessKey, ..));
        let patient = draw.below(4) == 0 && !matches!(moment, Moment::During(..));
        let settle = if slow { 1 + draw.below(60) } else { 0 };
        Self {
            settle,
            invisible: Duration::from_secs_f64(settle as f64 * draw.fraction()),
            invalid: if slow { Duration::from_millis(draw.below(300)) } else { Duration::ZERO },
            overlap: if patient { "1h" } else { "0s" },
            quarantine: if patient { *draw.one_of(&["0s", "1d"]) } else { "0s" },
            moment,
            late,
            resumes_killed: (0..draw.below(3)).map(|_| draw.fraction()).collect(),
        }
    }
}

/// A scene, and what was counted in all of them.
struct Torture<'p> {
    scene: Scene,
    typical: Duration,
    proof: &'p Mutex<Proof>,
}

impl<'p> Torture<'p> {
    fn begin(users: usize, proof: &'p Mutex<Proof>) -> Self {
        let mut scene = Scene::with_users(users);
        scene.rig.program.set("ROTATOR_POLICY_PROOF_TIMEOUT", "20s");
        let began = Instant::now();
        scene.rig.program.ends_with(0, &AGAIN);
        let typical = began.elapsed();
        // The keys of this run are not new to IAM when the first round makes new keys invalid for a moment.
        scene.sandbox.advance(Duration::from_secs(60));
        Self { scene, typical, proof }
    }

    fn proof(&self) -> MutexGuard<'p, Proof> {
        self.proof.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One kill and what follows, or how a promise was broken.
    fn round(&mut self, round: &Round) -> Result<(), String> {
        let program = &mut self.scene.rig.program;
        program.set("ROTATOR_POLICY_SETTLE", &format!("{}s", round.settle));
        program.set("ROTATOR_POLICY_OVERLAP", round.overlap);
        program.set("ROTATOR_POLICY_QUARANTINE", round.quarantine);
        self.scene.behave(Behaviour {
            new_keys_invisible_for: round.invisible,
            new_keys_invalid_for: round.invalid,
            ..Behaviour::default()
        });
        self.scene.forget_calls();
        let reader = Reader::of(&self.scene.rig, READER_PAUSE);
        let ended = self.kill(self.scene.rig.program.spawn(&AGAIN), round);
        self.proof().count(if ended.signal.is_some() { "killed" } else { "ended before" }, 1);
        self.look()?;
        self.kill_resumes(round)?;
        let finished = self.finish(round)?;
        self.proof().count("blocks resolved by the command given", finished.resolved.len() as u64);
        self.proof().count("resumes", finished.tries as u64);
        // Rotates the keys for which the killed run opened no rotation. In the next round every key must be due.
        if self.scene.rig.program.rotator(&["status", "--exit-code"]).code != Some(0) {
            self.scene.finish("run")?;
        }
        // The lists of the next round show every key.
        self.scene.sandbox.advance(Duration::from_secs(round.settle + 1));
        let tried = reader.end()?;
        self.proof().count("pairs that the reader tried", tried);
        self.scene.rig.all_settled()?;
        self.scene.stranger_untouched()
    }

    fn kill(&self, mut running: Running, round: &Round) -> Ended {
        match round.moment {
            Moment::Anytime(fraction) => std::thread::sleep(self.typical.mul_f64(fraction)),
            Moment::After(action, nth, delay) => {
                if self.scene.wait_for(action, nth, &mut running) {
                    std::thread::sleep(delay);
                }
            }
            Moment::Written(nth) => self.scene.rig.wait_for_journal(nth, &mut running),
            Moment::During(action, user, end) => {
                let user = &self.scene.rig.users[user];
                self.scene.sandbox.arm(Fault::new(end.fault()).on(action).for_user(user));
                self.scene.wait_until_held(&mut running);
                let ended = running.kill();
                self.scene.sandbox.disarm_all();
                if round.late == 0 {
                    self.scene.sandbox.release(None);
                }
                return ended;
            }
        }
        running.kill()
    }

    /// The promises right after a kill, and what it caught.
    fn look(&mut self) -> Result<(), String> {
        self.scene.rig.all_accepted()?;
        let status = self.scene.status();
        let rotations = status["rotations"].as_array().expect("rotations");
        for window in rotations.iter().filter_map(window_of) {
            self.proof().hit(window, 1);
        }
        Ok(())
    }

    fn kill_resumes(&mut self, round: &Round) -> Result<(), String> {
        for fraction in &round.resumes_killed {
            if self.scene.status()["counts"]["in_flight"] == 0 {
                return Ok(());
            }
            let resume = self.scene.rig.program.spawn(&["resume", "-q"]);
            std::thread::sleep(self.typical.mul_f64(*fraction));
            if resume.kill().signal.is_some() {
                self.proof().hit(RESUME_KILLED, 1);
                self.look()?;
            }
        }
        Ok(())
    }

    /// Resumes until nothing is in flight. A create that has been held since before the kill is executed on the way or
    /// after the end: such a key is reported, and stays as it is until an operator deletes it.
    fn finish(&mut self, round: &Round) -> Result<Finished, String> {
        let user = match round.moment {
            Moment::During(_, user, _) if round.late > 0 => self.scene.rig.users[user].clone(),
            Moment::During(..) | Moment::After(..) | Moment::Written(_) | Moment::Anytime(_) => {
                return self.scene.finish("resume");
            }
        };
        let mut said = String::new();
        for _ in 0..round.late {
            let ended = self.scene.once("resume");
            said.push_str(&ended.stderr);
            if ended.code == Some(0) {
                break;
            }
        }
        self.scene.forget_calls();
        self.scene.sandbox.release(None);
        if self.scene.sees_create_for(&user) {
            self.proof().hit(LATE, 1);
        }
        let mut finished = self.scene.finish("resume")?;
        self.scene.sandbox.advance(Duration::from_secs(round.settle));
        finished.said.push_str(&said);
        self.delete_late_key(&user, &finished)?;
        Ok(finished)
    }

    fn delete_late_key(&mut self, user: &str, finished: &Finished) -> Result<(), String> {
        if self.scene.rig.iam.keys_of(user).len() == 1 {
            return Ok(());
        }
        let reported = self.scene.rig.program.rotator(&["run", "-q", "--only", "nothing/here"]);
        let late = self.scene.delete_late_key(user, &format!("{}{}", finished.said, reported.stderr))?;
        self.proof().count("late keys reported and kept", u64::from(late));
        Ok(())
    }
}

/// The window in which a kill caught this rotation.
pub(super) fn window_of(rotation: &Value) -> Option<&'static str> {
    match (rotation["state"].as_str(), rotation["in_doubt"].as_str()) {
        (_, Some("create-new")) => Some("create in doubt"),
        (_, Some("store-new")) => Some("store in doubt"),
        (_, Some("delete-old")) => Some("delete in doubt"),
        (Some("created-new"), None) => Some("secret lost"),
        (_, Some(_) | None) => None,
    }
}

#[test]
fn killed_at_any_moment_it_recovers() {
    let users = std::env::var("ROTATOR_TEST_USERS").map_or(USERS, |users| users.parse().expect("a number of users"));
    let (seed, next, cases) = (proof::seed(), AtomicU64::new(1), proof::cases(250, 5_000));
    let what = "kill -9 of run and resume against the sandbox, a reader authenticating all the while";
    let windows: Vec<_> = WINDOWS.into_iter().chain([LATE]).collect();
    let proof = Mutex::new(Proof::of("T6", what, &windows));
    std::thread::scope(|scenes| {
        for _ in 0..SCENES {
            scenes.spawn(|| {
                let mut torture = Torture::begin(users, &proof);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if !torture.proof().needs(number, cases) {
                        return;
                    }
                    let round = Round::draw(&mut Draw::new(seed, number), users);
                    if let Err(broken) = torture.round(&round) {
                        // The other scenes end with the round in hand.
                        next.store(u64::MAX / 2, Ordering::Relaxed);
                        let status = torture.scene.rig.program.rotator(&["status"]).stdout;
                        panic!("kill {number} of seed {seed}: {broken}\n{round:#?}\n{status}");
                    }
                    torture.proof().case();
                }
            });
        }
    });
    proof.into_inner().expect("no scene panicked").conclude();
}
