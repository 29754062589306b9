//! What the operator chose to rotate: patterns over the names of a key, and the terms for each key.

use std::time::Duration;

pub use super::names::{Names, Patterns, Unmatched, unmatched};
use super::owner_rule::Owner;
pub use super::rules::{Exclusion, Rule, RuleName, Terms};
use crate::types::name::AccessKeyId;
use crate::types::time::Timestamp;

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
    /// The terms for the keys without a rule.
    pub terms: Terms,
    /// Other terms for some keys. The first rule that matches a key decides.
    pub rules: Vec<Rule>,
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

    /// Returns the rule that decides about a key with these names.
    #[must_use]
    pub fn rule_of(&self, names: &Names) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.keys.matches(names))
    }

    /// Returns the terms for a key with these names.
    #[must_use]
    pub fn terms_of(&self, names: &Names) -> &Terms {
        self.rule_of(names).map_or(&self.terms, |rule| &rule.terms)
    }

    /// Returns the rule that leaves out a key with these names, as long as IAM has not named its user. Only the first rule
    /// is sure to decide then.
    pub(super) fn surely_excluding(&self, names: &Names, now: Timestamp) -> Option<&Rule> {
        self.rules.first().filter(|rule| rule.excludes_at(now) && rule.keys.matches(names))
    }

    /// Returns the rule that leaves out a key with these names.
    pub(super) fn excluding_rule(&self, names: &Names, now: Timestamp) -> Option<&Rule> {
        self.rule_of(names).filter(|rule| rule.excludes_at(now))
    }

    /// Returns whether `exclude` or a rule leaves out a key of which only the id is known.
    pub(super) fn excludes_id(&self, id: &AccessKeyId, now: Timestamp) -> bool {
        let names = Names::of_id(id);
        self.excludes(&names) || self.excluding_rule(&names, now).is_some()
    }

    /// Warns of exclusions that have ended, of which a key is among these.
    pub(super) fn ended_exclusions(&self, keys: &[Names], now: Timestamp) -> Vec<String> {
        let ended = self.rules.iter().filter_map(|rule| Some((rule, rule.ended(now)?)));
        let decides =
            |rule: &Rule| keys.iter().any(|names| self.rule_of(names).is_some_and(|first| first.number == rule.number));
        ended.filter(|(rule, _)| decides(rule)).map(|(_, warning)| warning).collect()
    }
}

#[cfg(test)]
mod rules_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::Candidate;
    use crate::types::name::UserName;
    use crate::types::name::{EntryName, StoreName};
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
        Choice { owner, only, exclude: patterns(exclude), terms: Terms::default(), rules: Vec::new() }
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
        let far = choice(Owner::Aws, &["xyz-9", "shop-produktion-2", "al"], &[]).only.expect("given");
        assert!(unmatched(&far, &keys).iter().all(|one| one.nearest.is_none()), "{:?}", unmatched(&far, &keys));
        let part = choice(Owner::Aws, &["lic"], &[]).only.expect("given");
        assert_eq!(unmatched(&part, &keys), [named("lic", "alice")]);
        let none = [Unmatched { pattern: "alice".to_owned(), origin: origin.clone(), nearest: None }];
        assert_eq!(unmatched(&choice(Owner::Aws, &["alice"], &[]).only.expect("given"), &[]), none);
    }
}
