//! Runs OpenBao (<https://openbao.org>), which implements Vault's API, as a child process.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http;

/// The token that may do everything.
pub(crate) const ROOT: &str = "root-token-of-the-test";

/// A server of one's own, killed when dropped.
pub(crate) struct Bao {
    child: Child,
    address: std::net::SocketAddr,
}

impl Drop for Bao {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Bao {
    /// Starts one on a free port and waits until it answers.
    pub(crate) fn start() -> Self {
        let program = std::env::var_os("ROTATOR_TEST_BAO").unwrap_or_else(|| {
            panic!("this test needs OpenBao: run scripts/test, which installs it, or set ROTATOR_TEST_BAO to bao")
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let child = Command::new(&program)
            .args(["server", "-dev", "-dev-no-store-token", &format!("-dev-root-token-id={ROOT}")])
            .arg(format!("-dev-listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("failed to start {program:?} (from ROTATOR_TEST_BAO): {error}"));
        let bao = Self { child, address };
        let began = Instant::now();
        while !http::send(address, "GET", "/v1/sys/health", &[], b"").is_ok_and(|answer| answer.status == 200) {
            assert!(began.elapsed() < Duration::from_secs(60), "OpenBao did not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
        bao
    }

    /// A request with the root token; the status and the answer.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map(Value::to_string).unwrap_or_default();
        let headers = [("X-Vault-Token", ROOT), ("content-type", "application/json")];
        let answer = http::send(self.address, method, path, &headers, body.as_bytes()).expect("OpenBao answers");
        (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
    }

    /// A request that must succeed.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = self.call(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// The address of the server.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A new, empty KV engine of version 2 at `kv`.
    pub(crate) fn mount_kv(&self) {
        self.call("DELETE", "/v1/sys/mounts/kv", None);
        self.ask("POST", "/v1/sys/mounts/kv", Some(&json!({ "type": "kv", "options": { "version": "2" } })));
        // A new mount takes a moment to be one of version 2.
        let began = Instant::now();
        while self.call("GET", "/v1/kv/config", None).0 != 200 {
            assert!(began.elapsed() < Duration::from_secs(30), "the mount is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
