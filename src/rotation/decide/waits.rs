//! Why a rotation waits where the operator has set the time.

/// After `stored-new`.
pub const OVERLAP: &str = "both keys stay active for the overlap";

/// After the old key is deactivated.
pub const QUARANTINE: &str = "the old key stays inactive for the quarantine";
