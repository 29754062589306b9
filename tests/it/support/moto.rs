//! moto (<https://github.com/getmoto/moto>), a look-alike of AWS by other hands, as a child process.
//!
//! moto's own rules once it checks signatures (moto 5.2.5): `sts:GetCallerIdentity` needs no policy, every other call
//! needs one on its user, `sts:GetAccessKeyInfo` too; a policy's `Resource` is held against `*` alone, so nothing but
//! `"*"` grants anything. Its refusals of a signature, a key or a permission are XML that the Rust SDK finds no error
//! code in (`<Errors>` around `<Error>`): there tests can ask for the status only. The table of `sandbox_conformance`
//! lists, case by case, what else it does unlike AWS.

use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::aws::{self, Pair};
use super::http;

pub(crate) const ACCOUNT: &str = "123456789012";

/// The user that may do everything.
pub(crate) const ADMIN: &str = "rotator-admin";

/// The longest start of moto on a busy host.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Another process may take the free port that we found before moto does.
const TRIES: usize = 3;

/// A moto of one's own, killed when dropped.
pub(crate) struct Moto {
    child: Child,
    address: SocketAddr,
}

impl Drop for Moto {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Moto {
    /// Starts one on a free port and waits until it answers.
    ///
    /// # Panics
    /// If there is no moto: a test that needs it must fail, never pass by being skipped.
    pub(crate) fn start() -> Self {
        let program = std::env::var_os("ROTATOR_TEST_MOTO").unwrap_or_else(|| {
            panic!("this test needs moto: run scripts/test, which installs it, or set ROTATOR_TEST_MOTO to moto_server")
        });
        let mut last_words = String::new();
        for _ in 0..TRIES {
            match Self::try_start(&program) {
                Ok(moto) => return moto,
                Err(words) => last_words = words,
            }
        }
        panic!("moto did not come up in {TRIES} tries; it last said: {last_words}");
    }

    fn try_start(program: &OsString) -> Result<Self, String> {
        let address = free_address();
        let log = tempfile::NamedTempFile::new().expect("a file for moto's log");
        let output = || Stdio::from(File::options().append(true).open(log.path()).expect("moto's log opens"));
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &address.port().to_string()])
            .stdin(Stdio::null())
            .stdout(output())
            .stderr(output())
            .spawn()
            .unwrap_or_else(|error| panic!("failed to start {program:?} (from ROTATOR_TEST_MOTO): {error}"));
        let mut moto = Self { child, address };
        let began = Instant::now();
        while began.elapsed() < READY_WITHIN {
            if moto.child.try_wait().expect("a child can be asked").is_some() {
                break;
            }
            if http::send(address, "GET", "/moto-api/data.json", &[], b"").is_ok_and(|answer| answer.status == 200) {
                return Ok(moto);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(std::fs::read_to_string(log.path()).unwrap_or_default())
    }

    /// The address of the server.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Forgets all users and keys, and checks signatures no more.
    pub(crate) fn reset(&self) {
        self.check_signatures_after("inf");
        let answer = http::send(self.address, "POST", "/moto-api/reset", &[], b"").expect("moto answers");
        assert_eq!(answer.status, 200, "moto refused to reset: {}", answer.body);
    }

    /// Makes [`ADMIN`] with a policy that allows everything, has moto check signatures and policies from now on, and
    /// gives the administrator's pair.
    pub(crate) async fn check_signatures(&self) -> Pair {
        let iam = aws::iam(self.address, &Pair::new("AKIAAAAAAAAAAAAAAAAA", "unchecked"));
        iam.create_user().user_name(ADMIN).send().await.expect("moto makes a user");
        let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        iam.put_user_policy()
            .user_name(ADMIN)
            .policy_name("everything")
            .policy_document(policy)
            .send()
            .await
            .expect("moto takes a policy");
        let made = iam.create_access_key().user_name(ADMIN).send().await.expect("moto makes a key");
        let key = made.access_key().expect("a key");
        self.check_signatures_after("0");
        Pair::new(key.access_key_id(), key.secret_access_key())
    }

    fn check_signatures_after(&self, calls: &str) {
        // With any other content type moto's framework eats the body.
        let headers = [("content-type", "text/plain")];
        let answer = http::send(self.address, "POST", "/moto-api/reset-auth", &headers, calls.as_bytes());
        let answer = answer.expect("moto answers");
        assert_eq!(answer.status, 200, "moto refused to check signatures: {}", answer.body);
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address")
}
