//! The embedded store: an SQLite file of sealed values, with its key in a file beside it. Batches are atomic, every
//! write is a compare-and-set, and the value before a rotation is kept until the rotation has closed.
//!
//! An application uses `rotator store get`, and does not read the file itself.

mod key;
mod operations;
mod rekey;
mod seal;
mod table;
mod versions;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use rusqlite::{Connection, TransactionBehavior};

use super::file::writable::writable_in_place;
use crate::adapters::private_file;
use crate::adapters::sqlite::{self, DatabaseError, Kind, chain};
use crate::adapters::{FileError, private_file::Others};
use crate::journal::write_ahead::WriteOrder;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::secret_store::{Capabilities, Reading, SecretStore, Writable, Write};
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::name::{EntryName, InvalidName, StoreIdentity, StoreName};
pub use key::{KeyOrigin, MalformedKey, StoreKey};
pub use operations::{Listed, StoreError};
pub use rekey::RekeyError;
use seal::Sealer;
use table::WriteError;
use versions::{Versions, VersionsError};

/// The properties of a store file.
const KIND: Kind = Kind {
    what: "store",
    remedy: "restore it from a backup, together with its key",
    how_made: "check the path; `rotator init` or `rotator store import` makes one",
    // "rotS"
    application_id: 0x726f_7453,
    migrations: &[
        include_str!("../../../../migrations/store/0001_store.sql"),
        include_str!("../../../../migrations/store/0002_versions.sql"),
    ],
    read_from: 1,
    inspect: |_, _| Ok(()),
    // A replaced value is overwritten with zeros.
    more_settings: &[("secure_delete", "ON", "1")],
};

/// Why an embedded store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedStoreError {
    /// The database file cannot be used.
    #[error("open the store: {0}")]
    Database(#[from] DatabaseError),
    /// The key file cannot be trusted or read.
    #[error("read the key of the store: {0}")]
    File(#[from] FileError),
    /// The store exists and its key does not.
    #[error("open the store {}: its key {} is missing; put it back, or give the key in ROTATOR_STORE_KEY", path.display(), key.display())]
    KeyMissing { path: PathBuf, key: PathBuf },
    /// The key is malformed.
    #[error("open the store: {origin} does not contain a key; put the store's own key back")]
    MalformedKey { origin: KeyOrigin, source: MalformedKey },
    /// The key belongs to another store.
    #[error("open the store {}: {origin} is not its key; use the key that the store was made with", path.display())]
    WrongKey { path: PathBuf, origin: KeyOrigin },
    /// The path is not valid as the name of a store.
    #[error("open the store: its path cannot be a name; choose another path")]
    Unnameable(#[from] InvalidName),
    /// The system has no random numbers.
    #[error("make a key for the store: the system gives no random numbers; try again later")]
    NoRandomness,
}

pub struct EmbeddedStore {
    name: StoreName,
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    /// The device and inode of the open file.
    file: (u64, u64),
    sealer: Sealer,
    connection: Mutex<Connection>,
}

impl EmbeddedStore {
    /// Opens the store at `path`; creates the store, its folder and (unless `given`) its key file if they are
    /// missing. Only `store`, `init` and `demo` use this.
    ///
    /// # Errors
    /// [`EmbeddedStoreError`]. A store without its key is an error, since a new key would open nothing in it.
    pub fn open_or_create(path: &Path, given: Option<StoreKey>) -> Result<Self, EmbeddedStoreError> {
        let name = name_of(path)?;
        let path = private_file::locate_or_create_folder(path).map_err(DatabaseError::from)?;
        if sqlite::exists(&path, &KIND)? {
            return Self::open_located(name, path, given);
        }
        let key_file = key::file_of(&path);
        // The key is created first: a key without a store does no harm.
        if given.is_none() && key::load(&key_file)?.is_none() {
            key::create(&key_file)?;
        }
        let (key, origin) = find_key(&path, given)?;
        create(&path, &key)?;
        Self::open_with(name, path, &key, origin)
    }

    /// Opens the store at `path`, which has to exist with its key.
    ///
    /// # Errors
    /// [`EmbeddedStoreError`]: a missing store is an error, and never created.
    pub fn open(path: &Path, given: Option<StoreKey>) -> Result<Self, EmbeddedStoreError> {
        let name = name_of(path)?;
        match private_file::locate(path).map_err(DatabaseError::from)? {
            Some(path) if sqlite::exists(&path, &KIND)? => Self::open_located(name, path, given),
            Some(_) | None => Err(DatabaseError::missing(path, &KIND).into()),
        }
    }

    fn open_located(name: StoreName, path: PathBuf, given: Option<StoreKey>) -> Result<Self, EmbeddedStoreError> {
        let (key, origin) = find_key(&path, given)?;
        let in_file = matches!(origin, KeyOrigin::File(_));
        match Self::open_with(name.clone(), path.clone(), &key, origin) {
            // A rekey was interrupted between its commit and its end.
            Err(EmbeddedStoreError::WrongKey { path, origin }) if in_file => {
                let Some(next) = key::load_next(&path)? else {
                    return Err(EmbeddedStoreError::WrongKey { path, origin });
                };
                let store = Self::open_with(name, path.clone(), &next, origin)?;
                key::take_next(&path)?;
                Ok(store)
            }
            opened => opened,
        }
    }

    fn open_with(
        name: StoreName,
        path: PathBuf,
        key: &StoreKey,
        origin: KeyOrigin,
    ) -> Result<Self, EmbeddedStoreError> {
        let mut connection = sqlite::open(&path, &KIND)?;
        let (identity, key_check) =
            table::meta(&connection).map_err(|source| DatabaseError::sqlite(&path, &KIND, "read", source))?;
        let sealer = Sealer::new(key, StoreIdentity::new(identity)?);
        match sealer.checked(&key_check) {
            None => return Err(EmbeddedStoreError::WrongKey { path, origin }),
            Some(true) => {}
            Some(false) => begin_versions(&mut connection, &path, &sealer)?,
        }
        let file = file_at(&path)?.ok_or_else(|| DatabaseError::missing(&path, &KIND))?;
        Ok(Self { name, inner: Arc::new(Inner { path, file, sealer, connection: Mutex::new(connection) }) })
    }

    /// The same store with another name.
    #[must_use]
    pub fn named(mut self, name: StoreName) -> Self {
        self.name = name;
        self
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, CallError> {
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(result) => result.map_err(|error| CallError::new(call_kind(&error), chain(&error))),
            Err(_) => Err(CallError::new(CallErrorKind::Unavailable, format!("{} gave no answer", self.name))),
        }
    }
}

fn name_of(path: &Path) -> Result<StoreName, InvalidName> {
    StoreName::new(format!("sqlite:{}", path.display()))
}

fn find_key(path: &Path, given: Option<StoreKey>) -> Result<(StoreKey, KeyOrigin), EmbeddedStoreError> {
    if let Some(key) = given {
        return Ok((key, KeyOrigin::Given));
    }
    let key_file = key::file_of(path);
    match key::load(&key_file)? {
        Some(key) => Ok((key, KeyOrigin::File(key_file))),
        None => Err(EmbeddedStoreError::KeyMissing { path: path.to_owned(), key: key_file }),
    }
}

fn create(path: &Path, key: &StoreKey) -> Result<(), EmbeddedStoreError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| EmbeddedStoreError::NoRandomness)?;
    let identity = uuid::Builder::from_random_bytes(random).into_uuid().to_string();
    let sealer = Sealer::new(key, StoreIdentity::new(identity)?);
    let key_check = sealer.key_check(false).map_err(|_| EmbeddedStoreError::NoRandomness)?;
    sqlite::create(path, &KIND, |connection| table::begin(connection, sealer.identity(), &key_check))?;
    Ok(())
}

/// Records the present rows as the ones that were written last: in a new store, and once in a store of an earlier
/// rotator.
fn begin_versions(connection: &mut Connection, path: &Path, sealer: &Sealer) -> Result<(), EmbeddedStoreError> {
    let failed = |source| EmbeddedStoreError::from(DatabaseError::sqlite(path, &KIND, "brought up to date", source));
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // This is read inside the transaction: another process may have done it in the meantime.
    let (_, key_check) = table::meta(&transaction).map_err(failed)?;
    if sealer.checked(&key_check) != Some(false) {
        return Ok(());
    }
    match Versions::of_rows(sealer, &transaction).and_then(Versions::write) {
        Ok(()) => {}
        Err(VersionsError::Database(source)) => return Err(failed(source)),
        Err(VersionsError::Foreign) => {
            return Err(DatabaseError::damaged(path, &KIND, "its versions do not open").into());
        }
        Err(VersionsError::NoRandomness) => return Err(EmbeddedStoreError::NoRandomness),
    }
    let key_check = sealer.key_check(true).map_err(|_| EmbeddedStoreError::NoRandomness)?;
    table::set_key_check(&transaction, &key_check).map_err(failed)?;
    transaction.commit().map_err(failed)
}

fn file_at(path: &Path) -> Result<Option<(u64, u64)>, FileError> {
    Ok(private_file::inspect(path, Others::MayNotWrite)?.map(|file| (file.dev(), file.ino())))
}

fn call_kind(error: &StoreError) -> CallErrorKind {
    match error {
        StoreError::Database(DatabaseError::Busy { .. }) => CallErrorKind::Unavailable,
        StoreError::Database(_)
        | StoreError::Replaced { .. }
        | StoreError::Unsealable { .. }
        | StoreError::Unsealed { .. }
        | StoreError::NotLast { .. }
        | StoreError::Versions { .. }
        | StoreError::NoRandomness { .. }
        | StoreError::Nonsense { .. }
        | StoreError::Poisoned { .. } => CallErrorKind::Other,
    }
}

#[async_trait]
impl SecretStore for EmbeddedStore {
    fn name(&self) -> &StoreName {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { atomic: true, late_writes: std::time::Duration::ZERO, read_only: false }
    }

    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        self.blocking(|inner| inner.check_still_there().map(|()| inner.sealer.identity().clone())).await
    }

    async fn read_all(&self) -> Result<Vec<(EntryName, Reading)>, CallError> {
        self.blocking(Inner::read_all).await
    }

    async fn read(&self, entries: &[EntryName]) -> Result<Vec<Reading>, CallError> {
        let entries = entries.to_vec();
        self.blocking(move |inner| inner.read(&entries)).await
    }

    async fn writable(&self, entries: &[EntryName]) -> Vec<Writable> {
        let answer = writable_in_place(&self.inner.path);
        entries.iter().map(|_| answer.clone()).collect()
    }

    async fn write(&self, order: WriteOrder, batch: Vec<Write>) -> Result<(), Failure> {
        let refused = |kind, message: String| Err(Failure::Refused(Refusal::new(kind, message)));
        if order.store() != &self.name {
            let message = format!("{} was given what is meant for {}, a defect of rotator", self.name, order.store());
            return refused(RefusalKind::Other, message);
        }
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || inner.replace(&batch)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(WriteError::Stale(entry))) => {
                refused(RefusalKind::Stale, format!("{entry} in {} has changed since it was read", self.name))
            }
            Ok(Err(WriteError::NotWritten(error))) => refused(RefusalKind::Other, chain(&error)),
            Ok(Err(WriteError::Uncertain(error))) => Err(Failure::Unknown(chain(&error))),
            Err(_) => Err(Failure::Unknown(format!("{} gave no answer to a write", self.name))),
        }
    }

    async fn forget_previous(&self, entries: &[EntryName]) -> Result<(), CallError> {
        let entries = entries.to_vec();
        self.blocking(move |inner| inner.forget_previous(&entries)).await
    }
}

#[cfg(test)]
mod tests;
