//! What is done with a store, blocking: by the port (on a thread of its own) and by `rotator store`.

use std::path::PathBuf;
use std::sync::MutexGuard;
use std::time::SystemTime;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::table::{self, Row, WriteError};
use super::{EmbeddedStore, Inner, KIND, file_at};
use crate::adapters::DatabaseError;
use crate::planted::{self, Planted};
use crate::ports::secret_store::{Reading, Version, Write};
use crate::rotation::name::EntryName;
use crate::rotation::policy::Timestamp;
use crate::rotation::secret::SecretValue;

/// Why a store could not be read or written. Holds nothing of any value.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Another file has taken its place: what is open is not the store any more.
    #[error("the store {} was moved, removed or replaced while it was open: put it back, then try again", path.display())]
    Replaced {
        /// Where it was.
        path: PathBuf,
    },
    /// An entry does not open under the key.
    #[error("the entry {entry} of the store {} cannot be unsealed: something else wrote to it; set it again with `rotator store set`", path.display())]
    Unsealable {
        /// The store.
        path: PathBuf,
        /// The entry.
        entry: EntryName,
    },
    /// A value could not be sealed.
    #[error("the entry {entry} of the store {} could not be sealed: the system gives no random numbers; try again later", path.display())]
    Unsealed {
        /// The store.
        path: PathBuf,
        /// The entry.
        entry: EntryName,
    },
    /// A row holds what we never wrote.
    #[error("the store {} holds a name or a time that rotator did not write: {}", path.display(), KIND.remedy)]
    Nonsense {
        /// The store.
        path: PathBuf,
    },
    /// A defect ended an earlier use of it.
    #[error("the store {} cannot be used after a defect of rotator: start it again", path.display())]
    Poisoned {
        /// The store.
        path: PathBuf,
    },
}

/// One entry, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub entry: EntryName,
    /// Its version.
    pub version: Version,
    /// When it was written last, by the local clock.
    pub updated_at: Timestamp,
}

/// For `rotator store`. Each blocks.
impl EmbeddedStore {
    /// Every entry, in the order of names.
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
    /// [`StoreError`] if it cannot be read or unsealed.
    pub fn get(&self, entry: &EntryName) -> Result<Option<SecretValue>, StoreError> {
        let row = table::one(&*self.inner.open()?, entry).map_err(|error| self.inner.failed("read", error))?;
        self.inner.unseal(entry, row)
    }

    /// The value that an entry had before the rotation that is under way; `None` if none is.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read or unsealed.
    pub fn previous(&self, entry: &EntryName) -> Result<Option<SecretValue>, StoreError> {
        let row = table::previous(&*self.inner.open()?, entry).map_err(|error| self.inner.failed("read", error))?;
        self.inner.unseal(entry, row)
    }

    /// Sets one entry, whatever it held.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn set(&self, entry: EntryName, value: SecretValue) -> Result<(), StoreError> {
        self.import(vec![(entry, value)])
    }

    /// Sets all these entries or none. The others stay.
    ///
    /// # Errors
    /// [`StoreError`] if one cannot be written.
    pub fn import(&self, entries: Vec<(EntryName, SecretValue)>) -> Result<(), StoreError> {
        self.inner.change(|inner, transaction, at| {
            for (entry, value) in &entries {
                let row = inner.seal(transaction, entry, value)?;
                table::set(transaction, &row, at).map_err(|error| inner.failed("written", error))?;
            }
            Ok(())
        })
    }

    /// Removes one entry; whether it was there.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn remove(&self, entry: &EntryName) -> Result<bool, StoreError> {
        self.inner.change(|inner, transaction, _| {
            table::remove(transaction, entry).map_err(|error| inner.failed("written", error))
        })
    }
}

impl Inner {
    /// The connection, once it is sure that it leads to the file that has the name.
    fn open(&self) -> Result<MutexGuard<'_, Connection>, StoreError> {
        self.check_still_there()?;
        self.connection.lock().map_err(|_| StoreError::Poisoned { path: self.path.clone() })
    }

    /// A write to a file that has lost its name succeeds and is gone.
    pub(super) fn check_still_there(&self) -> Result<(), StoreError> {
        if file_at(&self.path).map_err(DatabaseError::from)? == Some(self.file) {
            return Ok(());
        }
        Err(StoreError::Replaced { path: self.path.clone() })
    }

    fn failed(&self, done: &'static str, error: rusqlite::Error) -> StoreError {
        DatabaseError::sqlite(&self.path, &KIND, done, error).into()
    }

    fn nonsense(&self) -> StoreError {
        StoreError::Nonsense { path: self.path.clone() }
    }

    fn entry(&self, name: String) -> Result<EntryName, StoreError> {
        EntryName::new(name).map_err(|_| self.nonsense())
    }

    fn unseal(&self, entry: &EntryName, row: Option<Row>) -> Result<Option<SecretValue>, StoreError> {
        let Some(row) = row else { return Ok(None) };
        let opened = self.sealer.open(entry.as_str(), row.version, &row.sealed);
        opened.map(Some).map_err(|_| StoreError::Unsealable { path: self.path.clone(), entry: entry.clone() })
    }

    fn seal(&self, transaction: &Transaction<'_>, entry: &EntryName, value: &SecretValue) -> Result<Row, StoreError> {
        let version = table::next_version(transaction).map_err(|error| self.failed("written", error))?;
        let unsealed = |_| StoreError::Unsealed { path: self.path.clone(), entry: entry.clone() };
        let sealed = self.sealer.seal(entry.as_str(), version, value.expose()).map_err(unsealed)?;
        Ok(Row { name: entry.to_string(), version, sealed })
    }

    fn reading(&self, row: &Row) -> Reading {
        match self.sealer.open(&row.name, row.version, &row.sealed) {
            Ok(value) => Reading::Value { version: Version(row.version.to_string()), value },
            Err(_) => Reading::Unreadable(
                "it cannot be unsealed: something else wrote to it; set it again with `rotator store set`".to_owned(),
            ),
        }
    }

    pub(super) fn read_all(&self) -> Result<Vec<(EntryName, Reading)>, StoreError> {
        // One statement, so one moment. It is over before anything is unsealed: writers need not wait for that.
        let rows = table::all(&*self.open()?).map_err(|error| self.failed("read", error))?;
        rows.into_iter()
            .map(|row| {
                let reading = self.reading(&row);
                Ok((self.entry(row.name)?, reading))
            })
            .collect()
    }

    pub(super) fn read(&self, entries: &[EntryName]) -> Result<Vec<Reading>, StoreError> {
        let failed = |error| self.failed("read", error);
        let mut connection = self.open()?;
        // One moment for all of them.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred).map_err(failed)?;
        entries
            .iter()
            .map(|entry| match table::one(&transaction, entry).map_err(failed)? {
                Some(row) => Ok(self.reading(&row)),
                None => Ok(Reading::Missing),
            })
            .collect()
    }

    /// A rotation's batch: all of it, if every entry has the version it replaces.
    pub(super) fn replace(&self, batch: &[Write]) -> Result<(), WriteError> {
        let work = |inner: &Self, transaction: &Transaction<'_>, at: &str| {
            for write in batch {
                let found = table::one(transaction, &write.entry).map_err(|error| inner.failed("read", error))?;
                let overwrites = planted::is(Planted::NoCompareAndSet);
                if !overwrites && found.is_none_or(|row| row.version.to_string() != write.replaces.0) {
                    return Err(WriteError::Stale(write.entry.clone()));
                }
                let row = inner.seal(transaction, &write.entry, &write.value)?;
                table::replace(transaction, &row, at).map_err(|error| inner.failed("written", error))?;
            }
            Ok(())
        };
        self.transact(work, WriteError::Uncertain)
    }

    pub(super) fn forget_previous(&self, entries: &[EntryName]) -> Result<(), StoreError> {
        self.change(|inner, transaction, _| {
            for entry in entries {
                table::forget_previous(transaction, entry).map_err(|error| inner.failed("written", error))?;
            }
            Ok(())
        })
    }

    /// A transaction that compares nothing.
    fn change<T>(
        &self,
        work: impl FnOnce(&Self, &Transaction<'_>, &str) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // Whether a failed commit was one is for a person to look.
        self.transact(work, std::convert::identity)
    }

    /// One transaction: all of `work` or nothing, but for a commit that failed.
    fn transact<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Self, &Transaction<'_>, &str) -> Result<T, E>,
        uncertain: impl FnOnce(StoreError) -> E,
    ) -> Result<T, E> {
        let at = Timestamp::from_system(SystemTime::now()).to_string();
        let mut connection = self.open()?;
        // The lock first, the look after: what was compared cannot change any more.
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| self.failed("written", error))?;
        let done = work(self, &transaction, &at)?;
        transaction.commit().map_err(|error| uncertain(self.failed("committed", error)))?;
        Ok(done)
    }
}
