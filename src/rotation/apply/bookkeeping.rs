//! What an event leaves on record beside the state: counters, first sightings, the requests of operators. Part of
//! [`super`], and called from there only.

use std::collections::BTreeMap;

use crate::rotation::block_reason::BlockReason;
use crate::rotation::denied::{Denied, Operation};
use crate::rotation::event::{Event, NotDone, OperatorRequest, Outcome};
use crate::rotation::intent::Intent;
use crate::rotation::lost_create::LostCreate;
use crate::rotation::record::OLD_INACTIVE;
use crate::rotation::record::{FirstSighting, Probe, Rotation};
use crate::rotation::sink::Acknowledged;
use crate::rotation::state::{Phase, State};
use crate::types::failure::{Refusal, RefusalKind};
use crate::types::name::{AccessKeyId, StoreIdentity, StoreName};
use crate::types::place::Place;

/// Records what an event changes besides the state.
pub(super) fn record(next: &mut Rotation, before: &Rotation, event: &Event) {
    // The reason of a wait ends with the wait.
    let of_wait = if before.waiting_until.is_some() { next.last_error.take() } else { None };
    record_event(next, before, event);
    if next.waiting_until.is_some() && next.last_error.is_none() {
        next.last_error = of_wait;
    }
}

fn record_event(next: &mut Rotation, before: &Rotation, event: &Event) {
    match event {
        Event::Opened(_) | Event::Unblocked => next.waiting_until = None,
        Event::Blocked(reason) => {
            next.waiting_until = None;
            if matches!(reason, BlockReason::OldKeyReactivated { .. }) {
                next.reactivated = true;
            }
            if let BlockReason::AccessDenied { denied, .. } = reason {
                next.denied = Some(denied.clone());
            }
        }
        Event::Withheld(denied) => {
            next.waiting_until = None;
            next.last_error = Some(denied.answer.clone());
            next.withheld = Some(denied.clone());
            next.keys_withheld += 1;
        }
        Event::Renamed { user } => {
            next.opened.user = user.clone();
            next.user_given_up = false;
            next.first_sighting = None;
            next.waiting_until = None;
        }
        Event::PlacesAdded { places, stores } => add_places(next, places, stores),
        Event::PlacesLeft { places } => {
            forget_refusals(next);
            next.opened.places.retain(|place| !places.contains(place));
            next.added.retain(|place| !places.contains(place));
            next.left_out.extend(places.iter().cloned());
        }
        Event::SinkLeft { sink, at } => {
            if let Some(state) = next.sinks.get_mut(*sink) {
                state.left_at = Some(*at);
            }
        }
        Event::Disowned { .. } => {
            next.first_sighting = None;
            next.waiting_until = None;
        }
        Event::Intended(intent) => {
            next.attempts += 1;
            next.first_sighting = None;
            next.waiting_until = None;
            if let Intent::CreateNew { asked_at, .. } = intent {
                next.creates += 1;
                next.created_last = Some(*asked_at);
            }
        }
        Event::Done(outcome) => {
            next.first_sighting = None;
            next.last_error = None;
            next.waiting_until = None;
            forget_rights(next, before);
            record_outcome(next, before, outcome);
        }
        Event::NotDone(why) => record_not_done(next, before, why),
        Event::LookedOnce { at, seen } => {
            next.seen_inactive |= before.deactivation_may_land && seen.contains(OLD_INACTIVE);
            next.first_sighting = Some(FirstSighting { at: *at, seen: seen.clone() });
            next.waiting_until = None;
        }
        Event::Asked(asked) => {
            next.waiting_until = None;
            next.user_given_up |= gives_the_user_up(before, asked);
            record_asked(next, asked);
        }
        Event::LateKeySeen { key } => {
            next.late_keys.insert(key.clone());
        }
        Event::Deferred { why, until } => {
            next.last_error = Some(why.clone());
            next.waiting_until = *until;
        }
        Event::Ended { why, .. } => {
            next.last_error = Some(why.clone());
            next.waiting_until = None;
        }
    }
}

/// What has just been done shows which right is there.
fn forget_rights(next: &mut Rotation, before: &Rotation) {
    next.denied = next.denied.take().filter(|denied| still_lacks(before, denied));
    next.refused = next.refused.take().filter(|denied| still_lacks(before, denied));
    next.refused_again &= next.refused.is_some();
}

/// An effect was refused for want of a right or of a lock.
fn record_denied(next: &mut Rotation, before: &Rotation, refusal: &Refusal) {
    let of_effect = |intent| Denied::of_effect(before, intent, &refusal.message);
    let Some(denied) = before.state.intent().and_then(of_effect) else {
        return;
    };
    let denied = if refusal.kind == RefusalKind::Locked { denied.by_a_lock() } else { denied };
    next.refused_again = before.refused.as_ref().is_some_and(|before| denied.is_again(before));
    next.refused = Some(denied);
}

/// They were of other places than those that are written next.
fn forget_refusals(next: &mut Rotation) {
    (next.refused_writes, next.denied_writes) = (0, 0);
    (next.first_sighting, next.waiting_until, next.store_said) = (None, None, None);
}

/// Whether what has just been done leaves open that this right is missing.
fn still_lacks(before: &Rotation, denied: &Denied) -> bool {
    let is_effect = match denied.operation {
        Operation::CreateAccessKey
        | Operation::UpdateAccessKey
        | Operation::DeleteAccessKey
        | Operation::WriteStore
        | Operation::LockStore => true,
        Operation::ListAccessKeys
        | Operation::GetAccessKeyLastUsed
        | Operation::GetCallerIdentity
        | Operation::ReadStore => false,
    };
    let intent = before.state.intent();
    // The locks are tried right before a create.
    let was_free = denied.operation == Operation::LockStore && matches!(intent, Some(Intent::CreateNew { .. }));
    let done = intent.and_then(|intent| Denied::of_effect(before, intent, ""));
    let is_again = |done: Denied| done.is_again(denied) || (done.is_of_a_write() && done.by_a_lock().is_again(denied));
    is_effect && !was_free && !done.is_some_and(is_again)
}

fn add_places(next: &mut Rotation, places: &[Place], stores: &BTreeMap<StoreName, StoreIdentity>) {
    forget_refusals(next);
    next.opened.places.extend(places.iter().cloned());
    next.opened.stores.extend(stores.iter().map(|(name, identity)| (name.clone(), identity.clone())));
    next.added.extend(places.iter().cloned());
}

/// Whether this is the answer to the question what became of a user that IAM does not find.
fn gives_the_user_up(before: &Rotation, asked: &OperatorRequest) -> bool {
    let is_asked = matches!(&before.state, State::Blocked { reason: BlockReason::UserNotFound { .. }, .. });
    is_asked
        && match asked {
            OperatorRequest::Abort => true,
            OperatorRequest::DeleteKey { key } => *key == before.opened.old_key,
            OperatorRequest::TakeAbortBack
            | OperatorRequest::ReactivateOld
            | OperatorRequest::KeepKey { .. }
            | OperatorRequest::LeaveSink { .. } => false,
        }
}

/// Of words that contradict each other the last counts.
fn record_asked(next: &mut Rotation, asked: &OperatorRequest) {
    match asked {
        OperatorRequest::Abort => {
            next.abort_asked = true;
            next.named.remove(&next.opened.old_key);
        }
        OperatorRequest::TakeAbortBack => {
            next.abort_asked = false;
            next.user_given_up = false;
        }
        OperatorRequest::ReactivateOld => {
            next.reactivate_asked = true;
            next.named.remove(&next.opened.old_key);
        }
        OperatorRequest::DeleteKey { key } => {
            if *key == next.opened.old_key {
                next.abort_asked = false;
                next.reactivate_asked = false;
            }
            next.kept.remove(key);
            next.named.insert(key.clone());
        }
        OperatorRequest::KeepKey { key } => {
            next.named.remove(key);
            next.kept.insert(key.clone());
            account_for(next, key);
        }
        OperatorRequest::LeaveSink { sink } => {
            for (follower, state) in next.opened.sinks.iter().zip(&mut next.sinks) {
                state.left |= follower.sink == *sink;
            }
        }
    }
}

/// A key of known origin cannot be the late result of a lost `CreateAccessKey`.
fn account_for(next: &mut Rotation, key: &AccessKeyId) {
    for attempt in &mut next.lost_creates {
        attempt.listed.insert(key.clone());
    }
}

fn record_outcome(next: &mut Rotation, before: &Rotation, outcome: &Outcome) {
    match outcome {
        Outcome::Stored { .. } => {
            (next.refused_writes, next.denied_writes) = (0, 0);
            next.store_said = None;
            next.withheld = None;
            next.added.clear();
        }
        Outcome::Created { .. } => next.withheld = None,
        Outcome::Fenced { at } => {
            if matches!(before.state.phase(), Some(Phase::Opened)) {
                // The store took a write.
                next.withheld = next.withheld.take().filter(|denied| !denied.is_of_a_write());
                next.probe = next.probe.map(|_| Probe::Fenced(*at));
            }
        }
        Outcome::FoundCreated { key } => {
            // The found key may belong to another client. Then our own create may still be executed.
            watch(next, before.state.intent(), before);
            account_for(next, key);
        }
        Outcome::NamedDeleted { key } => {
            next.named.remove(key);
            account_for(next, key);
        }
        Outcome::NewDiscarded { .. } => {
            (next.refused_writes, next.denied_writes) = (0, 0);
            next.store_said = None;
            next.new_key = None;
            if let Some(Intent::DiscardNew { key, why, .. }) = before.state.intent() {
                next.named.remove(key);
                // It may be listed a while longer.
                account_for(next, key);
                next.last_error = Some(why.clone());
            }
        }
        Outcome::SinkAcknowledged { sink, key, at } => {
            if let Some(state) = next.sinks.get_mut(*sink) {
                state.acknowledged = Some(Acknowledged { key: key.clone(), at: *at });
            }
        }
        Outcome::OldDeactivated { .. } | Outcome::OldReactivated { .. } => {
            next.deactivation_may_land = false;
            next.seen_inactive = false;
        }
        Outcome::Restored | Outcome::OldDeleted | Outcome::NewDeactivated { .. } | Outcome::NewReactivated => {}
    }
}

fn record_not_done(next: &mut Rotation, before: &Rotation, why: &NotDone) {
    next.first_sighting = None;
    next.waiting_until = None;
    let intent = before.state.intent();
    match why {
        NotDone::Refused(refusal) => {
            next.last_error = Some(refusal.message.clone());
            if is_counted_apart(refusal.kind) {
                record_denied(next, before, refusal);
            }
            match intent {
                // A create that was refused made nothing; but a proxy that sends again hears of the second only.
                Some(Intent::CreateNew { listed, asked_at, give_up_at }) => {
                    next.creates = next.creates.saturating_sub(1);
                    next.refused_create = (refusal.kind == RefusalKind::LimitExceeded).then(|| LostCreate {
                        listed: listed.clone(),
                        asked_at: *asked_at,
                        give_up_at: *give_up_at,
                    });
                }
                Some(Intent::StoreNew) => {
                    next.locked_out = refusal.kind == RefusalKind::Locked;
                    if is_counted_apart(refusal.kind) {
                        next.denied_writes += 1;
                    } else {
                        next.refused_writes += refusals_that_count(refusal.kind);
                    }
                    next.store_said = Some(refusal.message.clone());
                }
                Some(
                    Intent::RestoreOld
                    | Intent::FenceStore
                    | Intent::WriteSink { .. }
                    | Intent::DeactivateOld
                    | Intent::ReactivateOld
                    | Intent::DeleteOld
                    | Intent::DeactivateNew { .. }
                    | Intent::ReactivateNew { .. }
                    | Intent::DiscardNew { .. }
                    | Intent::DeleteNamed { .. },
                )
                | None => {}
            }
        }
        NotDone::Seen => {
            if matches!(intent, Some(Intent::StoreNew)) {
                next.refused_writes += 1;
            }
            if matches!((before.state.phase(), intent), (Some(Phase::Opened), Some(Intent::FenceStore))) {
                next.probe = Some(Probe::Lost);
            }
            next.old_delete_may_land |= matches!(intent, Some(Intent::DeleteOld));
            next.deactivation_may_land |= matches!(intent, Some(Intent::DeactivateOld));
            if let Some(Intent::DeactivateNew { key }) = intent {
                next.may_turn_inactive.insert(key.clone());
            }
            if let Some(Intent::WriteSink { sink, key, until, .. }) = intent
                && let Some(state) = next.sinks.get_mut(*sink)
            {
                state.lost(key, *until);
            }
            watch(next, intent, before);
        }
    }
}

/// Lack of a right, or of a lock, has its own count: it says something of the next run, too.
fn is_counted_apart(kind: RefusalKind) -> bool {
    kind == RefusalKind::Denied || kind == RefusalKind::Locked
}

const fn refusals_that_count(kind: RefusalKind) -> u32 {
    match kind {
        RefusalKind::Denied | RefusalKind::Throttled => 0,
        RefusalKind::Locked
        | RefusalKind::Credentials
        | RefusalKind::Stale
        | RefusalKind::NoSuchEntity
        | RefusalKind::LimitExceeded
        | RefusalKind::Other => 1,
    }
}

/// A lost create stays watched: see [`LostCreate`].
fn watch(next: &mut Rotation, intent: Option<&Intent>, before: &Rotation) {
    if let Some(Intent::CreateNew { listed, asked_at, give_up_at }) = intent {
        let mut listed = listed.clone();
        // Keys that an operator has named are accounted for.
        listed.extend(before.kept.union(&before.named).cloned());
        next.lost_creates.push(LostCreate { listed, asked_at: *asked_at, give_up_at: *give_up_at });
    }
}
