//! A simulated environment behind the real ports: fake IAM, STS, stores and clock, with faults at every call.
//!
//! The state machine, the write-ahead rule, the engine and discovery are the real ones. After every change the promises
//! of `docs/design/promises.md` are checked.

mod clockwork;
mod crashes;
mod crowd;
mod drawn;
mod effects;
mod eventual_consistency;
mod faults;
mod freshness;
mod journal;
mod kinds;
mod lag;
mod life;
mod lives;
mod old_pairs;
mod operator;
mod ports;
mod process;
mod promises;
mod random;
mod schedule;
mod setup;
mod state;
mod stories;
mod traffic;
mod weeks;

pub(crate) use faults::{Fault, Faults, Interference, Lasting, Op, Trouble};
pub(crate) use lag::{Spans, Visibility};
pub(crate) use schedule::{Backing, Played, play};
pub(crate) use setup::Setup;
