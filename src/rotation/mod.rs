//! FLOOR 1: the machine. Pure: no async, no clock, no IO.
//!
//! Start with [`state`] (the state of a rotation and its facts), then [`apply`] (what may follow), [`decide`] (what
//! to do next, and what a crash meant). No function elsewhere knows any of that.

pub mod apply;
pub mod block_reason;
pub mod decide;
pub mod denied;
pub mod effect;
pub mod event;
pub mod intent;
mod invariants;
pub mod lost_create;
pub mod observed;
pub mod own_use;
pub mod policy;
pub mod record;
mod rights;
pub mod sink;
pub mod state;

#[cfg(test)]
mod tests;
