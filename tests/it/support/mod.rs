//! What several integration tests need.

pub(crate) mod memory_journal;
pub(crate) mod other_process;
pub(crate) mod rotations;
