//! `stored-new` and `deactivated-old`: the way to the removal of the old key, and back if a place is reverted.

use super::preconditions::{
    delete_named, late_copies, require_fence_passed, require_keys, require_last_used, require_readable_places,
    require_unreferenced,
};
use super::step::{Decision, Query, Requires, Step, block, end};
use super::waits::{OLD_STAYS, OVERLAP, OVERLAP_THEN_DELETE, QUARANTINE};
use crate::rotation::block_reason::BlockReason;
use crate::rotation::denied::Denied;
use crate::rotation::event::{Ending, Event};
use crate::rotation::intent::{AfterDiscard, Intent};
use crate::rotation::observed::{
    InMemoryFacts, KeySeen, KeyStatus, KeysSeen, Observed, PlaceContent, PlacesSeen, Proof,
};
use crate::rotation::policy::{LATE_REQUEST, StillInUse};
use crate::rotation::record::Rotation;
use crate::rotation::sink::SinkState;
use crate::rotation::state::NewKeyState;
use crate::types::name::AccessKeyId;
use crate::types::time::Timestamp;

pub(super) fn next(decision: Decision<'_>, made: &NewKeyState, stored_at: Timestamp) -> Requires<Step> {
    let Decision { rotation, memory, observed, now } = decision;
    let policy = &rotation.opened.policy;
    let old = &rotation.opened.old_key;
    delete_named(rotation, observed)?;
    let at_operators_request = rotation.named.contains(old);
    let unfollowed = rotation.without_new(made);
    if let Some(sink) = rotation.just_left(made).filter(|_| !policy.overlap.is_zero()) {
        // Programs that read this sink get the new pair from the operator, at the earliest now.
        return Ok(Step::Record(Event::SinkLeft { sink, at: now }));
    }
    let due = rotation.followed_since(made, stored_at).plus(policy.overlap);
    let stays = rotation.is_never_deactivated_again();
    let why = match (stays, policy.quarantine.is_zero()) {
        (true, _) => OLD_STAYS,
        (false, true) => OVERLAP_THEN_DELETE,
        (false, false) => OVERLAP,
    };
    let overlap = || Step::Wait { until: due, why: why.to_owned() };
    let early = |at: Timestamp| at < due && unfollowed.is_none() && !rotation.abort_asked && !at_operators_request;
    if early(now) {
        // Looked at in every run, not when the overlap is over: a program that reads another value may fail now.
        let places = observed.places.as_ref().ok_or(Step::Observe(Query::Places))?;
        each_holds_a_known_pair(places, false)?;
        if places.any(PlaceContent::Old) {
            let (which, still_new) = (places.which(PlaceContent::Old), places.which(PlaceContent::New));
            return Ok(block(BlockReason::Reverted { places: which, still_new, new_key_gone: false }));
        }
        return Ok(overlap());
    }
    let keys = require_keys(rotation, observed)?;
    if early(keys.at) {
        return Ok(overlap());
    }
    let places = require_readable_places(observed)?;
    let old_seen = keys.find(old);
    // Without the old key the rotation cannot be undone: an abort is too late.
    if let Some(old_seen) = old_seen.filter(|_| rotation.abort_asked) {
        return abort(decision, made, old_seen, places);
    }
    nothing_is_left(rotation, made, keys)?;
    every_place_is_new(rotation, made, keys, places)?;
    if made.discard_may_land && old_seen.is_some() {
        return Ok(block(BlockReason::NewKeyDiscarded { key: made.key.clone() }));
    }
    stored_pair_answers(rotation, made, observed)?;
    if let Some(sink) = unfollowed {
        return Ok(write_sink(rotation, sink, &made.key, memory, now));
    }
    sinks_are_quiet(rotation, now)?;
    // A write of this pair that lands later would undo what the user's next rotation stores.
    if made.write_may_land {
        require_fence_passed(made, now)?;
    }
    let Some(old_seen) = old_seen else {
        require_unreferenced(observed, old)?;
        return Ok(delete_old(rotation, keys));
    };
    if rotation.is_never_deactivated_again() && !at_operators_request {
        return Ok(block(BlockReason::OldKeyReactivated { key: old.clone() }));
    }
    let made_active = rotation.seen_inactive && old_seen.status == KeyStatus::Active;
    if made_active && !at_operators_request {
        return Ok(block(BlockReason::OldKeyReactivated { key: old.clone() }));
    }
    late_copies(rotation, old_seen.status, observed)?;
    require_unreferenced(observed, old)?;
    let still_in_use = policy.still_in_use == StillInUse::Wait && old_seen.status == KeyStatus::Active;
    if still_in_use && !at_operators_request {
        old_key_is_quiet(rotation, keys.at, due, observed)?;
    }
    if policy.quarantine.is_zero() || at_operators_request {
        return Ok(Step::Execute(Intent::DeleteOld));
    }
    Ok(Step::Execute(Intent::DeactivateOld))
}

/// Writes the pair to a sink as soon as no other write can take effect there.
fn write_sink(rotation: &Rotation, sink: usize, key: &AccessKeyId, memory: InMemoryFacts, now: Timestamp) -> Step {
    let (follower, state) = (&rotation.opened.sinks[sink], &rotation.sinks[sink]);
    match state.others_may_land_until(key) {
        Some(until) if until > now => {
            let why = format!("a write of another pair that was sent to {} may still change it", follower.sink);
            Step::Wait { until, why }
        }
        Some(_) | None => {
            let until = now.plus(memory.call_timeout).plus(follower.lands_within);
            Step::Execute(Intent::WriteSink { sink, key: key.clone(), asked_at: now, until })
        }
    }
}

/// A rotation closes only when nothing of it can land in a sink any more: the next one of the same user would not know.
fn sinks_are_quiet(rotation: &Rotation, now: Timestamp) -> Requires<()> {
    let latest = rotation.sinks.iter().filter_map(SinkState::may_land_until).max();
    match latest.filter(|until| *until > now) {
        Some(until) => Err(Step::Wait { until, why: "a write that was sent to a sink may still change it".to_owned() }),
        None => Ok(()),
    }
}

/// Both keys were deleted outside rotator: whatever the places hold, an abort has nothing to wait for.
fn nothing_is_left(rotation: &Rotation, made: &NewKeyState, keys: &KeysSeen) -> Requires<()> {
    let listed = |key| keys.find(key).is_some();
    if rotation.abort_asked && !listed(&rotation.opened.old_key) && !listed(&made.key) {
        return Err(end(Ending::Gone, "IAM lists neither the old key nor the new one any more"));
    }
    Ok(())
}

/// P3: an old key goes only while every place holds the new pair, and IAM has the new key active.
fn every_place_is_new(rotation: &Rotation, made: &NewKeyState, keys: &KeysSeen, places: &PlacesSeen) -> Requires<()> {
    each_holds_a_known_pair(places, keys.find(&made.key).is_none())?;
    if places.any(PlaceContent::Old) {
        return Err(reverted(rotation, (made, keys), places, places.which(PlaceContent::Old)));
    }
    let key = made.key.clone();
    match keys.find(&made.key).map(|seen| seen.status) {
        Some(KeyStatus::Active) => Ok(()),
        Some(status @ (KeyStatus::Inactive | KeyStatus::Expired | KeyStatus::Other)) => {
            Err(block(BlockReason::NewKeyNotActive { key, seen: status.name().to_owned() }))
        }
        None => Err(block(BlockReason::NewKeyGone { key })),
    }
}

/// No place that can be read holds anything but the old pair or the new one. `new_key_gone`: IAM was asked, and does not list
/// the new key.
fn each_holds_a_known_pair(places: &PlacesSeen, new_key_gone: bool) -> Requires<()> {
    let neither =
        [PlaceContent::Foreign, PlaceContent::Torn, PlaceContent::IdOnly].map(|shows| places.which(shows)).concat();
    if neither.is_empty() {
        return Ok(());
    }
    let still_new = places.which(PlaceContent::New);
    Err(block(BlockReason::ChangedElsewhere { places: neither, still_new, new_key_gone }))
}

/// `which` of the places are reverted.
fn reverted(
    rotation: &Rotation,
    (made, keys): (&NewKeyState, &KeysSeen),
    places: &PlacesSeen,
    which: Vec<String>,
) -> Step {
    let old = &rotation.opened.old_key;
    let still_new = places.which(PlaceContent::New);
    let new_key_gone = keys.find(&made.key).is_none();
    block(match keys.find(old) {
        Some(_) => BlockReason::Reverted { places: which, still_new, new_key_gone },
        None => BlockReason::OldKeyGone { key: old.clone(), places: which, still_new, new_key_gone },
    })
}

fn stored_pair_answers(rotation: &Rotation, made: &NewKeyState, observed: &Observed) -> Requires<()> {
    match observed.stored_pair.as_ref().ok_or(Step::Observe(Query::StoredPair))? {
        Proof::Passed => Ok(()),
        Proof::TimedOut(answer) => {
            Err(block(BlockReason::StoredPairFails { key: made.key.clone(), answer: answer.clone() }))
        }
        Proof::SomebodyElse(answer) => {
            Err(block(BlockReason::WrongIdentity { key: made.key.clone(), answer: answer.clone() }))
        }
        Proof::Denied(answer) => Err(block(rotation.blocked_for(Denied::of_proof(rotation, &made.key, answer)))),
    }
}

/// Quiet: not used for as long as the overlap, rotator's own proofs aside. Last use is reported late, so the wait is
/// rather too long; it ends with a block that names the service that still uses the old key.
fn old_key_is_quiet(rotation: &Rotation, at: Timestamp, due: Timestamp, observed: &Observed) -> Requires<()> {
    let key = &rotation.opened.old_key;
    let reported = require_last_used(observed, key)?;
    let Some(used) = rotation.opened.old_pair.last_use_by_others(reported) else { return Ok(()) };
    if used <= at.minus(rotation.overlap()) {
        return Ok(());
    }
    // Which service it was is known only of the last use of all.
    let reported = reported.filter(|reported| reported.at == used);
    let (service, region) =
        reported.map_or((None, None), |reported| (reported.service.clone(), reported.region.clone()));
    let patience = due.plus(rotation.opened.policy.still_in_use_for);
    if at >= patience {
        return Err(block(BlockReason::StillInUse {
            key: key.clone(),
            at: used,
            service: service.unwrap_or_else(|| "an unknown service".to_owned()),
            region: region.unwrap_or_else(|| "an unknown region".to_owned()),
        }));
    }
    let by = service.map(|service| format!(" by {service}")).unwrap_or_default();
    let why = format!("the old key {key} was still used at {used}{by}");
    Err(Step::Wait { until: used.plus(rotation.overlap()).min(patience), why })
}

/// An operator gave up after `stored-new`: the new key is discarded only once every place holds the old pair again,
/// and it works.
fn abort(decision: Decision<'_>, made: &NewKeyState, old_seen: &KeySeen, places: &PlacesSeen) -> Requires<Step> {
    let Decision { rotation, memory, observed, now } = decision;
    if !places.all(PlaceContent::Old) {
        let new_key_gone = require_keys(rotation, observed)?.find(&made.key).is_none();
        return Ok(block(BlockReason::CannotAbort { places: places.which_not(PlaceContent::Old), new_key_gone }));
    }
    if old_seen.status != KeyStatus::Active {
        let seen = old_seen.status.name().to_owned();
        return Ok(block(BlockReason::OldKeyNotActive { key: rotation.opened.old_key.clone(), seen }));
    }
    require_fence_passed(made, now)?;
    if let Some(sink) = rotation.not_back() {
        return Ok(write_sink(rotation, sink, &rotation.opened.old_key, memory, now));
    }
    sinks_are_quiet(rotation, now)?;
    outlived_its_delete(rotation, require_keys(rotation, observed)?)?;
    require_unreferenced(observed, &made.key)?;
    let why = "an operator asked for it, and put the old pair back".to_owned();
    Ok(Step::Execute(Intent::DiscardNew { key: made.key.clone(), then: AfterDiscard::Abort, why }))
}

/// The old key is listed, and a delete of it with an unknown outcome may still be executed: then the new key is all
/// there is. Listed as long after the first look as a request may be late, it stays.
fn outlived_its_delete(rotation: &Rotation, keys: &KeysSeen) -> Requires<()> {
    let Some(first) = rotation.first_sighting.as_ref().filter(|_| rotation.old_delete_may_land) else { return Ok(()) };
    let until = first.at.plus(LATE_REQUEST);
    if keys.at >= until {
        return Ok(());
    }
    Err(Step::Wait { until, why: "a delete of the old key that was sent may still be executed".to_owned() })
}

pub(super) fn next_deactivated(
    decision: Decision<'_>,
    made: &NewKeyState,
    deactivated_at: Timestamp,
) -> Requires<Step> {
    let Decision { rotation, observed, now, .. } = decision;
    let old = &rotation.opened.old_key;
    // Looked at in every run, not at the end only: a service that reads the old pair is cut off now.
    let places = require_readable_places(observed)?;
    let naming_old = [places.which(PlaceContent::Old), places.which(PlaceContent::Torn)].concat();
    if !naming_old.is_empty() || rotation.reactivate_asked || rotation.abort_asked {
        // At once, whatever status a lagging list shows.
        let keys = observed.keys.as_ref().ok_or(Step::Observe(Query::Keys))?;
        if keys.find(old).is_some() {
            return Ok(Step::Execute(Intent::ReactivateOld));
        }
        let keys = require_keys(rotation, observed)?;
        nothing_is_left(rotation, made, keys)?;
        if !naming_old.is_empty() {
            return Ok(reverted(rotation, (made, keys), places, naming_old));
        }
    }
    delete_named(rotation, observed)?;
    let at_operators_request = rotation.named.contains(old);
    let quarantine = rotation.opened.policy.quarantine;
    let due = deactivated_at.plus(quarantine);
    let quarantine = || Step::Wait { until: due, why: QUARANTINE.to_owned() };
    if now < due && !at_operators_request {
        each_holds_a_known_pair(places, false)?;
        return Ok(quarantine());
    }
    let keys = require_keys(rotation, observed)?;
    if keys.at < due && !at_operators_request {
        return Ok(quarantine());
    }
    nothing_is_left(rotation, made, keys)?;
    every_place_is_new(rotation, made, keys, places)?;
    if keys.find(old).is_some_and(|seen| seen.status == KeyStatus::Active) && !at_operators_request {
        return Ok(block(BlockReason::OldKeyReactivated { key: old.clone() }));
    }
    stored_pair_answers(rotation, made, observed)?;
    if let Some(seen) = keys.find(old) {
        late_copies(rotation, seen.status, observed)?;
    }
    require_unreferenced(observed, old)?;
    Ok(delete_old(rotation, keys))
}

/// Deleting what is not listed makes sure of it; where even that is refused, IAM's list is the answer.
fn delete_old(rotation: &Rotation, keys: &KeysSeen) -> Step {
    let old = &rotation.opened.old_key;
    if keys.find(old).is_none() && rotation.may_not_delete(old) {
        return end(Ending::DeletedOld, format!("IAM does not list {old} any more"));
    }
    Step::Execute(Intent::DeleteOld)
}
