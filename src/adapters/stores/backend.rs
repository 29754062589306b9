//! What a store that has names of its own must do to be one of rotator's (`docs/stores.md` says how to add one).
//! [`super::Named`] makes a [`crate::ports::secret_store::SecretStore`] of it.

use async_trait::async_trait;

use crate::journal::write_ahead::WriteOrder;
use crate::ports::call::CallError;
use crate::ports::secret_store::{Capabilities, Reading, Version};
use crate::rotation::failure::Failure;
use crate::rotation::name::StoreIdentity;
use crate::rotation::secret::SecretValue;

/// One write of a batch, under the store's own name.
#[derive(Debug)]
pub struct NativeWrite {
    /// Which entry, in the store's own words.
    pub name: String,
    /// The version it replaces.
    pub replaces: Version,
    /// The new bytes.
    pub value: SecretValue,
}

/// A store in its own words.
#[async_trait]
pub trait Backend: Send + Sync {
    /// What it can promise.
    fn capabilities(&self) -> Capabilities;

    /// Which store it is.
    async fn identity(&self) -> Result<StoreIdentity, CallError>;

    /// Every entry with what it holds, from one pass that begins after the call. An entry that is there and cannot be
    /// read is [`Reading::Unreadable`]; only what makes the list itself incomplete is an error.
    async fn read_all(&self) -> Result<Vec<(String, Reading)>, CallError>;

    /// These entries, in this order.
    async fn read(&self, names: &[String]) -> Result<Vec<Reading>, CallError>;

    /// Writes the batch in the order given, each only over the version that it names. What was certainly not written
    /// is `Refused` (`Stale` where the version is another by now); all else, and a batch that stopped half-way, is
    /// `Unknown`. The order was checked to be for this store.
    async fn write(&self, order: WriteOrder, batch: Vec<NativeWrite>) -> Result<(), Failure>;
}

/// What the failure of one write means for a batch that is written one entry after the other: with some of it
/// `written`, a refusal leaves a batch that stopped half-way.
pub(in crate::adapters) fn after(written: usize, failure: Failure) -> Failure {
    match failure {
        Failure::Refused(refusal) if written > 0 => {
            Failure::Unknown(format!("entries written: {written}; the next was refused: {refusal}"))
        }
        failure @ (Failure::Refused(_) | Failure::Unknown(_)) => failure,
    }
}
