//! The interface of a secret store: list, read, and write a batch with compare-and-set.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::call::CallError;
use crate::discovery::Source;
use crate::journal::write_ahead::WriteOrder;
use crate::types::failure::Failure;
use crate::types::name::{EntryName, StoreIdentity, StoreName};
use crate::types::secret::SecretValue;

/// A version of an entry, in the form that the store uses. Equal versions mean equal values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(pub String);

/// The guarantees of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// For how long a write that was sent may still take effect after its version was replaced. Zero means that
    /// compare-and-set refuses such a write, even if an equal value replaced the version.
    pub late_writes: Duration,
    /// Whether the store cannot be written. Each scan reads its entries, and they are never rotated.
    pub read_only: bool,
}

/// A value that is too large for memory. The search reads it part by part.
pub struct LargeValue {
    open: Opening,
    /// The largest size that is taken into memory, for messages.
    pub why: String,
}

type Opening = Box<dyn Fn() -> Result<Box<dyn Source>, String> + Send + Sync>;

impl LargeValue {
    /// Takes a function that opens the value for reading, or returns the reason why it cannot be read.
    pub fn new(why: String, open: impl Fn() -> Result<Box<dyn Source>, String> + Send + Sync + 'static) -> Self {
        Self { open: Box::new(open), why }
    }

    /// Opens the value.
    ///
    /// # Errors
    /// The value cannot be read any more. It then counts as one that may name any key. The text is the reason.
    pub fn open(&self) -> Result<Box<dyn Source>, String> {
        (self.open)()
    }
}

impl std::fmt::Debug for LargeValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LargeValue({})", self.why)
    }
}

/// The content of one entry.
#[derive(Debug)]
pub enum Reading {
    /// A value that rotator may write.
    Value {
        /// The version read.
        version: Version,
        /// The bytes.
        value: SecretValue,
    },
    /// A value that another program manages. It is read and searched like any other, and never written.
    Managed {
        /// The version read.
        version: Version,
        /// The bytes.
        value: SecretValue,
        /// The program that manages it, for messages.
        why: String,
    },
    /// A value that is too large for memory. It is searched like any other, and never rotated or written.
    Large(LargeValue),
    /// There is no such entry.
    Missing,
    /// The entry exists and cannot be read. The text is the reason and contains no part of the value.
    Unreadable(String),
}

/// Whether an entry can be written, as far as a check without changes can find out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writable {
    /// Nothing known forbids a write.
    Yes,
    /// A write would certainly be refused. The text says what forbids it and how to fix that.
    No(String),
    /// The store has no such check, or refused the check itself.
    Unknown,
}

/// One write of a batch.
#[derive(Debug)]
pub struct Write {
    pub entry: EntryName,
    /// The version to replace. The write is refused if the entry has another version by then.
    pub replaces: Version,
    /// The new bytes.
    pub value: SecretValue,
}

/// Entries with their content.
pub type Readings = Vec<(EntryName, Reading)>;

/// All entries of a store, a part at a time. The values are in the order of names. Entries without a value may follow at
/// the end. After an error there is no further part.
pub type Parts<'s> = BoxStream<'s, Result<Readings, CallError>>;

/// A secret store.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// The name of the store: the URI in the configuration.
    fn name(&self) -> &StoreName;

    fn capabilities(&self) -> Capabilities;

    /// Names the unit that the store versions as a whole and that contains this entry. A write of any part of the unit changes
    /// the version of all its parts.
    fn unit(&self, entry: &EntryName) -> String {
        entry.to_string()
    }

    /// Returns the source of its credentials for messages, or nothing if it needs none or the source is unknown.
    fn credentials(&self) -> Option<String> {
        None
    }

    /// Returns why the server may not be the intended one, if nothing verifies its identity.
    fn unverified(&self) -> Option<String> {
        None
    }

    /// Returns the patterns of its configuration that matched no entry in any pass so far, each with its setting.
    fn unmatched_patterns(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns the identity of the store.
    async fn identity(&self) -> Result<StoreIdentity, CallError>;

    /// Reads every entry in the order of names, in one pass that begins after the call.
    async fn read_all(&self) -> Result<Readings, CallError>;

    /// Reads every entry as [`read_all`](Self::read_all) does, but in parts, if the store can do that. The caller tries
    /// again only what fails before the first part.
    async fn read_parts(&self) -> Result<Parts<'_>, CallError> {
        let all = self.read_all().await?;
        Ok(stream::once(std::future::ready(Ok(all))).boxed())
    }

    /// Reads these entries, in this order.
    async fn read(&self, entries: &[EntryName]) -> Result<Vec<Reading>, CallError>;

    /// Returns for each entry, in order, whether it can be written. Called before a key is created; changes nothing.
    async fn writable(&self, entries: &[EntryName]) -> Vec<Writable> {
        entries.iter().map(|_| Writable::Unknown).collect()
    }

    /// Returns what another program holds at this moment so that these entries cannot be written, such as a lock. Called right
    /// before a key is created; a lock that the check takes is released at once.
    async fn held(&self, _: &[EntryName]) -> Option<String> {
        None
    }

    /// Returns for each entry, in order, the pending value that an interrupted batch wrote and that no reader sees. Most stores
    /// have none.
    async fn staged(&self, entries: &[EntryName]) -> Result<Vec<Option<SecretValue>>, CallError> {
        Ok(entries.iter().map(|_| None).collect())
    }

    /// Returns the value that each entry held before the present one, in order, or `None` where the store does not keep it.
    /// If rotator wrote that earlier value, then another writer has written after rotator.
    async fn replaced(&self, entries: &[EntryName]) -> Result<Vec<Option<SecretValue>>, CallError> {
        Ok(entries.iter().map(|_| None).collect())
    }

    /// Writes the batch: all of it where the store is atomic, else in the order given. A stale version is
    /// `Failure::Refused` with `RefusalKind::Stale`, and then nothing of an atomic batch was written; a batch that
    /// is not atomic and stopped half-way is `Failure::Unknown`.
    async fn write(&self, order: WriteOrder, batch: Vec<Write>) -> Result<(), Failure>;

    /// Lets the store forget the previous values of these entries, because the rotation that wrote them is closed.
    async fn forget_previous(&self, entries: &[EntryName]) -> Result<(), CallError>;
}
