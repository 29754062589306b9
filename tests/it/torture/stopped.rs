//! T14, SIGSTOP: a `run` that is stopped between create and store, and a second rotator meanwhile: with the same
//! journal, which the first still holds, and with a copy of it, as after a restore on another machine.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rotator::sandbox::{Action, Fault, FaultKind};
use rusqlite::{Connection, OpenFlags};
use rustix::process::Signal;

use super::reader::Reader;
use super::scene::Scene;
use crate::support::program::Running;
use crate::support::proof::{self, Draw, Proof};

const STOPPED: &str = "stopped with a key in hand";
const TAKEN: &str = "a copied journal took the key of a stopped run";
const READER_PAUSE: Duration = Duration::from_millis(20);
/// Longer than the program waits for one call.
const PAST_THE_TIME_OUT: Duration = Duration::from_millis(2_200);
/// The number of resumes of a journal until nothing of it is in flight.
const MOST_TRIES: usize = 40;
const PATIENCE: Duration = Duration::from_secs(60);
/// A request that was sent is executed within this time.
const UNDER_WAY: Duration = Duration::from_millis(200);

/// The step at which the run is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The create is sent, and carried out while it is stopped.
    Create,
    /// The key is made, and its secret is on the way.
    Reply,
    /// The secret is in hand, and is being proved.
    Proof,
}

/// The command of the second rotator on the copy.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// `resume`, run again after the time that it reports.
    Resume,
    /// Advances AWS's clock by this time.
    Later(Duration),
}

#[derive(Debug)]
struct Round {
    at: At,
    /// Whether the process is stopped for longer than the time-out of a call.
    long: bool,
    steps: Vec<Step>,
}

impl Round {
    fn draw(draw: &mut Draw) -> Self {
        let times = [Duration::from_secs(61), Duration::from_secs(16 * 60 + 1)];
        let mut steps = Vec::new();
        for _ in 0..1 + draw.below(4) {
            if draw.below(3) == 0 {
                steps.push(Step::Later(*draw.one_of(&times)));
            }
            steps.push(Step::Resume);
        }
        Self { at: *draw.one_of(&[At::Create, At::Reply, At::Proof, At::Proof]), long: draw.below(8) == 0, steps }
    }
}

/// A world of its own for each round: what a copied journal leaves behind must not trouble the next.
struct Stopped {
    scene: Scene,
    journal: PathBuf,
    copy: PathBuf,
}

impl Stopped {
    fn begin() -> Self {
        let mut scene = Scene::with_users(2);
        scene.rig.program.set("ROTATOR_POLICY_SETTLE", "60s");
        // A run whose key was taken from it finds that out by proving it.
        scene.rig.program.set("ROTATOR_POLICY_PROOF_TIMEOUT", "1s");
        let journal = scene.rig.program.folder().join("journal.db");
        let copy = scene.rig.program.folder().join("elsewhere/journal.db");
        Self { scene, journal, copy }
    }

    fn with_journal(&mut self, journal: &Path) {
        self.scene.rig.program.set("ROTATOR_JOURNAL", &journal.display().to_string());
    }

    /// A run that is stopped with a key of the first user made; the id of that key.
    fn stop(&self, at: At) -> Result<(Running, String), String> {
        let user = &self.scene.rig.users[0];
        let (action, kind) = match at {
            At::Create => (Action::CreateAccessKey, FaultKind::HoldUntilReleased),
            At::Reply => (Action::CreateAccessKey, FaultKind::HoldReply),
            At::Proof => (Action::GetCallerIdentity, FaultKind::HoldUntilReleased),
        };
        // The first call that a pair of the user signs is the proof of the old one.
        let nth = if at == At::Proof { 2 } else { 1 };
        self.scene.sandbox.arm(Fault::new(kind).on(action).for_user(user).nth(nth));
        let mut running = self.scene.rig.program.spawn(&["run", "--older-than", "0s", "-q", "--output", "json"]);
        if !self.scene.wait_until_held(&mut running) || !running.signal(Signal::STOP) {
            return Err("it ended before it could be stopped".to_owned());
        }
        eventually("it stops", || is_stopped(running.id()))?;
        // Another user's pair may be half-way through SQLite, whose lock would be held for as long as it is stopped.
        while !is_free(&self.scene.rig.program.folder().join("store.db")) {
            running.signal(Signal::CONT);
            std::thread::sleep(Duration::from_millis(10));
            running.signal(Signal::STOP);
            eventually("it stops", || is_stopped(running.id()))?;
        }
        self.scene.sandbox.disarm_all();
        self.scene.sandbox.release(None);
        let stored = self.scene.rig.stored()?[user].id.clone();
        let made = || self.scene.rig.iam.keys_of(user).into_iter().find(|key| *key != stored);
        eventually("its key is made", || made().is_some())?;
        Ok((running, made().expect("made just now")))
    }

    /// Checks that the journal is locked: another rotator reports the holder and changes nothing.
    fn kept_out(&self, pid: u32) -> Result<(), String> {
        let keys = || self.scene.sandbox.all_keys().into_iter().map(|key| (key.id.to_string(), key.status));
        let now = || (keys().collect::<Vec<_>>(), self.scene.rig.program.values());
        // Requests that the run sent before it was stopped may still be executed.
        let mut seen = now();
        loop {
            std::thread::sleep(UNDER_WAY);
            let later = now();
            let is_quiet = seen == later;
            seen = later;
            if is_quiet {
                break;
            }
        }
        let (before, values) = seen;
        for command in ["run", "resume"] {
            let ended = self.scene.rig.program.rotator(&[command]);
            if ended.code != Some(5) || !ended.stderr.contains(&format!("pid {pid}")) {
                return Err(format!("{command} beside a stopped run ends with {:?}: {}", ended.code, ended.stderr));
            }
        }
        let same = keys().eq(before) && self.scene.rig.program.values() == values;
        if same { Ok(()) } else { Err("what was kept out changed something".to_owned()) }
    }

    /// Copies the journal as a backup would, write-ahead log included.
    fn copy_journal(&self) {
        let folder = self.copy.parent().expect("it has one");
        std::fs::DirBuilder::new().mode(0o700).create(folder).expect("made");
        for suffix in ["", "-wal"] {
            let name = format!("journal.db{suffix}");
            let from = self.journal.with_file_name(&name);
            std::fs::copy(from, self.copy.with_file_name(&name)).expect("copied");
        }
    }

    /// Runs the second rotator while the first is stopped.
    fn second(&mut self, steps: &[Step]) -> Result<(), String> {
        self.with_journal(&self.copy.clone());
        for step in steps {
            match step {
                Step::Later(by) => self.scene.sandbox.advance(*by),
                Step::Resume => {
                    let ended = self.scene.once("resume");
                    if !matches!(ended.code, Some(0 | 3 | 4)) {
                        return Err(format!("the copy's resume ends with {:?}: {}", ended.code, ended.stderr));
                    }
                }
            }
            self.scene.rig.all_accepted()?;
        }
        self.with_journal(&self.journal.clone());
        Ok(())
    }

    /// Repeats `resume` with this journal until it ends with 0, and answers each block as its message says. The message
    /// about an unused key gives the command that deletes the key, but the key in the store must be kept.
    fn rest(&mut self, journal: &Path) -> Result<(), String> {
        self.with_journal(journal);
        for _ in 0..MOST_TRIES {
            let ended = self.scene.once("resume");
            self.scene.rig.all_accepted()?;
            match ended.code {
                Some(0) => return Ok(()),
                Some(3) => {}
                Some(4) => {
                    let mut reported = ended.json().to_string();
                    for pair in self.scene.rig.stored()?.values() {
                        reported =
                            reported.replace(&format!("--delete-key {}", pair.id), &format!("--keep-key {}", pair.id));
                    }
                    self.scene.rig.answer_blocks(&serde_json::from_str(&reported).expect("as it was"))?;
                }
                _ => return Err(format!("resume ends with {:?}: {}{}", ended.code, ended.stdout, ended.stderr)),
            }
        }
        Err(format!("still in flight after {MOST_TRIES} times: {}", self.scene.rig.program.rotator(&["status"]).stdout))
    }

    /// Advances both to rest, each with its own journal, twice in turn; then a whole run.
    fn finish(&mut self) -> Result<(), String> {
        for journal in [self.journal.clone(), self.copy.clone(), self.journal.clone(), self.copy.clone()] {
            self.rest(&journal)?;
        }
        self.with_journal(&self.journal.clone());
        self.scene.finish("run")?;
        self.scene.rig.all_settled()?;
        self.scene.stranger_untouched()
    }
}

/// Whether the store can be read and written at once.
fn is_free(store: &Path) -> bool {
    let locked = || {
        let connection = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(Duration::from_millis(50))?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")
    };
    locked().is_ok()
}

/// Whether the process is stopped.
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("Linux");
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
}

fn eventually(what: &str, is_so: impl Fn() -> bool) -> Result<(), String> {
    let began = Instant::now();
    while !is_so() {
        if began.elapsed() > Duration::from_secs(10) {
            return Err(format!("in ten seconds it did not come about that {what}"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn play(round: &Round, proof: &mut Proof) -> Result<(), String> {
    let mut stopped = Stopped::begin();
    let reader = Reader::of(&stopped.scene.rig, READER_PAUSE);
    let (mut running, key) = stopped.stop(round.at)?;
    proof.hit(STOPPED, 1);
    stopped.kept_out(running.id())?;
    stopped.copy_journal();
    stopped.second(&round.steps)?;
    let user = stopped.scene.rig.users[0].clone();
    let works = |key: &str| {
        let keys = stopped.scene.sandbox.keys_of(&user);
        keys.iter().any(|has| has.id.as_str() == key && has.status == rotator::sandbox::KeyStatus::Active)
    };
    if !works(&key) {
        proof.hit(TAKEN, 1);
    }
    if round.long {
        std::thread::sleep(PAST_THE_TIME_OUT);
    }
    running.signal(Signal::CONT);
    let ended = running.within(PATIENCE).map_err(|ended| format!("it went on for ever: {}", ended.stderr))?;
    if !matches!(ended.code, Some(0 | 3 | 4)) {
        return Err(format!("the stopped run ends with {:?}: {}", ended.code, ended.stderr));
    }
    stopped.scene.rig.all_accepted()?;
    proof.count(if ended.code == Some(0) { "it was over at once" } else { "it was resumed" }, 1);
    stopped.finish()?;
    proof.count("pairs that the reader tried", reader.end()?);
    Ok(())
}

#[test]
fn a_run_that_is_stopped_with_a_key_in_hand_and_a_second_rotator_break_nothing() {
    let what = "SIGSTOP between create and store, a second rotator with the same journal and with a copy of it";
    let (seed, cases, mut proof) = (proof::seed(), proof::cases(48, 400), Proof::of("T14", what, &[STOPPED, TAKEN]));
    for number in 1.. {
        if !proof.needs(number, cases) {
            break;
        }
        let round = Round::draw(&mut Draw::new(seed, number));
        if let Err(broken) = play(&round, &mut proof) {
            panic!("stop {number} of seed {seed}: {broken}\n{round:#?}\n{proof:#?}");
        }
        proof.case();
    }
    proof.conclude();
}
