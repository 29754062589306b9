//! Counts the keys of some files, as `plan` would find them: the file store reads, and the discovery judges.

use std::collections::BTreeSet;
use std::path::Path;

use crate::adapters::stores::file::FileStore;
use crate::adapters::stores::sops::is_encrypted;
use crate::adapters::stores::{Backend, Naming};
use crate::discovery::{Findings, StoredEntry, discover};
use crate::ports::secret_store::Reading;
use crate::types::error_text::with_causes;
use crate::types::name::StoreName;
use crate::types::place::{FieldRef, Location};

/// What some files hold.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// The number of keys that rotator can rotate.
    pub(super) keys: usize,
    /// The number of keys that rotator finds and cannot edit.
    pub(super) not_editable: usize,
    /// The sections of INI files that hold these keys.
    pub(super) sections: BTreeSet<String>,
    /// The files that hold these keys.
    pub(super) files: BTreeSet<String>,
    /// The number of files that sops has encrypted.
    pub(super) sealed: usize,
    /// The number of files that cannot be searched here.
    pub(super) unread: usize,
}

impl Counted {
    /// Whether this is worth a store.
    pub(super) fn has_keys(&self) -> bool {
        self.keys + self.not_editable > 0
    }
}

/// Counts the keys in these files of a folder, or in the file at `path`. The error is a message without any text of a
/// file.
pub(super) async fn count(path: &Path, names: &[String]) -> Result<Counted, String> {
    let store = FileStore::open(path).map_err(|error| with_causes(&error))?;
    let readings = store.read(names).await.map_err(|error| error.to_string())?;
    // The store has no name in the journal yet.
    let this = StoreName::new("init").map_err(|error| error.to_string())?;
    let (mut counted, mut entries) = (Counted::default(), Vec::new());
    for (name, reading) in names.iter().zip(readings) {
        let value = match reading {
            Reading::Value { value, .. } | Reading::Managed { value, .. } => value,
            Reading::Large(_) | Reading::Unreadable(_) => {
                counted.unread += 1;
                continue;
            }
            Reading::Missing => continue,
        };
        if is_encrypted(value.expose()) {
            counted.sealed += 1;
            continue;
        }
        match Naming::default().entry(name) {
            Ok(entry) => entries.push(StoredEntry { store: this.clone(), name: entry, value }),
            Err(_) => counted.unread += 1,
        }
    }
    counted.take(&discover(&entries));
    Ok(counted)
}

impl Counted {
    fn take(&mut self, findings: &Findings) {
        self.keys = findings.candidates.len();
        let held = findings.left_alone.iter().filter(|left| left.key_id.is_some() && left.may_be_a_key_in_use());
        let ids: BTreeSet<_> = held.clone().filter_map(|left| left.key_id.as_ref()).collect();
        self.not_editable = ids.len();
        let candidates = findings.candidates.iter().flat_map(|candidate| &candidate.places).map(|place| &place.id);
        for spot in candidates.chain(held.flat_map(|left| left.places.iter().map(|(_, spot)| spot))) {
            self.see(spot);
        }
    }

    fn see(&mut self, spot: &FieldRef) {
        self.files.extend(Naming::default().native(&spot.entry));
        if let Location::Variable { section: Some(section), .. } = &spot.location {
            self.sections.insert(section.clone());
        }
    }
}
