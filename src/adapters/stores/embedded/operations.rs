//! The operations on a store. They block: the port runs them on a separate thread, `rotator store` directly.

use std::sync::MutexGuard;
use std::time::SystemTime;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::error::{NOT_LAST, StoreError};
use super::kind::KIND;
use super::open::{EmbeddedStore, Inner};
use super::table::{self, Row, TransactionError, Written};
use super::versions::{Cache, Versions, VersionsError, is_last};
use crate::adapters::DatabaseError;
use crate::adapters::sqlite;
use crate::ports::secret_store::{Reading, Version};
use crate::types::name::EntryName;
use crate::types::secret::SecretValue;
use crate::types::time::Timestamp;

/// An entry without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub entry: EntryName,
    pub version: Version,
    /// The time of the last write, by the local clock.
    pub updated_at: Timestamp,
}

/// The operations of `rotator store`, which block.
impl EmbeddedStore {
    /// Lists every entry in the order of names.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let inner = &*self.inner;
        let rows = table::list(&*inner.open()?).map_err(|error| inner.failed("read", error))?;
        rows.into_iter()
            .map(|(name, version, at)| {
                let updated_at = at.parse().map_err(|_| inner.nonsense())?;
                Ok(Listed { entry: inner.entry(name)?, version: Version(version.to_string()), updated_at })
            })
            .collect()
    }

    /// The value of one entry; `None` if there is no such entry.
    ///
    /// # Errors
    /// [`StoreError`] if the value cannot be read or unsealed.
    pub fn get(&self, entry: &EntryName) -> Result<Option<SecretValue>, StoreError> {
        self.inner.look(|inner, transaction, versions| {
            let row = table::one(transaction, entry).map_err(|error| inner.failed("read", error))?;
            let written = versions.of(entry.as_str()).map_err(|error| inner.unversioned("read", error))?;
            inner.unseal(entry, row, written.map(|written| written.version))
        })
    }

    /// The value of an entry before the open rotation; `None` without an open rotation.
    ///
    /// # Errors
    /// [`StoreError`] if the value cannot be read or unsealed.
    pub fn previous(&self, entry: &EntryName) -> Result<Option<SecretValue>, StoreError> {
        self.inner.look(|inner, transaction, versions| {
            let row = table::previous(transaction, entry).map_err(|error| inner.failed("read", error))?;
            let written = versions.of(entry.as_str()).map_err(|error| inner.unversioned("read", error))?;
            inner.unseal(entry, row, written.and_then(|written| written.previous))
        })
    }

    /// Sets one entry, regardless of its version.
    ///
    /// # Errors
    /// [`StoreError`] if the entry cannot be written.
    pub fn set(&self, entry: EntryName, value: SecretValue) -> Result<(), StoreError> {
        self.import(vec![(entry, value)])
    }

    /// Sets all these entries or none of them; other entries stay.
    ///
    /// # Errors
    /// [`StoreError`] if an entry cannot be written.
    pub fn import(&self, entries: Vec<(EntryName, SecretValue)>) -> Result<(), StoreError> {
        self.inner.change(|inner, transaction, versions, at| {
            for (entry, value) in &entries {
                let row = inner.seal(versions, entry, value)?;
                table::set(transaction, &row, at).map_err(|error| inner.failed("write", error))?;
                let before = versions.of(&row.name).map_err(|error| inner.unversioned("read", error))?;
                let written = Written { version: row.version, previous: before.and_then(|before| before.previous) };
                inner.note(versions, entry, Some(written))?;
            }
            Ok(())
        })
    }

    /// Adds all these entries, or none if one of them exists or, with `only_if_empty`, if the store has any entry.
    /// The inner error is an existing entry.
    ///
    /// # Errors
    /// [`StoreError`] if the entries cannot be written.
    pub fn add(
        &self,
        entries: Vec<(EntryName, SecretValue)>,
        only_if_empty: bool,
    ) -> Result<Result<(), EntryName>, StoreError> {
        self.inner.change(|inner, transaction, versions, at| {
            let held = table::list(transaction).map_err(|error| inner.failed("read", error))?;
            let is_new = |name: &str| entries.iter().any(|(entry, _)| entry.as_str() == name);
            if let Some((name, ..)) = held.into_iter().find(|(name, ..)| only_if_empty || is_new(name)) {
                return Ok(Err(inner.entry(name)?));
            }
            for (entry, value) in &entries {
                let row = inner.seal(versions, entry, value)?;
                table::set(transaction, &row, at).map_err(|error| inner.failed("write", error))?;
                inner.note(versions, entry, Some(Written { version: row.version, previous: None }))?;
            }
            Ok(Ok(()))
        })
    }

    /// Removes one entry, and returns whether it existed.
    ///
    /// # Errors
    /// [`StoreError`] if the entry cannot be removed.
    pub fn remove(&self, entry: &EntryName) -> Result<bool, StoreError> {
        self.inner.change(|inner, transaction, versions, _| {
            inner.note(versions, entry, None)?;
            table::remove(transaction, entry).map_err(|error| inner.failed("write", error))
        })
    }
}

impl Inner {
    /// The connection, after a check that its file still has its name.
    pub(super) fn open(&self) -> Result<MutexGuard<'_, Connection>, StoreError> {
        self.check_still_there()?;
        self.connection.lock().map_err(|_| StoreError::Poisoned { path: self.path.clone() })
    }

    /// Writing to a file that has lost its name would succeed and be lost.
    pub(super) fn check_still_there(&self) -> Result<(), StoreError> {
        if sqlite::file_at(&self.path).map_err(DatabaseError::from)? == Some(self.file) {
            return Ok(());
        }
        Err(StoreError::Replaced { path: self.path.clone() })
    }

    pub(super) fn failed(&self, operation: &'static str, error: rusqlite::Error) -> StoreError {
        DatabaseError::sqlite(&self.path, &KIND, operation, error).into()
    }

    fn nonsense(&self) -> StoreError {
        StoreError::Nonsense { path: self.path.clone() }
    }

    pub(super) fn entry(&self, name: String) -> Result<EntryName, StoreError> {
        EntryName::new(name).map_err(|_| self.nonsense())
    }

    pub(super) fn unversioned(&self, operation: &'static str, error: VersionsError) -> StoreError {
        match error {
            VersionsError::Database(error) => self.failed(operation, error),
            VersionsError::Foreign => StoreError::Versions { path: self.path.clone() },
            VersionsError::NoRandomness => StoreError::NoRandomness { path: self.path.clone() },
        }
    }

    pub(super) fn note(
        &self,
        versions: &mut Versions<'_>,
        entry: &EntryName,
        written: Option<Written>,
    ) -> Result<(), StoreError> {
        versions.note(entry.as_str(), written).map_err(|error| self.unversioned("write", error))
    }

    /// Unseals a row whose version is `written`, the last one.
    pub(super) fn unseal(
        &self,
        entry: &EntryName,
        row: Option<Row>,
        written: Option<i64>,
    ) -> Result<Option<SecretValue>, StoreError> {
        if row.as_ref().map(|row| row.version) != written {
            return Err(StoreError::NotLast { path: self.path.clone(), entry: entry.clone() });
        }
        let Some(row) = row else { return Ok(None) };
        let opened = self.sealer.open_in_place(entry.as_str(), row.version, row.sealed);
        opened.map(Some).map_err(|_| StoreError::Unsealable { path: self.path.clone(), entry: entry.clone() })
    }

    pub(super) fn seal(
        &self,
        versions: &mut Versions<'_>,
        entry: &EntryName,
        value: &SecretValue,
    ) -> Result<Row, StoreError> {
        let version = versions.next().map_err(|error| self.unversioned("write", error))?;
        let unsealed = |_| StoreError::Unsealed { path: self.path.clone(), entry: entry.clone() };
        let sealed = self.sealer.seal(entry.as_str(), version, value.expose()).map_err(unsealed)?;
        Ok(Row { name: entry.to_string(), version, sealed })
    }

    /// The content of a row; `written` is the last version of this entry, unless it is unknown.
    pub(super) fn reading(&self, row: Option<Row>, written: &Result<Option<Written>, StoreError>) -> Reading {
        match (row, written) {
            (_, Err(error)) => Reading::Unreadable(format!("failed to {error}")),
            (None, Ok(None)) => Reading::Missing,
            (Some(row), Ok(written)) if is_last(&row, *written) => {
                match self.sealer.open_in_place(&row.name, row.version, row.sealed) {
                    Ok(value) => Reading::Value { version: Version(row.version.to_string()), value },
                    Err(_) => Reading::Unreadable(
                        "it cannot be unsealed: something else wrote to it; set it again with `rotator store set`"
                            .to_owned(),
                    ),
                }
            }
            (None | Some(_), Ok(_)) => Reading::Unreadable(NOT_LAST.to_owned()),
        }
    }

    /// The last version of this entry.
    pub(super) fn written(&self, versions: &mut Versions<'_>, name: &str) -> Result<Option<Written>, StoreError> {
        versions.of(name).map_err(|error| self.unversioned("read", error))
    }

    pub(super) fn read(&self, entries: &[EntryName]) -> Result<Vec<Reading>, StoreError> {
        self.look(|inner, transaction, versions| {
            let read = |entry: &EntryName| {
                let row = table::one(transaction, entry).map_err(|error| inner.failed("read", error))?;
                Ok(inner.reading(row, &inner.written(versions, entry.as_str())))
            };
            entries.iter().map(read).collect()
        })
    }

    /// Runs `work` in one read transaction.
    fn look<T>(
        &self,
        work: impl FnOnce(&Self, &Transaction<'_>, &mut Versions<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.open()?;
        let mut cache = self.cache();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Deferred)
            .map_err(|error| self.failed("read", error))?;
        let versions = Versions::read(&self.sealer, &transaction, &mut cache);
        let mut versions = versions.map_err(|error| self.unversioned("read", error))?;
        work(self, &transaction, &mut versions)
    }

    /// Runs `work` in one transaction without a compare-and-set: all of it or nothing. An operator has to look up the
    /// outcome of a failed commit.
    fn change<T>(
        &self,
        work: impl FnOnce(&Self, &Transaction<'_>, &mut Versions<'_>, &str) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self.open()?;
        self.transact(&mut connection, work).map_err(|failed| match failed {
            TransactionError::NotCommitted(error) => error,
            TransactionError::Commit(error) => self.failed("commit a change to", error),
        })
    }

    /// Runs `work` in one transaction.
    pub(super) fn transact<T>(
        &self,
        connection: &mut Connection,
        work: impl FnOnce(&Self, &Transaction<'_>, &mut Versions<'_>, &str) -> Result<T, StoreError>,
    ) -> Result<T, TransactionError> {
        let at = Timestamp::from_system(SystemTime::now()).to_string();
        let mut cache = self.cache();
        // The lock is taken first, so that the compared versions cannot change any more.
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| self.failed("write", error))?;
        let versions = Versions::read(&self.sealer, &transaction, &mut cache);
        let mut versions = versions.map_err(|error| self.unversioned("read", error))?;
        let done = work(self, &transaction, &mut versions, &at)?;
        let committed = versions.write().map_err(|error| self.unversioned("write", error))?;
        if let Err(error) = transaction.commit() {
            *cache = Cache::default();
            return Err(TransactionError::Commit(error));
        }
        cache.take(committed);
        Ok(done)
    }

    /// The cache of the versions. Only the holder of the connection asks for it.
    fn cache(&self) -> MutexGuard<'_, Cache> {
        // What a panic left is not what was committed.
        self.cache.lock().unwrap_or_else(|poisoned| {
            let mut cache = poisoned.into_inner();
            *cache = Cache::default();
            cache
        })
    }
}
