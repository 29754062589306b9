//! `run` killed at random moments, and resumed: the real binary, the real journal and store, fifty users.
//!
//! `ROTATOR_TORTURE_KILLS` says how often, `ROTATOR_TORTURE_SEED` which moments; `scripts/torture` sets both. The seed
//! draws the moments, not what the scheduler does with them: the same seed meets nearly the same states.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rotator::sandbox::{Action, Sandbox};
use serde_json::Value;

use crate::support::aws::Pair;
use crate::support::program::{Program, my_secret, sandbox_with_slashes, user_with_entries};
use crate::support::proof::Draw;

const USERS: usize = 50;
const DEFAULT_KILLS: u64 = 10;

/// What the kills met.
#[derive(Debug, Default)]
struct Met {
    killed: usize,
    ended_before: usize,
    before_any_rotation: usize,
    rotations_open: u64,
    create_in_doubt: usize,
    secret_lost: usize,
    store_in_doubt: usize,
    delete_in_doubt: usize,
    longest_resume: usize,
}

impl Met {
    fn note(&mut self, status: &Value) {
        let rotations = status["rotations"].as_array().expect("rotations");
        self.before_any_rotation += usize::from(rotations.is_empty());
        self.rotations_open += status["counts"]["in_flight"].as_u64().expect("a count");
        for rotation in rotations {
            match (rotation["state"].as_str(), rotation["in_doubt"].as_str()) {
                (_, Some("create-new")) => self.create_in_doubt += 1,
                (_, Some("store-new")) => self.store_in_doubt += 1,
                (_, Some("delete-old")) => self.delete_in_doubt += 1,
                (Some("created-new"), None) => self.secret_lost += 1,
                (_, Some(_) | None) => {}
            }
        }
    }
}

struct Rig {
    sandbox: Sandbox,
    program: Program,
    users: Vec<String>,
    /// The entries that nobody may touch, and how many there are in all.
    entries: usize,
}

impl Rig {
    fn build() -> Self {
        let sandbox = sandbox_with_slashes();
        let program = Program::at(&sandbox);
        let users: Vec<String> = (0..USERS).map(|number| format!("app{number}/production")).collect();
        let mut entries = BTreeMap::new();
        for user in &users {
            user_with_entries(&sandbox, user, &mut entries);
        }
        program.import(&entries);
        Self { sandbox, program, users, entries: entries.len() }
    }

    /// All pairs in the store, and every other entry unchanged. One copy of the store is read through the library,
    /// since a process for each of 150 entries would take longer than the rotations.
    fn stored(&self) -> Result<BTreeMap<String, Pair>, String> {
        let values = self.program.values();
        if values.len() != self.entries {
            return Err(format!("the store has {} entries, not {}", values.len(), self.entries));
        }
        let mut pairs = BTreeMap::new();
        for user in &self.users {
            let value = |name: &str| {
                let entry = format!("{user}/{name}");
                values.get(&entry).cloned().ok_or(format!("{entry} is lost"))
            };
            if value("MY_SECRET")? != my_secret(user) {
                return Err(format!("MY_SECRET of {user} has changed"));
            }
            pairs.insert(user.clone(), Pair::new(value("AWS_ACCESS_KEY_ID")?, value("AWS_SECRET_ACCESS_KEY")?));
        }
        Ok(pairs)
    }

    /// P1: right after the kill each stored pair works. (The embedded store is atomic.)
    fn all_accepted(&self) -> Result<BTreeMap<String, Pair>, String> {
        let pairs = self.stored()?;
        for (user, pair) in &pairs {
            if !self.sandbox.accepts(&pair.id, &pair.secret) {
                return Err(format!("IAM refuses the stored pair {} of {user}", pair.id));
            }
            if self.sandbox.keys_of(user).len() > 2 {
                return Err(format!("{user} has more than two keys"));
            }
        }
        Ok(pairs)
    }

    /// One key for each user, the stored one.
    fn all_settled(&self) -> Result<(), String> {
        for (user, pair) in self.all_accepted()? {
            let keys = self.sandbox.keys_of(&user);
            if keys.len() != 1 || keys[0].id.as_str() != pair.id {
                let keys: Vec<_> = keys.iter().map(|key| format!("{} {}", key.id, key.status)).collect();
                return Err(format!("{user} has the keys {keys:?}, the store {}", pair.id));
            }
        }
        Ok(())
    }

    /// One kill and what follows, or how a promise was broken.
    fn round(&self, moment: Duration, met: &mut Met) -> Result<(), String> {
        let run = self.program.spawn(&["run", "-q"]);
        std::thread::sleep(moment);
        let killed = run.kill();
        match killed.signal {
            Some(_) => met.killed += 1,
            None => met.ended_before += 1,
        }
        // What the kill caught on its way is still carried out.
        self.all_accepted()?;
        let status = self.program.ends_with(0, &["status", "--output", "json"]).json();
        met.note(&status);
        let (ended, times) = self.program.until_settled(&["resume", "-q"], Duration::from_millis(300));
        met.longest_resume = met.longest_resume.max(times);
        if ended.code != Some(0) {
            return Err(format!("resume ends with {:?}: {}{}", ended.code, ended.stdout, ended.stderr));
        }
        self.all_settled()
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
#[expect(clippy::print_stdout, reason = "scripts/torture shows what the kills met")]
fn killed_at_any_moment_it_recovers() {
    let kills = setting("ROTATOR_TORTURE_KILLS").unwrap_or(DEFAULT_KILLS);
    let seed = setting("ROTATOR_TORTURE_SEED").unwrap_or(1);
    let (rig, mut draw, mut met) = (Rig::build(), Draw::new(seed, 0), Met::default());
    let began = Instant::now();
    rig.program.ends_with(0, &["run", "-q"]);
    let typical = began.elapsed();
    println!("{kills} kills of {USERS} rotations at random moments within {typical:?}, seed {seed}");
    for round in 1..=kills {
        let moment = typical.mul_f64(draw.fraction());
        if let Err(broken) = rig.round(moment, &mut met) {
            let status = rig.program.rotator(&["status"]);
            panic!(
                "kill {round} of seed {seed}, after {moment:?}: {broken}\n{met:#?}\n{}\ncreates: {:?}",
                status.stdout,
                rig.sandbox.calls().get(&Action::CreateAccessKey)
            );
        }
    }
    println!("{met:#?}");
    println!("no promise broken in {:?}", began.elapsed());
}
