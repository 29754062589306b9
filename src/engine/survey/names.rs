//! The names of a key, and patterns over them.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use smol_str::SmolStr;

use super::owner_rule::Owner;
use crate::discovery::{Candidate, LeftAlone};
use crate::rotation::record::Rotation;
use crate::types::name::{AccessKeyId, EntryName, UserName};
use crate::types::place::Place;

/// Patterns as in file names, of one flag or one setting.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    /// The flag or the setting, for messages.
    origin: String,
    texts: Vec<String>,
    set: GlobSet,
    any_case: GlobSet,
}

impl Patterns {
    /// Compiles these patterns.
    ///
    /// # Errors
    /// The pattern that is not valid, if it is a single one, and the reason.
    pub fn new(texts: &[String], origin: &str) -> Result<Self, (Option<String>, globset::ErrorKind)> {
        let build = |any_case: bool| {
            let mut set = GlobSetBuilder::new();
            for text in texts {
                let glob = GlobBuilder::new(text).case_insensitive(any_case).build();
                set.add(glob.map_err(|error| (Some(text.clone()), error.kind().clone()))?);
            }
            set.build().map_err(|error| (None, error.kind().clone()))
        };
        Ok(Self { origin: origin.to_owned(), texts: texts.to_vec(), set: build(false)?, any_case: build(true)? })
    }

    /// Returns the flag or the setting, for messages.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    pub fn match_any<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> bool {
        names.into_iter().any(|name| self.set.is_match(name))
    }

    /// Returns the numbers of the patterns that match this key. User names are unique regardless of case, and are
    /// matched that way.
    fn matching(&self, names: &Names) -> BTreeSet<usize> {
        let by_user = names.users.iter().flat_map(|user| self.any_case.matches(user));
        names.all().flat_map(|name| self.set.matches(name)).chain(by_user).collect()
    }

    /// Returns whether a pattern matches this key.
    #[must_use]
    pub fn matches(&self, names: &Names) -> bool {
        self.match_any(names.all()) || names.users.iter().any(|user| self.any_case.is_match(user))
    }
}

/// The names of a key in a pattern: its id, its entries, their `<app>/<environment>`, its user.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// The user names that the configuration derives from the places, and the confirmed one as IAM spells it.
    users: Distinct,
    others: Distinct,
}

/// A few names, each once. A run has two of these for each key.
#[derive(Debug, Clone, Default)]
struct Distinct(Vec<SmolStr>);

impl Distinct {
    fn add(&mut self, name: &str) {
        if !self.0.iter().any(|known| known == name) {
            self.0.push(name.into());
        }
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(SmolStr::as_str)
    }
}

impl Names {
    /// Returns the names of a key that was found with its secret.
    #[must_use]
    pub fn of(owner: &Owner, candidate: &Candidate) -> Self {
        let mut names = Self::default();
        names.add(&candidate.key_id);
        for place in &candidate.places {
            owner.of(place).iter().for_each(|user| names.add_user(user));
            names.add_place(place);
        }
        names
    }

    /// Returns the names of a key of which only the id is known.
    #[must_use]
    pub fn of_id(id: &AccessKeyId) -> Self {
        let mut names = Self::default();
        names.add(id);
        names
    }

    /// Returns the names of a finding that cannot be rotated as it is.
    #[must_use]
    pub fn of_left_alone(found: &LeftAlone) -> Self {
        let mut names = Self::default();
        found.key_id.iter().for_each(|id| names.add(id));
        found.places.iter().for_each(|(_, spot)| names.add_entry(&spot.entry));
        names
    }

    /// Returns the names of a rotation in flight.
    #[must_use]
    pub fn of_rotation(rotation: &Rotation) -> Self {
        let opened = &rotation.opened;
        let mut names = Self::default();
        names.add_user(&opened.user);
        names.add(&opened.old_key);
        rotation.new_key.iter().for_each(|id| names.add(id));
        opened.places.iter().for_each(|place| names.add_place(place));
        names
    }

    fn add(&mut self, id: &AccessKeyId) {
        self.others.add(id.as_str());
    }

    fn add_place(&mut self, place: &Place) {
        self.add_entry(&place.id.entry);
        self.add_entry(&place.secret.entry);
    }

    fn add_entry(&mut self, entry: &EntryName) {
        self.others.add(entry.scope());
        self.others.add(entry.as_str());
    }

    /// Returns whether this is exactly one of the names. User names are unique regardless of case.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.others.iter().any(|other| other == name) || self.users.iter().any(|user| user.eq_ignore_ascii_case(name))
    }

    /// Returns the names with that of the user.
    pub(super) fn of_user(mut self, user: &UserName) -> Self {
        self.add_user(user);
        self
    }

    /// Adds the confirmed user.
    pub fn add_user(&mut self, user: &UserName) {
        self.users.add(user.as_str());
    }

    /// Returns every name, user names first.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.users.iter().chain(self.others.iter())
    }
}

/// A pattern that matches no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmatched {
    pub pattern: String,
    /// The flag or the setting that has the pattern.
    pub origin: String,
    /// The most similar name, if one is near.
    pub nearest: Option<String>,
}

/// Returns the patterns that match no key.
#[must_use]
pub fn unmatched(patterns: &Patterns, keys: &[Names]) -> Vec<Unmatched> {
    let matched: BTreeSet<usize> = keys.iter().flat_map(|names| patterns.matching(names)).collect();
    let left = patterns.texts.iter().enumerate().filter(|(number, _)| !matched.contains(number));
    let unmatched = |pattern: &String| {
        let (pattern, nearest) = (pattern.clone(), nearest(pattern, keys));
        Unmatched { pattern, origin: patterns.origin.clone(), nearest }
    };
    left.map(|(_, pattern)| unmatched(pattern)).collect()
}

/// How similar a name must be to be suggested: 1 is the same.
const NEAR: f64 = 0.6;

/// A pattern with at least this number of letters is near to each name that contains it.
const PART: usize = 3;

/// Returns the name that is most similar to a pattern, if one is near. Of equally similar names, a user name is returned.
fn nearest(pattern: &str, keys: &[Names]) -> Option<String> {
    let plain = pattern.replace(['*', '?', '[', ']', '{', '}'], "").to_lowercase();
    let of_users = keys.iter().flat_map(|names| names.users.iter());
    let mut best: Option<(f64, &str)> = None;
    for name in of_users.chain(keys.iter().flat_map(|names| names.others.iter())) {
        let name_in_lower_case = name.to_lowercase();
        let is_part = plain.len() >= PART && name_in_lower_case.contains(&plain);
        let like = strsim::normalized_damerau_levenshtein(&plain, &name_in_lower_case);
        let like = if is_part { like.max(NEAR) } else { like };
        if like >= NEAR && best.is_none_or(|(most, _)| like > most) {
            best = Some((like, name));
        }
    }
    best.map(|(_, name)| name.to_owned())
}
