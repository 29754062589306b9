//! The embedded store: an SQLite file of sealed values, with its key in a file beside it. Batches are atomic, every
//! write is a compare-and-set, and the value before a rotation is kept until the rotation has closed.
//!
//! An application uses `rotator store get`, and does not read the file itself.

mod batches;
mod error;
mod index;
mod key;
mod kind;
mod open;
mod operations;
mod parts;
mod queue;
mod rekey;
mod seal;
mod table;
mod versions;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};

use super::file::writable::writable_in_place;
use crate::journal::write_ahead::WriteOrder;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::secret_store::{Capabilities, Parts, Reading, Readings, SecretStore, Writable, Write};
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::name::{EntryName, StoreIdentity, StoreName};
pub use error::{EmbeddedStoreError, KeyOrigin, MalformedKey, StoreError};
use error::{call_kind, failed_to};
pub use key::StoreKey;
pub use open::EmbeddedStore;
use open::Inner;
pub use operations::Listed;
use parts::{Pass, READ_AHEAD};
use queue::Work;
pub use rekey::RekeyError;
use table::WriteError;

impl EmbeddedStore {
    async fn queued<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, CallError> {
        match self.inner.queued(read).await {
            Some(result) => result.map_err(|error| CallError::new(call_kind(&error), failed_to(&error))),
            None => Err(CallError::new(CallErrorKind::Unavailable, format!("{} gave no answer", self.name))),
        }
    }
}

#[async_trait]
impl SecretStore for EmbeddedStore {
    fn name(&self) -> &StoreName {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { late_writes: std::time::Duration::ZERO, read_only: false }
    }

    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        self.queued(|inner| inner.check_still_there().map(|()| inner.sealer.identity().clone())).await
    }

    async fn read_all(&self) -> Result<Readings, CallError> {
        self.queued(Inner::read_all).await
    }

    async fn read_parts(&self) -> Result<Parts<'_>, CallError> {
        let (sender, parts) = tokio::sync::mpsc::channel(READ_AHEAD);
        let inner = Arc::clone(&self.inner);
        let reading = tokio::task::spawn_blocking(move || inner.read_parts(|part| sender.blocking_send(part).is_ok()));
        let mut pass = Pass { store: self.name.clone(), parts, reading: Some(reading) };
        // A store that cannot be read at all fails here, where the caller tries again.
        let first = pass.next().await.transpose()?;
        let others = stream::unfold(pass, |mut pass| async { pass.next().await.map(|part| (part, pass)) });
        Ok(stream::iter(first.map(Ok)).chain(others).boxed())
    }

    async fn read(&self, entries: &[EntryName]) -> Result<Vec<Reading>, CallError> {
        let entries = entries.to_vec();
        self.queued(move |inner| inner.read(&entries)).await
    }

    async fn writable(&self, entries: &[EntryName]) -> Vec<Writable> {
        let answer = writable_in_place(&self.inner.path);
        entries.iter().map(|_| answer.clone()).collect()
    }

    async fn write(&self, order: WriteOrder, batch: Vec<Write>) -> Result<(), Failure> {
        let refused = |kind, message: String| Err(Failure::Refused(Refusal::new(kind, message)));
        if order.store() != &self.name {
            let message = format!("{} was given what is meant for {}, a defect of rotator", self.name, order.store());
            return refused(RefusalKind::Other, message);
        }
        match self.inner.write(Work::Replace(batch)).await {
            Ok(()) => Ok(()),
            Err(WriteError::Stale(entry)) => {
                refused(RefusalKind::Stale, format!("{entry} in {} has changed since it was read", self.name))
            }
            Err(WriteError::NotWritten(error)) => refused(RefusalKind::Other, failed_to(&error)),
            Err(WriteError::Uncertain(error)) => Err(Failure::Unknown(failed_to(&error))),
        }
    }

    async fn forget_previous(&self, entries: &[EntryName]) -> Result<(), CallError> {
        match self.inner.write(Work::Forget(entries.to_vec())).await {
            Ok(()) | Err(WriteError::Stale(_)) => Ok(()),
            Err(WriteError::NotWritten(error) | WriteError::Uncertain(error)) => {
                Err(CallError::new(call_kind(&error), failed_to(&error)))
            }
        }
    }
}

#[cfg(test)]
mod tests;
