//! Programs that rotator starts: with a time limit, a bounded answer and an environment that names each variable.

pub(in crate::adapters) mod child;
pub(in crate::adapters) mod environment;
pub(in crate::adapters) mod program;
