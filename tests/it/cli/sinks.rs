//! Sinks: programs that receive pairs and cannot be read. The sink of these tests keeps the pairs in a file.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::Value;

use super::bench::{Bench, Ended};

const USER: &str = "app1/production";

/// Takes what it is given, unless a file of the name `refuses`, `fails` or `hangs` is there.
const SINK: &str = r#"#!/usr/bin/env python3
import json, os, pathlib, sys, time
request = json.loads(sys.stdin.readline())
is_there = lambda name: pathlib.Path(name).exists()
if is_there("gone"):
    print(json.dumps({"error": "the target is offline"}))
elif request["op"] == "hello":
    print(json.dumps({"identity": pathlib.Path("identity").read_text(), "late_writes_seconds": 0}))
elif is_there("refuses"):
    print(json.dumps({"refused": True, "error": "no to " + request["secret_access_key"]}))
else:
    with open("asked", "a") as asked:
        asked.write(request["access_key_id"] + "\n")
    while is_there("hangs"):
        time.sleep(0.05)
    if is_there("fails"):
        print(json.dumps({"error": "perhaps"}))
    else:
        pathlib.Path("sink.json").write_text(json.dumps(request))
        print(json.dumps({"ok": True}))
"#;

fn config(more: &str) -> String {
    format!(
        "[[sink]]\nname = \"actions\"\nuri = \"exec:python3 sink.py\"\nfollows = \"app1/*/AWS_ACCESS_KEY_ID\"\n{more}"
    )
}

/// Two users, and a sink that follows the first.
pub(super) fn bench() -> Bench {
    let bench = Bench::with_users(&[USER, "app2/production"]).naming_its_file();
    bench.write("sink.py", SINK);
    bench.write("identity", "one");
    bench.write("rotator.toml", &config(""));
    bench
}

/// Runs the binary, which waits two seconds for the sink.
pub(super) fn run(bench: &Bench, args: &[&str]) -> Ended {
    let mut command = bench.command(args);
    command.env("ROTATOR_AWS_CALL_TIMEOUT", "2s").output().expect("it starts").into()
}

/// Returns the pairs in the sink.
fn has(bench: &Bench) -> Option<(String, String)> {
    let text = std::fs::read_to_string(bench.path("sink.json")).ok()?;
    let request: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(request["follows"], "app1/production/AWS_ACCESS_KEY_ID");
    let text = |name: &str| request[name].as_str().expect("text").to_owned();
    Some((text("access_key_id"), text("secret_access_key")))
}

#[track_caller]
fn assert_follows(bench: &Bench) {
    let (id, secret) = has(bench).expect("it was written");
    assert_eq!(id, bench.key_of(USER));
    assert!(bench.sandbox.accepts(&id, &secret), "the pair in the sink works");
}

fn rotation(bench: &Bench) -> Value {
    let document = run(bench, &["status", "--all", "--output", "json"]).code(0).json();
    let rotations = document["rotations"].as_array().expect("a list");
    rotations.iter().find(|rotation| rotation["user"] == USER).expect("its rotation").clone()
}

#[test]
fn a_sink_gets_what_its_place_has_and_is_reported() {
    let bench = bench();
    let (first, second) = (bench.key_of(USER), bench.key_of("app2/production"));
    run(&bench, &["plan"]).code(0).prints("sink actions follows app1/production/AWS_ACCESS_KEY_ID");
    assert_eq!(has(&bench), None, "a plan writes nothing");
    run(&bench, &["run"]).code(0).prints("2 rotated").prints("sink actions took the new pair of app1/production\n");
    bench.assert_rotated(USER, &first);
    bench.assert_rotated("app2/production", &second);
    assert_follows(&bench);
    let sinks = rotation(&bench)["sinks"].clone();
    assert_eq!(sinks[0]["sink"], "actions");
    assert_eq!(sinks[0]["follows"], "app1/production/AWS_ACCESS_KEY_ID");
    assert_eq!(sinks[0]["acknowledged_key_id"], bench.key_of(USER));
    assert!(sinks[0]["acknowledged_at"].is_string() && sinks[0]["left"] == false, "{sinks}");
    run(&bench, &["doctor"]).code(0).prints("ok    sink         actions");
}

#[test]
fn a_sink_that_takes_nothing_leaves_both_keys_and_says_the_way_out() {
    let bench = bench();
    bench.write("refuses", "");
    let ended =
        run(&bench, &["run"]).code(3).prints("sink actions has not taken the new pair of").says("--leave-sink actions");
    assert!(
        ended.stderr.contains("the server quoted a secret; see its log") && !ended.stderr.contains("no to"),
        "{}",
        ended.stderr
    );
    assert_eq!(rotation(&bench)["state"], "stored-new");
    let keys = bench.sandbox.keys_of(USER);
    assert_eq!(keys.len(), 2, "nothing of the old key goes");
    let stored = run(&bench, &["store", "get", "app1/production/AWS_SECRET_ACCESS_KEY"]).code(0).stdout;
    let journal = std::fs::read(bench.path("journal.db")).expect("there");
    assert!(!ended.stderr.contains(&stored) && memchr::memmem::find(&journal, stored.as_bytes()).is_none());

    let id = rotation(&bench)["id"].as_str().expect("text").to_owned();
    run(&bench, &["resolve", &id, "--leave-sink", "another"]).code(2).says("name one of these: actions");
    std::fs::remove_file(bench.path("refuses")).expect("there");
    run(&bench, &["resume"]).code(0);
    assert_follows(&bench);
}

#[test]
fn an_operator_may_decide_not_to_wait_for_a_sink() {
    let bench = bench();
    bench.write("refuses", "");
    run(&bench, &["run"]).code(3);
    let id = rotation(&bench)["id"].as_str().expect("text").to_owned();
    run(&bench, &["resolve", &id, "--leave-sink", "actions"]).code(0);
    assert_eq!((rotation(&bench)["state"].as_str(), has(&bench)), (Some("deleted-old"), None));
    assert_eq!(rotation(&bench)["sinks"][0]["left"], true);
}

#[test]
fn a_write_that_was_cut_off_is_made_again() {
    let bench = bench();
    bench.write("hangs", "");
    let mut child = bench.start(&["run"]);
    let asked = || std::fs::read_to_string(bench.path("asked")).unwrap_or_default().lines().count();
    for _ in 0..600 {
        if asked() > 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_eq!(asked(), 1, "the sink was asked");
    assert_eq!(rotation(&bench)["in_doubt"], "write-sink");
    assert_eq!(bench.sandbox.keys_of(USER).len(), 2);
    std::fs::remove_file(bench.path("hangs")).expect("there");
    run(&bench, &["resume", "--wait"]).code(0);
    assert_eq!(asked(), 2);
    assert_follows(&bench);
}

#[test]
fn a_sink_that_is_gone_harms_only_the_keys_that_it_follows() {
    let bench = bench();
    let (first, second) = (bench.key_of(USER), bench.key_of("app2/production"));
    bench.write("gone", "");
    run(&bench, &["run"])
        .code(4)
        .prints("the sink actions follows app1/production/AWS_ACCESS_KEY_ID")
        .prints("the target is offline");
    assert_eq!(bench.key_of(USER), first, "no key is made that could not be brought there");
    bench.assert_rotated("app2/production", &second);
    run(&bench, &["doctor"]).code(1).prints("FAIL  sink");
    std::fs::remove_file(bench.path("gone")).expect("there");
    run(&bench, &["run"]).code(0);
    bench.assert_rotated(USER, &first);
    assert_follows(&bench);
}

#[test]
fn another_sink_of_the_same_name_is_not_written() {
    let bench = bench();
    bench.write("fails", "");
    run(&bench, &["run"]).code(3).says("perhaps");
    std::fs::remove_file(bench.path("fails")).expect("there");
    bench.write("identity", "two");
    run(&bench, &["resume"]).code(3).prints("is another one now");
    assert_eq!((has(&bench), bench.sandbox.keys_of(USER).len()), (None, 2));
    bench.write("identity", "one");
    run(&bench, &["resume", "--wait"]).code(0);
    assert_follows(&bench);
}

#[test]
fn an_abort_brings_the_old_pair_back() {
    let bench = bench();
    let read = |name: &str| run(&bench, &["store", "get", &format!("{USER}/{name}")]).code(0).stdout;
    let old = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| (name, read(name)));
    run(&bench, &["run", "--overlap", "1h"]).code(3);
    assert_ne!(has(&bench).expect("written").0, old[0].1, "the sink has the new pair");
    for (name, value) in &old {
        bench.run_with(&["store", "set", &format!("{USER}/{name}")], value).code(0);
    }
    let id = rotation(&bench)["id"].as_str().expect("text").to_owned();
    // The other user's rotation waits, and does not count.
    run(&bench, &["resume", &id]).code(4).prints("the old pair is back in");
    run(&bench, &["abort", &id]).code(0).prints("sink actions took the old pair back of app1");
    assert_eq!(has(&bench), Some((old[0].1.clone(), old[1].1.clone())));
    assert_eq!(bench.key_of(USER), old[0].1);
}

#[test]
fn a_key_that_a_sink_was_given_is_not_rotated_behind_its_back() {
    let bench = bench();
    run(&bench, &["run"]).code(0);
    let key = bench.key_of(USER);
    // The entry that the sink follows gets another value; the pair remains in a document.
    let secret = run(&bench, &["store", "get", "app1/production/AWS_SECRET_ACCESS_KEY"]).code(0).stdout;
    let document = format!("{{\"aws_access_key_id\": \"{key}\", \"aws_secret_access_key\": \"{secret}\"}}");
    bench.run_with(&["store", "set", "app1/production/config"], &document).code(0);
    bench.run_with(&["store", "set", "app1/production/AWS_ACCESS_KEY_ID"], "moved").code(0);
    for command in ["plan", "run"] {
        let ended = run(&bench, &[command, "--older-than", "0s"]);
        assert!(ended.stdout.contains("which does not hold it any more"), "{}\n{}", ended.stdout, ended.stderr);
    }
    assert_eq!(bench.key_of(USER), key);
    // Once nothing reads the key from the sink.
    bench.write("rotator.toml", &config("").replace("app1/*", "app9/*"));
    run(&bench, &["run", "--older-than", "0s"]).code(0);
    assert_ne!(bench.key_of(USER), key);
}

#[test]
fn an_invalid_sink_table_is_refused_with_the_reason() {
    let bench = bench();
    for (text, words) in [
        ("[[sink]]\nfollows = \"a/b/c\"\n", "has no uri"),
        ("[[sink]]\nuri = \"exec:true\"\n", "has no follows"),
        ("[[sink]]\nuri = \"ftp:x\"\nfollows = \"a/b/c\"\n", "cannot be \"ftp:x\""),
        ("[[sink]]\nuri = \"exec:true\"\nfollows = \"a/b/c\"\nstore = \"nowhere\"\n", "cannot be \"nowhere\""),
        ("[[sink]]\nuri = \"exec:true\"\nfolows = \"a/b/c\"\n", "did you mean `follows`?"),
        (
            "[[sink]]\nuri = \"exec:true\"\nfollows = \"a/b/c\"\n[[sink]]\nuri = \"exec:true\"\nfollows = \"a/b/d\"\n",
            "are called exec:true",
        ),
    ] {
        bench.write("rotator.toml", text);
        run(&bench, &["plan"]).code(2).says(words);
    }
}

/// The example for GitHub Actions, with a stand-in for `gh` that keeps what it is given on stdin.
#[test]
fn the_example_for_github_actions_hands_the_pair_to_gh() {
    let bench = bench();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/sink-github-actions");
    bench.write(
        "rotator.toml",
        &format!(
            "[[sink]]\nname = \"actions\"\nuri = \"exec:{example} octo-org/shop live\"\nfollows = \"app1/production/*\"\n"
        ),
    );
    bench.write(
        "gh",
        "#!/bin/sh\nif [ \"$1\" = api ]; then echo 4711; exit; fi\necho \"$@\" >> said\ncat > \"given-$3\"\n",
    );
    std::fs::set_permissions(bench.path("gh"), std::fs::Permissions::from_mode(0o755)).expect("set");
    let path = format!("{}:{}", bench.path("").display(), std::env::var("PATH").expect("a path"));
    let ended: Ended = bench.command(&["run"]).env("PATH", path).output().expect("it starts").into();
    let ended = ended.code(0);
    let given = |name: &str| std::fs::read_to_string(bench.path(&format!("given-AWS_{name}"))).expect("it was set");
    let (id, secret) = (given("ACCESS_KEY_ID"), given("SECRET_ACCESS_KEY"));
    assert_eq!(id, bench.key_of(USER));
    assert!(bench.sandbox.accepts(&id, &secret), "{}", ended.stderr);
    let said = std::fs::read_to_string(bench.path("said")).expect("it was asked");
    let wanted = ["SECRET_ACCESS_KEY", "ACCESS_KEY_ID"]
        .map(|name| format!("secret set AWS_{name} --repo octo-org/shop --env live"));
    assert_eq!(said.lines().collect::<Vec<_>>(), wanted);
}
