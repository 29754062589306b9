//! A folder and a sandbox, and the binary run in them without the environment of the test.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rotator::adapters::stores::embedded::EmbeddedStore;
use rotator::sandbox::{Behaviour, Sandbox, SandboxOptions};
use rotator::types::name::EntryName;
use serde_json::{Value, json};

use crate::support::program::planted_fault;

/// A sandbox and a folder for one test.
pub(super) struct Bench {
    /// IAM and STS.
    pub(super) sandbox: Sandbox,
    folder: tempfile::TempDir,
    /// Whether rotator.toml is named, as a file has to be that runs programs.
    names_file: bool,
}

/// The end of a child process.
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ended {
    /// Fails the test unless it ended with this code.
    #[track_caller]
    pub(super) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails the test unless stderr holds these words.
    #[track_caller]
    pub(super) fn says(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "no {words:?} in stderr:\n{}", self.stderr);
        self
    }

    /// Fails the test unless stdout holds these words.
    #[track_caller]
    pub(super) fn prints(self, words: &str) -> Self {
        assert!(self.stdout.contains(words), "no {words:?} in stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The one JSON document on stdout.
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}:\n{}\n{}", self.stdout, self.stderr))
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        Self { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

impl Bench {
    /// Nothing in IAM but the administrator, and no store.
    pub(super) fn new() -> Self {
        let behaviour = Behaviour { allow_slash_in_user_names: true, ..Behaviour::default() };
        let sandbox = Sandbox::start(SandboxOptions { behaviour, ..SandboxOptions::default() }).expect("a sandbox");
        Self { sandbox, folder: tempfile::tempdir().expect("a folder"), names_file: false }
    }

    /// Users with a key each, whose pairs are in the store.
    pub(super) fn with_users(users: &[&str]) -> Self {
        let bench = Self::new();
        for user in users {
            bench.add(user);
        }
        bench
    }

    /// In this folder, with no user but the administrator.
    pub(super) fn in_folder(folder: tempfile::TempDir) -> Self {
        Self { folder, ..Self::new() }
    }

    /// With the rotator.toml in its folder named to every command, not merely found by it.
    pub(super) fn naming_its_file(self) -> Self {
        Self { names_file: true, ..self }
    }

    /// Adds a user, and the new key of the user to the store.
    pub(super) fn add(&self, user: &str) {
        self.sandbox.add_user(user).expect("a user");
        let key = self.sandbox.create_key(user).expect("a key");
        let entries = json!({
            format!("{user}/AWS_ACCESS_KEY_ID"): key.id,
            format!("{user}/AWS_SECRET_ACCESS_KEY"): key.secret.expose(),
        });
        self.run_with(&["store", "import", "-"], &entries.to_string()).code(0);
    }

    /// A file in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the folder.
    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    /// The binary with these arguments, not yet started.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_rotator")));
        let folder = self.folder.path();
        let admin = self.sandbox.admin();
        command.args(args).env_clear().envs(planted_fault()).current_dir(folder).env("HOME", folder);
        // Root would keep what it allows in the machine's own folder.
        command.env("XDG_STATE_HOME", folder.join("xdg-state"));
        let file = self.path("rotator.toml");
        if self.names_file && file.exists() {
            command.env("ROTATOR_CONFIG", file);
        }
        command.env("AWS_ENDPOINT_URL", self.sandbox.endpoint_url()).env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("AWS_ACCESS_KEY_ID", admin.id.as_str()).env("AWS_SECRET_ACCESS_KEY", admin.secret.expose());
        command.env("ROTATOR_STORE", "sqlite:store.db").env("ROTATOR_JOURNAL", "journal.db");
        command.env("ROTATOR_POLICY_PROOF_SPAN", "0s").env("ROTATOR_POLICY_SETTLE", "1s");
        command.env("ROTATOR_POLICY_UNCLAIMED_AFTER", "1s");
        command.env("ROTATOR_POLICY_SCAN_INTERVAL", "0s");
        // A word on it is needed where there is no terminal.
        command.env("ROTATOR_POLICY_OVERLAP", "0s");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub(super) fn run(&self, args: &[&str]) -> Ended {
        self.command(args).output().expect("it starts").into()
    }

    /// Runs it to its end with this on stdin.
    pub(super) fn run_with(&self, args: &[&str], stdin: &str) -> Ended {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().expect("it starts");
        // It may end without reading.
        let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_bytes());
        child.wait_with_output().expect("it ends").into()
    }

    /// Runs it with one more variable.
    pub(super) fn run_in(&self, variable: (&str, &str), args: &[&str]) -> Ended {
        self.command(args).env(variable.0, variable.1).output().expect("it starts").into()
    }

    pub(super) fn start(&self, args: &[&str]) -> Child {
        self.command(args).spawn().expect("it starts")
    }

    /// What `status --all` says of the rotation of a user: its id and state.
    #[track_caller]
    pub(super) fn rotation_of(&self, user: &str) -> (String, String) {
        let document = self.run(&["status", "--all", "--output", "json"]).code(0).json();
        let rotations = document["rotations"].as_array().expect("a list").clone();
        let found = rotations.iter().rfind(|rotation| rotation["user"] == user).expect("a rotation of that user");
        let text = |name: &str| found[name].as_str().expect("text").to_owned();
        (text("id"), text("state"))
    }

    /// Fails the test unless the user has one key, and the store holds it and its secret.
    #[track_caller]
    pub(super) fn assert_rotated(&self, user: &str, old: &str) {
        let keys = self.sandbox.keys_of(user);
        assert_eq!(keys.len(), 1, "{user} has one key: {keys:?}");
        let id = self.run(&["store", "get", &format!("{user}/AWS_ACCESS_KEY_ID")]).code(0).stdout;
        let secret = self.run(&["store", "get", &format!("{user}/AWS_SECRET_ACCESS_KEY")]).code(0).stdout;
        assert_eq!(id, keys[0].id.as_str());
        assert_ne!(id, old, "a new key");
        assert!(self.sandbox.accepts(&id, &secret), "the stored pair works");
    }

    /// Whether the store keeps what this user's secret was before.
    pub(super) fn keeps_previous(&self, user: &str) -> bool {
        let store = EmbeddedStore::open(&self.path("store.db"), None).expect("opened");
        let entry = EntryName::new(format!("{user}/AWS_SECRET_ACCESS_KEY")).expect("a name");
        store.previous(&entry).expect("read").is_some()
    }

    /// The id of the user's only key.
    #[track_caller]
    pub(super) fn key_of(&self, user: &str) -> String {
        let keys = self.sandbox.keys_of(user);
        assert_eq!(keys.len(), 1, "{user} has one key: {keys:?}");
        keys[0].id.to_string()
    }
}
