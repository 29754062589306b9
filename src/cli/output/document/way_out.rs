//! The way out of a block, where it depends on the rotation and not only on the reason.

use crate::rotation::block_reason::BlockReason;
use crate::rotation::record::Rotation;
use crate::types::shell::quoted;

/// The message for an operator, and the command that resolves the block.
pub(super) fn of(rotation: &Rotation, reason: &BlockReason) -> (String, String) {
    if let BlockReason::Reverted { places } = reason
        && places.len() >= rotation.opened.places.len()
    {
        return (no_place_is_left(rotation, places), format!("rotator abort {}", rotation.id));
    }
    (reason.message(), reason.command(rotation.id))
}

/// The places were all that held the new secret.
fn no_place_is_left(rotation: &Rotation, places: &[String]) -> String {
    let (policy, user) = (&rotation.opened.policy, quoted(rotation.opened.user.as_str()));
    let was_hurried = rotation.named.contains(&rotation.opened.old_key);
    let now = if was_hurried || (policy.overlap.is_zero() && policy.quarantine.is_zero()) { " --now" } else { "" };
    format!(
        "{} holds the old pair again: it was reverted, and no place holds the new pair any more, whose secret rotator does not \
         keep; find out what put the old pair back, abort, which discards the new key, and rotate again: `rotator rotate \
         {user}{now}`; only if the store keeps an earlier version with the new pair: put that back, then resume",
        places.join(", ")
    )
}
