//! rotator is killed between the two calls that change a secret of Secrets Manager, when the new pair is in a version
//! that no reader sees.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rotator::sandbox::Action;
use serde_json::{Value, json};

use super::aws::wait;
use crate::support::moto::Moto;
use crate::support::program::{Program, Running, sandbox_with_slashes, user_with_entries};

/// The call that moves readers to the new value.
const MOVE: &[u8] = b"UpdateSecretVersionStage";

/// Carries calls to `server` until one moves a label: that one is held for ever.
struct Held {
    address: SocketAddr,
    met: Arc<AtomicBool>,
}

impl Held {
    fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let (address, met) = (listener.local_addr().expect("an address"), Arc::new(AtomicBool::new(false)));
        let meets = met.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (server, meets) = (TcpStream::connect(server).expect("moto runs"), meets.clone());
                let (back, answers) = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
                std::thread::spawn(move || carry(client, server, |bytes| !meets_move(bytes, &meets)));
                std::thread::spawn(move || carry(answers, back, |_| true));
            }
        });
        Self { address, met }
    }
}

fn meets_move(bytes: &[u8], met: &AtomicBool) -> bool {
    let is_met = bytes.windows(MOVE.len()).any(|window| window == MOVE);
    met.fetch_or(is_met, Ordering::SeqCst);
    is_met
}

/// Carries bytes from one side to the other until `goes_on` says no: from then on nothing is carried or answered.
pub(super) fn carry(mut from: TcpStream, mut to: TcpStream, goes_on: impl Fn(&[u8]) -> bool) {
    let mut bytes = [0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        if !goes_on(&bytes[..length]) {
            std::thread::sleep(Duration::from_secs(60));
            return;
        }
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[tokio::test]
async fn a_pair_that_waits_under_our_label_is_found_and_rolled_forward() {
    let (sandbox, moto) = (sandbox_with_slashes(), Moto::start());
    let held = Held::before(moto.addr());
    let pair = user_with_entries(&sandbox, "shop/live", &mut BTreeMap::new());
    let chain = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("us-east-1"))
        .endpoint_url(format!("http://{}", moto.addr()))
        .credentials_provider(aws_credential_types::Credentials::new("AKIAAAAAAAAAAAAAAAAA", "x", None, None, "test"))
        .load()
        .await;
    let client = aws_sdk_secretsmanager::Client::new(&chain);
    let text = json!({ "accessKeyId": pair.id, "secretAccessKey": pair.secret, "n": 1 }).to_string();
    client.create_secret().name("shop/live/aws").secret_string(text).send().await.expect("made");

    let mut program = Program::at(&sandbox);
    program.set("ROTATOR_STORE", "aws-secretsmanager:");
    program.set("AWS_ENDPOINT_URL_SECRETS_MANAGER", &format!("http://{}", held.address));
    let run: Running = program.spawn(&["run"]);
    let began = Instant::now();
    while !held.met.load(Ordering::SeqCst) {
        assert!(began.elapsed() < Duration::from_secs(30), "the run stores its key");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(run.kill().signal, Some(9));
    let keys = sandbox.keys_of("shop/live");
    let new = keys.iter().map(|key| key.id.to_string()).find(|id| *id != pair.id).expect("a new key");
    let current = || {
        let got = wait(client.get_secret_value().secret_id("shop/live/aws").version_stage("AWSCURRENT").send());
        serde_json::from_str::<Value>(&got.expect("there").secret_string.expect("text")).expect("JSON")
    };
    assert_eq!(current()["accessKeyId"], pair.id, "readers have the old pair");

    program.set("AWS_ENDPOINT_URL_SECRETS_MANAGER", &format!("http://{}", moto.addr()));
    program.until_settled(&["resume"], Duration::from_millis(200));
    assert_eq!((&current()["accessKeyId"], &current()["n"]), (&json!(new), &json!(1)), "the same key, rolled forward");
    assert_eq!(sandbox.calls().get(&Action::CreateAccessKey), Some(&1), "one create");
    assert_eq!(sandbox.keys_of("shop/live").len(), 1);
}
