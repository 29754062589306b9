//! IAM denies a question about keys: that is one cause, whatever the number of keys, and no matter of their owners.

use rotator::sandbox::{Action, ApiError, Fault, FaultKind};

use super::bench::{Bench, Ended};

const USERS: [&str; 3] = ["app1/production", "app1/staging", "app2/production"];

fn denied(action: Action) -> Fault {
    Fault::new(FaultKind::Refuse(ApiError::new(403, "AccessDenied", "no"))).on(action).always()
}

/// One paragraph with the number of keys, which leads to what to allow.
#[track_caller]
fn is_told_once(ended: &Ended, action: &str) {
    let text = &ended.stdout;
    let why = format!("3 keys: AWS denies {action} to the credentials in use; the first of them, ");
    assert!(text.contains(&why), "no {why:?} in {text}");
    assert_eq!(text.matches("AccessDenied").count(), 1, "{text}");
    assert!(text.contains("`rotator policy`") && text.contains("#skipped-iam-failed"), "{text}");
    assert!(!text.contains("owner-unknown"), "{text}");
}

#[track_caller]
fn leads_to_the_policy(bench: &Bench, action: &str) {
    is_told_once(&bench.run(&["plan"]).code(0), action);
    is_told_once(&bench.run(&["run", "--yes"]).code(4), action);
    is_told_once(&bench.run(&["status"]).code(0), action);
    let doctor = bench.run(&["doctor"]).code(1).prints("FAIL  permissions").prints("the same for 2 more keys");
    doctor.prints("`rotator policy`");
    let document = bench.run(&["plan", "--output", "json"]).code(0).json();
    let notes = document["skipped"].as_array().expect("a list");
    assert_eq!(notes.len(), 3, "{document:#}");
    for note in notes {
        assert_eq!((&note["reason"], &note["needs_operator"]), (&"iam-failed".into(), &true.into()), "{note:#}");
    }
}

#[test]
fn a_denied_key_list_is_told_once() {
    let bench = Bench::with_users(&USERS);
    bench.sandbox.arm(denied(Action::ListAccessKeys));
    leads_to_the_policy(&bench, "iam:ListAccessKeys");
}

#[test]
fn a_denied_question_whose_a_key_is_says_nothing_of_its_owner() {
    for file in ["[owner]\nfrom = \"aws\"\n", "[owner]\ntemplate = \"{app}-{environment}\"\n"] {
        let bench = Bench::with_users(&USERS);
        bench.write("rotator.toml", file);
        bench.sandbox.arm(denied(Action::GetAccessKeyLastUsed));
        leads_to_the_policy(&bench, "iam:GetAccessKeyLastUsed");
    }
}
