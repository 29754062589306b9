//! FLOOR 3: the loop over one rotation ([`rotate`]) and the campaign over many ([`campaign`]); the same for `run` and
//! `resume`, so that recovery is exercised every day.
//!
//! Knows the ports, never an adapter. Decides nothing about a rotation: that is `rotation::plan`'s.

pub mod accounts;
mod act;
mod admission;
pub mod aws_clock;
mod bars;
pub mod campaign;
mod confirm;
mod facts;
pub mod home;
mod old_pair;
pub mod owner;
pub mod pace;
pub mod places;
pub mod prove;
mod removal;
pub mod report;
pub mod rotate;
pub mod scans;
pub mod sinks;
pub mod stop;
pub mod survey;
pub mod world;
pub mod writable;
pub mod write;
pub mod writers;
