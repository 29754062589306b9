//! Reading the pair at a place, and writing a new one there with every other byte left as it is.

pub use self::edit::{SpliceError, splice_all};
pub use self::reading::{PairSeen, ReadPairError, read_pair, read_pairs};
pub use self::rehearse::rehearse_splice;
pub(super) use self::rehearse::{Rehearsed, rehearse_all};

mod edit;
mod reading;
mod rehearse;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod tests;
