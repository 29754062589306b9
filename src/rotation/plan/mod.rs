//! What to do next: (rotation, what we hold, what is known, now) -> step. Pure and total.
//!
//! No destructive step is proposed without the ground that DESIGN section 1 asks for, looked at since the last event.
//! One file for each phase: [`opened`], [`created`] (its secret may be had), [`reclaim`] (held on evidence) and
//! [`stored`]; what their decisions stand on is in [`ground`].

mod created;
pub(super) mod ground;
mod opened;
mod reclaim;
mod stored;

use super::effect::Intent;
use super::event::{Ending, Event};
use super::known::{Hand, Known};
use super::name::AccessKeyId;
use super::policy::Timestamp;
use super::reason::Reason;
use super::reconcile::reconcile;
use super::standing::{Claim, Phase, Rotation, Standing};

/// Something to look at before the next decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
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
    Look(Look),
    /// Journal the intent, have the effect, journal the outcome.
    Act(Intent),
    /// Journal a fact that has no effect.
    Note(Event),
    /// Nothing before this moment of AWS's clock.
    Wait {
        /// When to ask again.
        until: Timestamp,
        /// For people.
        why: String,
    },
    /// Something cannot be seen now; try again with backoff, then leave it in flight.
    Later {
        /// For people.
        why: String,
    },
    /// Closed, or blocked for the same reason as before.
    Rest,
}

pub(super) fn block(reason: Reason) -> Step {
    Step::Note(Event::Blocked(reason))
}

fn end(ending: Ending, why: impl Into<String>) -> Step {
    Step::Note(Event::Ended { ending, why: why.into() })
}

/// The next step of a rotation.
#[must_use]
pub fn plan(rotation: &Rotation, hand: Hand, known: &Known, now: Timestamp) -> Step {
    match &rotation.standing {
        Standing::Closed { .. } => Step::Rest,
        Standing::Settled { phase } => settled(rotation, phase, hand, known, now),
        Standing::InDoubt { phase, intent } => reconcile(rotation, phase, intent, hand, known, now),
        Standing::Blocked { phase, intent, reason } => {
            // Afresh, as if it were not blocked: one whose cause is gone goes on by itself.
            let step = match intent {
                None => settled(rotation, phase, hand, known, now),
                Some(intent) => reconcile(rotation, phase, intent, hand, known, now),
            };
            match step {
                Step::Look(_) | Step::Later { .. } | Step::Rest => step,
                Step::Note(Event::Blocked(again)) if again.is_again(reason) => Step::Rest,
                // A first look is one step of the same question; a rename is a fact, whatever blocks.
                Step::Note(
                    Event::Blocked(_) | Event::LookedOnce { .. } | Event::LateKeySeen { .. } | Event::Renamed { .. },
                ) => step,
                Step::Act(_) | Step::Wait { .. } | Step::Note(_) => Step::Note(Event::Unblocked),
            }
        }
    }
}

/// Inside a phase `Err` is the step that has to come first: a look, a wait, a block.
fn settled(rotation: &Rotation, phase: &Phase, hand: Hand, known: &Known, now: Timestamp) -> Step {
    let step = match phase {
        Phase::Opened => opened::next(rotation, hand, known, now),
        Phase::CreatedNew { made } => match made.claim {
            Claim::Evidence => reclaim::next(rotation, made, known, now),
            Claim::Acknowledged { .. } => created::next(rotation, made, hand, known, now),
        },
        Phase::StoredNew { made, stored_at } => stored::next(rotation, made, *stored_at, hand, known, now),
        Phase::DeactivatedOld { made, deactivated_at, .. } => {
            stored::next_deactivated(rotation, made, *deactivated_at, known, now)
        }
    };
    step.unwrap_or_else(|step| step)
}
