//! Which entries name which ids, recorded while the entries are read, so that the stores need not
//! be read again once the keys are known.

use std::collections::{BTreeMap, BTreeSet};

use super::decode::Unopened;
use super::entry::StoredEntry;
use super::references::{self, LikeId};
use crate::types::name::{AccessKeyId, EntryName, StoreName};

/// An entry that names an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    pub store: StoreName,
    pub entry: EntryName,
    /// Whether the name of the entry contains the id.
    pub in_name: bool,
    /// Whether its value contains the id.
    pub in_value: bool,
}

/// Which entries name which ids, in the order in which they were read.
#[derive(Debug, Default)]
pub struct Mentions {
    by_id: BTreeMap<LikeId, Vec<Mention>>,
    /// The entries that may name any key, and why.
    unopened: Vec<(StoreName, EntryName, Unopened)>,
}

impl Mentions {
    pub(super) fn take(&mut self, entry: &StoredEntry, in_value: BTreeSet<LikeId>, unopened: Option<Unopened>) {
        let StoredEntry { store, name, .. } = entry;
        let in_name = references::named(&name.as_str().as_bytes(), 0).like_ids;
        for id in in_value.union(&in_name) {
            let (store, entry) = (store.clone(), name.clone());
            let mention = Mention { store, entry, in_name: in_name.contains(id), in_value: in_value.contains(id) };
            self.by_id.entry(*id).or_default().push(mention);
        }
        self.unopened.extend(unopened.map(|why| (store.clone(), name.clone(), why)));
    }

    /// Returns the entries that name `id`. `None`: ids of this form are not recorded, so the entries have to be searched
    /// again ([`super::Needles`]).
    #[must_use]
    pub fn of(&self, id: &AccessKeyId) -> Option<&[Mention]> {
        let id = LikeId::of(id)?;
        Some(self.by_id.get(&id).map_or(&[], Vec::as_slice))
    }

    /// Returns the entries that could not be read to their end, with the reason: they may name any key.
    #[must_use]
    pub fn unopened(&self) -> &[(StoreName, EntryName, Unopened)] {
        &self.unopened
    }
}
