//! T15: an operator interferes at every step of a rotation, while a call of rotator is held or between two commands, and
//! then does what rotator's messages ask. Each user of a scene meets another act at the same step.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rotator::sandbox::{Action, Fault, FaultId};
use serde_json::Value;

use super::kills::HeldEnd;
use super::operator::{Act, Held, Operator};
use super::scene::Scene;
use crate::support::http;
use crate::support::program::Ended;
use crate::support::proof::{self, Draw, Proof};

const IN_HAND: &str = "interfered with a key in hand";
const ON_ITS_WAY: &str = "interfered while an effect was on its way";
const UNHEARD: &str = "interfered after an effect, its reply unheard";
const AT_THE_PROOF: &str = "interfered while a pair was proved";
const BETWEEN: &str = "interfered between two commands";
const RESOLVED: &str = "blocked, and resolved as the message says";
const WINDOWS: [&str; 6] = [IN_HAND, ON_ITS_WAY, UNHEARD, AT_THE_PROOF, BETWEEN, RESOLVED];

/// P6: a command ends within this time, whatever operators do.
const PATIENCE: Duration = Duration::from_secs(60);
/// P6: how often a command may be repeated.
const MOST_TRIES: usize = 40;
/// No rotation makes more calls about its user, nor needs more commands.
const MOST_CALLS: u32 = 40;
/// The first call about a user after its new pair is stored, which follows two lists, the create and three proofs.
const CALLS_TO_STORED: u32 = 7;

/// The moment at which an operator acts.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    /// While the n-th call about the user, counted from 1 since the act before, is held.
    During(u32, HeldEnd),
    /// After the n-th command, counted from 0.
    Between(usize),
}

/// The way in which the old key is removed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// Deleted at once.
    AtOnce,
    /// After an overlap and a quarantine.
    Slowly,
}

impl Way {
    fn scene(self, users: usize) -> Scene {
        let mut scene = Scene::with_users(users);
        let (overlap, quarantine, settle) = match self {
            Self::AtOnce => ("0s", "0s", "0s"),
            Self::Slowly => ("1h", "1d", "30s"),
        };
        let program = &mut scene.rig.program;
        program.set("ROTATOR_POLICY_OVERLAP", overlap);
        program.set("ROTATOR_POLICY_QUARANTINE", quarantine);
        program.set("ROTATOR_POLICY_SETTLE", settle);
        // A pair that an operator broke is given up soon; a held call is never given up.
        program.set("ROTATOR_POLICY_PROOF_TIMEOUT", "1s");
        program.set("ROTATOR_AWS_CALL_TIMEOUT", "20s");
        scene
    }

    /// The commands that take an undisturbed rotation to its end.
    fn commands(self) -> &'static [&'static str] {
        match self {
            Self::AtOnce => &["run"],
            Self::Slowly => &["run", "resume", "resume"],
        }
    }
}

/// The operator of a user, and the acts that are still to be done to that user.
struct Player {
    operator: Operator,
    user: String,
    acts: Vec<(Act, Moment)>,
}

/// One scene and its operators.
struct Play {
    scene: Scene,
    players: Vec<Player>,
    /// Whose next act waits for which fault to strike.
    armed: BTreeMap<u64, usize>,
    tally: Tally,
}

/// The counts of the cases.
#[derive(Debug, Default)]
struct Tally {
    acts: u64,
    windows: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn hit(&mut self, window: &'static str) {
        *self.windows.entry(window).or_default() += 1;
    }

    fn add(&mut self, other: &Self) {
        self.acts += other.acts;
        other.windows.iter().for_each(|(window, hits)| *self.windows.entry(window).or_default() += hits);
    }

    fn conclude(&self, mut proof: Proof, windows: &[&'static str]) {
        (0..self.acts).for_each(|_| proof.case());
        for (window, hits) in &self.windows {
            if windows.contains(window) {
                proof.hit(window, *hits);
            } else {
                proof.count(window, *hits);
            }
        }
        proof.conclude();
    }
}

impl Play {
    /// A user for each list of acts.
    fn of(way: Way, acts: Vec<Vec<(Act, Moment)>>) -> Result<Self, String> {
        let scene = way.scene(acts.len());
        let stored = scene.rig.stored()?;
        let players = stored.into_iter().zip(acts).map(|((user, pair), mut acts)| {
            acts.reverse();
            Player { operator: Operator::of(&user, pair), user, acts }
        });
        let players = players.collect();
        let mut play = Self { scene, players, armed: BTreeMap::new(), tally: Tally::default() };
        (0..play.players.len()).for_each(|number| play.arm(number));
        Ok(play)
    }

    /// Holds the call during which this player acts next.
    fn arm(&mut self, number: usize) {
        let player = &self.players[number];
        if let Some((_, Moment::During(nth, end))) = player.acts.last() {
            let fault = Fault::new(end.fault()).for_user(&player.user).nth(*nth);
            self.armed.insert(self.scene.sandbox.arm(fault).0, number);
        }
    }

    /// Runs the commands, with what operators do meanwhile, and then finishes all rotations.
    fn play(mut self, commands: &[&str]) -> Result<Tally, String> {
        for (number, command) in commands.iter().enumerate() {
            let ended = self.command(command)?;
            self.look_around(command)?;
            self.scene.sleep_after(&ended);
            self.between(number)?;
        }
        self.scene.sandbox.disarm_all();
        self.finish("resume")?;
        for player in &mut self.players {
            player.operator.sees_no_orphan(&self.scene)?;
            player.operator.leaves(&self.scene)?;
        }
        self.finish("run")?;
        self.scene.stranger_untouched()?;
        Ok(self.tally)
    }

    /// Runs a command. The operator of each user whose call is held acts, and then the call continues.
    fn command(&mut self, command: &str) -> Result<Ended, String> {
        let mut running = self.scene.rig.program.spawn(&[command, "-q", "--output", "json"]);
        let began = Instant::now();
        while !running.is_over() && began.elapsed() < PATIENCE {
            for (fault, action) in held_calls(&self.scene) {
                if let Some(number) = self.armed.remove(&fault) {
                    self.act_during(number, action)?;
                    self.arm(number);
                    self.scene.sandbox.release(Some(FaultId(fault)));
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let ended = running.within(Duration::ZERO).map_err(|ended| format!("{command} does not end: {ended:?}"))?;
        ends_well(command, ended)
    }

    fn act_during(&mut self, number: usize, action: Action) -> Result<(), String> {
        let Some((act, Moment::During(_, end))) = self.players[number].acts.pop() else {
            return Err(format!("no operator was to act during {action}"));
        };
        let in_hand = self.players[number].operator.sees_a_key_in_hand(&self.scene)?;
        if self.act(number, act, Some((action, end)))? {
            self.tally.hit(window_of(action, end));
            if in_hand {
                self.tally.hit(IN_HAND);
            }
        }
        Ok(())
    }

    fn between(&mut self, command: usize) -> Result<(), String> {
        for number in 0..self.players.len() {
            if self.players[number].acts.last().is_some_and(|(_, moment)| *moment == Moment::Between(command)) {
                let act = self.players[number].acts.pop().map(|(act, _)| act);
                if act.is_some_and(|act| self.act(number, act, None).unwrap_or(false)) {
                    self.tally.hit(BETWEEN);
                }
                self.arm(number);
            }
        }
        Ok(())
    }

    fn act(&mut self, number: usize, act: Act, held: Held) -> Result<bool, String> {
        let done = self.players[number].operator.does(&self.scene, act, held)?;
        self.tally.acts += u64::from(done);
        Ok(done)
    }

    fn look_around(&mut self, after: &str) -> Result<(), String> {
        for player in &mut self.players {
            player.operator.looks(&self.scene, after)?;
        }
        Ok(())
    }

    /// P6: repeats a command, with operators who answer each block, until nothing is in flight.
    fn finish(&mut self, command: &str) -> Result<(), String> {
        for _ in 0..MOST_TRIES {
            let ended = ends_well(command, self.scene.once(command))?;
            self.look_around(command)?;
            let document = ended.json();
            if ended.code == Some(0) || command == "run" && document["counts"]["in_flight"] == 0 {
                return Ok(());
            }
            let blocked = self.tally.windows.get(RESOLVED).copied();
            for rotation in document["rotations"].as_array().into_iter().flatten() {
                self.answer(rotation)?;
            }
            if ended.code == Some(4) && self.tally.windows.get(RESOLVED).copied() == blocked {
                // Only keys whose rotation could not be opened need an operator; the others wait.
                self.scene.sleep(&document);
            }
        }
        let status = self.scene.rig.program.rotator(&["status"]).stdout;
        Err(format!("P6: still in flight after {MOST_TRIES} times: {status}"))
    }

    fn answer(&mut self, rotation: &Value) -> Result<(), String> {
        let Some(player) = self.players.iter_mut().find(|player| rotation["user"] == player.user.as_str()) else {
            return Err(format!("a rotation of a user who is not in the scene: {rotation}"));
        };
        if rotation["blocked"].is_object() {
            player.operator.answers(&self.scene, rotation)?;
            player.operator.looks(&self.scene, "an answer")?;
            self.tally.hit(RESOLVED);
        }
        Ok(())
    }
}

/// Nothing but what the manual says, and no panic.
fn ends_well(command: &str, ended: Ended) -> Result<Ended, String> {
    if matches!(ended.code, Some(0 | 3 | 4)) && !ended.stderr.contains("a defect at") {
        return Ok(ended);
    }
    Err(format!("{command} ends with {:?}: {}{}", ended.code, ended.stdout, ended.stderr))
}

fn window_of(action: Action, end: HeldEnd) -> &'static str {
    let effects = [Action::CreateAccessKey, Action::UpdateAccessKey, Action::DeleteAccessKey];
    match end {
        _ if action == Action::GetCallerIdentity => AT_THE_PROOF,
        HeldEnd::Call if effects.contains(&action) => ON_ITS_WAY,
        HeldEnd::Call | HeldEnd::Reply => UNHEARD,
    }
}

/// The calls that are held, each with the fault that holds it.
fn held_calls(scene: &Scene) -> Vec<(u64, Action)> {
    let answer = http::send(scene.sandbox.addr(), "GET", "/_sandbox/state", &[], &[]).expect("an answer");
    let state: Value = serde_json::from_str(&answer.body).expect("JSON");
    let held = state["held"].as_array().expect("a list");
    let call = |held: &Value| {
        let action = held["action"].as_str().and_then(Action::named).expect("an action");
        (held["fault"].as_u64().expect("a number"), action)
    };
    held.iter().map(call).collect()
}

/// Every act at the same moment, each to another user.
fn everybody(way: Way, moment: Moment) -> Tally {
    let acts = Act::ALL.into_iter().map(|act| vec![(act, moment)]).collect();
    let tally = Play::of(way, acts).and_then(|play| play.play(way.commands()));
    tally.unwrap_or_else(|broken| panic!("{way:?}, {moment:?}: {broken}"))
}

/// Plays every act at every call, as long as an operator could act. CI starts at the first call that differs between ways,
/// and every other reply: the call that follows a reply is held anyway.
fn at_every_call(way: Way, end: HeldEnd) -> Tally {
    let shared = way == Way::Slowly && !proof::is_full();
    let first = if shared { CALLS_TO_STORED } else { 1 };
    let stride = if end == HeldEnd::Reply && !proof::is_full() { 2 } else { 1 };
    let mut all = Tally::default();
    let calls = (first..MOST_CALLS).step_by(stride);
    let steps = calls.map(|nth| everybody(way, Moment::During(nth, end))).take_while(|tally| tally.acts > 0);
    let steps = steps.inspect(|tally| all.add(tally)).count();
    // The rotation lists, creates, proves and removes: each is a call about its user.
    let least = if shared { 4 } else { 9 } / stride;
    assert!(steps >= least, "{way:?}: operators acted at {steps} calls only");
    all
}

#[test]
fn an_operator_interferes_at_every_step() {
    let proof = Proof::of("T15", "an operator interferes at every step, and answers every block", &WINDOWS);
    let mut all = Tally::default();
    for way in [Way::AtOnce, Way::Slowly] {
        // Most of the time is spent in rotator's own waits.
        let tallies = std::thread::scope(|threads| {
            let calls = [HeldEnd::Call, HeldEnd::Reply].map(|end| threads.spawn(move || at_every_call(way, end)));
            let between = threads.spawn(move || {
                let mut all = Tally::default();
                (0..way.commands().len()).for_each(|command| all.add(&everybody(way, Moment::Between(command))));
                all
            });
            calls
                .into_iter()
                .chain([between])
                .map(|thread| thread.join().expect("a promise was broken, see above"))
                .collect::<Vec<_>>()
        });
        tallies.iter().for_each(|tally| all.add(tally));
    }
    all.conclude(proof, &WINDOWS);
}

#[test]
fn operators_interfere_twice() {
    let windows = [IN_HAND, AT_THE_PROOF];
    let proof = Proof::of("T15", "two acts of an operator at any two steps", &windows);
    let plays = proof::cases(10, 60);
    let tallies = std::thread::scope(|threads| {
        let third = |first| move || (first..plays).step_by(3).map(twice).collect::<Vec<_>>();
        let threads = [0, 1, 2].map(|first| threads.spawn(third(first)));
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a promise was broken, see above"))
            .collect::<Vec<_>>()
    });
    let mut all = Tally::default();
    tallies.iter().for_each(|tally| all.add(tally));
    all.conclude(proof, &windows);
}

/// The play of this number: each user meets two acts.
fn twice(number: u64) -> Tally {
    let seed = proof::seed();
    let mut draw = Draw::new(seed, number);
    let way = *draw.one_of(&[Way::AtOnce, Way::Slowly, Way::Slowly]);
    let acts = (0..Act::ALL.len()).map(|_| drawn(&mut draw, way)).collect::<Vec<_>>();
    let reported = format!("play {number} of seed {seed}, {way:?}: {acts:?}");
    let tally = Play::of(way, acts).and_then(|play| play.play(way.commands()));
    tally.unwrap_or_else(|broken| panic!("{broken}\n{reported}"))
}

/// Two acts, one after the other.
fn drawn(draw: &mut Draw, way: Way) -> Vec<(Act, Moment)> {
    let first = 1 + u32::try_from(draw.below(10)).expect("small");
    let end = *draw.one_of(&[HeldEnd::Call, HeldEnd::Reply]);
    let command = usize::try_from(draw.below(way.commands().len() as u64)).expect("small");
    let second = match draw.below(3) {
        0 => Moment::Between(command),
        _ => Moment::During(1 + u32::try_from(draw.below(4)).expect("small"), end),
    };
    let first = Moment::During(first, end);
    vec![(*draw.one_of(&Act::ALL), first), (*draw.one_of(&Act::ALL), second)]
}
