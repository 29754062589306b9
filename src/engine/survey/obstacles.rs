//! What in the stores prevents a rotation: entries that name the key and cannot be rewritten, entries that may name it
//! and cannot be read, and places that another program manages. They are found before a new key is created.

use std::collections::{BTreeMap, BTreeSet};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::everything::{Everything, LargeEntry, NotOurs};
use crate::discovery::{Candidate, Mention, Needles, Searched as Found};
use crate::engine::observe::large::WhileTimeIsLeft;
use crate::engine::session::Session;
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
            let place_shown = session.stores.describe(&place.store, &place.id);
            return Some(format!("{place_shown} is in {}, which rotator may only read", place.store));
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
/// and in the names of the unread entries. [`super::second_reading`] searches for ids that AWS did not make.
pub(super) fn search(session: &Session, everything: &Everything) -> Searched {
    let Everything { discovered, large, unread, .. } = everything;
    let candidates = &discovered.findings.candidates;
    let unopened = discovered.mentions.unopened().iter();
    let unopened = unopened.map(|(store, name, why)| (store.clone(), name.clone(), why.to_string()));
    let mut search = Search { session, searched: Searched { unopened: unopened.collect(), ..Searched::default() } };
    for candidate in candidates {
        for mention in discovered.mentions.of(&candidate.key_id).unwrap_or_default() {
            search.mentioned(candidate, mention);
        }
    }
    search.large_values(candidates, large, unread);
    search.searched
}

struct Search<'s> {
    session: &'s Session,
    searched: Searched,
}

impl Search<'_> {
    fn mentioned(&mut self, candidate: &Candidate, mention: &Mention) {
        let label = elsewhere(self.session, candidate, mention);
        if let Some(label) = label {
            self.searched.elsewhere.entry(candidate.key_id.clone()).or_default().push(label);
        }
    }

    /// Searches the values that are not in memory, and the names of the entries that could not be read.
    fn large_values(
        &mut self,
        candidates: &[Candidate],
        large: &[LargeEntry],
        unread: &[(StoreName, EntryName, String)],
    ) {
        let by_key: BTreeMap<_, _> = candidates.iter().map(|candidate| (&candidate.key_id, candidate)).collect();
        let needles = Needles::new(by_key.keys().copied());
        let (stop, clock) = (&self.session.stop, &*self.session.clock);
        let search = |LargeEntry { value, .. }: &LargeEntry| match value.open() {
            Ok(value) => {
                let Found { named, unopened } = needles.search(&WhileTimeIsLeft::new(&*value, stop, clock));
                (named, unopened.map(|why| why.to_string()))
            }
            Err(why) => (BTreeSet::new(), Some(why)),
        };
        let in_large: Vec<_> = large.par_iter().map(search).collect();
        let in_large = large.iter().zip(in_large).map(|(entry, (named, why))| (&entry.store, &entry.name, named, why));
        let unread = unread.iter().map(|(store, name, _)| (store, name, BTreeSet::new(), None));
        for (store, name, in_value, unopened) in in_large.chain(unread) {
            self.searched.unopened.extend(unopened.map(|why| (store.clone(), name.clone(), why)));
            for mention in mentions(&needles, store, name, &in_value) {
                self.mentioned(by_key[mention.0], &mention.1);
            }
        }
    }
}

/// Returns which keys an entry names, in its name or in its value.
pub(super) fn mentions<'n>(
    needles: &'n Needles,
    store: &StoreName,
    entry: &EntryName,
    in_value: &BTreeSet<&'n AccessKeyId>,
) -> Vec<(&'n AccessKeyId, Mention)> {
    let in_name = needles.in_name(entry);
    let mention = |key: &&'n AccessKeyId| {
        let (in_name, in_value) = (in_name.contains(key), in_value.contains(key));
        (*key, Mention { store: store.clone(), entry: entry.clone(), in_name, in_value })
    };
    in_value.union(&in_name).map(mention).collect()
}

/// Describes the entry of a mention, unless it names the key only as a place of the key does.
pub(super) fn elsewhere(session: &Session, candidate: &Candidate, mention: &Mention) -> Option<String> {
    let Mention { store, entry, in_name, in_value } = mention;
    let mut places = candidate.places.iter().filter(|place| place.store == *store);
    let is_place = places.any(|place| place.id.entry == *entry || place.secret.entry == *entry);
    let how = match (*in_value && !is_place, *in_name) {
        (true, _) => "",
        (false, true) => " (in its name)",
        (false, false) => return None,
    };
    Some(format!("{}{how}", session.stores.describe(store, entry)))
}
