//! The setting of the demo: a sandbox, a temporary folder, the real binary as child processes, and the initial
//! content of the store.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::cli::commands::sandbox::{start, user_with_key};
use crate::cli::error::CliError;
use crate::sandbox::{Behaviour, Sandbox, SandboxOptions};
use crate::types::secret::NewKey;

/// How an app keeps its pair.
enum Kept {
    /// In two entries, one for the id and one for the secret.
    Apart,
    /// Both in a JSON document, in the entry of this name.
    Json(&'static str),
    /// Both in a dotenv file, in the entry of this name.
    Dotenv(&'static str),
}

/// Apps that have a key, and how each keeps it.
const APPS: [(&str, Kept); 4] = [
    ("app1/production", Kept::Apart),
    ("app1/staging", Kept::Apart),
    ("billing/production", Kept::Json("config.json")),
    ("mailer/production", Kept::Dotenv("dotenv")),
];

/// Entries that hold no key.
const OTHERS: [(&str, &str); 3] = [
    ("app1/production/MY_SECRET", "correct horse battery staple"),
    ("app1/staging/MY_SECRET", "hunter2"),
    ("website/production/DATABASE_URL", "postgres://web:s3cr3t@db.internal:5432/web"),
];

/// The configuration file of every command of the demo: an empty file.
const CONFIG: &str = "demo.toml";

/// The whole setting. Dropping it removes the folder.
pub(super) struct Scene {
    pub(super) sandbox: Sandbox,
    folder: tempfile::TempDir,
    program: PathBuf,
    old: BTreeMap<&'static str, NewKey>,
    /// The columns of what a command prints.
    width: Option<usize>,
}

/// A child process that has ended.
pub(super) struct Child {
    pub(super) code: Option<i32>,
    /// The signal that ended it.
    pub(super) signal: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// A child process that is running.
pub(super) struct Running(std::process::Child);

impl Running {
    /// Kills the process with SIGKILL, which it cannot catch.
    pub(super) fn kill(&mut self) -> Result<Child, CliError> {
        let ended = self.0.kill().and_then(|()| self.0.wait()).map_err(|error| failed(&error))?;
        Ok(Child { code: ended.code(), signal: ended.signal(), stdout: String::new(), stderr: String::new() })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that the process has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn failed(error: &std::io::Error) -> CliError {
    CliError::failed(format!("the demo could not run: {error}"), "look at TMPDIR, and at the limits of this machine")
}

impl Scene {
    /// Makes a sandbox with a user and an old key for each app; the store is still empty.
    pub(super) fn build(width: Option<usize>) -> Result<Self, CliError> {
        // IAM itself accepts no slash in a user name; here the users have the names of their apps.
        let behaviour = Behaviour { allow_slash_in_user_names: true, ..Behaviour::default() };
        let sandbox = start(SandboxOptions { behaviour, ..SandboxOptions::default() })?;
        let mut old = BTreeMap::new();
        for (user, _) in &APPS {
            old.insert(*user, user_with_key(&sandbox, user)?);
        }
        let folder = tempfile::Builder::new().prefix("rotator-demo-").tempdir().map_err(|error| failed(&error))?;
        std::fs::write(folder.path().join(CONFIG), "").map_err(|error| failed(&error))?;
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        Ok(Self { sandbox, folder, program, old, width })
    }

    /// The users, which have the names of their apps.
    pub(super) fn users(&self) -> Vec<&'static str> {
        self.old.keys().copied().collect()
    }

    /// The access key id of the user at the beginning.
    pub(super) fn old_id(&self, user: &str) -> Option<&str> {
        self.old.get(user).map(|key| key.id.as_str())
    }

    /// The entries that no rotation should change.
    pub(super) fn untouched(&self) -> impl Iterator<Item = &'static str> {
        OTHERS.iter().map(|(entry, _)| *entry)
    }

    /// The input of `store import`.
    pub(super) fn secrets_as_json(&self) -> Zeroizing<String> {
        let mut entries = serde_json::Map::new();
        for (user, kept) in &APPS {
            let Some(key) = self.old.get(user) else { continue };
            let (id, secret) = (key.id.as_str(), key.secret.expose());
            match kept {
                Kept::Apart => {
                    entries.insert(format!("{user}/AWS_ACCESS_KEY_ID"), id.into());
                    entries.insert(format!("{user}/AWS_SECRET_ACCESS_KEY"), secret.into());
                }
                Kept::Json(name) => {
                    let document =
                        json!({ "region": "eu-west-1", "aws": { "accessKeyId": id, "secretAccessKey": secret } });
                    entries.insert(format!("{user}/{name}"), document.to_string().into());
                }
                Kept::Dotenv(name) => {
                    let document =
                        format!("# mail\nAWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY=\"{secret}\"\nFROM=a@b.c\n");
                    entries.insert(format!("{user}/{name}"), document.into());
                }
            }
        }
        for (entry, value) in OTHERS {
            entries.insert(entry.to_owned(), value.into());
        }
        Zeroizing::new(Value::Object(entries).to_string())
    }

    fn command(&self, args: &[&str]) -> Command {
        let folder = self.folder.path();
        let admin = self.sandbox.admin();
        let mut command = Command::new(&self.program);
        // The child inherits nothing from the caller's environment: no profile, no proxy, no configuration.
        command.args(args).env_clear().current_dir(folder).env("HOME", folder).env("TMPDIR", folder);
        command.env("AWS_ENDPOINT_URL", self.sandbox.endpoint_url()).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", admin.id.as_str()).env("AWS_SECRET_ACCESS_KEY", admin.secret.expose());
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("ROTATOR_STORE", format!("sqlite:{}", folder.join("store.db").display()));
        command.env("ROTATOR_JOURNAL", folder.join("journal.db"));
        // A file in /etc/rotator would have the settings and sinks of real keys.
        command.env("ROTATOR_CONFIG", folder.join(CONFIG));
        // AWS needs these waits and the sandbox does not.
        command.env("ROTATOR_POLICY_PROOF_SPAN", "0s").env("ROTATOR_POLICY_SETTLE", "1s");
        command.env("ROTATOR_POLICY_UNCLAIMED_AFTER", "1s").env("ROTATOR_POLICY_SCAN_INTERVAL", "0s");
        if let Some(width) = self.width {
            command.env("COLUMNS", width.to_string());
        }
        // There may be no terminal to ask on, so the demo itself agrees that old keys are deleted at once.
        command.env("ROTATOR_POLICY_OVERLAP", "0s");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts the real binary and discards its output.
    pub(super) fn spawn(&self, args: &[&str]) -> Result<Running, CliError> {
        let child = self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        child.map(Running).map_err(|error| failed(&error))
    }

    /// Runs the real binary until it ends.
    pub(super) fn rotator(&self, args: &[&str], stdin: Option<&str>) -> Result<Child, CliError> {
        let mut command = self.command(args);
        if stdin.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        if let (Some(text), Some(mut pipe)) = (stdin, child.stdin.take()) {
            pipe.write_all(text.as_bytes()).map_err(|error| failed(&error))?;
        }
        let ended = child.wait_with_output().map_err(|error| failed(&error))?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (code, signal) = (ended.status.code(), ended.status.signal());
        Ok(Child { code, signal, stdout: text(ended.stdout), stderr: text(ended.stderr) })
    }

    fn value(&self, entry: &str) -> Result<Zeroizing<String>, CliError> {
        let got = self.rotator(&["store", "get", entry], None)?;
        if got.code != Some(0) {
            return Err(CliError::failed(
                format!("the demo lost the entry {entry}: {}", got.stderr),
                "this is a defect: please report it",
            ));
        }
        Ok(Zeroizing::new(got.stdout))
    }

    /// The id and the secret that an app would read.
    fn pair(&self, user: &str) -> Result<(String, Zeroizing<String>), CliError> {
        let kept = APPS.iter().find(|(app, _)| *app == user).map(|(_, kept)| kept);
        let of_lines = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches('"').to_owned()
        };
        Ok(match kept {
            Some(Kept::Apart) => {
                let id = self.value(&format!("{user}/AWS_ACCESS_KEY_ID"))?;
                (id.to_string(), self.value(&format!("{user}/AWS_SECRET_ACCESS_KEY"))?)
            }
            Some(Kept::Json(name)) => {
                let document: Value = serde_json::from_str(&self.value(&format!("{user}/{name}"))?).unwrap_or_default();
                let of = |name: &str| document["aws"][name].as_str().unwrap_or_default().to_owned();
                (of("accessKeyId"), Zeroizing::new(of("secretAccessKey")))
            }
            Some(Kept::Dotenv(name)) => {
                let text = self.value(&format!("{user}/{name}"))?;
                (of_lines(&text, "AWS_ACCESS_KEY_ID"), Zeroizing::new(of_lines(&text, "AWS_SECRET_ACCESS_KEY")))
            }
            None => (String::new(), Zeroizing::default()),
        })
    }

    /// Whether an app would read the initial pair, and IAM would accept it.
    pub(super) fn store_holds_the_old_pair(&self, user: &str) -> Result<bool, CliError> {
        match self.old_id(user) {
            Some(id) => self.store_holds_a_working_pair(user, id),
            None => Ok(false),
        }
    }

    /// Whether an app would read this id and a secret that IAM accepts with it.
    pub(super) fn store_holds_a_working_pair(&self, user: &str, id: &str) -> Result<bool, CliError> {
        let (stored, secret) = self.pair(user)?;
        Ok(stored == id && self.sandbox.accepts(id, &secret))
    }

    /// Whether an entry without a key is unchanged.
    pub(super) fn is_unchanged(&self, entry: &str) -> Result<bool, CliError> {
        let then = OTHERS.iter().find(|(name, _)| *name == entry).map(|(_, value)| *value);
        Ok(then == Some(self.value(entry)?.as_str()))
    }
}

/// The user and the state of each rotation in the JSON document.
pub(super) fn states(document: &str) -> Result<Vec<(String, String)>, CliError> {
    let document: Value = serde_json::from_str(document).map_err(|_| {
        CliError::failed("the demo could not read `status --output json`", "this is a defect: please report it")
    })?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rotations = document["rotations"].as_array().into_iter().flatten();
    Ok(rotations.map(|rotation| (text(&rotation["user"]), text(&rotation["state"]))).collect())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;

    use super::*;

    #[test]
    fn no_configuration_of_this_machine_is_read() {
        let scene = Scene::build(None).expect("a scene");
        let command = scene.command(&["run"]);
        let set =
            |name: &str| command.get_envs().find(|(other, _)| *other == OsStr::new(name)).and_then(|(_, value)| value);
        let file = Path::new(set("ROTATOR_CONFIG").expect("named"));
        assert_eq!(std::fs::read(file).expect("it is there"), b"");
        for name in ["ROTATOR_STORE", "ROTATOR_JOURNAL", "HOME"] {
            let value = set(name).and_then(OsStr::to_str).expect("set");
            assert!(value.contains(scene.folder.path().to_str().expect("UTF-8")), "{name}: {value}");
        }
    }
}
