//! Chooses the next step: (rotation, observed, memory, now) -> step. Pure and total.
//!
//! No destructive step is proposed without the preconditions that `docs/design/recovery.md` lists, observed since the
//! last event.
//! One file for each phase: [`opened`], [`created`] (its secret may be in memory), [`orphan`] (held on evidence) and
//! [`stored`]. Their preconditions are in [`preconditions`].

mod created;
mod opened;
mod orphan;
pub(super) mod preconditions;
mod reconcile;
mod step;
mod stored;
pub mod waits;

use self::reconcile::reconcile;
use self::step::Decision;
pub use self::step::{Query, Step};
use super::event::Event;
use super::observed::{InMemoryFacts, Observed};
use super::record::Rotation;
use super::state::{Phase, Provenance, State};
use crate::types::time::Timestamp;

/// The next step of a rotation.
#[must_use]
pub fn next_step(rotation: &Rotation, memory: InMemoryFacts, observed: &Observed, now: Timestamp) -> Step {
    let decision = Decision { rotation, memory, observed, now };
    match &rotation.state {
        State::Closed { .. } => Step::Idle,
        State::Settled { phase } => settled(decision, phase),
        State::InDoubt { phase, intent } => reconcile(decision, phase, intent),
        State::Blocked { phase, intent, reason } => {
            // The step is computed as if the rotation were not blocked, so that it continues once the cause has ended.
            let step = match intent {
                None => settled(decision, phase),
                Some(intent) => reconcile(decision, phase, intent),
            };
            match step {
                Step::Observe(_) | Step::Retry { .. } | Step::Idle => step,
                Step::Record(Event::Blocked(again)) if again.is_again(reason) => Step::Idle,
                // A first look is one step of the same question; a rename is a fact, whatever blocks.
                Step::Record(
                    Event::Blocked(_) | Event::LookedOnce { .. } | Event::LateKeySeen { .. } | Event::Renamed { .. },
                ) => step,
                Step::Execute(_) | Step::Wait { .. } | Step::Record(_) => Step::Record(Event::Unblocked),
            }
        }
    }
}

/// Inside a phase `Err` is the step that must be taken first: a look, a wait, a block.
fn settled(decision: Decision<'_>, phase: &Phase) -> Step {
    let step = match phase {
        Phase::Opened => opened::next(decision),
        Phase::CreatedNew { made } => match made.provenance {
            Provenance::Inferred => orphan::next(decision, made),
            Provenance::Acknowledged { .. } => created::next(decision, made),
        },
        Phase::StoredNew { made, stored_at } => stored::next(decision, made, *stored_at),
        Phase::DeactivatedOld { made, deactivated_at, .. } => stored::next_deactivated(decision, made, *deactivated_at),
    };
    step.unwrap_or_else(|step| step)
}
