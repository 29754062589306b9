//! What a store that has names of its own must do to be one of rotator's (`docs/design/architecture.md`
//! says how to add one).
//! [`super::BackendStore`] makes a [`crate::ports::secret_store::SecretStore`] of it.

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

    /// What is versioned together with the entry of this name: a write of any of it gives all of it another version.
    fn unit<'n>(&self, name: &'n str) -> &'n str {
        name
    }

    /// Where the credentials for it come from, for people; nothing, where it needs none.
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

    /// Every entry with what it holds, from one pass that begins after the call. An entry that is there and cannot be
    /// read is [`Reading::Unreadable`]; only what makes the list itself incomplete is an error.
    async fn read_all(&self) -> Result<Vec<(String, Reading)>, CallError>;

    /// These entries, in this order.
    async fn read(&self, names: &[String]) -> Result<Vec<Reading>, CallError>;

    /// Whether these entries can be written, in their order, by a question that changes nothing. Nothing is known of it,
    /// where the store has no such question.
    async fn writable(&self, names: &[String]) -> Vec<Writable> {
        names.iter().map(|_| Writable::Unknown).collect()
    }

    /// What another program holds at this moment so that these entries cannot be written, for people. Nothing, where the
    /// store knows no locks.
    async fn held(&self, _: &[String]) -> Option<String> {
        None
    }

    /// What waits in these entries to become their value, in their order: put there by a write that was cut off, and seen
    /// by no reader. Nothing, where the store has no such thing.
    async fn staged(&self, names: &[String]) -> Result<Vec<Option<SecretValue>>, CallError> {
        Ok(names.iter().map(|_| None).collect())
    }

    /// What these entries held before their present value, in their order, where the store keeps that.
    async fn replaced(&self, names: &[String]) -> Result<Vec<Option<SecretValue>>, CallError> {
        Ok(names.iter().map(|_| None).collect())
    }

    /// Writes the batch in the order given, each only over the version that it names. What was certainly not written
    /// is `Refused` (`Stale` where the version is another by now); all else, and a batch that stopped half-way, is
    /// `Unknown`. The order was checked to be for this store.
    async fn write(&self, order: WriteOrder, batch: Vec<NativeWrite>) -> Result<(), Failure>;

    /// The rotation that wrote these entries has closed: what the store keeps beside them on its account may go.
    async fn forget_previous(&self, _: &[String]) -> Result<(), CallError> {
        Ok(())
    }
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

/// How often an entry is asked for again where the store says that it is asked too much: with thousands of entries, to
/// begin the whole pass again would end nowhere.
const MOST_TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Reads entries one by one, `at_once` of them at a time, in their order. `redact::settled` makes readings of what it heard.
pub(in crate::adapters) async fn read_each<'a>(
    names: impl IntoIterator<Item = String>,
    at_once: usize,
    read: impl Fn(String) -> BoxFuture<'a, Result<Heard, Failed>>,
) -> Vec<(String, Result<Heard, Failed>)> {
    let mut pending = Vec::new();
    for name in names {
        let read = &read;
        pending.push(async move {
            let mut pause = FIRST_PAUSE;
            for _ in 1..MOST_TRIES {
                match read(name.clone()).await {
                    Err(failed) if failed.kind == CallErrorKind::Throttled => tokio::time::sleep(pause).await,
                    other => return (name, other),
                }
                pause *= 2;
            }
            let last = read(name.clone()).await;
            (name, last)
        });
    }
    futures_util::stream::iter(pending).buffered(at_once.max(1)).collect().await
}
