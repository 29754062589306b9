//! T16: a machine whose clock is a year off, or jumps in the middle of a run (libfaketime). Waits and windows are
//! measured by AWS's clock, which is the sandbox's here: nothing is deleted early, and nothing hangs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use rotator::sandbox::{Action, Fault, FaultKind, KeyStatus};
use serde_json::Value;

use super::scene::Scene;
use crate::support::aws::Pair;
use crate::support::faketime;
use crate::support::program::AGAIN;
use crate::support::program::again;
use crate::support::program::{Ended, Running};
use crate::support::proof::{self, Draw, Proof};

const WAITS: &str = "waits under a wrong clock";
const JUMP: &str = "a jump while a call was under way";
const RESUMED: &str = "resumed under a wrong clock";
const RECLAIMED: &str = "a lost key reclaimed under a wrong clock";
const HOUR: Duration = Duration::from_secs(3600);
const SETTLE: Duration = Duration::from_secs(60);
/// The longest duration of a case, on the host and in AWS's time.
const SLACK: Duration = Duration::from_secs(50);
const PATIENCE: Duration = Duration::from_secs(60);
/// The number of rounds that are played at once.
const AT_A_TIME: usize = 4;
/// The machine's clock before and after the middle of the run; the last is one that is set right.
const CLOCKS: [(&str, &str); 5] = [("+1y", "+1y"), ("-1y", "-1y"), ("+0", "+1y"), ("+0", "-1y"), ("+1y", "+0")];

/// The reason for which the rotation waits.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wait {
    Nothing,
    Overlap,
    Quarantine,
    /// The reply to the first create is lost: its key is reclaimed.
    LostReply,
}

#[derive(Debug)]
struct Round {
    clock: (&'static str, &'static str),
    wait: Wait,
    resuming: bool,
    /// The call during which the clock jumps, and whether its effect precedes the jump.
    during: (Action, FaultKind),
}

/// All combinations, with the call of the jump drawn.
fn rounds(seed: u64, turn: u64) -> Vec<Round> {
    let mut rounds = Vec::new();
    for clock in CLOCKS {
        for wait in [Wait::Nothing, Wait::Overlap, Wait::Quarantine, Wait::LostReply] {
            for resuming in [false, true] {
                let mut draw = Draw::new(seed, turn * 1_000 + rounds.len() as u64);
                let calls = [Action::ListAccessKeys, Action::CreateAccessKey, Action::GetCallerIdentity];
                // A lost create precedes every proof, and meets no second fault.
                let calls = if wait == Wait::LostReply { &calls[..1] } else { &calls[..] };
                let ends = [FaultKind::HoldUntilReleased, FaultKind::HoldReply];
                let during = (*draw.one_of(calls), draw.one_of(&ends).clone());
                rounds.push(Round { clock, wait, resuming, during });
            }
        }
    }
    rounds
}

/// A scene whose program believes what a file says the time is.
struct Clocks {
    scene: Scene,
    file: PathBuf,
}

impl Clocks {
    fn begin(users: usize) -> Self {
        let mut scene = Scene::with_users(users);
        let file = scene.rig.program.folder().join("clock");
        let program = &mut scene.rig.program;
        for (name, value) in faketime::environment(&file) {
            program.set(name, &value);
        }
        program.set("ROTATOR_POLICY_SETTLE", "60s");
        let clocks = Self { scene, file };
        clocks.set("+0");
        clocks
    }

    /// Sets the machine's clock, relative to the right time.
    fn set(&self, offset: &str) {
        let draft = self.file.with_extension("new");
        std::fs::write(&draft, format!("{offset}\n")).expect("written");
        std::fs::rename(&draft, &self.file).expect("replaced at once");
    }

    fn user(&self) -> &str {
        &self.scene.rig.users[0]
    }

    /// Kills a run while it proves the first user's key, so that there is something to resume.
    fn leave_a_key_lost(&self) -> Result<(), String> {
        self.scene
            .sandbox
            .arm(Fault::new(FaultKind::HoldUntilReleased).on(Action::GetCallerIdentity).for_user(self.user()).nth(2));
        let mut running = self.scene.rig.program.spawn(&AGAIN);
        let held = self.scene.wait_until_held(&mut running);
        running.kill();
        self.scene.sandbox.disarm_all();
        self.scene.sandbox.release(None);
        if held { Ok(()) } else { Err("no key was in hand of the run that was to be killed".to_owned()) }
    }

    /// One `run` or `resume`; whether the clock jumped while a call was under way.
    fn drive(&self, round: &Round) -> Result<(Ended, bool), String> {
        let jumps = round.clock.0 != round.clock.1;
        if round.wait == Wait::LostReply {
            let lost = Fault::new(FaultKind::LostReplyAfter).on(Action::CreateAccessKey).for_user(self.user());
            self.scene.sandbox.arm(lost);
        }
        let (action, kind) = round.during.clone();
        if jumps {
            // The first call that a pair of the user signs in a `run` is the proof of the old one.
            let nth = if action == Action::GetCallerIdentity && !round.resuming { 2 } else { 1 };
            self.scene.sandbox.arm(Fault::new(kind).on(action).for_user(self.user()).nth(nth));
        }
        let command = if round.resuming { "resume" } else { "run" };
        let mut running: Running =
            self.scene.rig.program.spawn(&[&again(command)[..], &["-q", "--output", "json"]].concat());
        let jumped = jumps && self.scene.wait_until_held(&mut running);
        self.set(round.clock.1);
        self.scene.sandbox.release(None);
        let ended = running.within(PATIENCE).map_err(|ended| format!("it hangs: {}", ended.stderr))?;
        self.scene.sandbox.disarm_all();
        if matches!(ended.code, Some(0 | 3)) {
            return Ok((ended, jumped));
        }
        Err(format!("{command} ends with {:?}: {}{}", ended.code, ended.stdout, ended.stderr))
    }

    /// The first user's keys with when AWS made them, and whether they are active.
    fn keys(&self) -> BTreeMap<String, (jiff::Timestamp, bool)> {
        let keys = self.scene.sandbox.keys_of(self.user()).into_iter();
        keys.map(|key| (key.id.to_string(), (key.created, key.status == KeyStatus::Active))).collect()
    }

    /// Goes on until a moment before the time that has to be waited for, and asks whether the key is still there.
    fn waits(&self, wait: Wait, old: &Pair, lost: Option<&String>) -> Result<(), String> {
        let reported = self.scene.status();
        let rotation = rotation_of(&reported, self.user())?;
        let until = rotation["waiting_until"].as_str().ok_or(format!("it does not wait: {rotation}"))?;
        let until = until.parse::<jiff::Timestamp>().expect("a time");
        let length = match wait {
            Wait::Nothing => return Ok(()),
            Wait::Overlap | Wait::Quarantine => HOUR,
            Wait::LostReply => SETTLE,
        };
        // By AWS's clock, whatever the machine's says.
        let left = Duration::try_from(until.duration_since(self.scene.sandbox.now())).unwrap_or_default();
        if left > length + Duration::from_secs(5) || left + SLACK < length {
            return Err(format!("it waits {left:?}, not {length:?}: {rotation}"));
        }
        self.scene.sandbox.advance(left.saturating_sub(Duration::from_secs(10)));
        let ended = self.scene.rig.program.rotator(&["resume", "-q"]);
        let on_time = self.scene.sandbox.now() < until;
        let (key, may_be_inactive) = match wait {
            Wait::Nothing | Wait::Overlap => (&old.id, false),
            Wait::Quarantine => (&old.id, true),
            Wait::LostReply => (lost.ok_or("no key was made whose reply could be lost")?, false),
        };
        let stands = self.keys().get(key).is_some_and(|(_, active)| *active || may_be_inactive);
        if on_time && (!stands || ended.code != Some(3)) {
            return Err(format!("{key} was touched before its time; it ended with {:?}: {}", ended.code, ended.stderr));
        }
        Ok(())
    }
}

fn rotation_of<'a>(document: &'a Value, user: &str) -> Result<&'a Value, String> {
    let mut rotations = document["rotations"].as_array().expect("rotations").iter();
    rotations.find(|rotation| rotation["user"] == user).ok_or(format!("nothing of {user} is in flight: {document}"))
}

fn play(round: &Round, counted: &Mutex<Proof>) -> Result<(), String> {
    let proof = || counted.lock().expect("no other round failed");
    let mut clocks = Clocks::begin(1);
    match round.wait {
        Wait::Nothing | Wait::LostReply => {}
        Wait::Overlap => clocks.scene.rig.program.set("ROTATOR_POLICY_OVERLAP", "1h"),
        Wait::Quarantine => clocks.scene.rig.program.set("ROTATOR_POLICY_QUARANTINE", "1h"),
    }
    clocks.set(round.clock.0);
    let user = clocks.user().to_owned();
    let old = clocks.scene.rig.stored()?.remove(&user).expect("stored");
    if round.resuming {
        clocks.leave_a_key_lost()?;
        proof().hit(RESUMED, 1);
    }
    let before = clocks.keys();
    let (mut ended, jumped) = clocks.drive(round)?;
    proof().hit(JUMP, u64::from(jumped));
    clocks.scene.rig.all_accepted()?;
    if jumped && ended.code == Some(3) && rotation_of(&ended.json(), &user)?["waiting_until"].is_null() {
        // A jump may cost the call that it met, and no more.
        proof().count("a jump cost a call", 1);
        ended = clocks.scene.rig.program.rotator(&["resume", "-q", "--output", "json"]);
    }
    let lost = clocks.keys().into_keys().find(|key| !before.contains_key(key));
    if jumped && round.wait == Wait::LostReply && lost.is_none() {
        // The create may be the first call to IAM after the jump. Its reply is lost, and it was refused because of its time.
        proof().count("a jump cost the create", 1);
    } else if round.wait != Wait::Nothing && ended.code == Some(3) {
        clocks.waits(round.wait, &old, lost.as_ref())?;
        proof().hit(WAITS, 1);
        proof().count(RECLAIMED, u64::from(round.wait == Wait::LostReply));
    } else if round.wait != Wait::Nothing {
        return Err(format!("it did not wait: {}{}", ended.stdout, ended.stderr));
    }
    clocks.scene.rig.all_accepted()?;
    let finished = clocks.scene.finish("resume")?;
    if !finished.resolved.is_empty() {
        return Err(format!("an operator was needed: {:?}", finished.resolved));
    }
    clocks.scene.rig.all_settled()?;
    if clocks.scene.rig.stored()?[&user].id == old.id {
        clocks.scene.finish("run")?;
        proof().count("aborted, and rotated by the next run", 1);
    }
    clocks.scene.rig.all_settled()?;
    let rotated = clocks.scene.rig.stored()?[&user].id != old.id;
    if rotated { clocks.scene.stranger_untouched() } else { Err("the old key is still stored".to_owned()) }
}

#[test]
fn a_clock_that_is_wrong_or_jumps_neither_deletes_early_nor_hangs() {
    let what = "run and resume with the clock a year off, jumping, and set right, in every wait";
    let (seed, proof) = (proof::seed(), Mutex::new(Proof::of("T16", what, &[WAITS, JUMP, RESUMED])));
    let rounds: Vec<_> = (0..proof::cases(2, 8)).flat_map(|turn| rounds(seed, turn)).collect();
    // A refused signature is tried again after a pause, so most of the time nothing is done.
    std::thread::scope(|scope| {
        for first in 0..AT_A_TIME {
            let (rounds, proof) = (&rounds, &proof);
            scope.spawn(move || {
                for (number, round) in rounds.iter().enumerate().skip(first).step_by(AT_A_TIME) {
                    if let Err(broken) = play(round, proof) {
                        panic!("round {number} of seed {seed}: {broken}\n{round:#?}");
                    }
                    proof.lock().expect("no other round failed").case();
                }
            });
        }
    });
    proof.into_inner().expect("no round failed").conclude();
}

#[test]
fn the_age_of_a_key_follows_awss_clock() {
    let clocks = Clocks::begin(1);
    let stored = || clocks.scene.rig.stored().expect("stored")[clocks.user()].id.clone();
    let first = stored();
    let run = ["run", "-q", "--older-than", "1d"];
    clocks.set("+1y");
    clocks.scene.rig.program.ends_with(0, &run);
    assert_eq!(stored(), first, "it is new, whatever this machine says");
    clocks.set("-1y");
    clocks.scene.rig.program.ends_with(0, &run);
    assert_eq!(stored(), first, "it is new, whatever this machine says");
    clocks.scene.sandbox.advance(48 * HOUR);
    clocks.scene.rig.program.ends_with(0, &run);
    assert_ne!(stored(), first, "it is two days old, whatever this machine says");
}

/// Ids of rotations and campaigns hold the machine's time, and lines of the journal do.
#[test]
fn rotations_keep_their_order_when_the_clock_is_set_back() {
    let mut clocks = Clocks::begin(2);
    clocks.set("+1y");
    clocks.scene.rig.program.ends_with(0, &AGAIN);
    clocks.set("-1y");
    clocks.scene.rig.program.set("ROTATOR_POLICY_OVERLAP", "1h");
    let ran = clocks.scene.rig.program.ends_with(3, &["run", "--older-than", "0s", "-q", "--output", "json"]).json();
    let reported = clocks.scene.status();
    assert!(ran["campaign"].is_string(), "{ran}");
    assert_eq!(reported["campaign"], ran["campaign"], "the campaign of the day is the one that was opened last");
    let waiting: Vec<_> =
        reported["rotations"].as_array().expect("rotations").iter().map(|one| one["id"].clone()).collect();
    assert_eq!(waiting.len(), 2, "{reported}");
    clocks.set("+0");
    clocks.scene.sandbox.advance(2 * HOUR);
    for id in waiting.iter().filter_map(Value::as_str) {
        clocks.scene.rig.program.ends_with(0, &["status", id]);
        assert_eq!(clocks.scene.rig.program.rotator(&["resume", "-q", id]).signal, None);
    }
    clocks.scene.finish("resume").expect("it ends");
    clocks.scene.rig.all_settled().expect("settled");
    let all = clocks.scene.rig.program.ends_with(0, &["status", "--all", "--output", "json"]).json();
    assert_eq!(all["counts"]["done"], 4, "{all}");
}

#[test]
fn doctor_says_that_the_clock_is_wrong() {
    let clocks = Clocks::begin(1);
    clocks.set("+1y");
    let ended = clocks.scene.rig.program.rotator(&["doctor"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    let line = ended.stdout.lines().find(|line| line.contains("clock")).expect("a line about the clock");
    assert!(line.starts_with("FAIL") && line.contains("s apart"), "{line}");
}
