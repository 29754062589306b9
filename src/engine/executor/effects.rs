//! Executes what `next_step` chose: journals the intent, calls the port, journals the outcome. Nothing is decided here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::entry_writes::{self, Batches};
use super::state::{Advance, Executor, MOST_TRIES, StopReason, Unseen};
use crate::engine::observe::places::{Readings, secret_for};
use crate::engine::options::REFUSALS;
use crate::engine::rate_limit::{Operation, Priority};
use crate::engine::sinks::way_out;
use crate::journal::write_ahead::{Attempt, JournalError, Journaled, RotationJournal};
use crate::ports::sink::SinkWrite;
use crate::rotation::decide::{Step, next_step};
use crate::rotation::denied::Denied;
use crate::rotation::effect::{ChangeStatus, CreateNew, Created, Effect, WriteEntries, WriteKind, WriteSink};
use crate::rotation::intent::Intent;
use crate::rotation::record::Rotation;
use crate::rotation::state::Phase;
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::name::{AccessKeyId, EntryName, StoreName};
use crate::types::time::Timestamp;

/// The greatest age of a key list when the create that depends on it is journaled, or when a throttled effect is tried
/// again.
pub(super) const FRESH: Duration = Duration::from_secs(5);

impl Executor<'_> {
    pub(super) async fn act(&mut self, journal: RotationJournal, intent: Intent) -> Result<Advance, JournalError> {
        if let Some(why) = self.cannot_sign(journal.rotation(), &intent) {
            return Ok(Advance::stop(journal, StopReason::NoCredentials(why)));
        }
        let user = journal.rotation().opened.user.clone();
        let old = journal.rotation().opened.old_key.clone();
        match intent {
            Intent::CreateNew { listed, .. } => Box::pin(self.create(journal, listed)).await,
            Intent::StoreNew => match self.memory.store_denied.take() {
                // The old values cannot be restored, and the write of the new pair has just been refused.
                Some(denied) => self.denied(journal, denied).await,
                None => Box::pin(self.store(journal, WriteKind::StoreNew)).await,
            },
            Intent::RestoreOld => Box::pin(self.store(journal, WriteKind::RestoreOld)).await,
            Intent::FenceStore => Box::pin(self.store(journal, WriteKind::FenceStore)).await,
            Intent::WriteSink { sink, key, .. } => Box::pin(self.write_sink(journal, sink, key)).await,
            Intent::ReactivateOld => Box::pin(self.reactivate(journal, ChangeStatus::reactivate_old(user, old))).await,
            Intent::ReactivateNew { key } => {
                Box::pin(self.reactivate(journal, ChangeStatus::reactivate_new(user, key))).await
            }
            removal @ (Intent::DeactivateOld
            | Intent::DeactivateNew { .. }
            | Intent::DeleteOld
            | Intent::DiscardNew { .. }
            | Intent::DeleteNamed { .. }) => Box::pin(self.remove(journal, removal)).await,
        }
    }

    async fn create(
        &mut self,
        journal: RotationJournal,
        listed: BTreeSet<AccessKeyId>,
    ) -> Result<Advance, JournalError> {
        let (session, account) = (self.session, self.account);
        // The permit is acquired before the intent is journaled, so that the window of the attempt contains the call
        // and not the queue before it.
        let Some(permit) = session.stop.unless_asked(account.limiter.acquire(Operation::CreateAccessKey)).await else {
            return Ok(Advance::stop(journal, StopReason::Stopped));
        };
        let rotation = journal.shared();
        match session.stop.unless_asked(self.held(&rotation)).await {
            Some(None) => {}
            Some(Some(denied)) => return self.denied(journal, denied).await,
            None => return Ok(Advance::stop(journal, StopReason::Stopped)),
        }
        let listed = match session.stop.unless_asked(self.fresh_list(&rotation, listed)).await {
            Some(Ok(Some(listed))) => listed,
            Some(Ok(None)) => return Ok(Advance::proceed(journal)),
            Some(Err(unseen)) => return self.unseen(journal, unseen).await,
            None => return Ok(Advance::stop(journal, StopReason::Stopped)),
        };
        let asked_at = session.aws_now();
        let give_up_at = asked_at.plus(session.options.call_timeout);
        let effect = CreateNew { user: journal.rotation().opened.user.clone(), listed, asked_at, give_up_at };
        let act = |order: Journaled<CreateNew>| async move {
            let result = if session.aws_now() >= give_up_at {
                let late = "the journal took longer than the call may take: nothing was sent";
                Err(Refusal::new(RefusalKind::Other, late).into())
            } else {
                let created = account.ports.iam.create_key(order).await;
                created.map(|created| Created { at: session.saw_date(created.at), ..created })
            };
            permit.release_after(&result);
            result
        };
        let intent = effect.intent();
        let (journal, attempt) = journal.carry_out(effect, act).await?;
        if let Attempt::Done(created) = attempt {
            self.memory.new_secret = Some(created.key.secret);
            return self.went_well(journal);
        }
        self.went_wrong(journal, &intent, attempt).await
    }

    /// Returns the lock of another program that would block a write to a place now. A key that is created under such a
    /// lock could not be stored.
    async fn held(&self, rotation: &Rotation) -> Option<Denied> {
        let mut entries: BTreeMap<&StoreName, BTreeSet<&EntryName>> = BTreeMap::new();
        for place in &rotation.opened.places {
            entries.entry(&place.store).or_default().extend(place.entries());
        }
        for (store, entries) in entries {
            let Some(store) = self.session.stores.get(store) else { continue };
            let entries: Vec<EntryName> = entries.into_iter().cloned().collect();
            if let Some(why) = store.held(&entries).await {
                return Some(Denied::of_write(rotation, why).by_a_lock());
            }
        }
        None
    }

    /// Returns the key list that a create depends on, and reads it again if it became stale in the queue. It keeps the
    /// permit: queueing again would make the list stale again. `None`: `next_step` decides otherwise after the new
    /// list.
    async fn fresh_list(
        &mut self,
        rotation: &Rotation,
        listed: BTreeSet<AccessKeyId>,
    ) -> Result<Option<BTreeSet<AccessKeyId>>, Unseen> {
        let session = self.session;
        if session.clock.monotonic().saturating_sub(self.memory.keys_seen_at) <= FRESH {
            return Ok(Some(listed));
        }
        let (keys, span) = self.list_keys(rotation, Priority::Removal).await?;
        self.memory.keys_seen_at = span.ended;
        (self.observed.keys, self.facts.keys) = (Some(keys), Some(span));
        match next_step(rotation, self.memory.shown(session, rotation), &self.observed, session.aws_now()) {
            Step::Execute(Intent::CreateNew { listed, .. }) => Ok(Some(listed)),
            Step::Execute(_)
            | Step::Observe(_)
            | Step::Record(_)
            | Step::Wait { .. }
            | Step::Retry { .. }
            | Step::Idle => Ok(None),
        }
    }

    /// Activates a key again. This destroys nothing, so it needs no admission.
    async fn reactivate(&mut self, journal: RotationJournal, effect: ChangeStatus) -> Result<Advance, JournalError> {
        let (session, account) = (self.session, self.account);
        let Some(permit) = session.stop.unless_asked(account.limiter.acquire(Operation::UpdateAccessKey)).await else {
            return Ok(Advance::stop(journal, StopReason::Stopped));
        };
        self.finish(journal, effect, |order| async move {
            let result = account.ports.iam.change_status(order).await;
            permit.release_after(&result);
            // Only AWS responses advance `AwsClock`; a store write may return a fence time in the future.
            result.map(|at| session.saw_date(at))
        })
        .await
    }

    async fn store(&mut self, journal: RotationJournal, kind: WriteKind) -> Result<Advance, JournalError> {
        let session = self.session;
        let rotation = journal.shared();
        let lock = session.write_locks.lock(&session.stores, &rotation).await;
        let readings = match self.memory.readings.take() {
            Some(readings) if readings.writes == session.write_locks.generation(&session.stores, &rotation) => readings,
            before => {
                let (now, _) = self.read_places(&rotation, Priority::Ordinary).await;
                if before.is_some_and(|before| before.shows != now.shows) {
                    // The places are not those that the decision was based on.
                    self.forget();
                    return Ok(Advance::proceed(journal));
                }
                now
            }
        };
        let batches = match self.batches(&rotation, &readings, kind) {
            Ok(batches) => batches,
            Err(why) => return self.later(journal, why).await,
        };
        let stores = batches.keys().cloned().collect();
        let seen_through = rotation.clone();
        let finished = self.finish(journal, WriteEntries { kind, stores }, |order| async move {
            session.write_locks.record_write(&lock);
            entry_writes::write(session, &seen_through, order, batches).await
        });
        // The future holds the rotation several times, which is large for the stack.
        Box::pin(finished).await
    }

    fn batches(&mut self, rotation: &Rotation, readings: &Readings, kind: WriteKind) -> Result<Batches, String> {
        match kind {
            WriteKind::FenceStore => Ok(entry_writes::fence(rotation, readings)),
            WriteKind::RestoreOld => Ok(entry_writes::old_pair(rotation, readings, &self.memory.old_values)),
            WriteKind::StoreNew => {
                let (Some(made), Some(secret)) = (rotation.made(), &self.memory.new_secret) else {
                    return Err("the new secret is not in memory".to_owned());
                };
                let batches = entry_writes::new_pair(rotation, readings, &made.key, secret)?;
                entry_writes::keep_old(rotation, readings, &mut self.memory.old_values);
                Ok(batches)
            }
        }
    }

    async fn write_sink(
        &mut self,
        journal: RotationJournal,
        sink: usize,
        key: AccessKeyId,
    ) -> Result<Advance, JournalError> {
        let session = self.session;
        let rotation = journal.shared();
        let follower = &rotation.opened.sinks[sink];
        let port = match session.sinks.get(follower) {
            Ok(port) => port,
            Err(why) => return self.later(journal, format!("{why}; {}", way_out(&rotation, &follower.sink))).await,
        };
        let readings = self.memory.readings.as_ref();
        let Some(secret) = readings.and_then(|read| secret_for(&rotation, follower, &key, read)) else {
            return self.later(journal, format!("the pair of {key} cannot be read back for {}", follower.sink)).await;
        };
        let Some(_permit) = session.stop.unless_asked(session.stores.limiter.acquire(Operation::Store)).await else {
            return Ok(Advance::stop(journal, StopReason::Stopped));
        };
        let asked_at = session.aws_now();
        let send_by = asked_at.plus(session.options.call_timeout);
        let until = send_by.plus(follower.lands_within);
        let follows = &rotation.opened.places[follower.place].id.entry;
        let hint = way_out(&rotation, &follower.sink);
        let effect = WriteSink { sink, key, asked_at, until };
        self.finish(journal, effect, |order| async move {
            if session.aws_now() >= send_by {
                let late = "the journal took longer than the call may take: nothing was sent";
                return Err(Refusal::new(RefusalKind::Other, late).into());
            }
            let write = SinkWrite { follows, secret: &secret };
            port.write(order, write).await.map_err(|failure| failure.with_hint(&hint))?;
            Ok(session.aws_now())
        })
        .await
    }

    /// Executes an effect and handles its outcome. Only the create does not use this function.
    pub(super) async fn finish<E, A, F>(
        &mut self,
        journal: RotationJournal,
        effect: E,
        act: A,
    ) -> Result<Advance, JournalError>
    where
        E: Effect<Yield = Timestamp>,
        A: FnOnce(Journaled<E>) -> F + Send,
        F: Future<Output = Result<Timestamp, Failure>> + Send,
    {
        let intent = effect.intent();
        let (journal, attempt) = journal.carry_out(effect, act).await?;
        match attempt {
            Attempt::Done(_) => self.went_well(journal),
            Attempt::Refused(_) | Attempt::Unknown(_) => self.went_wrong(journal, &intent, attempt).await,
        }
    }

    fn went_well(&mut self, journal: RotationJournal) -> Result<Advance, JournalError> {
        self.failures = 0;
        (self.throttled_since, self.silent_since) = (None, None);
        self.memory.store_denied = None;
        self.forget();
        self.session.scans.look_for(journal.rotation());
        self.memory.readings = None;
        if !matches!(journal.rotation().state.phase(), Some(Phase::CreatedNew { .. })) {
            self.memory.old_values.clear();
        }
        Ok(Advance::proceed(journal))
    }

    async fn went_wrong<Y>(
        &mut self,
        journal: RotationJournal,
        intent: &Intent,
        attempt: Attempt<Y>,
    ) -> Result<Advance, JournalError> {
        self.memory.readings = None;
        let (known, facts) = (std::mem::take(&mut self.observed), std::mem::take(&mut self.facts));
        if matches!(attempt, Attempt::Unknown(_)) {
            self.since = self.session.clock.monotonic();
        }
        let kind = if let Attempt::Refused(refusal) = &attempt { Some(refusal.kind) } else { None };
        let why = match attempt {
            Attempt::Refused(refusal) => refusal.message,
            Attempt::Unknown(why) => why,
            Attempt::Done(_) => String::new(),
        };
        let is_locked = kind == Some(RefusalKind::Locked);
        let denied = match is_locked || kind == Some(RefusalKind::Denied) {
            true => Denied::of_effect(journal.rotation(), intent, &why),
            false => None,
        };
        let (id, user) = (journal.rotation().id, &journal.rotation().opened.user);
        match &denied {
            Some(_) => tracing::warn!(target: REFUSALS, rotation = %id, %user, "{why}"),
            None => tracing::warn!(rotation = %id, %user, "{why}"),
        }
        if let Some(denied) = denied {
            let denied = if is_locked { denied.by_a_lock() } else { denied };
            if *intent != Intent::StoreNew {
                return self.denied(journal, denied).await;
            }
            // `next_step` counts these refusals: at the second one it gives the new pair up, if that is possible.
            if self.counts(journal.rotation(), &denied).await {
                self.memory.store_denied = Some(denied);
            }
            return Ok(Advance::proceed(journal));
        }
        let throttled = kind == Some(RefusalKind::Throttled);
        let hopeless = matches!(kind, Some(RefusalKind::Denied | RefusalKind::Credentials));
        if hopeless && !self.has_a_key_in_hand(journal.rotation()) {
            // Access denied will not change during this run: count it as the last try. (If the process holds a new key,
            // `next_step` discards it.)
            self.failures = MOST_TRIES;
        }
        // A throttled call is no failure, and the gap of the lane is the wait before the next one.
        let is_brief = throttled && self.account.limiter.is_brief(&mut self.throttled_since);
        let advance = if is_brief { Advance::proceed(journal) } else { self.later(journal, why).await? };
        if throttled {
            // A throttled call changed nothing, and calls are scarce, so the results of recent calls are kept. The
            // places and all entries are read again, and the proof is of the pair that they must still hold.
            let age = self.session.clock.monotonic().saturating_sub(self.memory.keys_seen_at);
            (self.observed.keys, self.facts.keys) = (known.keys.filter(|_| age <= FRESH), facts.keys);
            (self.observed.stored_pair, self.facts.stored_pair) = (known.stored_pair, facts.stored_pair);
        }
        Ok(advance)
    }
}
