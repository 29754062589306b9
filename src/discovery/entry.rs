//! An entry of a store.

use crate::types::name::{EntryName, StoreName};
use crate::types::secret::SecretValue;

/// An entry as it was read.
#[derive(Debug)]
pub struct StoredEntry {
    /// The store it was read from.
    pub store: StoreName,
    /// Its name.
    pub name: EntryName,
    /// Its value.
    pub value: SecretValue,
}
