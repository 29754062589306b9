//! The secret stores, one module each, which do not import each other. What they share is beside them: entry names
//! for a store's own names, and the filter of the configuration.

mod backend;
mod backend_store;

pub mod embedded;
pub mod exec;
pub mod file;
mod filtered_store;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;

mod naming;
pub mod sops;
pub mod vault;

pub use backend::{Backend, NativeWrite};
pub(in crate::adapters) use backend::{after, read_each, with_pauses};
pub use backend_store::BackendStore;
pub use filtered_store::{EntryPatterns, FilteredStore};
pub use naming::Naming;

/// The folder where a pod finds its service account.
pub const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
