//! FLOOR 0: the machine. Pure: no async, no clock, no IO.
//!
//! Start with [`standing`] (where a rotation stands and what holds there), then [`apply`] (what may follow),
//! [`plan`] (what to do next) and [`reconcile`] (what a crash meant). No function elsewhere knows any of that.

pub mod apply;
pub mod denied;
pub mod effect;
pub mod event;
mod facts;
pub mod failure;
pub mod known;
pub mod name;
pub mod plan;
pub mod policy;
pub mod reason;
pub mod reconcile;
mod record;
pub mod secret;
pub mod shell;
pub mod sink;
pub mod standing;
pub mod watched;
pub mod wording;

#[cfg(test)]
mod tests;
