//! An abort that was asked for and cannot be done, or not yet: what is said of it, and how it is taken back.

use std::time::Duration;

use rotator::sandbox::{Action, Fault, FaultKind};

use super::bench::Bench;

const USER: &str = "app1/production";

/// The pair that the store holds.
fn pair(bench: &Bench) -> [(String, String); 2] {
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| {
        let entry = format!("{USER}/{name}");
        let value = bench.run(&["store", "get", &entry]).code(0).stdout;
        (entry, value)
    })
}

fn put(bench: &Bench, pair: &[(String, String); 2]) {
    for (entry, value) in pair {
        bench.run_with(&["store", "set", entry], value).code(0);
    }
}

/// A rotation in its overlap that was blocked as reverted, and given up when the new pair was back in every place.
fn given_up_too_late(bench: &Bench) -> (String, String) {
    let (old, before) = (bench.key_of(USER), pair(bench));
    bench.run(&["run", "--overlap", "1h", "--quarantine", "7d"]).code(3);
    let after = pair(bench);
    put(bench, &before);
    bench.run(&["resume", USER]).code(4).prints("reverted");
    put(bench, &after);
    let blocked = bench.run(&["abort", USER]).code(4).prints("cannot-abort");
    (old, blocked.stdout)
}

/// The command below the message of a block.
fn printed(text: &str) -> Vec<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("  rotator ")).expect("a command");
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_printed_command_leads_out_of_an_abort_that_comes_too_late_and_keeps_the_overlap() {
    let bench = Bench::with_users(&[USER]);
    let (old, blocked) = given_up_too_late(&bench);
    bench.run(&["resume", USER]).code(4).prints("cannot-abort");
    let status = bench.run(&["status", USER]).code(0).stdout;
    let document = bench.run(&["status", "--output", "json"]).code(0).json();
    let command = document["rotations"][0]["blocked"]["command"].as_str().expect("a command");
    assert!(command.ends_with(" --undo"), "{command}");
    assert_eq!(printed(&blocked), printed(&status));
    assert_eq!(printed(&blocked), ["abort", USER, "--undo"]);
    let args = printed(&blocked);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();

    let ended = bench.run(&args).code(3).prints("stored-new: both keys work").prints("old key off in");
    assert!(!ended.stdout.contains("abort"), "{}", ended.stdout);
    assert_eq!(bench.sandbox.keys_of(USER).len(), 2, "both keys work until the overlap is over");
    bench.run(&["status", USER]).code(0).prints("took the abort back").prints("then      old key off");
    bench.run(&args).code(2).says("no abort of").says("there is nothing to take back");

    bench.sandbox.advance(Duration::from_secs(2 * 3600));
    bench.run(&["resume"]).code(3).prints("deactivated-old");
    bench.sandbox.advance(Duration::from_secs(8 * 24 * 3600));
    bench.run(&["resume"]).code(0).prints("1 rotated");
    bench.assert_rotated(USER, &old);
}

#[test]
fn some_places_with_the_new_pair_leave_both_ways_open() {
    let bench = Bench::with_users(&[USER]);
    let before = pair(&bench);
    let copies = before.clone().map(|(entry, value)| (entry.replace(USER, "copy/production"), value));
    put(&bench, &copies);
    bench.run(&["run", "--overlap", "1h"]).code(3);
    put(&bench, &before);
    let reverted = bench.run(&["resume"]).code(4).prints("reverted");
    let [(id, _), (secret, _)] = copies;
    reverted.prints(&format!("put the new pair (which is still in {id} and {secret}) back"));
    let blocked = bench.run(&["abort", USER]).code(4).prints("cannot-abort");
    let blocked = blocked.prints(&format!("`rotator abort {USER} --undo`"));
    assert_eq!(printed(&blocked.stdout), ["resume", USER]);
}

#[test]
fn an_abort_that_waits_is_called_so_and_can_be_taken_back() {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    bench.sandbox.arm(Fault::new(FaultKind::LostReplyAfter).on(Action::CreateAccessKey));
    bench.run_in(("ROTATOR_POLICY_SETTLE", "1h"), &["run", "--overlap", "1h"]).code(3);
    let waits = |text: &str| assert!(!text.contains("goes on") && !text.contains("no new key yet"), "{text}");
    waits(&bench.run(&["abort", USER]).code(3).prints("being undone, next in ").stdout);
    waits(&bench.run(&["status"]).code(0).prints("being undone, next in ").stdout);
    bench.run(&["status", "--output", "wide"]).code(0).prints(", being undone");
    let undo = format!("to undo   `rotator abort {USER} --undo`");
    bench.run(&["status", USER]).code(0).prints("to be aborted").prints(&undo);
    bench.run(&["abort", "--help"]).code(0).prints("--undo").prints("--finish");

    let ended = bench.run(&["abort", USER, "--undo"]).code(3).says("the abort is taken back");
    assert!(!ended.stderr.contains("without a wait"), "{}", ended.stderr);
    let text = bench.run(&["status"]).code(0).stdout;
    assert!(!text.contains("undone"), "{text}");

    bench.run(&["rotate", USER, "--now", "--yes"]).code(3).says("it is on record");
    bench.run(&["abort", USER]).code(3);
    bench
        .run(&["abort", USER, "--undo"])
        .code(3)
        .says(&format!("the abort ended the request to delete {old} without a wait"))
        .says(&format!("`rotator rotate {USER} --now` makes it again"));
    for _ in 0..4 {
        bench.sandbox.advance(Duration::from_secs(7200));
        bench.run(&["resume"]);
    }
    bench.assert_rotated(USER, &old);
}

/// A rotation without waits needs no request to hurry, and the abort has ended none.
#[test]
fn an_abort_of_a_rotation_opened_with_now_is_taken_back_and_it_hurries_still() {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    bench.sandbox.arm(Fault::new(FaultKind::LostReplyAfter).on(Action::CreateAccessKey));
    bench.run_in(("ROTATOR_POLICY_SETTLE", "1h"), &["rotate", USER, "--now", "--yes"]).code(3);
    let nowhere = ("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    let abort = bench.run_in(nowhere, &["abort", USER]).code(3).says("the request is on record, and nothing else was");
    assert!(!abort.stderr.contains("; nothing was changed"), "{}", abort.stderr);
    let undone = bench.run(&["abort", USER, "--undo"]).code(3).says("the abort is taken back");
    assert!(!undone.stderr.contains("makes it again"), "{}", undone.stderr);
    for _ in 0..4 {
        bench.sandbox.advance(Duration::from_secs(7200));
        bench.run(&["resume"]);
    }
    bench.assert_rotated(USER, &old);
}

#[test]
fn the_story_does_not_call_it_undone_where_the_places_keep_the_new_pair() {
    let bench = Bench::with_users(&[USER]);
    bench.run(&["run", "--overlap", "1h", "--quarantine", "7d"]).code(3);
    let story = bench.run(&["status", USER]).code(0).stdout;
    let reactivate = format!("`rotator reactivate {USER}` makes it work again; the places keep the new pair");
    assert!(story.contains("to undo   put the old pair back into every place yourself"), "{story}");
    assert!(story.contains(&format!("old key   once it is off, {reactivate}")), "{story}");
    bench.sandbox.advance(Duration::from_secs(2 * 3600));
    bench.run(&["resume"]).code(3);
    let story = bench.run(&["status", USER]).code(0).stdout;
    assert!(story.contains(&format!("old key   {reactivate}")) && !story.contains("to undo"), "{story}");
}

/// Every place was reverted, and the old key is gone: no place has the new pair that could be copied.
#[test]
fn where_no_pair_works_any_more_the_way_out_is_another_pair() {
    let bench = Bench::with_users(&[USER]);
    let (old, before) = (bench.key_of(USER), pair(&bench));
    bench.run(&["run", "--overlap", "1h"]).code(3);
    put(&bench, &before);
    bench.sandbox.delete_key(USER, &old).expect("deleted");
    bench.sandbox.advance(Duration::from_secs(2 * 3600));
    for _ in 0..3 {
        bench.run(&["resume"]);
        bench.sandbox.advance(Duration::from_secs(60));
    }
    let blocked = bench.run(&["resume"]).code(4).prints("old-key-gone").prints("No place holds the new pair");
    let new = bench.key_of(USER);
    blocked.prints(&format!("aws iam delete-access-key --user-name {USER} --access-key-id {new}"));
    // As the message says: another pair, then the new key goes, then the abort.
    let made = bench.sandbox.create_key(USER).expect("a key");
    let [(id, _), (secret, _)] = before;
    put(&bench, &[(id, made.id.to_string()), (secret, made.secret.expose().to_owned())]);
    bench.sandbox.delete_key(USER, &new).expect("deleted");
    for _ in 0..3 {
        bench.run(&["abort", USER]);
        bench.sandbox.advance(Duration::from_secs(60));
    }
    let document = bench.run(&["status", "--all", "--output", "json"]).code(0).json();
    assert_eq!(document["rotations"][0]["state"], "gone", "{document:#}");
    assert_eq!(bench.key_of(USER), made.id.as_str());
}
