//! Rules: other settings for the keys with some names. The first rule that matches a key decides.

use std::time::Duration;

use super::names::Patterns;
use crate::rotation::policy::Policy;
use crate::types::time::{Date, Timestamp};

/// Which of the chosen keys are due, and how each is replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// How old a key must be. Above zero, age alone decides.
    pub older_than: Duration,
    /// Whether a key that rotator made lately is due as well, because the command line sets age zero.
    pub again: bool,
    /// Whether the operator named the key: then it is due, even if an open campaign made it.
    pub is_named: bool,
    /// After how long without a use a due key is left alone. `None`: never.
    pub unused_for: Option<Duration>,
    /// The rules for a rotation.
    pub policy: Policy,
}

/// Other terms for some keys.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its number in the configuration, from 1.
    pub number: usize,
    /// The names of the keys. Its origin names the rule.
    pub keys: Patterns,
    pub terms: Terms,
    /// Whether the keys are left out.
    pub exclusion: Option<Exclusion>,
}

/// Why keys are left out, and for how long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exclusion {
    pub reason: Option<String>,
    /// The last day of the exclusion, in UTC.
    pub until: Option<Date>,
}

/// The name of a rule in a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleName {
    pub number: usize,
    pub patterns: Vec<String>,
}

impl Rule {
    #[must_use]
    pub fn name(&self) -> RuleName {
        RuleName { number: self.number, patterns: self.keys.texts().to_vec() }
    }

    /// Returns whether the keys are left out at this moment.
    #[must_use]
    pub fn excludes_at(&self, now: Timestamp) -> bool {
        self.exclusion.as_ref().is_some_and(|exclusion| exclusion.until.is_none_or(|until| now < until.end()))
    }

    /// Words the rule, such as `[[rule]] 2 (legacy-*)`.
    #[must_use]
    pub fn in_words(&self) -> String {
        format!("{} ({})", self.keys.origin(), self.keys.texts().join(", "))
    }

    /// Says why a key is left out.
    pub(super) fn why_excluded(&self) -> String {
        let Exclusion { reason, until } = self.exclusion.clone().unwrap_or_default();
        let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("left out by {}{until}{reason}", self.in_words())
    }

    /// Warns that the exclusion has ended.
    pub(super) fn ended(&self, now: Timestamp) -> Option<String> {
        let until = self.exclusion.as_ref()?.until.filter(|until| now >= until.end())?;
        Some(format!(
            "the exclusion by {} ended with {until}, and its keys are rotated again: change `until`, or remove `exclude`",
            self.in_words()
        ))
    }
}
