//! Profiles that need a sign-in: IAM Identity Center (`aws sso login`) and `aws login`. The endpoints of both are
//! played by a server on the loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rotator::sandbox::{Action, ApiError, Fault, FaultKind};
use rotator::types::secret::NewKey;
use rotator::types::time::Timestamp;
use serde_json::{Value, json};

use super::bench::{Bench, Ended};

const USER: &str = "app1/production";
const LATER: &str = "2100-01-01T00:00:00Z";
const TOKEN: &str = "token-of-the-sign-in";

/// The name of the file is the SHA-1 of `corp`
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/understanding-sso.html>).
const SSO_CACHE: &str = "sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
const SSO: &str = "[profile ops]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = ops\n\
                   [sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp.awsapps.com/start\n";

/// The name of the file is the SHA-256 of `login_session`.
const LOGIN_CACHE: &str = "login/cache/9e538d4761e90d32db1b76bb5356b2d409ee1530417b651b79274eadead75d1f.json";
const LOGIN: &str =
    "[profile ops]\nregion = us-east-1\nlogin_session = arn:aws:sts::123456789012:assumed-role/ops/alice\n";
/// A key of this test alone. `aws login` makes one for each session.
const DPOP_KEY: &str = "-----BEGIN EC PRIVATE KEY-----\n\
    MHcCAQEEIHeWwzsGAO7vSMEFpTO7ynapDDQrN0ig7qS7tiULwz1FoAoGCCqGSM49\n\
    AwEHoUQDQgAEGzNLgCGljgkeVtISrEfVILE7u8sVkizaFczynvRxdUJGVdTfhua8\n\
    R6eL35PRmU3r3IyzxAddaORbzWsQOJFxNg==\n\
    -----END EC PRIVATE KEY-----\n";

/// A server that gives every request that contains `wanted` the same answer, and refuses all others.
struct StandIn {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    fn start(wanted: &'static str, answer: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (heard, answer) = (Arc::new(Mutex::new(Vec::new())), answer.to_string());
        let hears = Arc::clone(&heard);
        // It ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let mut request = String::new();
                while reader.read_line(&mut request).is_ok_and(|read| read > 2) {}
                let length =
                    request.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                let mut body = vec![0; length.unwrap_or(0)];
                reader.read_exact(&mut body).expect("a body");
                request.push_str(&String::from_utf8_lossy(&body));
                let (status, body) = if request.contains(wanted) {
                    ("200 OK", answer.as_str())
                } else {
                    ("401 Unauthorized", r#"{"message": "Session token not found or invalid"}"#)
                };
                hears.lock().expect("sound").push(request);
                let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n");
                let length = body.len();
                // A client that is gone has no use for it.
                let _ = write!(reader.get_mut(), "{head}content-length: {length}\r\n\r\n{body}");
            }
        });
        Self { url, heard }
    }

    fn requests(&self) -> Vec<String> {
        self.heard.lock().expect("sound").clone()
    }
}

/// A bench with one key, and temporary credentials of its administrator.
fn with_session() -> (Bench, NewKey, String) {
    let bench = Bench::with_users(&[USER]);
    let (key, token) = bench.sandbox.issue_session().expect("issued");
    (bench, key, token)
}

/// Writes the configuration of AWS and one file below its folder.
fn configure(bench: &Bench, config: &str, cache: &str, content: &Value) {
    let (aws, path) = (bench.path(".aws"), bench.path(".aws").join(cache));
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(aws.join("config"), config).expect("written");
    std::fs::write(path, content.to_string()).expect("written");
}

/// Runs with the profile as the only source of credentials.
fn run(bench: &Bench, args: &[&str], endpoint: (&str, &str)) -> Ended {
    let mut command: Command = bench.command(args);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    command.env("AWS_PROFILE", "ops").env(endpoint.0, endpoint.1);
    command.output().expect("it starts").into()
}

fn of_sso(expires: &str) -> Value {
    json!({
        "startUrl": "https://corp.awsapps.com/start", "region": "us-east-1", "accessToken": TOKEN, "expiresAt": expires
    })
}

#[test]
fn a_profile_of_identity_center_rotates_and_doctor_names_it() {
    let (bench, key, token) = with_session();
    let old = bench.key_of(USER);
    configure(&bench, SSO, SSO_CACHE, &of_sso(LATER));
    let portal = StandIn::start(
        TOKEN,
        &json!({"roleCredentials": {
            "accessKeyId": key.id, "secretAccessKey": key.secret.expose(), "sessionToken": token,
            "expiration": 4_102_444_800_000_u64,
        }}),
    );
    let endpoint = ("AWS_ENDPOINT_URL_SSO", portal.url.as_str());
    run(&bench, &["doctor"], endpoint).prints("the AWS profile `ops` by SSO");
    run(&bench, &["run"], endpoint).code(0).prints("1 rotated");
    bench.assert_rotated(USER, &old);
    let request = portal.requests().pop().expect("asked");
    assert!(request.starts_with("GET /federation/credentials?"), "{request}");
    assert!(request.contains("role_name=ops") && request.contains("account_id=123456789012"), "{request}");
}

#[test]
fn a_session_of_identity_center_that_is_over_is_named_with_the_command_that_begins_another() {
    let (bench, ..) = with_session();
    let portal = StandIn::start("nothing is granted", &json!({}));
    let endpoint = ("AWS_ENDPOINT_URL_SSO", portal.url.as_str());
    let command = "run `aws sso login --profile ops`";
    for expires in ["2020-01-01T00:00:00Z", LATER] {
        configure(&bench, SSO, SSO_CACHE, &of_sso(expires));
        let ended = run(&bench, &["plan"], endpoint).code(1).says("`ops`").says(command);
        assert!(!ended.stderr.contains(TOKEN), "{}", ended.stderr);
    }
    std::fs::remove_file(bench.path(".aws").join(SSO_CACHE)).expect("removed");
    run(&bench, &["plan"], endpoint).code(1).says("`ops`").says(command);
    let role = "[profile prod]\nrole_arn = arn:aws:iam::123456789012:role/rotator\nsource_profile = ops\n";
    configure(&bench, &format!("{role}{SSO}"), SSO_CACHE, &of_sso("2020-01-01T00:00:00Z"));
    let mut of_role = bench.command(&["plan"]);
    of_role.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").env("AWS_PROFILE", "prod");
    Ended::from(of_role.output().expect("it starts")).code(1).says("`prod`").says(command);
}

/// A portal that gives the credentials until `end`, in milliseconds.
fn portal_until(key: &NewKey, token: &str, end: u64) -> StandIn {
    let role = json!({
        "accessKeyId": key.id, "secretAccessKey": key.secret.expose(), "sessionToken": token, "expiration": end,
    });
    StandIn::start(TOKEN, &json!({ "roleCredentials": role }))
}

#[test]
fn a_session_that_ends_in_a_run_leaves_its_rotation_and_names_the_login_command() {
    let (bench, key, token) = with_session();
    let old = bench.key_of(USER);
    configure(&bench, SSO, SSO_CACHE, &of_sso(LATER));
    let portal = portal_until(&key, &token, 4_102_444_800_000);
    let endpoint = ("AWS_ENDPOINT_URL_SSO", portal.url.as_str());
    run(&bench, &["run", "--overlap", "1h"], endpoint).code(3);
    bench.sandbox.advance(Duration::from_secs(4_000));
    let expired = ApiError::new(403, "ExpiredToken", "The security token included in the request is expired");
    bench.sandbox.arm(Fault::new(FaultKind::Refuse(expired)).on(Action::ListAccessKeys).always());
    let ended = run(&bench, &["resume"], endpoint).code(1).says("ExpiredToken");
    ended.says("`aws sso login --profile ops` begins another session").says("is blocked by nothing");
    let document = bench.run(&["status", "--output", "json"]).code(0).json();
    assert_eq!(document["rotations"][0]["blocked"], json!(null), "{document:#}");
    bench.sandbox.disarm_all();
    run(&bench, &["resume"], endpoint).code(0).prints("1 rotated");
    bench.assert_rotated(USER, &old);
}

/// Starts a command that waits, which must say these words first, and then sends it SIGTERM.
#[track_caller]
fn says_at_the_start(bench: &Bench, args: &[&str], endpoint: (&str, &str), words: &[&str]) {
    let mut command = bench.command(args);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let mut child = command.env("AWS_PROFILE", "ops").env(endpoint.0, endpoint.1).spawn().expect("it starts");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut text = String::new();
    for _ in words {
        said.read_line(&mut text).expect("it says something");
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .expect("sent");
    said.read_to_string(&mut text).expect("read");
    assert_eq!(child.wait().expect("it ends").code(), Some(143), "{text}");
    for words in words {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
}

#[test]
fn a_session_that_ends_before_the_known_waits_do_is_named_at_the_start() {
    let (bench, key, token) = with_session();
    let now = Timestamp::from_system(SystemTime::now());
    let end = Timestamp::from_unix_seconds(now.as_unix_seconds()).plus(Duration::from_secs(1800));
    configure(&bench, SSO, SSO_CACHE, &of_sso(&end.to_string()));
    let portal = portal_until(&key, &token, end.as_unix_seconds().unsigned_abs() * 1000);
    let endpoint = ("AWS_ENDPOINT_URL_SSO", portal.url.as_str());
    run(&bench, &["doctor"], endpoint).code(0).prints("begins another session, until ");
    let json = run(&bench, &["doctor", "--output", "json"], endpoint).code(0);
    assert!(json.stdout.contains(&format!(", until {end}")), "{}", json.stdout);
    let words =
        ["the session of the AWS profile `ops` by SSO ends at", "`aws sso login --profile ops` begins another session"];
    says_at_the_start(&bench, &["run", "--wait", "--overlap", "2h"], endpoint, &words);
    let ended = run(&bench, &["run", "--overlap", "2h"], endpoint).code(3);
    assert!(!ended.stderr.contains("known waits"), "it does not wait for the overlap: {}", ended.stderr);
    says_at_the_start(&bench, &["resume", "--wait"], endpoint, &words);
    // The SDK renews such a session, so its end is not known.
    let mut renewed = of_sso(&end.to_string());
    for name in ["refreshToken", "clientId", "clientSecret"] {
        renewed[name] = json!("x");
    }
    renewed["registrationExpiresAt"] = json!(LATER);
    configure(&bench, SSO, SSO_CACHE, &renewed);
    let doctor = run(&bench, &["doctor"], endpoint).code(0);
    assert!(!doctor.stdout.contains(", until "), "{}", doctor.stdout);
}

/// Credentials of `aws login` that are over: the SDK asks for others with the refresh token.
fn of_login(key: &NewKey, token: &str, expires: &str) -> Value {
    json!({
        "accessToken": {
            "accessKeyId": key.id, "secretAccessKey": key.secret.expose(), "sessionToken": token,
            "accountId": "123456789012", "expiresAt": expires,
        },
        "tokenType": "aws_sigv4", "refreshToken": TOKEN, "idToken": "unused",
        "clientId": "arn:aws:signin:::devtools/same-device", "dpopKey": DPOP_KEY,
    })
}

#[test]
fn a_profile_of_aws_login_rotates_and_is_refreshed() {
    let (bench, key, token) = with_session();
    let old = bench.key_of(USER);
    configure(&bench, LOGIN, LOGIN_CACHE, &of_login(&key, "of another session", "2020-01-01T00:00:00Z"));
    let signin = StandIn::start(
        TOKEN,
        &json!({
            "accessToken": {
                "accessKeyId": key.id, "secretAccessKey": key.secret.expose(), "sessionToken": token,
            },
            "tokenType": "aws_sigv4", "expiresIn": 900, "refreshToken": TOKEN,
        }),
    );
    let endpoint = ("AWS_ENDPOINT_URL_SIGNIN", signin.url.as_str());
    run(&bench, &["run"], endpoint).code(0).prints("1 rotated");
    bench.assert_rotated(USER, &old);
    let request = signin.requests().pop().expect("asked");
    assert!(request.starts_with("POST /v1/token") && request.to_lowercase().contains("\ndpop: "), "{request}");
    run(&bench, &["doctor"], endpoint).prints("the AWS profile `ops` by `aws login`");
}

#[test]
fn a_session_of_aws_login_that_is_over_is_named_with_the_command_that_begins_another() {
    let (bench, key, token) = with_session();
    configure(&bench, LOGIN, LOGIN_CACHE, &of_login(&key, &token, "2020-01-01T00:00:00Z"));
    let signin = StandIn::start("nothing is granted", &json!({}));
    let endpoint = ("AWS_ENDPOINT_URL_SIGNIN", signin.url.as_str());
    let ended = run(&bench, &["plan"], endpoint).code(1).says("`ops`").says("run `aws login --profile ops`");
    assert!(!ended.stderr.contains(TOKEN) && !ended.stderr.contains(key.secret.expose()), "{}", ended.stderr);
    std::fs::remove_file(bench.path(".aws").join(LOGIN_CACHE)).expect("removed");
    run(&bench, &["plan"], endpoint).code(1).says("`ops`").says("run `aws login --profile ops`");
}
