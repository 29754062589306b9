//! The journal in an SQLite file: one thread writes and commits all queued changes at once, another connection reads.
//! No line is ever changed, and no damaged file is repaired.
//!
//! [`SqliteJournal`] requires the [`JournalLock`]; [`SyncReader`] does not.

mod changes;
mod lock;
mod overview;
mod queries;
mod reader;
mod writer;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::Mutex;

use super::private_file;
use super::sqlite::{self, DatabaseError};
use crate::journal::campaign::{Campaign, CampaignNotes};
use crate::journal::line::{Line, Summary};
use crate::journal::overview::CampaignCounts;
use crate::journal::store::{JournalStore, RotationFilter, StorageError};
use crate::rotation::record::Rotation;
use crate::types::error_text::with_causes;
use crate::types::name::{AccessKeyId, CampaignId, RotationId, UserName};
use crate::types::time::Timestamp;
use changes::{Append, Change};
pub use lock::{JournalLock, LockError};
use queries::KIND;
pub use reader::SyncReader;
use writer::Writer;

/// A journal that is open for writing.
pub struct SqliteJournal {
    path: Arc<Path>,
    // This is dropped before the writer, so that the writer's connection is the last one and applies the log.
    reader: Arc<Mutex<Connection>>,
    writer: Writer,
}

impl SqliteJournal {
    /// Opens the journal, and creates it and its folder if they are missing. The [`JournalLock`] has to be acquired
    /// first.
    ///
    /// # Errors
    /// [`DatabaseError`] if the journal cannot be trusted to keep its content.
    pub fn open(path: &Path) -> Result<Self, DatabaseError> {
        let path = private_file::locate_or_create_folder(path)?;
        if !sqlite::exists(&path, &KIND)? {
            sqlite::create(&path, &KIND, |_| Ok(()))?;
        }
        let writer = sqlite::open(&path, &KIND)?;
        let reader = sqlite::open_read_only(&path, &KIND)?;
        let path: Arc<Path> = path.into();
        let writer = Writer::start(Arc::clone(&path), writer)?;
        Ok(Self { path, reader: Arc::new(Mutex::new(reader)), writer })
    }

    /// Checks that the journal can be written, or created, without a change.
    ///
    /// # Errors
    /// [`DatabaseError`] if it cannot.
    pub fn check_writable(path: &Path) -> Result<(), DatabaseError> {
        match private_file::locate(path)? {
            Some(path) => sqlite::check_writable(&path, &KIND),
            // The folder is created together with the journal.
            None => Ok(()),
        }
    }

    /// Whether there is a journal.
    ///
    /// # Errors
    /// [`DatabaseError`] if the file is not a journal, or others may write it.
    pub fn is_present(path: &Path) -> Result<bool, DatabaseError> {
        match private_file::locate(path)? {
            Some(path) => sqlite::exists(&path, &KIND),
            None => Ok(false),
        }
    }

    /// Opens the journal for reading; `None` if it does not exist.
    ///
    /// # Errors
    /// [`DatabaseError`] if the journal exists and cannot be read.
    pub fn open_read_only(path: &Path) -> Result<Option<SyncReader>, DatabaseError> {
        let Some(path) = private_file::locate(path)? else { return Ok(None) };
        let connection = sqlite::open_read_only_if_present(&path, &KIND)?;
        Ok(connection.map(|connection| SyncReader::new(path, connection)))
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of committed transactions, which is lower than the number of lines if lines were queued.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }

    async fn read<T, Q>(&self, query: Q) -> Result<T, StorageError>
    where
        T: Send + 'static,
        Q: FnOnce(&Connection) -> Result<T, queries::QueryError> + Send + 'static,
    {
        let (reader, path) = (Arc::clone(&self.reader), Arc::clone(&self.path));
        // Awaited before a thread is taken: otherwise each waiting read would hold a thread.
        let connection = reader.lock_owned().await;
        let reading = tokio::task::spawn_blocking(move || query(&connection).map_err(|error| error.at(&path)));
        reading.await.unwrap_or_else(|_| Err(StorageError::failed("reading the journal was cut off; try again")))
    }
}

#[async_trait]
impl JournalStore for SqliteJournal {
    async fn append(&self, line: Line, after: &Rotation) -> Result<(), StorageError> {
        self.writer.write(Change::Append(Box::new(Append::new(&line, after)?))).await
    }

    async fn lines(&self, rotation: RotationId) -> Result<Vec<Line>, StorageError> {
        self.read(move |connection| queries::lines(connection, rotation)).await
    }

    async fn summaries(&self, which: RotationFilter) -> Result<Vec<Summary>, StorageError> {
        self.read(move |connection| queries::summaries(connection, which)).await
    }

    async fn summaries_of(&self, ids: &[RotationId]) -> Result<Vec<Summary>, StorageError> {
        let ids = ids.to_vec();
        self.read(move |connection| queries::summaries_of(connection, &ids)).await
    }

    async fn counts_of(&self, campaign: &Campaign) -> Result<CampaignCounts, StorageError> {
        let campaign = campaign.clone();
        self.read(move |connection| overview::counts(connection, &campaign)).await
    }

    async fn open_ids(&self) -> Result<Vec<RotationId>, StorageError> {
        self.read(queries::open_ids).await
    }

    async fn summary(&self, rotation: RotationId) -> Result<Option<Summary>, StorageError> {
        self.read(move |connection| queries::summary(connection, rotation)).await
    }

    async fn begin_campaign(&self, id: CampaignId, at: Timestamp) -> Result<(), StorageError> {
        self.writer.write(Change::BeginCampaign { id, at }).await
    }

    async fn note_campaign(&self, id: CampaignId, notes: CampaignNotes) -> Result<(), StorageError> {
        self.writer.write(Change::NoteCampaign { id, notes: queries::to_json(&notes)? }).await
    }

    async fn close_campaign(&self, id: CampaignId) -> Result<(), StorageError> {
        self.writer.write(Change::CloseCampaign { id }).await
    }

    async fn last_campaign(&self) -> Result<Option<Campaign>, StorageError> {
        self.read(queries::last_campaign).await
    }

    async fn keys_made_by(&self, id: CampaignId) -> Result<Vec<AccessKeyId>, StorageError> {
        self.read(move |connection| queries::keys_made_by(connection, id)).await
    }

    async fn keys_made_for(&self, user: &UserName) -> Result<Vec<AccessKeyId>, StorageError> {
        let user = user.clone();
        self.read(move |connection| queries::keys_made_for(connection, &user)).await
    }

    async fn closed_rotations_of(&self, user: &UserName, key: &AccessKeyId) -> Result<Vec<Summary>, StorageError> {
        let (user, key) = (user.clone(), key.clone());
        self.read(move |connection| queries::closed_rotations_of(connection, &user, &key)).await
    }

    async fn may_turn_inactive(&self) -> Result<BTreeSet<AccessKeyId>, StorageError> {
        self.read(queries::may_turn_inactive).await
    }
}

impl From<DatabaseError> for StorageError {
    fn from(error: DatabaseError) -> Self {
        Self::Failed { message: format!("failed to {}", with_causes(&error)), source: Some(Box::new(error)) }
    }
}
