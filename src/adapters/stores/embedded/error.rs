//! Why an embedded store cannot be opened, read or written.

use std::fmt;
use std::path::PathBuf;

use super::kind::KIND;
use crate::adapters::private_file::FileError;
use crate::adapters::sqlite::DatabaseError;
use crate::ports::call::CallErrorKind;
use crate::types::error_text::with_causes;
use crate::types::name::{EntryName, InvalidName};

/// The length of a key in bytes.
pub(super) const LENGTH: usize = 32;

/// Why a text is not a key. It contains nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key is {LENGTH} bytes in base64, as `openssl rand -base64 {LENGTH}` makes them")]
pub struct MalformedKey;

/// The source of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyOrigin {
    /// This file.
    File(PathBuf),
    /// The environment.
    Given,
}

impl fmt::Display for KeyOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the key file {}", path.display()),
            Self::Given => f.write_str("ROTATOR_STORE_KEY"),
        }
    }
}

/// Why an embedded store cannot be opened. Each message follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedStoreError {
    /// The database file cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The key file cannot be trusted, read, written, replaced or removed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store exists and its key does not.
    #[error("open the store {}: its key {} is missing; put it back, or give the key in ROTATOR_STORE_KEY", path.display(), key.display())]
    KeyMissing { path: PathBuf, key: PathBuf },
    /// The key is malformed.
    #[error("open the store: {origin} does not contain a key ({source}); put the store's own key back")]
    MalformedKey { origin: KeyOrigin, source: MalformedKey },
    /// The key belongs to another store.
    #[error("open the store {}: {origin} is not its key; use the key that the store was made with", path.display())]
    WrongKey { path: PathBuf, origin: KeyOrigin },
    /// The path is not valid as the name of a store.
    #[error("open the store: its path cannot be a name ({0}); choose another path")]
    Unnameable(#[from] InvalidName),
    /// The system has no random numbers.
    #[error("make a key for the store: the system gives no random numbers; try again later")]
    NoRandomness,
}

/// The cause if the row of an entry is not the one that was written last.
pub(super) const NOT_LAST: &str = "something else changed or removed it, or put an older value back; find out who wrote to the file, then \
                        set it again with `rotator store set`";

/// Why a store could not be read or written. Each message follows "failed to" and contains nothing of any value.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Another file has replaced the store, so the open file is no longer the store.
    #[error("use the store {}: it was moved, removed or replaced while it was open; put it back, then try again", path.display())]
    Replaced { path: PathBuf },
    /// The key does not open an entry.
    #[error("unseal the entry {entry} of the store {}: something else wrote to it; set it again with `rotator store set`", path.display())]
    Unsealable { path: PathBuf, entry: EntryName },
    /// A value could not be sealed.
    #[error("seal the entry {entry} of the store {}: the system gives no random numbers; try again later", path.display())]
    Unsealed { path: PathBuf, entry: EntryName },
    /// An entry is not the one that this store wrote last.
    #[error("read the entry {entry} of the store {}: {NOT_LAST}", path.display())]
    NotLast { path: PathBuf, entry: EntryName },
    /// The record of the last versions does not open.
    #[error("read the versions of the store {}: something else wrote to it, or it was sealed under another key since this process opened it; try again, and if that fails {}", path.display(), KIND.remedy)]
    Versions { path: PathBuf },
    /// The system has no random numbers.
    #[error("write the store {}: the system gives no random numbers; try again later", path.display())]
    NoRandomness { path: PathBuf },
    /// A row has content that rotator did not write.
    #[error("read the store {}: it contains a name or a time that rotator did not write; {}", path.display(), KIND.remedy)]
    Nonsense { path: PathBuf },
    /// A defect ended an earlier operation.
    #[error("use the store {} after a defect of rotator; start rotator again", path.display())]
    Poisoned { path: PathBuf },
}

/// The message for the operator.
pub(super) fn failed_to(error: &StoreError) -> String {
    format!("failed to {}", with_causes(error))
}

/// The kind of the failed call.
pub(super) fn call_kind(error: &StoreError) -> CallErrorKind {
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
