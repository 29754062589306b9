//! FLOOR 0: finding keys. (Being written.)
use serde::{Deserialize, Serialize};

use crate::rotation::name::{EntryName, StoreName};
/// Where one half of a pair stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Spot {
    /// The entry.
    pub entry: EntryName,
    /// Where in it.
    pub location: Location,
}
/// Where in an entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Location {
    /// All of it.
    WholeValue,
}
/// Where a pair stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The store.
    pub store: StoreName,
    /// The id.
    pub id: Spot,
    /// The secret.
    pub secret: Spot,
}
