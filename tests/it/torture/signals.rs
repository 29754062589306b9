//! T14, signals: SIGINT, SIGTERM and SIGHUP at random moments of `run` and `resume`, once and twice in a row.
//!
//! After one signal no key in hand may be lost: it is stored, or discarded. After two it may be, and `resume` recovers.

use std::time::{Duration, Instant};

use rotator::sandbox::{Action, Behaviour, Fault, FaultKind};
use rustix::process::Signal;
use serde_json::Value;

use super::kills::LINES_EACH;
use super::scene::Scene;
use crate::support::program::AGAIN;
use crate::support::program::again;
use crate::support::program::{Ended, ROTATOR, Running};
use crate::support::proof::{self, Draw, Proof};

const USERS: usize = 2;
const IN_HAND: &str = "signalled with a key in hand";
const SECOND: &str = "ended by a second signal with a key in hand";
const RESUMING: &str = "signalled while resuming";
/// The first signal leaves so long for what is in hand.
const GRACE: Duration = Duration::from_secs(30);
/// A second signal ends the process at once; two merged signals do not, so calls are held no longer than this.
const AT_ONCE: Duration = Duration::from_secs(1);

/// The moment of the first signal.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// After this fraction of a typical run.
    Anytime(f64),
    /// So long after the n-th success of a call.
    After(Action, u64, Duration),
    /// As the journal grows for the n-th time.
    Written(u64),
    /// While a new pair is proved: a single signal, and the response this long after it.
    Proving(Duration),
}

/// The parameters of one round.
#[derive(Debug)]
struct Round {
    resuming: bool,
    overlap: &'static str,
    moment: Moment,
    first: Signal,
    /// The second signal, and how long after the first.
    second: Option<(Signal, Duration)>,
}

impl Round {
    fn draw(draw: &mut Draw) -> Self {
        let signals = [Signal::INT, Signal::TERM, Signal::HUP];
        let delay = Duration::from_millis(draw.below(60));
        let nth = 1 + draw.below(USERS as u64);
        let moment = match draw.below(10) {
            0..6 => Moment::Proving(delay),
            6 => Moment::Anytime(draw.fraction()),
            7 | 8 => Moment::After(Action::CreateAccessKey, nth, delay),
            _ => Moment::Written(1 + draw.below(LINES_EACH * USERS as u64)),
        };
        Self {
            resuming: draw.below(5) < 2,
            overlap: *draw.one_of::<&str>(&["0s", "0s", "1h"]),
            moment,
            first: *draw.one_of(&signals),
            second: (draw.below(3) > 0).then(|| (*draw.one_of(&signals), Duration::from_millis(draw.below(150)))),
        }
    }
}

/// The exit code that a signal calls for.
fn code_of(signal: Signal) -> i32 {
    128 + signal.as_raw()
}

/// The outcome of the signals.
struct Signalled {
    ended: Ended,
    /// The number of signals that reached the process.
    sent: usize,
    /// A proof was held at the first signal.
    in_hand: bool,
}

struct Signals {
    scene: Scene,
    typical: Duration,
    proof: Proof,
}

impl Signals {
    fn begin() -> Self {
        let scene = Scene::with_users(USERS);
        let began = Instant::now();
        scene.rig.program.ends_with(0, &AGAIN);
        let what = "signals at random moments of run and resume, once and twice in a row";
        Self { typical: began.elapsed(), proof: Proof::of("T14", what, &[IN_HAND, SECOND, RESUMING]), scene }
    }

    fn round(&mut self, round: &Round) -> Result<(), String> {
        self.scene.rig.program.set("ROTATOR_POLICY_OVERLAP", round.overlap);
        if round.resuming {
            self.leave_keys_lost()?;
        }
        let before = self.scene.status();
        let changes = self.changes();
        let signalled = self.signal(round);
        self.scene.rig.all_accepted()?;
        let untouched = changes == self.changes();
        self.judge(round, &signalled, untouched)?;
        let lost = lost_since(&before, &self.scene.status());
        match signalled.sent {
            0 | 1 if !lost.is_empty() => return Err(format!("one signal lost what was in hand: {lost:?}")),
            2 if !lost.is_empty() => self.proof.hit(SECOND, 1),
            _ => {}
        }
        self.scene.finish("resume")?;
        // Rotates the keys for which the stopped run opened no rotation.
        self.scene.finish("run")?;
        self.scene.rig.all_settled()?;
        self.scene.stranger_untouched()
    }

    /// The number of changes in IAM.
    fn changes(&self) -> u64 {
        let changing = [Action::CreateAccessKey, Action::UpdateAccessKey, Action::DeleteAccessKey];
        let calls = self.scene.sandbox.calls();
        changing.iter().filter_map(|action| calls.get(action)).sum()
    }

    /// Holds the proofs of the new pairs. In a `run`, the first call that a pair of a user signs is the proof of the old one.
    fn hold_proofs(&self, resuming: bool) {
        let nth = if resuming { 1 } else { 2 };
        for user in &self.scene.rig.users {
            let proofs = Fault::new(FaultKind::HoldUntilReleased).on(Action::GetCallerIdentity).for_user(user);
            self.scene.sandbox.arm(proofs.nth(nth).always());
        }
    }

    fn let_go(&self) {
        self.scene.sandbox.disarm_all();
        self.scene.sandbox.release(None);
    }

    /// Kills a run that has keys in hand, so that there is something to resume.
    fn leave_keys_lost(&self) -> Result<(), String> {
        self.hold_proofs(false);
        let mut running = self.scene.rig.program.spawn(&AGAIN);
        let held = self.scene.wait_until_held(&mut running);
        running.kill();
        self.let_go();
        if held { Ok(()) } else { Err("no key was in hand of the run that was to be killed".to_owned()) }
    }

    fn signal(&self, round: &Round) -> Signalled {
        self.scene.forget_calls();
        if matches!(round.moment, Moment::Proving(_)) {
            self.hold_proofs(round.resuming);
        }
        let command = if round.resuming { "resume" } else { "run" };
        // The caller of these tests may ignore SIGHUP, as `nohup` does, and rotator would inherit that.
        let args = [&["--default-signal=HUP", ROTATOR], &again(command)[..], &["--output", "json"]].concat();
        let mut running = Running::start(self.scene.rig.program.command("env", &args));
        let in_hand = match round.moment {
            Moment::Anytime(fraction) => {
                std::thread::sleep(self.typical.mul_f64(fraction));
                false
            }
            Moment::After(action, nth, delay) => {
                if self.scene.wait_for(action, nth, &mut running) {
                    std::thread::sleep(delay);
                }
                false
            }
            Moment::Written(nth) => {
                self.scene.rig.wait_for_journal(nth, &mut running);
                false
            }
            Moment::Proving(_) => self.scene.wait_until_held(&mut running),
        };
        let mut sent = usize::from(running.signal(round.first));
        if let Some((second, gap)) = round.second {
            std::thread::sleep(gap);
            sent += usize::from(running.signal(second));
            let began = Instant::now();
            while in_hand && !running.is_over() && began.elapsed() < AT_ONCE {
                std::thread::sleep(Duration::from_millis(2));
            }
        } else if let Moment::Proving(delay) = round.moment {
            std::thread::sleep(delay);
        }
        self.let_go();
        let ended = running.within(GRACE).unwrap_or_else(|ended| ended);
        Signalled { ended, sent, in_hand }
    }

    /// Whether it ended as it may, and what was caught.
    fn judge(&mut self, round: &Round, signalled: &Signalled, untouched: bool) -> Result<(), String> {
        let Signalled { ended, sent, in_hand } = signalled;
        let sent_ones: Vec<Signal> =
            [Some(round.first), round.second.map(|(second, _)| second)].into_iter().flatten().take(*sent).collect();
        if let Some(signal) = ended.signal {
            // Before it listens, nothing has begun.
            let expected = sent_ones.iter().any(|sent| sent.as_raw() == signal);
            let early = expected && untouched && !in_hand;
            self.proof.count("ended before it listened", 1);
            return if early { Ok(()) } else { Err(format!("it died of signal {signal}")) };
        }
        let by_signal = sent_ones.iter().any(|sent| ended.code == Some(code_of(*sent)));
        // A signal at the end of the process changes nothing.
        let ordinary = !in_hand && matches!(ended.code, Some(0 | 3));
        if !by_signal && !ordinary {
            return Err(format!("it ended with {:?}: {}", ended.code, ended.stderr));
        }
        if *in_hand && *sent > 0 {
            self.proof.hit(IN_HAND, 1);
        }
        if round.resuming && by_signal {
            self.proof.hit(RESUMING, 1);
        }
        self.proof.count(if by_signal { "interrupted" } else { "over before" }, 1);
        self.proof.count("by SIGHUP", u64::from(ended.code == Some(code_of(Signal::HUP))));
        Ok(())
    }
}

/// The rotations whose step is in doubt or whose secret is lost, and were not so before.
fn lost_since(before: &Value, now: &Value) -> Vec<String> {
    let shown = |status: &Value| status["rotations"].as_array().expect("rotations").clone();
    let stands = |rotation: &Value| {
        ["id", "state", "in_doubt", "new_key_id"].map(|field| rotation[field].as_str().unwrap_or("-").to_owned())
    };
    let known: Vec<_> = shown(before).iter().map(stands).collect();
    let lost = |rotation: &&Value| rotation["state"] == "created-new" || rotation["in_doubt"].is_string();
    shown(now).iter().filter(lost).map(stands).filter(|one| !known.contains(one)).map(|one| one.join(" ")).collect()
}

#[test]
fn signalled_once_it_loses_no_key_and_signalled_twice_it_recovers() {
    let (seed, cases, mut signals) = (proof::seed(), proof::cases(80, 2_000), Signals::begin());
    for number in 1.. {
        if !signals.proof.needs(number, cases) {
            break;
        }
        let round = Round::draw(&mut Draw::new(seed, number));
        if let Err(broken) = signals.round(&round) {
            let status = signals.scene.rig.program.rotator(&["status"]).stdout;
            panic!("round {number} of seed {seed}: {broken}\n{round:#?}\n{:#?}\n{status}", signals.proof);
        }
        signals.proof.case();
    }
    signals.proof.conclude();
}

/// Runs until a key was made, with new keys that never work.
fn with_a_key_that_never_works(scene: &Scene) -> Running {
    scene.behave(Behaviour { new_keys_invalid_for: Duration::from_secs(3600), ..Behaviour::default() });
    let mut running = scene.rig.program.spawn(&AGAIN);
    assert!(scene.wait_for(Action::CreateAccessKey, 1, &mut running), "a key is made");
    running
}

#[test]
fn a_key_that_cannot_be_proved_is_discarded_within_the_time_that_a_signal_leaves() {
    let scene = Scene::with_users(1);
    // The old key is not new to IAM.
    scene.sandbox.advance(Duration::from_secs(7200));
    let mut running = with_a_key_that_never_works(&scene);
    assert!(running.signal(Signal::TERM));
    let ended = running.within(GRACE).expect("within the time that it has");
    assert_eq!(ended.code, Some(143), "{}", ended.stderr);
    scene.rig.all_settled().expect("the new key is gone, the old one stored");
}

#[test]
fn a_hangup_that_is_to_be_ignored_ends_nothing() {
    let scene = Scene::with_users(1);
    let before = scene.rig.stored().expect("stored");
    scene.sandbox.arm(Fault::new(FaultKind::HoldUntilReleased).on(Action::GetCallerIdentity).nth(2));
    let script = "trap '' HUP; exec \"$0\" run -q";
    let mut running = Running::start(scene.rig.program.command("/bin/sh", &["-c", script, ROTATOR]));
    assert!(scene.wait_until_held(&mut running), "a key is in hand");
    for _ in 0..2 {
        assert!(running.signal(Signal::HUP));
        std::thread::sleep(Duration::from_millis(50));
    }
    scene.sandbox.release(None);
    let ended = running.within(GRACE).expect("it ends");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    scene.rig.all_settled().expect("rotated");
    let after = scene.rig.stored().expect("stored");
    assert!(before.iter().all(|(user, pair)| after[user].id != pair.id), "to its end");
}
