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
pub mod choice;
mod confirm;
mod consider;
mod facts;
mod failing;
pub mod home;
mod large;
mod late;
mod late_copies;
mod left_as_is;
mod old_pair;
pub mod own_credentials;
pub mod owner;
pub mod pace;
pub mod places;
pub mod prove;
mod refused;
mod removal;
mod renamed;
pub mod report;
pub mod rotate;
pub mod scans;
mod second_key;
mod settle;
pub mod sinks;
pub mod stop;
pub mod survey;
mod waits;
pub mod world;
pub mod writable;
pub mod write;
pub mod writers;
