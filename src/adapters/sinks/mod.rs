//! The sinks, one module each: write-only targets of new pairs.

pub mod exec;
