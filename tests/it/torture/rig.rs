//! The environment of these tests: moto or the sandbox, users with a pair in the store each, and checks of the promises
//! that do not use rotator.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rotator::sandbox::Sandbox;
use serde_json::Value;

use crate::support::aws::{Pair, signed_call};
use crate::support::moto::Moto;
use crate::support::program::{Program, Running, my_secret, put_pair};

/// The IAM and STS calls that a test makes itself.
pub(super) trait Iam: Send + Sync {
    /// Whether a request signed with this pair is let in at this moment.
    fn accepts(&self, pair: &Pair) -> bool;
    /// The ids of all keys of this user.
    fn keys_of(&self, user: &str) -> Vec<String>;
}

impl Iam for Sandbox {
    fn accepts(&self, pair: &Pair) -> bool {
        Self::accepts(self, &pair.id, &pair.secret)
    }

    fn keys_of(&self, user: &str) -> Vec<String> {
        Self::keys_of(self, user).into_iter().map(|key| key.id.to_string()).collect()
    }
}

/// moto, and its administrator.
pub(super) struct CheckedMoto {
    pub(super) moto: Moto,
    pub(super) admin: Pair,
}

impl CheckedMoto {
    /// The body of the answer to a call that this pair signs, if it is let in.
    pub(super) fn call(&self, pair: &Pair, service: &str, body: &str) -> Option<String> {
        let answer = signed_call(self.moto.addr(), pair, service, body, SystemTime::now()).expect("moto answers");
        (answer.status == 200).then_some(answer.body)
    }

    /// As the administrator, about a user.
    pub(super) fn administer(&self, action: &str, user: &str) -> String {
        let user = user.replace('/', "%2F");
        let body = format!("Action={action}&Version=2010-05-08&UserName={user}");
        self.call(&self.admin, "iam", &body).unwrap_or_else(|| panic!("moto refused {action} of {user}"))
    }
}

impl Iam for CheckedMoto {
    fn accepts(&self, pair: &Pair) -> bool {
        self.call(pair, "sts", "Action=GetCallerIdentity&Version=2011-06-15").is_some()
    }

    fn keys_of(&self, user: &str) -> Vec<String> {
        let listed = self.administer("ListAccessKeys", user);
        let ids = listed.split("<AccessKeyId>").skip(1).filter_map(|rest| rest.split('<').next());
        ids.map(str::to_owned).collect()
    }
}

/// A block that an operator answered with the command that rotator gave.
pub(super) struct Answered {
    pub(super) reason: String,
    /// The stderr of that command.
    pub(super) said: String,
}

/// Users whose pairs are in the store, each beside a secret that must not be touched.
pub(super) struct Rig {
    pub(super) iam: Arc<dyn Iam>,
    pub(super) program: Program,
    pub(super) users: Vec<String>,
}

impl Rig {
    /// Fills the store of `program` with the pairs of these users.
    pub(super) fn new(iam: Arc<dyn Iam>, program: Program, pairs: &BTreeMap<String, Pair>) -> Self {
        let mut entries = BTreeMap::new();
        for (user, pair) in pairs {
            put_pair(&mut entries, user, pair);
            entries.insert(format!("{user}/MY_SECRET"), my_secret(user));
        }
        program.import(&entries);
        Self { iam, program, users: pairs.keys().cloned().collect() }
    }

    /// All pairs in the store, and every other entry unchanged.
    pub(super) fn stored(&self) -> Result<BTreeMap<String, Pair>, String> {
        let values = self.program.values();
        if values.len() != 3 * self.users.len() {
            return Err(format!("the store has {} entries, not {}", values.len(), 3 * self.users.len()));
        }
        for user in &self.users {
            if values.get(&format!("{user}/MY_SECRET")) != Some(&my_secret(user)) {
                return Err(format!("MY_SECRET of {user} has changed"));
            }
        }
        pairs_in(&values, &self.users)
    }

    /// P1 and P4 at this moment. (The embedded store is atomic: no pair is ever torn.)
    pub(super) fn all_accepted(&self) -> Result<BTreeMap<String, Pair>, String> {
        let pairs = self.stored()?;
        for (user, pair) in &pairs {
            if !self.iam.accepts(pair) {
                return Err(format!("IAM refuses the stored pair {} of {user}", pair.id));
            }
            if self.iam.keys_of(user).len() > 2 {
                return Err(format!("{user} has more than two keys"));
            }
        }
        Ok(pairs)
    }

    /// Waits until the journal has grown `nth` times, or `running` has ended.
    pub(super) fn wait_for_journal(&self, nth: u64, running: &mut Running) {
        self.wait_for("journal.db-wal", nth, running);
    }

    /// Waits until the store was written `nth` times, or `running` has ended.
    pub(super) fn wait_for_store(&self, nth: u64, running: &mut Running) {
        self.wait_for("store.db-wal", nth, running);
    }

    fn wait_for(&self, log: &str, nth: u64, running: &mut Running) {
        let log = self.program.folder().join(log);
        let length = || std::fs::metadata(&log).map_or(0, |log| log.len());
        let (mut last, mut grown) = (length(), 0);
        while grown < nth && !running.is_over() {
            std::thread::sleep(Duration::from_micros(200));
            let now = length();
            grown += u64::from(now > last);
            last = now;
        }
    }

    /// Does exactly what the document of a `run` or `resume` says for each block, as an operator would.
    pub(super) fn answer_blocks(&self, document: &Value) -> Result<Vec<Answered>, String> {
        let mut answered = Vec::new();
        for rotation in document["rotations"].as_array().expect("rotations") {
            let blocked = &rotation["blocked"];
            let (Some(reason), Some(command)) = (blocked["reason"].as_str(), blocked["command"].as_str()) else {
                continue;
            };
            let args: Vec<&str> = command.split_whitespace().skip(1).collect();
            let ended = self.program.rotator(&args);
            if !matches!(ended.code, Some(0 | 3 | 4)) {
                return Err(format!("`{command}` ends with {:?}: {}", ended.code, ended.stderr));
            }
            answered.push(Answered { reason: reason.to_owned(), said: ended.stderr });
        }
        Ok(answered)
    }

    /// One key for each user, the stored one.
    pub(super) fn all_settled(&self) -> Result<(), String> {
        for (user, pair) in self.all_accepted()? {
            let keys = self.iam.keys_of(&user);
            if keys != [pair.id.as_str()] {
                return Err(format!("{user} has the keys {keys:?}, the store {}", pair.id));
            }
        }
        Ok(())
    }
}

/// The pairs of these users among all that a store holds.
pub(super) fn pairs_in(values: &BTreeMap<String, String>, users: &[String]) -> Result<BTreeMap<String, Pair>, String> {
    let value = |entry: String| values.get(&entry).cloned().ok_or(format!("{entry} is lost"));
    let pair = |user: &String| {
        let id = value(format!("{user}/AWS_ACCESS_KEY_ID"))?;
        Ok((user.clone(), Pair::new(id, value(format!("{user}/AWS_SECRET_ACCESS_KEY"))?)))
    };
    users.iter().map(pair).collect()
}
