//! A sealed record of the version that the store wrote last for each entry. An older row that is put back into the
//! file still opens, but its version is not the last one, so the change is noticed.
//!
//! The versions of the entries are in 256 buckets, and the versions of the buckets in one head. A write seals one
//! bucket for each entry, and the head. Replacing the whole file by an older one is not noticed, since nothing
//! outside the file records its state.

use std::collections::BTreeMap;

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

type Bucket = BTreeMap<String, Written>;

#[derive(Debug, Default, Serialize, Deserialize)]
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
    head: Head,
    /// The buckets that were read; `None` for one that was not written last.
    buckets: BTreeMap<u8, Option<Bucket>>,
    changed: BTreeMap<u8, Bucket>,
}

impl<'a> Versions<'a> {
    pub(super) fn read(sealer: &'a Sealer, connection: &'a Connection) -> Result<Self, VersionsError> {
        let head = match table::versions(connection)? {
            Some((version, sealed)) => opened(sealer, HEAD, version, &sealed).ok_or(VersionsError::Foreign)?,
            None => return Err(VersionsError::Foreign),
        };
        Ok(Self::with(sealer, connection, head))
    }

    /// The versions of all present rows: for a new store, a store of an earlier rotator, and a rekey.
    pub(super) fn of_rows(sealer: &'a Sealer, connection: &'a Connection) -> Result<Self, VersionsError> {
        let head = Head { last: table::last_version(connection)?, ..Head::default() };
        let mut versions = Self::with(sealer, connection, head);
        table::forget_buckets(connection)?;
        for (name, written) in table::all_versions(connection)? {
            versions.changed.entry(bucket_of(&name)).or_default().insert(name, written);
        }
        Ok(versions)
    }

    fn with(sealer: &'a Sealer, connection: &'a Connection, head: Head) -> Self {
        Self { sealer, connection, head, buckets: BTreeMap::new(), changed: BTreeMap::new() }
    }

    /// The last version of this entry; `None` if there is no such entry.
    pub(super) fn of(&mut self, name: &str) -> Result<Option<Written>, VersionsError> {
        let bucket = self.bucket(bucket_of(name))?.ok_or(VersionsError::Foreign)?;
        Ok(bucket.get(name).copied())
    }

    /// The last versions of all entries whose buckets are valid.
    pub(super) fn all(&mut self) -> Result<Vec<(String, Written)>, VersionsError> {
        let mut all = Vec::new();
        for number in self.head.buckets.keys().copied().collect::<Vec<_>>() {
            all.extend(self.bucket(number)?.into_iter().flatten().map(|(name, written)| (name.clone(), *written)));
        }
        Ok(all)
    }

    fn bucket(&mut self, number: u8) -> Result<Option<&Bucket>, VersionsError> {
        if self.changed.contains_key(&number) {
            return Ok(self.changed.get(&number));
        }
        if !self.buckets.contains_key(&number) {
            let bucket = match self.head.buckets.get(&number) {
                None => Some(Bucket::new()),
                Some(version) => {
                    let sealed = table::bucket(self.connection, number)?;
                    sealed.and_then(|sealed| opened(self.sealer, &name_of(number), *version, &sealed))
                }
            };
            self.buckets.insert(number, bucket);
        }
        Ok(self.buckets.get(&number).and_then(Option::as_ref))
    }

    /// A version that was never used in this store.
    pub(super) fn next(&mut self) -> Result<i64, VersionsError> {
        self.head.last = self.head.last.max(table::last_version(self.connection)?) + 1;
        table::set_last_version(self.connection, self.head.last)?;
        Ok(self.head.last)
    }

    /// Records the version of this entry; `None` if the entry is removed.
    pub(super) fn note(&mut self, name: &str, written: Option<Written>) -> Result<(), VersionsError> {
        let number = bucket_of(name);
        let mut bucket = self.bucket(number)?.cloned().ok_or(VersionsError::Foreign)?;
        match written {
            Some(written) => bucket.insert(name.to_owned(), written),
            None => bucket.remove(name),
        };
        self.changed.insert(number, bucket);
        Ok(())
    }

    /// Seals and writes the changed buckets, and the head.
    pub(super) fn write(mut self) -> Result<(), VersionsError> {
        for (number, bucket) in std::mem::take(&mut self.changed) {
            let version = self.next()?;
            let sealed = sealed(self.sealer, &name_of(number), version, &bucket)?;
            table::set_bucket(self.connection, number, &sealed)?;
            self.head.buckets.insert(number, version);
        }
        let version = self.next()?;
        let sealed = sealed(self.sealer, HEAD, version, &self.head)?;
        Ok(table::set_versions(self.connection, version, &sealed)?)
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
