//! Reading every entry of every store to see which of them name a key.
//!
//! One scan serves all who asked before it began: with hundreds of rotations there are few scans.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;

use super::pace::Operation;
use super::world::World;
use crate::discovery::{Haystack, Needle};
use crate::planted::{self, Planted};
use crate::ports::call::CallError;
use crate::ports::secret_store::Reading;
use crate::rotation::known::ScanSeen;
use crate::rotation::name::AccessKeyId;

/// How many results are kept for those who asked for them and were not woken yet.
const KEPT_RESULTS: usize = 4;

type Outcome = Result<ScanSeen, CallError>;

#[derive(Default)]
struct Waiting {
    /// The number of the scan that will serve those who ask now.
    number: u64,
    keys: BTreeSet<AccessKeyId>,
}

/// Scans, shared by all rotations.
#[derive(Default)]
pub struct Scans {
    waiting: Mutex<Waiting>,
    results: tokio::sync::Mutex<VecDeque<(u64, Outcome)>>,
}

impl Scans {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Which entries name `key`, by a scan that begins after this call.
    ///
    /// # Errors
    /// A store could not be listed at all.
    pub async fn naming(&self, world: &World, key: &AccessKeyId) -> Outcome {
        let number = {
            let mut waiting = self.waiting();
            waiting.keys.insert(key.clone());
            waiting.number
        };
        let mut results = self.results.lock().await;
        let found = results.iter().find(|(done, _)| *done == number).map(|(_, outcome)| outcome.clone());
        if let Some(outcome) = found {
            return outcome.map(|seen| only(seen, key));
        }
        let (number, keys) = {
            let mut waiting = self.waiting();
            // Whoever's result was dropped already asks along in this scan.
            waiting.keys.insert(key.clone());
            let number = waiting.number;
            waiting.number += 1;
            (number, std::mem::take(&mut waiting.keys))
        };
        let outcome = scan(world, &keys).await;
        results.push_back((number, outcome.clone()));
        if results.len() > KEPT_RESULTS {
            results.pop_front();
        }
        outcome.map(|seen| only(seen, key))
    }
}

fn only(mut seen: ScanSeen, key: &AccessKeyId) -> ScanSeen {
    seen.named.retain(|named, _| named == key);
    seen
}

async fn scan(world: &World, keys: &BTreeSet<AccessKeyId>) -> Outcome {
    let needles: Vec<(&AccessKeyId, Needle)> = keys.iter().map(|key| (key, Needle::new(key))).collect();
    let mut seen =
        ScanSeen { named: keys.iter().map(|key| (key.clone(), Vec::new())).collect(), unreadable: Vec::new() };
    for store in &world.ports.stores {
        for (entry, reading) in world.pace.read(Operation::Store, || store.read_all()).await? {
            let label = || world.describe(store.name(), &entry);
            match reading {
                Reading::Value { value, .. } | Reading::NotOurs { value, .. } => {
                    let haystack = Haystack::new(&value);
                    for (key, needle) in &needles {
                        if haystack.names(needle) {
                            seen.named.entry((*key).clone()).or_default().push(label());
                        }
                    }
                }
                Reading::Unreadable(_) if world.manner.unread_ok.is_match(entry.as_str()) => {}
                Reading::Unreadable(_) if planted::is(Planted::UnreadableIgnored) => {}
                Reading::Unreadable(why) => {
                    tracing::warn!("{} cannot be read: {why}", label());
                    seen.unreadable.push(label());
                }
                Reading::Missing => {}
            }
        }
    }
    tracing::debug!(keys = keys.len(), "read every entry of every store");
    Ok(seen)
}
