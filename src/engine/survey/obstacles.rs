//! What in the stores prevents a rotation: entries that name the key and cannot be rewritten, entries that may name it
//! and cannot be read, and places that another program manages. They are found before a new key is created.

use std::collections::{BTreeMap, BTreeSet};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::everything::{Everything, LargeEntry, NotOurs};
use crate::discovery::{Candidate, Mention, Needles, Searched as SearchedValue, Source};
use crate::engine::observe::environments::Environments;
use crate::engine::observe::large::WhileTimeIsLeft;
use crate::engine::rate_limit::Priority;
use crate::engine::session::Session;
use crate::ports::call::CallError;
use crate::ports::secret_store::Reading;
use crate::types::name::{AccessKeyId, EntryName, StoreName};

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

/// The result of the search for the candidates' keys in all entries.
#[derive(Default)]
pub(super) struct Searched {
    /// Entries that name a candidate's key and are not its places, or that contain the key in their own name.
    pub(super) elsewhere: BTreeMap<AccessKeyId, Vec<String>>,
    /// Entries that could not be read to their end.
    pub(super) unopened: Vec<(StoreName, EntryName, String)>,
}

/// Finds out where else the keys of the candidates are named: in the values as they were read, in the large values,
/// and in the names of the unread entries.
///
/// # Errors
/// A store cannot be read. Only ids that AWS did not make need a second reading.
pub(super) async fn search(session: &Session, everything: &Everything) -> Result<Searched, CallError> {
    let Everything { discovered, large, unread, .. } = everything;
    let candidates = &discovered.findings.candidates;
    let mentions = &discovered.mentions;
    let mut search = Search { session, candidates: by_key(candidates), searched: Searched::default() };
    let unopened = mentions.unopened().iter();
    search.searched.unopened =
        unopened.map(|(store, name, why)| (store.clone(), name.clone(), why.to_string())).collect();
    let mut other_form = Vec::new();
    for Candidate { key_id, .. } in candidates {
        match mentions.of(key_id) {
            Some(mentions) => mentions.iter().for_each(|mention| search.mentioned(key_id, mention)),
            None => other_form.push(key_id),
        }
    }
    search.values_for(&Needles::new(other_form)).await?;
    search.large_values(large, unread);
    Ok(search.searched)
}

fn by_key(candidates: &[Candidate]) -> BTreeMap<&AccessKeyId, &Candidate> {
    candidates.iter().map(|candidate| (&candidate.key_id, candidate)).collect()
}

struct Search<'s> {
    session: &'s Session,
    candidates: BTreeMap<&'s AccessKeyId, &'s Candidate>,
    searched: Searched,
}

impl Search<'_> {
    /// Records that an entry names a key, unless its value is a place of the key.
    fn mentioned(&mut self, key: &AccessKeyId, mention: &Mention) {
        let Mention { store, entry, in_name, in_value } = mention;
        let is_place = || {
            let places = self.candidates.get(key).map_or(&[][..], |candidate| &candidate.places);
            let mut places = places.iter().filter(|place| place.store == *store);
            places.any(|place| place.id.entry == *entry || place.secret.entry == *entry)
        };
        let how = match (*in_value && !is_place(), *in_name) {
            (true, _) => "",
            (false, true) => " (in its name)",
            (false, false) => return,
        };
        let label = format!("{}{how}", self.session.stores.describe(store, entry));
        self.searched.elsewhere.entry(key.clone()).or_default().push(label);
    }

    /// Reads all values again to find keys in them.
    async fn values_for(&mut self, needles: &Needles) -> Result<(), CallError> {
        if needles.is_empty() {
            return Ok(());
        }
        for store in &self.session.stores.all {
            let mut environments = Environments::of(&self.session.stores, &**store, Priority::Ordinary).await?;
            while let Some(part) = environments.next().await? {
                let found: Vec<_> = part.par_iter().map(|(_, reading)| in_reading(needles, reading)).collect();
                for ((entry, _), in_value) in part.iter().zip(found) {
                    self.found(needles, store.name(), entry, &in_value);
                }
            }
        }
        Ok(())
    }

    /// Searches the values that are not in memory, and the names of the entries that could not be read.
    fn large_values(&mut self, large: &[LargeEntry], unread: &[(StoreName, EntryName, String)]) {
        let needles = Needles::new(self.candidates.keys().copied());
        let (stop, clock) = (&self.session.stop, &*self.session.clock);
        let search = |LargeEntry { value, .. }: &LargeEntry| match value.open() {
            Ok(value) => of_value(&needles, &WhileTimeIsLeft::new(&*value, stop, clock)),
            Err(why) => (BTreeSet::new(), Some(why)),
        };
        let found: Vec<_> = large.par_iter().map(search).collect();
        for (LargeEntry { store, name, .. }, (in_value, unopened)) in large.iter().zip(found) {
            self.searched.unopened.extend(unopened.map(|why| (store.clone(), name.clone(), why)));
            self.found(&needles, store, name, &in_value);
        }
        for (store, name, _) in unread {
            self.found(&needles, store, name, &BTreeSet::new());
        }
    }

    /// Records what a search found in an entry.
    fn found(&mut self, needles: &Needles, store: &StoreName, entry: &EntryName, in_value: &BTreeSet<&AccessKeyId>) {
        let in_name = needles.in_name(entry);
        for key in in_value.union(&in_name) {
            let (in_name, in_value) = (in_name.contains(key), in_value.contains(key));
            self.mentioned(key, &Mention { store: store.clone(), entry: entry.clone(), in_name, in_value });
        }
    }
}

/// Returns the keys that the value names, and why it may name others.
fn of_value<'n>(needles: &'n Needles, value: &dyn Source) -> (BTreeSet<&'n AccessKeyId>, Option<String>) {
    let SearchedValue { named, unopened } = needles.search(value);
    (named, unopened.map(|why| why.to_string()))
}

/// Returns the keys that the content of an entry names. The first reading has reported what could not be opened.
fn in_reading<'n>(needles: &'n Needles, reading: &Reading) -> BTreeSet<&'n AccessKeyId> {
    match reading {
        Reading::Value { value, .. } | Reading::Managed { value, .. } => of_value(needles, value).0,
        // Large values and the names of unread entries are searched for all keys at once.
        Reading::Large(_) | Reading::Missing | Reading::Unreadable(_) => BTreeSet::new(),
    }
}
