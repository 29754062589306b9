//! Proofs of old pairs that begin as soon as IAM has confirmed their keys, while the survey still asks about the others.
//! The calls have a quota of their own at STS, which would not be used until the last key is confirmed.
//!
//! A proof changes nothing in IAM or in a store, but it counts as a use of the key. So it begins early only for a key
//! whose rotation this run opens, unless the survey skips the key or a stop is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::old_pair::{Tried, prove_old};
use crate::engine::session::Session;
use crate::engine::survey::Due;
use crate::engine::survey::choice::Choice;
use crate::types::name::{AccessKeyId, RotationId};

/// The proofs that were begun early. Dropping this ends the proofs that no rotation has taken.
pub(super) struct EarlyProofs {
    session: Arc<Session>,
    /// The permits that bound how many new keys are in memory at once.
    in_hand: Arc<Semaphore>,
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
        in_hand: &Arc<Semaphore>,
    ) -> Self {
        // Under a limit the oldest keys are opened, which only the whole survey knows. A run opens nothing if one of
        // several patterns of `--only` matches no key; a single one matches the key itself.
        let all_match = choice.only.as_ref().is_none_or(|only| only.texts().len() == 1);
        Self {
            session: session.clone(),
            in_hand: in_hand.clone(),
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
        // An early proof never waits for a permit. A proof whose rotation begins after this one could hold it.
        let Ok(place) = self.in_hand.clone().try_acquire_owned() else { return };
        let (session, in_hand) = (session.clone(), self.in_hand.clone());
        let (id, due) = (due.id, due.clone());
        let proof = async move { prove_old(&session, &due, &in_hand, Some(place)).await };
        self.begun().insert(id, EarlyProof(tokio::spawn(proof)));
    }

    /// Moves the keys whose proofs have begun to the front of `due`, and ends the proofs of all other keys. The early
    /// proofs hold permits that later tasks wait for, and their key lists are the oldest.
    pub(super) fn first_of(&self, due: &mut [Box<Due>]) {
        let mut begun = self.begun();
        let ids: BTreeSet<RotationId> = due.iter().map(|due| due.id).collect();
        begun.retain(|id, _| ids.contains(id));
        due.sort_by_key(|due| !begun.contains_key(&due.id));
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
