//! FLOOR 1: the journal. The write-ahead rule ([`write_ahead`]), its lines ([`entry`]), the port to where they are
//! kept ([`store`]), the form they are kept in ([`form`]) and the clock port ([`clock`]).
//!
//! Knows the machine and nothing of IAM, stores or files.

pub mod clock;
pub mod entry;
pub mod form;
pub mod store;
pub mod write_ahead;
