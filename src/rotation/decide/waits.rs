//! Why a rotation waits where the operator has set the time.

/// After `stored-new`.
pub const OVERLAP: &str = "both keys stay active for the overlap";

/// The same after an operator has made the old key active again.
pub const OLD_STAYS: &str = "the old key was made active again, so both keys stay active until an operator decides \
                                     about it; after the overlap the rotation asks for that";

/// After the old key is deactivated.
pub const QUARANTINE: &str = "the old key stays inactive for the quarantine";
