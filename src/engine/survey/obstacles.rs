//! What in the stores prevents a rotation: entries that name the key and cannot be rewritten, entries that may name it
//! and cannot be read, and places that another program manages. They are found before a new key is created.

use std::collections::{BTreeMap, BTreeSet};

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::discovery::{Candidate, Needles, Searched as SearchedValue, Source, StoredEntry};
use crate::engine::observe::large::{STOPPED, WhileTimeIsLeft};
use crate::engine::session::Session;
use crate::ports::secret_store::LargeValue;
use crate::types::name::{AccessKeyId, EntryName, StoreName};
use crate::types::secret::SecretValue;

/// Entries that another program manages, with that program.
pub(super) type NotOurs = BTreeMap<(StoreName, EntryName), String>;

/// What in the stores prevents a rotation.
pub(super) struct Obstacles<'a> {
    /// Entries that name the key and are not its places.
    pub(super) elsewhere: Option<&'a Vec<String>>,
    /// Entries that may name any key, with the reason.
    pub(super) unread: &'a [String],
    /// Why a place must not be written.
    pub(super) fixed: Option<String>,
}

/// Returns why a place of the candidate must not be written.
pub(super) fn fixed(session: &Session, not_ours: &NotOurs, candidate: &Candidate) -> Option<String> {
    candidate.places.iter().find_map(|place| {
        if session.stores.get(&place.store).is_some_and(|store| store.capabilities().read_only) {
            return Some(format!("{} is in {}, which rotator may only read", place.id, place.store));
        }
        let why = place.entries().into_iter().find_map(|entry| not_ours.get(&(place.store.clone(), entry.clone())));
        why.map(|why| format!("{} is not rotator's to write: {why}", session.stores.describe(&place.store, &place.id)))
    })
}

/// An entry whose value is not in memory.
pub(super) struct LargeEntry {
    pub(super) store: StoreName,
    pub(super) name: EntryName,
    pub(super) value: LargeValue,
}

/// Where a value is.
enum In<'a> {
    Memory(&'a SecretValue),
    Store(&'a LargeValue),
    Nothing,
}

/// Returns the keys that the value names, and why it may name others.
fn of_value<'n>(needles: &'n Needles, value: &dyn Source) -> (BTreeSet<&'n AccessKeyId>, Option<String>) {
    let SearchedValue { named, unopened } = needles.search(value);
    (named, unopened.map(|why| why.to_string()))
}

/// The result of the search for the candidates' keys in all entries.
#[derive(Default)]
pub(super) struct Searched {
    /// Entries that name a candidate's key and are not its places, or that contain the key in their own name.
    pub(super) elsewhere: BTreeMap<AccessKeyId, Vec<String>>,
    /// Entries that could not be read to their end.
    pub(super) unopened: Vec<(StoreName, EntryName, String)>,
}

/// Searches all `entries` and the `large` ones, and the names of the `unread` ones.
pub(super) fn search(
    session: &Session,
    entries: &[StoredEntry],
    large: &[LargeEntry],
    unread: &[(StoreName, EntryName)],
    candidates: &[Candidate],
) -> Searched {
    let needles = Needles::new(candidates.iter().map(|candidate| &candidate.key_id));
    let by_key: BTreeMap<&AccessKeyId, &Candidate> =
        candidates.iter().map(|candidate| (&candidate.key_id, candidate)).collect();
    let mut searched = Searched::default();
    let values = entries.iter().map(|entry| (&entry.store, &entry.name, In::Memory(&entry.value)));
    let large = large.iter().map(|entry| (&entry.store, &entry.name, In::Store(&entry.value)));
    let unread = unread.iter().map(|(store, name)| (store, name, In::Nothing));
    let all: Vec<_> = values.chain(large).chain(unread).collect();
    let found: Vec<_> = all
        .into_par_iter()
        .map(|(store, name, value)| {
            let found = match value {
                In::Memory(_) if session.stop.time_is_over(&*session.clock) => {
                    (BTreeSet::new(), Some(STOPPED.to_owned()))
                }
                In::Memory(value) => of_value(&needles, value),
                In::Store(value) => match value.open() {
                    Ok(value) => of_value(&needles, &WhileTimeIsLeft::new(&*value, &session.stop, &*session.clock)),
                    Err(why) => (BTreeSet::new(), Some(why)),
                },
                In::Nothing => (BTreeSet::new(), None),
            };
            (store, name, found)
        })
        .collect();
    for (store, name, (in_value, unopened)) in found {
        searched.unopened.extend(unopened.map(|why| (store.clone(), name.clone(), why)));
        let is_place = |key: &AccessKeyId| {
            let mut places = by_key[key].places.iter().filter(|place| place.store == *store);
            places.any(|place| place.id.entry == *name || place.secret.entry == *name)
        };
        let mut named: BTreeMap<&AccessKeyId, &str> =
            needles.in_name(name).into_iter().map(|key| (key, " (in its name)")).collect();
        named.extend(in_value.into_iter().filter(|key| !is_place(key)).map(|key| (key, "")));
        for (key, how) in named {
            let label = format!("{}{how}", session.stores.describe(store, name));
            searched.elsewhere.entry(key.clone()).or_default().push(label);
        }
    }
    searched
}
