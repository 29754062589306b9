//! Measures the age of the facts behind a removal: the reads that it depends on, the simulated times of each, and
//! whether the removal is sent in time. Reads of an earlier process do not count.

use std::collections::BTreeMap;

use super::faults::Op;
use super::state::{SINK, SimState};

/// A removal is sent at most this long after the last of its reads of places, key list and stored pair ended.
const SENT_WITHIN: i64 = 5_000;
/// A removal is sent at most this long, and one time-out of a call, after the first of these reads began.
const READ_WITHIN: i64 = 30_000;
/// When it is sent, the scan of all stores began at most this long, and its own duration, ago.
const SCAN_WITHIN: i64 = 60_000;
/// Dates are in whole seconds.
const SECONDS_ARE_WHOLE: i64 = 3_000;
/// No call begins later than this after a signal.
const BEGINS_WITHIN: i64 = 26_000;
/// A process ends at most this long after a signal.
const ENDS_WITHIN: i64 = 30_000;
/// As the schedules configure it.
pub(crate) const CALL_TIMEOUT: i64 = 10_000;

/// The object of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// The old key, deactivated or deleted.
    Old,
    /// A key that rotator made or takes for its own, deactivated or discarded.
    New,
    /// A key that an operator or the policy on spares named.
    Named,
}

/// One read that was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Read {
    pub(crate) began: i64,
    pub(crate) ended: i64,
}

/// The reads of the present process, and the state of the rotation of each user in the journal.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// By user.
    pub(crate) lists: BTreeMap<String, Read>,
    /// By user and store.
    pub(crate) places: BTreeMap<(String, String), Read>,
    /// By key: STS said that the pair is its user's.
    pub(crate) proofs: BTreeMap<String, Read>,
    /// Every entry, by store.
    pub(crate) scans: BTreeMap<String, Read>,
    /// The times at which old keys were deactivated.
    pub(crate) deactivated: BTreeMap<String, i64>,
    /// The key that each user's rotation made last.
    pub(crate) made: BTreeMap<String, String>,
    /// When each user's rotation reached `stored-new`, and with which key.
    pub(crate) stored: BTreeMap<String, (i64, String)>,
}

/// The acts of operators on a user, and the failures that they excuse.
#[derive(Debug, Default, Clone)]
pub(crate) struct Theirs {
    /// The time at which an operator wrote to a place.
    pub(crate) place: Option<i64>,
    /// The time at which an operator wrote the old id to another entry.
    pub(crate) other: Option<i64>,
    /// Whether a write followed rotator's last scan of every entry.
    pub(crate) unseen: bool,
    /// Whether a pair is broken because of what one did.
    pub(crate) fault: bool,
    /// Whether a rotation was opened on what one wrote: it takes the world as it finds it.
    pub(crate) opened_on_it: bool,
}

impl Facts {
    /// Forgets the reads of the former process.
    pub(crate) fn forget_reads(&mut self) {
        self.lists.clear();
        self.places.clear();
        self.proofs.clear();
        self.scans.clear();
    }

    /// The last scan of every store.
    fn scan<'a>(&self, stores: impl Iterator<Item = &'a String>) -> Option<Read> {
        let reads: Option<Vec<Read>> = stores.map(|store| self.scans.get(store).copied()).collect();
        spanning(reads?)
    }

    fn places_of(&self, user: &str) -> Vec<Read> {
        self.places.iter().filter(|((whose, _), _)| whose == user).map(|(_, read)| *read).collect()
    }
}

/// From the first beginning to the last end.
fn spanning(reads: Vec<Read>) -> Option<Read> {
    let began = reads.iter().map(|read| read.began).min()?;
    let ended = reads.iter().map(|read| read.ended).max()?;
    Some(Read { began, ended })
}

impl SimState {
    fn last_scan(&self) -> Option<Read> {
        self.facts.scan(self.stores.keys().filter(|store| *store != SINK))
    }

    /// A removal is sent now: whether what it relies on is as fresh as it must be.
    pub(crate) fn check_age(&mut self, user: &str, removal: Removal) {
        let mut stale = Vec::new();
        let sent = self.now;
        if let Some((signalled, _)) = self.signalled.filter(|_| removal != Removal::New) {
            let ago = sent - signalled;
            self.broken.push(format!("signal: {removal:?} key of {user} was removed {ago} ms after it"));
        }
        match self.last_scan() {
            None => stale.push("without a scan".to_owned()),
            Some(scan) => {
                let age = sent - scan.ended;
                if age > SCAN_WITHIN {
                    stale.push(format!("{age} ms after the scan ended"));
                }
                let stored = self.facts.stored.get(user).filter(|_| removal == Removal::Old);
                if let Some((stored, _)) = stored.filter(|(stored, _)| scan.began < *stored) {
                    stale.push(format!("on a scan that began {} ms before stored-new", stored - scan.began));
                }
            }
        }
        if let Some((stored, _)) = self.facts.stored.get(user).filter(|_| removal == Removal::Old) {
            let age = sent - stored + SECONDS_ARE_WHOLE;
            // Where one task's sleep is everybody's, a line is written long after what it tells.
            if age < self.overlap && self.moving.is_some() {
                let early = self.overlap - age;
                self.broken
                    .push(format!("P1: the old key of {user} was removed {early} ms before its overlap was over"));
            }
        }
        if removal != Removal::Named {
            self.check_final(user, removal, &mut stale);
        }
        self.hit("removals sent");
        // Where one task's sleep is everybody's, any two moments of one rotation are far apart.
        if !stale.is_empty() && self.moving.is_some() {
            let stale = stale.join(", ");
            self.broken.push(format!("freshness: {removal:?} key of {user} was removed {stale}"));
        }
    }

    /// A key is deleted: not before its quarantine is over.
    pub(crate) fn check_quarantine(&mut self, id: &str, sent: i64) {
        let Some(since) = self.facts.deactivated.get(id) else { return };
        let early = self.quarantine - (sent - since + SECONDS_ARE_WHOLE);
        if early > 0 && self.moving.is_some() {
            self.broken.push(format!("P1: the old key {id} was deleted {early} ms before its quarantine was over"));
        }
    }

    /// Records a signal.
    pub(crate) fn has_a_signal(&mut self) {
        self.catch_up();
        self.tell(|| "  a signal".to_owned());
        self.hit("signalled");
        self.counts_a_signal();
        self.signalled = Some((self.now, self.suspended));
    }

    /// A call begins now: not when it could not end in time after a signal.
    pub(crate) fn begins_after_a_signal(&mut self, op: Op) {
        // A write that is under way is brought to its end, and what it did is read back, for as long as there is time.
        let in_hand = matches!(op, Op::Append | Op::Write | Op::ReadPlaces);
        let Some((signalled, suspended)) = self.signalled.filter(|_| !in_hand) else { return };
        let after = self.now - signalled - (self.suspended - suspended);
        if after > BEGINS_WITHIN {
            self.broken.push(format!("signal: {op:?} began {after} ms after it"));
        }
    }

    /// Records the end of the process, and checks that it ended in time after a signal.
    pub(crate) fn ends_after_a_signal(&mut self) {
        self.catch_up();
        // A suspended process cannot end.
        let since = |(signalled, suspended): (i64, i64)| self.now - signalled - (self.suspended - suspended);
        let took = self.signalled.take().map(since).filter(|took| *took > ENDS_WITHIN);
        if let Some(took) = took {
            self.broken.push(format!("signal: the process ended {took} ms after it"));
        }
    }

    /// Places, key list and stored pair. A key that is not stored anywhere has no pair to prove.
    fn check_final(&self, user: &str, removal: Removal, stale: &mut Vec<String>) {
        let list = self.facts.lists.get(user).copied();
        let mut reads: Vec<Read> = list.into_iter().collect();
        if list.is_none() {
            stale.push("without a list of keys".to_owned());
        }
        let places = self.facts.places_of(user);
        if removal == Removal::Old {
            if places.is_empty() {
                stale.push("without a look at its places".to_owned());
            }
            reads.extend(&places);
            let stored = self.facts.stored.get(user).and_then(|(_, key)| self.facts.proofs.get(key));
            match stored {
                Some(proof) => reads.push(*proof),
                None => stale.push("without a proof of the stored pair".to_owned()),
            }
        }
        let Some(Read { began, ended }) = spanning(reads) else { return };
        // Where a key was written nowhere, the places need not be read; where they were read last, that read counts.
        let ended = places.iter().map(|read| read.ended).fold(ended, i64::max);
        let (since_end, since_start) = (self.now - ended, self.now - began);
        if since_end > SENT_WITHIN {
            stale.push(format!("{since_end} ms after the last of its reads ended"));
        }
        if since_start > READ_WITHIN + CALL_TIMEOUT {
            stale.push(format!("{since_start} ms after the first of its reads began"));
        }
    }

    pub(crate) fn theirs(&mut self, user: &str) -> &mut Theirs {
        if !self.theirs.contains_key(user) {
            self.theirs.insert(user.to_owned(), Theirs::default());
        }
        self.theirs.get_mut(user).expect("just put there")
    }

    pub(crate) fn has_unseen(&self, user: &str) -> bool {
        self.theirs.get(user).is_some_and(|theirs| theirs.unseen)
    }

    pub(crate) fn is_their_fault(&self, user: &str) -> bool {
        self.theirs.get(user).is_some_and(|theirs| theirs.fault)
    }

    /// Whether the reads behind a removal that is sent now may have missed an operator's write. They may miss only a
    /// write after them, or within the bound for the age of a scan.
    pub(crate) fn is_overtaken(&self, user: &str) -> bool {
        let Some(theirs) = self.theirs.get(user) else { return false };
        if self.moving.is_none() {
            return theirs.unseen;
        }
        let scan = self.last_scan();
        let after_scan = |at: i64| {
            scan.is_none_or(|scan| at >= scan.began || self.now - at <= SCAN_WITHIN + scan.ended - scan.began)
        };
        let places = spanning(self.facts.places_of(user));
        let place = theirs.place.is_some_and(|at| places.map_or_else(|| after_scan(at), |read| at >= read.began));
        place || theirs.other.is_some_and(after_scan)
    }

    /// Whether an operator wrote after a request was sent.
    pub(crate) fn wrote_since(&self, user: &str, sent: i64) -> bool {
        let Some(theirs) = self.theirs.get(user) else { return false };
        theirs.place.max(theirs.other).is_some_and(|at| at >= sent)
    }
}
