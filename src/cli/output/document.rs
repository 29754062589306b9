//! The JSON document of `run`, `resume` and `status`, and those of `plan` and of a failure. They are an interface: fields
//! are only added.

pub mod gathered;
mod plan;
mod skipped;
mod way_out;

use schemars::JsonSchema;
use serde::Serialize;

use self::plan::VERSION;
pub use self::plan::{DueShown, FollowerShown, PlanDocument};
pub use self::skipped::{ConfirmedShown, SkippedShown};
pub use super::error_document::{ErrorDocument, ErrorShown};
use super::printable::printable_json;
use super::requests::{RequestShown, Requests};
use super::schema::{Id, PlaceShown, Time};
use crate::discovery::SkipReason;
use crate::engine::survey::place_notes;
use crate::journal::campaign::{LeftAloneNote, PlaceNote};
use crate::journal::line::Summary;
use crate::journal::overview::ClosedCounts;
use crate::rotation::record::Rotation;
use crate::rotation::sink::{Follower, SinkState};
use crate::rotation::state::State;
use crate::types::name::{AccessKeyId, AccountId, CampaignId, RotationId, UserName};
use crate::types::time::Timestamp;

/// What `run`, `status` and the other commands about rotations print.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "rotator: rotations")]
pub struct Document {
    /// Fields are only added under this version.
    #[schemars(extend("const" = 1))]
    version: u32,
    /// The latest campaign.
    #[schemars(with = "Option<Id>")]
    pub campaign: Option<CampaignId>,
    /// The rotations, by user, account, old key, and oldest first.
    pub rotations: Vec<RotationShown>,
    /// What the last `run` skipped.
    pub skipped: Vec<SkippedShown>,
    /// The number of rotations of each kind.
    pub counts: Counts,
    /// Why the command could not do everything that was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ErrorShown")]
    pub error: Option<ErrorShown>,
}

/// One rotation.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Rotation")]
pub struct RotationShown {
    /// The id, by which the commands find the rotation.
    #[schemars(with = "Id")]
    pub id: RotationId,
    /// The number of the AWS account.
    #[schemars(with = "String")]
    pub account: AccountId,
    /// The IAM user of the key.
    #[schemars(with = "String")]
    pub user: UserName,
    /// The key that is replaced.
    #[schemars(with = "String")]
    pub old_key_id: AccessKeyId,
    /// The new key, once it is known.
    #[schemars(with = "Option<String>")]
    pub new_key_id: Option<AccessKeyId>,
    /// The phase (`opened`, `created-new`, `stored-new`, `deactivated-old`) or ending (`deleted-old`, `aborted`, `gone`).
    pub state: &'static str,
    /// The intent whose outcome is in doubt.
    pub in_doubt: Option<&'static str>,
    /// Why an operator is needed.
    pub blocked: Option<BlockShown>,
    /// When the rotation continues, if that time is known.
    #[schemars(with = "Option<Time>")]
    pub waiting_until: Option<Timestamp>,
    /// The number of attempted effects.
    pub attempts: u32,
    /// What the rotation waits for until then, if it does. A wait is no error.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub waiting_for: Option<String>,
    /// What failed last, or why the rotation ended so.
    pub last_error: Option<String>,
    /// The places of the pair.
    #[schemars(with = "Vec<PlaceShown>")]
    pub places: Vec<PlaceNote>,
    /// The sinks that follow these places.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<SinkShown>,
    /// The time of the local clock.
    #[schemars(with = "Time")]
    pub opened_at: Timestamp,
    /// The time of the local clock.
    #[schemars(with = "Time")]
    pub updated_at: Timestamp,
    /// What an operator asked for and is not done yet; absent if there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<RequestShown>,
    /// The same as the text shows it.
    #[serde(skip)]
    #[schemars(skip)]
    pub requests_in_words: Requests,
}

/// The state of a sink: the last write that its API acknowledged.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Sink")]
pub struct SinkShown {
    #[serde(flatten)]
    pub follower: FollowerShown,
    /// The key that the sink acknowledged last in this rotation.
    #[schemars(with = "Option<String>")]
    pub acknowledged_key_id: Option<AccessKeyId>,
    /// The time of that acknowledgement, by the clock of AWS.
    #[schemars(with = "Option<Time>")]
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
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Block")]
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

/// The number of rotations: all open ones, and the closed ones that are shown or belong to the latest campaign.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
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
    /// Keys that the last `run` left alone because no program uses them; without any, this field is left out.
    #[serde(skip_serializing_if = "is_zero")]
    pub unused: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Document {
    /// The document with these rotations; `counts` counts them, and what else is in flight or closed.
    #[must_use]
    pub fn new(
        campaign: Option<CampaignId>,
        rotations: Vec<RotationShown>,
        counts: Counts,
        skipped: &[LeftAloneNote],
        needs_operator: usize,
    ) -> Self {
        Self {
            version: VERSION,
            campaign,
            rotations,
            skipped: skipped.iter().map(SkippedShown::of).collect(),
            counts: Counts { needs_operator, unused: unused(skipped), ..counts },
            error: None,
        }
    }
}

impl RotationShown {
    #[must_use]
    pub fn of(summary: &Summary) -> Self {
        let Summary { rotation, opened_at, updated_at, .. } = summary;
        let (waiting_for, last_error) = why(rotation);
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
            waiting_for,
            last_error,
            places: place_notes(&rotation.opened.places),
            sinks: SinkShown::of(rotation),
            opened_at: *opened_at,
            updated_at: *updated_at,
            requests: RequestShown::of(rotation),
            requests_in_words: Requests::of(rotation),
        }
    }
}

impl RotationShown {
    /// What lists of rotations are sorted by.
    fn place_in_lists(&self) -> (&UserName, &AccountId, &AccessKeyId, RotationId) {
        (&self.user, &self.account, &self.old_key_id, self.id)
    }
}

impl BlockShown {
    fn of(rotation: &Rotation) -> Option<Self> {
        match &rotation.state {
            State::Blocked { reason, .. } => {
                let (message, command) = way_out::of(rotation, reason);
                Some(Self { reason: reason.name(), message, command, docs: reason.docs_section() })
            }
            State::Settled { .. } | State::InDoubt { .. } | State::Closed { .. } => None,
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

/// What the rotation waits for, and what failed last. The journal keeps both in one field: the reason of a wait ends with it.
fn why(rotation: &Rotation) -> (Option<String>, Option<String>) {
    let why = rotation.last_error.clone();
    if waiting_until(rotation).is_some() { (why, None) } else { (None, why) }
}

impl Counts {
    /// The counts of these rotations.
    pub fn of<'a>(rotations: impl Iterator<Item = &'a Rotation>) -> Self {
        let mut counts = Self::default();
        rotations.for_each(|rotation| counts.take(rotation));
        counts
    }

    /// Counts this rotation.
    pub(super) fn take(&mut self, rotation: &Rotation) {
        match rotation.state {
            State::Settled { .. } | State::InDoubt { .. } => {
                self.in_flight += 1;
                self.waiting += usize::from(waiting_until(rotation).is_some());
            }
            State::Blocked { .. } => {
                self.in_flight += 1;
                self.blocked += 1;
            }
            State::Closed { .. } => {
                let mut closed = ClosedCounts::default();
                closed.take(rotation);
                self.add(closed);
            }
        }
    }

    /// Adds closed rotations.
    pub const fn add(&mut self, ClosedCounts { done, aborted, gone }: ClosedCounts) {
        self.done += done;
        self.aborted += aborted;
        self.gone += gone;
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
