//! rotator is killed after a write of the new pair and before reading it back; then another writer restores the old pair.
//! `resume` does not overwrite the other writer's value.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use rotator::sandbox::Sandbox;
use serde_json::json;

use super::aws::wait;
use super::staged::carry;
use crate::support::aws::Pair;
use crate::support::moto::Moto;
use crate::support::program::{Program, sandbox_with_slashes, user_with_entries};

const USER: &str = "shop/live";

/// Forwards calls to `server`, but withholds the response to the call of this number among those that contain `mark`.
struct Unanswered {
    address: SocketAddr,
    done: Arc<AtomicBool>,
}

impl Unanswered {
    fn after(server: SocketAddr, mark: &'static str, number: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (done, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let reported = done.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(server).expect("moto runs");
                let (back, answers) = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
                let (last, done, seen) = (Arc::new(AtomicBool::new(false)), reported.clone(), seen.clone());
                let is_last = last.clone();
                std::thread::spawn(move || {
                    carry(client, server, |bytes| {
                        let marks = bytes.windows(mark.len()).filter(|window| *window == mark.as_bytes()).count();
                        let before = seen.fetch_add(marks, Ordering::SeqCst);
                        last.fetch_or(before < number && before + marks >= number, Ordering::SeqCst);
                        true
                    });
                });
                std::thread::spawn(move || {
                    carry(answers, back, |_| {
                        let held = is_last.load(Ordering::SeqCst);
                        done.fetch_or(held, Ordering::SeqCst);
                        !held
                    });
                });
            }
        });
        Self { address, done }
    }
}

async fn chain(moto: &Moto) -> SdkConfig {
    aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("us-east-1"))
        .endpoint_url(format!("http://{}", moto.addr()))
        .credentials_provider(aws_credential_types::Credentials::new("AKIAAAAAAAAAAAAAAAAA", "x", None, None, "test"))
        .load()
        .await
}

/// Runs rotator until the answer to its last write is missing, and kills it. The program, which reaches moto directly then.
fn killed_after_its_write(
    sandbox: &Sandbox,
    moto: &Moto,
    store: &str,
    service: &str,
    unanswered: &Unanswered,
) -> Program {
    let mut program = Program::at(sandbox).with("ROTATOR_AWS_CALL_TIMEOUT", "20s");
    program.set("ROTATOR_STORE", store);
    program.set(service, &format!("http://{}", unanswered.address));
    let run = program.spawn(&["run"]);
    let began = Instant::now();
    while !unanswered.done.load(Ordering::SeqCst) {
        assert!(began.elapsed() < Duration::from_secs(30), "the run stores its key");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(run.kill().signal, Some(9));
    program.set(service, &format!("http://{}", moto.addr()));
    program
}

/// Blocked, and nothing was written or deleted, however often it is looked at.
fn assert_put_back_stays(program: &Program, sandbox: &Sandbox, current: impl Fn() -> Vec<String>, put_back: &[String]) {
    for _ in 0..2 {
        let ended = program.ends_with(4, &["resume"]);
        assert!(ended.stdout.contains("the old pair is back in"), "{ended:#?}");
        assert_eq!(current(), put_back, "another writer's value stays");
        assert_eq!(sandbox.keys_of(USER).len(), 2, "and so do both keys");
    }
}

/// A secret as its operators write it: a version under a label of its own, to which `AWSCURRENT` is moved. (moto 5.2.5 moves
/// `AWSPREVIOUS` as AWS does only then.)
struct Secret(aws_sdk_secretsmanager::Client);

const NAME: &str = "shop/live/aws";

impl Secret {
    fn get(&self, label: &str) -> (String, String) {
        let got = wait(self.0.get_secret_value().secret_id(NAME).version_stage(label).send()).expect("there");
        (got.version_id.expect("a version"), got.secret_string.expect("text"))
    }

    fn current(&self) -> Vec<String> {
        vec![self.get("AWSCURRENT").1]
    }

    fn put(&self, text: &str) {
        let put = self.0.put_secret_value().secret_id(NAME).secret_string(text).version_stages("MINE").send();
        self.make_current(&wait(put).expect("put").version_id.expect("a version"));
    }

    fn make_current(&self, version: &str) {
        let (now, _) = self.get("AWSCURRENT");
        let update = self.0.update_secret_version_stage().secret_id(NAME).version_stage("AWSCURRENT");
        wait(update.move_to_version_id(version).remove_from_version_id(now).send()).expect("moved");
    }
}

#[tokio::test]
async fn a_secret_that_was_put_back_after_a_crash_is_not_overwritten() {
    // Written anew, or only the label moved back to the version of before.
    for is_moved in [false, true] {
        let (sandbox, moto) = (sandbox_with_slashes(), Moto::start());
        let Pair { id, secret } = user_with_entries(&sandbox, USER, &mut BTreeMap::new());
        let of_operators = Secret(aws_sdk_secretsmanager::Client::new(&chain(&moto).await));
        let text = json!({ "accessKeyId": id, "secretAccessKey": secret, "n": 1 }).to_string();
        of_operators.0.create_secret().name(NAME).secret_string(&text).send().await.expect("made");
        let (before, _) = of_operators.get("AWSCURRENT");

        let unanswered = Unanswered::after(moto.addr(), "UpdateSecretVersionStage", 1);
        let service = "AWS_ENDPOINT_URL_SECRETS_MANAGER";
        let program = killed_after_its_write(&sandbox, &moto, "aws-secretsmanager:", service, &unanswered);
        let (_, stored) = of_operators.get("AWSCURRENT");
        assert!(!stored.contains(&id), "the write has landed");
        if is_moved {
            of_operators.make_current(&before);
        } else {
            of_operators.put(&text);
        }
        assert_put_back_stays(&program, &sandbox, || of_operators.current(), std::slice::from_ref(&text));
        // Follows the message: restores the new pair and resumes the rotation.
        of_operators.put(&stored);
        program.ends_with(0, &["resume"]);
        assert_eq!(of_operators.current(), [stored]);
        assert_eq!(sandbox.keys_of(USER).len(), 1);
    }
}

#[tokio::test]
async fn parameters_that_were_put_back_after_a_crash_are_not_overwritten() {
    let (sandbox, moto) = (sandbox_with_slashes(), Moto::start());
    let Pair { id, secret } = user_with_entries(&sandbox, USER, &mut BTreeMap::new());
    let client = aws_sdk_ssm::Client::new(&chain(&moto).await);
    let put = |name: &str, value: &str| {
        let put = client.put_parameter().name(format!("/apps/shop/live/{name}")).value(value).overwrite(true);
        wait(put.r#type(aws_sdk_ssm::types::ParameterType::SecureString).send()).expect("put");
    };
    let put_back = || {
        put("AWS_ACCESS_KEY_ID", &id);
        put("AWS_SECRET_ACCESS_KEY", &secret);
    };
    put_back();

    // The secret is written first, the id last.
    let unanswered = Unanswered::after(moto.addr(), "PutParameter", 2);
    let program = killed_after_its_write(&sandbox, &moto, "aws-ssm:/apps", "AWS_ENDPOINT_URL_SSM", &unanswered);
    let value = |name: &str| {
        let get = client.get_parameter().name(format!("/apps/shop/live/{name}")).with_decryption(true);
        wait(get.send()).expect("there").parameter.expect("there").value.expect("text")
    };
    assert_ne!(value("AWS_ACCESS_KEY_ID"), id, "the write has landed");
    put_back();
    let current = || ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(value).to_vec();
    assert_put_back_stays(&program, &sandbox, current, &[id.clone(), secret.clone()]);
    // The other way out that the message names.
    let rotations = program.ends_with(4, &["status", "--exit-code", "--output", "json"]).json();
    let rotation = rotations["rotations"][0]["id"].as_str().expect("text").to_owned();
    program.rotator(&["abort", &rotation]);
    assert_eq!(current(), [id.clone(), secret.clone()], "the old pair stays");
}
