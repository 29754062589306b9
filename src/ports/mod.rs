//! FLOOR 3: the traits by which the engine reaches IAM, STS, stores and sinks, and their answers; no implementation.
//!
//! A method that changes IAM or a store takes a journaled effect by value (see [`crate::journal::write_ahead`]).

pub mod call;
pub mod iam;
pub mod identity;
pub mod secret_store;
pub mod sink;
