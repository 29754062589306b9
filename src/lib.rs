//! rotator rotates the AWS access keys in a secret store, and survives a crash at any moment.
//!
//! The floors, from the ground up; imports go down only (`tests/it/tidy.rs` says so):
//!
//! | floor | modules | what lives there |
//! |---|---|---|
//! | 0 | [`rotation`], [`discovery`] | pure: the machine; finding and splicing keys |
//! | 1 | [`journal`] | the write-ahead rule and its door |
//! | 2 | [`ports`] | what the engine asks of IAM, STS, a store and a sink |
//! | 3 | [`engine`], [`adapters`], [`sandbox`] | the loop; the real world; a look-alike of it |
//! | 4 | [`cli`] | words, arguments, exit codes |
//!
//! Beside them [`planted`]: faults for the tests to find, absent from every release.

pub mod adapters;
pub mod cli;
pub mod discovery;
pub mod engine;
pub mod journal;
pub mod planted;
pub mod ports;
pub mod rotation;
pub mod sandbox;
pub mod types;
