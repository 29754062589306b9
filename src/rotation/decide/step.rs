//! What may be decided: the next step, and the query that has to be answered before it.

use crate::rotation::block_reason::BlockReason;
use crate::rotation::event::{Ending, Event};
use crate::rotation::intent::Intent;
use crate::rotation::observed::{InMemoryFacts, Observed};
use crate::rotation::record::Rotation;
use crate::types::name::AccessKeyId;
use crate::types::time::Timestamp;

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
    /// Nothing before this moment of the clock of AWS.
    Wait {
        /// When to ask again.
        until: Timestamp,
        /// For the operator.
        why: String,
    },
    /// Something cannot be seen now; try again with backoff, then leave it in flight.
    Retry {
        /// For the operator.
        why: String,
    },
    /// Closed, or blocked for the same reason as before.
    Idle,
}

/// What a decision is based on. Every phase decides from the same facts.
#[derive(Clone, Copy)]
pub(super) struct Decision<'a> {
    pub(super) rotation: &'a Rotation,
    pub(super) memory: InMemoryFacts,
    /// What was observed since the last event.
    pub(super) observed: &'a Observed,
    /// The time of the clock of AWS.
    pub(super) now: Timestamp,
}

/// The result of a precondition: `Err` is the step that must be taken first.
pub(super) type Requires<T> = Result<T, Step>;

pub(super) fn block(reason: BlockReason) -> Step {
    Step::Record(Event::Blocked(reason))
}

pub(super) fn end(ending: Ending, why: impl Into<String>) -> Step {
    Step::Record(Event::Ended { ending, why: why.into() })
}
