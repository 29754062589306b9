//! The real binary killed, signalled, stopped, answered badly and interfered with at any moment, and resumed. What the
//! binary does when all goes well is in `cli`; single steps are tried in `sim` and in the library's own tests.

mod clocks;
mod elsewhere;
mod kills;
mod kills_at_moto;
mod lookalikes;
mod outputs;
mod people;
mod person;
mod reader;
mod replies;
mod rig;
mod scene;
mod signals;
mod standing;
mod stopped;
mod throttled;
