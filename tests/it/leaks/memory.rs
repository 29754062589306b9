//! The memory of the real process after its rotations have settled holds no copy of an old or a new secret, whole or in
//! half.
//!
//! Two secrets are excused, because the process needs them: the pair that signs rotator's own requests (the SDK keeps
//! it, and the kernel keeps the environment with it) and the key that opens the store.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rotator::sandbox::{Action, Fault, FaultKind, Sandbox};
use rustix::process::{Pid, Signal, kill_process};

use super::forms::FORMS;
use super::trawl::{Guarded, search_memory};
use crate::support::other_process;
use crate::support::program::{Program, Running, sandbox_with_slashes};
use crate::support::proof::Proof;
use crate::support::root;

/// More than thirty rotations, of each form of entry alike.
const USERS: usize = 36;

/// The kinds of entry that a pair is kept in.
fn kept(number: usize, id: &str, secret: &str) -> Vec<(&'static str, String)> {
    match number % 4 {
        0 => vec![("AWS_ACCESS_KEY_ID", id.to_owned()), ("AWS_SECRET_ACCESS_KEY", secret.to_owned())],
        1 => vec![(
            "aws.json",
            serde_json::json!({"aws_access_key_id": id, "aws_secret_access_key": secret}).to_string(),
        )],
        2 => vec![("dotenv", format!("# a comment\nAWS_ACCESS_KEY_ID='{id}'\nAWS_SECRET_ACCESS_KEY=\"{secret}\"\n"))],
        _ => vec![("ini", format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n"))],
    }
}

fn user(number: usize) -> String {
    format!("app{number}/production")
}

/// Users with a pair each, all in the store; their secrets are guarded.
fn fill(sandbox: &Sandbox, guarded: &mut Guarded, users: usize) -> BTreeMap<String, String> {
    let mut entries = BTreeMap::new();
    for number in 0..users {
        let user = user(number);
        sandbox.add_user(&user).expect("a new user");
        let key = sandbox.create_key(&user).expect("a first key");
        let secret = key.secret.expose();
        guarded.guard(format!("the old secret of {user}"), secret);
        for (name, value) in kept(number, key.id.as_str(), secret) {
            entries.insert(format!("{user}/{name}"), value);
        }
    }
    entries
}

/// Waits until `holds`, then some more: the process may still hold what has been journaled.
fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what} did not come about");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(700));
}

fn states(program: &Program) -> BTreeMap<String, u64> {
    let mut states = BTreeMap::new();
    let status = program.ends_with(0, &["status", "--all", "--output", "json"]).json();
    for rotation in status["rotations"].as_array().into_iter().flatten() {
        *states.entry(rotation["state"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    states
}

/// Stops the process, looks through its memory, and counts. What is excused is there, and so has to be found: it shows
/// that the right memory was searched.
fn look(proof: &mut Proof, running: &Running, guarded: &Guarded, sandbox: &Sandbox) {
    let pid = Pid::from_raw(running.id().cast_signed()).expect("a pid");
    kill_process(pid, Signal::STOP).expect("stopped");
    let memory = search_memory(running.id(), &guarded.sought());
    let control = search_memory(running.id(), &Guarded::with_admin_of(sandbox).sought());
    kill_process(pid, Signal::CONT).expect("let go");
    assert_eq!(memory.found, Vec::<String>::new(), "secrets stay in memory");
    assert!(control.found.len() >= 2, "the pair that rotator signs with is in its memory, and was not found");
    proof.case();
    proof.count("mappings searched", memory.mappings);
    proof.count("bytes searched", memory.bytes);
    proof.count("secrets sought, each in two halves and all forms", guarded.len() as u64);
}

/// Closed rotations: the process is held in the creates of one more user, and holds nothing of that user but the
/// stored pair.
#[tokio::test]
async fn nothing_stays_in_memory_of_a_closed_rotation_as_root_sees_it() {
    if !root::can("read the memory of a process that may not be dumped") {
        return;
    }
    let mut proof = Proof::of("T17", "memory of the process, rotations closed", &["rotations closed"]);
    let sandbox = sandbox_with_slashes();
    let mut guarded = Guarded::default();
    let mut entries = fill(&sandbox, &mut guarded, USERS);
    sandbox.add_user("last/production").expect("a new user");
    let last = sandbox.create_key("last/production").expect("a first key");
    entries.extend(
        kept(0, last.id.as_str(), last.secret.expose()).into_iter().map(|(n, v)| (format!("last/production/{n}"), v)),
    );
    let other = "Y9nQ+3kz/unchangedUnchanged+0123456789/abcdefghij";
    entries.insert("app0/production/MY_SECRET".to_owned(), other.to_owned());
    guarded.guard("another secret", other);
    let program = Program::at(&sandbox).with("ROTATOR_AWS_CALL_TIMEOUT", "60s");
    program.import(&entries);
    sandbox.arm(Fault::new(FaultKind::HoldUntilReleased).on(Action::CreateAccessKey).for_user("last/production"));
    let running = program.spawn(&["run"]);
    tokio::time::timeout(Duration::from_secs(30), sandbox.held(1)).await.expect("one create is held");
    until("closed rotations", || states(&program).get("deleted-old") == Some(&(USERS as u64)));
    guard_new(&mut guarded, &program, "last/");
    look(&mut proof, &running, &guarded, &sandbox);
    proof.hit("rotations closed", USERS as u64);
    proof.conclude();
}

/// Rotations that wait for their overlap to pass, some of them after answers that could not be read.
#[test]
fn nothing_stays_in_memory_of_a_rotation_that_waits_as_root_sees_it() {
    if !root::can("read the memory of a process that may not be dumped") {
        return;
    }
    let mut proof = Proof::of("T17", "memory of the process, rotations waiting", &["rotations stored-new and waiting"]);
    let sandbox = sandbox_with_slashes();
    let mut guarded = Guarded::default();
    let entries = fill(&sandbox, &mut guarded, USERS);
    let program = Program::at(&sandbox);
    program.import(&entries);
    for (number, kind) in
        [FaultKind::Truncate(520), FaultKind::CutOff(520), FaultKind::Garbage200, FaultKind::LostReplyAfter]
            .into_iter()
            .enumerate()
    {
        sandbox.arm(Fault::new(kind).on(Action::CreateAccessKey).for_user(user(number)));
    }
    let running = program.spawn(&["run", "--overlap", "1h", "--wait"]);
    until("stored new pairs", || states(&program).get("stored-new") == Some(&(USERS as u64)));
    guard_new(&mut guarded, &program, "-");
    look(&mut proof, &running, &guarded, &sandbox);
    proof.hit("rotations stored-new and waiting", USERS as u64);
    proof.conclude();
}

/// Guards what the store holds now, but for the entries that begin with `but`.
fn guard_new(guarded: &mut Guarded, program: &Program, but: &str) {
    let before = guarded.len();
    guarded.guard_store_but(program, but);
    assert!(guarded.len() >= before + USERS, "new secrets are there to be sought");
}

const PLANTED: &str = "nvVYkMZ+c0Zr5cI/3pQWmYq8tLzXgE7hA1sDfJ2B";

/// A secret in every form in the memory of another process: each is found, and the other process ends by itself.
#[test]
fn a_secret_planted_in_memory_is_found_as_root_sees_it() {
    if !root::can("read the memory of a process that may not be dumped") {
        return;
    }
    if let Some(folder) = other_process::given_folder() {
        let planted: Vec<String> = FORMS.iter().map(|form| form.of(&PLANTED.as_bytes()[..20])).collect();
        std::fs::write(folder.join("planted"), "").expect("written");
        until("searched", || folder.join("searched").exists());
        drop(planted);
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let name = "leaks::memory::a_secret_planted_in_memory_is_found_as_root_sees_it";
    let mut other =
        other_process::command(name, folder.path()).stdout(std::process::Stdio::null()).spawn().expect("started");
    until("planted", || folder.path().join("planted").exists());
    let mut guarded = Guarded::default();
    guarded.guard("planted", PLANTED);
    let memory = search_memory(other.id(), &guarded.sought());
    std::fs::write(folder.path().join("searched"), "").expect("written");
    assert!(other.wait().expect("it ends").success());
    for form in FORMS {
        let reported = format!("planted as {form:?} in");
        assert!(memory.found.iter().any(|found| found.starts_with(&reported)), "{form:?} was planted and not found");
    }
}
