//! What an operator asked for while the world could not be reached: what is on record, what is not, and what comes next.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use rotator::adapters::sqlite_journal::JournalLock;
use rotator::sandbox::{Action, ApiError, Fault, FaultKind};

use super::bench::{Bench, Ended};

const USER: &str = "app1/production";
const NOWHERE: (&str, &str) = ("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
const WAITS: [&str; 5] = ["run", "--overlap", "1h", "--quarantine", "7d"];

/// A rotation in its overlap: the old key.
fn in_the_overlap(bench: &Bench) -> String {
    let old = bench.key_of(USER);
    bench.run(&WAITS).code(3);
    old
}

/// A rotation in its quarantine: the old key.
fn in_the_quarantine(bench: &Bench) -> String {
    let old = in_the_overlap(bench);
    bench.sandbox.advance(Duration::from_secs(2 * 3600));
    bench.run(&["resume"]).code(3).prints("deactivated-old");
    old
}

fn lacks(ended: Ended, words: &[&str]) -> Ended {
    for word in words {
        let (stdout, stderr) = (&ended.stdout, &ended.stderr);
        assert!(!stdout.contains(word) && !stderr.contains(word), "{word:?} in:\n{stdout}\n{stderr}");
    }
    ended
}

fn new_key(bench: &Bench, old: &str) -> String {
    let keys = bench.sandbox.keys_of(USER);
    keys.iter().map(|key| key.id.to_string()).find(|key| key != old).expect("a new key")
}

/// The store cannot be reached, then AWS cannot: neither look changes that the finish is on record.
#[test]
fn a_finish_that_waits_for_a_store_is_shown_as_such() {
    for (begin, at_rest) in
        [(in_the_overlap as fn(&Bench) -> String, "old key off"), (in_the_quarantine, "stays inactive")]
    {
        for store_is_there in [false, true] {
            let bench = Bench::with_users(&[USER]);
            let old = begin(&bench);
            let store = ["store.db", "store.db.away"].map(|name| bench.path(name));
            if store_is_there {
                bench.run_in(NOWHERE, &["resolve", USER, "--finish"]).code(3);
            } else {
                std::fs::rename(&store[0], &store[1]).expect("moved");
                bench.run(&["resolve", USER, "--finish"]).code(3);
            }
            let on_record =
                format!("{old} is to be deleted without a wait, as soon as every place holds a new pair that works");
            let status = bench.run(&["status"]).code(0).prints("deletion asked for");
            let status = status.prints(&format!("on record {USER}: {on_record}; the next `rotator run` or"));
            lacks(status, &[at_rest, "for the overlap"]);
            let story = bench.run(&["status", USER]).code(0).prints(&format!("on record {on_record}"));
            let story = story.prints("then      old key deleted with the next `rotator run` or `rotator resume`");
            lacks(story, &["stays inactive", "for the overlap", "once it is off"]);
            let document = bench.run(&["status", "--output", "json"]).code(0).json();
            let why = document["rotations"][0]["last_error"].as_str().unwrap_or_default();
            assert!(!why.contains("overlap") && !why.contains("quarantine"), "{why}");
            if !store_is_there {
                std::fs::rename(&store[1], &store[0]).expect("moved back");
            }
            bench.run(&["resume"]).code(0).prints("1 rotated");
            bench.assert_rotated(USER, &old);
        }
    }
}

#[test]
fn a_reactivation_that_waits_for_aws_is_shown_as_such() {
    let bench = Bench::with_users(&[USER]);
    let old = in_the_quarantine(&bench);
    bench.run_in(NOWHERE, &["reactivate", USER]).code(3);
    let status = bench.run(&["status"]).code(0).prints(&format!("{old} is to be made active again"));
    lacks(status.prints("old key to come back"), &["deleted", "stays inactive"]);
    let story = bench.run(&["status", USER]).code(0).prints("then      old key on again with the next `rotator run`");
    lacks(story, &["old key deleted", "stays inactive"]);
}

/// `reactivate` promises by what command alone the key is deleted.
#[test]
fn an_old_key_that_came_back_stays_until_a_command_that_is_named_and_the_status_agrees() {
    for command in ["--finish", "--delete-key"] {
        let bench = Bench::with_users(&[USER]);
        let old = in_the_quarantine(&bench);
        let said = bench.run(&["reactivate", USER]).code(3).says("only after one of these commands");
        let said = said.says(&format!("\n  rotator resolve {USER} --delete-key {old}\n"));
        let said = said.says(&format!("\n  rotator resolve {USER} --finish\n"));
        lacks(said, &["for the overlap"]).prints("both keys stay active until an operator decides");
        let story = bench.run(&["status", USER]).code(0).prints("rotator asks about the old key");
        lacks(story, &["for the overlap"]);
        // Neither time nor a leak is such a word.
        bench
            .run(&["rotate", USER, "--now", "--yes"])
            .says(&format!("only `rotator resolve {USER} --finish` deletes it"));
        bench.sandbox.advance(Duration::from_secs(30 * 24 * 3600));
        bench.run(&["resume"]).code(4).prints("old-key-reactivated");
        assert_eq!(bench.sandbox.keys_of(USER).len(), 2);
        let args = ["resolve", USER, command, &old];
        let args = if command == "--finish" { &args[..3] } else { &args[..] };
        bench.run_in(NOWHERE, args);
        let story = bench.run(&["status", USER]).code(0).prints(&format!("on record {old} is to be deleted"));
        lacks(story, &["rotator asks", "for the overlap"]);
        bench.run(args).code(0).prints("1 rotated");
        bench.assert_rotated(USER, &old);
    }
}

#[tokio::test]
async fn a_new_key_whose_secret_a_crash_took_is_not_said_to_stay() {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    let fault = Fault::new(FaultKind::HoldUntilReleased).on(Action::GetCallerIdentity).for_user(USER);
    bench.sandbox.arm(fault.nth(2).always());
    let mut run = bench.start(&WAITS);
    tokio::time::timeout(Duration::from_secs(30), bench.sandbox.held(1)).await.expect("the proof is held");
    run.kill().expect("killed");
    run.wait().expect("ended");
    bench.sandbox.disarm_all();
    bench.sandbox.release(None);
    let lost = new_key(&bench, &old);
    // By its own name, too: no place holds it, and no other rotation is needed.
    let ended = bench.run(&["rotate", &lost, "--now", "--yes"]).code(0);
    let ended = ended.says(&format!("the new key {lost}, whose secret was lost, is deleted"));
    let ended = lacks(ended, &["no store holds", &format!("the key {lost} that it made stays")]);
    let new = new_key(&bench, &old);
    assert_ne!(new, lost);
    ended.says(&format!("the key {new} that it made stays"));
    bench.assert_rotated(USER, &old);
}

/// The command that turns this key off.
fn turns_off(key: &str) -> String {
    format!("\n  aws iam update-access-key --user-name {USER} --access-key-id {key} --status Inactive\n")
}

#[test]
fn whatever_keeps_a_leaked_key_from_being_replaced_it_is_said_how_to_turn_it_off() {
    let now = ["rotate", USER, "--now", "--yes"];
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    // No rotation yet, and no word of AWS: neither the user nor the key is known.
    let nothing = format!("nothing is on record about {USER}");
    let off = "\n  aws iam update-access-key --user-name USER --access-key-id KEY --status Inactive\n";
    let ended = bench.run_in(NOWHERE, &now).code(1).says(&nothing).says("\n  aws iam list-access-keys").says(off);
    assert_eq!(ended.stderr.matches("aws iam").count(), 2, "each command once: {}", ended.stderr);
    assert!(ended.stderr.contains("waiting for AWS: no answer for"), "{}", ended.stderr);
    let by_key = bench.run_in(NOWHERE, &["rotate", &old, "--now", "--yes"]).code(1);
    by_key
        .says(&format!("\n  aws iam get-access-key-last-used --access-key-id {old}\n"))
        .says(&format!("aws iam update-access-key --user-name USER --access-key-id {old} --status Inactive"));
    // Another rotator holds the journal.
    bench.run(&WAITS).code(3);
    let asks_again = format!("no request to delete it is on record: run `rotator rotate {USER} --now` again");
    let held = JournalLock::acquire(&bench.path("journal.db")).expect("nobody has it");
    bench.run(&now).code(5).says(&asks_again).says(&turns_off(&old));
    drop(held);
    // AWS cannot be reached.
    bench.run_in(NOWHERE, &now).code(3).says(&asks_again).says(&turns_off(&old));
    let new = new_key(&bench, &old);
    bench.run_in(NOWHERE, &["rotate", &new, "--now", "--yes"]).code(3).says(&turns_off(&new));
    // The store cannot be read.
    let store = ["store.db", "store.db.away"].map(|name| bench.path(name));
    std::fs::rename(&store[0], &store[1]).expect("moved");
    bench.run(&now).says(&turns_off(&old));
    std::fs::rename(&store[1], &store[0]).expect("moved back");
    // IAM does not delete it.
    let refusal = FaultKind::Refuse(ApiError::new(500, "ServiceFailure", "not now"));
    bench.sandbox.arm(Fault::new(refusal).on(Action::DeleteAccessKey).always());
    let ended = bench.run(&now).says("it is on record that").says(&turns_off(&old));
    lacks(ended, &["no request to delete it"]);
    bench.sandbox.disarm_all();
    bench.sandbox.advance(Duration::from_secs(3600));
    let ended = bench.run(&now).code(0);
    lacks(ended, &["--status Inactive"]);
    // The key that the journal knows the user has since then.
    let replaced = bench.run_in(NOWHERE, &now).code(1).says(&turns_off(&new));
    lacks(replaced, &["USER"]);
}

/// The connection is accepted, and nothing is ever answered.
#[test]
fn a_store_that_is_silent_keeps_nobody_from_turning_a_leaked_key_off_at_once() {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    let stores = ["--store", "sqlite:store.db", "--store", "vault:secret/teams"];
    let mut command = bench.command(&[&stores[..], &["rotate", &old, "--now", "--yes"]].concat());
    let mut child = command.env("VAULT_ADDR", address).env("VAULT_TOKEN", "none").spawn().expect("it starts");
    let began = Instant::now();
    let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
    let mut said = String::new();
    while !said.contains("--status Inactive") {
        assert_ne!(stderr.read_line(&mut said).expect("read"), 0, "{said}");
    }
    assert!(began.elapsed() < Duration::from_secs(10), "after {:?}: {said}", began.elapsed());
    assert!(said.contains("waiting for vault:secret/teams: no answer for"), "{said}");
    stderr.read_to_string(&mut said).expect("read");
    assert_eq!(child.wait().expect("ended").code(), Some(1), "{said}");
    // Each of two tries waits for its time-out, 10 s.
    assert!(began.elapsed() < Duration::from_secs(35), "after {:?}: {said}", began.elapsed());
    assert!(said.contains("nothing is on record about") && said.contains("the command above turns it off"), "{said}");
    assert_eq!(said.matches("aws iam").count(), 2, "each command once: {said}");
    assert_eq!(bench.sandbox.keys_of(USER).len(), 1, "a store that was not read may hold a copy");
}

#[test]
fn a_store_that_cannot_be_used_is_reported_once() {
    let bench = Bench::with_users(&[USER]);
    in_the_overlap(&bench);
    std::fs::rename(bench.path("store.db"), bench.path("store.db.away")).expect("moved");
    bench.run_with(&["store", "import", "-"], "{\"app2/production/NOTE\": \"x\"}").code(0);
    let ended = bench.run(&["rotate", USER, "--now", "--yes"]).code(3).says("is another store");
    assert_eq!(ended.stderr.matches("is another store").count(), 1, "{}", ended.stderr);
}

#[test]
fn a_rotation_that_is_opened_now_and_fails_says_how_to_turn_the_key_off() {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    bench.sandbox.arm(Fault::new(FaultKind::LostReplyAfter).on(Action::CreateAccessKey));
    let mut now = bench.command(&["rotate", USER, "--now", "--yes"]);
    let ended: Ended = now.env("ROTATOR_POLICY_SETTLE", "1h").output().expect("it starts").into();
    ended.code(3).says(&turns_off(&old)).says("deletes it without a wait");
}

#[test]
fn commands_wait_for_the_rotator_that_is_at_work() {
    let bench = Bench::with_users(&[USER]);
    in_the_overlap(&bench);
    let held = JournalLock::acquire(&bench.path("journal.db")).expect("nobody has it");
    let when = format!("once the rotator that is at work (pid {}) has ended", std::process::id());
    bench
        .run(&["status", USER])
        .code(0)
        .prints("to undo")
        .prints(&format!("when      each of these commands works {when}"));
    drop(held);
    lacks(bench.run(&["status", USER]).code(0).prints("to undo"), &["at work"]);
    // The way out of a block, too.
    bench
        .sandbox
        .delete_key(USER, &bench.run(&["store", "get", &format!("{USER}/AWS_ACCESS_KEY_ID")]).stdout)
        .expect("deleted");
    bench.sandbox.advance(Duration::from_secs(2 * 3600));
    bench.run(&["resume"]);
    bench.sandbox.advance(Duration::from_secs(60));
    bench.run(&["resume"]).code(4).prints("new-key-gone");
    let held = JournalLock::acquire(&bench.path("journal.db")).expect("nobody has it");
    bench.run(&["status", USER]).code(0).prints(&when);
    bench.run(&["status"]).code(0).prints(&format!("the commands above work {when}"));
    drop(held);
}

#[test]
fn a_closed_rotation_says_why_nothing_is_undone_and_what_to_run() {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    bench.run(&["run"]).code(0);
    let rotate = format!("`rotator rotate {USER}`");
    let (id, _) = bench.rotation_of(USER);
    for name in [USER, &id, &old] {
        for args in
            [&["abort", name, "--undo"][..], &["abort", name], &["reactivate", name], &["resolve", name, "--finish"]]
        {
            let ended = bench.run(args).code(2).says("is closed (deleted-old), so nothing can be done or undone");
            ended.says(&format!("the old key {old} is deleted, and a deleted key cannot come back")).says(&rotate);
        }
    }
    let old = bench.key_of(USER);
    bench.sandbox.arm(Fault::new(FaultKind::LostReplyBefore).on(Action::CreateAccessKey));
    bench.run_in(("ROTATOR_POLICY_SETTLE", "1h"), &["rotate", USER, "--yes"]).code(3);
    bench.run(&["abort", USER]).code(3);
    bench.sandbox.disarm_all();
    for _ in 0..3 {
        bench.sandbox.advance(Duration::from_secs(2 * 3600));
        bench.run(&["resume"]);
    }
    let ended =
        bench.run(&["abort", USER, "--undo"]).code(2).says("is closed (aborted), so nothing can be done or undone");
    ended.says(&format!("the old key {old} is as it was")).says(&rotate);
}
