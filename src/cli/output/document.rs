//! The JSON document of `run`, `resume` and `status`, and that of `plan`. It is an interface: fields are only added.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

pub use super::error_document::{ErrorDocument, ErrorShown};
use super::last_used::LastUsedShown;
use super::printable::printable_json;
use super::rule_shown::RuleShown;
use crate::discovery::SkipReason;
use crate::engine::survey::{ConfirmedKey, Due, Survey, place_notes};
use crate::journal::campaign::{LeftAloneNote, PlaceNote};
use crate::journal::line::Summary;
use crate::rotation::event::Ending;
use crate::rotation::record::Rotation;
use crate::rotation::sink::{Follower, SinkState};
use crate::rotation::state::State;
use crate::types::name::{AccessKeyId, AccountId, CampaignId, RotationId, SinkName, UserName};
use crate::types::place::Place;
use crate::types::time::Timestamp;

/// The version of both documents.
const VERSION: u32 = 1;

/// What `run`, `resume` and `status` print.
#[derive(Debug, Serialize)]
pub struct Document {
    version: u32,
    /// The latest campaign.
    pub campaign: Option<CampaignId>,
    /// The rotations, oldest first.
    pub rotations: Vec<RotationShown>,
    /// What the last `run` skipped.
    pub skipped: Vec<SkippedShown>,
    /// The number of rotations of each kind.
    pub counts: Counts,
    /// Why the command could not do everything that was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorShown>,
}

/// One rotation.
#[derive(Debug, Serialize)]
pub struct RotationShown {
    pub id: RotationId,
    pub account: AccountId,
    /// The IAM user of the key.
    pub user: UserName,
    /// The key that is replaced.
    pub old_key_id: AccessKeyId,
    /// The new key, once it is known.
    pub new_key_id: Option<AccessKeyId>,
    /// The phase or the ending.
    pub state: &'static str,
    /// The intent whose outcome is in doubt.
    pub in_doubt: Option<&'static str>,
    /// Why an operator is needed.
    pub blocked: Option<BlockShown>,
    /// When the rotation continues, if that time is known.
    pub waiting_until: Option<Timestamp>,
    /// The number of attempted effects.
    pub attempts: u32,
    /// Why the rotation waits, or the last failure.
    pub last_error: Option<String>,
    /// The places of the pair.
    pub places: Vec<PlaceNote>,
    /// The sinks that follow these places.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<SinkShown>,
    /// The time of the local clock.
    pub opened_at: Timestamp,
    /// The time of the local clock.
    pub updated_at: Timestamp,
}

/// The state of a sink: the last write that its API acknowledged.
#[derive(Debug, Serialize)]
pub struct SinkShown {
    #[serde(flatten)]
    pub follower: FollowerShown,
    /// The key that the sink acknowledged last in this rotation.
    pub acknowledged_key_id: Option<AccessKeyId>,
    /// The time of that acknowledgement, by the clock of AWS.
    pub acknowledged_at: Option<Timestamp>,
    /// Whether an operator decided not to wait for the sink.
    pub left: bool,
}

impl SinkShown {
    fn of(rotation: &Rotation) -> Vec<Self> {
        let shown = |(follower, state): (&Follower, &SinkState)| Self {
            follower: FollowerShown::of(follower, &rotation.opened.places),
            acknowledged_key_id: state.acknowledged.as_ref().map(|last| last.key.clone()),
            acknowledged_at: state.acknowledged.as_ref().map(|last| last.at),
            left: state.left,
        };
        rotation.followers().map(shown).collect()
    }
}

/// Why an operator is needed.
#[derive(Debug, Serialize)]
pub struct BlockShown {
    /// A stable name.
    pub reason: &'static str,
    /// A text for operators.
    pub message: String,
    /// The command that resolves the block.
    pub command: String,
    /// The section of the manual about the reason.
    pub docs: String,
}

/// A key or an entry that was skipped.
#[derive(Debug, Serialize)]
pub struct SkippedShown {
    /// The key, if its id is known.
    pub key_id: Option<AccessKeyId>,
    /// The places of the key.
    pub places: Vec<PlaceNote>,
    /// What IAM said about the key, if `plan` asked.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<ConfirmedShown>,
    /// A stable name.
    pub reason: String,
    /// A text for operators.
    pub message: String,
    /// Whether the key is due, so that an operator is needed.
    pub needs_operator: bool,
    /// The section of the manual about the reason, if this build knows the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docs: Option<String>,
    /// The rule that decides about the key, in a plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleShown>,
}

/// What IAM said about a skipped key.
#[derive(Debug, Serialize)]
pub struct ConfirmedShown {
    pub account: AccountId,
    /// The IAM user of the key.
    pub user: UserName,
    /// The creation time of the key in IAM.
    pub created: Timestamp,
    /// When its age will make it due, if it is not due yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// The last use of the key, or null if IAM was not asked or did not answer.
    pub last_used: Option<LastUsedShown>,
}

impl ConfirmedShown {
    fn of(key: &ConfirmedKey) -> Self {
        let ConfirmedKey { account, user, created, due_at, last_use } = key.clone();
        Self { account, user, created, due_at, last_used: last_use.as_ref().map(LastUsedShown::of) }
    }
}

/// The number of rotations: all open ones, and the closed ones that are shown or belong to the latest campaign.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Rotations that are not closed.
    pub in_flight: usize,
    /// Those in flight that wait for a known time.
    pub waiting: usize,
    /// Those in flight that need an operator.
    pub blocked: usize,
    /// Closed rotations whose old key was deleted.
    pub done: usize,
    /// Closed rotations whose old key was not touched.
    pub aborted: usize,
    /// Closed rotations whose user or old key no longer exists.
    pub gone: usize,
    /// What needs an operator: blocked rotations, and keys without a rotation that continues.
    pub needs_operator: usize,
    /// Keys that the last `run` left alone because no program uses them.
    #[serde(skip_serializing_if = "is_zero")]
    pub unused: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Document {
    /// The document that shows `shown`; `counted` is included in the counts.
    #[must_use]
    pub fn new<'s>(
        campaign: Option<CampaignId>,
        shown: impl IntoIterator<Item = &'s Summary> + Clone,
        counted: impl IntoIterator<Item = &'s Summary>,
        skipped: &[LeftAloneNote],
        needs_operator: usize,
    ) -> Self {
        Self {
            version: VERSION,
            campaign,
            rotations: shown.clone().into_iter().map(RotationShown::of).collect(),
            skipped: skipped.iter().map(SkippedShown::of).collect(),
            counts: Counts { needs_operator, unused: unused(skipped), ..Counts::of(shown.into_iter().chain(counted)) },
            error: None,
        }
    }
}

impl RotationShown {
    #[must_use]
    pub fn of(summary: &Summary) -> Self {
        let Summary { rotation, opened_at, updated_at, .. } = summary;
        Self {
            id: rotation.id,
            account: rotation.opened.account.clone(),
            user: rotation.opened.user.clone(),
            old_key_id: rotation.opened.old_key.clone(),
            new_key_id: rotation.new_key.clone(),
            state: rotation.state.name(),
            in_doubt: rotation.state.intent().map(|intent| intent.name()),
            blocked: BlockShown::of(rotation),
            waiting_until: waiting_until(rotation),
            attempts: rotation.attempts,
            last_error: rotation.last_error.clone(),
            places: place_notes(&rotation.opened.places),
            sinks: SinkShown::of(rotation),
            opened_at: *opened_at,
            updated_at: *updated_at,
        }
    }
}

impl BlockShown {
    fn of(rotation: &Rotation) -> Option<Self> {
        match &rotation.state {
            State::Blocked { reason, .. } => Some(Self {
                reason: reason.name(),
                message: reason.message(),
                command: reason.command(rotation.id),
                docs: reason.docs_section(),
            }),
            State::Settled { .. } | State::InDoubt { .. } | State::Closed { .. } => None,
        }
    }
}

impl SkippedShown {
    #[must_use]
    pub fn of(note: &LeftAloneNote) -> Self {
        let LeftAloneNote { key_id, places, reason, message, due } = note;
        Self {
            key_id: key_id.clone(),
            places: places.clone(),
            confirmed: None,
            needs_operator: *due,
            docs: reason.known().map(SkipReason::docs_section),
            rule: None,
            reason: reason.name().to_owned(),
            message: message.clone(),
        }
    }
}

/// The number of the keys among these that no program uses.
#[must_use]
pub fn unused(skipped: &[LeftAloneNote]) -> usize {
    skipped.iter().filter(|note| note.reason == SkipReason::Unused).count()
}

/// A rotation that is blocked or closed does not wait for a time.
fn waiting_until(rotation: &Rotation) -> Option<Timestamp> {
    match rotation.state {
        State::Settled { .. } | State::InDoubt { .. } => rotation.waiting_until,
        State::Blocked { .. } | State::Closed { .. } => None,
    }
}

impl Counts {
    fn of<'a>(summaries: impl Iterator<Item = &'a Summary>) -> Self {
        let each: BTreeMap<RotationId, &Rotation> =
            summaries.map(|summary| (summary.rotation.id, &summary.rotation)).collect();
        let mut counts = Self::default();
        for rotation in each.values() {
            match &rotation.state {
                State::Settled { .. } | State::InDoubt { .. } => {
                    counts.in_flight += 1;
                    counts.waiting += usize::from(waiting_until(rotation).is_some());
                }
                State::Blocked { .. } => {
                    counts.in_flight += 1;
                    counts.blocked += 1;
                }
                State::Closed { ending: Ending::DeletedOld } => counts.done += 1,
                State::Closed { ending: Ending::Aborted } => counts.aborted += 1,
                State::Closed { ending: Ending::Gone } => counts.gone += 1,
            }
        }
        counts
    }
}

/// The document of `plan`.
#[derive(Debug, Serialize)]
pub struct PlanDocument {
    version: u32,
    /// The keys that `run` would rotate.
    pub due: Vec<DueShown>,
    /// The keys that are due as well, and that `limit` holds back.
    pub held_back: Vec<DueShown>,
    /// What `run` would skip.
    pub skipped: Vec<SkippedShown>,
}

/// A key that is due.
#[derive(Debug, Serialize)]
pub struct DueShown {
    pub account: AccountId,
    /// The IAM user of the key.
    pub user: UserName,
    pub key_id: AccessKeyId,
    /// The creation time of the key in IAM.
    pub created: Timestamp,
    /// The last use of the key, or null if IAM was not asked or did not answer.
    pub last_used: Option<LastUsedShown>,
    /// The rule that decides about the key, or null.
    pub rule: Option<RuleShown>,
    /// When the old key would stop working, if `run` began now.
    pub old_key_off_at: Timestamp,
    /// When the old key would be deleted, if `run` began now.
    pub old_key_deleted_at: Timestamp,
    #[serde(skip)]
    pub overlap: Duration,
    #[serde(skip)]
    pub quarantine: Duration,
    /// The places of the pair.
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
#[derive(Debug, Serialize)]
pub struct FollowerShown {
    pub sink: SinkName,
    pub follows: String,
}

impl FollowerShown {
    fn of(follower: &Follower, places: &[Place]) -> Self {
        let follows = places.get(follower.place).map_or_else(String::new, |place| place.id.entry.to_string());
        Self { sink: follower.sink.clone(), follows }
    }
}

impl PlanDocument {
    /// The document for the result of a survey, at this moment.
    #[must_use]
    pub fn new(survey: &Survey, now: Timestamp) -> Self {
        let shown = |due: &[Due]| due.iter().map(|due| DueShown::of(due, now)).collect();
        let skipped = survey.left_alone.iter().map(|note| {
            let confirmed = note.key_id.as_ref().and_then(|key| survey.skipped_keys.get(key)).map(ConfirmedShown::of);
            let rule = note.key_id.as_ref().and_then(|key| survey.rules.get(key)).map(RuleShown::of);
            SkippedShown { confirmed, rule, ..SkippedShown::of(note) }
        });
        Self {
            version: VERSION,
            due: shown(&survey.due),
            held_back: shown(&survey.held_back),
            skipped: skipped.collect(),
        }
    }
}

/// A document as text for stdout, with a final newline.
#[must_use]
pub fn to_text(document: &impl Serialize) -> String {
    // The document consists of text, numbers and maps with text keys, so it can always be serialised.
    let json = serde_json::to_string_pretty(document).unwrap_or_default();
    let mut json = printable_json(&json).into_owned();
    json.push('\n');
    json
}

/// A document as bytes for stdout, with a final newline.
#[must_use]
pub fn to_bytes(document: &impl Serialize) -> Vec<u8> {
    to_text(document).into_bytes()
}

#[cfg(test)]
mod tests;
