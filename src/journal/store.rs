//! The storage port: where lines are made durable.
//!
//! Two implementations pass one contract suite: SQLite (`adapters/sqlite_journal`) and memory (tests). The port is
//! async, because the engine runs many rotations at the same time.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::campaign::{Campaign, CampaignNotes};
use super::line::{Line, Summary};
use super::overview::CampaignCounts;
use crate::rotation::record::Rotation;
use crate::types::name::{AccessKeyId, CampaignId, RotationId, UserName};
use crate::types::time::Timestamp;

/// Why the journal could not be read or written. After a failed append nothing more may be done: the line may be
/// durable or not, and only a replay tells.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The line does not follow the last one: another writer wrote in between.
    #[error(
        "the journal of rotation {rotation} has moved on: line {seq} is there already, or the one before it is not"
    )]
    Conflict {
        /// Whose line.
        rotation: RotationId,
        /// Its number.
        seq: u64,
    },
    /// The medium failed, or what it holds cannot be understood. The message names the journal and says what to do.
    #[error("{message}")]
    Failed {
        /// For the operator.
        message: String,
        /// The cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl StorageError {
    /// A failure with this message and no further cause.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), source: None }
    }
}

/// Which rotations to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationFilter {
    /// Those not closed.
    Open,
    /// Those of one campaign.
    Campaign(CampaignId),
    /// Those of one campaign that ended `aborted`.
    AbortedOf(CampaignId),
    /// Closed ones with a lost create that may be executed after this moment.
    WatchedAfter(Timestamp),
    /// All of them.
    All,
}

/// Where the journal is kept.
#[async_trait]
pub trait JournalStore: Send + Sync {
    /// Appends a line and keeps `after`, the rotation it leads to, in the same transaction. Returns only when both
    /// are durable.
    ///
    /// # Errors
    /// [`StorageError::Conflict`] unless `line.seq` is one more than the last; [`StorageError::Failed`] otherwise.
    async fn append(&self, line: Line, after: &Rotation) -> Result<(), StorageError>;

    /// All lines of one rotation, in order; empty if there is no such rotation.
    async fn lines(&self, rotation: RotationId) -> Result<Vec<Line>, StorageError>;

    /// Summaries, oldest first.
    async fn summaries(&self, which: RotationFilter) -> Result<Vec<Summary>, StorageError>;

    /// The rotations that are not closed, oldest first.
    async fn open_ids(&self) -> Result<Vec<RotationId>, StorageError> {
        Ok(self.summaries(RotationFilter::Open).await?.into_iter().map(|summary| summary.rotation.id).collect())
    }

    /// The summaries of these rotations, as far as they exist, in this order.
    async fn summaries_of(&self, ids: &[RotationId]) -> Result<Vec<Summary>, StorageError> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.extend(self.summary(*id).await?);
        }
        Ok(found)
    }

    /// What is counted of a campaign.
    async fn counts_of(&self, campaign: &Campaign) -> Result<CampaignCounts, StorageError> {
        Ok(CampaignCounts::of(campaign, &self.summaries(RotationFilter::Campaign(campaign.id)).await?))
    }

    /// One summary.
    async fn summary(&self, rotation: RotationId) -> Result<Option<Summary>, StorageError>;

    /// Begins a campaign, durably.
    async fn begin_campaign(&self, id: CampaignId, at: Timestamp) -> Result<(), StorageError>;

    /// Keeps what a run saw, durably.
    async fn note_campaign(&self, id: CampaignId, notes: CampaignNotes) -> Result<(), StorageError>;

    /// Closes a campaign, durably.
    async fn close_campaign(&self, id: CampaignId) -> Result<(), StorageError>;

    /// The youngest campaign, open or closed.
    async fn last_campaign(&self) -> Result<Option<Campaign>, StorageError>;

    /// The new keys of every rotation of one campaign.
    async fn keys_made_by(&self, id: CampaignId) -> Result<Vec<AccessKeyId>, StorageError>;

    /// The new keys of every rotation of one user, open or closed.
    async fn keys_made_for(&self, user: &UserName) -> Result<Vec<AccessKeyId>, StorageError>;

    /// The closed rotations of this user that replaced, tried or made this key, oldest first.
    async fn closed_rotations_of(&self, user: &UserName, key: &AccessKeyId) -> Result<Vec<Summary>, StorageError>;

    /// The keys that a lost request of any rotation, open or closed, may still deactivate. Ids of keys are unique, so the
    /// user does not matter: it may have another name by now.
    async fn may_turn_inactive(&self) -> Result<BTreeSet<AccessKeyId>, StorageError>;
}

/// A journal's storage, shared.
pub type SharedStore = Arc<dyn JournalStore>;
