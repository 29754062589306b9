//! One user with one key in one store, rotated by the real binary in a folder of its own; and what must hold of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rotator::adapters::stores::embedded::EmbeddedStore;
use rotator::sandbox::Sandbox;
use rotator::types::name::EntryName;
use rotator::types::secret::SecretValue;
use serde_json::json;

use crate::support::aws::Pair;
use crate::support::program::{Ended, Program, Running, my_secret, put_pair};

/// A command that takes longer hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Each scenario of this process has users of its own.
static SCENARIOS: AtomicU64 = AtomicU64::new(1);

/// The layout of the stored pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// In two entries of the embedded store.
    TwoEntries,
    /// In one entry that is a JSON document.
    Document,
    /// In two entries, and in a document beside them.
    TwoPlaces,
}

/// A user, the store, and the binary's folder.
pub(super) struct Scenario {
    pub(super) sandbox: Sandbox,
    pub(super) program: Program,
    pub(super) user: String,
    old: Pair,
    /// The store's content before anything ran.
    entries: BTreeMap<String, String>,
}

impl Scenario {
    /// A user with a key, which the store holds.
    pub(super) fn new(sandbox: &Sandbox, kept: Kept) -> Self {
        let user = format!("app{}/production", SCENARIOS.fetch_add(1, Ordering::Relaxed));
        sandbox.add_user(&user).expect("a new user");
        let key = sandbox.create_key(&user).expect("a first key");
        let old = Pair::new(key.id.as_str(), key.secret.expose());
        let mut entries = BTreeMap::from([(format!("{user}/MY_SECRET"), my_secret(&user))]);
        if kept != Kept::Document {
            put_pair(&mut entries, &user, &old);
        }
        if kept != Kept::TwoEntries {
            let document =
                json!({ "note": "ünchanged", "AWS_ACCESS_KEY_ID": old.id, "AWS_SECRET_ACCESS_KEY": old.secret });
            entries.insert(format!("{user}/config"), document.to_string());
        }
        let program = Program::at(sandbox).with("TOKIO_WORKER_THREADS", "1");
        let scenario = Self { sandbox: sandbox.clone(), program, user, old, entries };
        scenario.fill_store();
        scenario
    }

    fn fill_store(&self) {
        let store = EmbeddedStore::open_or_create(&self.path("store.db"), None).expect("a store");
        let entries = self.entries.iter().map(|(name, value)| {
            (EntryName::new(name.clone()).expect("a name"), SecretValue::new(value.as_bytes().to_vec()))
        });
        store.import(entries.collect()).expect("imported");
    }

    /// A file in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.program.folder().join(name)
    }

    /// The stored pair, if every entry is what it was but for the pair in it.
    pub(super) fn stored(&self) -> Result<Pair, String> {
        let values = self.program.values();
        let text = |name: &str| values.get(&format!("{}/{name}", self.user)).cloned();
        let pair = match (text("AWS_ACCESS_KEY_ID"), text("config")) {
            (Some(id), _) => Pair::new(id, text("AWS_SECRET_ACCESS_KEY").ok_or("the secret's entry is lost")?),
            (None, Some(document)) => pair_of(&document)?,
            (None, None) => return Err("the pair's entries are lost".to_owned()),
        };
        let expected = self.entries.iter().map(|(name, value)| {
            (name.clone(), value.replace(&self.old.id, &pair.id).replace(&self.old.secret, &pair.secret))
        });
        if values == expected.collect::<BTreeMap<_, _>>() { Ok(pair) } else { Err(self.what_changed(&values)) }
    }

    /// Names only: values are secrets.
    fn what_changed(&self, values: &BTreeMap<String, String>) -> String {
        let changed: Vec<_> = self.entries.iter().filter(|(name, value)| values.get(*name) != Some(value)).collect();
        let names: Vec<_> = changed.iter().map(|(name, _)| name.as_str()).collect();
        format!(
            "the store's {} entries hold more than one pair, or something else has changed; not as at first: {names:?}",
            values.len()
        )
    }

    /// P1 and P4: what is stored is let in, and there are two keys at most.
    pub(super) fn accepted(&self) -> Result<Pair, String> {
        let pair = self.stored()?;
        if !self.sandbox.accepts(&pair.id, &pair.secret) {
            return Err(format!("IAM refuses the stored pair {}; it has {:?}", pair.id, self.keys()));
        }
        if self.keys().len() > 2 {
            return Err(format!("more than two keys: {:?}", self.keys()));
        }
        Ok(pair)
    }

    /// One key, the stored one.
    pub(super) fn settled(&self) -> Result<(), String> {
        let pair = self.accepted()?;
        if self.keys() == [pair.id.clone()] {
            return Ok(());
        }
        Err(format!("the store has {}, IAM {:?}", pair.id, self.keys()))
    }

    /// The ids that IAM has.
    pub(super) fn keys(&self) -> Vec<String> {
        self.sandbox.keys_of(&self.user).iter().map(|key| key.id.to_string()).collect()
    }

    /// Whether the key of the beginning is not the stored one any more.
    pub(super) fn is_rotated(&self) -> bool {
        self.stored().is_ok_and(|pair| pair.id != self.old.id)
    }

    /// Runs rotator to its end, with no panic and no hang.
    pub(super) fn rotator(&self, args: &[&str]) -> Result<Ended, String> {
        sound(self.program.spawn(args))
    }

    /// `resume` until it does not ask to be run again; as it then ended.
    pub(super) fn resumed(&self) -> Result<Ended, String> {
        let began = std::time::Instant::now();
        loop {
            let ended = self.rotator(&["resume", "-q"])?;
            if ended.code != Some(3) {
                return Ok(ended);
            }
            if began.elapsed() > PATIENCE {
                let status = self.program.rotator(&["status"]).stdout;
                return Err(format!("resume still ends with 3 after {PATIENCE:?}: {ended:?}\n{status}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// `resume` ends with 0 and one key is left for the user, the stored one.
    pub(super) fn recovers(&self) -> Result<(), String> {
        self.accepted()?;
        let ended = self.resumed()?;
        if ended.code != Some(0) {
            return Err(format!("resume: {ended:?}\n{}", self.program.rotator(&["status"]).stdout));
        }
        self.settled()
    }

    /// The rotation's state and what is in doubt, as `status` tells.
    pub(super) fn status(&self) -> Result<Vec<(String, Option<String>)>, String> {
        let ended = self.rotator(&["status", "--output", "json"])?;
        if ended.code != Some(0) {
            return Err(format!("status: {ended:?}"));
        }
        let document = ended.json();
        let rotations = document["rotations"].as_array().cloned().unwrap_or_default();
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        Ok(rotations
            .iter()
            .map(|rotation| (text(&rotation["state"]).unwrap_or_default(), text(&rotation["in_doubt"])))
            .collect())
    }
}

fn pair_of(document: &str) -> Result<Pair, String> {
    let document: serde_json::Value = serde_json::from_str(document).map_err(|_| "the document is no JSON")?;
    let text = |name: &str| document[name].as_str().map(str::to_owned).ok_or("the document has lost the pair");
    Ok(Pair::new(text("AWS_ACCESS_KEY_ID")?, text("AWS_SECRET_ACCESS_KEY")?))
}

/// Waits for it; it must neither hang nor panic, and no signal but our own SIGKILL may end it.
pub(super) fn sound(running: Running) -> Result<Ended, String> {
    let ended = running.within(PATIENCE).map_err(|ended| format!("it hangs: {ended:?}"))?;
    let panicked = ended.stderr.contains("a defect") || ended.stderr.contains("panicked") || ended.code == Some(101);
    if panicked || ended.signal.is_some_and(|signal| signal != rustix::process::Signal::KILL.as_raw()) {
        return Err(format!("it panics: {ended:?}"));
    }
    Ok(ended)
}

/// Copies the files of one folder into another.
pub(super) fn copy_files(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) {
    for file in std::fs::read_dir(from).expect("listed") {
        let file = file.expect("listed");
        let name = file.file_name().into_string().expect("text");
        if wanted(&name) {
            std::fs::copy(file.path(), to.join(&name)).expect("copied");
        }
    }
}
