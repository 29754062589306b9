//! A place that can never be written is found before a key is created for it, and an empty store causes a warning.
//! uwuclxdy/clauth#9 reports the hard link, stefansundin/aws-rotate-key#7 the folder without write access.

use std::sync::{Arc, Mutex, Once};

use rotator::sandbox::Action;

use super::bench::Bench;

const USER: &str = "app1/live";

fn scene() -> Bench {
    let bench = Bench::new();
    bench.sandbox.add_user(USER).expect("a user");
    let key = bench.sandbox.create_key(USER).expect("a key");
    std::fs::create_dir(bench.path("files")).expect("made");
    let text = format!("AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\n", key.id, key.secret.expose());
    bench.write("files/env", &text);
    bench.write("rotator.toml", "[[store]]\nuri = \"file:files\"\n[owner]\nfrom = \"aws\"\n");
    bench
}

fn run(bench: &Bench, args: &[&str]) -> super::bench::Ended {
    bench.command(args).env_remove("ROTATOR_STORE").output().expect("it starts").into()
}

#[test]
fn a_place_that_cannot_be_written_makes_no_key() {
    let bench = scene();
    std::fs::hard_link(bench.path("files/env"), bench.path("the-same")).expect("linked");
    for _ in 0..3 {
        let ended = run(&bench, &["run", "--yes", "--output", "json"]).code(4);
        let document = ended.json();
        let note = &document["skipped"][0];
        assert_eq!(note["reason"], "not-writable", "{document}");
        let message = note["message"].as_str().expect("words");
        assert!(message.contains("files/env") && message.contains("hard links"), "{message}");
    }
    run(&bench, &["plan"]).code(0).prints("cannot be written").prints("as for an");
    run(&bench, &["doctor"]).code(1).prints("files/env: it has 2 hard links");
    assert_eq!(bench.sandbox.calls().get(&Action::CreateAccessKey), None, "no key was made in vain");
    std::fs::remove_file(bench.path("the-same")).expect("removed");
    run(&bench, &["doctor"]).code(0).prints("1 entry, 1 key; those with a key can be written");
    run(&bench, &["run", "--yes"]).code(0).says("files: 1 entry");
}

/// Every program that may read a file can hold its lock: no key is made for it meanwhile, and none discarded.
#[test]
fn a_file_whose_lock_another_program_holds_makes_no_key() {
    let bench = scene();
    let held = std::fs::File::open(bench.path("files/env")).expect("there");
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockShared).expect("locked");
    let document = run(&bench, &["run", "--yes", "--output", "json"]).code(4).json();
    let note = &document["skipped"][0];
    assert_eq!(note["reason"], "not-writable", "{document}");
    assert!(note["message"].as_str().expect("words").contains("another program holds its lock"), "{document}");
    assert_eq!(bench.sandbox.calls().get(&Action::CreateAccessKey), None, "no key was made in vain");
    drop(held);
    run(&bench, &["run", "--yes"]).code(0);
}

/// Another program may also take the lock once the keys are chosen, so rotator tries the lock again right before the
/// create. The test takes it when the old pair is tried. Under a limit that is after the choice, and before the rotation is
/// opened.
#[test]
fn a_lock_that_comes_before_the_create_makes_no_key_and_blocks() {
    let bench = scene();
    let (lock, path) = (Arc::new(Mutex::new(None)), bench.path("files/env"));
    let (takes, once) = (Arc::clone(&lock), Once::new());
    bench.sandbox.observe(move |call| {
        if call.action == Action::GetCallerIdentity && call.user.as_deref() == Some(USER) {
            once.call_once(|| {
                let held = std::fs::File::open(&path).expect("there");
                rustix::fs::flock(&held, rustix::fs::FlockOperation::LockShared).expect("locked");
                *takes.lock().expect("whole") = Some(held);
            });
        }
    });
    for args in [&["run", "--yes", "--limit", "1"][..], &["resume"]] {
        let ended = run(&bench, args).code(4).prints("locked").prints("env: another program holds its lock");
        ended.prints("the old key").prints("is as it was").prints("IAM has no new one");
        assert_eq!(bench.sandbox.calls().get(&Action::CreateAccessKey), None, "no key was made in vain");
        let document = run(&bench, &["status", "--output", "json"]).code(0).json();
        let rotation = &document["rotations"][0];
        assert_eq!((&rotation["blocked"]["reason"], &rotation["state"]), (&"locked".into(), &"opened".into()));
    }
    *lock.lock().expect("whole") = None;
    run(&bench, &["run", "--yes"]).code(0);
    assert_eq!(bench.sandbox.calls()[&Action::CreateAccessKey], 1);
}

#[test]
fn an_empty_store_is_warned_of() {
    let bench = scene();
    std::fs::remove_file(bench.path("files/env")).expect("removed");
    for command in [&["plan"][..], &["run", "--yes"], &["run", "--yes", "--quiet"]] {
        run(&bench, command).code(0).says("files: it has no entries");
    }
    run(&bench, &["doctor"]).code(0).prints("files: it has no entries");
}

/// Operators write `file:~/…` (hashicorp/terraform-provider-aws#147), and the shell does not expand `~` after a colon.
#[test]
fn a_tilde_is_the_users_own_folder() {
    let bench = scene();
    let key = bench.sandbox.keys_of(USER)[0].id.clone();
    bench.write("rotator.toml", "[owner]\nfrom = \"aws\"\n");
    run(&bench, &["--store", "file:~/files", "plan"]).code(0).prints(key.as_str());
    bench.run_in(("ROTATOR_STORE", "file:~/files/env"), &["plan"]).code(0).prints(key.as_str());
    bench.write("rotator.toml", "store = \"file:~/files\"\n[owner]\nfrom = \"aws\"\n");
    run(&bench, &["plan"]).code(0).prints(key.as_str());
    run(&bench, &["--store", "file:~other/files", "plan"]).code(1).says("there is no such file or folder");
}

/// Neither a prefix nor a path is an ARN (Kralizek/AWSSecretsManagerConfigurationExtensions#101).
#[test]
fn an_arn_is_refused_with_what_to_write() {
    let bench = scene();
    let secret = "aws-secretsmanager:arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/prod/env-AbCdEf";
    let ended = run(&bench, &["--store", secret, "plan"]).code(2);
    let ended = ended.says("aws-secretsmanager:shop/prod/").says("*/env").says("eu-west-1");
    assert!(!ended.stderr.contains("AbCdEf\" "), "{}", ended.stderr);
    let parameter = "aws-ssm:arn:aws:ssm:eu-west-1:123456789012:parameter/shop/key";
    run(&bench, &["--store", parameter, "plan"]).code(2).says("aws-ssm:/shop/");
}

/// Why there are no credentials is said with the profile's name and its source (Versent/saml2aws#880, jdx/mise#9875), and
/// nothing that a program printed.
#[test]
fn a_profile_without_credentials_is_named_with_its_source() {
    let bench = scene();
    std::fs::create_dir(bench.path(".aws")).expect("made");
    let config = "[profile broken]\ncredential_process = sh -c 'echo printed-by-it >&2; exit 3'\n\
                  [profile corp]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = ops\n\
                  [sso-session corp]\nsso_start_url = https://example.invalid/start\nsso_region = us-east-1\n";
    bench.write(".aws/config", config);
    for (profile, words) in [
        ("broken", "`broken` gave no credentials: its credential_process ended with 3"),
        (
            "corp",
            "its session of SSO is over or was never begun, or AWS did not answer; run `aws sso login --profile corp`",
        ),
        ("brokn", "there is no AWS profile `brokn`"),
    ] {
        let mut command = bench.command(&["plan"]);
        command.env_remove("ROTATOR_STORE").env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        let ended: super::bench::Ended = command.env("AWS_PROFILE", profile).output().expect("it starts").into();
        let ended = ended.code(1).says(words);
        assert!(!ended.stderr.contains("printed-by-it"), "{}", ended.stderr);
    }
}
