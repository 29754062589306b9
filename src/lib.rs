//! rotator rotates the AWS access keys in a secret store, and survives a crash at any moment.
//!
//! The floors, from the ground up; imports go down only (`tests/it/tidy.rs` says so):
//!
//! | floor | modules | what lives there |
//! |---|---|---|
//! | 0 | [`types`] | names, secrets, places, failures |
//! | 1 | [`discovery`], [`rotation`] | pure: finding pairs and editing documents; the state machine of a rotation |
//! | 2 | [`journal`] | the write-ahead rule, and the ports of storage and clock |
//! | 3 | [`ports`] | what the engine asks of IAM, STS, a store and a sink |
//! | 4 | [`engine`], [`adapters`], [`sandbox`] | the loop and the campaign; the real world; a look-alike of AWS |
//! | 5 | [`cli`] | arguments, configuration, output, exit codes |

pub mod adapters;
pub mod cli;
pub mod discovery;
pub mod engine;
pub mod journal;
pub mod ports;
pub mod rotation;
pub mod sandbox;
pub mod types;
