//! A large run does not scan the stores for each few removals, but for many of them together.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rotator::sandbox::{Action, Sandbox};

use crate::support::program::{Ended, Program, sandbox_with_slashes, user_with_entries};

/// With one call in flight, 6 rotations are under way at once, and the removals of all later ones are gathered.
const KEYS: usize = 200;

/// The most scans that are allowed for these keys. Without gathering there are twice as many, and more.
const SCANS: usize = 12;

struct Scene {
    sandbox: Sandbox,
    program: Program,
    before: BTreeMap<String, String>,
}

fn scene() -> Scene {
    let sandbox = sandbox_with_slashes();
    let mut before = BTreeMap::new();
    for number in 0..KEYS {
        user_with_entries(&sandbox, &user(number), &mut before);
    }
    let program = Program::at(&sandbox).with("ROTATOR_POLICY_CONFIRMATIONS", "1");
    let program = program.with("ROTATOR_POLICY_CONCURRENCY", "1").with("ROTATOR_LOG", "rotator::engine::observe=debug");
    program.import(&before);
    Scene { sandbox, program, before }
}

fn user(number: usize) -> String {
    format!("app{number}/live")
}

impl Scene {
    /// Each user has one key, another one than before, and the store holds it.
    fn assert_rotated(&self) {
        let now = self.program.values();
        for user in (0..KEYS).map(user) {
            let entry = format!("{user}/AWS_ACCESS_KEY_ID");
            let keys: Vec<String> = self.sandbox.keys_of(&user).iter().map(|key| key.id.to_string()).collect();
            assert_eq!(keys, [now[&entry].clone()], "{user}");
            assert_ne!(now[&entry], self.before[&entry], "{user}");
        }
    }

    fn calls(&self, action: Action) -> usize {
        self.sandbox.calls().get(&action).copied().unwrap_or_default() as usize
    }
}

fn scans(ended: &Ended) -> usize {
    ended.stderr.matches("read every entry of every store").count()
}

#[test]
fn the_number_of_scans_grows_far_slower_than_that_of_the_keys() {
    let scene = scene();
    let ended = scene.program.ends_with(0, &["run", "--yes"]);
    scene.assert_rotated();
    assert!((1..=SCANS).contains(&scans(&ended)), "{} scans", scans(&ended));
    assert_eq!(scene.calls(Action::CreateAccessKey), KEYS);
    assert_eq!(scene.calls(Action::DeleteAccessKey), KEYS);
}

#[test]
fn one_scan_serves_all_rotations_that_resume_finds_stored() {
    let mut scene = scene();
    scene.program.set("ROTATOR_POLICY_OVERLAP", "1s");
    scene.program.ends_with(3, &["run"]);
    std::thread::sleep(Duration::from_secs(1));
    scene.sandbox.advance(Duration::from_secs(2));
    let ended = scene.program.ends_with(0, &["resume"]);
    scene.assert_rotated();
    assert_eq!(scans(&ended), 1);
}

#[test]
fn a_run_that_dies_while_removals_are_gathered_is_finished_by_resume() {
    let scene = scene();
    let running = scene.program.spawn(&["run", "--yes"]);
    let began = Instant::now();
    // The first 20 end at once, and the removals of the next 80 are gathered.
    while scene.calls(Action::CreateAccessKey) < 80 {
        assert!(began.elapsed() < Duration::from_secs(120), "no progress");
        std::thread::sleep(Duration::from_millis(1));
    }
    running.kill();
    let deleted = scene.calls(Action::DeleteAccessKey);
    assert!(deleted < 60, "{deleted} are removed already, so nothing was gathered");
    let (ended, _) = scene.program.until_settled(&["run", "--yes"], Duration::from_millis(300));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    scene.assert_rotated();
}
