//! Values that are large or hold many made-up pairs: a user who may write one of them stops no rotation but those of the keys
//! that it names, and takes neither memory nor time.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use rotator::sandbox::{Action, Sandbox};
use serde_json::Value;

use crate::support::aws::Pair;
use crate::support::measured::{Measured, run};
use crate::support::program::{Program, sandbox_with_slashes};

/// In MiB: what rotator may take at most.
const MOST_MEMORY: u64 = 256;

const MIB: usize = 1024 * 1024;

struct Scene {
    sandbox: Sandbox,
    program: Program,
    folder: PathBuf,
}

impl Scene {
    /// A store of files.
    fn build() -> Self {
        let sandbox = sandbox_with_slashes();
        let mut program = Program::at(&sandbox);
        let folder = program.folder().join("files");
        program.set("ROTATOR_STORE", &format!("file:{}", folder.display()));
        std::fs::create_dir(&folder).expect("made");
        Self { sandbox, program, folder }
    }

    fn put(&self, entry: &str, text: &[u8]) {
        let path = self.folder.join(entry);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    /// A user whose pair is in a file of its own.
    fn user(&self, user: &str) -> Pair {
        self.sandbox.add_user(user).expect("a new user");
        let key = self.sandbox.create_key(user).expect("a first key");
        let pair = Pair::new(key.id.as_str(), key.secret.expose());
        self.put(&format!("{user}/aws.env"), assignments("", &pair).as_bytes());
        pair
    }

    fn keys(&self, user: &str) -> Vec<String> {
        self.sandbox.keys_of(user).into_iter().map(|key| key.id.to_string()).collect()
    }
}

fn assignments(prefix: &str, pair: &Pair) -> String {
    format!("{prefix}AWS_ACCESS_KEY_ID={}\n{prefix}AWS_SECRET_ACCESS_KEY={}\n", pair.id, pair.secret)
}

/// `count` pairs that no account has.
fn made_up(count: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        let letter = |place: usize| char::from(b'A' + u8::try_from(number >> (4 * place) & 0xf).expect("small"));
        let letters: String = (0..16).map(|place| if place < 8 { letter(place) } else { 'Q' }).collect();
        let pair = Pair::new(format!("AKIA{letters}"), format!("made+up/Secret{letters}abcdef{:04}", number % 10_000));
        write!(text, "{}", assignments(&format!("P{number}_"), &pair)).expect("in memory");
    }
    text
}

/// Lines of a log, of this size.
fn log(size: usize) -> Vec<u8> {
    b"2026-11-26T12:00:00Z GET /shop/items?page=2&sort=price%20asc 200 {\"user\": \"a\\\"b\"} 0x1f\n"
        .iter()
        .copied()
        .cycle()
        .take(size)
        .collect()
}

/// Whether the document says so of a key.
fn says(document: &Value, key: &str, reason: &str) -> bool {
    let mut notes = document["skipped"].as_array().expect("a list").iter();
    notes.any(|note| note["key_id"] == key && note["reason"] == reason)
}

/// In MiB: how large the large value is. By default a little more than what is taken into memory; `scripts/bench large` asks for
/// 64, which takes a minute.
fn large_size() -> usize {
    std::env::var("ROTATOR_TEST_LARGE").ok().map_or(17, |size| size.parse().expect("a number"))
}

#[test]
#[expect(clippy::print_stdout, reason = "scripts/bench large shows the figures")]
fn a_large_value_and_one_of_made_up_pairs_hold_back_only_the_keys_that_they_name() {
    let scene = Scene::build();
    let (in_large, in_many, free) = (scene.user("a/live"), scene.user("b/live"), scene.user("c/live"));
    let mut large = log(large_size() * MIB);
    let at = large.len() / 2;
    large[at..at + 20].copy_from_slice(in_large.id.as_bytes());
    scene.put("dump/live/access.log", &large);
    drop(large);
    scene.put("dump/live/many.env", (made_up(100_000) + &assignments("", &in_many)).as_bytes());

    let Measured { ended, peak, took } = run(&scene.program, &["run", "--output", "json"]);
    println!("{} MiB and 100,000 pairs: run {took:?}, {peak} MiB of memory", large_size());
    assert_eq!(ended.code, Some(4), "what they hold back needs an operator: {ended:#?}");
    assert!(peak < MOST_MEMORY, "{peak} MiB");
    let report = ended.json();
    assert!(says(&report, &in_large.id, "referenced-elsewhere"), "{report:#}");
    assert!(says(&report, &in_many.id, "referenced-elsewhere"), "{report:#}");
    let notes = report["skipped"].as_array().expect("a list");
    let many: Vec<_> = notes.iter().filter(|note| note["reason"] == "too-many-pairs").collect();
    assert_eq!(many.len(), 1, "{report:#}");
    assert!(many[0]["places"][0]["entry"].as_str().is_some_and(|entry| entry.ends_with("many.env")), "{report:#}");
    assert!(!report.to_string().contains("unreadable"), "{report:#}");
    assert_eq!((scene.keys("a/live"), scene.keys("b/live")), (vec![in_large.id], vec![in_many.id]));
    let rotated = scene.keys("c/live");
    assert!(rotated.len() == 1 && rotated[0] != free.id, "{rotated:?}");
}

#[test]
fn each_user_is_asked_for_once_however_many_pairs_lead_to_it() {
    let scene = Scene::build();
    scene.user("shop/live");
    scene.put("shop/live/many.env", made_up(40).as_bytes());
    scene.program.ends_with(0, &["plan"]);
    assert_eq!(scene.sandbox.calls()[&Action::ListAccessKeys], 1);
}

/// The size is the point: some seconds.
#[test]
#[expect(clippy::print_stdout, reason = "scripts/bench large shows the figures")]
fn a_value_of_64_mib_takes_less_than_100_times_as_long_as_one_of_1_mib() {
    let mut took = Vec::new();
    for size in [1, 64] {
        let scene = Scene::build();
        let named = scene.user("a/live");
        let mut large = log(size * MIB);
        let at = large.len() - 20;
        large[at..].copy_from_slice(named.id.as_bytes());
        scene.put("dump/live/access.log", &large);
        drop(large);
        let idle = run(&scene.program, &["store", "--help"]).took;
        let Measured { ended, peak, took: whole } = run(&scene.program, &["plan", "--output", "json"]);
        println!("{size} MiB: plan {whole:?}, {peak} MiB of memory");
        assert!(says(&ended.json(), &named.id, "referenced-elsewhere"), "{ended:#?}");
        assert!(peak < MOST_MEMORY, "{peak} MiB");
        took.push(whole.saturating_sub(idle).max(Duration::from_millis(1)));
    }
    assert!(took[1] < took[0] * 100, "{took:?}");
}
