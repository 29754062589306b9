//! Sinks, one module each: they take a pair and cannot be read.

pub mod exec;
