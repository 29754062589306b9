//! The JSON document that `run`, `resume` and `status` share. An interface: only ever extended.

use std::collections::BTreeMap;

use serde::Serialize;

use super::terminal::printable_json;
use crate::engine::survey::{Due, place_notes};
use crate::journal::campaign::{LeftAloneNote, PlaceNote, Summary};
use crate::rotation::event::Ending;
use crate::rotation::policy::Timestamp;
use crate::rotation::sink::{Follower, SinkState};
use crate::rotation::state::{Rotation, State};
use crate::types::name::{AccessKeyId, AccountId, CampaignId, RotationId, SinkName, UserName};
use crate::types::place::Place;

/// The version of both documents.
const VERSION: u32 = 1;

/// What `run`, `resume` and `status` print.
#[derive(Debug, Serialize)]
pub struct Document {
    version: u32,
    /// The youngest campaign.
    pub campaign: Option<CampaignId>,
    /// Oldest first.
    pub rotations: Vec<RotationShown>,
    /// What the last `run` skipped.
    pub skipped: Vec<SkippedShown>,
    /// How many there are of each kind.
    pub counts: Counts,
    /// Why the command could not do all that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorShown>,
}

/// Why a command could not do all that was asked.
#[derive(Debug, Serialize)]
pub struct ErrorShown {
    /// What happened.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// One rotation.
#[derive(Debug, Serialize)]
pub struct RotationShown {
    /// Its id.
    pub id: RotationId,
    /// The account.
    pub account: AccountId,
    /// Whose key.
    pub user: UserName,
    /// The key being replaced.
    pub old_key_id: AccessKeyId,
    /// Its successor, once it is known.
    pub new_key_id: Option<AccessKeyId>,
    /// The phase or ending.
    pub state: &'static str,
    /// The intent in doubt.
    pub in_doubt: Option<&'static str>,
    /// Why a person is needed.
    pub blocked: Option<BlockShown>,
    /// When it is looked at again, where a time is known.
    pub waiting_until: Option<Timestamp>,
    /// How many effects were attempted.
    pub attempts: u32,
    /// Why it waits, or what failed last.
    pub last_error: Option<String>,
    /// Where the pair stands.
    pub places: Vec<PlaceNote>,
    /// The sinks that follow these places, and cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<SinkShown>,
    /// By the local clock.
    pub opened_at: Timestamp,
    /// By the local clock.
    pub updated_at: Timestamp,
}

/// What a sink is known to hold: what its API acknowledged last.
#[derive(Debug, Serialize)]
pub struct SinkShown {
    /// RotationFilter, and what it follows.
    #[serde(flatten)]
    pub follower: FollowerShown,
    /// The key that was acknowledged last in this rotation.
    pub acknowledged_key_id: Option<AccessKeyId>,
    /// When, by AWS's clock.
    pub acknowledged_at: Option<Timestamp>,
    /// Whether a person said not to wait for it.
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

/// Why a person is needed.
#[derive(Debug, Serialize)]
pub struct BlockShown {
    /// A name that does not change.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// What resolves it.
    pub command: String,
}

/// A key or entry that was left alone.
#[derive(Debug, Serialize)]
pub struct SkippedShown {
    /// The key, where there is an id.
    pub key_id: Option<AccessKeyId>,
    /// Where it stands.
    pub places: Vec<PlaceNote>,
    /// A name that does not change.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// How many rotations: all that are open, and the closed ones of the youngest campaign or shown.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Not closed.
    pub in_flight: usize,
    /// Of those: nothing to do before a stated time.
    pub waiting: usize,
    /// Of those: a person is needed.
    pub blocked: usize,
    /// Closed, the old key deleted.
    pub done: usize,
    /// Closed, the old key untouched.
    pub aborted: usize,
    /// Closed, the user or the old key gone.
    pub gone: usize,
    /// What needs an operator: the blocked ones, and keys without a rotation that goes on.
    pub needs_operator: usize,
}

impl Document {
    /// The document that shows `shown`; the counts take `counted` in too.
    #[must_use]
    pub fn new(
        campaign: Option<CampaignId>,
        shown: &[Summary],
        counted: &[Summary],
        skipped: &[LeftAloneNote],
        needs_operator: usize,
    ) -> Self {
        Self {
            version: VERSION,
            campaign,
            rotations: shown.iter().map(RotationShown::of).collect(),
            skipped: skipped.iter().map(SkippedShown::of).collect(),
            counts: Counts { needs_operator, ..Counts::of(shown.iter().chain(counted)) },
            error: None,
        }
    }
}

impl RotationShown {
    fn of(summary: &Summary) -> Self {
        let Summary { rotation, opened_at, updated_at, .. } = summary;
        Self {
            id: rotation.id,
            account: rotation.opened.account.clone(),
            user: rotation.opened.user.clone(),
            old_key_id: rotation.opened.old_key.clone(),
            new_key_id: rotation.new_key.clone(),
            state: rotation.standing.name(),
            in_doubt: rotation.standing.intent().map(|intent| intent.name()),
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
        match &rotation.standing {
            State::Blocked { reason, .. } => {
                Some(Self { reason: reason.name(), message: reason.message(), command: reason.command(rotation.id) })
            }
            State::Settled { .. } | State::InDoubt { .. } | State::Closed { .. } => None,
        }
    }
}

impl SkippedShown {
    /// What is shown of a note.
    #[must_use]
    pub fn of(note: &LeftAloneNote) -> Self {
        let LeftAloneNote { key_id, places, reason, message, due: _ } = note;
        Self { key_id: key_id.clone(), places: places.clone(), reason: reason.name(), message: message.clone() }
    }
}

/// A rotation that is blocked or closed waits for no time.
fn waiting_until(rotation: &Rotation) -> Option<Timestamp> {
    match rotation.standing {
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
            match &rotation.standing {
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

/// What `plan` prints.
#[derive(Debug, Serialize)]
pub struct PlanDocument {
    version: u32,
    /// What `run` would rotate.
    pub due: Vec<DueShown>,
    /// What `run` would skip.
    pub skipped: Vec<SkippedShown>,
}

/// A key that is due.
#[derive(Debug, Serialize)]
pub struct DueShown {
    /// Of which account.
    pub account: AccountId,
    /// Whose.
    pub user: UserName,
    /// The key.
    pub key_id: AccessKeyId,
    /// When IAM says that it was created.
    pub created: Timestamp,
    /// Where its pair stands.
    pub places: Vec<PlaceNote>,
    /// The sinks that follow these places.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<FollowerShown>,
}

/// A sink, and the entry that it follows.
#[derive(Debug, Serialize)]
pub struct FollowerShown {
    /// Its name.
    pub sink: SinkName,
    /// That entry.
    pub follows: String,
}

impl FollowerShown {
    fn of(follower: &Follower, places: &[Place]) -> Self {
        let follows = places.get(follower.place).map_or_else(String::new, |place| place.id.entry.to_string());
        Self { sink: follower.sink.clone(), follows }
    }
}

impl PlanDocument {
    /// Of what a survey found.
    #[must_use]
    pub fn new(due: &[Due], skipped: &[LeftAloneNote]) -> Self {
        let due = due.iter().map(|due| DueShown {
            account: due.account.clone(),
            user: due.user.clone(),
            key_id: due.key.id.clone(),
            created: due.key.created,
            places: place_notes(&due.places),
            sinks: due.sinks.iter().map(|follower| FollowerShown::of(follower, &due.places)).collect(),
        });
        let skipped = skipped.iter().map(SkippedShown::of).collect();
        Self { version: VERSION, due: due.collect(), skipped }
    }
}

/// A document as bytes for stdout: one, with a newline at its end.
#[must_use]
pub fn to_bytes(document: &impl Serialize) -> Vec<u8> {
    // Text, numbers and maps with text for keys: nothing here can fail to be JSON.
    let json = serde_json::to_string_pretty(document).unwrap_or_default();
    let mut json = printable_json(&json).into_owned();
    json.push('\n');
    json.into_bytes()
}

#[cfg(test)]
mod tests;
