//! FLOOR 0: the values that every floor above uses: names, secrets, times, places, and failures of effects.
//!
//! Nothing here decides anything, and nothing is read from a clock, a file or the network.

pub mod error_text;
pub mod failure;
pub mod name;
pub mod place;
pub mod secret;
pub mod shell;
pub mod time;
