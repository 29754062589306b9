//! What the operator chose to rotate: patterns over the names of a key, ages, and the rules for a rotation.

use std::collections::BTreeSet;
use std::time::Duration;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::owner_rule::Owner;
use crate::discovery::{Candidate, LeftAlone};
use crate::rotation::policy::Policy;
use crate::rotation::record::Rotation;
use crate::types::name::UserName;

/// How long a key that rotator made is not due again, if no age is set.
pub const MADE_LATELY: Duration = Duration::from_secs(20 * 3600);

/// What the operator chose to rotate.
#[derive(Debug, Clone)]
pub struct Choice {
    pub owner: Owner,
    /// Only keys that match one of these patterns are rotated. `None`: every key.
    pub only: Option<Patterns>,
    /// Keys that match one of these patterns are not rotated.
    pub exclude: Patterns,
    /// How old a key must be. Above zero, age alone decides.
    pub older_than: Duration,
    /// Whether a key that rotator made less than [`MADE_LATELY`] ago is due as well, because the command line sets age
    /// zero.
    pub again: bool,
    /// After how long without a use a due key is left alone. `None`: never.
    pub unused_for: Option<Duration>,
    /// The rules for a rotation.
    pub policy: Policy,
}

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

    fn matches(&self, names: &Names) -> bool {
        self.match_any(names.all()) || names.users.iter().any(|user| self.any_case.is_match(user))
    }
}

/// The names of a key in a pattern: its id, its entries, their `<app>/<environment>`, its user.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// The user names that the configuration derives from the places, and the confirmed one as IAM spells it.
    users: BTreeSet<String>,
    others: BTreeSet<String>,
}

impl Names {
    /// Returns the names of a key that was found with its secret.
    #[must_use]
    pub fn of(owner: &Owner, candidate: &Candidate) -> Self {
        let mut names = Self::default();
        names.others.insert(candidate.key_id.to_string());
        for place in &candidate.places {
            names.users.extend(owner.of(place).map(|user| user.to_string()));
            let (id, secret) = (&place.id.entry, &place.secret.entry);
            names.others.extend([id.scope().to_owned(), id.to_string(), secret.to_string()]);
        }
        names
    }

    /// Returns the names of a finding that cannot be rotated as it is.
    #[must_use]
    pub fn of_left_alone(found: &LeftAlone) -> Self {
        let mut names = Self::default();
        names.others.extend(found.key_id.iter().map(ToString::to_string));
        for (_, spot) in &found.places {
            names.others.extend([spot.entry.scope().to_owned(), spot.entry.to_string()]);
        }
        names
    }

    /// Returns the names of a rotation in flight.
    #[must_use]
    pub fn of_rotation(rotation: &Rotation) -> Self {
        let opened = &rotation.opened;
        let mut names = Self::default();
        names.users.insert(opened.user.to_string());
        names.others.insert(opened.old_key.to_string());
        names.others.extend(rotation.new_key.iter().map(ToString::to_string));
        for place in &opened.places {
            let (id, secret) = (&place.id.entry, &place.secret.entry);
            names.others.extend([id.scope().to_owned(), id.to_string(), secret.to_string()]);
        }
        names
    }

    /// Adds the confirmed user.
    pub fn add_user(&mut self, user: &UserName) {
        self.users.insert(user.to_string());
    }

    /// Returns every name, user names first.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.users.iter().chain(&self.others).map(String::as_str)
    }
}

impl Choice {
    /// Returns whether `exclude` leaves out a key with these names.
    #[must_use]
    pub fn excludes(&self, names: &Names) -> bool {
        self.exclude.matches(names)
    }

    /// Says what leaves out a key with these names.
    #[must_use]
    pub fn why_excluded(&self, names: &Names) -> String {
        let by = match &self.only {
            Some(only) if !self.excludes(names) => only.origin(),
            Some(_) | None => self.exclude.origin(),
        };
        format!("left out by {by}")
    }

    /// Returns whether `only` includes a key with these names.
    #[must_use]
    pub fn takes(&self, names: &Names) -> bool {
        self.only.as_ref().is_none_or(|only| only.matches(names))
    }

    /// Returns whether `only` may include a key with these names when IAM has named its user.
    #[must_use]
    pub fn may_take(&self, names: &Names) -> bool {
        // Another owner setting names the user before IAM confirms it.
        self.takes(names) || self.owner == Owner::Aws
    }
}

/// A pattern that matches no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmatched {
    pub pattern: String,
    /// The flag or the setting that has the pattern.
    pub origin: String,
    /// The most similar name, if there is any.
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

/// Returns the name that is most similar to a pattern. Of equally similar names, a user name is returned.
fn nearest(pattern: &str, keys: &[Names]) -> Option<String> {
    let plain = pattern.replace(['*', '?', '[', ']', '{', '}'], "").to_lowercase();
    let of_users = keys.iter().flat_map(|names| &names.users);
    let mut best: Option<(f64, &String)> = None;
    for name in of_users.chain(keys.iter().flat_map(|names| &names.others)) {
        let like = strsim::normalized_damerau_levenshtein(&plain, &name.to_lowercase());
        if best.is_none_or(|(most, _)| like > most) {
            best = Some((like, name));
        }
    }
    best.map(|(_, name)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::name::{AccessKeyId, EntryName, StoreName};
    use crate::types::place::{FieldRef, Location, Place};

    fn candidate() -> Candidate {
        let spot =
            |name: &str| FieldRef { entry: EntryName::new(name).expect("valid"), location: Location::WholeValue };
        let store = StoreName::new("s").expect("valid");
        let place = Place { store, id: spot("shop/prod/ID"), secret: spot("shop/prod/SECRET") };
        Candidate { key_id: AccessKeyId::new("AKIAABCDEFGHIJKLMNOP").expect("valid"), places: vec![place] }
    }

    fn choice(owner: Owner, only: &[&str], exclude: &[&str]) -> Choice {
        let patterns = |texts: &[&str]| {
            Patterns::new(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), "--only").expect("valid")
        };
        let only = if only.is_empty() { None } else { Some(patterns(only)) };
        let (older_than, again, policy) = (Duration::ZERO, false, Policy::default());
        Choice { owner, only, exclude: patterns(exclude), older_than, again, unused_for: None, policy }
    }

    fn confirmed(owner: &Owner, user: &str) -> Names {
        let mut names = Names::of(owner, &candidate());
        names.add_user(&UserName::new(user).expect("valid"));
        names
    }

    #[test]
    fn a_user_is_matched_as_iam_spells_it_under_every_owner_setting() {
        let template = Owner::Template("{app}-{environment}".to_owned());
        let table = Owner::Table([("shop/prod".to_owned(), "till".to_owned())].into(), "{app}".to_owned());
        for (owner, user) in [(Owner::Aws, "alice"), (template, "Shop-Prod"), (table, "TILL")] {
            let found = Names::of(&owner, &candidate());
            let all = confirmed(&owner, user);
            let only = choice(owner.clone(), &[user], &[]);
            assert!(only.may_take(&found), "{user}: IAM has to be asked");
            assert!(only.takes(&all), "{user}");
            assert!(!choice(owner.clone(), &["somebody-else"], &[]).takes(&all), "{user}");
            assert!(choice(owner.clone(), &[], &[user]).excludes(&all), "{user}");
            assert!(!choice(owner, &[], &["somebody-else"]).excludes(&all), "{user}");
        }
    }

    #[test]
    fn what_iam_cannot_make_match_is_not_asked_about() {
        let names = Names::of(&Owner::default(), &candidate());
        assert!(!choice(Owner::default(), &["other/*"], &[]).may_take(&names));
        assert!(choice(Owner::default(), &["other/*", "SHOP/*"], &[]).may_take(&names));
    }

    #[test]
    fn an_exclusion_matches_all_that_a_key_is_called_and_users_in_any_case() {
        let names = confirmed(&Owner::Aws, "Alice");
        for pattern in ["alice", "Al*", "shop/prod", "shop/prod/SECRET", "AKIAABCD*", "shop/*"] {
            assert!(choice(Owner::Aws, &[], &[pattern]).excludes(&names), "{pattern}");
        }
        for pattern in ["SHOP/PROD", "bob", "akia*"] {
            assert!(!choice(Owner::Aws, &[], &[pattern]).excludes(&names), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_named_with_what_is_nearest() {
        let keys = [confirmed(&Owner::Aws, "alice")];
        let only = choice(Owner::Aws, &["alice", "alise", "shop/prd/*"], &[]).only.expect("given");
        let origin = "--only".to_owned();
        let named = |pattern: &str, nearest: &str| Unmatched {
            pattern: pattern.to_owned(),
            origin: origin.clone(),
            nearest: Some(nearest.to_owned()),
        };
        assert_eq!(unmatched(&only, &keys), [named("alise", "alice"), named("shop/prd/*", "shop/prod")]);
        let none = [Unmatched { pattern: "alice".to_owned(), origin: origin.clone(), nearest: None }];
        assert_eq!(unmatched(&choice(Owner::Aws, &["alice"], &[]).only.expect("given"), &[]), none);
    }
}
