//! A decorator that restricts a store to its configured entries, and to reading if the configuration says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures_util::StreamExt;
use globset::GlobSet;

use crate::journal::write_ahead::WriteOrder;
use crate::ports::call::CallError;
use crate::ports::secret_store::{Capabilities, Parts, Reading, Readings, SecretStore, Writable, Write};
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::name::{EntryName, StoreIdentity, StoreName};
use crate::types::secret::SecretValue;

/// A store with the restrictions of its configuration.
pub struct FilteredStore {
    pub store: Arc<dyn SecretStore>,
    /// The entries to use; all without a pattern.
    pub include: Option<EntryPatterns>,
    /// The entries not to use.
    pub exclude: EntryPatterns,
    /// Whether the store is never written.
    pub read_only: bool,
}

/// The patterns of one setting, and which of them have matched an entry that was read.
pub struct EntryPatterns {
    setting: &'static str,
    texts: Vec<String>,
    set: GlobSet,
    matched: Vec<AtomicBool>,
}

impl EntryPatterns {
    /// `set` is made of `texts`, in this order.
    #[must_use]
    pub fn new(setting: &'static str, texts: Vec<String>, set: GlobSet) -> Self {
        let matched = texts.iter().map(|_| AtomicBool::new(false)).collect();
        Self { setting, texts, set, matched }
    }

    fn is_match(&self, entry: &str) -> bool {
        let is_match = self.set.is_match(entry);
        if is_match && !self.matched.iter().all(|matched| matched.load(Ordering::Relaxed)) {
            for number in self.set.matches(entry) {
                if let Some(matched) = self.matched.get(number) {
                    matched.store(true, Ordering::Relaxed);
                }
            }
        }
        is_match
    }

    fn unmatched(&self) -> impl Iterator<Item = String> {
        let unmatched = self.texts.iter().zip(&self.matched).filter(|(_, matched)| !matched.load(Ordering::Relaxed));
        unmatched.map(|(text, _)| format!("`{text}` of {}", self.setting))
    }
}

impl FilteredStore {
    fn includes(&self, entry: &EntryName) -> bool {
        let included = self.include.as_ref().is_none_or(|patterns| patterns.is_match(entry.as_str()));
        included && !self.exclude.is_match(entry.as_str())
    }
}

#[async_trait]
impl SecretStore for FilteredStore {
    fn name(&self) -> &StoreName {
        self.store.name()
    }

    fn capabilities(&self) -> Capabilities {
        let capabilities = self.store.capabilities();
        Capabilities { read_only: self.read_only || capabilities.read_only, ..capabilities }
    }

    fn unit(&self, entry: &EntryName) -> String {
        self.store.unit(entry)
    }

    fn credentials(&self) -> Option<String> {
        self.store.credentials()
    }

    fn unverified(&self) -> Option<String> {
        self.store.unverified()
    }

    fn unmatched_patterns(&self) -> Vec<String> {
        self.include.iter().chain([&self.exclude]).flat_map(EntryPatterns::unmatched).collect()
    }

    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        self.store.identity().await
    }

    async fn read_all(&self) -> Result<Readings, CallError> {
        let mut entries = self.store.read_all().await?;
        entries.retain(|(entry, _)| self.includes(entry));
        Ok(entries)
    }

    async fn read_parts(&self) -> Result<Parts<'_>, CallError> {
        let parts = self.store.read_parts().await?;
        let included = |mut part: Readings| {
            part.retain(|(entry, _)| self.includes(entry));
            part
        };
        Ok(parts.map(move |part| part.map(included)).boxed())
    }

    // Reading by name is not restricted, so that a rotation continues after a change of the configuration.
    async fn read(&self, entries: &[EntryName]) -> Result<Vec<Reading>, CallError> {
        self.store.read(entries).await
    }

    async fn writable(&self, entries: &[EntryName]) -> Vec<Writable> {
        if self.read_only {
            let why = format!("{} is configured as read_only", self.name());
            return entries.iter().map(|_| Writable::No(why.clone())).collect();
        }
        self.store.writable(entries).await
    }

    async fn held(&self, entries: &[EntryName]) -> Option<String> {
        self.store.held(entries).await
    }

    async fn staged(&self, entries: &[EntryName]) -> Result<Vec<Option<SecretValue>>, CallError> {
        self.store.staged(entries).await
    }

    async fn replaced(&self, entries: &[EntryName]) -> Result<Vec<Option<SecretValue>>, CallError> {
        self.store.replaced(entries).await
    }

    async fn write(&self, order: WriteOrder, batch: Vec<Write>) -> Result<(), Failure> {
        if self.read_only {
            let message = format!("{} is configured as read_only", self.name());
            return Err(Failure::Refused(Refusal::new(RefusalKind::Other, message)));
        }
        self.store.write(order, batch).await
    }

    async fn forget_previous(&self, entries: &[EntryName]) -> Result<(), CallError> {
        if self.read_only {
            return Ok(());
        }
        self.store.forget_previous(entries).await
    }
}
