//! rotator's own uses of a key, as its journal has them. IAM reports only the last use of a key, and a proof is a use.

use super::event::{OldPair, UsedBefore};
use super::observed::KeyUse;
use super::record::Rotation;
use crate::types::name::AccessKeyId;
use crate::types::time::Timestamp;

/// What the closed rotations of one key say about rotator's own uses of the key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnUses {
    /// The proofs of the key as an old pair, by rotations that did not replace it. The oldest is first.
    tried: Vec<OldPair>,
    /// The beginning and the end of the rotation that made the key. Its proofs are in between, and the last one is right
    /// before its end.
    made: Option<(Timestamp, Timestamp)>,
}

impl OwnUses {
    /// Takes in a closed rotation of the key, with its beginning and its end. The oldest is taken first.
    pub fn take(&mut self, key: &AccessKeyId, rotation: &Rotation, began: Timestamp, ended: Timestamp) {
        if rotation.opened.old_key == *key {
            self.tried.push(rotation.opened.old_pair.clone());
        }
        if rotation.new_key.as_ref() == Some(key) {
            self.made = Some((began, ended));
        }
    }

    /// Returns the last use by another program, given the use that IAM reports. `None`: only rotator's own use is known.
    ///
    /// A call of STS at the time of a proof is the proof. Before the proof of an old pair, the journal has the use that
    /// IAM reported then. A key that rotator made has no earlier use than the proofs of its rotation.
    #[must_use]
    pub fn last_use_by_others(&self, reported: UsedBefore) -> Option<UsedBefore> {
        let mut last = reported;
        for pair in self.tried.iter().rev() {
            if let UsedBefore::Last(used) = &last
                && pair.is_proof(used)
            {
                last = pair.last_used.clone()?;
            }
        }
        match (last, self.made) {
            (UsedBefore::Last(used), Some(made)) if is_within(&used, made) => Some(UsedBefore::Never),
            (last, _) => Some(last),
        }
    }
}

/// Returns whether the use may be a proof of the rotation that made the key.
fn is_within(used: &KeyUse, (began, ended): (Timestamp, Timestamp)) -> bool {
    let since = began.minus(OldPair::SAME_USE);
    used.is_of_sts() && used.at >= since && used.at <= ended.plus(OldPair::SAME_USE)
}
