//! The loop over one rotation: ask `plan`, do what it says, ask again.
//!
//! The same loop drives a rotation that was just opened and one that a crash left in doubt.

use std::time::Duration;

use super::pace::{Operation, Turn};
use super::places::{Readings, read_places};
use super::prove::prove;
use super::stop::Stop;
use super::world::World;
use super::write::{self, Batches, OldValues};
use crate::journal::write_ahead::{Attempt, JournalError, Journaled, RotationJournal};
use crate::rotation::effect::{ChangeStatus, CreateNew, DeleteKey, Effect, Intent, WriteEntries, WriteKind};
use crate::rotation::event::Event;
use crate::rotation::failure::{Failure, Refusal, RefusalKind};
use crate::rotation::known::{Hand, Known};
use crate::rotation::name::AccessKeyId;
use crate::rotation::plan::{Look, Step, plan};
use crate::rotation::policy::Timestamp;
use crate::rotation::secret::SecretKey;
use crate::rotation::standing::{Phase, Rotation, Standing};

/// A bound on the steps of one visit: an ordinary rotation takes about twenty.
const MOST_STEPS: usize = 400;
/// How often something that fails for now is tried in one visit.
const MOST_TRIES: u32 = 6;
/// The wait before the second try; doubles.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// How old a list may be when the create that rests on it is intended.
const FRESH: Duration = Duration::from_secs(5);

/// How a visit ended.
#[derive(Debug)]
pub enum Left {
    /// Closed, or blocked.
    AtRest,
    /// Nothing to do before this moment of AWS's clock.
    Waiting(Timestamp),
    /// Something fails for now; for people.
    Failing(String),
    /// Somebody asked to stop.
    Stopped,
    /// This is not the world it was opened in; for people.
    Elsewhere(String),
}

/// A visit that ended, and the rotation as it left it.
#[derive(Debug)]
pub struct Visit {
    /// The rotation.
    pub rotation: Rotation,
    /// How the visit ended.
    pub left: Left,
}

/// What this process has in memory of one rotation. Dropped, and so overwritten, when the visit ends.
#[derive(Default)]
struct InHand {
    new_secret: Option<SecretKey>,
    old_values: OldValues,
    readings: Option<Readings>,
    keys_seen_at: Duration,
}

struct Visitor<'a> {
    world: &'a World,
    hand: InHand,
    known: Known,
    failures: u32,
}

/// Drives one rotation as far as it goes now.
///
/// # Errors
/// [`JournalError`]: the journal failed; what was in hand is in doubt, and a later `resume` replays it.
pub async fn visit(world: &World, journal: RotationJournal) -> Result<Visit, JournalError> {
    if let Err(why) = world.is_home_of(journal.rotation()) {
        return Ok(Visit { rotation: journal.rotation().clone(), left: Left::Elsewhere(why) });
    }
    let mut visitor = Visitor { world, hand: InHand::default(), known: Known::default(), failures: 0 };
    let mut journal = journal;
    let mut left = Left::Failing("it took more steps than any rotation should".to_owned());
    for _ in 0..MOST_STEPS {
        let before = journal.rotation().standing.clone();
        let (next, ended) = visitor.step(journal).await?;
        journal = next;
        if journal.rotation().standing != before
            && let Some(watcher) = &world.manner.watcher
        {
            watcher(journal.rotation());
        }
        if let Some(ended) = ended {
            left = ended;
            break;
        }
    }
    let journal = visitor.leave(journal, &left).await?;
    Ok(Visit { rotation: journal.rotation().clone(), left })
}

impl Visitor<'_> {
    async fn step(&mut self, journal: RotationJournal) -> Result<(RotationJournal, Option<Left>), JournalError> {
        let world = self.world;
        let hand = Hand {
            new_secret: self.hand.new_secret.is_some(),
            old_values: !self.hand.old_values.is_empty(),
            call_timeout: world.manner.call_timeout,
        };
        if self.must_stop(journal.rotation(), &world.stop) {
            return Ok((journal, Some(Left::Stopped)));
        }
        let step = plan(journal.rotation(), hand, &self.known, world.aws_now());
        tracing::debug!(rotation = %journal.rotation().id, standing = journal.rotation().standing.name(), step = step_name(&step));
        match step {
            Step::Rest => Ok((journal, Some(Left::AtRest))),
            Step::Later { why } => self.later(journal, why).await,
            Step::Wait { until, why } => self.wait(journal, until, why).await,
            Step::Note(event) => {
                self.known = Known::default();
                Ok((journal.note(event).await?, None))
            }
            Step::Look(look) => match self.look(journal.rotation(), look).await {
                Ok(()) => Ok((journal, None)),
                Err(why) => self.later(journal, why).await,
            },
            Step::Act(intent) => self.act(journal, intent).await,
        }
    }

    /// A key in hand is brought to the store or discarded; everything else can wait for the next `resume`.
    fn must_stop(&self, rotation: &Rotation, stop: &Stop) -> bool {
        if !stop.asked() {
            return false;
        }
        !self.has_a_key_in_hand(rotation)
    }

    /// A new key whose only secret is in memory: leaving it now would lose it.
    fn has_a_key_in_hand(&self, rotation: &Rotation) -> bool {
        self.hand.new_secret.is_some() && matches!(rotation.standing.phase(), Some(Phase::CreatedNew { .. }))
    }

    async fn later(
        &mut self,
        journal: RotationJournal,
        why: String,
    ) -> Result<(RotationJournal, Option<Left>), JournalError> {
        self.failures += 1;
        self.known = Known::default();
        if self.failures >= MOST_TRIES {
            return Ok((journal, Some(Left::Failing(why))));
        }
        let backoff = FIRST_BACKOFF * 2_u32.pow(self.failures - 1);
        self.world.ports.clock.sleep(backoff).await;
        Ok((journal, None))
    }

    async fn wait(
        &mut self,
        journal: RotationJournal,
        until: Timestamp,
        why: String,
    ) -> Result<(RotationJournal, Option<Left>), JournalError> {
        if !self.world.manner.wait {
            let journal = defer(journal, why, Some(until)).await?;
            return Ok((journal, Some(Left::Waiting(until))));
        }
        let journal = defer(journal, why, Some(until)).await?;
        self.known = Known::default();
        // In small steps, so that a signal is heard. AWS's dates are whole seconds.
        let span = until.since(self.world.aws_now()).clamp(Duration::from_millis(100), Duration::from_secs(1));
        self.world.ports.clock.sleep(span).await;
        Ok((journal, None))
    }

    async fn leave(&mut self, journal: RotationJournal, left: &Left) -> Result<RotationJournal, JournalError> {
        match left {
            Left::Failing(why) => defer(journal, why.clone(), None).await,
            Left::AtRest | Left::Waiting(_) | Left::Stopped | Left::Elsewhere(_) => Ok(journal),
        }
    }

    async fn look(&mut self, rotation: &Rotation, look: Look) -> Result<(), String> {
        let world = self.world;
        let opened = &rotation.opened;
        match look {
            Look::Keys => {
                let keys = world.pace.read(Operation::ListAccessKeys, || world.ports.iam.list_keys(&opened.user)).await;
                let keys = keys.map_err(|error| error.message)?;
                world.saw_date(keys.at);
                self.hand.keys_seen_at = world.ports.clock.monotonic();
                self.known.keys = Some(keys);
            }
            Look::Places => {
                let mut readings = read_places(world, rotation).await;
                if let Some(secret) = readings.new_secret.take() {
                    self.hand.new_secret = Some(secret);
                }
                self.known.places = Some(readings.seen(world, rotation));
                self.hand.readings = Some(readings);
            }
            Look::Scan(key) => {
                let seen = world.scans.naming(world, &key).await.map_err(|error| error.message)?;
                let scan = self.known.scan.get_or_insert_default();
                scan.named.extend(seen.named);
                scan.unreadable = seen.unreadable;
            }
            Look::NewPair | Look::StoredPair => {
                let policy = &opened.policy;
                let (Some(made), Some(secret)) = (rotation.made(), &self.hand.new_secret) else {
                    return Err("the new pair could not be read back".to_owned());
                };
                let stored = look == Look::StoredPair;
                let (times, span) =
                    if stored { (1, Duration::ZERO) } else { (policy.confirmations, policy.proof_span) };
                let proof = prove(world, opened, &made.key, secret, times, span).await;
                *(if stored { &mut self.known.stored_pair } else { &mut self.known.new_pair }) = Some(proof);
            }
            Look::LastUsed(key) => {
                let used = world.pace.read(Operation::GetAccessKeyLastUsed, || world.ports.iam.last_used(&key)).await;
                let used = used.map_err(|error| error.message)?;
                self.known.last_used.insert(key, used.and_then(|used| used.at));
            }
        }
        Ok(())
    }

    async fn act(
        &mut self,
        journal: RotationJournal,
        intent: Intent,
    ) -> Result<(RotationJournal, Option<Left>), JournalError> {
        let user = journal.rotation().opened.user.clone();
        let old = journal.rotation().opened.old_key.clone();
        match intent {
            Intent::CreateNew { listed, .. } => self.create(journal, listed).await,
            Intent::StoreNew => self.store(journal, WriteKind::StoreNew).await,
            Intent::RestoreOld => self.store(journal, WriteKind::RestoreOld).await,
            Intent::FenceStore => self.store(journal, WriteKind::FenceStore).await,
            Intent::DeactivateOld => self.change(journal, ChangeStatus::deactivate_old(user, old)).await,
            Intent::ReactivateOld => self.change(journal, ChangeStatus::reactivate_old(user, old)).await,
            Intent::DeactivateNew { key } => self.change(journal, ChangeStatus::deactivate_new(user, key)).await,
            Intent::ReactivateNew { key } => self.change(journal, ChangeStatus::reactivate_new(user, key)).await,
            Intent::DeleteOld => self.delete(journal, DeleteKey::old(user, old)).await,
            Intent::DiscardNew { key, then, why } => {
                self.delete(journal, DeleteKey::new_key(user, key, then, why)).await
            }
            Intent::DeleteNamed { key } => self.delete(journal, DeleteKey::named(user, key)).await,
        }
    }

    async fn create(
        &mut self,
        journal: RotationJournal,
        listed: std::collections::BTreeSet<AccessKeyId>,
    ) -> Result<(RotationJournal, Option<Left>), JournalError> {
        let world = self.world;
        let clock = &world.ports.clock;
        // The turn comes before the intent: the attempt's window is to hold the call, not the queue before it.
        let turn = world.pace.turn(Operation::CreateAccessKey).await;
        if clock.monotonic().saturating_sub(self.hand.keys_seen_at) > FRESH {
            turn.over(false);
            self.known.keys = None;
            return Ok((journal, None));
        }
        let asked_at = world.aws_now();
        let give_up_at = asked_at.plus(world.manner.call_timeout);
        let effect = CreateNew { user: journal.rotation().opened.user.clone(), listed, asked_at, give_up_at };
        let act = |order: Journaled<CreateNew>| async move {
            let result = if world.aws_now() >= give_up_at {
                let late = "the journal took longer than the call may take: nothing was sent";
                Err(Refusal::new(RefusalKind::Other, late).into())
            } else {
                world.ports.iam.create_key(order).await
            };
            turn.over_with(&result);
            result
        };
        let (journal, attempt) = journal.carry_out(effect, act).await?;
        if let Attempt::Done(created) = attempt {
            world.saw_date(created.at);
            self.hand.new_secret = Some(created.key.secret);
            return self.went_well(journal);
        }
        self.went_wrong(journal, attempt).await
    }

    async fn change(
        &mut self,
        journal: RotationJournal,
        effect: ChangeStatus,
    ) -> Result<(RotationJournal, Option<Left>), JournalError> {
        let world = self.world;
        let turn = world.pace.turn(Operation::UpdateAccessKey).await;
        self.finish(journal, effect, |order| async move {
            let result = world.ports.iam.change_status(order).await;
            turn.over_with(&result);
            result
        })
        .await
    }

    async fn delete(
        &mut self,
        journal: RotationJournal,
        effect: DeleteKey,
    ) -> Result<(RotationJournal, Option<Left>), JournalError> {
        let world = self.world;
        let turn: Turn<'_> = world.pace.turn(Operation::DeleteAccessKey).await;
        self.finish(journal, effect, |order| async move {
            let result = world.ports.iam.delete_key(order).await;
            turn.over_with(&result);
            result
        })
        .await
    }

    async fn store(
        &mut self,
        journal: RotationJournal,
        kind: WriteKind,
    ) -> Result<(RotationJournal, Option<Left>), JournalError> {
        let world = self.world;
        let rotation = journal.rotation().clone();
        let readings = match self.hand.readings.take() {
            Some(readings) => readings,
            None => read_places(world, &rotation).await,
        };
        let batches = match self.batches(&rotation, &readings, kind) {
            Ok(batches) => batches,
            Err(why) => return self.later(journal, why).await,
        };
        let stores = batches.keys().cloned().collect();
        let seen_through = rotation.clone();
        self.finish(journal, WriteEntries { kind, stores }, |order| async move {
            write::write(world, &seen_through, order, batches).await
        })
        .await
    }

    fn batches(&mut self, rotation: &Rotation, readings: &Readings, kind: WriteKind) -> Result<Batches, String> {
        match kind {
            WriteKind::FenceStore => Ok(write::fence(rotation, readings)),
            WriteKind::RestoreOld => Ok(write::old_pair(rotation, readings, &self.hand.old_values)),
            WriteKind::StoreNew => {
                let (Some(made), Some(secret)) = (rotation.made(), &self.hand.new_secret) else {
                    return Err("the new secret is not in memory".to_owned());
                };
                let batches = write::new_pair(rotation, readings, &made.key, secret)?;
                for (store, batch) in &batches {
                    for one in batch {
                        if let Some(value) = readings.value(store, &one.entry) {
                            self.hand
                                .old_values
                                .entry((store.clone(), one.entry.clone()))
                                .or_insert_with(|| value.duplicate());
                        }
                    }
                }
                Ok(batches)
            }
        }
    }

    /// Every effect but the create goes through here.
    async fn finish<E, A, F>(
        &mut self,
        journal: RotationJournal,
        effect: E,
        act: A,
    ) -> Result<(RotationJournal, Option<Left>), JournalError>
    where
        E: Effect<Yield = Timestamp>,
        A: FnOnce(Journaled<E>) -> F + Send,
        F: Future<Output = Result<Timestamp, Failure>> + Send,
    {
        let (journal, attempt) = journal.carry_out(effect, act).await?;
        match attempt {
            Attempt::Done(at) => {
                self.world.saw_date(at);
                self.went_well(journal)
            }
            Attempt::Refused(_) | Attempt::Unknown(_) => self.went_wrong(journal, attempt).await,
        }
    }

    fn went_well(&mut self, journal: RotationJournal) -> Result<(RotationJournal, Option<Left>), JournalError> {
        self.failures = 0;
        self.known = Known::default();
        self.hand.readings = None;
        if !matches!(journal.rotation().standing.phase(), Some(Phase::CreatedNew { .. })) {
            self.hand.old_values.clear();
        }
        Ok((journal, None))
    }

    async fn went_wrong<Y>(
        &mut self,
        journal: RotationJournal,
        attempt: Attempt<Y>,
    ) -> Result<(RotationJournal, Option<Left>), JournalError> {
        self.hand.readings = None;
        let why = match attempt {
            Attempt::Refused(refusal)
                if refusal.kind == RefusalKind::Denied && !self.has_a_key_in_hand(journal.rotation()) =>
            {
                // Asking again would change nothing. (With a key in hand, `plan` discards it.)
                self.failures = MOST_TRIES;
                refusal.message
            }
            Attempt::Refused(refusal) => refusal.message,
            Attempt::Unknown(why) => why,
            Attempt::Done(_) => String::new(),
        };
        tracing::warn!(rotation = %journal.rotation().id, user = %journal.rotation().opened.user, "{why}");
        self.later(journal, why).await
    }
}

/// Notes why a rotation is left as it is, unless its last line says so already.
async fn defer(
    journal: RotationJournal,
    why: String,
    until: Option<Timestamp>,
) -> Result<RotationJournal, JournalError> {
    let rotation = journal.rotation();
    let said = rotation.last_error.as_deref() == Some(why.as_str()) && rotation.waiting_until == until;
    if said || matches!(rotation.standing, Standing::Closed { .. }) {
        return Ok(journal);
    }
    journal.note(Event::Deferred { why, until }).await
}

fn step_name(step: &Step) -> &'static str {
    match step {
        Step::Look(_) => "look",
        Step::Act(intent) => intent.name(),
        Step::Note(_) => "note",
        Step::Wait { .. } => "wait",
        Step::Later { .. } => "later",
        Step::Rest => "rest",
    }
}
