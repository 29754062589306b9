//! Reads every place of one rotation and determines its content.

use std::collections::BTreeMap;

use crate::discovery::read_pair;
use crate::engine::rate_limit::{Operation, Priority};
use crate::engine::session::Session;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::secret_store::{LargeValue, Reading, Version};
use crate::rotation::denied::{self, Denied};
use crate::rotation::observed::{PlaceContent, PlacesSeen};
use crate::rotation::record::Rotation;
use crate::rotation::sink::Follower;
use crate::rotation::state::{NewKeyState, Provenance};
use crate::types::name::{AccessKeyId, EntryName, StoreName};
use crate::types::place::{FieldRef, Place};
use crate::types::secret::{SecretKey, SecretValue};

/// The entries of one store as read, with the versions that a write will replace.
pub type Entries = BTreeMap<EntryName, (Version, SecretValue)>;

/// One read of all places.
#[derive(Default)]
pub struct Readings {
    pub stores: BTreeMap<StoreName, Entries>,
    /// The content of each place, in the order of the rotation's places.
    pub shows: Vec<PlaceContent>,
    /// How many writes of the units of the places this process did before the read.
    pub writes: u64,
    /// Why an entry could not be read, by store and entry.
    pub unreadable: BTreeMap<(StoreName, EntryName), String>,
    /// The first denial of a read.
    pub denied: Option<Denied>,
    /// The new secret from a place, if its fingerprint is the recorded one.
    pub new_secret: Option<SecretKey>,
}

impl Readings {
    /// Returns what `next_step` has to know of it.
    #[must_use]
    pub fn seen(&self, session: &Session, rotation: &Rotation) -> PlacesSeen {
        let name = |place: &Place, shows: PlaceContent| {
            let unreadable = [&place.id, &place.secret]
                .into_iter()
                .find_map(|spot| Some((spot, self.why_unreadable(&place.store, &spot.entry)?)));
            match unreadable {
                Some((spot, why)) => format!("{} ({why})", session.stores.describe(&place.store, spot)),
                None => named(session, place, &self.spots(rotation, place, shows)),
            }
        };
        let places = rotation.opened.places.iter().zip(&self.shows);
        PlacesSeen { places: places.map(|(place, shows)| (name(place, *shows), *shows)).collect() }
    }

    /// The spots of a place whose values are others than those of the pair that the place should show. For an operator, who
    /// looks there.
    fn spots<'p>(&self, rotation: &Rotation, place: &'p Place, shows: PlaceContent) -> Vec<&'p FieldRef> {
        match shows {
            PlaceContent::Old | PlaceContent::New | PlaceContent::Unreadable => whole(place),
            PlaceContent::Torn => vec![&place.id],
            PlaceContent::IdOnly => vec![&place.secret],
            PlaceContent::Foreign => {
                // Each half alone: the other one may be missing.
                let at = |spot: &FieldRef| {
                    let half = Place { store: place.store.clone(), id: spot.clone(), secret: spot.clone() };
                    read_pair(&half, |entry| self.value(&place.store, entry)).ok()
                };
                let id = at(&place.id).and_then(|pair| pair.id);
                let secret = at(&place.secret).and_then(|pair| pair.secret.fingerprint(rotation.id));
                let made = rotation.made().and_then(NewKeyState::fingerprint);
                let mut own_secrets = rotation.opened.old_secret.iter().chain(made);
                let is_own_id = id.is_some_and(|id| rotation.own_keys().any(|own| *own == id));
                let is_own_secret = secret.is_some_and(|secret| own_secrets.any(|own| *own == secret));
                match (is_own_id, is_own_secret) {
                    (true, false) => vec![&place.secret],
                    (false, true) => vec![&place.id],
                    (true, true) | (false, false) => whole(place),
                }
            }
        }
    }

    fn why_unreadable(&self, store: &StoreName, entry: &EntryName) -> Option<&str> {
        self.unreadable.get(&(store.clone(), entry.clone())).map(String::as_str)
    }

    #[must_use]
    pub fn value(&self, store: &StoreName, entry: &EntryName) -> Option<&SecretValue> {
        self.stores.get(store)?.get(entry).map(|(_, value)| value)
    }

    #[must_use]
    pub fn version(&self, store: &StoreName, entry: &EntryName) -> Option<&Version> {
        self.stores.get(store)?.get(entry).map(|(version, _)| version)
    }
}

/// Both spots of a pair that is in two entries; of one that is in one entry, that of the id.
fn whole(place: &Place) -> Vec<&FieldRef> {
    if place.id.entry == place.secret.entry { vec![&place.id] } else { vec![&place.id, &place.secret] }
}

/// The name of these spots, for an operator.
fn named(session: &Session, place: &Place, spots: &[&FieldRef]) -> String {
    spots.iter().map(|spot| session.stores.describe(&place.store, *spot)).collect::<Vec<_>>().join(" and ")
}

/// Reads every place.
pub async fn read_places(session: &Session, rotation: &Rotation, priority: Priority) -> Readings {
    let writes = session.write_locks.generation(&session.stores, rotation);
    let mut readings = Readings { writes, ..Readings::default() };
    let mut wanted: BTreeMap<&StoreName, Vec<EntryName>> = BTreeMap::new();
    for place in &rotation.opened.places {
        let entries = wanted.entry(&place.store).or_default();
        for entry in place.entries() {
            if !entries.contains(entry) {
                entries.push(entry.clone());
            }
        }
    }
    for (name, entries) in wanted {
        let answer = match session.stores.get(name) {
            Some(store) => {
                let answer = session.stores.limiter.read_of(priority, Operation::Store, || store.read(&entries)).await;
                if let Err(CallError { kind: CallErrorKind::Denied, message }) = &answer {
                    let denied = || Denied::new(denied::Operation::ReadStore, name.as_str(), message.clone());
                    readings.denied.get_or_insert_with(denied);
                }
                answer.map_err(|error| error.message)
            }
            None => Err("it is not configured".to_owned()),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => {
                let each = entries.into_iter().map(|entry| ((name.clone(), entry), why.clone()));
                readings.unreadable.extend(each);
                continue;
            }
        };
        let kept = readings.stores.entry(name.clone()).or_default();
        for (entry, reading) in entries.into_iter().zip(answer) {
            match reading {
                Reading::Value { version, value } | Reading::Managed { version, value, .. } => {
                    kept.insert(entry, (version, value));
                }
                Reading::Missing => {}
                Reading::Unreadable(why) | Reading::Large(LargeValue { why, .. }) => {
                    readings.unreadable.insert((name.clone(), entry), why);
                }
            }
        }
    }
    for place in &rotation.opened.places {
        let entries = place.entries();
        let cannot = entries.into_iter().any(|entry| readings.why_unreadable(&place.store, entry).is_some());
        let shows = if cannot { PlaceContent::Unreadable } else { look_at(rotation, place, &mut readings) };
        readings.shows.push(shows);
    }
    readings
}

fn look_at(rotation: &Rotation, place: &Place, readings: &mut Readings) -> PlaceContent {
    let Ok(pair) = read_pair(place, |entry| readings.value(&place.store, entry)) else { return PlaceContent::Foreign };
    let fingerprint = pair.secret.fingerprint(rotation.id);
    let is_old_id = pair.id.as_ref() == Some(&rotation.opened.old_key);
    let recorded = rotation.opened.old_secret.as_ref();
    let is_old_secret = recorded.is_none_or(|recorded| fingerprint.as_ref() == Some(recorded));
    let is_old = is_old_id && is_old_secret;
    let Some(made) = rotation.made() else {
        return if is_old { PlaceContent::Old } else { PlaceContent::Foreign };
    };
    let is_new_secret = match &made.provenance {
        Provenance::Acknowledged { fingerprint: recorded } => fingerprint.as_ref() == Some(recorded),
        Provenance::Inferred => false,
    };
    let is_new_id = pair.id.as_ref() == Some(&made.key);
    if is_new_secret && (is_new_id || is_old_id) {
        readings.new_secret = Some(pair.secret);
    }
    match (is_new_secret, is_new_id, is_old_id) {
        (true, true, _) => PlaceContent::New,
        (true, false, true) => PlaceContent::Torn,
        (false, false, true) if is_old => PlaceContent::Old,
        (false, true, false) if recorded.is_some() && is_old_secret && made.fingerprint().is_some() => {
            PlaceContent::IdOnly
        }
        (true, false, false) | (false, _, _) => PlaceContent::Foreign,
    }
}

/// Returns the new secret if a store holds it staged: a write was interrupted before any reader saw it. The fingerprint
/// identifies it.
pub async fn staged_secret(session: &Session, rotation: &Rotation, readings: &Readings) -> Option<SecretKey> {
    let recorded = rotation.made()?.fingerprint()?;
    for place in &rotation.opened.places {
        let Some(store) = session.stores.get(&place.store) else { continue };
        let names: Vec<EntryName> = place.entries().into_iter().cloned().collect();
        // A store that does not answer counts as holding nothing. The key is then discarded, as any key whose secret is
        // lost.
        let staged = session.stores.limiter.read(Operation::Store, || store.staged(&names)).await.unwrap_or_default();
        let staged: BTreeMap<EntryName, SecretValue> =
            names.into_iter().zip(staged).filter_map(|(name, value)| Some((name, value?))).collect();
        let value = |entry: &EntryName| staged.get(entry).or_else(|| readings.value(&place.store, entry));
        if let Ok(pair) = read_pair(place, value)
            && pair.secret.fingerprint(rotation.id).as_ref() == Some(recorded)
        {
            return Some(pair.secret);
        }
    }
    None
}

/// The places that hold the old pair now, and held the new one before: a write in doubt took effect, and another
/// writer wrote after it. If a store does not keep or show its previous value, nothing is concluded.
pub async fn put_back(session: &Session, rotation: &Rotation, readings: &Readings) -> Vec<String> {
    let Some(made) = rotation.made().filter(|made| made.fingerprint().is_some()) else { return Vec::new() };
    let mut found = Vec::new();
    for (place, _) in
        rotation.opened.places.iter().zip(&readings.shows).filter(|(_, shows)| **shows == PlaceContent::Old)
    {
        let Some(store) = session.stores.get(&place.store) else { continue };
        let names: Vec<EntryName> = place.entries().into_iter().cloned().collect();
        let replaced =
            session.stores.limiter.read(Operation::Store, || store.replaced(&names)).await.unwrap_or_default();
        let before: BTreeMap<EntryName, SecretValue> =
            names.into_iter().zip(replaced).filter_map(|(name, value)| Some((name, value?))).collect();
        let value = |entry: &EntryName| before.get(entry);
        if let Ok(pair) = read_pair(place, value)
            && pair.id.as_ref() == Some(&made.key)
            && pair.secret.fingerprint(rotation.id).as_ref() == made.fingerprint()
        {
            found.push(named(session, place, &whole(place)));
        }
    }
    found
}

/// Lets the stores of a closed rotation forget the previous values. It affects no reader and is not tried again,
/// because the next rotation of the same entry replaces what was kept.
pub async fn forget_previous(session: &Session, rotation: &Rotation) {
    for name in rotation.opened.stores.keys() {
        let Some(store) = session.stores.get(name) else { continue };
        let places = rotation.opened.places.iter().filter(|place| place.store == *name);
        let entries: Vec<EntryName> = places.flat_map(Place::entries).cloned().collect();
        // The queue may be long, and the process must end in time after a signal.
        let forgotten = tokio::select! {
            biased;
            forgotten = session.stores.limiter.read(Operation::Store, || store.forget_previous(&entries)) => forgotten,
            () = session.leaving(true) => {
                tracing::warn!(rotation = %rotation.id, "{name} keeps the previous values: a signal left no time for it");
                return;
            }
        };
        if let Err(error) = forgotten {
            tracing::warn!(rotation = %rotation.id, "{name} keeps the previous values: {error}");
        }
    }
}

/// Returns the secret of this key from the place that the sink follows.
#[must_use]
pub fn secret_for(rotation: &Rotation, follower: &Follower, key: &AccessKeyId, read: &Readings) -> Option<SecretKey> {
    let place = rotation.opened.places.get(follower.place)?;
    let pair = read_pair(place, |entry| read.value(&place.store, entry)).ok()?;
    (pair.id.as_ref() == Some(key)).then_some(pair.secret)
}
