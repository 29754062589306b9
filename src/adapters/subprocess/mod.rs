//! Starts programs with a time limit, a limited output and an explicit environment.

pub(in crate::adapters) mod child;
pub(in crate::adapters) mod environment;
pub(in crate::adapters) mod program;
