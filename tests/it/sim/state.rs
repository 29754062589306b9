//! What the simulated world is: users with keys, stores with entries, a clock; and the promises about it.

use std::collections::{BTreeMap, BTreeSet};

use rotator::discovery::names;
use rotator::rotation::name::AccessKeyId;
use rotator::rotation::secret::SecretValue;

use super::faults::{Fault, Faults, Interference};

/// Whose key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// It was there, in the store, when we came.
    Stored,
    /// Rotator made it.
    Rotator,
    /// A request of rotator's made it long after rotator had given the request up.
    Late,
    /// Somebody else's: not to be touched.
    Stranger,
}

#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) active: bool,
    pub(crate) created: i64,
    pub(crate) by: By,
    pub(crate) used: Option<i64>,
    /// From when on lists show it.
    pub(crate) listed_from: i64,
    /// From when on it authenticates.
    pub(crate) valid_from: i64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    pub(crate) entries: BTreeMap<String, (u64, Vec<u8>)>,
    pub(crate) atomic: bool,
}

/// A request that is executed later.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    Create { user: String },
    Status { id: String, active: bool },
    Delete { user: String, id: String },
    Write { store: String, batch: Vec<(String, u64, Vec<u8>)> },
}

/// A pair that some service reads: store, id entry, secret entry.
pub(crate) type Reader = (String, String, String);

#[derive(Default)]
pub(crate) struct State {
    /// Milliseconds.
    pub(crate) now: i64,
    pub(crate) users: BTreeMap<String, Vec<Key>>,
    pub(crate) stores: BTreeMap<String, Store>,
    pub(crate) readers: Vec<Reader>,
    pub(crate) late: Vec<(i64, Effect)>,
    /// How long lists do not show a new key, and how long it does not authenticate, in milliseconds.
    pub(crate) lag: (i64, i64),
    pub(crate) faults: Faults,
    pub(crate) touches: usize,
    /// What each touch was, for a failing schedule's report.
    pub(crate) told: Vec<String>,
    /// Raised by a crash: ports of an earlier epoch are dead.
    pub(crate) epoch: u64,
    /// What a person does, and at which touch.
    pub(crate) interference: Option<(usize, Interference)>,
    /// Whether the person's write came after rotator's last look at every entry: no promise covers that.
    pub(crate) excused: bool,
    /// Whether a pair is broken because of such a write.
    pub(crate) persons_fault: bool,
    /// Whether a rotation was opened on what the person wrote: it takes the world as it finds it.
    pub(crate) opened_on_it: bool,
    pub(crate) broken: Vec<String>,
    pub(crate) secrets: BTreeSet<String>,
    pub(crate) creates: usize,
    /// Whether a run told of a key that turned up late.
    pub(crate) reported_late: bool,
    pub(crate) serial: u64,
}

impl State {
    /// A new pair that nothing else has.
    pub(crate) fn mint(&mut self) -> (String, String) {
        self.serial += 1;
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let mut number = self.serial * 7_919;
        let mut tail = String::new();
        for _ in 0..16 {
            tail.push(alphabet[usize::try_from(number % 32).expect("small")] as char);
            number = number / 32 + self.serial * 31;
        }
        let id = format!("AKIA{tail}");
        let secret = format!("Zx/+{:036}", self.serial).replace('0', "q");
        self.secrets.insert(secret.clone());
        (id, secret)
    }

    pub(crate) fn add_key(&mut self, user: &str, by: By, active: bool, created: i64) -> (String, String) {
        let (id, secret) = self.mint();
        let key = Key {
            id: id.clone(),
            secret: secret.clone(),
            active,
            created,
            by,
            used: None,
            listed_from: i64::MIN,
            valid_from: i64::MIN,
        };
        self.users.entry(user.to_owned()).or_default().push(key);
        (id, secret)
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Key> {
        self.users.values().flatten().find(|key| key.id == id)
    }

    /// Counts a touch and says what is to go wrong with it.
    pub(crate) fn touch(&mut self, what: &str) -> Option<Fault> {
        let number = self.touches;
        self.touches += 1;
        let fault = self.faults.0.get(&number).copied();
        if what.contains("\"event\":\"opened\"") && self.interference.is_some_and(|(at, _)| at < number) {
            self.opened_on_it = true;
        }
        if what == "store read all" {
            self.excused = false;
        }
        if let Some((at, interference)) = self.interference
            && at == number
        {
            self.told.push(format!("  a person: {interference:?}"));
            self.interfere(interference);
        }
        self.told.push(match fault {
            Some(fault) => format!("{number} {what}  <-- {fault:?}"),
            None => format!("{number} {what}"),
        });
        fault
    }

    pub(crate) fn advance(&mut self, millis: i64) {
        self.now += millis;
        let now = self.now;
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.late).into_iter().partition(|(at, _)| *at <= now);
        self.late = later;
        for (_, effect) in due {
            self.told.push(format!("  late: {effect:?}").chars().take(90).collect());
            let keys = self.creates;
            let made = self.have(effect);
            if let (Ok(Some(key)), true) = (made, self.creates > keys)
                && let Some(key) = self.users.values_mut().flatten().find(|seen| seen.id == key.id)
            {
                key.by = By::Late;
            }
            self.check("a late request");
        }
    }

    /// Has an effect as the real service would; the error is the service's code.
    pub(crate) fn have(&mut self, effect: Effect) -> Result<Option<Key>, &'static str> {
        match effect {
            Effect::Create { user } => {
                let Some(keys) = self.users.get(&user) else { return Err("NoSuchEntity") };
                if keys.len() >= 2 {
                    return Err("LimitExceeded");
                }
                let created = self.now / 1000 * 1000;
                self.creates += 1;
                self.add_key(&user, By::Rotator, true, created);
                let (listed, valid) = self.lag;
                let now = self.now;
                let key = self.users.get_mut(&user).and_then(|keys| keys.last_mut()).expect("just added");
                key.listed_from = now + listed;
                key.valid_from = now + valid;
                Ok(Some(key.clone()))
            }
            Effect::Status { id, active } => {
                let found = self.users.values_mut().flatten().find(|key| key.id == id);
                let Some(key) = found else { return Err("NoSuchEntity") };
                if key.by == By::Stranger && !active {
                    self.broken.push(format!("P2: a stranger's key {id} was deactivated"));
                }
                key.active = active;
                self.persons_fault |= self.excused && !active;
                Ok(None)
            }
            Effect::Delete { user, id } => {
                let named: Vec<String> = self.naming(&id);
                self.persons_fault |= self.excused;
                let Some(keys) = self.users.get_mut(&user) else { return Err("NoSuchEntity") };
                let Some(at) = keys.iter().position(|key| key.id == id) else { return Err("NoSuchEntity") };
                let key = keys.remove(at);
                if key.by == By::Stranger {
                    self.broken.push(format!("P2: a stranger's key {id} was deleted"));
                }
                if !named.is_empty() && !self.excused {
                    self.broken.push(format!("P3: {id} was deleted while {named:?} named it"));
                }
                Ok(None)
            }
            Effect::Write { store, batch } => {
                let store = self.stores.get_mut(&store).expect("a store of the setup");
                let stale = |(entry, version, _): &(String, u64, Vec<u8>)| {
                    store.entries.get(entry).is_none_or(|(now, _)| now != version)
                };
                if store.atomic && batch.iter().any(stale) {
                    return Err("Stale");
                }
                for (entry, version, value) in batch {
                    let Some((now, bytes)) = store.entries.get_mut(&entry).filter(|(now, _)| *now == version) else {
                        return Err("Stale");
                    };
                    if bytes == b"something else\n" && *bytes != value && !self.opened_on_it {
                        self.broken.push("P2: what a person wrote was overwritten".to_owned());
                    }
                    *now += 1;
                    *bytes = value;
                }
                Ok(None)
            }
        }
    }

    /// Whether no request is still under way and lists show every key.
    pub(crate) fn everything_is_shown(&self) -> bool {
        self.late.is_empty() && self.users.values().flatten().all(|key| key.listed_from <= self.now)
    }

    fn interfere(&mut self, interference: Interference) {
        let Some((store, ids, secrets)) = self.readers.first().cloned() else { return };
        let keys = self.users.values().next().cloned().unwrap_or_default();
        let Some(old) = keys.iter().find(|key| key.by == By::Stored) else {
            self.persons_fault = true;
            return;
        };
        let Some(store) = self.stores.get_mut(&store) else { return };
        let mut put = |entry: &str, bytes: Vec<u8>| {
            let slot = store.entries.entry(entry.to_owned()).or_default();
            *slot = (slot.0 + 1, bytes);
        };
        match interference {
            Interference::CopiesOldKey => put("notes/for/us", format!("the key is {}", old.id).into_bytes()),
            Interference::Reverts => {
                put(&ids, old.id.clone().into_bytes());
                put(&secrets, format!("{}\n", old.secret).into_bytes());
            }
            Interference::Overwrites => put(&secrets, b"something else\n".to_vec()),
        }
        self.excused = true;
        self.persons_fault |= !old.active;
    }

    /// Entries that name a key.
    pub(crate) fn naming(&self, id: &str) -> Vec<String> {
        let id = AccessKeyId::new(id).expect("a key id");
        let entries = self.stores.values().flat_map(|store| store.entries.iter());
        let hit = entries.filter(|(_, (_, bytes))| names(&SecretValue::new(bytes.clone()), &id));
        hit.map(|(name, _)| name.clone()).collect()
    }

    /// The promises that can be seen in the world itself.
    pub(crate) fn check(&mut self, after: &str) {
        let mut broken = Vec::new();
        for (store, id_entry, secret_entry) in &self.readers {
            let Some(store) = self.stores.get(store) else { continue };
            let text = |entry: &str| {
                store.entries.get(entry).map(|(_, bytes)| String::from_utf8_lossy(bytes).trim().to_owned())
            };
            let (Some(id), Some(secret)) = (text(id_entry), text(secret_entry)) else {
                broken.push(format!("P1: {id_entry} is gone"));
                continue;
            };
            let accepted = self.find(&id).is_some_and(|key| key.active && key.secret == secret);
            let torn =
                !store.atomic && self.users.values().flatten().any(|key| key.secret == secret && key.by == By::Rotator);
            // From here on it is the person's doing, not ours.
            let persons = matches!(self.interference, Some((at, Interference::Overwrites)) if at < self.touches);
            if !accepted && !torn && !persons && !self.excused && !self.persons_fault {
                broken.push(format!("P1: {id_entry} holds {id}, which does not authenticate, after {after}"));
            }
        }
        for (user, keys) in &self.users {
            if keys.len() > 2 {
                broken.push(format!("P4: {user} has {} keys after {after}", keys.len()));
            }
        }
        self.broken.append(&mut broken);
    }
}
