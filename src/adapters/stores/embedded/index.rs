//! The last version of every entry, in a form that is small enough for a million of them: a name is kept as a digest.

use std::collections::BTreeMap;

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::seal::Sealer;
use super::table::Written;
use super::versions::{Bucket, Cache, Versions, VersionsError};

/// The versions as one transaction sees them. A bucket that is not the one that was written last is `None`.
pub(super) struct Index(BTreeMap<u8, Option<Vec<Known>>>);

/// The part of SHA-256 of a name that identifies it within its bucket. To find two names with the same
/// digest takes about 2^64 attempts.
type NameDigest = [u8; 16];

struct Known {
    name: NameDigest,
    version: i64,
    has_row: bool,
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
            buckets.insert(number, versions.bucket(number)?.map(known));
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
        let Some(known) = self.0.get(&bucket) else { return Ok(None) };
        let known = known.as_ref().ok_or(VersionsError::Foreign)?;
        let found = known.binary_search_by_key(&name, |known| known.name).ok();
        Ok(found.map(|at| Found { bucket, at, version: known[at].version }))
    }

    /// Records that an entry has a row.
    pub(super) fn has_row(&mut self, found: Option<Found>) {
        let Some(Found { bucket, at, .. }) = found else { return };
        if let Some(known) = self.0.get_mut(&bucket).and_then(|known| known.as_mut()?.get_mut(at)) {
            known.has_row = true;
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
        for (number, known) in &self.0 {
            let Some(known) = known.as_ref().filter(|known| known.iter().any(|known| !known.has_row)) else { continue };
            for (name, written) in versions.bucket(*number)?.into_iter().flatten() {
                let (_, of_name) = digest(name);
                let at = known.binary_search_by_key(&of_name, |known| known.name);
                if at.is_ok_and(|at| !known[at].has_row) {
                    missing.push((name.clone(), *written));
                }
            }
        }
        missing.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(missing)
    }
}

fn known(bucket: &Bucket) -> Vec<Known> {
    let of =
        |(name, written): (&String, &Written)| Known { name: digest(name).1, version: written.version, has_row: false };
    let mut known: Vec<Known> = bucket.iter().map(of).collect();
    known.sort_unstable_by_key(|known| known.name);
    known
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
