//! Secret stores, one module each; none knows another. What all have in common stands beside them: how a store's own
//! names become entries, and what of a store the configuration leaves out.

mod backend;
mod chosen;
pub mod embedded;
pub mod exec;
pub mod file;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
mod named;
mod naming;
pub mod sops;
pub mod vault;

pub use backend::{Backend, NativeWrite};
pub(in crate::adapters) use backend::{after, read_each};
pub use chosen::Chosen;
pub use named::Named;
pub use naming::Naming;
