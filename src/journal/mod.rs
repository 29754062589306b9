//! FLOOR 2: the journal. The write-ahead rule ([`write_ahead`]), its lines ([`campaign`]), the port to where they are
//! kept ([`store`]), the form they are kept in ([`line`]), what `status` shows of them ([`overview`]) and the clock port
//! ([`clock`]).
//!
//! Knows the machine and nothing of IAM, stores or files.

pub mod campaign;
pub mod clock;
pub mod line;
pub mod overview;
pub mod store;
pub mod write_ahead;
