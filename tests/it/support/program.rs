//! The real binary in a folder of its own, against moto or the sandbox, with its store and keys.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use rotator::adapters::stores::embedded::EmbeddedStore;
use rotator::sandbox::{Behaviour, Sandbox, SandboxOptions};
use rustix::process::{Pid, Signal};

use super::aws::Pair;

/// The binary under test.
pub(crate) const ROTATOR: &str = env!("CARGO_BIN_EXE_rotator");

/// The fault that this run of the tests is to find (`scripts/planted`), for a child that inherits nothing else.
pub(crate) fn planted_fault() -> Option<(&'static str, std::ffi::OsString)> {
    const VARIABLE: &str = "ROTATOR_TEST_PLANTED_FAULT";
    std::env::var_os(VARIABLE).map(|fault| (VARIABLE, fault))
}

/// A `run` that finds every key due, also one that rotator has just made.
pub(crate) const AGAIN: [&str; 4] = ["run", "--older-than", "0s", "-q"];

/// The words of a command; those of `run` so that it finds every key due, also one that rotator has just made.
pub(crate) fn again(command: &str) -> Vec<&str> {
    if command == "run" { vec![command, "--older-than", "0s"] } else { vec![command] }
}

/// The number of times that `resume` or `run` may be repeated before a test gives up.
const MOST_TRIES: usize = 60;

/// A child that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; none if a signal ended it.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Waits for a child to end.
    pub(crate) fn of(child: Child) -> Self {
        let ended = child.wait_with_output().expect("waited for");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            code: ended.status.code(),
            signal: ended.status.signal(),
            stdout: text(ended.stdout),
            stderr: text(ended.stderr),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A child that runs; killed when dropped.
pub(crate) struct Running(Option<Child>);

impl Running {
    /// Starts it. What it prints must fit a pipe.
    pub(crate) fn start(mut command: Command) -> Self {
        Self(Some(command.process_group(0).spawn().expect("started")))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.as_ref().expect("there until it is killed").id()
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&mut self) -> bool {
        self.0.as_mut().expect("there until it is killed").try_wait().expect("a child can be asked").is_some()
    }

    /// Sends it a signal; whether it was still there to get it.
    pub(crate) fn signal(&mut self, signal: Signal) -> bool {
        let child = self.0.as_mut().expect("there until it is killed");
        let there = child.try_wait().expect("a child can be asked").is_none();
        if there {
            rustix::process::kill_process(Pid::from_child(child), signal).expect("a child can be signalled");
        }
        there
    }

    /// Kills it with SIGKILL, against which it can do nothing. It may have ended before.
    pub(crate) fn kill(mut self) -> Ended {
        let mut child = self.0.take().expect("there until now");
        // An error means that it has ended already.
        let _ = child.kill();
        Ended::of(child)
    }

    /// Returns how the program ended, or kills it and its children after this time. Its output is read meanwhile, so a
    /// full pipe cannot block it.
    pub(crate) fn within(mut self, limit: Duration) -> Result<Ended, Ended> {
        let is_over = self.is_over();
        let child = self.0.take().expect("there until now");
        if is_over {
            return Ok(Ended::of(child));
        }
        let group = Pid::from_child(&child);
        let (sender, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(Ended::of(child)));
        ended.recv_timeout(limit).map_err(|_| {
            kill_group(group);
            ended.recv().expect("it ends once it is killed")
        })
    }
}

/// A tracer that is killed would release the traced programs, so each child leads a process group.
fn kill_group(leader: Pid) {
    // An error means that it has ended already.
    let _ = rustix::process::kill_process_group(leader, Signal::KILL);
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            kill_group(Pid::from_child(&child));
            let _ = child.wait();
        }
    }
}

/// A folder and the environment of the binary. Dropping this removes the folder.
pub(crate) struct Program {
    folder: tempfile::TempDir,
    environment: BTreeMap<String, String>,
}

impl Program {
    /// Signs with `admin` at `endpoint`, and waits no longer than a look-alike needs.
    pub(crate) fn new(endpoint: &str, admin: &Pair) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let program = Self { folder, environment: BTreeMap::new() };
        let home = program.folder.path().display().to_string();
        program
            .with("HOME", &home)
            .with("TMPDIR", &home)
            // Root would keep what it allows in the machine's own folder.
            .with("XDG_STATE_HOME", &format!("{home}/xdg-state"))
            .with("AWS_ENDPOINT_URL", endpoint)
            .with("AWS_REGION", "us-east-1")
            .with("AWS_ACCESS_KEY_ID", &admin.id)
            .with("AWS_SECRET_ACCESS_KEY", &admin.secret)
            .with("AWS_EC2_METADATA_DISABLED", "true")
            .with("ROTATOR_STORE", &format!("sqlite:{home}/store.db"))
            .with("ROTATOR_JOURNAL", &format!("{home}/journal.db"))
            .with("ROTATOR_POLICY_PROOF_SPAN", "0s")
            .with("ROTATOR_POLICY_SETTLE", "0s")
            .with("ROTATOR_POLICY_UNCLAIMED_AFTER", "0s")
            .with("ROTATOR_POLICY_SCAN_INTERVAL", "0s")
            // A word on it is needed where there is no terminal.
            .with("ROTATOR_POLICY_OVERLAP", "0s")
            .with("ROTATOR_AWS_CALL_TIMEOUT", "2s")
    }

    /// Signs as the administrator of `sandbox`.
    pub(crate) fn at(sandbox: &Sandbox) -> Self {
        Self::new(&sandbox.endpoint_url(), &Pair::new(sandbox.admin().id.as_str(), sandbox.admin().secret.expose()))
    }

    /// With this variable in the environment.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a variable of the environment.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Removes a variable from the environment.
    pub(crate) fn unset(&mut self, name: &str) {
        self.environment.remove(name);
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `program` with this environment and nothing of the caller's.
    pub(crate) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(planted_fault()).envs(&self.environment).current_dir(self.folder());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts rotator. What it prints must fit a pipe.
    pub(crate) fn spawn(&self, args: &[&str]) -> Running {
        Running::start(self.command(ROTATOR, args))
    }

    /// Runs rotator to its end.
    pub(crate) fn rotator(&self, args: &[&str]) -> Ended {
        Ended::of(self.command(ROTATOR, args).spawn().expect("started"))
    }

    /// Runs rotator to its end, and `code` must be how it ends.
    pub(crate) fn ends_with(&self, code: i32, args: &[&str]) -> Ended {
        let ended = self.rotator(args);
        assert_eq!(ended.code, Some(code), "rotator {args:?}: {ended:#?}");
        ended
    }

    /// Fills the store.
    pub(crate) fn import(&self, entries: &BTreeMap<String, String>) {
        let text = serde_json::to_string(entries).expect("text");
        let mut child =
            self.command(ROTATOR, &["store", "import", "-"]).stdin(Stdio::piped()).spawn().expect("started");
        child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("written");
        let ended = Ended::of(child);
        assert_eq!(ended.code, Some(0), "store import: {ended:#?}");
    }

    /// The value of an entry.
    pub(crate) fn value(&self, entry: &str) -> String {
        self.ends_with(0, &["store", "get", entry]).stdout
    }

    /// All that the store holds, read through the library: a process for each entry would take long.
    pub(crate) fn values(&self) -> BTreeMap<String, String> {
        values_in(self.folder())
    }

    /// The pair in the two entries of `<app>/<environment>`.
    pub(crate) fn pair(&self, scope: &str) -> Pair {
        Pair::new(
            self.value(&format!("{scope}/AWS_ACCESS_KEY_ID")),
            self.value(&format!("{scope}/AWS_SECRET_ACCESS_KEY")),
        )
    }

    /// Runs README's loop around `args`, with `pause` between the runs. Returns its end and the number of runs.
    pub(crate) fn until_settled(&self, args: &[&str], pause: Duration) -> (Ended, usize) {
        for tries in 1..=MOST_TRIES {
            let ended = self.rotator(args);
            if ended.code != Some(3) {
                return (ended, tries);
            }
            std::thread::sleep(pause);
        }
        panic!("rotator {args:?} still ends with 3 after {MOST_TRIES} times: {:#?}", self.rotator(&["status"]));
    }
}

/// Runs a program with this input, and returns its output if it succeeds. The stderr is dropped.
pub(crate) fn answer(command: &mut Command, input: &[u8]) -> Option<Vec<u8>> {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it is there: scripts/test installs it");
    child.stdin.take().expect("a pipe").write_all(input).expect("written");
    let output = child.wait_with_output().expect("waited for");
    output.status.success().then_some(output.stdout)
}

/// All that the store in this folder holds.
pub(crate) fn values_in(folder: &Path) -> BTreeMap<String, String> {
    let store = EmbeddedStore::open(&folder.join("store.db"), None).expect("opened");
    let listed = store.list().expect("listed").into_iter().map(|listed| listed.entry);
    listed
        .map(|entry| {
            let value = store.get(&entry).expect("read").expect("listed just now");
            (entry.to_string(), String::from_utf8(value.expose().to_vec()).expect("text"))
        })
        .collect()
}

/// A sandbox that takes user names with a slash, as the task's `<app>/<environment>`.
pub(crate) fn sandbox_with_slashes() -> Sandbox {
    let behaviour = Behaviour { allow_slash_in_user_names: true, ..Behaviour::default() };
    Sandbox::start(SandboxOptions { behaviour, ..SandboxOptions::default() }).expect("a sandbox")
}

/// A user of that name with a key, which is put into `entries` as the user's app would keep it, beside another secret.
pub(crate) fn user_with_entries(sandbox: &Sandbox, user: &str, entries: &mut BTreeMap<String, String>) -> Pair {
    sandbox.add_user(user).expect("a new user");
    let key = sandbox.create_key(user).expect("a first key");
    let pair = Pair::new(key.id.as_str(), key.secret.expose());
    put_pair(entries, user, &pair);
    entries.insert(format!("{user}/MY_SECRET"), my_secret(user));
    pair
}

/// Puts a pair into two entries.
pub(crate) fn put_pair(entries: &mut BTreeMap<String, String>, scope: &str, pair: &Pair) {
    entries.insert(format!("{scope}/AWS_ACCESS_KEY_ID"), pair.id.clone());
    entries.insert(format!("{scope}/AWS_SECRET_ACCESS_KEY"), pair.secret.clone());
}

/// The value that an app stores beside its key. No byte of it may change, the line feed included.
pub(crate) fn my_secret(user: &str) -> String {
    format!("  {user}'s = \"ünchanged\"\t\n")
}
