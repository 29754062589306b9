//! Rekeying: everything in a store is sealed again under another key, in one transaction.
//!
//! The new key file is on the disk before the commit, and is renamed to the key file afterwards. After a crash in
//! between one of the two keys opens the store, and opening the store completes the rename.

use std::path::Path;

use rusqlite::{Transaction, TransactionBehavior};

use super::error::{EmbeddedStoreError, KeyOrigin, StoreError};
use super::key::{self, StoreKey};
use super::open::{EmbeddedStore, Inner};
use super::seal::Sealer;
use super::table::{self, Row};
use super::versions::{Cache, Versions};
use crate::types::secret::SecretValue;

/// Why a rekey failed. Each message follows "failed to". The old key still opens the store, except after [`RekeyError::KeyFile`].
#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    /// The store cannot be opened, or a key file is not available.
    #[error(transparent)]
    Open(#[from] EmbeddedStoreError),
    /// The store cannot be read or written. A value that does not open cannot be sealed again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The present key is not in a file, so the new one has to be given, too.
    #[error(
        "find the new key: the present key of this store is given in ROTATOR_STORE_KEY, so give the new one in ROTATOR_STORE_NEW_KEY"
    )]
    NewKeyMissing,
    /// Every entry is sealed under the new key, and the old key file is still there.
    #[error(transparent)]
    KeyFile(EmbeddedStoreError),
}

impl EmbeddedStore {
    /// Seals every entry of the store under another key: `new`, otherwise a created one that replaces the key file. A
    /// key file that a given key replaces is removed. Returns the source of the new key.
    ///
    /// # Errors
    /// [`RekeyError`]. If the commit fails, one of the two keys opens the store, and both are kept.
    pub fn rekey(path: &Path, given: Option<StoreKey>, new: Option<StoreKey>) -> Result<KeyOrigin, RekeyError> {
        if given.is_some() && new.is_none() {
            return Err(RekeyError::NewKeyMissing);
        }
        let store = Self::open(path, given)?;
        let inner = &*store.inner;
        let mut connection = inner.open()?;
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| inner.failed("write", error))?;
        // This follows the lock, so that the new key file of another committed rekey is never removed: the key of
        // this process would not open the store any more.
        Versions::read(&inner.sealer, &transaction, &mut Cache::default())
            .map_err(|error| inner.unversioned("read", error))?;
        let (key, origin) = match new {
            Some(key) => (key, KeyOrigin::Given),
            None => (key::make_next(&inner.path)?, KeyOrigin::File(key::file_of(&inner.path))),
        };
        inner.seal_all(&transaction, &Sealer::new(&key, inner.sealer.identity().clone()))?;
        transaction.commit().map_err(|error| inner.failed("commit a change to", error))?;
        // This removes values that are sealed under the old key from the log.
        let _best_effort = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        match &origin {
            KeyOrigin::File(_) => key::take_next(&inner.path),
            KeyOrigin::Given => key::remove(&inner.path),
        }
        .map_err(RekeyError::KeyFile)?;
        Ok(origin)
    }
}

impl Inner {
    fn seal_all(&self, transaction: &Transaction<'_>, new: &Sealer) -> Result<(), StoreError> {
        let read = |error| self.failed("read", error);
        let mut cache = Cache::default();
        let mut versions =
            Versions::read(&self.sealer, transaction, &mut cache).map_err(|error| self.unversioned("read", error))?;
        for (name, written) in versions.all().map_err(|error| self.unversioned("read", error))? {
            let entry = self.entry(name)?;
            let row = table::one(transaction, &entry).map_err(read)?;
            let previous = table::previous(transaction, &entry).map_err(read)?;
            let value = self.unseal(&entry, row, Some(written.version))?;
            let before = self.unseal(&entry, previous, written.previous)?;
            let sealed = |value: Option<SecretValue>, version: Option<i64>| {
                let Some((value, version)) = value.zip(version) else { return Ok(None) };
                let sealed = new.seal(entry.as_str(), version, value.expose());
                let sealed = sealed.map_err(|_| StoreError::NoRandomness { path: self.path.clone() })?;
                Ok::<_, StoreError>(Some(Row { name: entry.to_string(), version, sealed }))
            };
            let (row, previous) = (sealed(value, Some(written.version))?, sealed(before, written.previous)?);
            if let Some(row) = row {
                table::reseal(transaction, &row, previous.as_ref()).map_err(|error| self.failed("write", error))?;
            }
        }
        let written = |error| self.unversioned("write", error);
        Versions::of_rows(new, transaction, &mut Cache::default()).and_then(Versions::write).map_err(written)?;
        let check = new.key_check(true).map_err(|_| StoreError::NoRandomness { path: self.path.clone() })?;
        table::set_key_check(transaction, &check).map_err(|error| self.failed("write", error))
    }
}
