//! Writing the places: the new pair, the old one back, or the values as they are (the fence).
//!
//! A write that was accepted but does not read back is not a write.

use std::collections::{BTreeMap, BTreeSet};

use super::pace::Operation;
use super::places::{Readings, read_places};
use super::world::World;
use crate::discovery::{Place, splice_all};
use crate::journal::write_ahead::Journaled;
use crate::ports::secret_store::Write;
use crate::rotation::effect::{WriteEntries, WriteKind};
use crate::rotation::failure::{Failure, Refusal, RefusalKind};
use crate::rotation::known::PlaceShows;
use crate::rotation::name::{AccessKeyId, EntryName, StoreName};
use crate::rotation::policy::Timestamp;
use crate::rotation::secret::{SecretKey, SecretValue};
use crate::rotation::standing::Rotation;

/// A batch for each store.
pub type Batches = BTreeMap<StoreName, Vec<Write>>;

/// The values that we replaced in this process, to put them back where another place refuses the new ones for good.
pub type OldValues = BTreeMap<(StoreName, EntryName), SecretValue>;

/// The places of one store that show one of `which`.
fn places_showing<'a>(
    rotation: &'a Rotation,
    readings: &Readings,
    which: &[PlaceShows],
) -> BTreeMap<StoreName, Vec<&'a Place>> {
    let mut by_store: BTreeMap<StoreName, Vec<&Place>> = BTreeMap::new();
    for (place, shows) in rotation.opened.places.iter().zip(&readings.shows) {
        if which.contains(shows) {
            by_store.entry(place.store.clone()).or_default().push(place);
        }
    }
    by_store
}

fn replacing(readings: &Readings, store: &StoreName, entry: EntryName, value: SecretValue) -> Option<Write> {
    let (version, _) = readings.stores.get(store)?.get(&entry)?;
    Some(Write { entry, replaces: version.clone(), value })
}

/// The new pair, spliced into every place that does not hold it yet.
///
/// # Errors
/// For people: a place that cannot take it.
pub fn new_pair(
    rotation: &Rotation,
    readings: &Readings,
    id: &AccessKeyId,
    secret: &SecretKey,
) -> Result<Batches, String> {
    let mut batches = Batches::new();
    for (store, places) in places_showing(rotation, readings, &[PlaceShows::Old, PlaceShows::Torn]) {
        let spliced = splice_all(&places, |entry| readings.value(&store, entry), id, secret)
            .map_err(|error| format!("failed to {error}"))?;
        let batch = spliced.into_iter().filter_map(|(entry, value)| replacing(readings, &store, entry, value));
        batches.insert(store.clone(), batch.collect());
    }
    Ok(batches)
}

/// The values as they are, of every place that holds the old pair.
#[must_use]
pub fn fence(rotation: &Rotation, readings: &Readings) -> Batches {
    let mut batches = Batches::new();
    for (store, places) in places_showing(rotation, readings, &[PlaceShows::Old]) {
        let entries: BTreeSet<&EntryName> = places.iter().flat_map(|place| place.entries()).collect();
        let as_it_is = |entry: &EntryName| {
            let value = readings.value(&store, entry)?.duplicate();
            replacing(readings, &store, entry.clone(), value)
        };
        batches.insert(store.clone(), entries.into_iter().filter_map(as_it_is).collect());
    }
    batches
}

/// Whether the old value of every place where the new pair or half of it stands is in memory.
#[must_use]
pub fn can_put_back(rotation: &Rotation, readings: &Readings, old: &OldValues) -> bool {
    places_showing(rotation, readings, &[PlaceShows::New, PlaceShows::Torn]).iter().all(|(store, places)| {
        places.iter().flat_map(|place| place.entries()).all(|entry| old.contains_key(&(store.clone(), entry.clone())))
    })
}

/// The old values, of every place where the new pair or half of it stands.
#[must_use]
pub fn old_pair(rotation: &Rotation, readings: &Readings, old: &OldValues) -> Batches {
    let mut batches = Batches::new();
    for (store, places) in places_showing(rotation, readings, &[PlaceShows::New, PlaceShows::Torn]) {
        // The id goes back first: until the secret follows, readers see the new secret under the old id only for as
        // long as they did on the way there.
        let entries: BTreeSet<&EntryName> = places.iter().flat_map(|place| place.entries()).collect();
        let back = |entry: &EntryName| {
            let value = old.get(&(store.clone(), entry.clone()))?.duplicate();
            replacing(readings, &store, entry.clone(), value)
        };
        batches.insert(store.clone(), entries.into_iter().filter_map(back).collect());
    }
    batches
}

/// Writes the batches, one order for each store, and reads every place back.
///
/// # Errors
/// [`Failure`]: refused only if nothing at all was written.
pub async fn write(
    world: &World,
    rotation: &Rotation,
    order: Journaled<WriteEntries>,
    mut batches: Batches,
) -> Result<Timestamp, Failure> {
    let kind = order.effect().kind;
    let mut written = false;
    for order in order.into_orders() {
        let Some(batch) = batches.remove(order.store()).filter(|batch| !batch.is_empty()) else { continue };
        let Some(store) = world.store(order.store()) else {
            return half_done(
                written,
                Refusal::new(RefusalKind::Other, format!("store {} is not configured", order.store())),
            );
        };
        let turn = world.pace.turn(Operation::Store).await;
        let result = store.write(order, batch).await;
        turn.over_with(&result);
        match result {
            Ok(()) => written = true,
            Err(Failure::Refused(refusal)) => return half_done(written, refusal),
            Err(unknown @ Failure::Unknown(_)) => return Err(unknown),
        }
    }
    let wanted = match kind {
        WriteKind::StoreNew => PlaceShows::New,
        WriteKind::RestoreOld => PlaceShows::Old,
        WriteKind::FenceStore => {
            let late = rotation.opened.stores.keys().filter_map(|name| world.store(name));
            let late = late.map(|store| store.capabilities().late_writes).max().unwrap_or_default();
            return Ok(world.aws_now().plus(late));
        }
    };
    let readings = read_places(world, rotation).await;
    if readings.shows.iter().all(|shows| *shows == wanted) {
        return Ok(world.aws_now());
    }
    Err(Failure::Unknown("the store accepted the write, but it does not read back".to_owned()))
}

/// A refusal after another store was written is no refusal of the whole.
fn half_done(written: bool, refusal: Refusal) -> Result<Timestamp, Failure> {
    if written {
        Err(Failure::Unknown(format!("one store was written, another refused: {refusal}")))
    } else {
        Err(refusal.into())
    }
}
