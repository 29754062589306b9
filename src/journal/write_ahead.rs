//! The one door to every effect: *intent durable → effect → outcome durable*.
//!
//! Every port method that changes IAM or a store takes a [`Journaled`] by value, and only
//! [`RotationJournal::carry_out`] makes one. It cannot be made elsewhere:
//!
//! ```compile_fail,E0451
//! use rotator::journal::write_ahead::{IntentLine, Journaled};
//! use rotator::rotation::effect::DeleteKey;
//! fn forge(effect: DeleteKey, intent: IntentLine) -> Journaled<DeleteKey> {
//!     Journaled { effect, intent }
//! }
//! ```
//!
//! nor used twice:
//!
//! ```compile_fail,E0382
//! use rotator::journal::write_ahead::Journaled;
//! use rotator::rotation::effect::DeleteKey;
//! fn spend(_: Journaled<DeleteKey>) {}
//! fn twice(order: Journaled<DeleteKey>) {
//!     spend(order);
//!     spend(order);
//! }
//! ```
//!
//! nor copied:
//!
//! ```compile_fail,E0599
//! use rotator::journal::write_ahead::Journaled;
//! use rotator::rotation::effect::DeleteKey;
//! fn copy(order: &Journaled<DeleteKey>) -> Journaled<DeleteKey> {
//!     order.clone()
//! }
//! ```
//!
//! and a port's method takes nothing less:
//!
//! ```compile_fail,E0308
//! use rotator::ports::iam::Iam;
//! use rotator::rotation::effect::DeleteKey;
//! async fn unjournaled(iam: &dyn Iam, effect: DeleteKey) {
//!     let _ = iam.delete_key(effect).await;
//! }
//! ```

use std::future::Future;
use std::sync::Arc;

use super::clock::Clock;
use super::line::Line;
use super::store::{SharedStore, StorageError};
use crate::rotation::apply::{IllegalEvent, apply};
use crate::rotation::effect::{Effect, WriteEntries};
use crate::rotation::event::{Event, NotDone, Opened};
use crate::rotation::record::Rotation;
use crate::types::failure::{Failure, Refusal};
use crate::types::name::{RotationId, StoreName};

/// Why a rotation cannot be journaled or replayed. It ends for this process; a later `resume` replays it.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The machine refuses the event: nothing was written.
    #[error("the journal of rotation {rotation} does not add up")]
    Illegal {
        /// Whose.
        rotation: RotationId,
        /// What the machine says.
        #[source]
        source: IllegalEvent,
    },
    /// There is no such rotation, or its lines have a gap.
    #[error("the journal of rotation {rotation} {what}")]
    Incomplete {
        /// Whose.
        rotation: RotationId,
        /// What is missing.
        what: &'static str,
    },
}

/// An effect whose intent is durable. See the module's head.
#[must_use]
#[derive(Debug)]
pub struct Journaled<E: Effect> {
    effect: E,
    intent: IntentLine,
}

/// The line that an intent has in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntentLine {
    /// Whose.
    pub rotation: RotationId,
    /// Its number in that rotation.
    pub seq: u64,
}

impl<E: Effect> Journaled<E> {
    /// The effect to have.
    #[must_use]
    pub const fn effect(&self) -> &E {
        &self.effect
    }
}

impl Journaled<WriteEntries> {
    /// One order for each of the effect's stores: the places of a key may be in several.
    #[must_use]
    pub fn into_orders(self) -> Vec<WriteOrder> {
        let intent = self.intent;
        self.effect.stores.into_iter().map(|store| WriteOrder { store, intent }).collect()
    }
}

/// The right to write one batch to one store; made from a journaled [`WriteEntries`] only.
#[must_use]
#[derive(Debug)]
pub struct WriteOrder {
    store: StoreName,
    intent: IntentLine,
}

impl WriteOrder {
    /// The store that may be written.
    #[must_use]
    pub const fn store(&self) -> &StoreName {
        &self.store
    }

    /// The line of the journal that permits the write: another line for each attempt.
    #[must_use]
    pub const fn intent(&self) -> IntentLine {
        self.intent
    }
}

/// The result of an effect.
#[derive(Debug)]
pub enum Attempt<Y> {
    /// It happened, and that is durable.
    Done(Y),
    /// It certainly did not happen, and that is durable.
    Refused(Refusal),
    /// It may have happened: the rotation is in doubt, and reconciliation is the only answer.
    Unknown(String),
}

/// A journal: storage and the clock that dates its lines.
#[derive(Clone)]
pub struct Journal {
    store: SharedStore,
    clock: Arc<dyn Clock>,
}

impl Journal {
    /// A journal kept in `store`.
    #[must_use]
    pub fn new(store: SharedStore, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// The storage, for reading and for campaigns.
    #[must_use]
    pub const fn store(&self) -> &SharedStore {
        &self.store
    }

    /// The clock that dates the lines.
    #[must_use]
    pub const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Opens a rotation: its first line is durable when this returns.
    ///
    /// # Errors
    /// [`JournalError`] if it is not.
    pub async fn open(&self, id: RotationId, opened: Opened) -> Result<RotationJournal, JournalError> {
        let rotation = Arc::new(Rotation::open(id, opened.clone()));
        rotation.check_facts().map_err(|fact| JournalError::Illegal { rotation: id, source: fact.into() })?;
        let line = Line { rotation: id, seq: 1, at: self.clock.now(), event: Event::Opened(Box::new(opened)) };
        self.store.append(line, &rotation).await?;
        Ok(RotationJournal { journal: self.clone(), rotation, seq: 1 })
    }

    /// A rotation as its lines tell it.
    ///
    /// # Errors
    /// [`JournalError`] if the lines cannot be read, have a gap, or do not follow from one another.
    pub async fn replay(&self, id: RotationId) -> Result<RotationJournal, JournalError> {
        let lines = self.store.lines(id).await?;
        let seq = lines.len() as u64;
        let rotation = replay(id, &lines)?;
        Ok(RotationJournal { journal: self.clone(), rotation: Arc::new(rotation), seq })
    }
}

/// The rotation that these lines, from the first on, lead to.
///
/// # Errors
/// [`JournalError`] if they have a gap or do not follow from one another.
pub fn replay(id: RotationId, lines: &[Line]) -> Result<Rotation, JournalError> {
    let Some((first, rest)) = lines.split_first() else {
        return Err(JournalError::Incomplete { rotation: id, what: "has no lines: there is no such rotation" });
    };
    if lines.iter().zip(1..).any(|(line, seq)| line.seq != seq || line.rotation != id) {
        return Err(JournalError::Incomplete { rotation: id, what: "has a gap between its lines" });
    }
    let Event::Opened(opened) = &first.event else {
        return Err(JournalError::Incomplete { rotation: id, what: "does not begin with `opened`" });
    };
    let mut rotation = Rotation::open(id, (**opened).clone());
    rotation.check_facts().map_err(|fact| JournalError::Illegal { rotation: id, source: fact.into() })?;
    for line in rest {
        rotation = apply(&rotation, &line.event).map_err(|source| JournalError::Illegal { rotation: id, source })?;
    }
    Ok(rotation)
}

/// The journal of one rotation. Every method that writes takes it by value: after a failed write there is nothing
/// left to step with.
#[must_use]
pub struct RotationJournal {
    journal: Journal,
    rotation: Arc<Rotation>,
    seq: u64,
}

impl RotationJournal {
    /// The rotation as its last line left it.
    #[must_use]
    pub fn rotation(&self) -> &Rotation {
        &self.rotation
    }

    /// The same, to keep while the journal moves on.
    #[must_use]
    pub fn shared(&self) -> Arc<Rotation> {
        Arc::clone(&self.rotation)
    }

    /// Journals a fact that has no effect.
    ///
    /// # Errors
    /// [`JournalError`] if it is not durable, or cannot follow.
    pub async fn note(self, event: Event) -> Result<Self, JournalError> {
        self.append(event).await
    }

    /// The door: makes the intent durable, lets `act` have the effect, makes the outcome durable.
    ///
    /// A [`Failure::Unknown`] records no outcome: the rotation stays in doubt.
    ///
    /// # Errors
    /// [`JournalError`] if the intent or the outcome could not be made durable. In the first case nothing was done.
    pub async fn carry_out<E, A, F>(self, effect: E, act: A) -> Result<(Self, Attempt<E::Yield>), JournalError>
    where
        E: Effect,
        A: FnOnce(Journaled<E>) -> F + Send,
        F: Future<Output = Result<E::Yield, Failure>> + Send,
    {
        let intent = effect.intent();
        let id = self.rotation.id;
        let journal = self.append(Event::Intended(intent.clone())).await?;
        let line = IntentLine { rotation: id, seq: journal.seq };
        let result = act(Journaled { effect, intent: line }).await;
        match result {
            Ok(yielded) => {
                let outcome = E::outcome(&intent, id, &yielded);
                let Some(outcome) = outcome else {
                    // Nothing may be recorded as done that is not known: reconciliation finds out what happened.
                    return Ok((journal, Attempt::Unknown(format!("`{}` has no outcome of its own", intent.name()))));
                };
                let journal = journal.append(Event::Done(outcome)).await?;
                Ok((journal, Attempt::Done(yielded)))
            }
            Err(Failure::Refused(refusal)) => {
                let journal = journal.append(Event::NotDone(NotDone::Refused(refusal.clone()))).await?;
                Ok((journal, Attempt::Refused(refusal)))
            }
            Err(Failure::Unknown(why)) => Ok((journal, Attempt::Unknown(why))),
        }
    }

    async fn append(self, event: Event) -> Result<Self, JournalError> {
        let Self { journal, rotation, seq } = self;
        let id = rotation.id;
        let next = apply(&rotation, &event).map_err(|source| JournalError::Illegal { rotation: id, source })?;
        // A rotation is large, and a thousand may wait for their lines to be durable.
        let next = Arc::new(next);
        let line = Line { rotation: id, seq: seq + 1, at: journal.clock.now(), event };
        journal.store.append(line, &next).await?;
        Ok(Self { journal, rotation: next, seq: seq + 1 })
    }
}
