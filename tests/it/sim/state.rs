//! The state of a simulation: users with keys, stores with entries, a clock, and a record of the calls.

use std::collections::{BTreeMap, BTreeSet};

use super::faults::{Fault, Faults, Interference, Lasting, Op, Trouble};
use super::freshness::{Facts, Theirs};
use super::kinds;
use super::lag::Visibility;
use super::life::{Denial, Hindered};
use super::traffic::{Moving, Planned};

/// Every secret of the world begins so.
pub(crate) const SECRET_MARK: &str = "Zx/+";

/// The creator of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The store had the key at the beginning.
    Stored,
    /// Rotator made it.
    Rotator,
    /// A request of rotator's made it long after rotator gave the request up.
    Late,
    /// Made by another IAM client: not to be touched.
    Stranger,
    /// Made by another IAM client, with every mark of a lost create of ours: it may be taken for ours.
    Lookalike,
}

#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) active: bool,
    pub(crate) created: i64,
    pub(crate) by: By,
    pub(crate) used: Option<i64>,
    /// When it was really made, or long ago: what visibility is counted from.
    pub(crate) made: i64,
    /// The time of the last change of its status.
    pub(crate) changed: i64,
    /// The number of consecutive answers of STS that the pair belongs to its user.
    pub(crate) proved: u32,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    pub(crate) entries: BTreeMap<String, (u64, Vec<u8>)>,
    pub(crate) atomic: bool,
    /// Without it, a late write takes effect whatever the entry holds by then.
    pub(crate) compare_and_set: bool,
}

/// Where what the sink holds is kept: the world can look there, rotator cannot. Its name is the last of all stores'.
pub(crate) const SINK: &str = "the sink";

/// The entries of a user's pair there.
pub(crate) fn in_sink(user: &str) -> [String; 2] {
    [format!("{user}/ID"), format!("{user}/SECRET")]
}

/// A request. A user in it is called as rotator calls it.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    Create { user: String },
    Status { user: String, id: String, active: bool },
    Delete { user: String, id: String },
    Write { store: String, batch: Vec<(String, u64, Vec<u8>)> },
    WriteSink { user: String, id: String, secret: String },
}

/// A request that is executed later.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) due: i64,
    pub(crate) effect: Effect,
    /// The process that sent it.
    pub(crate) sender: u64,
    /// The time at which the request was sent.
    pub(crate) sent: i64,
    /// Whether an operator wrote after the reads that it relies on: a later look takes nothing back.
    pub(crate) overtaken: bool,
}

/// A pair that some service reads.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) user: String,
    pub(crate) store: String,
    pub(crate) id: String,
    /// The same entry as `id`: a document with both.
    pub(crate) secret: String,
}

#[derive(Default)]
pub(crate) struct SimState {
    /// In milliseconds.
    pub(crate) now: i64,
    pub(crate) users: BTreeMap<String, Vec<Key>>,
    /// The new names of renamed users. All other fields use the first name.
    pub(crate) renamed: BTreeMap<String, String>,
    /// The number of times that a user of this name was created again, with another unique id.
    pub(crate) made_again: BTreeMap<String, u32>,
    pub(crate) stores: BTreeMap<String, Store>,
    pub(crate) readers: Vec<Reader>,
    pub(crate) held: Vec<Held>,
    pub(crate) visibility: Visibility,
    /// Keys that are deleted and that lists still show: user, key, until when.
    pub(crate) ghosts: Vec<(String, Key, i64)>,
    pub(crate) faults: Faults,
    pub(crate) troubles: Vec<Lasting>,
    pub(crate) touches: usize,
    pub(crate) of_op: BTreeMap<Op, usize>,
    /// The touches at which something may have changed.
    pub(crate) effects: Vec<usize>,
    /// A description of each touch, if the story is requested.
    pub(crate) reported: Option<Vec<String>>,
    /// Raised by a crash: ports of an earlier epoch are dead.
    pub(crate) epoch: u64,
    /// Whether anything has failed in the process that runs now.
    pub(crate) struck: bool,
    /// The process that runs now.
    pub(crate) process: u64,
    /// Users whose create is in doubt on record.
    pub(crate) doubted: BTreeSet<String>,
    /// The number of proofs of the new pair before it is stored.
    pub(crate) confirmations: u32,
    /// Whether a key that bears every mark of ours may be taken for ours.
    pub(crate) reclaims: bool,
    /// The act of an operator, and its call.
    pub(crate) interference: Option<(usize, Interference)>,
    /// The user whom persons and unreadable notes concern.
    pub(crate) first_user: String,
    /// The acts of operators, by user.
    pub(crate) theirs: BTreeMap<String, Theirs>,
    /// The reads and their times.
    pub(crate) facts: Facts,
    /// Set with virtual time.
    pub(crate) moving: Option<Moving>,
    /// The planned events, the next one last.
    pub(crate) planned: Vec<Planned>,
    /// The time of the signal to the present process, and the duration of all suspends before it.
    pub(crate) signalled: Option<(i64, i64)>,
    /// Whether rotations follow one another.
    pub(crate) lives: bool,
    pub(crate) runs: usize,
    /// The number of closed rotations after the last run.
    pub(crate) closed: usize,
    /// The time at the beginning of the simulation.
    pub(crate) began: i64,
    pub(crate) denials: Vec<Denial>,
    pub(crate) hindered: Hindered,
    /// The creation times of the keys of each user.
    pub(crate) creates: BTreeMap<String, Vec<i64>>,
    /// Dates that are wrong, by the number of the answer: by how many seconds.
    pub(crate) wrong_dates: BTreeMap<usize, i64>,
    pub(crate) dates_told: usize,
    /// The numbers of the creates that a proxy sends twice.
    pub(crate) resent: BTreeSet<usize>,
    /// A service uses this user's old key until then.
    pub(crate) in_use: Option<(String, i64)>,
    /// The shortest times during which the old key stays active, then inactive.
    pub(crate) overlap: i64,
    pub(crate) quarantine: i64,
    /// For how long the machine has been suspended.
    pub(crate) suspended: i64,
    /// The old keys of rotations that are open.
    pub(crate) replaced: BTreeSet<String>,
    /// Users whose place rotator has written and not read since.
    pub(crate) unread: BTreeSet<String>,
    /// Users of whom something has changed since the last check, and how many checks there were.
    pub(crate) changed: BTreeSet<String>,
    pub(crate) checks: u64,
    /// Entries of other programs: store, entry and what it holds.
    pub(crate) others: Vec<(String, String, Vec<u8>)>,
    /// The user whose rotation each task works on.
    pub(crate) driven: BTreeMap<tokio::task::Id, String>,
    pub(crate) broken: Vec<String>,
    pub(crate) windows: BTreeMap<&'static str, u64>,
    pub(crate) serial: u64,
}

impl SimState {
    /// Adds to the story, if there is to be one.
    pub(crate) fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(reported) = &mut self.reported {
            reported.push(what());
        }
    }

    /// A dangerous moment was met.
    pub(crate) fn hit(&mut self, window: &'static str) {
        *self.windows.entry(window).or_default() += 1;
    }

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
        (format!("AKIA{tail}"), format!("{SECRET_MARK}{:036}", self.serial).replace('0', "q"))
    }

    /// A key that has been there for so long that everything shows it.
    pub(crate) fn add_key(&mut self, user: &str, by: By, created: i64) -> Key {
        let (id, secret) = self.mint();
        let (active, made, changed) = (true, i64::MIN / 2, i64::MIN / 2);
        let key = Key { id, secret, active, created, by, used: None, made, changed, proved: 0 };
        self.users.entry(user.to_owned()).or_default().push(key.clone());
        key
    }

    pub(crate) fn find(&mut self, id: &str) -> Option<&mut Key> {
        self.users.values_mut().flatten().find(|key| key.id == id)
    }

    /// Whether this is out of order now.
    pub(crate) fn has(&self, trouble: Trouble) -> bool {
        let now = self.touches.saturating_sub(1);
        self.troubles.iter().any(|lasting| lasting.trouble == trouble && lasting.is_on(now))
    }

    /// Counts a touch and returns its fault, if it has one. `where_to`: the store that is asked, if one is.
    pub(crate) fn touch(&mut self, op: Op, where_to: &str) -> Option<Fault> {
        let number = self.touches;
        self.touches += 1;
        self.begins_after_a_signal(op);
        if op.is_effect() {
            self.effects.push(number);
        }
        let nth = self.of_op.entry(op).or_default();
        let of_op = *nth;
        *nth += 1;
        let mut fault = self.faults.at.get(&number).or_else(|| self.faults.of.get(&(op, of_op))).copied();
        if op.is_of_a_store() && fault.is_none() && self.is_down(where_to) {
            self.hit("a store down");
            fault = Some(Fault::LostBefore);
        }
        fault = fault.or_else(|| self.throttles(op));
        if fault.is_some() {
            self.hindered.insert(String::new(), self.now);
        }
        let struck = fault.is_some();
        fault = fault.or_else(|| self.denies(op, where_to));
        if fault == Some(Fault::Throttled) {
            self.hit("throttled");
        }
        self.struck |= struck;
        if fault.is_some_and(|fault| !matches!(fault, Fault::Throttled | Fault::Denied | Fault::Credentials))
            && let Some(window) = in_doubt(op)
        {
            self.hit(window);
            if op == Op::ChangeStatus && self.visibility.stale_status > 0 {
                self.hit(kinds::STATUS_SHOWN_LATE);
            }
        }
        if op == Op::ReadAll && self.readers.first().is_some_and(|reader| reader.store == where_to) {
            self.is_a_look_at_everything();
        }
        if let Some((at, interference)) = self.interference
            && at == number
        {
            self.tell(|| format!("  an operator: {interference:?}"));
            let user = self.first_user.clone();
            self.interfere(&user, interference);
        }
        self.tell(|| match fault {
            Some(fault) => format!("{number} {op:?} {where_to}  <-- {fault:?}"),
            None => format!("{number} {op:?} {where_to}"),
        });
        fault
    }

    /// Whether the current task read every entry. Rotations share only the scan, so this excuses more than necessary if
    /// there are several users.
    fn is_a_look_at_everything(&mut self) {
        let whose = tokio::task::try_id().and_then(|task| self.driven.get(&task).cloned());
        for (user, theirs) in &mut self.theirs {
            theirs.unseen &= whose.as_ref().is_some_and(|whose| whose != user);
        }
    }

    fn is_down(&self, store: &str) -> bool {
        self.stores.keys().position(|name| name == store).is_some_and(|number| self.has(Trouble::StoreDown(number)))
    }

    /// Whether the store acknowledges a write and loses it. It loses whole batches only: half a lost batch would not be a
    /// fault of rotator.
    pub(super) fn lies(&self, store: &str) -> bool {
        self.stores.get(store).is_some_and(|store| store.atomic)
            && self.stores.keys().position(|name| name == store).is_some_and(|number| self.has(Trouble::Lies(number)))
    }

    /// Whether no request is still under way, no trouble lasts, and lists show what is.
    pub(crate) fn has_calmed_down(&self) -> bool {
        let shown = |key: &Key| self.now - key.made >= self.visibility.unlisted.end();
        self.held.is_empty()
            && self.troubles.iter().all(|lasting| lasting.is_over(self.touches))
            && self.users.values().flatten().all(shown)
    }

    /// Entries that name a key. Nothing in this world is encoded.
    pub(crate) fn naming(&self, id: &str) -> Vec<String> {
        let entries = self.stores.values().flat_map(|store| store.entries.iter());
        let names = |bytes: &[u8]| bytes.windows(id.len()).any(|window| window == id.as_bytes());
        entries.filter(|(_, (_, bytes))| names(bytes)).map(|(name, _)| name.clone()).collect()
    }
}

/// The window that a fault at such a touch opens.
const fn in_doubt(op: Op) -> Option<&'static str> {
    match op {
        Op::Append => Some("append in doubt"),
        Op::Create => Some("create in doubt"),
        Op::ChangeStatus => Some("status in doubt"),
        Op::Delete => Some("delete in doubt"),
        Op::Write => Some("write in doubt"),
        Op::WriteSink => Some("sink in doubt"),
        Op::ListKeys | Op::LastUsed | Op::Caller | Op::WhoIs | Op::StoreIdentity | Op::ReadAll | Op::ReadPlaces => None,
    }
}
