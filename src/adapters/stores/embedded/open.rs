//! The open store: its file, its key, and the checks of opening it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, TransactionBehavior};

use super::error::{EmbeddedStoreError, KeyOrigin};
use super::key::{self, StoreKey};
use super::kind::KIND;
use super::queue::Queue;
use super::seal::Sealer;
use super::table;
use super::versions::{Cache, Versions, VersionsError};
use crate::adapters::private_file;
use crate::adapters::sqlite::{self, DatabaseError};
use crate::types::name::{InvalidName, StoreIdentity, StoreName};

pub struct EmbeddedStore {
    pub(super) name: StoreName,
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) path: PathBuf,
    /// The device and inode of the open file.
    pub(super) file: (u64, u64),
    pub(super) sealer: Sealer,
    pub(super) connection: Mutex<Connection>,
    /// Locked only by the holder of the connection.
    pub(super) cache: Mutex<Cache>,
    /// What waits for the connection.
    pub(super) queue: Arc<Mutex<Queue>>,
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

    pub(super) fn open_with(
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
        let file =
            sqlite::file_at(&path).map_err(DatabaseError::from)?.ok_or_else(|| DatabaseError::missing(&path, &KIND))?;
        let (connection, cache, queue) = (Mutex::new(connection), Mutex::default(), Arc::default());
        Ok(Self { name, inner: Arc::new(Inner { path, file, sealer, connection, cache, queue }) })
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
    let failed = |source| EmbeddedStoreError::from(DatabaseError::sqlite(path, &KIND, "migrate", source));
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // This is read inside the transaction: another process may have done it in the meantime.
    let (_, key_check) = table::meta(&transaction).map_err(failed)?;
    if sealer.checked(&key_check) != Some(false) {
        return Ok(());
    }
    match Versions::of_rows(sealer, &transaction, &mut Cache::default()).and_then(Versions::write) {
        Ok(_) => {}
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
