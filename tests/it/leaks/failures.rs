//! The messages of every failure of a command, at the highest verbosity, as text and as JSON.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use rotator::sandbox::{Action, ApiError, Fault, FaultKind, Sandbox};

use super::trawl::{Guarded, Trawl, talkative};
use crate::support::program::{Program, sandbox_with_slashes, user_with_entries};
use crate::support::proof::Proof;

const LOUDEST: [&[&str]; 2] = [&["-vvv"], &["-vvv", "--log-format", "json", "--output", "json"]];

/// A secret that an operator pasted into the wrong place.
const PASTED: &str = "Zk3v+Q8mT1xLr7PwYcU0/eNbJ5sHgD2aFi9oKE4R";

/// One bench for all tests: a sandbox, one user, a filled store, and the output so far.
struct Bench {
    sandbox: Sandbox,
    program: Program,
    guarded: Guarded,
    trawl: Trawl,
    failures: u64,
}

impl Bench {
    fn new() -> Self {
        let sandbox = sandbox_with_slashes();
        let mut guarded = Guarded::with_admin_of(&sandbox);
        guarded.guard("what was pasted", PASTED);
        let mut entries = BTreeMap::new();
        let pair = user_with_entries(&sandbox, "app/production", &mut entries);
        guarded.guard("the first secret", &pair.secret);
        let program = talkative(Program::at(&sandbox)).with("ROTATOR_AWS_CALL_TIMEOUT", "1s");
        program.import(&entries);
        let key = std::fs::read_to_string(program.folder().join("store.db.key")).expect("a key");
        guarded.guard("the store's key", &key);
        Self { sandbox, program, guarded, trawl: Trawl::default(), failures: 0 }
    }

    /// Runs it at its loudest, and it has to fail.
    fn fails(&mut self, args: &[&str], stdin: &[u8]) {
        for loudness in LOUDEST {
            let ended = self.trawl.run_with(&self.program, loudness, args, stdin);
            assert!(ended.code.is_some_and(|code| code != 0), "{args:?} did not fail: {}", ended.stderr);
            self.failures += 1;
        }
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.program.folder().join(name), bytes).expect("written");
    }

    /// Checks that no secret is in the output, and counts it.
    fn conclude(mut self, proof: &mut Proof) {
        self.trawl.keep_folder_but(self.program.folder(), &["store.db.key", "rotator.toml", "import.json", "pasted"]);
        assert_eq!(self.trawl.search(&self.guarded.sought()), Vec::<String>::new());
        proof.case();
        proof.hit("failures", self.failures);
        proof.count("outputs and files searched", self.trawl.len());
        proof.count("bytes searched", self.trawl.bytes());
    }
}

#[test]
fn no_failure_prints_a_secret() {
    let mut proof = Proof::of("T17", "every error path at its loudest", &["failures"]);
    for fail in [bad_imports, bad_words, bad_settings, bad_keys, bad_files, bad_answers, bad_credentials, bad_sinks] {
        let mut bench = Bench::new();
        fail(&mut bench);
        bench.conclude(&mut proof);
    }
    proof.conclude();
}

fn bad_imports(bench: &mut Bench) {
    for text in [
        format!("{{\"a/b/c\": \"{PASTED}"),
        format!("{{\"a/b/c\": {PASTED}}}"),
        format!("{{\"a/b/c\": \"{PASTED}\\q\"}}"),
        format!("{{\"a/b/c\": \"{PASTED}\"}} {PASTED}"),
        format!("[\"{PASTED}\"]"),
        format!("\"{PASTED}\""),
        PASTED.to_owned(),
        format!("{{\"a/b\": \"{PASTED}\"}}"),
        format!("{{\"{PASTED}\": \"a/b/c\"}}"),
        format!("{{\"key {PASTED}\": \"a/b/c\"}}"),
        format!("{{\"a/b/c\": {{\"x\": \"{PASTED}\"}}}}"),
        format!("{{\"a/b/c\": \"{PASTED}\", \"a/b/c\": \"{PASTED}\"}}"),
        format!("AWS_SECRET_ACCESS_KEY={PASTED}\n"),
    ] {
        bench.fails(&["store", "import", "-"], text.as_bytes());
        bench.write("import.json", &text);
        bench.fails(&["store", "import", "import.json"], b"");
    }
    bench.fails(&["store", "import", "-"], &[PASTED.as_bytes(), b"\xff\xfe"].concat());
}

/// A pasted secret is in the history of the shell, and must appear nowhere else.
fn bad_words(bench: &mut Bench) {
    bench.fails(&["store", "set", "a/b/c", PASTED], b"");
    bench.fails(&["store", "get", "a/b/missing"], b"");
    bench.fails(&["store", "rm", "a/b/missing"], b"");
    bench.fails(&["resume", "01900000-0000-7000-8000-000000000000"], b"");
    bench.fails(&["store", "set", "a/b/c"], b"");
}

fn bad_settings(bench: &mut Bench) {
    for text in [
        format!("secret = '{PASTED}"),
        format!("[aws]\nsecret_access_key = {PASTED}"),
        format!("[aws]\nsecret_access_key = \"{PASTED}\""),
        format!("[policy]\noverlap = [\"{PASTED}\"]"),
        format!("store = {{ key = \"{PASTED}\" }}"),
        format!("store = 1\nstore = \"{PASTED}\""),
        PASTED.to_owned(),
    ] {
        bench.write("rotator.toml", &text);
        bench.fails(&["status"], b"");
    }
    std::fs::remove_file(bench.program.folder().join("rotator.toml")).expect("removed");
    bench.program.set("ROTATOR_SECRET", PASTED);
    bench.fails(&["run"], b"");
}

fn bad_keys(bench: &mut Bench) {
    let key = bench.program.folder().join("store.db.key");
    let right = std::fs::read(&key).expect("a key");
    for (content, mode) in [
        (format!("{PASTED}\n").into_bytes(), 0o600),
        (format!("{}{PASTED}", "\u{1}".repeat(9)).into_bytes(), 0o600),
        (b"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n".to_vec(), 0o600),
        (right.clone(), 0o644),
        (Vec::new(), 0o600),
    ] {
        std::fs::write(&key, content).expect("written");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).expect("set");
        bench.fails(&["store", "list"], b"");
        bench.fails(&["run"], b"");
    }
    std::fs::remove_file(&key).expect("removed");
    bench.fails(&["run"], b"");
    bench.program.set("ROTATOR_STORE_KEY", PASTED);
    bench.fails(&["run"], b"");
}

fn bad_files(bench: &mut Bench) {
    let path = bench.program.folder().join("store.db");
    let whole = std::fs::read(&path).expect("a store");
    for cut in [1, 100, 4096, whole.len() / 2] {
        bench.write("store.db", &whole[..cut]);
        bench.fails(&["store", "get", "app/production/AWS_SECRET_ACCESS_KEY"], b"");
        bench.fails(&["plan"], b"");
    }
    // One sealed value, changed in the middle.
    let text = b"app/production/AWS_SECRET_ACCESS_KEY";
    let at = memchr::memmem::rfind(&whole, text).expect("its name is not sealed");
    let mut changed = whole.clone();
    changed[at + text.len() + 12] ^= 1;
    bench.write("store.db", &changed);
    bench.fails(&["store", "get", "app/production/AWS_SECRET_ACCESS_KEY"], b"");
    bench.write("store.db", &whole);
    bench.write("journal.db", PASTED);
    bench.fails(&["run"], b"");
    bench.fails(&["status"], b"");
    std::fs::remove_file(bench.program.folder().join("journal.db")).expect("removed");
}

fn bad_answers(bench: &mut Bench) {
    let denied = ApiError::new(403, "AccessDenied", format!("no, and \u{1b}[2J {}", "x".repeat(40)));
    let mut kinds: Vec<FaultKind> = (0..=900).step_by(60).map(FaultKind::Truncate).collect();
    kinds.extend((0..=900).step_by(150).map(FaultKind::CutOff));
    kinds.extend([FaultKind::Garbage200, FaultKind::LostReplyAfter, FaultKind::Throttle, FaultKind::Refuse(denied)]);
    for (number, kind) in kinds.into_iter().enumerate() {
        for action in [Action::CreateAccessKey, Action::GetCallerIdentity, Action::ListAccessKeys] {
            if action != Action::CreateAccessKey && number % 5 > 0 {
                continue;
            }
            bench.sandbox.arm(Fault::new(kind.clone()).on(action).times(3));
            let loudness = LOUDEST[number % 2];
            bench.trawl.run(&bench.program, loudness, &["run"]);
            bench.guarded.guard_store(&bench.program);
            bench.sandbox.disarm_all();
            bench.trawl.run(&bench.program, loudness, &["resume"]);
            bench.guarded.guard_store(&bench.program);
            bench.failures += 1;
        }
    }
}

/// A sink's program that repeats what it is given, wherever it can.
fn bad_sinks(bench: &mut Bench) {
    const SINK: &str = r#"
import base64, json, os, sys, urllib.parse
line = sys.stdin.readline()
request = json.loads(line)
secret = request.get("secret_access_key", "")
if request["op"] == "hello":
    print(json.dumps({"identity": "echo", "late_writes_seconds": 0}))
else:
    sys.stderr.write(line)
    how = open("how").read()
    if how == "refuses":
        print(json.dumps({"refused": True, "error": "no to " + secret}))
    elif how == "fails":
        print(json.dumps({"error": secret[:20] + " " + secret[20:]}))
    elif how == "cut":
        print(json.dumps({"error": "no to " + secret[:-3]}))
    elif how == "percent":
        print(json.dumps({"error": urllib.parse.quote(line, safe="")}))
    elif how.startswith("base64"):
        print(json.dumps({"error": base64.b64encode(("x" * int(how[-1]) + line).encode()).decode()}))
    elif how == "json":
        print(json.dumps({"error": json.dumps(line)}))
    elif how == "names itself so":
        print(json.dumps({"identity": secret, "late_writes_seconds": secret}))
    else:
        print(line + line.strip()[:-9])
        sys.exit(9 if how == "dies" else 0)
"#;
    bench.write("sink.py", SINK);
    // A file that runs a program has to be named.
    let config = bench.program.folder().join("rotator.toml").display().to_string();
    bench.program.set("ROTATOR_CONFIG", &config);
    bench.write("rotator.toml", "[[sink]]\nname = \"echo\"\nuri = \"exec:python3 sink.py\"\nfollows = \"**\"\n");
    let encoded = ["percent", "base64 0", "base64 1", "base64 2", "json", "cut"];
    for how in ["refuses", "fails", "names itself so", "babbles", "dies"].into_iter().chain(encoded) {
        bench.write("how", how);
        for (loudness, command) in LOUDEST.into_iter().zip(["run", "resume"]) {
            let ended = bench.trawl.run(&bench.program, loudness, &[command]);
            assert_eq!(ended.code, Some(3), "{how}: {}", ended.stderr);
            bench.guarded.guard_store(&bench.program);
            bench.failures += 1;
        }
    }
}

fn bad_credentials(bench: &mut Bench) {
    bench.program.set("AWS_SECRET_ACCESS_KEY", PASTED);
    bench.fails(&["run"], b"");
    bench.fails(&["doctor"], b"");
    for endpoint in ["http://127.0.0.1:1", "http://192.0.2.1", "https://127.0.0.1:1", "nonsense"] {
        bench.program.set("AWS_ENDPOINT_URL", endpoint);
        bench.fails(&["run"], b"");
    }
}
