//! The executor: the loop over one rotation, which asks `next_step` and executes the step.
//!
//! The same loop advances a rotation that was just opened and one that a crash left in doubt.

mod credentials;
mod effects;
mod entry_writes;
pub(in crate::engine) mod fact_age;
#[cfg(test)]
mod future_sizes;
mod late_copies;
mod refused;
mod removal;
mod renamed;
mod state;
mod waits;

use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use self::effects::FRESH;
use self::fact_age::{Facts, Span};
use self::state::{Advance, Executor, InMemory, MOST_TRIES, Unseen};
pub use self::state::{Advanced, StopReason};
use self::waits::{give_back, look_again};
use crate::engine::accounts::Account;
use crate::engine::backoff::OF_A_CALL;
use crate::engine::observe::places::{Readings, forget_previous, put_back, read_places, staged_secret};
use crate::engine::observe::prove::{ProofOptions, prove};
use crate::engine::options::Progress;
use crate::engine::rate_limit::{Operation, Priority};
use crate::engine::session::{Mismatch, Session};
use crate::engine::session_check::CheckError;
use crate::engine::shutdown::Stop;
use crate::engine::tasks::Started;
use crate::journal::write_ahead::{JournalError, RotationJournal};
use crate::rotation::decide::Query;
use crate::rotation::decide::{Step, next_step};
use crate::rotation::denied::{self, Denied};
use crate::rotation::event::Event;
use crate::rotation::intent::Intent;
use crate::rotation::observed::{KeyUse, KeysSeen, Observed};
use crate::rotation::record::Rotation;
use crate::rotation::state::{Phase, State};
use crate::types::error_text::is_same_matter;
use crate::types::name::AccessKeyId;
use crate::types::time::Timestamp;

/// A bound on the steps of one pass, between two waits: an ordinary rotation takes about twenty.
const MOST_STEPS: usize = 400;

/// What a rotation begins with.
#[derive(Default)]
pub struct Begin {
    /// The right to be under way. It is given back when the rotation begins to wait for a known time. With a `place` it is
    /// also given back during a wait for the new key to work and before another try: the place bounds these rotations.
    pub started: Option<Started>,
    /// One of the permits that bound how many new keys are in memory at once. It is given back as soon as no new key can
    /// be in memory only.
    pub place: Option<OwnedSemaphorePermit>,
    /// The keys of the user as the survey listed them, and when.
    pub(in crate::engine) listed: Option<(KeysSeen, Span)>,
    /// Whether to leave the removal of the old key to another executor of this process.
    pub leaves_removal: bool,
    /// When the rotation had reached its present state at the latest, by the monotonic clock. `None`: it may have reached it
    /// just now.
    pub since: Option<Duration>,
}

/// Advances one rotation as far as possible now.
///
/// # Errors
/// [`JournalError`]: the journal failed. The effect under way is in doubt, and a later `resume` replays it.
pub async fn advance(
    session: &Session,
    journal: RotationJournal,
    Begin { started, place, listed, leaves_removal, since }: Begin,
) -> Result<Advanced, JournalError> {
    let (account, unsure) = match session.account_for(journal.rotation()) {
        Ok(account) => (account, false),
        // The store is asked again in the loop: a denial counts at the second time.
        Err(Mismatch::StoreDenied(account)) => (account, true),
        Err(Mismatch::WrongSession(why)) => {
            let stopped = StopReason::WrongSession(why);
            return Ok(Advanced { rotation: journal.shared(), stopped, left: None });
        }
    };
    let (observed, facts) = (Observed::default(), Facts::default());
    let since = since.unwrap_or_else(|| session.clock.monotonic());
    let mut executor = Executor {
        session,
        account,
        memory: InMemory::default(),
        observed,
        facts,
        since,
        failures: 0,
        silent_since: None,
        throttled_since: None,
        steps: 0,
        waits_until: None,
        is_unsure: unsure,
        first_refusal: None,
        place,
        started,
    };
    executor.take_list(listed);
    session.scans.look_for(journal.rotation());
    let mut journal = journal;
    if let Err(why) = session.confirm_time(account).await {
        let stopped = executor.why_stopped(journal.rotation(), why);
        let journal = executor.leave(journal, &stopped).await?;
        return Ok(Advanced { rotation: journal.shared(), stopped, left: None });
    }
    let stopped = loop {
        if executor.steps >= MOST_STEPS {
            break StopReason::FailedForNow("it took more steps than any rotation should".to_owned());
        }
        executor.steps += 1;
        let before = journal.rotation().state.clone();
        let Advance { journal: next, stop } = Box::pin(executor.step(journal)).await?;
        journal = next;
        if !matches!(journal.rotation().state.phase(), Some(Phase::Opened | Phase::CreatedNew { .. })) {
            executor.place = None;
        }
        if journal.rotation().state != before {
            session.say(Progress::Changed(journal.rotation()));
        }
        if let Some(stop) = stop {
            break stop;
        }
        if leaves_removal && waits_for_a_scan_only(journal.rotation()) {
            break StopReason::Stored;
        }
    };
    let journal = executor.leave(journal, &stopped).await?;
    if journal.rotation().is_closed() {
        session.scans.forget(journal.rotation());
        forget_previous(session, journal.rotation()).await;
    }
    let rotation = journal.shared();
    let left = matches!(stopped, StopReason::Stored).then_some(journal);
    Ok(Advanced { rotation, stopped, left })
}

impl Executor<'_> {
    async fn step(&mut self, journal: RotationJournal) -> Result<Advance, JournalError> {
        let session = self.session;
        let memory = self.memory.shown(session, journal.rotation());
        if self.must_stop(journal.rotation(), &session.stop) || session.stop.time_is_over(session.clock.as_ref()) {
            return Ok(Advance::stop(journal, StopReason::Stopped));
        }
        if std::mem::take(&mut self.is_unsure) {
            let in_hand = self.has_a_key_in_hand(journal.rotation());
            let home = tokio::select! {
                biased;
                home = session.still_matches(journal.rotation(), self.account) => home,
                () = session.leaving(in_hand) => return Ok(Advance::stop(journal, StopReason::Stopped)),
            };
            match home {
                Ok(()) => {}
                Err(CheckError::WrongSession(why)) => return Ok(Advance::stop(journal, StopReason::WrongSession(why))),
                Err(CheckError::Denied(denied)) => {
                    self.is_unsure = true;
                    return self.denied(journal, denied).await;
                }
                Err(CheckError::NoAnswer(why)) => {
                    self.is_unsure = true;
                    return self.later(journal, why).await;
                }
            }
        }
        let step = next_step(journal.rotation(), memory, &self.observed, session.aws_now());
        tracing::debug!(rotation = %journal.rotation().id, state = journal.rotation().state.name(), step = step_name(&step));
        match step {
            Step::Idle => Ok(Advance::stop(journal, StopReason::AtRest)),
            Step::Retry { why } => match self.memory.readings.as_ref().and_then(|read| read.denied.clone()) {
                Some(denied) => self.denied(journal, denied).await,
                None => self.later(journal, why).await,
            },
            Step::Wait { until, why } => self.wait(journal, until, why).await,
            Step::Record(event) => {
                self.forget();
                Ok(Advance::proceed(journal.note(event).await?))
            }
            Step::Observe(look) => {
                let in_hand = self.has_a_key_in_hand(journal.rotation());
                let seen = tokio::select! {
                    biased;
                    seen = self.look(journal.rotation(), look) => seen,
                    () = session.leaving(in_hand) => return Ok(Advance::stop(journal, StopReason::Stopped)),
                };
                match seen {
                    Ok(()) => Ok(Advance::proceed(journal)),
                    Err(unseen) => self.unseen(journal, unseen).await,
                }
            }
            Step::Execute(intent) => Box::pin(self.act(journal, intent)).await,
        }
    }

    /// Takes the key list of the survey for the create. A list that is too old is read again.
    fn take_list(&mut self, listed: Option<(KeysSeen, Span)>) {
        let age = |span: Span| self.session.clock.monotonic().saturating_sub(span.ended);
        if let Some((keys, span)) = listed.filter(|(_, span)| age(*span) <= FRESH) {
            self.memory.keys_seen_at = span.ended;
            (self.observed.keys, self.facts.keys) = (Some(keys), Some(span));
        }
    }

    /// Forgets what was observed, because the rotation has changed or time has passed.
    fn forget(&mut self) {
        self.observed = Observed::default();
        self.facts = Facts::default();
        self.since = self.session.clock.monotonic();
    }

    /// Returns whether to stop now. A new key in memory is stored or discarded first, and everything else can wait for
    /// the next `resume`.
    fn must_stop(&self, rotation: &Rotation, stop: &Stop) -> bool {
        if !stop.asked() {
            return false;
        }
        !self.has_a_key_in_hand(rotation)
    }

    /// Returns whether the secret of a new key is only in memory, so that it would be lost now.
    pub(super) fn has_a_key_in_hand(&self, rotation: &Rotation) -> bool {
        self.memory.new_secret.is_some() && matches!(rotation.state.phase(), Some(Phase::CreatedNew { .. }))
    }

    async fn later(&mut self, journal: RotationJournal, why: String) -> Result<Advance, JournalError> {
        if let Some(why) = self.session.lacks_credentials(journal.rotation()) {
            return Ok(Advance::stop(journal, StopReason::NoCredentials(why)));
        }
        self.failures += 1;
        self.observed = Observed::default();
        if self.failures >= MOST_TRIES {
            let until = self.waits_until.filter(|until| self.session.options.wait && *until > self.session.aws_now());
            let Some(until) = until else { return Ok(Advance::stop(journal, StopReason::FailedForNow(why))) };
            // A wait of weeks may outlast an outage, and nothing is to be done before its end.
            tracing::warn!(rotation = %journal.rotation().id, "{why}; it is looked at again later");
            return self.sleep_towards(journal, until).await;
        }
        give_back(&mut self.started, self.place.as_ref());
        tokio::select! {
            () = self.session.clock.sleep(OF_A_CALL.after(self.failures)) => {}
            () = self.session.stop.wait() => {}
        }
        Ok(Advance::proceed(journal))
    }

    async fn wait(&mut self, journal: RotationJournal, until: Timestamp, why: String) -> Result<Advance, JournalError> {
        let journal = defer(journal, why, Some(until)).await?;
        if !self.session.options.wait {
            return Ok(Advance::stop(journal, StopReason::Waiting(until)));
        }
        if self.session.failures.any() && !self.has_a_key_in_hand(journal.rotation()) {
            // The run ends, or starts again with working credentials if `--wait` is set.
            return Ok(Advance::stop(journal, StopReason::Waiting(until)));
        }
        self.waits_until = Some(until);
        self.sleep_towards(journal, until).await
    }

    /// Ends one pass and sleeps. The counts of a pass start again.
    async fn sleep_towards(&mut self, journal: RotationJournal, until: Timestamp) -> Result<Advance, JournalError> {
        self.steps = 0;
        (self.failures, self.silent_since) = (0, None);
        self.is_unsure = true;
        (self.place, self.started) = (None, None);
        if !matches!(journal.rotation().state.phase(), Some(Phase::CreatedNew { .. })) {
            // The wait may take days, and every place is read again after it, so no secret is kept during it.
            self.memory = InMemory::default();
        }
        let clock = &self.session.clock;
        let left = until.since(self.session.aws_now());
        let span = look_again(left);
        let in_hand = self.has_a_key_in_hand(journal.rotation());
        if !self.session.stop.asked() {
            tokio::select! {
                () = clock.sleep(span) => {}
                () = self.session.stop.wait() => {}
                () = self.session.failures.first(), if !in_hand => {}
            }
        } else if left > self.session.stop.time_left(clock.as_ref()) {
            // With a new key in memory the executor continues after a signal, but it does not wait for a moment that is
            // too late. It then gives the secret up, and the next `resume` continues from the journal.
            return Ok(Advance::stop(journal, StopReason::Stopped));
        } else {
            clock.sleep(span).await;
        }
        self.forget();
        Ok(Advance::proceed(journal))
    }

    async fn leave(&mut self, journal: RotationJournal, stopped: &StopReason) -> Result<RotationJournal, JournalError> {
        match stopped {
            StopReason::FailedForNow(why) | StopReason::NoCredentials(why) => defer(journal, why.clone(), None).await,
            StopReason::AtRest
            | StopReason::Waiting(_)
            | StopReason::Stopped
            | StopReason::Stored
            | StopReason::WrongSession(_) => Ok(journal),
        }
    }

    async fn look(&mut self, rotation: &Rotation, look: Query) -> Result<(), Unseen> {
        let (session, opened) = (self.session, &rotation.opened);
        match look {
            Query::Keys => {
                let (keys, span) = self.list_keys(rotation, Priority::Ordinary).await?;
                self.memory.keys_seen_at = span.ended;
                (self.observed.keys, self.facts.keys) = (Some(keys), Some(span));
            }
            Query::Places => {
                let (mut readings, span) = self.read_places(rotation, Priority::Ordinary).await;
                let is_lost = self.memory.new_secret.is_none() && readings.new_secret.is_none();
                if is_lost && matches!(rotation.state.phase(), Some(Phase::CreatedNew { .. })) {
                    readings.new_secret = staged_secret(session, rotation, &readings).await;
                }
                let stores = matches!(rotation.state.intent(), Some(Intent::StoreNew));
                let put_back = if stores { put_back(session, rotation, &readings).await } else { Vec::new() };
                self.saw_places(rotation, readings, span);
                self.observed.put_back = put_back;
            }
            Query::Scan(key) => {
                let denied = |answer| Denied::new(denied::Operation::ReadStore, "every entry of the stores", answer);
                let naming = session.scans.naming(&session.scan_context(), &key, self.since).await;
                let (seen, span) = naming.map_err(|error| Unseen::of(error, denied))?;
                let scan = self.observed.scan.get_or_insert_default();
                scan.named.extend(seen.named);
                scan.unreadable = seen.unreadable;
                if key == opened.old_key {
                    self.observed.copies = self.late_copies(rotation).await;
                }
                // Of several scans, for several keys, the oldest counts.
                self.facts.scan = Some(self.facts.scan.filter(|before| before.began < span.began).unwrap_or(span));
            }
            Query::NewPair | Query::StoredPair => {
                let policy = &opened.policy;
                let (Some(made), Some(secret)) = (rotation.made(), &self.memory.new_secret) else {
                    return Err(Unseen::Otherwise("the new pair could not be read back".to_owned()));
                };
                let stored = look == Query::StoredPair;
                let (times, span) =
                    if stored { (1, Duration::ZERO) } else { (policy.confirmations, policy.proof_span) };
                let began = session.clock.monotonic();
                let denied = rotation.is_known_to_lack(&Denied::of_proof(rotation, &made.key, ""));
                let how = ProofOptions { times, span, denied };
                // AWS takes seconds until it knows a new key, and this rotation costs little meanwhile.
                let on_wait = || give_back(&mut self.started, self.place.as_ref());
                let proof = prove(session, self.account, opened, &made.key, secret, how, on_wait).await;
                let span = Span { began, ended: session.clock.monotonic() };
                if stored {
                    (self.observed.stored_pair, self.facts.stored_pair) = (Some(proof), Some(span));
                } else {
                    self.observed.new_pair = Some(proof);
                }
            }
            Query::LastUsed(key) => {
                let used = self.last_used(rotation, &key, Priority::Ordinary).await?;
                self.observed.last_used.insert(key, used);
            }
            Query::Owner(key) => {
                let owner = self.owner_of(&key).await?;
                self.observed.owners.insert(key, owner);
            }
        }
        Ok(())
    }

    /// Lists the keys of the user, with the time of the call.
    async fn list_keys(&self, rotation: &Rotation, priority: Priority) -> Result<(KeysSeen, Span), Unseen> {
        let (session, Account { ports, limiter, .. }) = (self.session, self.account);
        let began = session.clock.monotonic();
        let list = || ports.iam.list_keys(&rotation.opened.user);
        let denied = |answer| Denied::of_user(rotation, denied::Operation::ListAccessKeys, answer);
        let keys = limiter.read_of(priority, Operation::ListAccessKeys, list).await;
        let mut keys = keys.map_err(|error| Unseen::of(error, denied))?;
        keys.at = session.saw_date(keys.at);
        Ok((keys, Span { began, ended: session.clock.monotonic() }))
    }

    /// Reads every place of the rotation, with the time of the read.
    async fn read_places(&self, rotation: &Rotation, priority: Priority) -> (Readings, Span) {
        let clock = &self.session.clock;
        let began = clock.monotonic();
        let readings = read_places(self.session, rotation, priority).await;
        (readings, Span { began, ended: clock.monotonic() })
    }

    fn saw_places(&mut self, rotation: &Rotation, mut readings: Readings, span: Span) {
        if let Some(secret) = readings.new_secret.take() {
            self.memory.new_secret = Some(secret);
        }
        (self.observed.places, self.facts.places) = (Some(readings.seen(self.session, rotation)), Some(span));
        self.memory.readings = Some(readings);
    }

    /// Asks when the key was last used. `None`: never.
    async fn last_used(
        &self,
        rotation: &Rotation,
        key: &AccessKeyId,
        priority: Priority,
    ) -> Result<Option<KeyUse>, Unseen> {
        let Account { ports, limiter, .. } = self.account;
        let ask = || ports.iam.last_used(key);
        let of_last_use = denied::Operation::GetAccessKeyLastUsed;
        let denied = |answer| Denied::of_key(rotation, of_last_use, key, answer);
        let used = limiter.read_of(priority, Operation::GetAccessKeyLastUsed, ask).await;
        let used = used.map_err(|error| Unseen::of(error, denied))?;
        Ok(used.and_then(|used| used.used))
    }
}

/// Whether the rotation is where only the final checks are between it and the removal of its old key.
fn waits_for_a_scan_only(rotation: &Rotation) -> bool {
    let State::Settled { phase: Phase::StoredNew { made, .. } } = &rotation.state else { return false };
    rotation.overlap().is_zero() && rotation.without_new(made).is_none()
}

/// Journals why a rotation is left as it is, unless its last line has the same reason.
async fn defer(
    journal: RotationJournal,
    why: String,
    until: Option<Timestamp>,
) -> Result<RotationJournal, JournalError> {
    let rotation = journal.rotation();
    let again = rotation.last_error.as_deref().is_some_and(|before| is_same_matter(before, &why));
    let said = again && rotation.waiting_until == until;
    if said || matches!(rotation.state, State::Closed { .. }) {
        return Ok(journal);
    }
    journal.note(Event::Deferred { why, until }).await
}

fn step_name(step: &Step) -> &'static str {
    match step {
        Step::Observe(_) => "look",
        Step::Execute(intent) => intent.name(),
        Step::Record(_) => "note",
        Step::Wait { .. } => "wait",
        Step::Retry { .. } => "later",
        Step::Idle => "rest",
    }
}
