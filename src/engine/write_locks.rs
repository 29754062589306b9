//! One writer at a time for what a store versions as one: rotations whose pairs stand in one document take turns, so that
//! none of them is refused for what another one of this process has just written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use super::stores::Stores;
use crate::rotation::record::Rotation;
use crate::types::name::StoreName;
use crate::types::place::Place;

/// What is versioned as one: a store, and its own word for it.
type Unit = (StoreName, String);

/// How often this process has written it, and whose lock it is.
#[derive(Default)]
struct UnitWrites {
    lock: Arc<tokio::sync::Mutex<()>>,
    generation: u64,
}

/// Whose lock it is to write what.
#[derive(Default)]
pub struct WriteLocks {
    units: Mutex<BTreeMap<Unit, UnitWrites>>,
}

/// The right to write some units now.
#[must_use]
pub(super) struct WriteLock {
    units: BTreeSet<Unit>,
    _held: Vec<OwnedMutexGuard<()>>,
}

impl WriteLocks {
    fn units(&self) -> MutexGuard<'_, BTreeMap<Unit, UnitWrites>> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other rotation writes what this one's places stand in. In the order of names, so that no two wait for
    /// one another.
    pub(super) async fn lock(&self, stores: &Stores, rotation: &Rotation) -> WriteLock {
        let (units, mut held) = (units(stores, rotation), Vec::new());
        for unit in &units {
            let lock = self.units().entry(unit.clone()).or_default().lock.clone();
            held.push(lock.lock_owned().await);
        }
        WriteLock { units, _held: held }
    }

    /// They are about to be written: what was read before has other versions then.
    pub(super) fn record_write(&self, lock: &WriteLock) {
        let mut units = self.units();
        lock.units.iter().for_each(|unit| units.entry(unit.clone()).or_default().generation += 1);
    }

    /// How often this process has written what the rotation's places stand in.
    pub(super) fn generation(&self, stores: &Stores, rotation: &Rotation) -> u64 {
        let known = self.units();
        units(stores, rotation).iter().filter_map(|unit| known.get(unit)).map(|writes| writes.generation).sum()
    }
}

fn units(stores: &Stores, rotation: &Rotation) -> BTreeSet<Unit> {
    let of_place = |place: &Place| {
        let store = stores.get(&place.store);
        let unit = |entry| store.map_or_else(String::new, |store| store.unit(entry));
        place.entries().into_iter().map(|entry| (place.store.clone(), unit(entry))).collect::<Vec<_>>()
    };
    rotation.opened.places.iter().flat_map(of_place).collect()
}
