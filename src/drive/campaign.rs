//! Many rotations at once: `run`, which opens new ones, and `resume`, which only finishes.
//!
//! Each rotation is its own task; one that fails or blocks never stops the rest. A campaign is what one `run` set out
//! to do; it stays open until each of its keys is rotated, so that `run` in a loop converges.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::accounts::Account;
use super::old_pair::{Tried, prove_old};
use super::pace::Operation;
use super::report::{Opening, Report, collect, collect_opened, with_causes};
use super::rotate::visit;
use super::sinks::in_sinks;
use super::survey::{Choice, Due, Survey, Taken, survey};
use super::world::World;
use crate::journal::entry::{Campaign, CampaignNotes, LeftAloneNote};
use crate::journal::store::{StorageError, Which};
use crate::journal::write_ahead::{Journal, JournalError};
use crate::ports::call::CallError;
use crate::rotation::event::{Event, OldPair, Opened};
use crate::rotation::known::{KeySeen, KeysSeen};
use crate::rotation::name::{AccessKeyId, AccountId, CampaignId, RotationId, UserName};

/// How many new keys may be in memory at once, for each call in flight. A crash loses them all (they are discarded on
/// `resume`), and a proof takes seconds in which nothing is in flight.
const IN_HAND_PER_CALL: usize = 8;

/// For how long after a lost create could last be executed its user is looked at for the key.
pub const LOOK_FOR_LATE_KEYS: std::time::Duration = std::time::Duration::from_secs(86_400);

/// Why a run or resume failed outside any rotation.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// The journal cannot be read or written.
    #[error(transparent)]
    Journal(#[from] StorageError),
    /// A store cannot be read at all.
    #[error("{0}")]
    Survey(#[from] CallError),
}

/// What `plan` shows.
#[derive(Debug, Default)]
pub struct Plan {
    /// What `run` would rotate.
    pub due: Vec<Due>,
    /// What it would leave alone.
    pub left_alone: Vec<LeftAloneNote>,
}

/// The drive over many rotations.
pub struct Drive {
    world: Arc<World>,
    journal: Journal,
}

impl Drive {
    /// A drive through this world, kept in this journal.
    #[must_use]
    pub const fn new(world: Arc<World>, journal: Journal) -> Self {
        Self { world, journal }
    }

    /// Takes what is in flight as far as it goes now; opens nothing. `ids`: only these.
    ///
    /// # Errors
    /// [`CampaignError`] if the journal fails outside any rotation.
    pub async fn resume(&self, ids: &[RotationId]) -> Result<Report, CampaignError> {
        let mut report = Report::default();
        self.finish_in_flight(ids, &mut report).await?;
        if let Some(campaign) = self.open_campaign().await? {
            report.campaign = Some(campaign.id);
            report.left_alone = campaign.notes.left_alone.clone();
            let opened = self.journal.store().summaries(Which::Campaign(campaign.id)).await?;
            let unopened = campaign.still_to_open(opened.iter().map(|summary| &summary.rotation));
            self.settle_campaign(campaign.id, unopened, campaign.notes.left_alone).await?;
        }
        report.stopped = self.world.stop.asked();
        Ok(report)
    }

    /// What `run` would do now. Changes nothing.
    ///
    /// # Errors
    /// [`CampaignError`] if the journal or a store cannot be read.
    pub async fn plan(&self, choice: &Choice) -> Result<Plan, CampaignError> {
        let campaign = self.open_campaign().await?;
        let Survey { mut due, left_alone, .. } = self.survey(choice, campaign.as_ref()).await?;
        // A plan is shown, and may be shown for long: no pair is tried.
        due.iter_mut().for_each(|due| due.secret = None);
        Ok(Plan { due, left_alone })
    }

    /// Finishes what is in flight.
    ///
    /// # Errors
    /// [`CampaignError`] if the journal fails outside any rotation.
    pub async fn finish_in_flight(&self, ids: &[RotationId], report: &mut Report) -> Result<(), CampaignError> {
        let open = self.journal.store().summaries(Which::Open).await?;
        let wanted =
            open.into_iter().map(|summary| summary.rotation.id).filter(|id| ids.is_empty() || ids.contains(id));
        let mut tasks = JoinSet::new();
        for id in wanted {
            let (world, journal) = (self.world.clone(), self.journal.clone());
            tasks.spawn(async move {
                let result = match journal.replay(id).await {
                    Ok(journal) => Box::pin(visit(&world, journal, None)).await,
                    Err(error) => Err(error),
                };
                (id, result)
            });
        }
        collect(tasks, report).await;
        // Also those of rotations that have just closed: the next run may be far off.
        if self.world.stop.asked() { Ok(()) } else { self.tell_late_keys(report).await }
    }

    /// Opens a rotation for each key that is due, and takes all as far as they go now.
    ///
    /// # Errors
    /// [`CampaignError`] if the journal fails outside any rotation, or a store cannot be read.
    pub async fn open_due(
        &self,
        choice: &Choice,
        limit: Option<usize>,
        report: &mut Report,
    ) -> Result<(), CampaignError> {
        let campaign = self.open_campaign().await?;
        let Survey { due, left_alone, unconfirmed, entries } = self.survey(choice, campaign.as_ref()).await?;
        report.entries = entries;
        report.left_alone.clone_from(&left_alone);
        let waiting = left_alone.iter().filter(|note| note.due).filter_map(|note| note.key_id.clone());
        let waiting: Vec<AccessKeyId> = waiting.chain(unconfirmed.iter().cloned()).collect();
        report.need_a_person = left_alone.iter().filter(|note| note.due).count();
        if due.is_empty() && campaign.is_none() && waiting.is_empty() {
            return Ok(());
        }
        let id = match campaign {
            Some(campaign) => campaign.id,
            None => self.begin_campaign().await?,
        };
        report.campaign = Some(id);
        let mut unopened: Vec<AccessKeyId> = due.iter().map(|due| due.key.id.clone()).chain(waiting.clone()).collect();
        self.note(id, unopened.clone(), left_alone.clone()).await?;

        let now_due = due.len();
        let chosen: Vec<Due> = due.into_iter().take(limit.unwrap_or(usize::MAX)).collect();
        let rotated = self.open_each(id, chosen, choice, report).await;
        let left_since = report.left_alone.len() - left_alone.len();
        report.unopened = now_due - rotated.len() - left_since + unconfirmed.len();
        unopened.retain(|key| !rotated.contains(key));
        self.settle_campaign(id, unopened, report.left_alone.clone()).await
    }

    async fn survey(&self, choice: &Choice, campaign: Option<&Campaign>) -> Result<Survey, CampaignError> {
        let mut taken = Taken::default();
        for summary in self.journal.store().summaries(Which::Open).await? {
            taken.in_flight.insert(summary.rotation.opened.old_key.clone());
            taken.in_flight.extend(summary.rotation.new_key.clone());
            let Opened { account, user, .. } = summary.rotation.opened;
            taken.users.insert((account, user));
        }
        if !self.world.ports.sinks.is_empty() {
            let all = self.journal.store().summaries(Which::All).await?;
            taken.in_sinks = in_sinks(all.iter().map(|summary| &summary.rotation));
        }
        if let Some(campaign) = campaign {
            taken.made_lately.extend(self.journal.store().keys_made_by(campaign.id).await?);
        }
        Ok(survey(&self.world, choice, &taken).await?)
    }

    /// Drives each; which keys have a rotation that did not end `aborted`.
    async fn open_each(
        &self,
        campaign: CampaignId,
        due: Vec<Due>,
        choice: &Choice,
        report: &mut Report,
    ) -> BTreeSet<AccessKeyId> {
        let in_hand = Arc::new(Semaphore::new(self.world.manner.concurrency.max(1) * IN_HAND_PER_CALL));
        let mut tasks = JoinSet::new();
        let mut keys = Vec::new();
        for due in due {
            let id = due.id;
            keys.push((id, due.key.id.clone()));
            let (world, journal, in_hand) = (self.world.clone(), self.journal.clone(), in_hand.clone());
            let opened = self.opened(campaign, &due, choice);
            tasks.spawn(async move {
                let opened = match opened {
                    Ok(opened) => opened,
                    Err(error) => return (id, Err(JournalError::Storage(error))),
                };
                let (old_pair, place) = match prove_old(&world, &due, opened.policy.settle, &in_hand).await {
                    Tried::Proven { old_pair, place } => (old_pair, place),
                    Tried::Left(note) => return (id, Ok(Opening::Left(note))),
                    Tried::NotNow(why) => return (id, Ok(Opening::NotNow(why))),
                    Tried::Stopped => return (id, Ok(Opening::Stopped)),
                };
                drop(due);
                let result = match journal.open(id, Opened { old_pair, ..opened }).await {
                    Ok(journal) => {
                        Box::pin(visit(&world, journal, place)).await.map(|visit| Opening::Visited(Box::new(visit)))
                    }
                    Err(error) => Err(error),
                };
                (id, result)
            });
        }
        let opened = collect_opened(tasks, report).await;
        keys.into_iter().filter(|(id, _)| opened.contains(id)).map(|(_, key)| key).collect()
    }

    fn opened(&self, campaign: CampaignId, due: &Due, choice: &Choice) -> Result<Opened, StorageError> {
        let mut stores = std::collections::BTreeMap::new();
        for place in &due.places {
            match self.world.stores.get(&place.store) {
                Some(Ok(identity)) => stores.insert(place.store.clone(), identity.clone()),
                Some(Err(error)) => return Err(StorageError::failed(error.message.clone())),
                None => return Err(StorageError::failed(format!("store {} is not configured", place.store))),
            };
        }
        Ok(Opened {
            campaign,
            account: due.account.clone(),
            user: due.user.clone(),
            old_key: due.key.id.clone(),
            old_secret: due.old_secret.clone(),
            old_key_created: due.key.created,
            old_pair: OldPair::default(),
            places: due.places.clone(),
            stores,
            sinks: due.sinks.clone(),
            policy: choice.policy.clone(),
        })
    }

    /// A create whose reply was lost may be executed late, also after its rotation closed: such a key is reported,
    /// never taken.
    async fn tell_late_keys(&self, report: &mut Report) -> Result<(), CampaignError> {
        let world = &self.world;
        let since = world.aws_now().minus(LOOK_FOR_LATE_KEYS);
        let watched = self.journal.store().summaries(Which::WatchedAfter(since)).await?;
        // Told once, however many creates may have made it: a key that nobody removes must not keep README's loop
        // turning.
        let mut told: BTreeSet<AccessKeyId> =
            watched.iter().flat_map(|summary| summary.rotation.late_keys.iter().cloned()).collect();
        let mut lists: BTreeMap<(AccountId, UserName), Option<KeysSeen>> = BTreeMap::new();
        for summary in watched {
            let rotation = summary.rotation;
            let opened = &rotation.opened;
            let Ok(Account { ports, pace, .. }) = world.home_of(&rotation) else { continue };
            let whose = (opened.account.clone(), opened.user.clone());
            if !lists.contains_key(&whose) {
                let keys = pace.read(Operation::ListAccessKeys, || ports.iam.list_keys(&opened.user)).await;
                lists.insert(whose.clone(), keys.ok());
            }
            let Some(Some(keys)) = lists.get(&whose) else { continue };
            let made = self.journal.store().keys_made_for(&opened.user).await?;
            let known = |key: &KeySeen| *key.id.as_str() == *opened.old_key.as_str() || made.contains(&key.id);
            let late = keys.keys.iter().flatten().filter(|key| {
                !known(key) && rotation.watched.iter().any(|attempt| attempt.may_have_made(&key.id, key.created))
            });
            for key in late {
                if !told.insert(key.id.clone()) {
                    continue;
                }
                let user = &opened.user;
                report.troubles.push((
                    Some(rotation.id),
                    format!(
                        "key {} of user {user} turned up late, and may be the child of a CreateAccessKey whose reply was \
                         lost; rotator does not touch it: if nobody knows it, delete it (aws iam delete-access-key \
                         --user-name {user} --access-key-id {})",
                        key.id, key.id
                    ),
                ));
                let journal = self.journal.replay(rotation.id).await.map_err(late_error)?;
                let event = Event::LateKeySeen { key: key.id.clone() };
                let _noted = journal.note(event).await.map_err(late_error)?;
            }
        }
        Ok(())
    }

    async fn open_campaign(&self) -> Result<Option<Campaign>, StorageError> {
        Ok(self.journal.store().last_campaign().await?.filter(|campaign| !campaign.closed))
    }

    async fn begin_campaign(&self) -> Result<CampaignId, StorageError> {
        let id = CampaignId::from_uuid(Uuid::now_v7());
        self.journal.store().begin_campaign(id, self.journal.clock().now()).await?;
        Ok(id)
    }

    async fn note(
        &self,
        id: CampaignId,
        unopened: Vec<AccessKeyId>,
        left_alone: Vec<LeftAloneNote>,
    ) -> Result<(), StorageError> {
        self.journal.store().note_campaign(id, CampaignNotes { unopened, left_alone }).await
    }

    /// Keeps what is left to do, and closes the campaign where nothing is.
    async fn settle_campaign(
        &self,
        id: CampaignId,
        unopened: Vec<AccessKeyId>,
        left_alone: Vec<LeftAloneNote>,
    ) -> Result<(), CampaignError> {
        let done = unopened.is_empty();
        self.note(id, unopened, left_alone).await?;
        let open = self.journal.store().summaries(Which::Open).await?;
        if done && !open.iter().any(|summary| summary.rotation.opened.campaign == id) {
            self.journal.store().close_campaign(id).await?;
        }
        Ok(())
    }
}

fn late_error(error: JournalError) -> StorageError {
    match error {
        JournalError::Storage(error) => error,
        JournalError::Illegal { .. } | JournalError::Incomplete { .. } => StorageError::failed(with_causes(&error)),
    }
}
