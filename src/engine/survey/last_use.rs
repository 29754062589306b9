//! The last use of a key, as a survey shows it.

use crate::rotation::event::UsedBefore;

/// The last use of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastUse {
    /// As IAM reports it.
    pub reported: UsedBefore,
    /// The last use by another program than rotator. `None`: not known, because rotator has used the key since.
    pub by_others: Option<UsedBefore>,
}

impl LastUse {
    /// Whether the reported use is a proof of rotator.
    #[must_use]
    pub fn is_own_proof(&self) -> bool {
        self.by_others.as_ref() != Some(&self.reported)
    }
}
