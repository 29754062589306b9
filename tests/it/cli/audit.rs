//! `policy --read-only`: what it prints for every kind of store contains nothing that writes.

use serde_json::{Value, json};

use super::bench::{Bench, Ended};

/// One store of each kind that a policy covers; the others need no right of a server.
const STORES: &str = r#"
    [[store]]
    uri = "sqlite:store.db"
    [[store]]
    uri = "file:app"
    [[store]]
    uri = "aws-secretsmanager:team/"
    [[store]]
    uri = "aws-ssm:/apps"
    [[store]]
    uri = "vault:kv/team"
    [[store]]
    uri = "kubernetes:shop"
    [[store]]
    uri = "kubernetes:"
    context = "other"
    [policy]
    quarantine = "7d"
"#;

/// The actions of an IAM policy, the capabilities of one of Vault, and the verbs of Kubernetes' roles.
fn actions(policy: &Value, found: &mut Vec<String>) {
    match policy {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| match name.as_str() {
            "Action" | "capabilities" | "verbs" => {
                let all = value.as_array().expect("a list").iter();
                found.extend(all.map(|action| action.as_str().expect("text").to_owned()));
            }
            _ => actions(value, found),
        }),
        Value::Array(items) => items.iter().for_each(|item| actions(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether this only reads. `sts:AssumeRole` changes nothing, and the role decides what is allowed.
fn reads(action: &str) -> bool {
    let verb = action.rsplit(':').next().unwrap_or_default();
    action == "sts:AssumeRole"
        || ["read", "list", "get"].contains(&verb)
        || ["Get", "BatchGet", "List", "Describe"].iter().any(|begin| verb.starts_with(begin))
}

fn run(bench: &Bench, args: &[&str]) -> Ended {
    bench.command(args).env_remove("ROTATOR_STORE").output().expect("it starts").into()
}

#[test]
fn the_policy_of_an_audit_writes_nothing_in_any_kind_of_store() {
    let bench = Bench::new();
    bench.write("rotator.toml", STORES);
    for kind in
        [&["policy"][..], &["policy", "--account", "123456789012"], &["policy", "--vault"], &["policy", "--kubernetes"]]
    {
        let (mut all, mut audit) = (Vec::new(), Vec::new());
        actions(&run(&bench, kind).code(0).json(), &mut all);
        let printed = run(&bench, &[kind, &["--read-only"]].concat()).code(0);
        actions(&printed.json(), &mut audit);
        assert!(!all.iter().all(|action| reads(action)), "without --read-only {kind:?} writes: {all:?}");
        assert!(!audit.is_empty() && audit.iter().all(|action| reads(action)), "{kind:?}: {audit:?}");
        assert!(
            audit.iter().all(|action| all.contains(action)),
            "{kind:?}: no right that a run does not need: {audit:?}"
        );
        for words in ["put new pairs", "make", "update: ", "patch: "] {
            assert!(!printed.stderr.contains(words), "{kind:?} explains what it does not allow: {}", printed.stderr);
        }
    }
    let roles = run(&bench, &["policy", "--kubernetes", "--read-only"]).json();
    for role in roles["items"].as_array().expect("roles") {
        assert_eq!(role["metadata"]["name"], "rotator-audit", "it must not replace the role that writes");
    }
}

#[test]
fn with_found_an_audit_reaches_only_the_users_with_keys() {
    let bench = Bench::with_users(&["shop/live"]);
    bench.sandbox.add_user("administrator").expect("a user");
    let policy = bench.run(&["policy", "--read-only", "--found"]).code(0).json();
    let users = json!(["arn:aws:iam::123456789012:user/*/shop/live", "arn:aws:iam::123456789012:user/shop/live"]);
    let mut resources = policy["Statement"][0]["Resource"].as_array().expect("a list").clone();
    resources.sort_by_key(Value::to_string);
    assert_eq!(json!(resources), users, "{policy:#}");
    assert_eq!(policy["Statement"][0]["Action"], json!(["iam:ListAccessKeys"]));
}

#[test]
fn with_roles_an_audit_is_warned_that_the_role_decides() {
    let bench = Bench::new();
    let role = "arn:aws:iam::111122223333:role/rotator-audit";
    bench.write(
        "rotator.toml",
        &format!("[[store]]\nuri = \"file:app\"\n[[account]]\nname = \"shop\"\nrole = \"{role}\"\n"),
    );
    let own = run(&bench, &["policy", "--read-only"]).code(0).says("the role decides what is allowed there");
    assert_eq!(own.json()["Statement"][0]["Action"], json!(["sts:AssumeRole"]));
    let mut of_the_role = Vec::new();
    actions(&run(&bench, &["policy", "--read-only", "--account", "shop"]).code(0).json(), &mut of_the_role);
    assert_eq!(of_the_role, ["iam:ListAccessKeys", "iam:GetAccessKeyLastUsed"]);
}
