//! The trait of a store that has its own names (`docs/design/architecture.md` says how to add one). [`super::BackendStore`]
//! implements [`crate::ports::secret_store::SecretStore`] with it.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;

use crate::adapters::redact::{Failed, Heard};
use crate::journal::write_ahead::WriteOrder;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::secret_store::{Capabilities, Reading, Version, Writable};
use crate::types::failure::Failure;
use crate::types::name::StoreIdentity;
use crate::types::secret::SecretValue;

/// One write of a batch, with the store's own name.
#[derive(Debug)]
pub struct NativeWrite {
    /// The store's own name of the entry.
    pub name: String,
    /// The version that is replaced.
    pub replaces: Version,
    pub value: SecretValue,
}

/// A store that uses its own names.
#[async_trait]
pub trait Backend: Send + Sync {
    /// The guarantees of the store.
    fn capabilities(&self) -> Capabilities;

    /// The unit of versioning of this entry: a write to any entry of the unit changes the version of all of them.
    fn unit<'n>(&self, name: &'n str) -> &'n str {
        name
    }

    /// The source of the store's credentials, for operators; none if the store needs no credentials.
    fn credentials(&self) -> Option<String> {
        None
    }

    /// Why the identity of the server is not verified; none if it is verified, or if there is no server.
    fn unverified(&self) -> Option<String> {
        None
    }

    async fn identity(&self) -> Result<StoreIdentity, CallError>;

    /// Every entry with its content, from one pass that starts after the call. An entry that exists and cannot be
    /// read is [`Reading::Unreadable`]; only an incomplete list is an error.
    async fn read_all(&self) -> Result<Vec<(String, Reading)>, CallError>;

    /// These entries, in this order.
    async fn read(&self, names: &[String]) -> Result<Vec<Reading>, CallError>;

    /// Whether these entries can be written, in their order, without a change. Unknown if the store has no such
    /// query.
    async fn writable(&self, names: &[String]) -> Vec<Writable> {
        names.iter().map(|_| Writable::Unknown).collect()
    }

    /// The lock of another program that prevents writing these entries, for operators. None if the store has no
    /// locks.
    async fn held(&self, _: &[String]) -> Option<String> {
        None
    }

    /// The staged values of these entries, in their order: an interrupted write has stored them, and no reader sees
    /// them. None if the store has no staging.
    async fn staged(&self, names: &[String]) -> Result<Vec<Option<SecretValue>>, CallError> {
        Ok(names.iter().map(|_| None).collect())
    }

    /// The values before the present ones, in the order of these entries, if the store keeps them.
    async fn replaced(&self, names: &[String]) -> Result<Vec<Option<SecretValue>>, CallError> {
        Ok(names.iter().map(|_| None).collect())
    }

    /// Writes the batch in order; each write replaces the named version only. A write that certainly did not happen
    /// is `Refused` (`Stale` if the version has changed); everything else, and a batch that stopped half-way, is
    /// `Unknown`. The order was checked to be for this store.
    async fn write(&self, order: WriteOrder, batch: Vec<NativeWrite>) -> Result<(), Failure>;

    /// Forgets what the store keeps for the rotation that wrote these entries, which has closed.
    async fn forget_previous(&self, _: &[String]) -> Result<(), CallError> {
        Ok(())
    }
}

/// The result of a failed write in a batch of separate writes: after `written` writes, a refusal means that the batch
/// stopped half-way.
pub(in crate::adapters) fn after(written: usize, failure: Failure) -> Failure {
    match failure {
        Failure::Refused(refusal) if written > 0 => {
            Failure::Unknown(format!("entries written: {written}; the next was refused: {refusal}"))
        }
        failure @ (Failure::Refused(_) | Failure::Unknown(_)) => failure,
    }
}

/// How often a throttled read is repeated: with thousands of entries, repeating the whole pass would never end.
const MOST_TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Repeats a read while it is throttled, with a pause before each new try.
pub(in crate::adapters) async fn with_pauses<'a, T>(
    read: impl Fn() -> BoxFuture<'a, Result<T, Failed>>,
) -> Result<T, Failed> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..MOST_TRIES {
        match read().await {
            Err(failed) if failed.kind == CallErrorKind::Throttled => tokio::time::sleep(pause).await,
            other => return other,
        }
        pause *= 2;
    }
    read().await
}

/// Reads the entries separately, `at_once` at the same time, and returns them in their order. `redact::settled`
/// converts the result to readings.
pub(in crate::adapters) async fn read_each<'a>(
    names: impl IntoIterator<Item = String>,
    at_once: usize,
    read: impl Fn(String) -> BoxFuture<'a, Result<Heard, Failed>>,
) -> Vec<(String, Result<Heard, Failed>)> {
    let mut pending = Vec::new();
    for name in names {
        let read = &read;
        pending.push(async move {
            let heard = with_pauses(|| read(name.clone())).await;
            (name, heard)
        });
    }
    futures_util::stream::iter(pending).buffered(at_once.max(1)).collect().await
}
