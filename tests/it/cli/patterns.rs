//! `--only` and `--exclude` match the user name as IAM spells it, and a pattern without a match is reported.

use std::time::Duration;

use rotator::sandbox::{Behaviour, Sandbox};

use super::bench::{Bench, Ended};

/// A user whose name has nothing in common with the place of its pair.
fn add(bench: &Bench, user: &str, scope: &str) {
    let sandbox: &Sandbox = &bench.sandbox;
    sandbox.add_user(user).expect("a user");
    let key = sandbox.create_key(user).expect("a key");
    let entries = serde_json::json!({
        format!("{scope}/AWS_ACCESS_KEY_ID"): key.id,
        format!("{scope}/AWS_SECRET_ACCESS_KEY"): key.secret.expose(),
    });
    bench.run_with(&["store", "import", "-"], &entries.to_string()).code(0);
}

fn run_with_owner(bench: &Bench, (name, value): (&str, &str), args: &[&str]) -> Ended {
    let text = format!("[owner]\n{name} = {value}\n");
    bench.write("rotator.toml", &text);
    bench.run(args)
}

#[test]
fn a_user_is_left_out_or_taken_in_by_its_name_under_every_owner_setting() {
    for (owner, user) in [
        (("from", "\"aws\""), "alice"),
        (("template", "\"{app}-{environment}\""), "App-Prod"),
        (("table", "{ \"app/prod\" = \"ALICE\" }"), "Alice"),
    ] {
        let bench = Bench::new();
        add(&bench, user, "app/prod");
        add(&bench, "bob", "other/prod");
        let (old, bobs) = (bench.key_of(user), bench.key_of("bob"));
        run_with_owner(&bench, owner, &["run", "--exclude", user, "--exclude", "other/*"]).code(0);
        assert_eq!(bench.key_of(user), old, "{user} was left out");
        run_with_owner(&bench, owner, &["plan", "--only", user]).code(0).prints("1 key is due").prints(&old);
        run_with_owner(&bench, owner, &["run", "--only", user]).code(0).prints("1 rotated");
        assert_ne!(bench.key_of(user), old, "{user} was taken in");
        assert_eq!(bench.key_of("bob"), bobs, "and no other");
    }
}

#[test]
fn only_with_a_pattern_that_matches_no_key_is_a_slip() {
    let bench = Bench::with_users(&["app1/production", "app2/staging"]);
    let old = bench.key_of("app1/production");
    for args in [&["run"][..], &["plan"], &["run", "--dry-run"]] {
        let reported = bench.run(&[args, &["--only", "app1/prodction"]].concat()).code(2);
        reported.says("`app1/prodction`").says("the nearest is `app1/production`");
        let far =
            bench.run(&[args, &["--only", "app1/*", "--only", "nobody"]].concat()).code(2).says("`nobody` of --only");
        assert!(!far.stderr.contains("nearest"), "no name is near: {}", far.stderr);
    }
    let document = bench.run(&["run", "--only", "typo", "--output", "json"]).code(2).json();
    assert!(document["error"]["message"].as_str().is_some_and(|text| text.contains("`typo`")), "{document}");
    assert_eq!(document["rotations"], serde_json::json!([]));
    assert_eq!(bench.key_of("app1/production"), old, "nothing was opened");
    bench.run(&["run", "--only", &old]).code(0).prints("1 rotated");
    // Not due, and found all the same.
    bench.run(&["run", "--only", "app1/*"]).code(0).prints("no key is due");
}

#[test]
fn rotations_in_flight_finish_before_a_mistyped_pattern_is_reported_and_count_as_matches() {
    let bench = Bench::with_users(&["app1/production"]);
    let old = bench.key_of("app1/production");
    bench.run(&["run", "--overlap", "1h"]).code(3);
    bench.run(&["run", "--only", &old]).code(3);
    bench.run(&["run", "--only", "typo"]).code(2).says("1 rotation is in flight");
    bench.sandbox.advance(Duration::from_secs(2 * 3600));
    bench.run(&["run", "--only", "typo"]).code(2);
    bench.assert_rotated("app1/production", &old);
    bench.run(&["status", "--exit-code"]).code(0);
}

#[test]
fn an_exclusion_that_matches_nothing_is_a_warning() {
    let bench = Bench::with_users(&["app1/production"]);
    for args in [&["plan"][..], &["run"]] {
        bench.run(&[args, &["--exclude", "app9/*"]].concat()).code(0).says("`app9/*` of --exclude matches no key");
    }
    assert_eq!(bench.run(&["run", "--exclude", "app1/*"]).code(0).stderr.matches("matches no key").count(), 0);
}

#[test]
fn a_pattern_counts_as_mistyped_only_if_iam_answered() {
    let bench = Bench::new();
    bench.sandbox.set_behaviour(Behaviour { allow_slash_in_user_names: true, ..Behaviour::default() });
    add(&bench, "alice", "app/prod");
    let fault = rotator::sandbox::Fault::new(rotator::sandbox::FaultKind::ServiceUnavailable);
    bench.sandbox.arm(fault.on(rotator::sandbox::Action::ListAccessKeys).always());
    run_with_owner(&bench, ("from", "\"aws\""), &["run", "--only", "alice"]).code(1).says("could be read");
}
