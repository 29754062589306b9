//! What to do next: (rotation, what we hold, what is known, now) -> step. Pure and total.
//!
//! No destructive step is proposed without the preconditions that `docs/design/recovery.md` lists, observed since the
//! last event.
//! One file for each phase: [`opened`], [`created`] (its secret may be had), [`orphan`] (held on evidence) and
//! [`stored`]; what their decisions stand on is in [`preconditions`].

mod created;
mod opened;
mod orphan;
pub(super) mod preconditions;
mod reconcile;
mod stored;

use self::reconcile::reconcile;
use super::block_reason::BlockReason;
use super::effect::Intent;
use super::event::{Ending, Event};
use super::observed::{InMemoryFacts, Observed};
use super::policy::Timestamp;
use super::state::{Phase, Provenance, Rotation, State};
use crate::types::name::AccessKeyId;

/// Something to look at before the next decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// `ListAccessKeys` for the user.
    Keys,
    /// Read every place; a new secret that is found there is taken in hand.
    Places,
    /// Read every entry of every store, beginning now, and see which names this key.
    Scan(AccessKeyId),
    /// Try the new pair in hand at AWS, as often as the policy asks.
    NewPair,
    /// Read the pair back from every place and try it at AWS once.
    StoredPair,
    /// When this key was last used.
    LastUsed(AccessKeyId),
    /// Who has this key: `GetAccessKeyLastUsed`, and `ListAccessKeys` for the user that it names.
    Owner(AccessKeyId),
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Learn something, then ask again.
    Observe(Query),
    /// Journal the intent, have the effect, journal the outcome.
    Execute(Intent),
    /// Journal a fact that has no effect.
    Record(Event),
    /// Nothing before this moment of AWS's clock.
    Wait {
        /// When to ask again.
        until: Timestamp,
        /// For people.
        why: String,
    },
    /// Something cannot be seen now; try again with backoff, then leave it in flight.
    Retry {
        /// For people.
        why: String,
    },
    /// Closed, or blocked for the same reason as before.
    Idle,
}

/// What a precondition yields: `Err` is the step that has to come first.
type Requires<T> = Result<T, Step>;

pub(super) fn block(reason: BlockReason) -> Step {
    Step::Record(Event::Blocked(reason))
}

fn end(ending: Ending, why: impl Into<String>) -> Step {
    Step::Record(Event::Ended { ending, why: why.into() })
}

/// The next step of a rotation.
#[must_use]
pub fn next_step(rotation: &Rotation, hand: InMemoryFacts, known: &Observed, now: Timestamp) -> Step {
    match &rotation.standing {
        State::Closed { .. } => Step::Idle,
        State::Settled { phase } => settled(rotation, phase, hand, known, now),
        State::InDoubt { phase, intent } => reconcile(rotation, phase, intent, hand, known, now),
        State::Blocked { phase, intent, reason } => {
            // Afresh, as if it were not blocked: one whose cause is gone goes on by itself.
            let step = match intent {
                None => settled(rotation, phase, hand, known, now),
                Some(intent) => reconcile(rotation, phase, intent, hand, known, now),
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

/// Inside a phase `Err` is the step that has to come first: a look, a wait, a block.
fn settled(rotation: &Rotation, phase: &Phase, hand: InMemoryFacts, known: &Observed, now: Timestamp) -> Step {
    let step = match phase {
        Phase::Opened => opened::next(rotation, hand, known, now),
        Phase::CreatedNew { made } => match made.claim {
            Provenance::Inferred => orphan::next(rotation, made, known, now),
            Provenance::Acknowledged { .. } => created::next(rotation, made, hand, known, now),
        },
        Phase::StoredNew { made, stored_at } => stored::next(rotation, made, *stored_at, hand, known, now),
        Phase::DeactivatedOld { made, deactivated_at, .. } => {
            stored::next_deactivated(rotation, made, *deactivated_at, known, now)
        }
    };
    step.unwrap_or_else(|step| step)
}
