//! A decorator that gives a backend entry names.

use std::sync::Arc;

use async_trait::async_trait;

use super::backend::{Backend, NativeWrite};
use super::naming::Naming;
use crate::journal::write_ahead::WriteOrder;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::secret_store::{Capabilities, Reading, SecretStore, Writable, Write};
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::name::{EntryName, StoreIdentity, StoreName};
use crate::types::secret::SecretValue;

/// A [`Backend`] as a store with entry names.
pub struct BackendStore {
    name: StoreName,
    naming: Naming,
    backend: Arc<dyn Backend>,
}

impl BackendStore {
    #[must_use]
    pub fn new(name: StoreName, naming: Naming, backend: Arc<dyn Backend>) -> Self {
        Self { name, naming, backend }
    }

    /// The store's own names of these entries; none for an entry that the store cannot have.
    fn natives(&self, entries: &[EntryName]) -> Vec<Option<String>> {
        entries.iter().map(|entry| self.naming.native(entry)).collect()
    }
}

fn there(natives: &[Option<String>]) -> Vec<String> {
    natives.iter().flatten().cloned().collect()
}

#[async_trait]
impl SecretStore for BackendStore {
    fn name(&self) -> &StoreName {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        self.backend.capabilities()
    }

    fn unit(&self, entry: &EntryName) -> String {
        self.naming.native(entry).map_or_else(String::new, |native| self.backend.unit(&native).to_owned())
    }

    fn credentials(&self) -> Option<String> {
        self.backend.credentials()
    }

    fn unverified(&self) -> Option<String> {
        self.backend.unverified()
    }

    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        self.backend.identity().await
    }

    async fn read_all(&self) -> Result<Vec<(EntryName, Reading)>, CallError> {
        let mut entries = Vec::new();
        for (native, reading) in self.backend.read_all().await? {
            let entry = self.naming.entry(&native).map_err(|error| {
                CallError::new(
                    CallErrorKind::Other,
                    format!("{} has an entry whose name is not valid: {error}", self.name),
                )
            })?;
            entries.push((entry, reading));
        }
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(entries)
    }

    async fn read(&self, entries: &[EntryName]) -> Result<Vec<Reading>, CallError> {
        let natives = self.natives(entries);
        let mut read = self.backend.read(&there(&natives)).await?.into_iter();
        let reading = |native: &Option<String>| match native {
            Some(_) => read.next().unwrap_or(Reading::Missing),
            None => Reading::Missing,
        };
        Ok(natives.iter().map(reading).collect())
    }

    async fn writable(&self, entries: &[EntryName]) -> Vec<Writable> {
        let natives = self.natives(entries);
        let mut asked = self.backend.writable(&there(&natives)).await.into_iter();
        let answer = |native: &Option<String>| native.as_ref().and_then(|_| asked.next()).unwrap_or(Writable::Unknown);
        natives.iter().map(answer).collect()
    }

    async fn held(&self, entries: &[EntryName]) -> Option<String> {
        self.backend.held(&there(&self.natives(entries))).await
    }

    async fn staged(&self, entries: &[EntryName]) -> Result<Vec<Option<SecretValue>>, CallError> {
        let natives = self.natives(entries);
        let mut staged = self.backend.staged(&there(&natives)).await?.into_iter();
        Ok(natives.iter().map(|native| native.as_ref().and_then(|_| staged.next().flatten())).collect())
    }

    async fn replaced(&self, entries: &[EntryName]) -> Result<Vec<Option<SecretValue>>, CallError> {
        let natives = self.natives(entries);
        let mut replaced = self.backend.replaced(&there(&natives)).await?.into_iter();
        Ok(natives.iter().map(|native| native.as_ref().and_then(|_| replaced.next().flatten())).collect())
    }

    async fn write(&self, order: WriteOrder, batch: Vec<Write>) -> Result<(), Failure> {
        let refused = |kind, message: String| Err(Failure::Refused(Refusal::new(kind, message)));
        if order.store() != &self.name {
            let message = format!("{} was given what is meant for {}, a defect of rotator", self.name, order.store());
            return refused(RefusalKind::Other, message);
        }
        let mut natives = Vec::new();
        for Write { entry, replaces, value } in batch {
            let Some(name) = self.naming.native(&entry) else {
                return refused(RefusalKind::Other, format!("{} can have no entry {entry}", self.name));
            };
            natives.push(NativeWrite { name, replaces, value });
        }
        self.backend.write(order, natives).await
    }

    async fn forget_previous(&self, entries: &[EntryName]) -> Result<(), CallError> {
        self.backend.forget_previous(&there(&self.natives(entries))).await
    }
}
