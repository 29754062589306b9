//! Whether an entry names an id: in its value or its own name, in whatever encodings ([`super::decode`]).
//!
//! Before a key is removed, every stored value is searched for all old keys. They are prepared once, and one pass over
//! a value finds all keys in it, whatever its size; nothing of it is kept. A key that is found by mistake only stays; a
//! key that is missed is deleted while something still reads it. Hence there are no word boundaries and no guess at a
//! value's form: every reading is tried.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aho_corasick::AhoCorasick;
use memchr::memmem;

use super::decode::{Unopened, decode};
use super::source::Source;
use super::wiped::Wiped;
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
    /// The ids with the prefix and the length of those that AWS makes: hardly any text has the prefix by chance, and
    /// where it does the id is looked up.
    of_aws: Vec<OfOnePrefix>,
    /// The numbers of all others.
    others: Vec<usize>,
    /// Finds the others. `None` if there are no others, or too many: with 20 characters each, more than a hundred
    /// million.
    automaton: Option<AhoCorasick>,
}

/// How long an id is that AWS makes.
const OF_AWS: usize = 20;

/// The prefixes of ids that AWS makes.
const PREFIXES: [[u8; 4]; 4] = [*b"AKIA", *b"ASIA", *b"ABIA", *b"ACCA"];

/// The ids with one prefix.
#[derive(Debug)]
struct OfOnePrefix {
    prefix: memmem::Finder<'static>,
    /// The number of each id.
    numbers: HashMap<[u8; OF_AWS], usize>,
}

impl OfOnePrefix {
    /// The place and the number of each of the ids that the text contains.
    fn within<'t>(&'t self, text: &'t [u8]) -> impl Iterator<Item = (usize, usize)> + 't {
        let mut from = 0;
        // A prefix may begin within another one, as in `AKIAKIA`, and the iterator of `memmem` skips that.
        let places = std::iter::from_fn(move || {
            let at = from + self.prefix.find(&text[from..])?;
            from = at + 1;
            Some(at)
        });
        places.filter_map(|at| {
            let id = text[at..].first_chunk::<OF_AWS>()?;
            Some((at, *self.numbers.get(id)?))
        })
    }
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
        let mut numbers = PREFIXES.map(|_| HashMap::new());
        let mut others = Vec::new();
        for (number, id) in ids.iter().enumerate() {
            let id: Option<&[u8; OF_AWS]> = id.as_str().as_bytes().try_into().ok();
            match id.and_then(|id| Some((id, PREFIXES.iter().position(|prefix| id.starts_with(prefix))?))) {
                Some((id, prefix)) => {
                    numbers[prefix].insert(*id, number);
                }
                None => others.push(number),
            }
        }
        let with_finder =
            |(prefix, numbers): (&'static [u8; 4], _)| OfOnePrefix { prefix: memmem::Finder::new(prefix), numbers };
        let of_aws = PREFIXES.iter().zip(numbers).filter(|(_, numbers)| !numbers.is_empty()).map(with_finder).collect();
        let texts = others.iter().map(|number: &usize| ids[*number].as_str());
        let automaton = if others.is_empty() { None } else { AhoCorasick::new(texts).ok() };
        Self { ids, of_aws, others, automaton }
    }

    /// Returns whether there is no id to seek.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
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
        self.each_place(text, &mut |_, number| {
            named.insert(&self.ids[number]);
        });
    }

    /// Shows places of each id that the text contains unencoded, the first one among them, with the id's number.
    fn each_place(&self, text: &[u8], show: &mut dyn FnMut(usize, usize)) {
        for one in &self.of_aws {
            one.within(text).for_each(|(at, number)| show(at, number));
        }
        match &self.automaton {
            Some(automaton) => {
                let found = automaton.find_overlapping_iter(text);
                found.for_each(|found| show(found.start(), self.others[found.pattern().as_usize()]));
            }
            None => {
                for number in &self.others {
                    if let Some(at) = memmem::find(text, self.ids[*number].as_str().as_bytes()) {
                        show(at, *number);
                    }
                }
            }
        }
    }

    /// The first position of each id that the text contains unencoded, in the order of the positions.
    pub(super) fn first_places(&self, text: &[u8]) -> Vec<(usize, &AccessKeyId)> {
        let mut first: BTreeMap<&AccessKeyId, usize> = BTreeMap::new();
        self.each_place(text, &mut |at, number| {
            first.entry(&self.ids[number]).and_modify(|first| *first = at.min(*first)).or_insert(at);
        });
        let mut places: Vec<_> = first.into_iter().map(|(id, at)| (at, id)).collect();
        places.sort();
        places
    }
}

/// Ids that a value or a name has, as far as their form alone shows them.
#[derive(Default)]
pub(super) struct Ids {
    pub(super) ids: BTreeSet<AccessKeyId>,
    /// Whether there are more than were asked for: these are some of them.
    pub(super) are_more: bool,
}

impl Ids {
    fn take(&mut self, text: &[u8], most: usize) {
        let mut of_this = key_format::ids_within(text);
        while !self.are_more
            && let Some(id) = of_this.next()
        {
            self.are_more = self.ids.len() == most && !self.ids.contains(&id);
            if !self.are_more {
                self.ids.insert(id);
            }
        }
    }
}

/// A text in a value or a name with the length and the prefix of the id of a long-term key that AWS makes, whatever
/// precedes and follows it. Hardly any value has one by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LikeId([u8; OF_AWS]);

impl LikeId {
    fn at(text: &[u8]) -> Option<Self> {
        let text = text.first_chunk::<OF_AWS>().filter(|text| text.starts_with(b"AKIA"))?;
        text.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').then_some(Self(*text))
    }

    fn within(text: &[u8]) -> impl Iterator<Item = Self> + '_ {
        // One may begin within another one, as in `AKIAKIA`, and a search for the whole prefix would skip it.
        memmem::find_iter(text, b"IA").filter_map(|end| Self::at(&text[end.checked_sub(2)?..]))
    }

    /// Returns the id as such a text. `None`: it has another form, so [`named`] does not see it.
    pub(super) fn of(id: &AccessKeyId) -> Option<Self> {
        let id = id.as_str().as_bytes();
        Self::at(id).filter(|_| id.len() == OF_AWS)
    }
}

/// What a value names, recorded before any key is known.
pub(super) struct Named {
    pub(super) ids: Ids,
    /// Each text like an id, in any encoding. [`Needles`] for such an id find it in the same values.
    pub(super) like_ids: BTreeSet<LikeId>,
    /// Why there may be more.
    pub(super) unopened: Option<Unopened>,
}

/// Reads what `value`, which is in memory, names: at most `most` ids, and all texts like an id.
pub(super) fn named(value: &dyn Source, most: usize) -> Named {
    let (mut ids, mut like_ids) = (Ids::default(), BTreeSet::new());
    let unopened = decode(value, &mut |text| {
        ids.take(text, most);
        like_ids.extend(LikeId::within(text));
    });
    Named { ids, like_ids, unopened }
}

/// The ids in `value`, but not more than `most`.
pub(super) fn ids(value: &dyn Source, most: usize) -> Ids {
    let mut ids = Ids::default();
    decode(value, &mut |text| ids.take(text, most));
    ids
}

/// The bytes with `%XX` taken off; `None` where the text has no such escape.
pub(super) fn without_percents(bytes: &[u8]) -> Option<Wiped> {
    escapes::without_percents(bytes).map(|unescaped| unescaped.plain)
}

#[cfg(test)]
mod tests;
