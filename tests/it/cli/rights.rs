//! `doctor` asks IAM what it would let a rotation change, without a change.

use std::process::Command;

use rotator::sandbox::Action;

use super::bench::{Bench, Ended};
use crate::support::moto::Moto;

const ADMIN: &str = "rotator-admin";
const ADVICE: &str = "cannot be tested in advance: compare with `rotator policy`";

/// What `doctor` says in its check `permissions`, in one line, and whether it is `ok`, a warning or a failure.
fn permissions(ended: &Ended) -> (String, String) {
    let document = ended.json();
    let checks = document["checks"].as_array().expect("a list");
    let of_iam: Vec<_> = checks.iter().filter(|check| check["name"] == "permissions").collect();
    let [check] = of_iam[..] else { panic!("one check: {document:#}") };
    let result = match (check["ok"].as_bool(), check["warning"].as_bool()) {
        (Some(true), Some(false)) => "ok",
        (Some(true), Some(true)) => "warn",
        _ => "FAIL",
    };
    (result.to_owned(), check["message"].as_str().expect("text").to_owned())
}

fn doctor(bench: &Bench) -> Ended {
    bench.run(&["doctor", "--output", "json"])
}

fn calls(bench: &Bench, action: Action) -> u64 {
    bench.sandbox.calls().get(&action).copied().unwrap_or_default()
}

#[test]
fn what_is_allowed_is_said_with_one_call_for_the_users_and_one_for_the_rest() {
    let bench = Bench::with_users(&["app1/production", "app2/production"]);
    let (result, message) = permissions(&doctor(&bench).code(0));
    assert!(result == "ok" && message.contains("so is what a rotation changes, as IAM simulates it"), "{message}");
    assert_eq!(calls(&bench, Action::SimulatePrincipalPolicy), 2);
    for change in [Action::CreateAccessKey, Action::UpdateAccessKey, Action::DeleteAccessKey] {
        assert_eq!(calls(&bench, change), 0, "{change}");
    }
    bench.run(&["doctor"]).code(0).prints("ok    permissions");
}

#[test]
fn every_action_that_is_denied_is_named_with_its_user_and_the_reason() {
    let bench = Bench::with_users(&["app1/production"]);
    bench.sandbox.deny(ADMIN, "iam:CreateAccessKey", false).expect("a user");
    bench.sandbox.deny(ADMIN, "iam:UpdateAccessKey", true).expect("a user");
    let (result, message) = permissions(&doctor(&bench).code(1));
    assert_eq!(result, "FAIL", "{message}");
    let user = "arn:aws:iam::123456789012:user/app1/production";
    for words in [
        format!("iam:CreateAccessKey: no policy allows it, on {user}"),
        format!("iam:UpdateAccessKey: a policy denies it expressly, on {user}"),
        "compare what is allowed with `rotator policy`".to_owned(),
    ] {
        assert!(message.contains(&words), "{words}: {message}");
    }
    assert!(!message.contains("DeleteAccessKey"), "{message}");
    let text = bench.run(&["doctor"]).code(1).prints("FAIL  permissions").stdout;
    assert_eq!(text.matches("FAIL  ").count(), 1, "{text}");
    // The look-alike also refuses the call itself.
    bench.run(&["run", "--older-than", "0s"]).code(4);
}

#[test]
fn what_this_configuration_does_not_need_may_be_denied() {
    let bench = Bench::with_users(&["app1/production"]);
    bench.write("rotator.toml", "[policy]\nunclaimed = \"report\"\n");
    bench.sandbox.deny(ADMIN, "iam:UpdateAccessKey", true).expect("a user");
    let (result, message) = permissions(&doctor(&bench).code(0));
    assert!(result == "ok" && message.contains("as IAM simulates it"), "{message}");
    let quarantined = bench.run_in(("ROTATOR_POLICY_QUARANTINE", "7d"), &["doctor", "--output", "json"]);
    let (result, message) = permissions(&quarantined.code(1));
    assert!(result == "FAIL" && message.contains("iam:UpdateAccessKey"), "{message}");
}

#[test]
fn without_the_right_to_simulate_doctor_says_so_and_does_not_fail() {
    let bench = Bench::with_users(&["app1/production"]);
    bench.sandbox.deny(ADMIN, "iam:SimulatePrincipalPolicy", false).expect("a user");
    let (result, message) = permissions(&doctor(&bench).code(0));
    assert_eq!(result, "ok", "{message}");
    assert!(message.contains(ADVICE) && message.contains("iam:SimulatePrincipalPolicy is not allowed"), "{message}");
}

/// The right to simulate is not of the least rights, and an audit lacks those to write on purpose.
#[test]
fn the_policy_names_the_right_as_an_optional_one() {
    let bench = Bench::with_users(&["app1/production"]);
    let printed = bench.run(&["policy"]).code(0).says("optional: iam:SimulatePrincipalPolicy");
    assert!(!printed.stdout.contains("Simulate"), "{}", printed.stdout);
    let audit = bench.run(&["policy", "--read-only"]).code(0);
    assert!(!audit.stderr.contains("Simulate"), "{}", audit.stderr);
}

#[test]
fn the_session_of_a_role_is_asked_about_by_its_role() {
    let bench = Bench::with_users(&["app1/production"]);
    let (key, token) = bench.sandbox.issue_session_of_role("rotating", "/ops/").expect("a role");
    let as_role = |args: &[&str]| -> Ended {
        let mut command: Command = bench.command(args);
        command.env("AWS_ACCESS_KEY_ID", key.id.as_str()).env("AWS_SECRET_ACCESS_KEY", key.secret.expose());
        command.env("AWS_SESSION_TOKEN", &token).output().expect("it starts").into()
    };
    let json = ["doctor", "--output", "json"];
    let ended = as_role(&json).code(0);
    assert!(ended.stdout.contains("assumed-role/rotating/session"), "{}", ended.stdout);
    let (result, message) = permissions(&ended);
    assert!(result == "ok" && message.contains("as IAM simulates it"), "{message}");
    bench.sandbox.deny("rotating", "iam:DeleteAccessKey", false).expect("a role");
    let (_, message) = permissions(&as_role(&json).code(1));
    assert!(message.contains("iam:DeleteAccessKey: no policy allows it"), "{message}");
    // Without its path the role cannot be named.
    bench.sandbox.deny("rotating", "iam:GetRole", false).expect("a role");
    let (result, message) = permissions(&as_role(&json).code(0));
    assert!(result == "ok" && message.contains(ADVICE) && message.contains("iam:GetRole"), "{message}");
}

#[test]
fn an_endpoint_that_does_not_know_the_call_is_no_failure() {
    let (moto, bench) = (Moto::start(), Bench::new());
    let mut command = bench.command(&["doctor", "--output", "json"]);
    command.env("AWS_ENDPOINT_URL", format!("http://{}", moto.addr()));
    bench.run_with(&["store", "set", "some/entry/NAME"], "no key").code(0);
    let (result, message) = permissions(&Ended::from(command.output().expect("it starts")).code(0));
    assert_eq!(result, "ok", "{message}");
    assert!(message.contains(ADVICE) && message.contains("may not know the call"), "{message}");
}
