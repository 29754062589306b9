//! The removal of a key: deactivate, delete, discard. One unit of admission, final check, journal and send.
//!
//! The facts that a removal depends on must be only seconds old when the call is sent, so that an old pair that an
//! operator puts back is still noticed. Everything slow is therefore done before the admission
//! ([`crate::engine::admission`]). Facts that became too old are read again inside the unit, and their age is checked
//! once more after the journal write ([`super::fact_age`]).

use futures_util::future::join_all;

use super::fact_age::Span;
use super::state::{Advance, Executor, StopReason, Unseen};
use crate::engine::admission::Ticket;
use crate::engine::observe::prove::prove_once;
use crate::engine::rate_limit::{Operation, Permit, Priority};
use crate::journal::write_ahead::{JournalError, RotationJournal};
use crate::rotation::decide::Query;
use crate::rotation::decide::{Step, next_step};
use crate::rotation::effect::{ChangeStatus, DeleteKey};
use crate::rotation::intent::Intent;
use crate::rotation::observed::Proof;
use crate::rotation::record::Rotation;
use crate::rotation::state::Phase;
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::name::AccessKeyId;
use crate::types::time::Timestamp;

/// How many times facts that became too old are read again in one removal.
const MOST_CHECKS: u32 = 3;
/// How many times one removal asks for another scan because it waited too long for its admission. A scan that has just
/// ended serves for a minute, so this bound only guards against a defect.
const MOST_SCANS: u32 = 100;

/// How many times one removal gives its admission back because the rate fell while it waited for its permit.
const MOST_WAITS: u32 = 100;

type Ended = Result<Advance, JournalError>;

impl Executor<'_> {
    /// Removes a key, if `next_step` still chooses that after a final check that is only seconds old.
    pub(super) async fn remove(&mut self, journal: RotationJournal, intent: Intent) -> Ended {
        let (session, account) = (self.session, self.account);
        let rotation = journal.shared();
        let calls = self.calls(&intent);
        let mut ticket = Ticket::take(&account.limiter);
        let (mut checks, mut scans, mut waits, mut checked) = (0, 0, 0, false);
        loop {
            if !self.may_begin(&rotation, &intent) {
                return Ok(Advance::stop(journal, StopReason::Stopped));
            }
            tokio::select! {
                biased;
                () = ticket.admit(&calls) => {}
                () = session.leaving(self.is_unheard_of(&rotation, &intent)) => return Ok(Advance::stop(journal, StopReason::Stopped)),
            }
            let old = self.too_old();
            if checks == MOST_CHECKS
                && let Some(why) = old
            {
                let why = format!("facts-too-slow: {why}, so that {} was not sent", intent.name());
                return Ok(Advance::stop(journal, StopReason::FailedForNow(why)));
            }
            let now = session.clock.monotonic();
            if self.facts.scan.is_some_and(|scan| !scan.scan_is_fresh(now)) && scans < MOST_SCANS {
                scans += 1;
                ticket.step_back();
                checked = false;
                if let Err(unseen) = self.scan_again(&rotation).await {
                    return self.unseen(journal, unseen).await;
                }
                continue;
            }
            if old.is_some() || (!checked && !self.is_as_new_as_a_check()) {
                checks += 1;
                checked = true;
                if let Err(unseen) = self.check(&rotation).await {
                    return self.unseen(journal, unseen).await;
                }
            }
            let memory = self.memory.shown(session, &rotation);
            let again = match next_step(&rotation, memory, &self.observed, session.aws_now()) {
                Step::Execute(again) if is_same(&again, &intent) => again,
                // `next_step` decides otherwise after the new reads.
                Step::Execute(_)
                | Step::Observe(_)
                | Step::Record(_)
                | Step::Wait { .. }
                | Step::Retry { .. }
                | Step::Idle => {
                    return Ok(Advance::proceed(journal));
                }
            };
            let permit = tokio::select! {
                biased;
                permit = account.limiter.acquire_for(Priority::Removal, operation(&again)) => permit,
                () = session.leaving(self.is_unheard_of(&rotation, &intent)) => return Ok(Advance::stop(journal, StopReason::Stopped)),
            };
            if self.too_old().is_some() {
                if checked && self.facts.waited_too_long(session.clock.monotonic()) && waits < MOST_WAITS {
                    // The rate has fallen since the admission, and fewer units may be admitted now.
                    (checks, waits, checked) = (checks - 1, waits + 1, false);
                    ticket.step_back();
                }
                continue;
            }
            if !self.may_begin(&rotation, &intent) {
                return Ok(Advance::stop(journal, StopReason::Stopped));
            }
            return Box::pin(self.send(journal, again, permit, ticket)).await;
        }
    }

    async fn send(
        &mut self,
        journal: RotationJournal,
        intent: Intent,
        permit: Permit<'_>,
        ticket: Ticket<'_>,
    ) -> Ended {
        let (session, iam) = (self.session, &self.account.ports.iam);
        let user = journal.rotation().opened.user.clone();
        let old = journal.rotation().opened.old_key.clone();
        let send_before = self.facts.send_before(session.options.call_timeout);
        let in_time = move || -> Result<(), Failure> {
            if session.clock.monotonic() <= send_before {
                return Ok(());
            }
            let late = "what this rests on grew too old while the journal was written: nothing was sent";
            Err(Refusal::new(RefusalKind::Other, late).into())
        };
        let over = move |result: Result<Timestamp, Failure>| {
            permit.release_after(&result);
            // The unit ends with the answer. The next one need not wait until the outcome is in the journal.
            drop(ticket);
            // Only AWS responses advance `AwsClock`.
            result.map(|at| session.saw_date(at))
        };
        let change = match intent {
            Intent::DeactivateOld => Ok(ChangeStatus::deactivate_old(user, old)),
            Intent::DeactivateNew { key } => Ok(ChangeStatus::deactivate_new(user, key)),
            Intent::DeleteOld => Err(DeleteKey::old(user, old)),
            Intent::DiscardNew { key, then, why } => Err(DeleteKey::new_key(user, key, then, why)),
            Intent::DeleteNamed { key } => Err(DeleteKey::named(user, key)),
            Intent::CreateNew { .. }
            | Intent::StoreNew
            | Intent::RestoreOld
            | Intent::FenceStore
            | Intent::WriteSink { .. }
            | Intent::ReactivateOld
            | Intent::ReactivateNew { .. } => {
                return self.later(journal, format!("{} is no removal", intent.name())).await;
            }
        };
        match change {
            Ok(effect) => {
                let act = |order| async move {
                    in_time()?;
                    over(iam.change_status(order).await)
                };
                self.finish(journal, effect, act).await
            }
            Err(effect) => {
                let is_young = self.is_young(journal.rotation(), effect.key());
                let effect = effect.young(is_young);
                let act = |order| async move {
                    in_time()?;
                    over(iam.delete_key(order).await)
                };
                self.finish(journal, effect, act).await
            }
        }
    }

    /// Returns whether parts of IAM may not know this key yet. A new key of rotator that is not listed counts as young,
    /// because it may be listed later, unless two looks have shown that it is gone.
    fn is_young(&self, rotation: &Rotation, key: &AccessKeyId) -> bool {
        let opened = &rotation.opened;
        let keys = self.observed.keys.as_ref();
        let listed = keys.and_then(|keys| keys.find(key)).map(|seen| seen.created);
        let created = if *key == opened.old_key { Some(opened.old_key_created) } else { listed };
        let ours = rotation.made().is_some_and(|made| made.key == *key);
        let is_gone = keys.is_some_and(|keys| rotation.has_lost_its_new_key(keys.at));
        let unlisted = ours && !is_gone && !opened.policy.settle.is_zero();
        created.map_or(unlisted, |created| self.session.aws_now() < opened.policy.settled_after(created))
    }

    /// Returns whether a removal may begin. After a signal only the removal of a key that would otherwise be an orphan
    /// begins, and only while its call can end in time.
    fn may_begin(&self, rotation: &Rotation, intent: &Intent) -> bool {
        let stop = &self.session.stop;
        let has_time = || !stop.time_left(self.session.clock.as_ref()).is_zero();
        !stop.asked() || (self.is_unheard_of(rotation, intent) && has_time())
    }

    /// Returns whether this discards a new key whose secret only this process holds, and that was never written to a
    /// store.
    fn is_unheard_of(&self, rotation: &Rotation, intent: &Intent) -> bool {
        let unwritten = rotation.made().is_some_and(|made| !made.write_may_land);
        matches!(intent, Intent::DiscardNew { .. }) && self.has_a_key_in_hand(rotation) && unwritten
    }

    fn is_as_new_as_a_check(&self) -> bool {
        self.facts.are_as_new_as_a_check(self.session.clock.monotonic())
    }

    fn too_old(&self) -> Option<String> {
        self.facts.too_old(self.session.clock.monotonic(), self.session.options.call_timeout)
    }

    /// Returns the calls of the unit, for its share of the rate limit.
    fn calls(&self, intent: &Intent) -> Vec<Operation> {
        let asks_last_use = (!self.observed.last_used.is_empty()).then_some(Operation::GetAccessKeyLastUsed);
        [Operation::ListAccessKeys, operation(intent)].into_iter().chain(asks_last_use).collect()
    }

    /// Scans again for the keys of the last scan. It runs outside the unit, because it has a slot of its own and may be
    /// slow.
    async fn scan_again(&mut self, rotation: &Rotation) -> Result<(), Unseen> {
        let keys = self.observed.scan.take().map(|scan| scan.named).unwrap_or_default();
        self.facts.scan = None;
        let session = self.session;
        for (key, _) in keys {
            // On the heap: this future contains what it waits for twice.
            let scanned = Box::pin(self.look(rotation, Query::Scan(key)));
            match session.stop.unless_asked(scanned).await {
                Some(seen) => seen?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Makes the final check: reads the places, the keys of the user and the stored pair again, all at once.
    async fn check(&mut self, rotation: &Rotation) -> Result<(), Unseen> {
        let (session, account) = (self.session, self.account);
        let clock = &session.clock;
        let asked: Vec<_> = self.observed.last_used.keys().cloned().collect();
        let used = join_all(asked.iter().map(|key| self.last_used(rotation, key, Priority::Removal)));
        // This is the secret that the places held before. If they hold another one now, their fingerprints differ.
        let made = rotation.made().filter(|_| is_stored(rotation)).zip(self.memory.new_secret.as_ref());
        let proof = async {
            let (made, secret) = made?;
            let began = clock.monotonic();
            let proof = prove_once(session, account, &rotation.opened, &made.key, secret).await;
            Some((proof, Span { began, ended: clock.monotonic() }))
        };
        let keys = self.list_keys(rotation, Priority::Removal);
        let places = self.read_places(rotation, Priority::Removal);
        let (keys, (readings, read), proof, used) = tokio::join!(keys, places, proof, used);
        let (keys, listed) = keys?;
        let used: Result<Vec<_>, _> = used.into_iter().collect();
        self.observed.last_used = asked.into_iter().zip(used?).collect();
        self.memory.keys_seen_at = listed.ended;
        (self.observed.keys, self.facts.keys) = (Some(keys), Some(listed));
        self.saw_places(rotation, readings, read);
        // A pair that does not answer at once is tried again outside the unit.
        let proof = proof.filter(|(proof, _)| *proof == Proof::Passed);
        (self.observed.stored_pair, self.facts.stored_pair) = proof.unzip();
        Ok(())
    }
}

fn is_stored(rotation: &Rotation) -> bool {
    matches!(rotation.state.phase(), Some(Phase::StoredNew { .. } | Phase::DeactivatedOld { .. }))
}

fn is_same(one: &Intent, other: &Intent) -> bool {
    match (one, other) {
        (Intent::DiscardNew { key, then, .. }, Intent::DiscardNew { key: other, then: after, .. }) => {
            key == other && then == after
        }
        (one, other) => one == other,
    }
}

fn operation(removal: &Intent) -> Operation {
    match removal {
        Intent::DeactivateOld | Intent::DeactivateNew { .. } | Intent::ReactivateOld | Intent::ReactivateNew { .. } => {
            Operation::UpdateAccessKey
        }
        Intent::DeleteOld | Intent::DiscardNew { .. } | Intent::DeleteNamed { .. } => Operation::DeleteAccessKey,
        Intent::CreateNew { .. } => Operation::CreateAccessKey,
        Intent::StoreNew | Intent::RestoreOld | Intent::FenceStore | Intent::WriteSink { .. } => Operation::Store,
    }
}
