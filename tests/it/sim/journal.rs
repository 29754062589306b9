//! The real storage port with faults: the process may die at an append, or the append may fail before or after it is
//! durable. The journal lines show which dangerous windows were hit.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use rotator::journal::campaign::{Campaign, CampaignNotes};
use rotator::journal::line::{Line, Summary};
use rotator::journal::store::{JournalStore, RotationFilter, SharedStore, StorageError};
use rotator::rotation::block_reason::BlockReason;
use rotator::rotation::event::{Event, NotDone, Outcome};
use rotator::rotation::intent::{AfterDiscard, Intent};
use rotator::rotation::record::Rotation;
use rotator::types::name::{AccessKeyId, CampaignId, RotationId, UserName};
use rotator::types::time::Timestamp;

use super::faults::{Fault, Op};
use super::kinds;
use super::process::{Process, lock};
use super::state::{By, SimState};

/// A journal that faults strike.
pub(crate) struct Struck {
    pub(crate) inner: SharedStore,
    pub(crate) process: Process,
}

impl Struck {
    pub(crate) fn shared(inner: SharedStore, process: &Process) -> SharedStore {
        Arc::new(Self { inner, process: process.clone() })
    }

    /// Records that the current task works on this user's rotation.
    fn drives(&self, user: &UserName) {
        if let Some(task) = tokio::task::try_id() {
            let mut state = lock(&self.process.state);
            let user = state.whose(user.as_str());
            state.driven.insert(task, user);
        }
    }
}

impl SimState {
    /// Notes what this line says has happened.
    fn noticed(&mut self, event: &Event, after: &Rotation) {
        let user = &self.whose(after.opened.user.as_str());
        if after.is_closed() {
            self.replaced.remove(after.opened.old_key.as_str());
        }
        match event {
            Event::Opened(opened) => {
                self.replaced.insert(opened.old_key.to_string());
                self.facts.stored.remove(user);
                let came_before = self.interference.is_some_and(|(at, _)| at < self.touches);
                if came_before && *user == self.first_user {
                    self.theirs(user).opened_on_it = true;
                }
            }
            Event::Intended(Intent::CreateNew { .. }) => {
                self.doubted.insert(user.to_owned());
            }
            Event::Intended(Intent::DiscardNew { then: AfterDiscard::CreateAgain, .. }) => self.hit("secret lost"),
            Event::Done(outcome) => {
                self.doubted.remove(user);
                if let (Outcome::Stored { .. }, Some(made)) = (outcome, after.made()) {
                    self.facts.stored.insert(user.to_owned(), (self.now, made.key.to_string()));
                }
                self.concludes(outcome, after);
                match outcome {
                    Outcome::FoundCreated { .. } => self.hit("key on evidence"),
                    Outcome::Fenced { .. } => self.hit("fence raised"),
                    Outcome::OldReactivated { .. } => self.hit("old key reactivated"),
                    Outcome::NewReactivated => self.hit("a stranger's key given back"),
                    Outcome::Restored => self.hit("old pair restored"),
                    Outcome::Created { .. }
                    | Outcome::Stored { .. }
                    | Outcome::SinkAcknowledged { .. }
                    | Outcome::OldDeactivated { .. }
                    | Outcome::OldDeleted
                    | Outcome::NewDeactivated { .. }
                    | Outcome::NewDiscarded { .. }
                    | Outcome::NamedDeleted { .. } => {}
                }
            }
            Event::NotDone(NotDone::Seen | NotDone::Refused(_)) => {
                self.doubted.remove(user);
            }
            Event::LateKeySeen { .. } => self.hit("late key reported"),
            Event::Blocked(reason) => self.noticed_block(reason),
            Event::Withheld(_) => self.hit("no new key for want of a right"),
            Event::Renamed { .. } => self.hit("a rename followed"),
            Event::PlacesAdded { .. } => self.hit("a late copy became a place"),
            Event::PlacesLeft { .. } => self.hit("a late copy was let go"),
            Event::Intended(_)
            | Event::LookedOnce { .. }
            | Event::Disowned { .. }
            | Event::Unblocked
            | Event::SinkLeft { .. }
            | Event::Asked(_)
            | Event::Deferred { .. }
            | Event::Ended { .. } => {}
        }
    }

    /// A key that is on record as deleted is deleted. In a long life the new key is the next rotation's old one.
    fn concludes(&mut self, outcome: &Outcome, after: &Rotation) {
        let gone = match outcome {
            Outcome::OldDeleted => after.opened.old_key.to_string(),
            Outcome::NewDiscarded { .. } => match self.facts.made.get(&self.whose(after.opened.user.as_str())) {
                Some(made) => made.clone(),
                None => return,
            },
            Outcome::Created { key, .. } | Outcome::FoundCreated { key } => {
                let user = self.whose(after.opened.user.as_str());
                self.facts.made.insert(user, key.to_string());
                return;
            }
            Outcome::OldDeactivated { .. } => {
                self.facts.deactivated.insert(after.opened.old_key.to_string(), self.now);
                return;
            }
            Outcome::Stored { .. }
            | Outcome::Restored
            | Outcome::Fenced { .. }
            | Outcome::SinkAcknowledged { .. }
            | Outcome::OldReactivated { .. }
            | Outcome::NewDeactivated { .. }
            | Outcome::NewReactivated
            | Outcome::NamedDeleted { .. } => return,
        };
        if self.find(&gone).is_some() {
            self.broken.push(format!("a conclusion: {gone} is on record as deleted, and it is there"));
        }
        if let (true, Outcome::OldDeleted, Some(id)) = (self.lives, outcome, &after.new_key)
            && let Some(key) = self.find(id.as_str())
        {
            key.by = By::Stored;
        }
    }

    fn noticed_block(&mut self, reason: &BlockReason) {
        match reason {
            BlockReason::Unreadable { .. } => self.hit("an unreadable entry in the way"),
            BlockReason::UnclaimedKeys { .. } => self.hit("unclaimed keys reported"),
            BlockReason::ChangedElsewhere { .. }
            | BlockReason::Reverted { .. }
            | BlockReason::StillReferenced { .. } => {
                self.hit("blocked by what an operator wrote");
            }
            BlockReason::WrongIdentity { .. } => self.hit("blocked by a wrong identity"),
            BlockReason::AccessDenied { .. } => self.hit(kinds::BLOCKED_AS_REFUSED),
            BlockReason::StillInUse { .. } => self.hit(kinds::STILL_IN_USE),
            BlockReason::UserNotFound { .. } => self.hit("blocked, for a user is not found"),
            BlockReason::SpareKey { .. }
            | BlockReason::OldKeyGone { .. }
            | BlockReason::NewKeyNotActive { .. }
            | BlockReason::NewKeyGone { .. }
            | BlockReason::NewKeyDiscarded { .. }
            | BlockReason::StoredPairFails { .. }
            | BlockReason::OldKeyReactivated { .. }
            | BlockReason::OldKeyNotActive { .. }
            | BlockReason::TooManyCreates
            | BlockReason::CannotAbort { .. } => {}
        }
    }
}

#[async_trait]
impl JournalStore for Struck {
    async fn append(&self, line: Line, after: &Rotation) -> Result<(), StorageError> {
        let fault = self.process.begin(Op::Append, "").await;
        let write = async || {
            {
                self.drives(&after.opened.user);
                let mut state = lock(&self.process.state);
                state.tell(|| format!("    {}", serde_json::to_string(&line.event).unwrap_or_default()));
                state.noticed(&line.event, after);
            }
            self.inner.append(line.clone(), after).await
        };
        match fault {
            None | Some(Fault::Throttled | Fault::Denied | Fault::Credentials | Fault::Late(_)) => write().await,
            Some(Fault::CrashBefore) => self.process.die().await,
            Some(Fault::CrashAfter) => {
                write().await?;
                self.process.die().await
            }
            Some(Fault::LostBefore) => Err(StorageError::failed("the disk is full")),
            Some(Fault::LostAfter) => {
                write().await?;
                Err(StorageError::failed("the disk failed"))
            }
        }
    }

    async fn lines(&self, rotation: RotationId) -> Result<Vec<Line>, StorageError> {
        let lines = self.inner.lines(rotation).await?;
        if let Some(Event::Opened(opened)) = lines.first().map(|line| &line.event) {
            self.drives(&opened.user);
        }
        Ok(lines)
    }

    async fn summaries(&self, which: RotationFilter) -> Result<Vec<Summary>, StorageError> {
        self.inner.summaries(which).await
    }

    async fn summary(&self, rotation: RotationId) -> Result<Option<Summary>, StorageError> {
        self.inner.summary(rotation).await
    }

    async fn begin_campaign(&self, id: CampaignId, at: Timestamp) -> Result<(), StorageError> {
        self.inner.begin_campaign(id, at).await
    }

    async fn note_campaign(&self, id: CampaignId, notes: CampaignNotes) -> Result<(), StorageError> {
        self.inner.note_campaign(id, notes).await
    }

    async fn close_campaign(&self, id: CampaignId) -> Result<(), StorageError> {
        self.inner.close_campaign(id).await
    }

    async fn last_campaign(&self) -> Result<Option<Campaign>, StorageError> {
        self.inner.last_campaign().await
    }

    async fn keys_made_by(&self, id: CampaignId) -> Result<Vec<AccessKeyId>, StorageError> {
        self.inner.keys_made_by(id).await
    }

    async fn keys_made_for(&self, user: &UserName) -> Result<Vec<AccessKeyId>, StorageError> {
        self.inner.keys_made_for(user).await
    }

    async fn closed_rotations_of(&self, user: &UserName, key: &AccessKeyId) -> Result<Vec<Summary>, StorageError> {
        self.inner.closed_rotations_of(user, key).await
    }

    async fn may_turn_inactive(&self) -> Result<BTreeSet<AccessKeyId>, StorageError> {
        self.inner.may_turn_inactive().await
    }
}
