//! The real binary killed, signalled, stopped, answered badly and interfered with at any moment, then resumed. Tests
//! without faults are in `cli`; tests of single steps are in `sim` and beside the source.

mod clocks;
mod interference;
mod kills;
mod kills_at_moto;
mod operator;
mod outputs;
mod reader;
mod replies;
mod restored;
mod rig;
mod scene;
mod signals;
mod states;
mod stopped;
mod throttled;
mod wrong_session;
