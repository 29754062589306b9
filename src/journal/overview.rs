//! What `status` shows in its table, read without the whole of each rotation.

use super::campaign::Campaign;
use super::line::Summary;
use crate::types::name::{AccessKeyId, AccountId, RotationId, UserName};
use crate::types::time::Timestamp;

/// The open rotations and the latest campaign, at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Overview {
    pub campaign: Option<Campaign>,
    /// The rotations that are not closed, oldest first.
    pub open: Vec<OpenRotation>,
    /// The closed rotations of the campaign.
    pub closed: ClosedCounts,
    /// The number of due keys that the campaign has not opened yet.
    pub unopened: usize,
}

/// An open rotation.
#[derive(Debug, PartialEq, Eq)]
pub enum OpenRotation {
    /// One whose row in the table needs a few fields only.
    InShort(Box<InShort>),
    /// One that is blocked, has sinks, or was written by an earlier version.
    Whole(Box<Summary>),
}

/// The fields of an open rotation that is not blocked and has no sinks.
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
