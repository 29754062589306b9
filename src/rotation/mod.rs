//! FLOOR 0: the machine. Pure: no async, no clock, no IO.

pub mod name;
pub mod secret;
