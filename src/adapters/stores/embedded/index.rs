//! The last version of every entry, in a form that is small enough for a million of them: a name is kept as a digest.

use std::collections::BTreeMap;

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::seal::Sealer;
use super::table::Written;
use super::versions::{Bucket, Cache, Versions, VersionsError};

/// The versions as one transaction sees them. A bucket that is not the one that was written last is `None`.
pub(super) struct Index(BTreeMap<u8, Option<Names>>);

/// The part of SHA-256 of a name that identifies it within its bucket. To find two names with the same
/// digest takes about 2^64 attempts.
type NameDigest = [u8; 16];

/// The names of one bucket, in the order of their digests.
struct Names {
    known: Vec<Known>,
    /// Whether each has a row. This is apart, because a `bool` beside the version would take eight bytes.
    has_row: Vec<bool>,
}

struct Known {
    name: NameDigest,
    version: i64,
}

impl Names {
    fn of(bucket: &Bucket) -> Self {
        let of = |(name, written): (&String, &Written)| Known { name: digest(name).1, version: written.version };
        let mut known: Vec<Known> = bucket.iter().map(of).collect();
        known.sort_unstable_by_key(|known| known.name);
        Self { has_row: vec![false; known.len()], known }
    }

    fn position(&self, name: NameDigest) -> Option<usize> {
        self.known.binary_search_by_key(&name, |known| known.name).ok()
    }
}

/// Where in the index an entry is.
#[derive(Clone, Copy)]
pub(super) struct Found {
    bucket: u8,
    at: usize,
    pub(super) version: i64,
}

impl Index {
    pub(super) fn read(sealer: &Sealer, connection: &Connection) -> Result<Self, VersionsError> {
        let mut cache = Cache::default();
        let mut versions = Versions::read(sealer, connection, &mut cache)?;
        let mut buckets = BTreeMap::new();
        for number in versions.numbers() {
            buckets.insert(number, versions.bucket(number)?.map(Names::of));
            versions.forget(number);
        }
        Ok(Self(buckets))
    }

    /// Finds the last version of an entry; `None` if there is no such entry.
    ///
    /// # Errors
    /// [`VersionsError::Foreign`] if the versions that would contain it are not those that were written last.
    pub(super) fn find(&self, name: &str) -> Result<Option<Found>, VersionsError> {
        let (bucket, name) = digest(name);
        let Some(names) = self.0.get(&bucket) else { return Ok(None) };
        let names = names.as_ref().ok_or(VersionsError::Foreign)?;
        Ok(names.position(name).map(|at| Found { bucket, at, version: names.known[at].version }))
    }

    /// Records that an entry has a row.
    pub(super) fn has_row(&mut self, found: Option<Found>) {
        let Some(Found { bucket, at, .. }) = found else { return };
        if let Some(has_row) = self.0.get_mut(&bucket).and_then(|names| names.as_mut()?.has_row.get_mut(at)) {
            *has_row = true;
        }
    }

    /// Returns the entries whose rows are missing.
    pub(super) fn without_row(
        &self,
        sealer: &Sealer,
        connection: &Connection,
    ) -> Result<Vec<(String, Written)>, VersionsError> {
        let mut cache = Cache::default();
        let mut versions = Versions::read(sealer, connection, &mut cache)?;
        let mut missing = Vec::new();
        for (number, names) in &self.0 {
            let Some(names) = names.as_ref().filter(|names| names.has_row.contains(&false)) else { continue };
            for (name, written) in versions.bucket(*number)?.into_iter().flatten() {
                if names.position(digest(name).1).is_some_and(|at| !names.has_row[at]) {
                    missing.push((name.clone(), *written));
                }
            }
        }
        missing.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(missing)
    }
}

/// The bucket of a name, and the rest of its digest that identifies it there.
fn digest(name: &str) -> (u8, NameDigest) {
    let digest = Sha256::digest(name.as_bytes());
    let mut of_name = NameDigest::default();
    for (into, byte) in of_name.iter_mut().zip(&digest[1..]) {
        *into = *byte;
    }
    (digest[0], of_name)
}
