//! What `status` shows in its table, read without the whole of each rotation.

use std::collections::BTreeSet;

use super::campaign::{Campaign, LeftAloneNote};
use super::line::Summary;
use crate::rotation::event::Ending;
use crate::rotation::record::Rotation;
use crate::rotation::state::State;
use crate::types::name::{AccessKeyId, AccountId, RotationId, UserName};
use crate::types::time::Timestamp;

/// The open rotations and the latest campaign, at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Overview {
    pub campaign: Option<Campaign>,
    /// The rotations that are not closed, oldest first.
    pub open: Vec<OpenRotation>,
    /// What is counted of the campaign.
    pub counts: CampaignCounts,
}

/// What is counted of a campaign.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct CampaignCounts {
    /// Its closed rotations.
    pub closed: ClosedCounts,
    /// The number of keys that it has not opened yet, and that need only another `run`.
    pub unopened: usize,
    /// How many of these may not be due: AWS did not say enough about them.
    pub unsaid: usize,
}

impl CampaignCounts {
    /// Counts the rotations of this campaign.
    #[must_use]
    pub fn of(campaign: &Campaign, rotations: &[Summary]) -> Self {
        let each = || rotations.iter().map(|summary| &summary.rotation);
        let closed = ClosedCounts::of(each());
        if campaign.closed {
            return Self { closed, ..Self::default() };
        }
        let unopened = campaign.still_to_open(each());
        let unsaid: BTreeSet<_> = campaign.notes.left_alone.iter().filter_map(LeftAloneNote::unsaid).collect();
        let is_unsaid = |key: &&AccessKeyId| unsaid.contains(*key);
        Self { closed, unopened: unopened.len(), unsaid: unopened.iter().filter(is_unsaid).count() }
    }
}

/// An open rotation.
#[derive(Debug, PartialEq, Eq)]
pub enum OpenRotation {
    /// One whose row in the table needs a few fields only.
    InShort(Box<InShort>),
    /// One that is blocked, has sinks or a request of an operator, or was written by an earlier version.
    Whole(Box<Summary>),
}

/// The fields of an open rotation that is not blocked and has neither sinks nor a request.
#[derive(Debug, PartialEq, Eq)]
pub struct InShort {
    pub id: RotationId,
    pub account: AccountId,
    pub user: UserName,
    pub old_key: AccessKeyId,
    pub new_key: Option<AccessKeyId>,
    /// The phase.
    pub state: String,
    /// The intent without an outcome.
    pub in_doubt: Option<String>,
    pub waiting_until: Option<Timestamp>,
    pub last_error: Option<String>,
}

/// The number of closed rotations by ending.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ClosedCounts {
    pub done: usize,
    pub aborted: usize,
    pub gone: usize,
}

impl ClosedCounts {
    /// Counts the closed ones among these rotations.
    pub fn of<'a>(rotations: impl Iterator<Item = &'a Rotation>) -> Self {
        let mut counts = Self::default();
        rotations.for_each(|rotation| counts.take(rotation));
        counts
    }

    /// Counts this rotation if it is closed.
    pub const fn take(&mut self, rotation: &Rotation) {
        match rotation.state {
            State::Closed { ending: Ending::DeletedOld } => self.done += 1,
            State::Closed { ending: Ending::Aborted } => self.aborted += 1,
            State::Closed { ending: Ending::Gone } => self.gone += 1,
            State::Settled { .. } | State::InDoubt { .. } | State::Blocked { .. } => {}
        }
    }
}
