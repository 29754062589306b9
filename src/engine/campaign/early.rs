//! Proofs of old pairs that begin as soon as IAM has confirmed their keys, while the survey still asks about the others.
//! The calls have a quota of their own at STS, which would not be used until the last key is confirmed.
//!
//! A proof changes nothing in IAM or in a store, but it counts as a use of the key. So it begins early only for a key
//! whose rotation this run will certainly open if the survey does not skip it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::old_pair::{Tried, prove_old};
use crate::engine::session::Session;
use crate::engine::survey::Due;
use crate::engine::survey::choice::Choice;
use crate::rotation::policy::Policy;
use crate::types::name::{AccessKeyId, RotationId};

/// How many new keys may be in memory at once, for each call in flight. A crash loses all of them, and `resume`
/// discards them. A proof takes seconds in which no call is in flight.
const IN_HAND_PER_CALL: usize = 16;

/// The proofs that were begun early. Those that are not taken end when this is dropped.
pub(super) struct EarlyProofs {
    session: Arc<Session>,
    policy: Policy,
    /// The permits that bound how many new keys are in memory at once.
    pub(super) in_hand: Arc<Semaphore>,
    /// Whether each key that the survey finds due will be opened.
    opens_all: bool,
    /// The keys that failed before, and may be held back.
    unsure: BTreeSet<AccessKeyId>,
    begun: Mutex<BTreeMap<RotationId, EarlyProof>>,
}

impl EarlyProofs {
    /// `unsure`: keys that are not proven early.
    pub(super) fn new(
        session: &Arc<Session>,
        choice: &Choice,
        limit: Option<usize>,
        unsure: BTreeSet<AccessKeyId>,
    ) -> Self {
        // Under a limit the oldest keys are opened, which only the whole survey knows. A run opens nothing if one of
        // several patterns of `--only` matches no key; a single one matches the key itself.
        let all_match = choice.only.as_ref().is_none_or(|only| only.texts().len() == 1);
        Self {
            session: session.clone(),
            policy: choice.policy.clone(),
            in_hand: Arc::new(Semaphore::new(session.options.concurrency.max(1) * IN_HAND_PER_CALL)),
            opens_all: limit.is_none() && all_match,
            unsure,
            begun: Mutex::default(),
        }
    }

    fn begun(&self) -> MutexGuard<'_, BTreeMap<RotationId, EarlyProof>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the proof of this key, if its rotation will be opened and a permit is free.
    pub(super) fn begin(&self, due: &Due) {
        let session = &self.session;
        if !self.opens_all || self.unsure.contains(&due.key.id) {
            return;
        }
        if session.lacks_credentials_for(due) || session.identities_of_stores(due).is_err() {
            return;
        }
        // No task that waits for a permit is begun here: the permits may be those of proofs whose rotations begin later.
        let Ok(place) = self.in_hand.clone().try_acquire_owned() else { return };
        let (session, policy, in_hand) = (session.clone(), self.policy.clone(), self.in_hand.clone());
        let (id, due) = (due.id, due.clone());
        let proof = async move { prove_old(&session, &due, &policy, &in_hand, Some(place)).await };
        self.begun().insert(id, EarlyProof(tokio::spawn(proof)));
    }

    /// Moves the keys whose proofs have begun to the front of `due`, and ends all other proofs. Those proofs hold
    /// permits that tasks behind them may wait for, and the key lists that they rest on are the oldest.
    pub(super) fn first_of(self, due: &mut [Due]) -> Self {
        {
            let mut begun = self.begun();
            let ids: BTreeSet<RotationId> = due.iter().map(|due| due.id).collect();
            begun.retain(|id, _| ids.contains(id));
            due.sort_by_key(|due| !begun.contains_key(&due.id));
        }
        self
    }

    /// Takes the proof of this rotation, if it has begun.
    pub(super) fn take(&self, id: RotationId) -> Option<EarlyProof> {
        self.begun().remove(&id)
    }
}

/// A proof that was begun early. It ends when this is dropped.
pub(super) struct EarlyProof(JoinHandle<Tried>);

impl EarlyProof {
    /// Returns the result of the proof.
    pub(super) async fn end(mut self) -> Tried {
        match (&mut self.0).await {
            Ok(tried) => tried,
            Err(error) => match error.try_into_panic() {
                // The task of the rotation ends as if the proof had been part of it.
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the end of the runtime stops a task that is still waited for.
                Err(_) => Tried::Stopped,
            },
        }
    }
}

impl Drop for EarlyProof {
    fn drop(&mut self) {
        self.0.abort();
    }
}
