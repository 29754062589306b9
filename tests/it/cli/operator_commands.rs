//! The commands of an operator: `abort`, `reactivate`, `resolve`; and the commands that only report.

use std::time::Duration;

use rotator::sandbox::{Action, ApiError, Fault, FaultKind, KeyStatus};

use super::bench::Bench;

#[test]
fn an_abort_after_the_new_pair_is_stored_is_refused_and_says_where_the_old_secret_may_be() {
    let bench = Bench::with_users(&["app1/production"]);
    let old = bench.key_of("app1/production");
    let secret = bench.run(&["store", "get", "app1/production/AWS_SECRET_ACCESS_KEY"]).code(0).stdout;
    bench.run(&["run", "--overlap", "1h"]).code(3);
    let (id, _) = bench.rotation_of("app1/production");
    let refused = bench
        .run(&["abort", &id])
        .code(2)
        .says(&old)
        .says("`rotator store get --previous app1/production/AWS_SECRET_ACCESS_KEY`");
    refused.says("rotator resolve app1/production --finish");
    let previous = ["store", "get", "--previous", "app1/production/AWS_SECRET_ACCESS_KEY"];
    assert_eq!(bench.run(&previous).code(0).stdout, secret, "it is where the message says");
    assert_eq!(bench.rotation_of("app1/production").1, "stored-new", "nothing was asked of the rotation");
    bench.run(&["resume"]).code(3);

    bench.run(&["resolve", &id, "--finish"]).code(0);
    bench.assert_rotated("app1/production", &old);
    bench.run(&previous).code(1).says("no previous value");
}

#[test]
fn an_operator_who_put_the_old_pair_back_may_abort() {
    let bench = Bench::with_users(&["app1/production"]);
    let old = bench.key_of("app1/production");
    let secret = bench.run(&["store", "get", "app1/production/AWS_SECRET_ACCESS_KEY"]).code(0).stdout;
    bench.run(&["run", "--overlap", "1h"]).code(3);
    let (id, _) = bench.rotation_of("app1/production");
    bench.run(&["resolve", &id, "--delete-key", &old]).code(2).says("asks about no key");
    bench.run_with(&["store", "set", "app1/production/AWS_ACCESS_KEY_ID"], &old).code(0);
    bench.run_with(&["store", "set", "app1/production/AWS_SECRET_ACCESS_KEY"], &secret).code(0);
    let blocked = bench.run(&["resume", &id]).code(4).prints("reverted").prints("\n  rotator abort app1/production\n");
    blocked.prints("`rotator rotate app1/production`");
    bench.run(&["abort", &id]);
    bench.run(&["resume", &id, "--wait"]).code(0).prints("aborted");
    assert_eq!(bench.key_of("app1/production"), old);
    assert_eq!(bench.sandbox.keys_of("app1/production").len(), 1, "the new key is gone");
}

#[test]
fn a_place_that_still_holds_the_new_pair_is_a_way_forward() {
    let bench = Bench::with_users(&["app1/production"]);
    let old = bench.key_of("app1/production");
    let secret = bench.run(&["store", "get", "app1/production/AWS_SECRET_ACCESS_KEY"]).code(0).stdout;
    let copy = serde_json::json!({
        "copy/production/AWS_ACCESS_KEY_ID": old,
        "copy/production/AWS_SECRET_ACCESS_KEY": secret,
    });
    bench.run_with(&["store", "import", "-"], &copy.to_string()).code(0);
    bench.run(&["run", "--overlap", "1h"]).code(3);
    for (name, value) in [("AWS_ACCESS_KEY_ID", &old), ("AWS_SECRET_ACCESS_KEY", &secret)] {
        bench.run_with(&["store", "set", &format!("app1/production/{name}")], value).code(0);
    }
    bench.run(&["resume"]).code(4).prints("reverted").prints("\n  rotator resume app1/production\n");
    for (name, value) in [("AWS_ACCESS_KEY_ID", &old), ("AWS_SECRET_ACCESS_KEY", &secret)] {
        bench.run_with(&["store", "set", &format!("copy/production/{name}")], value).code(0);
    }
    bench.run(&["resume"]).code(4).prints("\n  rotator abort app1/production\n");
}

#[test]
fn an_abort_that_waits_says_what_goes_and_what_stays() {
    let bench = Bench::with_users(&["app1/production"]);
    let old = bench.key_of("app1/production");
    let lost = rotator::sandbox::Fault::new(rotator::sandbox::FaultKind::LostReplyAfter);
    bench.sandbox.arm(lost.on(rotator::sandbox::Action::CreateAccessKey));
    bench.run_in(("ROTATOR_POLICY_SETTLE", "1h"), &["run"]).code(3);
    bench.run(&["abort", "app1/production"]).code(3);
    let story = bench.run(&["status", "app1/production"]).code(0).prints("to be aborted").prints("aborted ");
    let story = story
        .prints(&format!("the old key {old} stays in every place"))
        .prints("to undo   `rotator abort app1/production --undo`");
    assert!(!story.stdout.contains("no new key yet") && !story.stdout.contains("goes on"), "{}", story.stdout);
    for _ in 0..3 {
        bench.sandbox.advance(std::time::Duration::from_secs(7200));
        bench.run(&["resume"]);
    }
    let story = bench.run(&["status", "app1/production"]).code(0).prints("aborted: old key kept");
    assert!(!story.stdout.contains("no new key yet"), "{}", story.stdout);
}

#[test]
fn nothing_can_be_finished_that_is_not_stored() {
    let bench = Bench::with_users(&["app1/production"]);
    let refused = rotator::sandbox::ApiError::new(403, "AccessDenied", "no");
    let denied = rotator::sandbox::FaultKind::Refuse(refused);
    let fault = rotator::sandbox::Fault::new(denied).on(rotator::sandbox::Action::CreateAccessKey);
    bench.sandbox.arm(fault.always());
    bench.run(&["run"]).code(4);
    let (id, _) = bench.rotation_of("app1/production");
    bench.run(&["resolve", &id, "--finish"]).code(2).says("no new pair is stored");
    bench.run(&["abort", &id]).code(0).prints("aborted");
}

#[test]
fn a_deactivated_key_can_be_made_active_again() {
    let bench = Bench::with_users(&["app1/production"]);
    let old = bench.key_of("app1/production");
    bench.run(&["run", "--quarantine", "7d"]).code(3).prints("deactivated-old");
    let (id, _) = bench.rotation_of("app1/production");
    bench.run(&["reactivate", &id]).code(4).says("made active again").prints("does not deactivate it a second time");
    let status = |bench: &Bench| {
        bench.sandbox.keys_of("app1/production").iter().find(|key| *key.id.as_str() == *old).map(|key| key.status)
    };
    assert_eq!(status(&bench), Some(KeyStatus::Active));
    bench.run(&["reactivate", &id]).code(2).says("has not deactivated");
    bench.sandbox.advance(Duration::from_secs(8 * 24 * 3600));
    bench.run(&["resume"]).code(4);
    assert_eq!(status(&bench), Some(KeyStatus::Active), "it is never deactivated or deleted unasked");
    bench.run(&["resolve", &id, "--delete-key", &old]).code(0);
    assert_eq!(status(&bench), None);
    bench.run(&["reactivate", &id]).code(2).says("closed");
}

#[test]
fn a_word_on_the_wrong_key_is_refused() {
    let bench = Bench::with_users(&["app1/production"]);
    let old = bench.key_of("app1/production");
    bench.run(&["run", "--quarantine", "7d"]).code(3);
    let (id, _) = bench.rotation_of("app1/production");
    let keys = bench.sandbox.keys_of("app1/production");
    let new = keys.iter().map(|key| key.id.as_str()).find(|key| *key != old).expect("a new key");
    bench.run(&["resolve", &id, "--delete-key", new]).code(2).says("the new key");
    bench.run(&["resolve", &id, "--delete-key", &old]).code(2).says("asks about no key");
    bench.run(&["resolve", &id, "--keep-key", "AKIAABCDEFGHIJKLMNOP"]).code(2).says("asks about no key");
    bench.run(&["resolve", &id, "--delete-key", "short"]).code(2).says("access key id");
    bench.run(&["resolve", &id]).code(2);
    assert_eq!(bench.sandbox.keys_of("app1/production").len(), 2, "nothing was deleted");
}

#[test]
fn a_rotation_that_is_not_there_is_a_slip_of_the_pen() {
    let bench = Bench::with_users(&["app1/production"]);
    let id = "01900000-0000-7000-8000-000000000000";
    let every = [
        vec!["resume", id],
        vec!["abort", id],
        vec!["reactivate", id],
        vec!["resolve", id, "--keep-key", "AKIAABCDEFGHIJKLMNOP"],
        vec!["status", id],
    ];
    for with_journal in [false, true] {
        if with_journal {
            bench.run(&["run"]).code(0);
        }
        for args in &every {
            let ended = bench.run(args).code(2).says("no rotation 01900000");
            if !with_journal {
                let path = bench.path("journal.db").canonicalize().unwrap_or_else(|_| bench.path("journal.db"));
                ended.says(&format!("there is no journal yet at {}", path.display())).says("--journal FILE");
            }
            assert_eq!(bench.path("journal.db").exists(), with_journal, "{args:?}");
        }
    }
    bench.run(&["abort", "not-an-id"]).code(2);
}

#[test]
fn without_a_journal_status_and_resume_say_so_and_make_none() {
    let bench = Bench::new();
    bench.run(&["status"]).code(0).says("there is no journal yet").prints("nothing in flight");
    bench.run(&["resume"]).code(0).says("there is no journal yet");
    let document = bench.run(&["status", "--output", "json", "--exit-code"]).code(0).json();
    assert_eq!(
        (&document["campaign"], document["rotations"].as_array().map(Vec::len)),
        (&serde_json::Value::Null, Some(0))
    );
    assert!(!bench.path("journal.db").exists());
}

#[test]
fn the_demo_keeps_its_promises() {
    let bench = Bench::new();
    let demo = bench
        .run(&["demo"])
        .code(0)
        .prints("killed (SIGKILL)")
        .prints("app1/production/MY_SECRET: not a byte has changed");
    let demo = demo.prints("app1/staging: deleted-old");
    assert!(!demo.stdout.contains("hunter2"), "no secret is printed");
    let left: Vec<_> = std::fs::read_dir(bench.path("")).expect("readable").collect();
    assert!(left.is_empty(), "nothing is left behind: {left:?}");
}

#[test]
fn the_doctor_tells_what_is_well_and_what_is_not() {
    let bench = Bench::with_users(&["app1/production"]);
    let well = bench.run(&["doctor"]).code(0).prints("account 123456789012").prints("keys due: 1");
    assert!(!well.stdout.contains("FAIL"), "{}", well.stdout);
    assert!(!bench.path("journal.db").exists(), "it changes nothing");
    bench.run_in(("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), &["doctor"]).code(1).prints("FAIL  credentials");
    bench.run_in(("ROTATOR_STORE", "sqlite:none.db"), &["doctor"]).code(1).prints("FAIL  store");
    let document = bench.run(&["doctor", "--output", "json"]).code(0).json();
    let names: Vec<_> =
        document["checks"].as_array().expect("a list").iter().map(|check| check["name"].clone()).collect();
    assert_eq!(names, ["config", "journal", "store", "credentials", "clock", "entries", "permissions"]);
}

#[test]
fn policy_completions_man_init_and_help_work() {
    let bench = Bench::new();
    let policy = bench.run(&["policy", "--account", "123456789012"]).code(0).json();
    assert_eq!(policy["Statement"][0]["Resource"][0], "arn:aws:iam::123456789012:user/*");
    for shell in ["bash", "zsh", "fish"] {
        bench.run(&["completions", shell]).code(0).prints("reactivate");
    }
    bench.run(&["man"]).code(0).prints(".TH ROTATOR 1").prints(".SH STATES");
    bench.run(&["man", "--dir", "man/man1"]).code(0).says("wrote 32 pages to man/man1");
    let page = std::fs::read_to_string(bench.path("man/man1/rotator-run.1")).expect("a page");
    assert!(page.contains(".TH ROTATOR\\-RUN 1") || page.contains(".TH ROTATOR-RUN 1"), "{page}");
    bench.run(&["man", "--dir", "man/man1/rotator.1/below"]).code(1).says("cannot be written");
    bench.run(&["init"]).code(0).says("wrote   rotator.toml");
    assert!(bench.path("store.db").exists(), "init makes the embedded store that ROTATOR_STORE names");
    assert_eq!(bench.run(&["schema", "config"]).code(0).json()["title"], "rotator.toml");
    bench.run(&["init"]).code(2).says("overwrites nothing");
    bench.run(&["status"]).code(0);
    bench.run(&["--help"]).code(0).prints("Exit codes");
    bench.run(&["--version"]).code(0).prints("rotator ");
}

#[test]
fn a_sandbox_is_ready_when_it_says_where() {
    use std::io::{BufRead, BufReader};
    let bench = Bench::new();
    let mut child = bench.start(&["sandbox", "--seed", "shop/production"]);
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut plan = bench.command(&["plan"]);
    for _ in 0..6 {
        let line = lines.next().expect("six lines").expect("text");
        if let Some((name, value)) = line.strip_prefix("export ").and_then(|line| line.split_once('=')) {
            plan.env(name, value.trim_matches('\''));
        }
    }
    let plan = super::bench::Ended::from(plan.output().expect("it starts")).code(0);
    plan.prints("shop-production").prints("1 key is due");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signalled");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

/// A store that is in use, with an entry of the name that a seed would have.
#[test]
fn a_seed_replaces_no_entry_and_fills_no_store_that_holds_any_unless_it_is_named() {
    const ENTRY: &str = "shop/production/AWS_ACCESS_KEY_ID";
    let bench = Bench::new();
    let seed = ["sandbox", "--seed", "shop/production", "--seed", "shop/staging"];
    let named = [&["--store", "sqlite:store.db"][..], &seed].concat();
    bench.run_with(&["store", "set", ENTRY], "in use").code(0);
    // A sandbox whose seed was taken runs until it is killed.
    let refused = |args: &[&str]| -> super::bench::Ended {
        let mut child = bench.start(args);
        let began = std::time::Instant::now();
        while child.try_wait().expect("waited for").is_none() && began.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        super::bench::Ended::from(child.wait_with_output().expect("it ends")).code(2)
    };
    for args in [&seed[..], &named] {
        let ended = refused(args).says("nothing was written").says(ENTRY);
        let ended = ended.says("--store sqlite:sandbox.db sandbox --seed shop/production --seed shop/staging");
        assert!(ended.stdout.is_empty(), "no sandbox runs: {}", ended.stdout);
        bench.run(&["store", "get", ENTRY]).code(0).prints("in use");
        let listed = bench.run(&["store", "list"]).code(0).stdout;
        assert_eq!(listed.trim(), ENTRY, "no other entry was written either");
    }
    // Beside other entries only where the call names the store.
    bench.run_with(&["store", "set", "other/app/KEY"], "in use").code(0);
    bench.run(&["store", "rm", ENTRY]).code(0);
    refused(&seed).says("store.db is not empty (it has other/app/KEY)");
    let mut child = bench.start(&named[..5]);
    let began = std::time::Instant::now();
    while !bench.run(&["store", "list"]).code(0).stdout.contains(ENTRY) {
        assert!(began.elapsed() < Duration::from_secs(20), "nothing is filled");
    }
    bench.run(&["store", "get", "other/app/KEY"]).code(0).prints("in use");
    child.kill().and_then(|()| child.wait()).expect("killed");
}

#[test]
fn reading_is_not_called_allowed_where_the_last_use_is_denied() {
    let bench = Bench::with_users(&["app1/production"]);
    let denied = Fault::new(FaultKind::Refuse(ApiError::new(403, "AccessDenied", "explicit deny")));
    bench.sandbox.arm(denied.on(Action::GetAccessKeyLastUsed).always());
    for overlap in ["0s", "1h"] {
        let reported =
            bench.run_in(("ROTATOR_POLICY_OVERLAP", overlap), &["doctor"]).code(1).prints("FAIL  permissions");
        assert!(
            reported.stdout.contains("GetAccessKeyLastUsed") && !reported.stdout.contains("reading is allowed"),
            "{}",
            reported.stdout
        );
    }
    // A policy that does not need this permission makes its absence a report, not a failure.
    bench.write("rotator.toml", "[policy]\nunclaimed = \"report\"\n");
    bench.run(&["doctor"]).code(0).prints("reading is allowed except for this").prints("GetAccessKeyLastUsed");
}
