//! A failure of rotator's own credentials blocks no rotation, ends the run with exit code 1, and names their source.

use std::io::{BufRead, BufReader};

use rotator::sandbox::{Action, ApiError, Fault, FaultKind, KeyStatus};
use serde_json::json;

use super::bench::Bench;
use crate::support::bao::Bao;

const USERS: [&str; 3] = ["app1/production", "app1/staging", "app2/production"];

fn expired(action: Action) -> Fault {
    let refusal = ApiError::new(403, "ExpiredToken", "The security token included in the request is expired");
    Fault::new(FaultKind::Refuse(refusal)).on(action).always()
}

fn calls(bench: &Bench, action: Action) -> u64 {
    bench.sandbox.calls().get(&action).copied().unwrap_or_default()
}

/// Nothing is blocked and no key counts as failing.
#[track_caller]
fn assert_unharmed(bench: &Bench) {
    let document = bench.run(&["status", "--output", "json"]).code(0).json();
    for rotation in document["rotations"].as_array().expect("a list") {
        assert_eq!(rotation["blocked"], json!(null), "{rotation:#}");
    }
    assert_eq!(document["counts"]["needs_operator"], 0, "{document:#}");
}

#[test]
fn a_session_that_ends_in_the_middle_of_a_run_ends_it_with_one_and_is_used_no_more() {
    let bench = Bench::with_users(&USERS);
    let old = USERS.map(|user| bench.key_of(user));
    bench.run(&["run", "--overlap", "1h"]).code(3);
    bench.sandbox.advance(std::time::Duration::from_secs(4_000));
    bench.sandbox.arm(expired(Action::ListAccessKeys));
    for _ in 0..4 {
        let before = calls(&bench, Action::ListAccessKeys);
        bench
            .run(&["run", "--overlap", "1h", "--concurrency", "1"])
            .code(1)
            .says("rotator's own AWS credentials (from the environment, AWS_ACCESS_KEY_ID) failed")
            .says("ExpiredToken")
            .says("is blocked by nothing");
        assert_eq!(calls(&bench, Action::ListAccessKeys) - before, 1, "the others are not asked with dead credentials");
    }
    bench.run(&["resume"]).code(1).says("ExpiredToken");
    assert_unharmed(&bench);
    bench.sandbox.disarm_all();
    bench.run(&["resume"]).code(0).prints("3 rotated");
    for (user, old) in USERS.iter().zip(&old) {
        bench.assert_rotated(user, old);
    }
}

#[test]
fn a_create_that_the_credentials_are_too_old_for_blocks_nothing_and_is_not_repeated() {
    let bench = Bench::with_users(&USERS[..1]);
    let old = bench.key_of(USERS[0]);
    bench.sandbox.arm(expired(Action::CreateAccessKey));
    let document = bench.run(&["run", "--output", "json"]).code(1).says("ExpiredToken").json();
    assert!(
        document["error"]["message"].as_str().is_some_and(|text| text.contains("own AWS credentials")),
        "{document:#}"
    );
    assert_eq!(calls(&bench, Action::CreateAccessKey), 1, "the one that was refused");
    assert_eq!(bench.rotation_of(USERS[0]).1, "opened");
    assert_unharmed(&bench);
    bench.sandbox.disarm_all();
    bench.run(&["run"]).code(0).prints("1 rotated");
    bench.assert_rotated(USERS[0], &old);
}

#[test]
fn a_key_of_rotators_own_that_is_off_ends_the_run_with_one_whatever_is_in_flight() {
    let bench = Bench::with_users(&USERS[..1]);
    bench.run(&["run", "--overlap", "1h"]).code(3);
    let admin = bench.sandbox.admin();
    let user = "rotator-admin";
    bench.sandbox.set_status(user, admin.id.as_str(), KeyStatus::Inactive).expect("set");
    let ended = bench.run(&["run"]).code(1).says("InvalidClientTokenId").says("check AWS_ACCESS_KEY_ID, AWS_SECRET_");
    assert!(!ended.stderr.contains("AWS_PROFILE"), "no profile is in use: {}", ended.stderr);
    bench.write("config", "[profile dev]\ncredential_process = /bin/false\n");
    let mut of_profile = bench.command(&["resume"]);
    of_profile.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    of_profile.env("AWS_PROFILE", "dev").env("AWS_CONFIG_FILE", bench.path("config"));
    super::bench::Ended::from(of_profile.output().expect("it starts"))
        .code(1)
        .says("`dev`")
        .says("check AWS_PROFILE")
        .says("credential_process");
    assert_unharmed(&bench);
    bench.sandbox.set_status(user, admin.id.as_str(), KeyStatus::Active).expect("set");
    bench.sandbox.advance(std::time::Duration::from_secs(4_000));
    bench.run(&["run"]).code(0);
}

/// Starts `run --wait`, which must soon report that it tries again, and then sends it SIGTERM.
#[track_caller]
fn says_that_it_tries_again(bench: &Bench) {
    let mut run = bench.start(&["run", "--overlap", "1h", "--wait"]);
    let mut said = BufReader::new(run.stderr.take().expect("a pipe")).lines();
    let (sender, reported) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let found = said.by_ref().map_while(Result::ok).find(|line| line.contains("tries again in 5 minutes"));
        sender.send(found).expect("there is a test");
        said.map_while(Result::ok).collect::<Vec<String>>()
    });
    let reported = reported.recv_timeout(std::time::Duration::from_secs(30)).ok().flatten();
    rustix::process::kill_process(rustix::process::Pid::from_child(&run), rustix::process::Signal::TERM).expect("sent");
    let code = run.wait().expect("it ends").code();
    let rest = reading.join().expect("read");
    assert_eq!(code, Some(143), "{reported:?}\n{rest:?}");
    assert!(
        reported.is_some_and(|line| line.contains("ExpiredToken") && line.contains("AWS_ACCESS_KEY_ID")),
        "{rest:?}"
    );
}

/// The next pass is five minutes off; a signal is heard meanwhile.
#[test]
fn wait_says_when_it_tries_again_and_hears_a_signal() {
    let bench = Bench::with_users(&USERS[..2]);
    bench.sandbox.arm(expired(Action::ListAccessKeys));
    says_that_it_tries_again(&bench);
    assert_unharmed(&bench);
}

/// One that waits for its overlap needs no credentials before that; but its wait is not to be the run's.
#[test]
fn the_long_wait_of_one_rotation_does_not_put_the_next_try_off() {
    let bench = Bench::with_users(&USERS[..2]);
    bench.run(&["run", "--overlap", "1h", "--only", USERS[0]]).code(3);
    bench.sandbox.arm(expired(Action::DeleteAccessKey));
    bench.run(&["run", "--only", USERS[1]]).code(1).says("ExpiredToken");
    says_that_it_tries_again(&bench);
    assert_unharmed(&bench);
}

#[test]
fn a_revoked_token_of_a_vault_ends_the_run_with_one_and_blocks_nothing() {
    let (bench, bao) = (Bench::new(), Bao::start());
    bao.mount_kv();
    let user = USERS[0];
    bench.sandbox.add_user(user).expect("a user");
    let key = bench.sandbox.create_key(user).expect("a key");
    let data = json!({ "AWS_ACCESS_KEY_ID": key.id, "AWS_SECRET_ACCESS_KEY": key.secret.expose() });
    bao.ask("POST", &format!("/v1/kv/data/{user}"), Some(&json!({ "data": data })));
    let token = || {
        let made = bao.ask("POST", "/v1/auth/token/create", Some(&json!({ "policies": ["root"] })));
        made["auth"]["client_token"].as_str().expect("a token").to_owned()
    };
    let run = |token: &str, args: &[&str]| -> super::bench::Ended {
        let mut command = bench.command(args);
        command.env("ROTATOR_STORE", "vault:kv").env("VAULT_ADDR", bao.url()).env("VAULT_TOKEN", token);
        command.output().expect("it starts").into()
    };
    let first = token();
    run(&first, &["run", "--overlap", "1h"]).code(3);
    bao.ask("POST", "/v1/auth/token/revoke", Some(&json!({ "token": first })));
    bench.sandbox.advance(std::time::Duration::from_secs(4_000));
    for command in ["run", "resume"] {
        run(&first, &[command])
            .code(1)
            .says("rotator's own credentials for vault:kv (from the token in VAULT_TOKEN) failed");
    }
    assert_unharmed(&bench);
    assert_eq!(bench.sandbox.keys_of(user).len(), 2, "nothing was removed");
    run(&token(), &["resume"]).code(0).prints("1 rotated");
    assert_eq!(bench.sandbox.keys_of(user).len(), 1);
}
