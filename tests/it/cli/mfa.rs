//! Roles that ask for MFA. STS is played by a server on the loopback that assumes a role only for a device and a code that
//! has not been used, and passes every other call on to the sandbox.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use rotator::sandbox::Action;
use rotator::types::secret::NewKey;

use super::bench::{Bench, Ended};

const USER: &str = "app1/production";
const DEVICE: &str = "arn:aws:iam::123456789012:mfa/me";
const ROLE: &str = "arn:aws:iam::123456789012:role/rotator";
const GOOD: &str = "123456";
const ANOTHER: &str = "654321";
const WRONG: &str = "999999";
const LATER: &str = "2100-01-01T00:00:00Z";
const PAST: &str = "2020-01-01T00:00:00Z";

/// What the role is assumed with.
struct Sts {
    sandbox: SocketAddr,
    session: (NewKey, String),
    /// The key that has to sign.
    signer: String,
    /// When the next session ends.
    end: Mutex<&'static str>,
    codes: Mutex<BTreeSet<&'static str>>,
    heard: Mutex<Vec<String>>,
}

impl Sts {
    /// Starts it; it ends with the process of the test.
    fn start(bench: &Bench) -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let sts = Arc::new(Self {
            sandbox: bench.sandbox.addr(),
            session: bench.sandbox.issue_session().expect("issued"),
            signer: bench.sandbox.admin().id.to_string(),
            end: Mutex::new(LATER),
            codes: Mutex::new(BTreeSet::from([GOOD, ANOTHER])),
            heard: Mutex::default(),
        });
        let serves = Arc::clone(&sts);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let serves = Arc::clone(&serves);
                std::thread::spawn(move || serves.serve(stream));
            }
        });
        (sts, url)
    }

    fn serve(&self, mut stream: TcpStream) {
        let Some((head, body)) = message(&stream) else { return };
        let answer = if body.contains("Action=AssumeRole&") {
            self.heard.lock().expect("sound").push(format!("{head}{body}"));
            self.assume_role(&head, &body)
        } else {
            // The signature is of the host that the request names, so the request is passed on as it is.
            let mut there = TcpStream::connect(self.sandbox).expect("the sandbox");
            there.write_all(format!("{head}{body}").as_bytes()).expect("sent");
            let Some((head, body)) = message(&there) else { return };
            format!("{}connection: close\r\n\r\n{body}", &head[..head.len() - 2])
        };
        // A client that is gone has no use for it.
        let _ = stream.write_all(answer.as_bytes());
    }

    fn assume_role(&self, head: &str, body: &str) -> String {
        let text = |name: &str| {
            let mut fields = body.split('&').filter_map(|field| field.split_once('='));
            fields.find_map(|(key, value)| (key == name).then(|| value.replace("%3A", ":").replace("%2F", "/")))
        };
        let refused = |message: &str| {
            let error =
                format!("<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>{message}</Message></Error>");
            let root = "ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"";
            http("403 Forbidden", &format!("<{root}>{error}<RequestId>r</RequestId></ErrorResponse>"))
        };
        if !head.contains(&format!("Credential={}/", self.signer)) || text("RoleArn").as_deref() != Some(ROLE) {
            return refused("it is not authorized to perform: sts:AssumeRole");
        }
        let Some(code) = text("TokenCode") else {
            return refused("it is not authorized to perform: sts:AssumeRole");
        };
        if text("SerialNumber").as_deref() != Some(DEVICE) {
            return refused(
                "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial \
                            number is valid and associated with this user.",
            );
        }
        if !self.codes.lock().expect("sound").remove(code.as_str()) {
            return refused("MultiFactorAuthentication failed with invalid MFA one time pass code. ");
        }
        let (key, token) = &self.session;
        let credentials = format!(
            "<Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{token}\
             </SessionToken><Expiration>{}</Expiration></Credentials>",
            key.id,
            key.secret.expose(),
            self.end.lock().expect("sound")
        );
        let root = "AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"";
        http("200 OK", &format!("<{root}><AssumeRoleResult>{credentials}</AssumeRoleResult></AssumeRoleResponse>"))
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("sound").clone()
    }
}

fn http(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/xml\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// One message of HTTP: its head with the empty line, and its body.
fn message(stream: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    (!head.is_empty()).then(|| (head, String::from_utf8_lossy(&body).into_owned()))
}

/// A bench, and a folder of AWS with a profile whose role asks for MFA.
struct Scene {
    bench: Bench,
    sts: Arc<Sts>,
    url: String,
    old: String,
}

impl Scene {
    fn new(more: &str) -> Self {
        let bench = Bench::with_users(&[USER]);
        let (sts, url) = Sts::start(&bench);
        let old = bench.key_of(USER);
        let admin = bench.sandbox.admin();
        std::fs::create_dir_all(bench.path(".aws")).expect("made");
        let base =
            format!("[base]\naws_access_key_id = {}\naws_secret_access_key = {}\n", admin.id, admin.secret.expose());
        bench.write(".aws/credentials", &base);
        let ops = format!("[profile ops]\nrole_arn = {ROLE}\nsource_profile = base\nmfa_serial = {DEVICE}\n{more}");
        bench.write(".aws/config", &ops);
        Self { bench, sts, url, old }
    }

    /// The binary with the profile as its only source of credentials.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bench.command(args);
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        command.env("AWS_PROFILE", "ops").env("AWS_ENDPOINT_URL_STS", &self.url);
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        self.command(args).output().expect("it starts").into()
    }

    /// Runs it at a terminal, which `script` (of util-linux) makes.
    fn at_a_terminal(&self, args: &[&str], input: &str) -> Ended {
        let rotator = self.command(args);
        let mut script = Command::new("script");
        let called = format!("{} {}", rotator.get_program().display(), args.join(" "));
        script.args(["-qec", &called, "/dev/null"]).current_dir(self.bench.path("")).env_clear();
        script.envs(rotator.get_envs().filter_map(|(name, value)| Some((name, value?))));
        script.env("PATH", std::env::var("PATH").expect("there")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = script.spawn().expect("script is there");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
        child.wait_with_output().expect("it ends").into()
    }

    #[track_caller]
    fn assert_untouched(&self) {
        assert_eq!(self.bench.key_of(USER), self.old);
        let calls = self.bench.sandbox.calls();
        assert_eq!(calls.get(&Action::ListAccessKeys), None, "{calls:?}");
    }
}

#[test]
fn one_code_serves_a_whole_run_and_is_shown_nowhere() {
    let scene = Scene::new("duration_seconds = 7200\nexternal_id = ours\nrole_session_name = nightly\n");
    let ended = scene.run(&["run", "-vv", "--mfa-code", GOOD]).code(0).prints("1 rotated");
    assert!(!ended.stderr.contains(GOOD) && !ended.stdout.contains(GOOD), "{}", ended.stderr);
    scene.bench.assert_rotated(USER, &scene.old);
    let [request] = scene.sts.heard().try_into().expect("one call");
    for sent in ["&TokenCode=123456", "&DurationSeconds=7200", "&ExternalId=ours", "&RoleSessionName=nightly"] {
        assert!(request.contains(sent), "{sent}: {request}");
    }
    let doctor = scene.run(&["doctor", "--mfa-code", ANOTHER]).code(0);
    let doctor = doctor.prints("the AWS profile `ops` by its role_arn, with a code of the MFA device").prints(DEVICE);
    drop(doctor.prints("until 2100-01-01"));
    assert_eq!(scene.sts.heard().len(), 2, "doctor connects twice, and begins one session");
}

#[test]
fn without_a_code_nothing_is_changed_and_the_message_says_for_what_and_how() {
    let scene = Scene::new("");
    for command in [&["run"][..], &["plan"], &["run", "--wait"]] {
        let ended =
            scene.run(command).code(1).says("the AWS profile `ops` needs a code of the MFA device").says(DEVICE);
        ended.says("no terminal to ask on").says("--mfa-code CODE");
    }
    scene.run(&["doctor"]).code(1).prints("FAIL").prints("needs a code of the MFA device");
    assert!(scene.sts.heard().is_empty());
    scene.assert_untouched();
    scene.run(&["run", "--mfa-code", "12345"]).code(2).says("six digits");
}

#[test]
fn a_code_that_aws_refuses_has_its_own_message() {
    let scene = Scene::new("");
    let ended = scene.run(&["run", "--mfa-code", WRONG]).code(1).says("AWS did not accept the code").says(DEVICE);
    assert!(!ended.stderr.contains(WRONG), "{}", ended.stderr);
    scene.assert_untouched();
    let config = std::fs::read_to_string(scene.bench.path(".aws/config")).expect("read");
    scene.bench.write(".aws/config", &config.replace("mfa/me", "mfa/you"));
    scene.run(&["run", "--mfa-code", GOOD]).code(1).says("AWS knows no MFA device").says("correct mfa_serial");
    scene.bench.write(".aws/config", &config.replace("role/rotator", "role/other"));
    scene.run(&["run", "--mfa-code", GOOD]).code(1).says("role/other").says("AccessDenied");
    scene.assert_untouched();
}

#[test]
fn at_a_terminal_a_code_is_asked_for_until_one_serves() {
    let scene = Scene::new("");
    let ended = scene.at_a_terminal(&["plan"], &format!("{WRONG}\nno code\n{GOOD}\n")).code(0);
    for said in
        ["needs a code of the MFA device", "AWS did not accept the code", "a code has six digits", "1 key is due"]
    {
        assert!(ended.stdout.contains(said), "{said}: {}", ended.stdout);
    }
    assert_eq!(ended.stdout.matches("MFA code: ").count(), 3, "{}", ended.stdout);
    let ended = scene.at_a_terminal(&["plan"], "\u{4}").code(1);
    assert!(ended.stdout.contains("none was entered"), "{}", ended.stdout);
    scene.bench.run(&["status"]).code(0);
    assert_eq!(scene.bench.key_of(USER), scene.old);
}

#[test]
fn a_role_above_one_that_asks_for_mfa_is_assumed_with_its_session() {
    let scene = Scene::new("");
    let mut config = std::fs::read_to_string(scene.bench.path(".aws/config")).expect("read");
    config.push_str("[profile above]\nrole_arn = arn:aws:iam::123456789012:role/above\nsource_profile = ops\n");
    scene.bench.write(".aws/config", &config);
    let mut command = scene.command(&["plan", "--mfa-code", GOOD]);
    // The stand-in lets only the long-lived key assume a role: the second call shows who signs it.
    Ended::from(command.env("AWS_PROFILE", "above").output().expect("it starts"))
        .code(1)
        .says("AccessDenied")
        .says("mfa_serial");
    let heard = scene.sts.heard();
    assert!(heard[0].contains("TokenCode=123456") && heard[1].contains("role%2Fabove"), "{heard:#?}");
    assert!(heard[1].contains(&format!("Credential={}/", scene.sts.session.0.id)), "{heard:#?}");
    let source = config.replace("source_profile = base", "credential_source = Environment");
    scene.bench.write(".aws/config", &source);
    let admin = scene.bench.sandbox.admin();
    scene.bench.write("rotator.toml", "[[account]]\nid = \"123456789012\"\nprofile = \"ops\"\n");
    let mut command = scene.command(&["run", "--mfa-code", ANOTHER]);
    command.env("AWS_ACCESS_KEY_ID", admin.id.as_str()).env("AWS_SECRET_ACCESS_KEY", admin.secret.expose());
    Ended::from(command.env_remove("AWS_PROFILE").output().expect("it starts")).code(0).prints("1 rotated");
    scene.bench.assert_rotated(USER, &scene.old);
}

#[test]
fn the_role_of_an_account_may_ask_for_mfa() {
    let scene = Scene::new("");
    let table = |name: &str, role: &str| {
        format!(
            "[[account]]\nname = \"{name}\"\nrole = \"{role}\"\nmfa_serial = \"{DEVICE}\"\nsession_duration = \"2h\"\n"
        )
    };
    let run = |args: &[&str]| -> Ended {
        let mut command = scene.bench.command(args);
        command.env("AWS_ENDPOINT_URL_STS", &scene.url).output().expect("it starts").into()
    };
    scene.bench.write("rotator.toml", &table("shop", ROLE));
    run(&["run"]).code(1).says("the account shop (123456789012) needs a code of the MFA device").says("--mfa-code");
    scene.assert_untouched();
    // A second account with the same device has no code left, and does not keep the first one from its work.
    let other = "arn:aws:iam::111122223333:role/rotator";
    scene.bench.write("rotator.toml", &format!("{}{}", table("shop", ROLE), table("bank", other)));
    let ended = run(&["run", "--mfa-code", GOOD]).code(1);
    let ended =
        ended.says("the account bank (111122223333) needs a code of the MFA device").says("accepts a code once");
    drop(ended.prints("deleted-old: rotated"));
    scene.bench.assert_rotated(USER, &scene.old);
    let [request] = scene.sts.heard().try_into().expect("one call");
    assert!(request.contains("&DurationSeconds=7200"), "{request}");
    scene.bench.write("rotator.toml", &table("shop", ROLE));
    run(&["doctor", "--mfa-code", ANOTHER]).code(0).prints("assumed by them, with a code of the MFA device");
}

#[test]
fn a_session_that_ends_leaves_the_rotation_to_another_code() {
    let scene = Scene::new("");
    scene.run(&["run", "--overlap", "1h", "--mfa-code", GOOD]).code(3);
    scene.bench.sandbox.advance(std::time::Duration::from_secs(4_000));
    *scene.sts.end.lock().expect("sound") = PAST;
    // No operator can be asked, so the command ends, and does not try again every five minutes.
    let ended = scene.run(&["resume", "--wait", "--mfa-code", ANOTHER]).code(1);
    let ended = ended.says("the session of the AWS profile `ops` that began with a code").says("has ended");
    assert!(ended.stderr.contains("run `rotator resume` with another code"), "{}", ended.stderr);
    let ended = ended.says("1 rotation is in flight: `rotator resume --mfa-code CODE` continues");
    drop(ended);
    let document = scene.bench.run(&["status", "--output", "json"]).code(0).json();
    assert_eq!(document["rotations"][0]["blocked"], serde_json::json!(null), "{document:#}");
    *scene.sts.end.lock().expect("sound") = LATER;
    scene.sts.codes.lock().expect("sound").insert(GOOD);
    scene.run(&["resume", "--mfa-code", GOOD]).code(0).prints("1 rotated");
    scene.bench.assert_rotated(USER, &scene.old);
}

#[test]
fn the_key_that_a_role_with_mfa_is_assumed_with_is_rotators_own() {
    let scene = Scene::new("");
    let admin = scene.bench.sandbox.admin();
    let entries = serde_json::json!({
        "rotator/admin/AWS_ACCESS_KEY_ID": admin.id, "rotator/admin/AWS_SECRET_ACCESS_KEY": admin.secret.expose(),
    });
    scene.bench.run_with(&["store", "import", "-"], &entries.to_string()).code(0);
    let document = scene.run(&["run", "--output", "json", "--mfa-code", GOOD]).json();
    let skipped = document["skipped"].as_array().expect("a list").clone();
    let is_own = |note: &serde_json::Value| note["key_id"] == admin.id.as_str() && note["reason"] == "own-key";
    assert!(skipped.iter().any(is_own), "{skipped:#?}");
}

#[test]
fn no_code_is_asked_for_where_the_profile_below_has_no_session() {
    let scene = Scene::new("");
    let sso = "[profile staff]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = ops\n\
               [sso-session corp]\nsso_region = us-east-1\nsso_start_url = https://corp.awsapps.com/start\n";
    let ops = format!("[profile ops]\nrole_arn = {ROLE}\nsource_profile = staff\nmfa_serial = {DEVICE}\n{sso}");
    scene.bench.write(".aws/config", &ops);
    scene.run(&["plan", "--mfa-code", GOOD]).code(1).says("`staff`").says("`aws sso login --profile staff`");
    assert!(scene.sts.heard().is_empty());
}
