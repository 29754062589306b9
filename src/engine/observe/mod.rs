//! What is read of the stores and of AWS for one rotation or a survey. Changes nothing.

pub(in crate::engine) mod large;
pub mod places;
pub mod prove;
pub mod scan;
pub mod writable;
