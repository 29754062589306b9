//! A simulated world behind the real ports: fake IAM, STS, stores and clock, and faults at every touch of them.
//!
//! The machine, the door, the drive and discovery are the real ones. After every touch the promises of DESIGN
//! section 1 are checked.

mod faults;
mod journal;
mod ports;
mod schedule;
mod state;
mod stories;

pub(crate) use faults::{Fault, Faults, Interference};
pub(crate) use schedule::{Backing, Setup, play};
