//! Whether an entry names an id: in its value or its own name, in whatever encodings ([`super::decode`]).
//!
//! Before a key is removed, every stored value is searched for all old keys. They are prepared once, and one pass over
//! a value finds all keys in it, whatever its size; nothing of it is kept. A key that is found by mistake only stays; a
//! key that is missed is deleted while something still reads it. Hence there are no word boundaries and no guess at a
//! value's form: every reading is tried.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use memchr::memmem;
use zeroize::Zeroizing;

use super::decode::{Unopened, decode};
use super::source::Source;
use super::{escapes, key_format};
use crate::types::name::{AccessKeyId, EntryName};
use crate::types::secret::SecretValue;

/// Whether `value` names `id`. For many ids or values, prepare [`Needles`].
#[must_use]
pub fn names(value: &SecretValue, id: &AccessKeyId) -> bool {
    !Needles::new([id]).search(value).named.is_empty()
}

/// Ids, prepared to be sought in many values at once: one pass over a value finds all of them.
#[derive(Debug)]
pub struct Needles {
    ids: Vec<AccessKeyId>,
    /// `None` if the ids are too many for one: with 20 characters each, more than a hundred million.
    automaton: Option<AhoCorasick>,
}

/// What a search of one value found.
#[derive(Debug, Default)]
pub struct Searched<'n> {
    /// The ids that it names.
    pub named: BTreeSet<&'n AccessKeyId>,
    /// Why there may be more: the value counts as one that may name any key.
    pub unopened: Option<Unopened>,
}

impl Needles {
    /// Prepares the ids.
    pub fn new<'a>(ids: impl IntoIterator<Item = &'a AccessKeyId>) -> Self {
        let ids: Vec<AccessKeyId> = ids.into_iter().cloned().collect();
        Self { automaton: AhoCorasick::new(ids.iter().map(AccessKeyId::as_str)).ok(), ids }
    }

    /// Searches a value.
    #[must_use]
    pub fn search(&self, value: &dyn Source) -> Searched<'_> {
        let mut named = BTreeSet::new();
        let unopened = decode(value, &mut |text| self.within(text, &mut named));
        Searched { named, unopened }
    }

    /// Searches the name of an entry.
    #[must_use]
    pub fn in_name(&self, name: &EntryName) -> BTreeSet<&AccessKeyId> {
        self.search(&name.as_str().as_bytes()).named
    }

    /// Adds the ids that the text contains anywhere.
    fn within<'n>(&'n self, text: &[u8], named: &mut BTreeSet<&'n AccessKeyId>) {
        match &self.automaton {
            Some(automaton) => {
                let found = automaton.find_overlapping_iter(text);
                named.extend(found.map(|found| &self.ids[found.pattern().as_usize()]));
            }
            None => named.extend(self.ids.iter().filter(|id| memmem::find(text, id.as_str().as_bytes()).is_some())),
        }
    }

    /// The first position of each id that the text contains unencoded, in the order of the positions.
    pub(super) fn first_places(&self, text: &[u8]) -> Vec<(usize, &AccessKeyId)> {
        let mut seen = BTreeSet::new();
        match &self.automaton {
            Some(automaton) => {
                let found = automaton.find_overlapping_iter(text);
                let found = found.map(|found| (found.start(), &self.ids[found.pattern().as_usize()]));
                let mut places: Vec<_> = found.filter(|(_, id)| seen.insert(*id)).collect();
                places.sort();
                places
            }
            None => {
                let at = |id: &AccessKeyId| memmem::find(text, id.as_str().as_bytes());
                let mut places: Vec<_> = self.ids.iter().filter_map(|id| Some((at(id)?, id))).collect();
                places.sort();
                places
            }
        }
    }
}

/// Ids that a value or a name has, as far as their form alone shows them.
pub(super) struct Ids {
    pub(super) ids: BTreeSet<AccessKeyId>,
    /// Whether there are more than were asked for: these are some of them.
    pub(super) are_more: bool,
}

/// The ids in `value`, but not more than `most`.
pub(super) fn ids(value: &dyn Source, most: usize) -> Ids {
    let mut found = Ids { ids: BTreeSet::new(), are_more: false };
    decode(value, &mut |text| {
        let mut of_this = key_format::ids_within(text);
        while !found.are_more
            && let Some(id) = of_this.next()
        {
            found.are_more = found.ids.len() == most && !found.ids.contains(&id);
            if !found.are_more {
                found.ids.insert(id);
            }
        }
    });
    found
}

/// The bytes with `%XX` taken off; `None` where the text has no such escape.
pub(super) fn without_percents(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    escapes::without_percents(bytes).map(|unescaped| unescaped.plain)
}

#[cfg(test)]
mod tests;
