//! The JSON document of `plan`. It is an interface: fields are only added.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::super::last_used::LastUsedShown;
use super::super::rule_shown::RuleShown;
use super::super::schema::{PlaceShown, Time};
use super::skipped::{ConfirmedShown, SkippedShown};
use crate::engine::survey::{Due, Survey, place_notes};
use crate::journal::campaign::PlaceNote;
use crate::rotation::sink::Follower;
use crate::types::name::{AccessKeyId, AccountId, SinkName, UserName};
use crate::types::place::Place;
use crate::types::time::Timestamp;

/// The version of the documents.
pub(super) const VERSION: u32 = 1;

/// What `plan` and `run --dry-run` print.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "rotator: plan")]
pub struct PlanDocument {
    /// Fields are only added under this version.
    #[schemars(extend("const" = 1))]
    version: u32,
    /// The keys that `run` would rotate.
    pub due: Vec<DueShown>,
    /// The keys that are due as well, and that `limit` holds back.
    pub held_back: Vec<DueShown>,
    /// What `run` would skip.
    pub skipped: Vec<SkippedShown>,
}

/// A key that is due.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Due")]
pub struct DueShown {
    /// The number of the AWS account.
    #[schemars(with = "String")]
    pub account: AccountId,
    /// The IAM user of the key.
    #[schemars(with = "String")]
    pub user: UserName,
    /// The key.
    #[schemars(with = "String")]
    pub key_id: AccessKeyId,
    /// The creation time of the key in IAM.
    #[schemars(with = "Time")]
    pub created: Timestamp,
    /// The last use of the key, or null if IAM was not asked or did not answer.
    pub last_used: Option<LastUsedShown>,
    /// The rule that decides about the key, or null.
    pub rule: Option<RuleShown>,
    /// When the old key would stop working, if `run` began now.
    #[schemars(with = "Time")]
    pub old_key_off_at: Timestamp,
    /// When the old key would be deleted, if `run` began now.
    #[schemars(with = "Time")]
    pub old_key_deleted_at: Timestamp,
    #[serde(skip)]
    pub overlap: Duration,
    #[serde(skip)]
    pub quarantine: Duration,
    /// The places of the pair.
    #[schemars(with = "Vec<PlaceShown>")]
    pub places: Vec<PlaceNote>,
    /// The sinks that follow these places.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<FollowerShown>,
}

impl DueShown {
    fn of(due: &Due, now: Timestamp) -> Self {
        let policy = &due.policy;
        Self {
            account: due.account.clone(),
            user: due.user.clone(),
            key_id: due.key.id.clone(),
            created: due.key.created,
            last_used: due.last_use.as_ref().map(LastUsedShown::of),
            rule: due.rule.as_ref().map(RuleShown::of),
            old_key_off_at: now.plus(policy.overlap),
            old_key_deleted_at: now.plus(policy.overlap).plus(policy.quarantine),
            overlap: policy.overlap,
            quarantine: policy.quarantine,
            places: place_notes(&due.places),
            sinks: due.sinks.iter().map(|follower| FollowerShown::of(follower, &due.places)).collect(),
        }
    }
}

/// A sink, and the entry that it follows.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Follower")]
pub struct FollowerShown {
    /// The name of the sink.
    #[schemars(with = "String")]
    pub sink: SinkName,
    /// The entry.
    pub follows: String,
}

impl FollowerShown {
    pub(super) fn of(follower: &Follower, places: &[Place]) -> Self {
        let follows = places.get(follower.place).map_or_else(String::new, |place| place.id.entry.to_string());
        Self { sink: follower.sink.clone(), follows }
    }
}

impl PlanDocument {
    /// The document for the result of a survey, at this moment.
    #[must_use]
    pub fn new(survey: &Survey, now: Timestamp) -> Self {
        let shown = |due: &[Box<Due>]| due.iter().map(|due| DueShown::of(due, now)).collect();
        let skipped = survey.left_alone.iter().map(|note| {
            let confirmed = note.key_id.as_ref().and_then(|key| survey.skipped_keys.get(key)).map(ConfirmedShown::of);
            let rule = note.key_id.as_ref().and_then(|key| survey.rules.get(key)).map(RuleShown::of);
            SkippedShown { confirmed, rule, ..SkippedShown::of(note) }
        });
        let (due, held_back): (Vec<_>, Vec<_>) = (shown(&survey.due), shown(&survey.held_back));
        let skipped = skipped.collect();
        Self { version: VERSION, due, held_back, skipped }
    }
}
