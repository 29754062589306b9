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

    /// The identities of the stores that report one.
    #[must_use]
    pub fn known_identities(&self) -> BTreeMap<StoreName, StoreIdentity> {
        let known = self.identities.iter().filter_map(|(name, identity)| Some((name.clone(), identity.clone().ok()?)));
        known.collect()
    }

    /// Messages about patterns in the configuration of stores that matched no entry.
    pub(super) fn unmatched_patterns(&self) -> Vec<String> {
        let of_store = |store: &Arc<dyn SecretStore>| {
            let name = store.name().clone();
            store.unmatched_patterns().into_iter().map(move |pattern| {
                format!("{pattern} of {name} matches no entry; the name of an entry is that of its place in the plan")
            })
        };
        self.all.iter().flat_map(of_store).collect()
    }

    /// Names an entry, or a spot in it, in a message: with its store where several are configured.
    #[must_use]
    pub fn describe(&self, store: &StoreName, entry: &impl std::fmt::Display) -> String {
        described(store, &entry.to_string(), self.all.len() > 1)
    }
}

/// The name of an entry, or of a spot in it, without the `-` that stands for an app and for an environment.
pub(super) fn in_short(entry: &str) -> &str {
    entry.strip_prefix("-/-/").unwrap_or(entry)
}

/// A file that has no app and no environment has a `-` for each in its name, and is known to the operator by its path.
fn described(store: &StoreName, entry: &str, with_store: bool) -> String {
    let file = entry.strip_prefix("-/-/");
    let whole_path = file.and_then(|file| {
        let (name, spot) = file.split_once(" at ").map_or((file, None), |(name, spot)| (name, Some(spot)));
        let path = store.as_str().strip_prefix("file:").filter(|path| path.ends_with(&format!("/{name}")))?;
        Some(spot.map_or_else(|| path.to_owned(), |spot| format!("{path} at {spot}")))
    });
    let entry = in_short(entry);
    match whole_path {
        // The store is this file.
        Some(path) => path,
        None if with_store => format!("{entry} in {store}"),
        None => entry.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_app_is_named_by_its_path() {
        let shown =
            |store: &str, entry, with_store| described(&StoreName::new(store).expect("valid"), entry, with_store);
        let file = "file:/srv/shop/.env";
        assert_eq!(shown(file, "-/-/.env", true), "/srv/shop/.env");
        assert_eq!(shown(file, "-/-/.env at AWS_ACCESS_KEY_ID", false), "/srv/shop/.env at AWS_ACCESS_KEY_ID");
        assert_eq!(shown("file:/srv/shop", "-/-/.env at KEY", false), ".env at KEY");
        assert_eq!(shown("file:/srv/shop", "-/-/.env", true), ".env in file:/srv/shop");
        assert_eq!(shown("sqlite:/srv/x.db", "shop/live/ID", true), "shop/live/ID in sqlite:/srv/x.db");
        assert_eq!(shown("sqlite:/srv/x.db", "shop/live/ID", false), "shop/live/ID");
    }
}
