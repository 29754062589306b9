//! The recovery table (`docs/design/recovery.md`): an effect in doubt and what was seen -> what must have happened.
//! Pure and total.
//!
//! | in doubt | how we got here: a crash story | rows |
//! |---|---|---|
//! | `CreateNew` | the request was sent and no reply arrived | [`create_new`] |
//! | `StoreNew`, `RestoreOld` | killed while the store was written; one place of three done | [`write`] |
//! | `FenceStore` | killed while the old values were rewritten | back to the phase: it is asked for again |
//! | `WriteSink` | killed while a sink was written, which cannot be read | the same: it is written again |
//! | a deactivation | the reply to `UpdateAccessKey` was lost | [`deactivation`] |
//! | a reactivation | the same | back to the phase: it is asked for again, whatever a list shows |
//! | a delete | the reply to `DeleteAccessKey` was lost | [`delete`] |

use std::collections::BTreeSet;

use super::preconditions::{
    holds_new, lists_our_own, require_confirmed, require_key_list, require_last_used, require_readable_places,
    require_scan,
};
use super::step::{Decision, Requires, Step, block};
use crate::rotation::block_reason::BlockReason;
use crate::rotation::event::{Event, NotDone, Outcome};
use crate::rotation::intent::Intent;
use crate::rotation::lost_create::in_window;
use crate::rotation::observed::{KeyOwner, KeyStatus, Observed, PlaceContent};
use crate::rotation::policy::Unclaimed;
use crate::rotation::record::Rotation;
use crate::rotation::state::Phase;
use crate::types::name::AccessKeyId;
use crate::types::time::Timestamp;

fn done(outcome: Outcome) -> Step {
    Step::Record(Event::Done(outcome))
}

const fn not_done() -> Step {
    Step::Record(Event::NotDone(NotDone::Seen))
}

/// The next step towards knowing what became of `intent`.
#[must_use]
pub(super) fn reconcile(decision: Decision<'_>, phase: &Phase, intent: &Intent) -> Step {
    let Decision { rotation, observed, .. } = decision;
    let step = match intent {
        Intent::CreateNew { listed, asked_at, give_up_at } => {
            create_new(rotation, listed, *asked_at, *give_up_at, observed)
        }
        Intent::StoreNew => put_back(rotation, observed).and_then(|()| write(decision, phase)),
        // All, half or nothing of the old pair may be restored: `next_step` looks at the places and continues from
        // what it finds.
        Intent::RestoreOld => require_readable_places(observed).map(|_| not_done()),
        // A fence may be put up as often as one likes.
        Intent::FenceStore => Ok(not_done()),
        // Nothing shows what a sink holds. The same pair may be written to it as often as one likes; what that waits for
        // before it writes another is on record.
        Intent::WriteSink { .. } => Ok(not_done()),
        Intent::DeactivateOld => deactivation(rotation, &rotation.opened.old_key, observed)
            .map(|step| step.unwrap_or_else(|at| done(Outcome::OldDeactivated { at }))),
        Intent::DeactivateNew { key } => deactivation(rotation, key, observed)
            .map(|step| step.unwrap_or_else(|at| done(Outcome::NewDeactivated { at }))),
        // A list that shows the key active may be from before our own deactivation. To make it active once more does no
        // harm; to believe that it is active, while it is not, does.
        Intent::ReactivateOld | Intent::ReactivateNew { .. } => Ok(not_done()),
        Intent::DeleteOld => delete(rotation, &rotation.opened.old_key, Outcome::OldDeleted, observed),
        Intent::DiscardNew { key, then, .. } => delete(rotation, key, Outcome::NewDiscarded { then: *then }, observed),
        Intent::DeleteNamed { key } => delete(rotation, key, Outcome::NamedDeleted { key: key.clone() }, observed),
    };
    step.unwrap_or_else(|step| step)
}

/// Story: the create request was sent, and we died, or the line did, before the reply was on record.
fn create_new(
    rotation: &Rotation,
    listed: &BTreeSet<AccessKeyId>,
    asked_at: Timestamp,
    give_up_at: Timestamp,
    observed: &Observed,
) -> Requires<Step> {
    let keys = require_key_list(rotation, observed)?;
    let accounted = |id: &AccessKeyId| listed.contains(id) || rotation.kept.contains(id) || rotation.named.contains(id);
    let unknown: Vec<_> = keys.keys.iter().flatten().filter(|key| !accounted(&key.id)).collect();
    let seen = match &keys.keys {
        None => "no such user".to_owned(),
        Some(_) => unknown.iter().map(|key| key.id.as_str()).collect::<Vec<_>>().join(" "),
    };
    match &rotation.first_sighting {
        Some(first) if first.seen == seen => {
            let due = rotation.opened.policy.settled_after(first.at.max(give_up_at));
            if keys.at < due {
                let why = "the reply to CreateAccessKey was lost; IAM may not show yet what it did".to_owned();
                return Ok(Step::Wait { until: due, why });
            }
        }
        Some(_) | None => return Ok(Step::Record(Event::LookedOnce { at: keys.at, seen })),
    }
    let ids = || unknown.iter().map(|key| key.id.clone()).collect::<Vec<_>>();
    let unclaimed = |why: &str| Ok(block(BlockReason::UnclaimedKeys { keys: ids(), why: why.to_owned() }));
    let [key] = unknown.as_slice() else {
        return if unknown.is_empty() {
            Ok(not_done())
        } else {
            unclaimed("one create makes one key, so at least one is not ours")
        };
    };
    // Of a user that was deleted and made again under the same name, no key is ours.
    if !lists_our_own(rotation, keys) {
        return unclaimed("the old key is not listed beside it, so this may be another user of the same name");
    }
    if !in_window(key.created, asked_at, give_up_at) {
        return unclaimed("it was not created while the call was under way");
    }
    if require_last_used(observed, &key.id)?.is_some() {
        return unclaimed("it has been used, and ours was not");
    }
    let scan = require_scan(observed, &key.id)?;
    if !scan.naming(&key.id).is_empty() {
        return unclaimed(&format!("{} names it, and ours was not stored", scan.naming(&key.id).join(", ")));
    }
    if !scan.unreadable.is_empty() {
        return Ok(block(BlockReason::Unreadable { entries: scan.unreadable.clone() }));
    }
    match rotation.opened.policy.unclaimed {
        Unclaimed::Reclaim => Ok(done(Outcome::FoundCreated { key: key.id.clone() })),
        Unclaimed::Report => unclaimed("it bears every mark of ours, but its secret is lost"),
    }
}

/// Story: killed after the write and before it was read back, and another writer put the old pair back meanwhile. That is another
/// writer's value, and is not overwritten.
fn put_back(rotation: &Rotation, observed: &Observed) -> Requires<()> {
    let places = require_readable_places(observed)?;
    if observed.put_back.is_empty() {
        return Ok(());
    }
    if !rotation.abort_asked {
        return Err(block(BlockReason::Reverted {
            places: observed.put_back.clone(),
            still_new: places.which(PlaceContent::New),
            new_key_gone: false,
        }));
    }
    // The old pair stands everywhere again: the new key can be discarded.
    if places.all(PlaceContent::Old) {
        return Ok(());
    }
    Err(block(BlockReason::CannotAbort { places: places.which_not(PlaceContent::Old), new_key_gone: false }))
}

/// Story: killed while the places were written. A store that cannot be read leaves it in doubt.
fn write(decision: Decision<'_>, phase: &Phase) -> Requires<Step> {
    let Decision { memory, observed, now, .. } = decision;
    let places = require_readable_places(observed)?;
    if places.all(PlaceContent::New) && phase.made().is_some() {
        return Ok(done(Outcome::Stored { at: now }));
    }
    // Some hold it: the secret is in hand again, and `next_step` rolls forward. None: `next_step` fences and discards.
    let can_restore = memory.new_secret && memory.old_values;
    if places.any(PlaceContent::Foreign) && holds_new(places) && !can_restore {
        return Ok(block(BlockReason::ChangedElsewhere {
            places: places.which(PlaceContent::Foreign),
            still_new: places.which(PlaceContent::New),
            new_key_gone: false,
        }));
    }
    Ok(not_done())
}

/// Story: the reply to a deactivation was lost. What agrees with us is believed at once; what contradicts us only when it
/// is seen twice, `settle` apart: then the rotation is back in its phase, where another deactivation needs all of its
/// ground afresh. `Err(at)` inside: it happened, seen at that moment.
fn deactivation(rotation: &Rotation, key: &AccessKeyId, observed: &Observed) -> Requires<Result<Step, Timestamp>> {
    let keys = require_key_list(rotation, observed)?;
    let seen = match keys.find(key).map(|key| key.status) {
        Some(KeyStatus::Inactive | KeyStatus::Expired) => return Ok(Err(keys.at)),
        Some(status @ (KeyStatus::Active | KeyStatus::Other)) => status.name(),
        None => "not listed",
    };
    require_confirmed(rotation, keys.at, seen)?;
    Ok(Ok(not_done()))
}

/// Story: the reply to a delete was lost. A listed key was not deleted; an unlisted one was, but the delete of the old
/// key ends the rotation for good, so IAM must also show that the old key does not exist.
fn delete(rotation: &Rotation, key: &AccessKeyId, outcome: Outcome, observed: &Observed) -> Requires<Step> {
    let keys = require_key_list(rotation, observed)?;
    if keys.find(key).is_some() {
        return Ok(not_done());
    }
    require_confirmed(rotation, keys.at, "not listed")?;
    let is_gone = lists_our_own(rotation, keys) || observed.owners.get(key) == Some(&KeyOwner::NoSuchKey);
    let ends_well = outcome == Outcome::OldDeleted;
    Ok(if is_gone || !ends_well { done(outcome) } else { not_done() })
}
