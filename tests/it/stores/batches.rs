//! How many calls the program makes to read the secrets of Secrets Manager, at moto.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::aws::wait;
use super::staged::carry;
use crate::support::moto::Moto;
use crate::support::program::{Program, sandbox_with_slashes, user_with_entries};

/// Carries calls to `server`, and keeps what it carried.
struct Counted {
    address: SocketAddr,
    carried: Arc<Mutex<Vec<u8>>>,
}

impl Counted {
    fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let (address, carried) = (listener.local_addr().expect("an address"), Arc::new(Mutex::new(Vec::new())));
        let keeps = carried.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (server, keeps) = (TcpStream::connect(server).expect("moto runs"), keeps.clone());
                let (back, answers) = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
                let keep = move |bytes: &[u8]| {
                    keeps.lock().expect("no panic").extend_from_slice(bytes);
                    true
                };
                std::thread::spawn(move || carry(client, server, keep));
                std::thread::spawn(move || carry(answers, back, |_| true));
            }
        });
        Self { address, carried }
    }

    /// The number of calls of this operation.
    fn calls(&self, operation: &str) -> usize {
        let carried = self.carried.lock().expect("no panic");
        String::from_utf8_lossy(&carried).matches(&format!("secretsmanager.{operation}\r\n")).count()
    }
}

#[tokio::test]
async fn a_search_reads_twenty_secrets_with_one_call() {
    let (sandbox, moto) = (sandbox_with_slashes(), Moto::start());
    let counted = Counted::before(moto.addr());
    let pair = user_with_entries(&sandbox, "shop/live", &mut BTreeMap::new());
    let chain = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("us-east-1"))
        .endpoint_url(format!("http://{}", moto.addr()))
        .credentials_provider(aws_credential_types::Credentials::new("AKIAAAAAAAAAAAAAAAAA", "x", None, None, "test"))
        .load()
        .await;
    let client = aws_sdk_secretsmanager::Client::new(&chain);
    let text = json!({ "accessKeyId": pair.id, "secretAccessKey": pair.secret }).to_string();
    client.create_secret().name("shop/live/aws").secret_string(text).send().await.expect("made");
    for number in 0..44 {
        let made = client.create_secret().name(format!("shop/live/other-{number}")).secret_string("nothing");
        made.send().await.expect("made");
    }

    let mut program = Program::at(&sandbox);
    program.set("ROTATOR_STORE", "aws-secretsmanager:");
    program.set("AWS_ENDPOINT_URL_SECRETS_MANAGER", &format!("http://{}", counted.address));
    let plan = program.ends_with(0, &["plan", "--output", "json"]).json();
    assert_eq!(plan["due"][0]["user"], "shop/live", "{plan:#}");
    let calls = ["ListSecrets", "BatchGetSecretValue", "GetSecretValue"].map(|operation| counted.calls(operation));
    assert_eq!(calls, [1, 3, 0]);

    // What is proved before the old key is removed is read from this store, too.
    program.ends_with(0, &["run", "--yes"]);
    let current = client.get_secret_value().secret_id("shop/live/aws").version_stage("AWSCURRENT").send();
    let current = wait(current).expect("there").secret_string.expect("text");
    let keys = sandbox.keys_of("shop/live");
    assert!(keys.len() == 1 && current.contains(keys[0].id.as_str()), "{}", keys.len());
    assert!(counted.calls("BatchGetSecretValue") > 3, "the scan before the removal");
}
