//! One lock for each unit that a store versions as a whole. Rotations whose pairs are in one document write it one
//! after the other, so that no write is refused because of another write of this process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use super::stores::Stores;
use crate::rotation::record::Rotation;
use crate::types::name::StoreName;
use crate::types::place::Place;

/// A unit that a store versions as a whole: the store, and its own name for the unit.
type Unit = (StoreName, String);

/// The lock of a unit, and the number of times that this process has written it.
#[derive(Default)]
struct UnitWrites {
    lock: Arc<tokio::sync::Mutex<()>>,
    generation: u64,
}

/// The locks of all units.
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

    /// Waits until no other rotation writes the units of this rotation. The locks are taken in the order of names, so
    /// that two rotations cannot wait for each other.
    pub(super) async fn lock(&self, stores: &Stores, rotation: &Rotation) -> WriteLock {
        let (units, mut held) = (units(stores, rotation), Vec::new());
        for unit in &units {
            let lock = self.units().entry(unit.clone()).or_default().lock.clone();
            held.push(lock.lock_owned().await);
        }
        WriteLock { units, _held: held }
    }

    /// Records that the units are about to be written: values that were read before have other versions after that.
    pub(super) fn record_write(&self, lock: &WriteLock) {
        let mut units = self.units();
        lock.units.iter().for_each(|unit| units.entry(unit.clone()).or_default().generation += 1);
    }

    /// Returns the number of times that this process has written the units of the rotation.
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
