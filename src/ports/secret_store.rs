//! What the engine asks of a secret store: list, read, and write a batch with compare-and-set.

use std::time::Duration;

use async_trait::async_trait;

use super::call::CallError;
use crate::discovery::Source;
use crate::journal::write_ahead::WriteOrder;
use crate::types::failure::Failure;
use crate::types::name::{EntryName, StoreIdentity, StoreName};
use crate::types::secret::SecretValue;

/// A version of an entry, in the store's own words; equal versions are equal values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(pub String);

/// What a store can promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// How long a write that was sent may still land after its version has been replaced. Zero: compare-and-set
    /// refuses it, also where the value was replaced by an equal one.
    pub late_writes: Duration,
    /// Whether nothing can be written to it: what it holds is read in every scan and never rotated.
    pub read_only: bool,
}

/// A value that is too large to be taken into memory: it is searched where it is.
pub struct LargeValue {
    open: Opening,
    /// How large it may be to be taken into memory, for people.
    pub why: String,
}

type Opening = Box<dyn Fn() -> Result<Box<dyn Source>, String> + Send + Sync>;

impl LargeValue {
    /// `open` opens it to be read from its beginning to its end, or says for people why that cannot be done.
    pub fn new(why: String, open: impl Fn() -> Result<Box<dyn Source>, String> + Send + Sync + 'static) -> Self {
        Self { open: Box::new(open), why }
    }

    /// Opens it.
    ///
    /// # Errors
    /// It cannot be read any more: it counts as one that may name any key. For people: why not.
    pub fn open(&self) -> Result<Box<dyn Source>, String> {
        (self.open)()
    }
}

impl std::fmt::Debug for LargeValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LargeValue({})", self.why)
    }
}

/// What one entry holds.
#[derive(Debug)]
pub enum Reading {
    /// Its value.
    Value {
        /// The version read.
        version: Version,
        /// The bytes.
        value: SecretValue,
    },
    /// Its value, which is read and searched like any other, and which something else rewrites: it is not to be written.
    Managed {
        /// The version read.
        version: Version,
        /// The bytes.
        value: SecretValue,
        /// Whose it is, for people.
        why: String,
    },
    /// Its value, which is too large to be taken into memory. It is searched like any other, nothing in it is rotated, and it
    /// is not written.
    Large(LargeValue),
    /// There is no such entry.
    Missing,
    /// It is there and cannot be read. The text says why, for people, and holds nothing of the value.
    Unreadable(String),
}

/// Whether an entry can be written, as far as a question tells that changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writable {
    /// Nothing is known that forbids it.
    Yes,
    /// A write will certainly be refused. For people: what forbids it, and what to do about it.
    No(String),
    /// There is no such question, or it was refused itself.
    Unknown,
}

/// One write of a batch.
#[derive(Debug)]
pub struct Write {
    /// Which entry.
    pub entry: EntryName,
    /// The version it replaces; if the entry has another by then, the write is refused.
    pub replaces: Version,
    /// The new bytes.
    pub value: SecretValue,
}

/// A secret store.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// Its name: the URI it was configured by.
    fn name(&self) -> &StoreName;

    /// What it can promise.
    fn capabilities(&self) -> Capabilities;

    /// What the store versions together with this entry, in its own word: a write of any of it gives all of it another
    /// version.
    fn unit(&self, entry: &EntryName) -> String {
        entry.to_string()
    }

    /// Where the credentials for it come from, for people; nothing, where it needs none or that is not known.
    fn credentials(&self) -> Option<String> {
        None
    }

    /// Why its server may be another one than is meant, where nothing checks that; nothing, where it is checked or there is
    /// no server.
    fn unverified(&self) -> Option<String> {
        None
    }

    /// Which store it is.
    async fn identity(&self) -> Result<StoreIdentity, CallError>;

    /// Every entry, in the order of names, with what it holds, from one pass that begins after the call.
    async fn read_all(&self) -> Result<Vec<(EntryName, Reading)>, CallError>;

    /// These entries, in this order.
    async fn read(&self, entries: &[EntryName]) -> Result<Vec<Reading>, CallError>;

    /// Whether these entries can be written, in their order. Asked before a key is made for them; changes nothing.
    async fn writable(&self, entries: &[EntryName]) -> Vec<Writable> {
        entries.iter().map(|_| Writable::Unknown).collect()
    }

    /// What another program holds at this moment so that these entries cannot be written, for people; nothing, where no such
    /// thing is known. Asked right before a key is made for them; what it takes to find out is given back at once.
    async fn held(&self, _: &[EntryName]) -> Option<String> {
        None
    }

    /// What waits in these entries to become their value, in their order: written by a batch that was cut off, and seen by
    /// no reader. Nothing, where the store has no such thing.
    async fn staged(&self, entries: &[EntryName]) -> Result<Vec<Option<SecretValue>>, CallError> {
        Ok(entries.iter().map(|_| None).collect())
    }

    /// The value that each entry held before its present one, in the same order; `None` where the store does not keep it.
    /// If that earlier value is what rotator wrote, then another writer has written after rotator.
    async fn replaced(&self, entries: &[EntryName]) -> Result<Vec<Option<SecretValue>>, CallError> {
        Ok(entries.iter().map(|_| None).collect())
    }

    /// Writes the batch: all of it where the store is atomic, else in the order given. A stale version is
    /// `Failure::Refused` with `RefusalKind::Stale`, and then nothing of an atomic batch was written; a batch that
    /// is not atomic and stopped half-way is `Failure::Unknown`.
    async fn write(&self, order: WriteOrder, batch: Vec<Write>) -> Result<(), Failure>;

    /// The rotation that wrote these entries has closed: what the store keeps of their previous values may go.
    async fn forget_previous(&self, entries: &[EntryName]) -> Result<(), CallError>;
}
