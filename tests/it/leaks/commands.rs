//! Runs every command at every verbosity, in the order in which an operator would, and searches what it prints and leaves
//! behind.
//!
//! Two outputs are excused: the stdout of `store get`, which is the requested value, and the line in which `sandbox`
//! prints the pair that it has just generated.

use std::collections::BTreeMap;
use std::time::Duration;

use rotator::sandbox::{Action, Fault, FaultKind};

use super::trawl::{Guarded, LOUDNESS, Trawl, talkative};
use crate::support::program::{Ended, Program, sandbox_with_slashes, user_with_entries};
use crate::support::proof::Proof;

const USERS: [&str; 4] = ["app0/production", "app1/production", "app2/production", "app3/production"];

/// A password that looks like a secret access key and belongs to no access key.
const PASSWORD: &str = "q7f9/dN+Zt3XcVb1Lm0PoIu8YtRe5WqAs2DfGh4J";

#[test]
fn no_command_prints_a_secret_at_any_log_level() {
    let mut proof = Proof::of("T17", "every command at every loudness", &["commands run"]);
    for (number, loudness) in LOUDNESS.into_iter().enumerate() {
        tour(&mut proof, loudness, number % 5 == 4);
    }
    proof.conclude();
}

/// All commands once. `slow` ones too.
fn tour(proof: &mut Proof, loudness: &[&str], slow: bool) {
    let sandbox = sandbox_with_slashes();
    let mut guarded = Guarded::with_admin_of(&sandbox);
    let mut entries = BTreeMap::new();
    for user in USERS {
        let pair = user_with_entries(&sandbox, user, &mut entries);
        guarded.guard(format!("the first secret of {user}"), &pair.secret);
    }
    entries.insert("app0/production/PASSWORD".to_owned(), PASSWORD.to_owned());
    guarded.guard("a password", PASSWORD);
    let program = talkative(Program::at(&sandbox));
    let mut trawl = Trawl::default();
    let run = |trawl: &mut Trawl, args: &[&str], code: i32| -> Ended {
        let ended = trawl.run(&program, loudness, args);
        assert_eq!(ended.code, Some(code), "{args:?}: {:?}", ended.stderr);
        ended
    };
    let text = serde_json::to_string(&entries).expect("text");
    let outside = tempfile::tempdir().expect("a folder");
    let file = outside.path().join("import.json");
    std::fs::write(&file, &text).expect("written");

    run(&mut trawl, &["init"], 0);
    run(&mut trawl, &["doctor"], 0);
    run(&mut trawl, &["allow", "--yes"], 0);
    std::fs::remove_file(program.folder().join("rotator.toml")).expect("removed");
    trawl.run_with(&program, loudness, &["store", "import", "-"], text.as_bytes());
    run(&mut trawl, &["store", "import", &file.display().to_string()], 0);
    trawl.run_with(&program, loudness, &["store", "set", "app0/production/PASSWORD"], PASSWORD.as_bytes());
    trawl.run_with(&program, loudness, &["store", "set", "app9/production/GONE"], PASSWORD.as_bytes());
    run(&mut trawl, &["store", "rm", "app9/production/GONE"], 0);
    let got = program.rotator(&[&["store", "get", "app0/production/PASSWORD"], loudness].concat());
    assert_eq!(got.stdout, PASSWORD, "the one command whose stdout is a value");
    trawl.keep("stderr of store get", got.stderr);
    for json in [&[][..], &["--output", "json"]] {
        for args in [&["store", "list"][..], &["plan"], &["run", "--dry-run"], &["policy"], &["doctor"], &["status"]] {
            run(&mut trawl, &[args, json].concat(), 0);
        }
    }
    sandbox.arm(Fault::new(FaultKind::Throttle).on(Action::CreateAccessKey).times(2));
    run(&mut trawl, &["run", "--overlap", "1h", "--output", "json"], 3);
    guarded.guard_store(&program);
    let (id, old) = &rotations(&program)[0];
    run(&mut trawl, &["status", id], 0);
    run(&mut trawl, &["abort", id], 2);
    run(&mut trawl, &["resolve", id, "--delete-key", old], 2);
    run(&mut trawl, &["resolve", id, "--finish"], 0);
    sandbox.advance(Duration::from_secs(2 * 3600));
    run(&mut trawl, &["resume"], 0);
    // Its keys were made a moment ago.
    run(&mut trawl, &["run", "--quarantine", "1h", "--older-than", "0s"], 3);
    guarded.guard_store(&program);
    let waiting = rotations(&program);
    // This rotation is blocked now. The other one waits and continues by itself.
    run(&mut trawl, &["reactivate", &waiting[0].0], 4);
    trawl.run(&program, loudness, &["resume", "--output", "json"]);
    run(&mut trawl, &["status", "--all"], 0);
    run(&mut trawl, &["status", "--all", "--output", "json", "--exit-code"], 3);
    run(&mut trawl, &["completions", "bash"], 0);
    run(&mut trawl, &["man"], 0);
    run(&mut trawl, &["--help"], 0);
    run(&mut trawl, &["--version"], 0);
    sandbox_command(&mut trawl, &program, loudness, &mut guarded);
    if slow {
        let demo = run(&mut trawl, &["demo"], 0);
        assert_eq!(
            secret_like(&demo.stdout).or_else(|| secret_like(&demo.stderr)),
            None,
            "the demo tells one of its own"
        );
    }
    trawl.keep_folder(program.folder());
    assert!(trawl.has("journal.db") && trawl.has("store.db"));
    let found = trawl.search(&guarded.sought());
    assert_eq!(found, Vec::<String>::new(), "{loudness:?}");
    proof.case();
    proof.hit("commands run", trawl.len() / 2);
    proof.count("outputs and files searched", trawl.len());
    proof.count("bytes searched", trawl.bytes());
    proof.count("secrets sought", guarded.len() as u64);
}

/// The rotations in flight and their old keys.
fn rotations(program: &Program) -> Vec<(String, String)> {
    let status = program.ends_with(0, &["status", "--output", "json"]).json();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let rotations = status["rotations"].as_array().into_iter().flatten();
    rotations.map(|rotation| (text(&rotation["id"]), text(&rotation["old_key_id"]))).collect()
}

/// `sandbox --seed` with a store of its own: its pair is printed by design, the seeded secrets never.
fn sandbox_command(trawl: &mut Trawl, program: &Program, loudness: &[&str], guarded: &mut Guarded) {
    let store = program.folder().join("seeded.db");
    let store = format!("sqlite:{}", store.display());
    let args = [&["sandbox", "--seed", "shop/production", "--store", &store], loudness].concat();
    let running = program.spawn(&args);
    let entry = "shop/production/AWS_SECRET_ACCESS_KEY";
    let mut secret = String::new();
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(50));
        secret = program.rotator(&["store", "get", entry, "--store", &store]).stdout;
        if !secret.is_empty() {
            break;
        }
    }
    assert_eq!(secret.len(), 40, "the sandbox seeds its store");
    guarded.guard("a seeded secret", &secret);
    std::thread::sleep(Duration::from_millis(200));
    let ended = running.kill();
    assert!(ended.stdout.contains("AWS_SECRET_ACCESS_KEY="), "{}", ended.stderr);
    trawl.keep_outputs(&args, &ended);
}

/// A word that has the form of a secret, in capitals, small letters and digits.
fn secret_like(text: &str) -> Option<&str> {
    let outside = |letter: char| !letter.is_ascii_alphanumeric() && !"+/".contains(letter);
    text.split(outside).find(|word| {
        let has = |test: fn(&u8) -> bool| word.as_bytes().iter().any(test);
        word.len() == 40 && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit)
    })
}
