//! The transition table: what may follow what. Pure and total.
//!
//! [`apply`] is the only code that changes a state, live and in replay alike.

mod bookkeeping;

use std::collections::BTreeMap;

use self::bookkeeping::record;
use super::event::{Ending, Event, NotDone, Outcome};
use super::intent::{AfterDiscard, Intent};
use super::invariants::BrokenFact;
use super::policy::MOST_CREATES;
use super::record::{Probe, Rotation};
use super::state::{NewKeyState, Phase, Provenance, State};
use crate::types::name::{AccessKeyId, StoreIdentity, StoreName};
use crate::types::place::Place;
use crate::types::time::Timestamp;

/// An event that cannot follow: a defect in rotator, or a journal that was edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IllegalEvent {
    /// The table has no such transition.
    #[error("a rotation in {state}{doubt} cannot continue with {event:?}")]
    NoSuchTransition {
        /// The phase or ending.
        state: &'static str,
        /// The intent in doubt, with a comma before it.
        doubt: String,
        /// What was to follow.
        event: Box<Event>,
    },
    /// The transition leads to a state whose facts do not hold.
    #[error("the facts do not hold {0}")]
    Facts(#[from] BrokenFact),
}

/// What follows when `event` happens to `rotation`.
///
/// # Errors
/// [`IllegalEvent`] if it cannot happen there.
pub fn apply(rotation: &Rotation, event: &Event) -> Result<Rotation, IllegalEvent> {
    let mut next = rotation.clone();
    let state = next_state(rotation, event).ok_or_else(|| IllegalEvent::NoSuchTransition {
        state: rotation.state.name(),
        doubt: rotation.state.intent().map(|intent| format!(", {} in doubt,", intent.name())).unwrap_or_default(),
        event: Box::new(event.clone()),
    })?;
    record(&mut next, rotation, event);
    next.state = state;
    if let Some(made) = next.made() {
        next.new_key = Some(made.key.clone());
    } else if !next.is_closed() {
        next.new_key = None;
    }
    next.check_facts()?;
    Ok(next)
}

fn next_state(rotation: &Rotation, event: &Event) -> Option<State> {
    match (&rotation.state, event) {
        (_, Event::Opened(_)) => None,
        (State::Closed { .. }, Event::LateKeySeen { .. })
        | (State::Settled { .. } | State::InDoubt { .. } | State::Blocked { .. }, Event::LateKeySeen { .. }) => {
            Some(rotation.state.clone())
        }
        (State::Closed { .. }, _) => None,

        (State::Settled { phase }, Event::Intended(intent)) => {
            may_intend(rotation, phase, intent).then(|| State::InDoubt { phase: phase.clone(), intent: intent.clone() })
        }
        (State::Settled { phase }, Event::Ended { ending, .. }) => {
            may_end(rotation, phase, *ending).then_some(State::Closed { ending: *ending })
        }
        (State::Settled { phase }, Event::Blocked(reason)) => {
            Some(State::Blocked { phase: phase.clone(), intent: None, reason: reason.clone() })
        }
        (State::Settled { phase }, Event::Disowned { key }) => {
            may_disown(rotation, phase, key).then_some(State::Settled { phase: Phase::Opened })
        }
        (State::Settled { phase: Phase::CreatedNew { .. } }, Event::Withheld(_)) => Some(rotation.state.clone()),
        (State::Settled { .. }, Event::Done(_) | Event::NotDone(_) | Event::Unblocked | Event::Withheld(_)) => None,
        (State::Settled { phase }, Event::PlacesAdded { places, stores }) => {
            add_places(rotation, phase, places, stores)
        }
        (State::Settled { phase }, Event::PlacesLeft { places }) => {
            let waits = places.iter().all(|place| rotation.added.contains(place)) && !places.is_empty();
            (waits && matches!(phase, Phase::CreatedNew { .. })).then(|| rotation.state.clone())
        }

        (State::Settled { phase }, Event::SinkLeft { sink, .. }) => {
            was_just_left(rotation, phase, *sink).then(|| rotation.state.clone())
        }

        (State::InDoubt { phase, intent }, Event::Done(outcome)) => settle(phase, intent, outcome),
        (State::InDoubt { phase, intent }, Event::NotDone(why)) => {
            Some(State::Settled { phase: not_done(phase, intent, why) })
        }
        (State::InDoubt { phase, intent }, Event::Blocked(reason)) => {
            Some(State::Blocked { phase: phase.clone(), intent: Some(intent.clone()), reason: reason.clone() })
        }
        (State::Blocked { phase, intent: Some(intent), .. }, Event::Unblocked) => {
            Some(State::InDoubt { phase: phase.clone(), intent: intent.clone() })
        }
        (State::Blocked { phase, intent: None, .. }, Event::Unblocked) => Some(State::Settled { phase: phase.clone() }),
        (State::Blocked { phase, intent, .. }, Event::Blocked(reason)) => {
            Some(State::Blocked { phase: phase.clone(), intent: intent.clone(), reason: reason.clone() })
        }
        (State::InDoubt { .. }, Event::Unblocked) | (State::Blocked { .. }, Event::Done(_) | Event::NotDone(_)) => None,
        (
            State::InDoubt { .. } | State::Blocked { .. },
            Event::Intended(_)
            | Event::Disowned { .. }
            | Event::Ended { .. }
            | Event::Withheld(_)
            | Event::PlacesAdded { .. }
            | Event::PlacesLeft { .. }
            | Event::SinkLeft { .. },
        ) => None,

        (
            State::Settled { .. } | State::InDoubt { .. } | State::Blocked { .. },
            Event::Asked(_) | Event::Deferred { .. } | Event::LookedOnce { .. },
        ) => Some(rotation.state.clone()),
        (State::Settled { .. } | State::InDoubt { .. } | State::Blocked { .. }, Event::Renamed { user }) => {
            (*user != rotation.opened.user).then(|| rotation.state.clone())
        }
    }
}

/// The new key is stored in some places and not in all: the way to that is the one from `created-new`.
fn add_places(
    rotation: &Rotation,
    phase: &Phase,
    places: &[Place],
    stores: &BTreeMap<StoreName, StoreIdentity>,
) -> Option<State> {
    let opened = &rotation.opened;
    let is_new = |place: &Place| !opened.places.contains(place) && stores.contains_key(&place.store);
    let same =
        |(name, identity): (&StoreName, &StoreIdentity)| opened.stores.get(name).is_none_or(|now| now == identity);
    let legal = !places.is_empty() && places.iter().all(is_new) && stores.iter().all(same);
    match phase {
        Phase::StoredNew { made, .. } if legal => {
            Some(State::Settled { phase: Phase::CreatedNew { made: made.clone() } })
        }
        Phase::StoredNew { .. } | Phase::Opened | Phase::CreatedNew { .. } | Phase::DeactivatedOld { .. } => None,
    }
}

/// Which effects may be intended from which phase. What a destructive one must have proved first is `next_step`'s to know;
/// what may never be, whatever was proved, is here.
fn may_intend(rotation: &Rotation, phase: &Phase, intent: &Intent) -> bool {
    match (phase, intent) {
        (_, Intent::DeleteNamed { key }) => rotation.is_strangers(key),

        // P4, and no loop of lost keys.
        (Phase::Opened, Intent::CreateNew { listed, .. }) => {
            let quiet = !matches!(rotation.probe, Some(Probe::Lost));
            listed.len() < 2 && rotation.creates < MOST_CREATES && quiet
        }
        // Without effect on any reader: whether the store takes a write is seen before another key is made.
        (Phase::Opened, Intent::FenceStore) => rotation.withheld.is_some() || rotation.probe.is_some(),
        (
            Phase::Opened,
            Intent::StoreNew
            | Intent::RestoreOld
            | Intent::WriteSink { .. }
            | Intent::DeactivateOld
            | Intent::ReactivateOld
            | Intent::DeleteOld
            | Intent::DeactivateNew { .. }
            | Intent::ReactivateNew { .. }
            | Intent::DiscardNew { .. },
        ) => false,

        // A key that may be deleted at any moment is stored nowhere; nor what an earlier write may undo.
        (Phase::CreatedNew { made }, Intent::StoreNew) => {
            made.fingerprint().is_some() && !made.discard_may_land && (!made.old_may_land || made.fenced.is_some())
        }
        (Phase::CreatedNew { made }, Intent::RestoreOld) => made.fingerprint().is_some(),
        (Phase::CreatedNew { .. }, Intent::FenceStore) => true,
        (Phase::CreatedNew { .. }, Intent::DeactivateNew { key }) => is_held_on_evidence(phase, key),
        (Phase::CreatedNew { made }, Intent::ReactivateNew { key }) => {
            is_held_on_evidence(phase, key) && made.deactivated.is_some()
        }
        (Phase::CreatedNew { made }, Intent::DiscardNew { key, .. }) => {
            // Evidence is not proof: such a key has been inactive, and the store fenced, before it may go.
            made.key == *key
                && match made.provenance {
                    Provenance::Inferred => made.deactivated.is_some() && made.fenced.is_some(),
                    Provenance::Acknowledged { .. } => made.fenced.is_some() || !made.write_may_land,
                }
        }
        (
            Phase::CreatedNew { .. },
            Intent::CreateNew { .. }
            | Intent::WriteSink { .. }
            | Intent::DeactivateOld
            | Intent::ReactivateOld
            | Intent::DeleteOld,
        ) => false,

        (Phase::StoredNew { made, .. }, intent) => may_intend_when_stored(rotation, made, intent),

        (Phase::DeactivatedOld { .. }, Intent::DeleteOld | Intent::ReactivateOld) => true,
        (
            Phase::DeactivatedOld { .. },
            Intent::CreateNew { .. }
            | Intent::StoreNew
            | Intent::RestoreOld
            | Intent::FenceStore
            | Intent::WriteSink { .. }
            | Intent::DeactivateOld
            | Intent::DeactivateNew { .. }
            | Intent::ReactivateNew { .. }
            | Intent::DiscardNew { .. },
        ) => false,
    }
}

/// The same in `stored-new`.
fn may_intend_when_stored(rotation: &Rotation, made: &NewKeyState, intent: &Intent) -> bool {
    match intent {
        Intent::DeactivateOld => {
            !rotation.is_never_deactivated_again() && !made.discard_may_land && every_sink_follows(rotation, made)
        }
        Intent::DeleteOld => every_sink_follows(rotation, made),
        Intent::FenceStore => true,
        Intent::WriteSink { sink, key, asked_at, .. } => rotation.may_write_sink(made, *sink, key, *asked_at),
        Intent::DiscardNew { key, then: AfterDiscard::Abort, .. } => {
            let gave_up = rotation.abort_asked && rotation.not_back().is_none();
            made.key == *key && made.fenced.is_some() && gave_up
        }
        Intent::DeleteNamed { key } => rotation.is_strangers(key),
        Intent::CreateNew { .. }
        | Intent::StoreNew
        | Intent::RestoreOld
        | Intent::ReactivateOld
        | Intent::DeactivateNew { .. }
        | Intent::ReactivateNew { .. }
        | Intent::DiscardNew { then: AfterDiscard::CreateAgain, .. } => false,
    }
}

/// P3, as far as a sink can be known: its API acknowledged the new pair, or an operator said not to wait for it.
fn every_sink_follows(rotation: &Rotation, made: &NewKeyState) -> bool {
    rotation.without_new(made).is_none()
}

/// Whether an operator left this sink, and the time is not recorded yet.
fn was_just_left(rotation: &Rotation, phase: &Phase, sink: usize) -> bool {
    let (Phase::StoredNew { made, .. }, Some(state)) = (phase, rotation.sinks.get(sink)) else { return false };
    state.was_just_left(&made.key)
}

/// Evidence is not proof; what rests on it may be undone.
fn is_held_on_evidence(phase: &Phase, key: &AccessKeyId) -> bool {
    phase.made().is_some_and(|made| made.provenance == Provenance::Inferred && made.key == *key)
}

/// What was refused is over. A write that was merely not seen may still land, behind any fence of before; and a delete
/// after whose reply was lost the key is still listed may be executed yet, or be one that the list does not show.
fn not_done(phase: &Phase, intent: &Intent, why: &NotDone) -> Phase {
    match (phase, intent, why) {
        (Phase::CreatedNew { made }, Intent::StoreNew | Intent::RestoreOld, NotDone::Seen) => {
            let old_may_land = made.old_may_land || *intent == Intent::RestoreOld;
            Phase::CreatedNew { made: NewKeyState { write_may_land: true, old_may_land, fenced: None, ..made.clone() } }
        }
        (Phase::CreatedNew { made }, Intent::DiscardNew { .. }, NotDone::Seen) => {
            Phase::CreatedNew { made: NewKeyState { discard_may_land: true, ..made.clone() } }
        }
        (Phase::StoredNew { made, stored_at }, Intent::DiscardNew { .. }, NotDone::Seen) => {
            Phase::StoredNew { made: NewKeyState { discard_may_land: true, ..made.clone() }, stored_at: *stored_at }
        }
        (
            Phase::Opened | Phase::CreatedNew { .. } | Phase::StoredNew { .. } | Phase::DeactivatedOld { .. },
            _,
            NotDone::Refused(_) | NotDone::Seen,
        ) => phase.clone(),
    }
}

/// Whether rotator may stop tracking a key: IAM does not list it any more, and rotator may not delete it to make sure.
/// A late write must not be able to put the pair into a store any more.
fn may_disown(rotation: &Rotation, phase: &Phase, key: &AccessKeyId) -> bool {
    let gone = |made: &NewKeyState| made.key == *key && !made.write_may_land && rotation.may_not_delete(key);
    is_held_on_evidence(phase, key) || matches!(phase, Phase::CreatedNew { made } if gone(made))
}

fn may_end(rotation: &Rotation, phase: &Phase, ending: Ending) -> bool {
    match (phase, ending) {
        // Deleted by another hand, after rotator's own delete was refused.
        (Phase::StoredNew { .. } | Phase::DeactivatedOld { .. }, Ending::DeletedOld) => {
            rotation.may_not_delete(&rotation.opened.old_key)
        }
        (Phase::Opened, Ending::Aborted | Ending::Gone) => true,
        // A user that was deleted has no keys any more.
        (Phase::CreatedNew { .. } | Phase::StoredNew { .. } | Phase::DeactivatedOld { .. }, Ending::Gone) => true,
        (Phase::Opened | Phase::CreatedNew { .. }, Ending::DeletedOld)
        | (Phase::CreatedNew { .. } | Phase::StoredNew { .. } | Phase::DeactivatedOld { .. }, Ending::Aborted) => false,
    }
}

fn settle(phase: &Phase, intent: &Intent, outcome: &Outcome) -> Option<State> {
    let settled = |phase| Some(State::Settled { phase });
    match (intent, outcome) {
        (Intent::CreateNew { listed, .. }, Outcome::Created { key, fingerprint, .. }) => {
            (!listed.contains(key)).then(|| State::Settled {
                phase: created(key, Provenance::Acknowledged { fingerprint: fingerprint.clone() }),
            })
        }
        (Intent::CreateNew { listed, .. }, Outcome::FoundCreated { key }) => {
            (!listed.contains(key)).then(|| State::Settled { phase: created(key, Provenance::Inferred) })
        }
        (Intent::StoreNew, Outcome::Stored { at }) => match phase {
            Phase::CreatedNew { made } => {
                settled(Phase::StoredNew { made: NewKeyState { fenced: None, ..made.clone() }, stored_at: *at })
            }
            Phase::Opened | Phase::StoredNew { .. } | Phase::DeactivatedOld { .. } => None,
        },
        (Intent::RestoreOld, Outcome::Restored) => settled(phase.clone()),
        (Intent::FenceStore, Outcome::Fenced { at }) => fenced(phase, *at).and_then(settled),
        (Intent::WriteSink { sink, key, .. }, Outcome::SinkAcknowledged { sink: to, key: done, .. })
            if sink == to && key == done =>
        {
            settled(phase.clone())
        }
        (Intent::DeactivateOld, Outcome::OldDeactivated { at }) => match phase {
            Phase::StoredNew { made, stored_at } => settled(Phase::DeactivatedOld {
                made: made.clone(),
                stored_at: *stored_at,
                deactivated_at: (*at).max(*stored_at),
            }),
            Phase::Opened | Phase::CreatedNew { .. } | Phase::DeactivatedOld { .. } => None,
        },
        (Intent::ReactivateOld, Outcome::OldReactivated { at }) => match phase {
            // The overlap begins anew.
            Phase::DeactivatedOld { made, .. } => settled(Phase::StoredNew { made: made.clone(), stored_at: *at }),
            Phase::Opened | Phase::CreatedNew { .. } | Phase::StoredNew { .. } => None,
        },
        (Intent::DeleteOld, Outcome::OldDeleted) => Some(State::Closed { ending: Ending::DeletedOld }),
        (Intent::DeactivateNew { .. }, Outcome::NewDeactivated { at }) => match phase {
            Phase::CreatedNew { made } => {
                settled(Phase::CreatedNew { made: NewKeyState { deactivated: Some(*at), ..made.clone() } })
            }
            Phase::Opened | Phase::StoredNew { .. } | Phase::DeactivatedOld { .. } => None,
        },
        // The key is not one of this rotation: its user keeps it, and `next_step` names it to an operator.
        (Intent::ReactivateNew { .. }, Outcome::NewReactivated) => settled(Phase::Opened),
        (Intent::DiscardNew { then, .. }, Outcome::NewDiscarded { then: done }) if then == done => match then {
            AfterDiscard::CreateAgain => settled(Phase::Opened),
            AfterDiscard::Abort => Some(State::Closed { ending: Ending::Aborted }),
        },
        (Intent::DeleteNamed { key }, Outcome::NamedDeleted { key: done }) if key == done => settled(phase.clone()),
        (
            Intent::CreateNew { .. }
            | Intent::StoreNew
            | Intent::RestoreOld
            | Intent::FenceStore
            | Intent::WriteSink { .. }
            | Intent::DeactivateOld
            | Intent::ReactivateOld
            | Intent::DeleteOld
            | Intent::DeactivateNew { .. }
            | Intent::ReactivateNew { .. }
            | Intent::DiscardNew { .. }
            | Intent::DeleteNamed { .. },
            Outcome::Created { .. }
            | Outcome::FoundCreated { .. }
            | Outcome::Stored { .. }
            | Outcome::Restored
            | Outcome::Fenced { .. }
            | Outcome::SinkAcknowledged { .. }
            | Outcome::OldDeactivated { .. }
            | Outcome::OldReactivated { .. }
            | Outcome::OldDeleted
            | Outcome::NewDeactivated { .. }
            | Outcome::NewReactivated
            | Outcome::NewDiscarded { .. }
            | Outcome::NamedDeleted { .. },
        ) => None,
    }
}

fn created(key: &AccessKeyId, provenance: Provenance) -> Phase {
    Phase::CreatedNew { made: NewKeyState::new(key.clone(), provenance) }
}

fn fenced(phase: &Phase, at: Timestamp) -> Option<Phase> {
    match phase {
        Phase::CreatedNew { made } => {
            Some(Phase::CreatedNew { made: NewKeyState { fenced: Some(at), ..made.clone() } })
        }
        Phase::StoredNew { made, stored_at } => {
            Some(Phase::StoredNew { made: NewKeyState { fenced: Some(at), ..made.clone() }, stored_at: *stored_at })
        }
        // It only showed whether the store takes a write.
        Phase::Opened => Some(Phase::Opened),
        Phase::DeactivatedOld { .. } => None,
    }
}
