//! Secret stores, one module each; none knows another. What all have in common stands beside them: how a store's own
//! names become entries, and what of a store the configuration leaves out.

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
pub(in crate::adapters) use backend::{after, read_each};
pub use backend_store::BackendStore;
pub use filtered_store::FilteredStore;
pub use naming::Naming;
