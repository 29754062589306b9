//! FLOOR 4: the loop over one rotation ([`executor`]) and the campaign over many ([`campaign`]); the same for `run` and
//! `resume`, so that recovery is exercised every day.
//!
//! Knows the ports, never an adapter. Decides nothing about a rotation: that is `rotation::plan`'s.

pub mod accounts;
mod admission;
pub mod aws_clock;
pub mod campaign;
pub mod executor;
pub mod observe;
pub mod own_credentials;
pub mod rate_limit;
pub mod report;
pub mod session;
pub mod session_check;
pub mod shutdown;
pub mod sinks;
pub mod survey;
