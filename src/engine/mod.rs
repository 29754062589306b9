//! FLOOR 4: the loop over one rotation ([`executor`]) and the campaign over many ([`campaign`]); the same for `run` and
//! `resume`, so that recovery is exercised every day.
//!
//! The engine knows the ports and no adapter. It decides nothing about a rotation: `rotation::decide` does.

pub mod account_label;
pub mod accounts;
mod admission;
pub mod aws_clock;
mod backoff;
pub mod campaign;
pub mod error;
pub mod executor;
pub mod observe;
pub mod options;
pub mod own_credentials;
pub mod rate_limit;
mod removal_queue;
pub mod report;
pub mod session;
pub mod session_check;
pub mod shutdown;
pub mod sinks;
pub mod stores;
pub mod survey;
pub mod tasks;
pub mod write_locks;
