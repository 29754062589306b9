//! The real binary killed, signalled, stopped, answered badly and interfered with at any moment, and resumed. What the
//! binary does when all goes well is in `cli`; single steps are tried in `sim` and in the library's own tests.

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
