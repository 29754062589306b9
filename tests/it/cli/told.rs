//! What is said to an operator: the true cause, what is really waited for, and where a setting is from.

use std::net::TcpListener;

use rotator::adapters::sqlite_journal::JournalLock;
use rotator::sandbox::{Action, Fault, FaultKind};

use super::bench::Bench;

const USER: &str = "app1/production";

/// An endpoint of this machine at which nothing listens.
fn nothing_there() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}", listener.local_addr().expect("bound"))
}

#[test]
fn where_aws_does_not_answer_the_endpoint_is_named_and_no_credentials_are_blamed() {
    let bench = Bench::with_users(&[USER]);
    let there = nothing_there();
    let told = |ended: &super::bench::Ended| {
        let text: String = ended.stdout.replace("\n", " ") + &ended.stderr.replace("\n", " ");
        let words: Vec<&str> = text.split_whitespace().collect();
        words.join(" ")
    };
    for command in ["plan", "doctor"] {
        let text = told(&bench.run_in(("AWS_ENDPOINT_URL", &there), &[command]).code(1));
        for words in [
            &format!("no whole answer from {there}: Connection refused")[..],
            "check the network and what AWS_ENDPOINT_URL says (is `rotator sandbox` still running?)",
        ] {
            assert!(text.contains(words), "{command}: {text}");
        }
        assert!(!text.contains("and the credentials") && !text.contains("own AWS credentials"), "{command}: {text}");
    }
    let unknown = bench.run_in(("AWS_ACCESS_KEY_ID", "AKIAUNKNOWNUNKNOWNUN"), &["plan"]).code(1);
    let text = told(&unknown.says("check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"));
    assert!(!text.contains("check the network"), "{text}");
}

#[test]
fn a_rotation_at_which_another_process_works_is_not_one_to_resume() {
    let bench = Bench::with_users(&[USER]);
    bench.sandbox.arm(Fault::new(FaultKind::LostReplyAfter).on(Action::CreateAccessKey));
    bench.run_in(("ROTATOR_POLICY_SETTLE", "1h"), &["run"]).code(3);
    bench.sandbox.advance(std::time::Duration::from_secs(3 * 3600));
    let held = JournalLock::acquire(&bench.path("journal.db")).expect("nobody has it");
    let at_work = format!("another rotator is at work (pid {})", std::process::id());
    let status = bench.run(&["status"]).code(0).prints(&at_work);
    assert!(!status.stdout.contains("rotator resume"), "{}", status.stdout);
    drop(held);
    let status = bench.run(&["status"]).code(0).prints("`rotator resume` continues");
    assert!(!status.stdout.contains("at work"), "{}", status.stdout);
}

#[test]
fn a_rotation_opened_with_now_says_what_comes_after_a_lost_create() {
    let bench = Bench::with_users(&[USER]);
    bench.sandbox.arm(Fault::new(FaultKind::LostReplyAfter).on(Action::CreateAccessKey));
    bench.run_in(("ROTATOR_POLICY_SETTLE", "1h"), &["rotate", USER, "--now", "--yes"]).code(3);
    bench.run(&["status", USER]).code(0).prints("old key deleted without a wait");
}

#[test]
fn what_only_did_not_choose_is_told_so_by_a_later_resume() {
    let bench = Bench::with_users(&[USER, "app2/production", "app3/production"]);
    bench.run(&["run", "--only", "app[12]*", "--limit", "1", "--overlap", "1h"]).code(3);
    let resumed = bench
        .run(&["resume"])
        .code(3)
        .prints("skipped by the latest `rotator run`: 1 not chosen by its --only (`rotator plan` shows every key)");
    assert!(!resumed.stdout.contains("excluded"), "{}", resumed.stdout);
}

#[test]
fn doctor_names_a_variable_that_replaces_a_setting_of_the_file() {
    let bench = Bench::with_users(&[USER]);
    bench.write("rotator.toml", "[owner]\ntemplate = \"x-{app}\"\n");
    let doctor = bench.run(&["doctor"]);
    assert!(!doctor.stdout.contains("not from the file"), "{}", doctor.stdout);
    bench
        .run_in(("ROTATOR_OWNER_TEMPLATE", "{app}/{environment}"), &["doctor"])
        .code(0)
        .prints("[owner] template is from the environment (ROTATOR_OWNER_TEMPLATE), not from the file");
}

#[test]
fn a_secret_id_that_is_not_there_is_a_failure_of_the_credentials() {
    let bench = Bench::new();
    let vault =
        "[[store]]\nuri = \"vault:secret\"\naddress = \"http://127.0.0.1:1\"\nauth = \"approle\"\nrole = \"x\"\n";
    let missing = bench.path("none");
    bench.write("rotator.toml", &format!("{vault}secret_id_file = \"{}\"\n", missing.display()));
    let mut plan = bench.command(&["--config", "rotator.toml", "plan"]);
    let plan: super::bench::Ended = plan.env_remove("ROTATOR_STORE").output().expect("it starts").into();
    plan.code(1).says(&format!("failed to log in to Vault with the secret id in {}", missing.display()));
}
