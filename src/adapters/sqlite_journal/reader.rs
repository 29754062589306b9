//! Reads a journal without tokio and without the lock, for `status`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::{overview, queries};
use crate::journal::campaign::Campaign;
use crate::journal::line::{Line, Summary};
use crate::journal::overview::{CampaignCounts, Overview};
use crate::journal::store::{RotationFilter, StorageError};
use crate::types::name::{AccessKeyId, CampaignId, RotationId, UserName};

/// A journal that is open for reading. Its calls block, so they must not run in an asynchronous task.
pub struct SyncReader {
    path: PathBuf,
    connection: Connection,
}

impl SyncReader {
    pub(super) const fn new(path: PathBuf, connection: Connection) -> Self {
        Self { path, connection }
    }

    /// The summaries, oldest first.
    ///
    /// # Errors
    /// [`StorageError::Failed`] if the journal cannot be read.
    pub fn summaries(&self, which: RotationFilter) -> Result<Vec<Summary>, StorageError> {
        queries::summaries(&self.connection, which).map_err(|error| error.at(&self.path))
    }

    /// The open rotations and the latest campaign, at one moment.
    ///
    /// # Errors
    /// [`StorageError::Failed`] if the journal cannot be read.
    pub fn overview(&self) -> Result<Overview, StorageError> {
        overview::overview(&self.connection).map_err(|error| error.at(&self.path))
    }

    /// What is counted of a campaign.
    ///
    /// # Errors
    /// [`StorageError::Failed`] if the journal cannot be read.
    pub fn counts_of(&self, campaign: &Campaign) -> Result<CampaignCounts, StorageError> {
        overview::counts(&self.connection, campaign).map_err(|error| error.at(&self.path))
    }

    /// The new keys of every rotation of one campaign.
    ///
    /// # Errors
    /// [`StorageError::Failed`] if the journal cannot be read.
    pub fn keys_made_by(&self, id: CampaignId) -> Result<Vec<AccessKeyId>, StorageError> {
        queries::keys_made_by(&self.connection, id).map_err(|error| error.at(&self.path))
    }

    /// One summary.
    ///
    /// # Errors
    /// [`StorageError::Failed`] if the journal cannot be read.
    pub fn summary(&self, rotation: RotationId) -> Result<Option<Summary>, StorageError> {
        queries::summary(&self.connection, rotation).map_err(|error| error.at(&self.path))
    }

    /// All lines of one rotation, in order; empty if there is no such rotation.
    ///
    /// # Errors
    /// [`StorageError::Failed`] if the journal cannot be read.
    pub fn lines(&self, rotation: RotationId) -> Result<Vec<Line>, StorageError> {
        queries::lines(&self.connection, rotation).map_err(|error| error.at(&self.path))
    }

    /// The latest campaign, open or closed.
    ///
    /// # Errors
    /// [`StorageError::Failed`] if the journal cannot be read.
    pub fn last_campaign(&self) -> Result<Option<Campaign>, StorageError> {
        queries::last_campaign(&self.connection).map_err(|error| error.at(&self.path))
    }

    /// The new keys of every rotation of one user, open or closed.
    ///
    /// # Errors
    /// [`StorageError::Failed`] if the journal cannot be read.
    pub fn keys_made_for(&self, user: &UserName) -> Result<Vec<AccessKeyId>, StorageError> {
        queries::keys_made_for(&self.connection, user).map_err(|error| error.at(&self.path))
    }

    /// The closed rotations of this user that replaced, tried or made this key, oldest first.
    ///
    /// # Errors
    /// [`StorageError::Failed`] if the journal cannot be read.
    pub fn closed_rotations_of(&self, user: &UserName, key: &AccessKeyId) -> Result<Vec<Summary>, StorageError> {
        queries::closed_rotations_of(&self.connection, user, key).map_err(|error| error.at(&self.path))
    }

    /// The keys that a lost request of any rotation, open or closed, may still deactivate.
    ///
    /// # Errors
    /// [`StorageError::Failed`] if the journal cannot be read.
    pub fn may_turn_inactive(&self) -> Result<BTreeSet<AccessKeyId>, StorageError> {
        queries::may_turn_inactive(&self.connection).map_err(|error| error.at(&self.path))
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
