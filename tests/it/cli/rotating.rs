//! `run`, `plan`, `resume` and `status` on success, and the exit codes when a rotation waits or needs an operator.

use std::time::{Duration, Instant};

use rotator::sandbox::{Action, Behaviour, Fault, FaultKind, KeyStatus};
use serde_json::json;

use super::bench::Bench;

#[test]
fn a_run_rotates_every_key_and_leaves_the_rest_as_it_is() {
    let bench = Bench::with_users(&["app1/production", "app1/staging"]);
    let others = json!({ "app1/production/MY_SECRET": "hunter2\n", "site/production/URL": "postgres://a:b@c/d" });
    bench.run_with(&["store", "import", "-"], &others.to_string()).code(0);
    let old = ["app1/production", "app1/staging"].map(|user| (user, bench.key_of(user)));

    bench.run(&["run"]).code(0).says("deleted at once").prints("2 rotated");
    for (user, old) in &old {
        bench.assert_rotated(user, old);
        assert_eq!(bench.rotation_of(user).1, "deleted-old");
    }
    assert_eq!(bench.run(&["store", "get", "app1/production/MY_SECRET"]).code(0).stdout, "hunter2\n");
    assert_eq!(bench.run(&["store", "get", "site/production/URL"]).code(0).stdout, "postgres://a:b@c/d");
    bench.run(&["resume"]).code(0).prints("2 rotated");
    bench.run(&["status", "--exit-code"]).code(0).prints("2 rotated");
}

#[test]
fn a_plan_changes_nothing_and_makes_no_journal() {
    let bench = Bench::with_users(&["app1/production"]);
    let lone = json!({ "x/y/AWS_ACCESS_KEY_ID": "AKIAABCDEFGHIJKLMNOP" });
    bench.run_with(&["store", "import", "-"], &lone.to_string()).code(0);
    let old = bench.key_of("app1/production");
    for args in [&["plan"][..], &["run", "--dry-run"]] {
        let plan = bench.run(args).code(0).says("deleted at once").prints("1 key is due").prints(&old);
        plan.prints("x/y/AWS_ACCESS_KEY_ID");
    }
    let document = bench.run(&["plan", "--output", "json"]).code(0).json();
    assert_eq!(document["version"], 1);
    assert_eq!(document["due"][0]["user"], "app1/production");
    assert_eq!(document["due"][0]["key_id"], old.as_str());
    assert_eq!(document["due"][0]["places"][0]["entry"], "app1/production/AWS_ACCESS_KEY_ID");
    assert_eq!(document["skipped"][0]["reason"], "id-without-secret");
    assert!(!bench.path("journal.db").exists(), "no journal was made");
    assert_eq!(bench.key_of("app1/production"), old);
    bench.run(&["plan", "--older-than", "1d"]).code(0).prints("no key is due");
    bench.run(&["plan", "--exclude", "app1/*"]).code(0).prints("no key is due");
}

#[test]
fn the_document_is_the_same_for_run_resume_and_status() {
    let bench = Bench::with_users(&["app1/production"]);
    let run = bench.run(&["run", "--output", "json"]).code(0).json();
    let shape = |value: &serde_json::Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(shape(&run), ["version", "campaign", "rotations", "skipped", "counts"]);
    let rotation = &run["rotations"][0];
    assert_eq!(
        shape(rotation),
        [
            "id",
            "account",
            "user",
            "old_key_id",
            "new_key_id",
            "state",
            "in_doubt",
            "blocked",
            "waiting_until",
            "attempts",
            "last_error",
            "places",
            "opened_at",
            "updated_at"
        ]
    );
    assert_eq!((&rotation["state"], &rotation["account"]), (&json!("deleted-old"), &json!("123456789012")));
    assert_eq!(rotation["new_key_id"], bench.key_of("app1/production").as_str());
    assert_eq!(
        run["counts"],
        json!({ "in_flight": 0, "waiting": 0, "blocked": 0, "done": 1, "aborted": 0, "gone": 0, "needs_operator": 0 })
    );

    let id = rotation["id"].as_str().expect("an id");
    for args in [&["status", id][..], &["status", "--all"], &["resume", id]] {
        let other = bench.run(&[args, &["--output", "json"]].concat()).code(0).json();
        assert_eq!(other["rotations"], run["rotations"], "{args:?}");
        assert_eq!(shape(&other), shape(&run), "{args:?}");
        assert_eq!(other["counts"], run["counts"], "{args:?}");
    }
    let open = bench.run(&["status", "--output", "json"]).code(0).json();
    assert_eq!(open["rotations"], json!([]));
}

#[test]
fn five_hundred_entries_are_no_trouble() {
    let bench = Bench::new();
    let mut entries = serde_json::Map::new();
    for number in 0..100 {
        let user = format!("app{number}/production");
        bench.sandbox.add_user(&user).expect("a user");
        let key = bench.sandbox.create_key(&user).expect("a key");
        entries.insert(format!("{user}/AWS_ACCESS_KEY_ID"), key.id.as_str().into());
        entries.insert(format!("{user}/AWS_SECRET_ACCESS_KEY"), key.secret.expose().into());
        for other in ["A", "B", "C"] {
            entries.insert(format!("{user}/{other}"), format!("value {other} {number}").into());
        }
    }
    bench
        .run_with(&["store", "import", "-"], &serde_json::Value::Object(entries).to_string())
        .code(0)
        .says("500 entries");
    assert_eq!(bench.run(&["store", "list"]).code(0).stdout.lines().count(), 500);
    let began = Instant::now();
    let document = bench.run(&["run", "--output", "json"]).code(0).json();
    assert_eq!(document["counts"]["done"], 100);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert_eq!(bench.sandbox.all_keys().len(), 101, "one key for each user and the administrator's");
}

#[test]
fn a_waiting_rotation_ends_with_three_and_says_until_when() {
    let bench = Bench::with_users(&["app1/production"]);
    let args = ["run", "--overlap", "1h", "--quarantine", "7d", "--output", "json"];
    let document = bench.run(&args).code(3).says("again after").json();
    assert_eq!(
        document["counts"],
        json!({ "in_flight": 1, "waiting": 1, "blocked": 0, "done": 0, "aborted": 0, "gone": 0, "needs_operator": 0 })
    );
    assert_eq!(document["rotations"][0]["state"], "stored-new");
    assert!(document["rotations"][0]["waiting_until"].as_str().is_some_and(|time| time.ends_with('Z')));
    bench.run(&["status"]).code(0).prints("old key off in 1 h").prints("`rotator resume` continues after");
    bench.run(&["status", "--exit-code"]).code(3);
    bench.run(&["resume"]).code(3);

    bench.sandbox.advance(Duration::from_secs(3 * 3600));
    bench.run(&["resume"]).code(3).prints("deactivated-old");
    assert!(bench.keeps_previous("app1/production"), "the previous value is kept until the rotation closes");
    bench.sandbox.advance(Duration::from_secs(8 * 24 * 3600));
    bench.run(&["resume"]).code(0).prints("1 rotated");
    assert!(!bench.keeps_previous("app1/production"), "and no longer");
    assert_eq!(bench.sandbox.keys_of("app1/production").len(), 1);
}

#[test]
fn a_key_that_iam_does_not_list_yet_is_looked_at_again() {
    let bench = Bench::with_users(&["app1/production"]);
    bench.run(&["run"]).code(0);
    bench.sandbox.set_behaviour(Behaviour {
        allow_slash_in_user_names: true,
        new_keys_invisible_for: Duration::from_secs(30),
        ..Behaviour::default()
    });
    let user = "app2/production";
    bench.add(user);
    let old = bench.run(&["store", "get", &format!("{user}/AWS_ACCESS_KEY_ID")]).code(0).stdout;
    bench.run(&["run", "--only", user]).code(3).prints("AWS did not say enough about 1 key");
    bench.sandbox.advance(Duration::from_secs(31));
    bench.sandbox.set_behaviour(Behaviour { allow_slash_in_user_names: true, ..Behaviour::default() });
    bench.run(&["run", "--only", user]).code(0);
    bench.assert_rotated(user, &old);
}

#[test]
fn a_wait_can_be_waited_out() {
    let bench = Bench::with_users(&["app1/production"]);
    let old = bench.key_of("app1/production");
    let began = Instant::now();
    bench.run(&["run", "--overlap", "2s", "--quarantine", "2s", "--wait"]).code(0);
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    bench.assert_rotated("app1/production", &old);
}

#[test]
fn a_wait_hears_a_signal() {
    let bench = Bench::with_users(&["app1/production"]);
    let child = bench.start(&["run", "--overlap", "1h", "--wait"]);
    while bench.sandbox.keys_of("app1/production").len() < 2 {
        std::thread::sleep(Duration::from_millis(20));
    }
    while bench.rotation_of("app1/production").1 != "stored-new" {
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it lives");
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(143), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn two_keys_already_need_an_operator() {
    let bench = Bench::with_users(&["app1/production", "app2/production"]);
    let spare = bench.sandbox.create_key("app1/production").expect("a second key").id;
    let run = bench.run(&["run"]).code(4).prints(spare.as_str()).prints("has a second key");
    run.prints("1 rotated").prints("1 needs an operator");
    bench.run(&["status"]).code(0).prints("has a second key");
    bench.run(&["status", "--exit-code"]).code(4);
    // Nothing is in flight, and that is all that resume judges.
    bench.run(&["resume"]).code(0).prints("has a second key").prints("1 needs an operator");
    bench.sandbox.delete_key("app1/production", spare.as_str()).expect("deleted");
    bench.run(&["run"]).code(0).prints("1 rotated");
    assert_eq!(bench.sandbox.calls()[&Action::CreateAccessKey], 2, "none twice");
}

#[test]
fn an_inactive_spare_goes_where_the_policy_says_so() {
    let bench = Bench::with_users(&["app1/production"]);
    let old = bench.key_of("app1/production");
    let spare = bench.sandbox.create_key("app1/production").expect("a second key").id;
    bench.sandbox.set_status("app1/production", spare.as_str(), KeyStatus::Inactive).expect("set");
    bench.write("rotator.toml", "[policy]\nspare_key = \"delete-inactive\"\n");
    bench.run(&["run"]).code(0);
    bench.assert_rotated("app1/production", &old);
}

#[test]
fn a_limit_leaves_the_rest_for_the_next_run() {
    let bench = Bench::with_users(&["a/p", "b/p", "c/p"]);
    bench.run(&["run", "--limit", "2"]).code(3).prints("1 due but not rotated yet");
    bench.run(&["status"]).code(0).prints("1 due key is not rotated yet");
    bench.run(&["run", "--limit", "2"]).code(0);
    bench.run(&["status", "--all"]).code(0).prints("3 rotated");
    assert_eq!(bench.sandbox.calls()[&Action::CreateAccessKey], 3, "none twice");
}

#[test]
fn iam_out_of_reach_is_one_and_with_a_rotation_open_three() {
    let bench = Bench::with_users(&["app1/production"]);
    let nowhere = ("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    bench.run_in(nowhere, &["run"]).code(1).says("find out whose credentials");
    bench.run(&["run", "--overlap", "1h"]).code(3);
    let run = bench.run_in(nowhere, &["run", "--output", "json"]).code(3).says("1 rotation is in flight");
    assert_eq!(run.json()["counts"]["in_flight"], 1, "the document is there all the same");
    bench.run_in(nowhere, &["resume"]).code(3);
    bench.run_in(nowhere, &["status"]).code(0).prints("stored-new");
    bench.run_in(nowhere, &["store", "list"]).code(0);
    bench.run_in(("ROTATOR_STORE", "sqlite:other.db"), &["run"]).code(3).says("other.db");
    assert!(!bench.path("other.db").exists(), "a missing store is an error, not a new one");
}

#[test]
fn a_rotation_that_gives_up_by_itself_is_three_and_the_next_run_does_it() {
    let bench = Bench::with_users(&["app1/production"]);
    let old = bench.key_of("app1/production");
    let never = Fault::new(FaultKind::Refuse(rotator::sandbox::ApiError::new(403, "InvalidClientTokenId", "no")));
    bench.sandbox.arm(never.on(Action::GetCallerIdentity).for_user("app1/production").nth(2).always());
    bench.run(&["run", "--proof-timeout", "1s"]).code(3).prints("aborted");
    assert_eq!(bench.key_of("app1/production"), old, "the new key is discarded, the old one untouched");
    bench.sandbox.disarm_all();
    bench.run(&["run"]).code(0);
    bench.assert_rotated("app1/production", &old);
}

/// To be asked to slow down, or not to be answered, says nothing of the new pair: it is not given up for it as soon as for
/// a no.
#[test]
fn a_proof_that_is_throttled_or_not_answered_is_waited_for() {
    for kind in [FaultKind::Throttle, FaultKind::ServiceUnavailable] {
        let bench = Bench::with_users(&["app1/production"]);
        let old = bench.key_of("app1/production");
        // The first call that the user's pairs sign is the old one's; then one proof is asked for six times, with seconds
        // in between.
        bench.sandbox.arm(Fault::new(kind).on(Action::GetCallerIdentity).for_user("app1/production").nth(2).times(7));
        bench.run_in(("ROTATOR_POLICY_PROOF_TIMEOUT", "3s"), &["run"]).code(0).prints("1 rotated");
        bench.assert_rotated("app1/production", &old);
        assert_eq!(bench.sandbox.calls().get(&Action::CreateAccessKey), Some(&1), "no key was made in vain");
    }
}
