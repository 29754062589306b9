//! FLOOR 3: what the engine asks of the world. Traits and what they answer; no implementation.
//!
//! A method that changes IAM or a store takes a journaled effect by value (see [`crate::journal::write_ahead`]).

pub mod call;
pub mod iam;
pub mod identity;
pub mod secret_store;
pub mod sink;
