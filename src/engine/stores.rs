//! The configured stores, the identity that each reports, and the rate limit for all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rate_limit::RateLimiter;
use crate::ports::call::CallError;
use crate::ports::secret_store::SecretStore;
use crate::types::name::{StoreIdentity, StoreName};

pub struct Stores {
    pub all: Vec<Arc<dyn SecretStore>>,
    /// The identity that each store reports, or why it does not.
    pub identities: BTreeMap<StoreName, Result<StoreIdentity, CallError>>,
    pub limiter: RateLimiter,
}

impl Stores {
    #[must_use]
    pub fn get(&self, name: &StoreName) -> Option<&Arc<dyn SecretStore>> {
        self.all.iter().find(|store| store.name() == name)
    }

    /// Names an entry in a message: with its store where several are configured.
    #[must_use]
    pub fn describe(&self, store: &StoreName, entry: &impl std::fmt::Display) -> String {
        if self.all.len() > 1 { format!("{entry} in {store}") } else { entry.to_string() }
    }
}
