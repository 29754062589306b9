//! A sealed record of the version that the store wrote last for each entry. An older row that is put back into the
//! file still opens, but its version is not the last one, so the change is noticed.
//!
//! The versions of the entries are in 256 buckets, and the versions of the buckets in one head. A write seals one
//! bucket for each entry, and the head. Replacing the whole file by an older one is not noticed, since nothing
//! outside the file records its state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::seal::{SealError, Sealer};
use super::table::{self, Row, Written};

/// The sealing name of the head, which no entry can have.
const HEAD: &str = "\0versions";

/// Why the versions cannot be read or written.
#[derive(Debug)]
pub(super) enum VersionsError {
    Database(rusqlite::Error),
    /// The versions are missing, outdated or sealed under another key.
    Foreign,
    /// The system has no random numbers.
    NoRandomness,
}

impl From<rusqlite::Error> for VersionsError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<SealError> for VersionsError {
    fn from(_: SealError) -> Self {
        Self::NoRandomness
    }
}

pub(super) type Bucket = BTreeMap<String, Written>;

/// What was read or committed last, so that it is not unsealed again for each operation. A version is never used for
/// two contents, so content of the current version is current.
#[derive(Default)]
pub(super) struct Cache {
    head: Option<(i64, Arc<Head>)>,
    buckets: BTreeMap<u8, (i64, Bucket)>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Head {
    /// The last version that was used.
    last: i64,
    /// The version of each bucket that exists.
    buckets: BTreeMap<u8, i64>,
}

/// The versions as one transaction sees them. [`Versions::write`] writes the changes.
pub(super) struct Versions<'a> {
    sealer: &'a Sealer,
    connection: &'a Connection,
    cache: &'a mut Cache,
    /// That of the cache until it changes.
    head: Arc<Head>,
    /// The buckets that do not open, or are not those that were written last.
    foreign: BTreeSet<u8>,
    changed: BTreeMap<u8, Bucket>,
    /// Whether `head.last` is at least the last version in the table.
    is_counted: bool,
}

impl<'a> Versions<'a> {
    pub(super) fn read(
        sealer: &'a Sealer,
        connection: &'a Connection,
        cache: &'a mut Cache,
    ) -> Result<Self, VersionsError> {
        let (version, sealed) = table::versions(connection)?.ok_or(VersionsError::Foreign)?;
        let head = match &cache.head {
            Some((known, head)) if *known == version => Arc::clone(head),
            Some(_) | None => {
                let head: Arc<Head> = Arc::new(opened(sealer, HEAD, version, &sealed).ok_or(VersionsError::Foreign)?);
                cache.head = Some((version, Arc::clone(&head)));
                head
            }
        };
        Ok(Self::with(sealer, connection, cache, head))
    }

    /// The versions of all present rows: for a new store, a store of an earlier rotator, and a rekey.
    pub(super) fn of_rows(
        sealer: &'a Sealer,
        connection: &'a Connection,
        cache: &'a mut Cache,
    ) -> Result<Self, VersionsError> {
        let head = Head { last: table::last_version(connection)?, ..Head::default() };
        *cache = Cache::default();
        let mut versions = Self::with(sealer, connection, cache, Arc::new(head));
        table::forget_buckets(connection)?;
        for (name, written) in table::all_versions(connection)? {
            versions.changed.entry(bucket_of(&name)).or_default().insert(name, written);
        }
        Ok(versions)
    }

    fn with(sealer: &'a Sealer, connection: &'a Connection, cache: &'a mut Cache, head: Arc<Head>) -> Self {
        let (foreign, changed) = (BTreeSet::new(), BTreeMap::new());
        Self { sealer, connection, cache, head, foreign, changed, is_counted: false }
    }

    /// The last version of this entry; `None` if there is no such entry.
    pub(super) fn of(&mut self, name: &str) -> Result<Option<Written>, VersionsError> {
        let bucket = self.bucket(bucket_of(name))?.ok_or(VersionsError::Foreign)?;
        Ok(bucket.get(name).copied())
    }

    /// The numbers of the buckets that exist.
    pub(super) fn numbers(&self) -> Vec<u8> {
        self.head.buckets.keys().copied().collect()
    }

    /// Takes a bucket out of the cache.
    pub(super) fn forget(&mut self, number: u8) {
        self.cache.buckets.remove(&number);
    }

    /// The last versions of all entries whose buckets are valid.
    pub(super) fn all(&mut self) -> Result<Vec<(String, Written)>, VersionsError> {
        let mut all = Vec::new();
        for number in self.numbers() {
            all.extend(self.bucket(number)?.into_iter().flatten().map(|(name, written)| (name.clone(), *written)));
        }
        Ok(all)
    }

    /// The bucket; `None` if it is not the one that was written last.
    pub(super) fn bucket(&mut self, number: u8) -> Result<Option<&Bucket>, VersionsError> {
        if self.changed.contains_key(&number) {
            return Ok(self.changed.get(&number));
        }
        let Some(version) = self.head.buckets.get(&number).copied() else {
            return Ok(Some(const { &Bucket::new() }));
        };
        let is_known = self.cache.buckets.get(&number).is_some_and(|(known, _)| *known == version);
        if !is_known && !self.foreign.contains(&number) {
            let sealed = table::bucket(self.connection, number)?;
            match sealed.and_then(|sealed| opened(self.sealer, &name_of(number), version, &sealed)) {
                Some(bucket) => {
                    self.cache.buckets.insert(number, (version, bucket));
                }
                None => {
                    self.foreign.insert(number);
                }
            }
        }
        let known = self.cache.buckets.get(&number).filter(|(known, _)| *known == version);
        Ok(known.map(|(_, bucket)| bucket))
    }

    /// A version that was never used in this store.
    pub(super) fn next(&mut self) -> Result<i64, VersionsError> {
        let head = Arc::make_mut(&mut self.head);
        if !std::mem::replace(&mut self.is_counted, true) {
            head.last = head.last.max(table::last_version(self.connection)?);
        }
        head.last += 1;
        Ok(head.last)
    }

    /// Records the version of this entry; `None` if the entry is removed.
    pub(super) fn note(&mut self, name: &str, written: Option<Written>) -> Result<(), VersionsError> {
        let number = bucket_of(name);
        if !self.changed.contains_key(&number) {
            self.bucket(number)?.ok_or(VersionsError::Foreign)?;
            // The cache gets it back once it is committed.
            let bucket = self.cache.buckets.remove(&number).map(|(_, bucket)| bucket).unwrap_or_default();
            self.changed.insert(number, bucket);
        }
        let bucket = self.changed.entry(number).or_default();
        match written {
            Some(written) => bucket.insert(name.to_owned(), written),
            None => bucket.remove(name),
        };
        Ok(())
    }

    /// Seals and writes the changed buckets, and the head. Returns what the cache is to take once the transaction is
    /// committed.
    pub(super) fn write(mut self) -> Result<Cache, VersionsError> {
        let mut written = Cache::default();
        for (number, bucket) in std::mem::take(&mut self.changed) {
            let version = self.next()?;
            let sealed = sealed(self.sealer, &name_of(number), version, &bucket)?;
            table::set_bucket(self.connection, number, &sealed)?;
            Arc::make_mut(&mut self.head).buckets.insert(number, version);
            written.buckets.insert(number, (version, bucket));
        }
        let version = self.next()?;
        let sealed = sealed(self.sealer, HEAD, version, &*self.head)?;
        table::set_last_version(self.connection, version)?;
        table::set_versions(self.connection, version, &sealed)?;
        written.head = Some((version, self.head));
        Ok(written)
    }
}

impl Cache {
    /// Takes over what was committed.
    pub(super) fn take(&mut self, committed: Self) {
        self.head = committed.head;
        self.buckets.extend(committed.buckets);
    }
}

/// Whether the row has the last version.
pub(super) fn is_last(row: &Row, written: Option<Written>) -> bool {
    written.is_some_and(|written| written.version == row.version)
}

fn bucket_of(name: &str) -> u8 {
    Sha256::digest(name.as_bytes())[0]
}

fn name_of(bucket: u8) -> String {
    format!("\0bucket {bucket}")
}

fn sealed(sealer: &Sealer, name: &str, version: i64, content: &impl Serialize) -> Result<Vec<u8>, SealError> {
    sealer.seal(name, version, &serde_json::to_vec(content).map_err(|_| SealError)?)
}

fn opened<T: for<'de> Deserialize<'de>>(sealer: &Sealer, name: &str, version: i64, sealed: &[u8]) -> Option<T> {
    serde_json::from_slice(sealer.open(name, version, sealed).ok()?.expose()).ok()
}
