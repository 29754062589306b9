//! The loop of the README converges and rotates no healthy key twice, and `resume` with another account or store
//! changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use rotator::sandbox::{Action, Behaviour, Fault, FaultKind, Sandbox, SandboxOptions};
use rotator::types::name::AccountId;

use crate::support::program::{Program, sandbox_with_slashes, user_with_entries};

const USERS: usize = 6;

fn filled() -> (Sandbox, Program, BTreeMap<String, String>) {
    let sandbox = sandbox_with_slashes();
    let mut entries = BTreeMap::new();
    for number in 0..USERS {
        user_with_entries(&sandbox, &format!("app{number}/production"), &mut entries);
    }
    let program = Program::at(&sandbox);
    program.import(&entries);
    (sandbox, program, entries)
}

fn creates(sandbox: &Sandbox) -> u64 {
    sandbox.calls().get(&Action::CreateAccessKey).copied().unwrap_or_default()
}

#[test]
fn the_loop_ends_and_rotates_each_key_once() {
    for (overlap, quarantine) in [("0s", "0s"), ("2s", "0s"), ("1s", "1s")] {
        let (sandbox, program, _entries) = filled();
        let program = program.with("ROTATOR_POLICY_OVERLAP", overlap).with("ROTATOR_POLICY_QUARANTINE", quarantine);
        let (ended, _) = program.until_settled(&["run"], Duration::from_millis(300));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert_eq!(creates(&sandbox), USERS as u64, "overlap {overlap}, quarantine {quarantine}");
    }
}

#[test]
fn two_keys_or_a_blocked_rotation_stop_no_other_user_and_nothing_is_rotated_twice() {
    let (sandbox, program, _entries) = filled();
    sandbox.create_key("app1/production").expect("a second key");
    // Another rotation is blocked: the reply to its create is lost, and the key may not be reclaimed.
    sandbox.arm(Fault::new(FaultKind::LostReplyAfter).on(Action::CreateAccessKey).for_user("app2/production"));
    let program = program.with("ROTATOR_POLICY_UNCLAIMED", "report");
    let (ended, _) = program.until_settled(&["run"], Duration::from_millis(500));
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    let first = creates(&sandbox);
    assert_eq!(first, USERS as u64 - 1, "all but the one with two keys");
    // Until the call's time-out and `settle` are over it waits, and 4 is the two keys' code.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(program.rotator(&["run"]).code, Some(4));
    assert_eq!(creates(&sandbox), first, "a healthy key was rotated twice");

    let status = program.rotator(&["status", "--output", "json"]).json();
    let blocked = &status["rotations"][0];
    assert_eq!(blocked["blocked"]["reason"], "unclaimed-keys", "{status:#}");
    let key = blocked["blocked"]["command"].as_str().and_then(|command| command.split_whitespace().nth(4));
    let id = blocked["id"].as_str().expect("an id");
    let resolved = program.rotator(&["resolve", id, "--delete-key", key.expect("a key")]);
    let (ended, _) = program.until_settled(&["resume"], Duration::from_millis(500));
    assert_eq!(ended.code, Some(0), "{resolved:#?} {ended:#?}");
    assert!(ended.stdout.contains(", 1 needs an operator"), "{ended:#?}");
    assert_eq!(sandbox.keys_of("app2/production").len(), 1);
}

/// A run that is cut off with every key created and none stored.
fn cut_off() -> (Sandbox, Program) {
    let (sandbox, program, _entries) = filled();
    let program = program.with("ROTATOR_POLICY_PROOF_TIMEOUT", "60s");
    // The old keys are older than what is not accepted yet.
    sandbox.advance(Duration::from_secs(3601));
    sandbox.set_behaviour(Behaviour {
        allow_slash_in_user_names: true,
        new_keys_invalid_for: Duration::from_secs(3600),
        ..Behaviour::default()
    });
    let running = program.spawn(&["run"]);
    for _ in 0..200 {
        if creates(&sandbox) == USERS as u64 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(300));
    running.kill();
    assert_eq!(creates(&sandbox), USERS as u64);
    (sandbox, program)
}

#[test]
fn resume_with_another_accounts_credentials_changes_nothing_and_says_why() {
    let (sandbox, mut program) = cut_off();
    let other = Sandbox::start(SandboxOptions {
        account: AccountId::new("999999999999").expect("an account"),
        ..SandboxOptions::default()
    })
    .expect("another account");
    let before = sandbox.calls();
    let home = sandbox.endpoint_url();
    program.set("AWS_ENDPOINT_URL", &other.endpoint_url());
    program.set("AWS_ACCESS_KEY_ID", other.admin().id.as_str());
    program.set("AWS_SECRET_ACCESS_KEY", other.admin().secret.expose());
    let ended = program.ends_with(3, &["resume"]);
    assert!(ended.stderr.contains("999999999999") && ended.stderr.contains("123456789012"), "{ended:#?}");
    assert_eq!(sandbox.calls(), before);

    program.set("AWS_ENDPOINT_URL", &home);
    program.set("AWS_ACCESS_KEY_ID", sandbox.admin().id.as_str());
    program.set("AWS_SECRET_ACCESS_KEY", sandbox.admin().secret.expose());
    finishes(&sandbox, &program);
}

#[test]
fn resume_without_its_store_changes_nothing_and_says_why() {
    let (sandbox, program) = cut_off();
    let (store, away) = (program.folder().join("store.db"), program.folder().join("away.db"));
    std::fs::rename(&store, &away).expect("moved");
    let ended = program.ends_with(3, &["resume"]);
    assert!(ended.stderr.contains("store.db"), "{ended:#?}");
    assert!(!store.exists(), "a new, empty store was made");
    assert_eq!((0..USERS).map(|n| sandbox.keys_of(&format!("app{n}/production")).len()).sum::<usize>(), 2 * USERS);
    std::fs::rename(&away, &store).expect("moved back");
    finishes(&sandbox, &program);
}

fn finishes(sandbox: &Sandbox, program: &Program) {
    sandbox.set_behaviour(Behaviour { allow_slash_in_user_names: true, ..Behaviour::default() });
    let (ended, _) = program.until_settled(&["resume"], Duration::from_millis(300));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for number in 0..USERS {
        let user = format!("app{number}/production");
        let pair = program.pair(&user);
        assert_eq!(sandbox.keys_of(&user).len(), 1, "{user}");
        assert!(sandbox.accepts(&pair.id, &pair.secret), "{user}");
    }
}
