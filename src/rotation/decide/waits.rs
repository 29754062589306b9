//! Why a rotation waits where the operator has set the time.

/// After `stored-new`, where a quarantine follows.
pub const OVERLAP: &str = "both keys stay active for the overlap";

/// The same where no quarantine follows. A deleted key cannot come back.
pub const OVERLAP_THEN_DELETE: &str = "both keys stay active for the overlap, and then the old one is deleted";

/// The same after an operator has made the old key active again.
pub const OLD_STAYS: &str = "the old key was made active again, so both keys stay active until an operator decides about it; \
    after the overlap the rotation asks for that";

/// After the old key is deactivated.
pub const QUARANTINE: &str = "the old key stays inactive for the quarantine";

/// Whether a table or a story shows this wait by the step that follows it.
#[must_use]
pub fn is_shown_by_its_step(why: &str) -> bool {
    [OVERLAP, OVERLAP_THEN_DELETE, QUARANTINE].contains(&why)
}
