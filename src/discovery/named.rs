//! Whether an entry names an id: in its value or its own name, in whatever encodings ([`super::decode`]).
//!
//! Before a key is removed, every stored value is searched for all old keys. Both sides are prepared once, and one pass over
//! a value finds all keys in it. A key that is found by mistake only stays; a key that is missed is deleted while something
//! still reads it. Hence there are no word boundaries and no guess at a value's form: every reading is tried.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use memchr::memmem::{self, Finder};
use zeroize::Zeroizing;

use super::decode::{Decoded, Unopened, decode};
use super::{escapes, form};
use crate::planted::{self, Planted};
use crate::rotation::name::{AccessKeyId, EntryName};
use crate::rotation::secret::SecretValue;

/// Whether `value` names `id`. For many ids or values, prepare [`Haystack`] and [`Needle`].
#[must_use]
pub fn names(value: &SecretValue, id: &AccessKeyId) -> bool {
    Haystack::new(value).names(&Needle::new(id))
}

/// An id, prepared to be sought in many values.
#[derive(Debug, Clone)]
pub struct Needle(Finder<'static>);

impl Needle {
    /// Prepares the id.
    #[must_use]
    pub fn new(id: &AccessKeyId) -> Self {
        Self(Finder::new(id.as_str()).into_owned())
    }
}

/// Many ids, prepared to be sought in many values at once: one pass over a value finds all of them.
#[derive(Debug)]
pub struct Needles {
    ids: Vec<AccessKeyId>,
    /// `None` if the ids are too many for one: with 20 characters each, more than a hundred million.
    automaton: Option<AhoCorasick>,
}

impl Needles {
    /// Prepares the ids.
    pub fn new<'a>(ids: impl IntoIterator<Item = &'a AccessKeyId>) -> Self {
        let ids: Vec<AccessKeyId> = ids.into_iter().cloned().collect();
        Self { automaton: AhoCorasick::new(ids.iter().map(AccessKeyId::as_str)).ok(), ids }
    }

    /// Those that stand anywhere in the text.
    fn within(&self, text: &[u8]) -> BTreeSet<&AccessKeyId> {
        match &self.automaton {
            Some(automaton) => {
                automaton.find_overlapping_iter(text).map(|found| &self.ids[found.pattern().as_usize()]).collect()
            }
            None => self.ids.iter().filter(|id| memmem::find(text, id.as_str().as_bytes()).is_some()).collect(),
        }
    }
}

/// A value or a name, prepared to have many ids sought in it. What it holds is overwritten when it is dropped.
pub struct Haystack {
    /// All words that may be ids or have them in them, from every reading.
    words: Zeroizing<Vec<u8>>,
    /// How many bytes of these are words of it as it is.
    plain: usize,
    unopened: Option<Unopened>,
}

impl std::fmt::Debug for Haystack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Haystack(…)")
    }
}

impl Haystack {
    /// Prepares a value.
    #[must_use]
    pub fn new(value: &SecretValue) -> Self {
        Self::of(value.expose())
    }

    /// Prepares an entry's name.
    #[must_use]
    pub fn of_name(name: &EntryName) -> Self {
        Self::of(name.as_str().as_bytes())
    }

    fn of(bytes: &[u8]) -> Self {
        let Decoded { words, plain, unopened } = decode(bytes);
        Self { words, plain, unopened }
    }

    /// Whether the id is named.
    #[must_use]
    pub fn names(&self, id: &Needle) -> bool {
        id.0.find(self.searched()).is_some()
    }

    /// Which of the ids are named.
    #[must_use]
    pub fn named<'n>(&self, ids: &'n Needles) -> BTreeSet<&'n AccessKeyId> {
        ids.within(self.searched())
    }

    fn searched(&self) -> &[u8] {
        if planted::is(Planted::NarrowSearch) { &self.words[..self.plain] } else { self.words.as_slice() }
    }

    /// Why there may be more ids than were found, and the value counts as one that may name any key.
    #[must_use]
    pub const fn unopened(&self) -> Option<Unopened> {
        self.unopened
    }

    /// Every id that is named and that can be told by its form alone.
    pub(super) fn ids(&self) -> BTreeSet<AccessKeyId> {
        form::ids_within(&self.words).collect()
    }
}

/// The bytes with `%XX` taken off; none where there is none.
pub(super) fn without_percents(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    escapes::without_percents(bytes).map(|unescaped| unescaped.plain)
}

#[cfg(test)]
mod tests;
