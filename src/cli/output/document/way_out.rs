//! The way out of a block, where it depends on the rotation and not only on the reason.

use crate::rotation::block_reason::BlockReason;
use crate::rotation::record::Rotation;
use crate::rotation::state::Phase;
use crate::types::name::AccessKeyId;
use crate::types::shell::quoted;

/// The message for an operator, and the command that resolves the block.
pub(super) fn of(rotation: &Rotation, reason: &BlockReason) -> (String, String) {
    if let BlockReason::Reverted { places, new_key_gone: false, .. } = reason
        && places.len() >= rotation.opened.places.len()
    {
        return (no_place_is_left(rotation, places), format!("rotator abort {}", rotation.id));
    }
    if let BlockReason::OldKeyGone { key, places, new_key_gone: false, .. } = reason
        && let Some(made) = rotation.made()
        && places.len() >= rotation.opened.places.len()
    {
        return (no_pair_works(rotation, key, &made.key, places), reason.command(rotation.id));
    }
    if let BlockReason::CannotAbort { places, new_key_gone: false } = reason
        && matches!(rotation.state.phase(), Some(Phase::StoredNew { .. } | Phase::DeactivatedOld { .. }))
        && places.len() >= rotation.opened.places.len()
    {
        return (no_place_is_back(rotation, places), format!("rotator abort {} --undo", rotation.id));
    }
    (reason.message(&rotation.opened.user), reason.command(rotation.id))
}

/// Nothing has been done for the abort yet, so the rotation can still go on as before.
fn no_place_is_back(rotation: &Rotation, places: &[String]) -> String {
    let user = quoted(rotation.opened.user.as_str());
    format!(
        "an abort was asked for, but no place holds the old pair, of which rotator keeps no copy; both keys stay until you \
         decide; to keep the new key, take the abort back: the rotation then continues as before, with its overlap and \
         quarantine; to go back to the old key, put the old pair into {}, then `rotator resume {user}`",
        places.join(", ")
    )
}

/// The places were all that held the new secret.
fn no_place_is_left(rotation: &Rotation, places: &[String]) -> String {
    let (policy, user) = (&rotation.opened.policy, quoted(rotation.opened.user.as_str()));
    let was_hurried = rotation.named.contains(&rotation.opened.old_key);
    let now = if was_hurried || (policy.overlap.is_zero() && policy.quarantine.is_zero()) { " --now" } else { "" };
    format!(
        "the old pair is back in {}: it was reverted, and no place holds the new pair any more, whose secret rotator does not \
         keep; find out what put the old pair back, abort, which discards the new key, and rotate again: `rotator rotate \
         {user}{now}`; only if the store keeps an earlier version with the new pair: put that back, then resume",
        places.join(", ")
    )
}

/// No place holds the new pair, and the old key is gone: nothing but another pair helps.
fn no_pair_works(rotation: &Rotation, old: &AccessKeyId, new: &AccessKeyId, places: &[String]) -> String {
    let user = quoted(rotation.opened.user.as_str());
    format!(
        "the old pair is back in {}, and its key {old} is not in IAM any more: programs that read it fail. No place holds the \
         new pair, of {new}, whose secret rotator does not keep. If a backup or an earlier version in the store has the new \
         pair, put that back, then resume. If not, its secret is lost: run `aws iam create-access-key --user-name {user}` and \
         put that pair into every place, then `aws iam delete-access-key --user-name {user} --access-key-id {new}` and \
         `rotator abort {user}`, which closes this rotation",
        places.join(", ")
    )
}
