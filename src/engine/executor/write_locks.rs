//! One writer at a time for what a store versions as one: rotations whose pairs stand in one document take turns, so that
//! none of them is refused for what another one of this process has just written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::discovery::Place;
use crate::engine::session::World;
use crate::rotation::name::StoreName;
use crate::rotation::standing::Rotation;

/// What is versioned as one: a store, and its own word for it.
type Unit = (StoreName, String);

/// How often this process has written it, and whose turn it is.
#[derive(Default)]
struct Writes {
    turn: Arc<tokio::sync::Mutex<()>>,
    times: u64,
}

/// Whose turn it is to write what.
#[derive(Default)]
pub struct Writers {
    units: Mutex<BTreeMap<Unit, Writes>>,
}

/// The right to write some units now.
#[must_use]
pub(in crate::engine) struct Turn {
    units: BTreeSet<Unit>,
    _held: Vec<OwnedMutexGuard<()>>,
}

impl Writers {
    fn units(&self) -> MutexGuard<'_, BTreeMap<Unit, Writes>> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other rotation writes what this one's places stand in. In the order of names, so that no two wait for
    /// one another.
    pub(in crate::engine) async fn turn(&self, world: &World, rotation: &Rotation) -> Turn {
        let (units, mut held) = (units(world, rotation), Vec::new());
        for unit in &units {
            let turn = self.units().entry(unit.clone()).or_default().turn.clone();
            held.push(turn.lock_owned().await);
        }
        Turn { units, _held: held }
    }

    /// They are about to be written: what was read before has other versions then.
    pub(in crate::engine) fn write(&self, turn: &Turn) {
        let mut units = self.units();
        turn.units.iter().for_each(|unit| units.entry(unit.clone()).or_default().times += 1);
    }

    /// How often this process has written what the rotation's places stand in.
    pub(in crate::engine) fn times(&self, world: &World, rotation: &Rotation) -> u64 {
        let known = self.units();
        units(world, rotation).iter().filter_map(|unit| known.get(unit)).map(|writes| writes.times).sum()
    }
}

fn units(world: &World, rotation: &Rotation) -> BTreeSet<Unit> {
    let of_place = |place: &Place| {
        let store = world.store(&place.store);
        let unit = |entry| store.map_or_else(String::new, |store| store.unit(entry));
        place.entries().into_iter().map(|entry| (place.store.clone(), unit(entry))).collect::<Vec<_>>()
    };
    rotation.opened.places.iter().flat_map(of_place).collect()
}
