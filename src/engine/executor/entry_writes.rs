//! Writing the places: the new pair, the old one back, or the values as they are (the fence).
//!
//! A write that was accepted counts only if it reads back.

use std::collections::{BTreeMap, BTreeSet};

use crate::discovery::{read_pair, splice_all};
use crate::engine::observe::places::{Readings, read_places};
use crate::engine::rate_limit::{Operation, Priority};
use crate::engine::session::Session;
use crate::journal::write_ahead::Journaled;
use crate::ports::secret_store::{Version, Write};
use crate::rotation::effect::{WriteEntries, WriteKind};
use crate::rotation::observed::PlaceContent;
use crate::rotation::record::Rotation;
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::name::{AccessKeyId, EntryName, StoreName};
use crate::types::place::Place;
use crate::types::secret::{SecretKey, SecretValue};
use crate::types::time::Timestamp;

/// The writes for each store.
pub(super) type Batches = BTreeMap<StoreName, Vec<Write>>;

/// The values that this process replaced. They are restored if another place permanently refuses the new ones.
pub(super) type OldValues = BTreeMap<(StoreName, EntryName), SecretValue>;

/// Keeps the values that a write of the new pair is about to replace. Of two writes it keeps the values before the
/// first, because half of a new pair is not an old value.
pub(super) fn keep_old(rotation: &Rotation, readings: &Readings, kept: &mut OldValues) {
    for (store, places) in places_showing(rotation, readings, &[PlaceContent::Old]) {
        for entry in places.iter().flat_map(|place| place.entries()) {
            if let Some(value) = readings.value(&store, entry) {
                kept.entry((store.clone(), entry.clone())).or_insert_with(|| value.duplicate());
            }
        }
    }
}

/// Returns the places whose content is one of `which`, by store.
fn places_showing<'a>(
    rotation: &'a Rotation,
    readings: &Readings,
    which: &[PlaceContent],
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

/// Splices the new pair into every place that does not hold it yet.
///
/// # Errors
/// A message: a place cannot take the new pair.
pub(super) fn new_pair(
    rotation: &Rotation,
    readings: &Readings,
    id: &AccessKeyId,
    secret: &SecretKey,
) -> Result<Batches, String> {
    let mut batches = Batches::new();
    for (store, places) in
        places_showing(rotation, readings, &[PlaceContent::Old, PlaceContent::Torn, PlaceContent::IdOnly])
    {
        let spliced = splice_all(&places, |entry| readings.value(&store, entry), id, secret)
            .map_err(|error| format!("failed to {error}"))?;
        let batch = spliced.into_iter().filter_map(|(entry, value)| replacing(readings, &store, entry, value));
        batches.insert(store.clone(), batch.collect());
    }
    Ok(batches)
}

/// Returns the present values of every place that could be read. A write in doubt may still change any of their
/// entries, also where another writer has written the other half.
#[must_use]
pub(super) fn fence(rotation: &Rotation, readings: &Readings) -> Batches {
    let mut batches = Batches::new();
    let read = [PlaceContent::Old, PlaceContent::New, PlaceContent::Torn, PlaceContent::IdOnly, PlaceContent::Foreign];
    for (store, places) in places_showing(rotation, readings, &read) {
        let entries: BTreeSet<&EntryName> = places.iter().flat_map(|place| place.entries()).collect();
        let as_it_is = |entry: &EntryName| {
            let value = readings.value(&store, entry)?.duplicate();
            replacing(readings, &store, entry.clone(), value)
        };
        batches.insert(store.clone(), entries.into_iter().filter_map(as_it_is).collect());
    }
    batches
}

/// Returns whether the old value of every place that holds the new pair, or half of it, is in memory. A place that
/// needs only the old id counts as restorable.
#[must_use]
pub(super) fn can_put_back(rotation: &Rotation, readings: &Readings, old: &OldValues) -> bool {
    places_showing(rotation, readings, &[PlaceContent::New, PlaceContent::Torn]).iter().all(|(store, places)| {
        places.iter().flat_map(|place| place.entries()).all(|entry| old.contains_key(&(store.clone(), entry.clone())))
    })
}

/// Splices the old pair into every place that holds the new one or half of it. Nothing else in a document changes,
/// because other writers may have edited it. Beside the old secret, the old id is enough.
///
/// An entry that already holds its old value is written as well, so that a write in doubt is refused there. It is left
/// out if a write was denied, because the denied entry may be that one.
#[must_use]
pub(super) fn old_pair(rotation: &Rotation, readings: &Readings, old: &OldValues) -> Batches {
    let mut batches = Batches::new();
    for (store, places) in places_showing(rotation, readings, &[PlaceContent::New, PlaceContent::Torn]) {
        let kept = |entry: &EntryName| old.get(&(store.clone(), entry.clone()));
        let Some(pair) = places.iter().find_map(|place| read_pair(place, kept).ok()) else { continue };
        let now = |entry: &EntryName| readings.value(&store, entry);
        let spliced = splice_all(&places, now, &rotation.opened.old_key, &pair.secret).unwrap_or_default();
        // The id is restored first, because the secret was written first. Cut in half, both writes leave the old id
        // beside the new secret, which is a known content.
        let is_back = |entry: &EntryName, value: &SecretValue| now(entry) == Some(value);
        let wanted =
            spliced.into_iter().rev().filter(|(entry, value)| !rotation.may_not_write() || !is_back(entry, value));
        let back = wanted.filter_map(|(entry, value)| replacing(readings, &store, entry, value));
        batches.insert(store.clone(), back.collect());
    }
    for (store, places) in places_showing(rotation, readings, &[PlaceContent::IdOnly]) {
        for place in places {
            batches.entry(store.clone()).or_default().extend(old_id(rotation, readings, &store, place));
        }
    }
    batches
}

/// Returns the write of the old id beside the old secret.
fn old_id(rotation: &Rotation, readings: &Readings, store: &StoreName, place: &Place) -> Option<Write> {
    let value = |entry: &EntryName| readings.value(store, entry);
    let secret = read_pair(place, value).ok()?.secret;
    let spliced = splice_all(&[place], value, &rotation.opened.old_key, &secret).ok()?;
    let (entry, value) = spliced.into_iter().find(|(entry, _)| *entry == place.id.entry)?;
    replacing(readings, store, entry, value)
}

/// Writes the batches, one order for each store, and reads every place back.
///
/// # Errors
/// [`Failure`]: refused only if nothing at all was written, or nothing that changes a value.
pub(super) async fn write(
    session: &Session,
    rotation: &Rotation,
    order: Journaled<WriteEntries>,
    mut batches: Batches,
) -> Result<Timestamp, Failure> {
    let kind = order.effect().kind;
    let replaced = replaced_by(&batches);
    let sent = sent_in(&batches);
    let mut written = false;
    for order in order.into_orders() {
        let Some(batch) = batches.remove(order.store()).filter(|batch| !batch.is_empty()) else { continue };
        let Some(store) = session.stores.get(order.store()) else {
            return half_done(
                written,
                Refusal::new(RefusalKind::Other, format!("store {} is not configured", order.store())),
            );
        };
        let permit = tokio::select! {
            biased;
            permit = session.stores.limiter.acquire(Operation::Store) => permit,
            () = session.leaving(true) => {
                let late = format!("a signal arrived before {} could be written: nothing was sent to it", order.store());
                return half_done(written, Refusal::new(RefusalKind::Other, late));
            }
        };
        let result = store.write(order, batch).await;
        permit.release_after(&result);
        match result {
            Ok(()) => written = true,
            // Half a fence has changed no value, and the fence is written again.
            Err(Failure::Refused(refusal)) => {
                return half_done(written && kind != WriteKind::FenceStore, refusal);
            }
            Err(unknown @ Failure::Unknown(_)) => return Err(unknown),
        }
    }
    let wanted = match kind {
        WriteKind::StoreNew => PlaceContent::New,
        WriteKind::RestoreOld => PlaceContent::Old,
        WriteKind::FenceStore => return fenced(session, rotation, &replaced).await,
    };
    let readings = tokio::select! {
        biased;
        readings = read_places(session, rotation, Priority::Ordinary) => readings,
        () = session.leaving(true) => {
            return Err(Failure::Unknown("a signal arrived before the places could be read back".to_owned()));
        }
    };
    if readings.seen(session, rotation).all(wanted) {
        return Ok(session.aws_now());
    }
    if kind == WriteKind::StoreNew && overtaken(rotation, &readings, &replaced, &sent) {
        // The write is done, and the present value is that of another writer. `next_step` decides about it.
        return Ok(session.aws_now());
    }
    Err(Failure::Unknown("the store accepted the write, but it does not read back".to_owned()))
}

fn replaced_by(batches: &Batches) -> Vec<(StoreName, EntryName, Version)> {
    let writes = batches.iter().flat_map(|(store, batch)| batch.iter().map(move |write| (store, write)));
    writes.map(|(store, write)| (store.clone(), write.entry.clone(), write.replaces.clone())).collect()
}

fn sent_in(batches: &Batches) -> OldValues {
    let writes = batches.iter().flat_map(|(store, batch)| batch.iter().map(move |write| (store, write)));
    writes.map(|(store, write)| ((store.clone(), write.entry.clone()), write.value.duplicate())).collect()
}

/// Returns whether another writer wrote a place after this write, which every store accepted: an entry has another
/// version than the replaced one, and not the value that was sent. A store that accepts a write and drops it still has
/// the previous version.
fn overtaken(
    rotation: &Rotation,
    readings: &Readings,
    replaced: &[(StoreName, EntryName, Version)],
    sent: &OldValues,
) -> bool {
    let is_others = |store: &StoreName, entry: &EntryName| {
        let before = replaced.iter().find(|(of, written, _)| of == store && written == entry);
        before.is_none_or(|(.., before)| {
            readings.version(store, entry) != Some(before)
                && readings.value(store, entry) != sent.get(&(store.clone(), entry.clone()))
        })
    };
    let mut others = rotation.opened.places.iter().zip(&readings.shows);
    others.any(|(place, shows)| match shows {
        PlaceContent::New | PlaceContent::Unreadable => false,
        PlaceContent::Old | PlaceContent::Torn | PlaceContent::IdOnly | PlaceContent::Foreign => {
            place.entries().into_iter().any(|entry| is_others(&place.store, entry))
        }
    })
}

/// Returns the moment after which no earlier write can take effect. If compare-and-set refuses earlier writes, the
/// versions must have changed: a fence that the store accepted without a new version has no effect.
async fn fenced(
    session: &Session,
    rotation: &Rotation,
    replaced: &[(StoreName, EntryName, Version)],
) -> Result<Timestamp, Failure> {
    let late_writes = |name: &StoreName| session.stores.get(name).map(|store| store.capabilities().late_writes);
    let readings = read_places(session, rotation, Priority::Ordinary).await;
    for (store, entry, before) in
        replaced.iter().filter(|(store, ..)| late_writes(store).is_some_and(|late| late.is_zero()))
    {
        if readings.version(store, entry).is_none_or(|now| now == before) {
            return Err(Failure::Unknown(format!(
                "{store} accepted the fence, but the version of {entry} is as before"
            )));
        }
    }
    let late = rotation.opened.stores.keys().filter_map(late_writes).max().unwrap_or_default();
    Ok(session.aws_now().plus(late))
}

/// A refusal after another store was written leaves the whole write in doubt.
fn half_done(written: bool, refusal: Refusal) -> Result<Timestamp, Failure> {
    if written {
        Err(Failure::Unknown(format!("one store was written, another refused: {refusal}")))
    } else {
        Err(refusal.into())
    }
}

#[cfg(test)]
mod tests;
