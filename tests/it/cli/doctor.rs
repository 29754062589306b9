//! `doctor`: one cause is one problem, checks that do not depend on each other do not stop each other, and keys are counted
//! as `plan` counts them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use serde_json::json;

use super::bench::{Bench, Ended};

const VAULT: &str = "vault:secret";

/// A server that answers every request with this status and a body of errors.
fn vault(status: u16, error: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let body = json!({ "errors": [error] }).to_string();
            let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    url
}

fn with_vault<'a>(bench: &Bench, args: &[&str], variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Ended {
    let mut command: Command = bench.command(args);
    command.env("ROTATOR_STORE", VAULT).envs(variables).output().expect("it starts").into()
}

/// The checks that failed, by name.
fn failed(doctor: &Ended) -> Vec<String> {
    let lines = doctor.stdout.lines().filter_map(|line| line.strip_prefix("FAIL"));
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn a_wrong_token_is_one_problem_of_its_store_and_aws_is_checked() {
    let bench = Bench::new();
    let url = vault(403, "permission denied");
    let variables = [("VAULT_ADDR", url.as_str()), ("VAULT_TOKEN", "wrong")];
    let doctor = with_vault(&bench, &["doctor"], variables).code(1).prints("ok    credentials").prints("ok    clock");
    assert_eq!(failed(&doctor), ["store"], "{}", doctor.stdout);
    let doctor = doctor.prints("FAIL  store        vault:secret: Vault did not say what is mounted at secret");
    assert!(!doctor.stdout.contains("could not ask"), "{}", doctor.stdout);
    with_vault(&bench, &["plan"], variables).code(1).says(VAULT);
}

#[test]
fn a_refused_login_names_its_store_and_aws_is_checked() {
    let bench = Bench::new();
    let url = vault(400, "invalid role or secret ID");
    bench.write("rotator.toml", "[[store]]\nuri = \"vault:secret\"\nauth = \"approle\"\nrole = \"shop\"\n");
    let run = |args: &[&str]| {
        let mut command: Command = bench.command(args);
        command.env_remove("ROTATOR_STORE").env("VAULT_ADDR", &url).env("VAULT_SECRET_ID", "not-this-one");
        Ended::from(command.output().expect("it starts")).code(1)
    };
    let doctor = run(&["doctor"]).prints("ok    credentials").prints("vault:secret: failed to log in to Vault");
    assert_eq!(failed(&doctor), ["store"], "{}", doctor.stdout);
    run(&["plan"]).says("vault:secret: failed to log in to Vault with the AppRole shop");
}

#[test]
fn what_the_configuration_of_vault_lacks_is_a_mistake_of_one_kind() {
    let bench = Bench::new();
    let url = vault(403, "permission denied");
    with_vault(&bench, &["plan"], []).code(2).says("vault:secret: failed to find Vault: there is no address");
    let no_token = [("VAULT_ADDR", url.as_str())];
    with_vault(&bench, &["plan"], no_token).code(2).says("vault:secret: failed to log in to Vault: set VAULT_TOKEN");
    for variables in [&[][..], &no_token] {
        let doctor = with_vault(&bench, &["doctor"], variables.iter().copied()).code(1).prints("ok    credentials");
        assert_eq!(failed(&doctor), ["store"], "{}", doctor.stdout);
    }
}

#[test]
fn no_hint_of_doctor_leads_to_doctor() {
    let bench = Bench::new();
    let nowhere = ("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    bench.run_with(&["store", "set", "some/entry/NAME"], "no key").code(0);
    let doctor = bench.run_in(nowhere, &["doctor"]).code(1).prints("FAIL  credentials").prints("check the network");
    assert!(!doctor.stdout.contains("rotator doctor"), "{}", doctor.stdout);
    bench.run_in(nowhere, &["plan"]).code(1).says("or run `rotator doctor`");
    let unknown = ("AWS_ACCESS_KEY_ID", "AKIAUNKNOWNUNKNOWNUN");
    let doctor = bench.run_in(unknown, &["doctor"]).code(1).prints("check AWS_ACCESS_KEY_ID");
    assert!(!doctor.stdout.contains("rotator doctor"), "{}", doctor.stdout);
}

#[test]
fn keys_are_counted_as_plan_counts_them() {
    let bench = Bench::with_users(&["app1/production", "app2/production", "app3/production"]);
    let young = ("ROTATOR_POLICY_OLDER_THAN", "80d");
    bench.run_in(young, &["doctor"]).code(0).prints("keys due: 0, not due yet: 3;");
    bench.run_in(young, &["plan"]).code(0).prints("3 are not due yet");
    let one = ("ROTATOR_POLICY_LIMIT", "1");
    bench.run_in(one, &["doctor"]).code(0).prints("keys due: 1, held back by the limit: 2;");
    bench.run_in(one, &["plan"]).code(0).prints("the limit holds back 2 more");
}

#[test]
fn the_key_that_rotator_itself_uses_is_named_with_its_place() {
    let bench = Bench::with_users(&["app1/production"]);
    let admin = bench.sandbox.admin();
    let entries = json!({
        "rotator/admin/AWS_ACCESS_KEY_ID": admin.id,
        "rotator/admin/AWS_SECRET_ACCESS_KEY": admin.secret.expose(),
    });
    bench.run_with(&["store", "import", "-"], &entries.to_string()).code(0);
    let document = bench.run(&["doctor", "--output", "json"]).code(0).json();
    let checks = document["checks"].as_array().expect("a list");
    let messages: Vec<&str> = checks.iter().filter_map(|check| check["message"].as_str()).collect();
    let named = messages.iter().find(|message| message.contains("rotator itself signs with this key"));
    let named = named.unwrap_or_else(|| panic!("it is not named: {document:#}"));
    assert!(
        named.contains(admin.id.as_str()) && named.contains(" in sqlite:store.db rotator/admin (2 entries): "),
        "{named}"
    );
}

#[test]
fn a_key_of_a_user_with_another_name_is_no_question_of_the_policy() {
    let bench = Bench::new();
    bench.sandbox.add_user("shop-live").expect("a user");
    let key = bench.sandbox.create_key("shop-live").expect("a key");
    let entries = json!({
        "shop/live/AWS_ACCESS_KEY_ID": key.id,
        "shop/live/AWS_SECRET_ACCESS_KEY": key.secret.expose(),
    });
    bench.run_with(&["store", "import", "-"], &entries.to_string()).code(0);
    let doctor = bench.run(&["doctor", "--output", "json"]).code(1);
    assert!(doctor.stdout.contains("says that the key is shop-live's"), "{}", doctor.stdout);
    assert!(doctor.stdout.contains(r#"from = \"aws\""#), "{}", doctor.stdout);
    assert!(!doctor.stdout.contains("compare what is allowed"), "{}", doctor.stdout);
    assert!(!doctor.stdout.contains("OWNER_TEMPLATE"), "{}", doctor.stdout);
    // A variable counts before the file that the message names.
    let doctor = bench.run_in(("ROTATOR_OWNER_TEMPLATE", "svc-{app}"), &["doctor"]).code(1);
    doctor.prints("ROTATOR_OWNER_TEMPLATE is set and overrides rotator.toml: correct it, or unset it first");
}
