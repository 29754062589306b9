//! A killed or signalled command, and two commands at once.

use std::process::Child;
use std::time::Duration;

use rotator::sandbox::{Action, Fault, FaultKind};

use super::bench::{Bench, Ended};

/// Holds the proofs of these users' new pairs; the first call that a user's pair signs is the proof of the old one.
fn hold_proofs(bench: &Bench, users: &[&str]) {
    for user in users {
        let fault = Fault::new(FaultKind::HoldUntilReleased).on(Action::GetCallerIdentity).for_user(*user);
        bench.sandbox.arm(fault.nth(2).always());
    }
}

async fn held(bench: &Bench, count: usize) {
    tokio::time::timeout(Duration::from_secs(30), bench.sandbox.held(count)).await.expect("the proofs are held");
}

fn let_go(bench: &Bench) {
    bench.sandbox.disarm_all();
    bench.sandbox.release(None);
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, signal).expect("signalled");
}

fn ended(child: Child) -> Ended {
    child.wait_with_output().expect("it ends").into()
}

#[tokio::test]
async fn killed_between_create_and_store_it_recovers() {
    let bench = Bench::with_users(&["app1/production", "app1/staging"]);
    let old = ["app1/production", "app1/staging"].map(|user| (user, bench.key_of(user)));
    hold_proofs(&bench, &["app1/production", "app1/staging"]);
    let mut run = bench.start(&["run"]);
    held(&bench, 2).await;
    run.kill().expect("killed");
    run.wait().expect("ended");
    let_go(&bench);
    bench.run(&["status", "--exit-code"]).code(3).prints("created-new").prints("2 in flight");
    bench.run(&["resume", "--wait"]).code(0).prints("2 rotated");
    for (user, old) in &old {
        bench.assert_rotated(user, old);
    }
    // The killed run's campaign is complete: nothing of it is left for the next one.
    bench.run(&["status", "--exit-code"]).code(0);
}

#[tokio::test]
async fn a_signal_lets_the_keys_in_hand_be_stored() {
    for (number, code) in [(rustix::process::Signal::INT, 130), (rustix::process::Signal::TERM, 143)] {
        let bench = Bench::with_users(&["app1/production"]);
        hold_proofs(&bench, &["app1/production"]);
        let run = bench.start(&["run"]);
        held(&bench, 1).await;
        signal(&run, number);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let_go(&bench);
        let run = ended(run).code(code).says("stopping").prints("interrupted");
        run.prints("stored-new");
        bench.run(&["resume"]).code(0).prints("1 rotated");
    }
}

#[tokio::test]
async fn interrupted_with_nothing_to_do_it_does_not_ask_for_another_run() {
    let bench = Bench::with_users(&["app1/production"]);
    bench.sandbox.arm(Fault::new(FaultKind::HoldUntilReleased).on(Action::ListAccessKeys));
    let run = bench.start(&["run", "--older-than", "1d"]);
    held(&bench, 1).await;
    signal(&run, rustix::process::Signal::TERM);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let_go(&bench);
    ended(run).code(143).prints("interrupted, with nothing left in flight");
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let bench = Bench::with_users(&["app1/production"]);
    hold_proofs(&bench, &["app1/production"]);
    let run = bench.start(&["run"]);
    held(&bench, 1).await;
    signal(&run, rustix::process::Signal::INT);
    tokio::time::sleep(Duration::from_millis(200)).await;
    signal(&run, rustix::process::Signal::INT);
    ended(run).code(130).says("stopping");
    let_go(&bench);
    bench.run(&["resume", "--wait"]).code(0).prints("1 rotated");
}

/// Rotates the only user, whose first create meets `kind`.
fn rotate_through(bench: &Bench, kind: FaultKind) {
    bench.sandbox.arm(Fault::new(kind).on(Action::CreateAccessKey));
    bench
        .run_in(("ROTATOR_AWS_CALL_TIMEOUT", "500ms"), &["run", "--older-than", "0s", "--wait"])
        .code(0)
        .prints("deleted-old");
    assert_eq!(bench.sandbox.keys_of("app1/production").len(), 1);
}

/// Releases the held create, and waits for its key.
async fn let_create_go(bench: &Bench) {
    let_go(bench);
    for _ in 0..500 {
        if bench.sandbox.keys_of("app1/production").len() == 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the held create was not carried out");
}

#[tokio::test]
async fn a_create_that_is_executed_late_is_reported_by_resume_with_nothing_in_flight() {
    let bench = Bench::with_users(&["app1/production"]);
    rotate_through(&bench, FaultKind::HoldUntilReleased);
    let_create_go(&bench).await;
    bench.run(&["resume"]).code(0).says("turned up late");
    assert_eq!(bench.sandbox.keys_of("app1/production").len(), 2, "it is left as it is");
}

#[tokio::test]
async fn a_late_key_is_reported_once_however_many_creates_may_have_made_it() {
    let bench = Bench::with_users(&["app1/production"]);
    rotate_through(&bench, FaultKind::LostReplyBefore);
    rotate_through(&bench, FaultKind::HoldUntilReleased);
    let_create_go(&bench).await;
    for times in [1, 0] {
        let said = bench.run(&["resume"]).code(0).stderr;
        assert_eq!(said.matches("turned up late").count(), times, "{said}");
    }
}

#[tokio::test]
async fn a_second_rotator_is_refused_and_the_holder_of_the_lock_is_reported() {
    let bench = Bench::with_users(&["app1/production"]);
    hold_proofs(&bench, &["app1/production"]);
    let run = bench.start(&["run"]);
    held(&bench, 1).await;
    let pid = format!("pid {}", run.id());
    bench.run(&["run"]).code(5).says(&pid);
    bench.run(&["resume"]).code(5).says(&pid);
    let id = bench.rotation_of("app1/production").0;
    bench.run(&["abort", &id]).code(5).says(&pid);
    bench.run(&["status"]).code(0).prints("created-new");
    let_go(&bench);
    ended(run).code(0);
}

#[tokio::test]
async fn a_closed_output_pipe_does_not_stop_a_run() {
    let bench = Bench::with_users(&["app1/production"]);
    let old = bench.key_of("app1/production");
    hold_proofs(&bench, &["app1/production"]);
    let mut run = bench.start(&["run", "-vv"]);
    held(&bench, 1).await;
    drop(run.stdout.take());
    drop(run.stderr.take());
    let_go(&bench);
    assert_eq!(run.wait().expect("it ends").code(), Some(0));
    bench.assert_rotated("app1/production", &old);
}

/// A store whose answer to a write of a new pair is never heard; what it holds may be written again. Each question is counted.
const DEAF: &str = r#"
import json, pathlib, sys
request = json.loads(sys.stdin.readline())
with open("asked", "a") as asked:
    asked.write(request["op"] + "\n")
held = pathlib.Path("held.json")
entries = json.loads(held.read_text())
if request["op"] == "hello":
    print(json.dumps({"identity": "deaf"}))
elif request["op"] == "list":
    for name, (version, value) in entries.items():
        print(json.dumps({"name": name, "version": str(version), "value": value}))
    print(json.dumps({"done": True}))
elif request["op"] == "get":
    version, value = entries[request["name"]]
    print(json.dumps({"version": str(version), "value": value}))
elif request["value"] != entries[request["name"]][1]:
    print(json.dumps({"error": "no answer"}))
else:
    entries[request["name"]][0] += 1
    held.write_text(json.dumps(entries))
    print(json.dumps({"ok": True}))
"#;

#[test]
fn a_signal_in_the_wait_for_a_fence_is_heard_at_once_with_a_key_in_hand() {
    const USER: &str = "app1/production";
    let bench = Bench::new();
    bench.sandbox.add_user(USER).expect("a user");
    let key = bench.sandbox.create_key(USER).expect("a key");
    bench.sandbox.advance(Duration::from_secs(60));
    let entries = serde_json::json!({
        format!("{USER}/AWS_ACCESS_KEY_ID"): [1, key.id],
        format!("{USER}/AWS_SECRET_ACCESS_KEY"): [1, key.secret.expose()],
    });
    bench.write("held.json", &entries.to_string());
    bench.write("store.py", DEAF);
    let store = ("ROTATOR_STORE", "exec:python3 store.py");
    let mut command = bench.command(&["run", "--wait"]);
    let run = command.env(store.0, store.1).spawn().expect("it starts");
    // A write of the new pair may still take effect until the fence time, so the wait takes 16 minutes.
    let waits = || bench.run(&["status"]).stdout.contains("goes on in");
    let begun = std::time::Instant::now();
    while !waits() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", bench.run(&["status"]).stdout);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(bench.sandbox.keys_of(USER).len(), 2, "a key is in hand");
    let asked = || std::fs::read_to_string(bench.path("asked")).expect("asked").lines().count();
    let (before, since) = (asked(), std::time::Instant::now());
    signal(&run, rustix::process::Signal::TERM);
    ended(run).code(143);
    let (after, took) = (asked() - before, since.elapsed());
    assert!(after <= 10 && took < Duration::from_secs(10), "{after} questions in {took:?} after the signal");
    // What is on record is enough for the next one: behind the fence the key is discarded.
    bench.sandbox.advance(Duration::from_secs(3600));
    let resumed = bench.run_in(store, &["resume", "--wait"]);
    assert!(resumed.stdout.contains("aborted"), "{}{}", resumed.stdout, resumed.stderr);
    assert_eq!(bench.key_of(USER), key.id.as_str());
}

/// A store's program leaves two helpers that hold its stdout: one in its process group, one in a session of its own.
#[test]
fn a_signal_waits_for_no_helper_of_a_program_and_its_group_is_killed() {
    let bench = Bench::new();
    let script = "#!/bin/sh\nread -r line\ncase \"$line\" in\n\
                  *hello*) echo '{\"identity\":\"x\",\"late_writes_seconds\":0}' ;;\n\
                  *) (while sleep 0.05; do echo >> lives; done) & setsid sleep 20 & ;;\nesac\n";
    bench.write("program", script);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(bench.path("program"), executable).expect("set");
    let store = format!("exec:{}", bench.path("program").display());
    let mut command = bench.command(&["run", "--yes"]);
    let run = command.env("ROTATOR_STORE", store).spawn().expect("it starts");
    let size = || std::fs::metadata(bench.path("lives")).map_or(0, |file| file.len());
    let began = std::time::Instant::now();
    while size() == 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "the store is never read");
        std::thread::sleep(Duration::from_millis(20));
    }
    let asked = std::time::Instant::now();
    signal(&run, rustix::process::Signal::TERM);
    // Not its output to the end: the helper that lives on may have inherited that.
    let mut run = run;
    assert_eq!(run.wait().expect("it ends").code(), Some(143));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    let before = size();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(size(), before, "the helper in the program's group is killed");
}
