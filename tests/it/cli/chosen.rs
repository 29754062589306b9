//! `only`, `exclude` and `limit` in rotator.toml, in the environment and as flags of `run` and `plan`.

use rotator::sandbox::{Action, Fault, FaultKind};
use serde_json::Value;

use super::bench::{Bench, Ended};

const USERS: [&str; 3] = ["app1/production", "app2/production", "app3/production"];

/// The users in a list of `plan`.
fn users(planned: &Ended, list: &str) -> Vec<String> {
    let document = planned.json();
    let keys = document[list].as_array().expect("a list");
    keys.iter().map(|key| key["user"].as_str().expect("a user").to_owned()).collect()
}

fn plan(bench: &Bench, flags: &[&str]) -> Ended {
    bench.run(&[&["plan", "--output", "json"], flags].concat()).code(0)
}

#[test]
fn the_settings_choose_keys_and_a_flag_replaces_its_setting() {
    let bench = Bench::with_users(&USERS);
    bench.write("rotator.toml", "[policy]\nonly = [\"app1/*\", \"app2/*\"]\nexclude = \"app2/*\"\n");
    let planned = plan(&bench, &[]);
    assert_eq!(users(&planned, "due"), [USERS[0]]);
    let document = planned.json();
    let said = |user: &str| {
        let skipped = document["skipped"].as_array().expect("a list");
        let of_user = |note: &&Value| note["places"][0]["entry"].as_str().is_some_and(|entry| entry.starts_with(user));
        skipped.iter().find(of_user).expect("a note")["message"].as_str().expect("text").to_owned()
    };
    assert_eq!(
        (said(USERS[1]), said(USERS[2])),
        ("left out by [policy] exclude".into(), "left out by [policy] only".into())
    );
    assert_eq!(users(&plan(&bench, &["--only", "app3/*"]), "due"), [USERS[2]]);
    let variable = ("ROTATOR_POLICY_EXCLUDE", "app1/*");
    bench.run_in(variable, &["run"]).code(0).prints("1 rotated");
    assert_eq!(users(&plan(&bench, &["--older-than", "0s", "--exclude", "x/*"]), "due"), [USERS[0], USERS[1]]);
    bench.write("rotator.toml", "[policy]\nonly = \"app9/*\"\n");
    bench.run(&["run"]).code(2).says("`app9/*` of [policy] only matches no key");
}

#[test]
fn a_limit_takes_the_oldest_keys_and_plan_says_how_many_it_holds_back() {
    let bench = Bench::new();
    for user in USERS.iter().rev() {
        bench.add(user);
        bench.sandbox.advance(std::time::Duration::from_secs(3600));
    }
    bench.write("rotator.toml", "[policy]\nlimit = 1\n");
    let planned = plan(&bench, &[]);
    assert_eq!((users(&planned, "due"), users(&planned, "held_back").len()), (vec![USERS[2].to_owned()], 2));
    bench.run(&["plan"]).code(0).prints("1 key is due").prints("the limit holds back 2 more");
    let planned = plan(&bench, &["--limit", "2"]);
    assert_eq!(
        (users(&planned, "due"), users(&planned, "held_back")),
        (USERS[1..].iter().map(|u| (*u).to_owned()).collect(), vec![USERS[0].to_owned()])
    );
    let old = bench.key_of(USERS[2]);
    bench.run(&["run"]).code(3).prints("2 due but not rotated yet");
    bench.assert_rotated(USERS[2], &old);
    assert!(!bench.run(&["plan", "--limit", "9"]).code(0).stdout.contains("holds back"));
}

/// The id of a rotated key is that of no key any more, and `plan --only` refuses it.
#[test]
fn the_command_that_a_run_names_for_the_skipped_keys_works() {
    let bench = Bench::with_users(&USERS);
    let (old, user) = (bench.key_of(USERS[0]), USERS[1]);
    for name in [&old[..], user] {
        let ran = bench.run(&["run", "--only", name]).code(0).prints("2 not chosen by --only (`rotator plan");
        let command = ran.stdout.split('`').nth(1).expect("a command").replace('\n', " ");
        let args: Vec<&str> = command.split_whitespace().skip(1).collect();
        bench.run(&args).code(0);
        assert_eq!(args.contains(&"--only"), name == user, "{command}");
    }
}

#[test]
fn a_name_of_rotate_that_matches_nothing_is_said_to_be_one() {
    let bench = Bench::with_users(&USERS);
    let ended = bench.run(&["rotate", "nobody", "--yes"]).code(2);
    ended.says("`nobody` of the keys named on the command line matches no key");
}

/// What AWS did not say enough about may be due or not.
#[test]
fn keys_that_aws_did_not_say_enough_about_are_not_counted_as_due() {
    let bench = Bench::with_users(&USERS);
    bench.write("rotator.toml", "[owner]\nfrom = \"aws\"\n");
    bench.sandbox.arm(Fault::new(FaultKind::ServiceUnavailable).on(Action::GetAccessKeyLastUsed).always());
    let short = ("ROTATOR_AWS_CALL_TIMEOUT", "500ms");
    let ran = bench.run_in(short, &["run"]).code(3).prints("nothing in flight, AWS did not say enough about 3 keys: ");
    let asked = [bench.run(&["status"]).code(0), bench.run(&["resume"])];
    for ended in asked.into_iter().chain([ran]) {
        assert!(ended.stdout.contains("AWS did not say enough about 3 keys"), "{}", ended.stdout);
        assert!(!ended.stdout.contains("not rotated yet"), "{}", ended.stdout);
    }
    bench.sandbox.disarm_all();
    bench.run(&["run"]).code(0).prints("3 rotated");
}
