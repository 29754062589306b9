//! Reads the stores and AWS for a rotation or a survey. Nothing here changes anything.

pub(in crate::engine) mod environments;
pub(in crate::engine) mod large;
pub mod places;
pub mod prove;
pub mod scan;
pub mod writable;
