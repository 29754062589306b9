//! Many rotations at once: `run`, which opens new ones, and `resume`, which only finishes.
//!
//! Each rotation is a task of its own, so that one that fails or blocks does not stop the others. A campaign is the set
//! of keys that one `run` found due. It stays open as long as a rotation of it can continue without an operator, so
//! that `run` in a loop converges.

mod closing;
mod early;
mod failing;
mod late_keys;
mod old_pair;
mod opening;
mod turns;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::Semaphore;
use uuid::Uuid;

use self::early::EarlyProofs;
use self::failing::take_down;
pub use self::turns::hold_back;
use self::turns::turn;
use super::error::CampaignError;
use super::executor::{Advanced, Begin, advance};
use super::options::Progress;
use super::report::{Report, collect};
use super::session::Session;
use super::survey::choice::{Choice, Names};
use super::survey::{Due, Survey, Taken, survey_with};
use super::tasks::for_each;
use crate::discovery::SkipReason;
use crate::journal::campaign::{Campaign, CampaignNotes, LeftAloneNote};
use crate::journal::line::Summary;
use crate::journal::store::{RotationFilter, StorageError};
use crate::journal::write_ahead::{Journal, JournalError};
use crate::types::name::{AccessKeyId, CampaignId, RotationId};

/// How many new keys may be in memory at once, for each call in flight. A crash loses all of them, and `resume`
/// discards them. A proof takes seconds in which no call is in flight.
const IN_HAND_PER_CALL: usize = 16;

/// How many rotations may be under way at once, for each call in flight. Those that wait for their new keys to work do
/// not count. The others have not begun, and take little memory. With 4, new keys are created so late that a run that waits
/// for their propagation takes three seconds longer.
const UNDER_WAY_PER_CALL: usize = 6;

/// The same with `--wait`: the removals that one scan serves are among them, and the next scan is a minute later.
const UNDER_WAY_PER_CALL_WITH_WAIT: usize = 20;

/// How long after the last moment at which a lost `CreateAccessKey` could be executed the keys of its user are checked
/// for the late key.
pub const LOOK_FOR_LATE_KEYS: std::time::Duration = std::time::Duration::from_secs(86_400);

/// The engine over many rotations.
pub struct Engine {
    pub(in crate::engine) session: Arc<Session>,
    pub(in crate::engine) journal: Journal,
}

impl Engine {
    /// An engine for this session, which keeps its record in this journal.
    #[must_use]
    pub const fn new(session: Arc<Session>, journal: Journal) -> Self {
        Self { session, journal }
    }

    /// Advances the rotations in flight as far as possible now, and opens none. `ids`: only these, or all if it is
    /// empty.
    ///
    /// # Errors
    /// [`CampaignError`] if the journal fails outside any rotation.
    pub async fn resume(&self, ids: &[RotationId]) -> Result<Report, CampaignError> {
        let mut report = Report::default();
        self.finish_in_flight(ids, &mut report).await?;
        self.settle_in_flight(&mut report).await?;
        report.stopped = self.session.stop.asked();
        Ok(report)
    }

    /// Finds what `run` would do now. Changes nothing.
    ///
    /// # Errors
    /// [`CampaignError`] if the journal or a store cannot be read, or `--only` matches no key.
    pub async fn survey_now(&self, choice: &Choice) -> Result<Survey, CampaignError> {
        let campaign = self.journal.store().last_campaign().await?.filter(|campaign| !campaign.closed);
        let survey = self.survey(choice, campaign.as_ref(), &[], &|_| ()).await?;
        survey.check_only()?;
        Ok(survey)
    }

    /// Does what [`hold_back`] does, with the notes of the last campaign.
    ///
    /// # Errors
    /// [`CampaignError`] if the journal cannot be read.
    pub async fn hold_back(&self, survey: &mut Survey, limit: Option<usize>) -> Result<(), CampaignError> {
        let last = self.journal.store().last_campaign().await?;
        hold_back(survey, limit, last.as_ref().map(|campaign| &campaign.notes));
        Ok(())
    }

    /// Advances the rotations in flight, and reports late keys.
    ///
    /// # Errors
    /// [`CampaignError`] if the journal fails outside any rotation.
    pub async fn finish_in_flight(&self, ids: &[RotationId], report: &mut Report) -> Result<(), CampaignError> {
        // What they did before is over, so one scan serves all of them.
        let since = Some(self.session.clock.monotonic());
        let open = self.journal.store().open_ids().await?;
        let wanted: Vec<RotationId> = open.into_iter().filter(|id| ids.is_empty() || ids.contains(id)).collect();
        if wanted.len() > self.most_under_way() {
            self.look_for_all(&wanted).await?;
        }
        let task = |id, started| {
            let begin = Begin { started, since, ..Begin::default() };
            self.replayed(id, begin).map(move |advanced| (id, advanced))
        };
        for_each(wanted, self.most_under_way(), task, |ended| collect(ended, report)).await;
        report.touched.sort();
        // This includes rotations that have just closed, because the next run may start much later.
        if self.session.stop.asked() { Ok(()) } else { self.report_late_keys(report).await }
    }

    /// Makes the first scan search for the keys of all these rotations. Most of them begin after it, and each would need
    /// another scan if the first one had not searched for its key.
    async fn look_for_all(&self, ids: &[RotationId]) -> Result<(), StorageError> {
        for part in ids.chunks(self.most_under_way()) {
            for Summary { rotation, .. } in self.journal.store().summaries_of(part).await? {
                self.session.scans.look_for(&rotation);
            }
        }
        Ok(())
    }

    /// Advances one rotation in flight as far as possible now.
    fn replayed(
        &self,
        id: RotationId,
        begin: Begin,
    ) -> impl Future<Output = Result<Advanced, JournalError>> + Send + 'static {
        let (session, journal) = (self.session.clone(), self.journal.clone());
        async move { Box::pin(advance(&session, journal.replay(id).await?, begin)).await }
    }

    /// Opens a rotation for each key that is due, and advances each as far as possible now.
    ///
    /// # Errors
    /// [`CampaignError`] if the journal fails outside any rotation, or a store cannot be read.
    pub async fn open_due(
        &self,
        choice: &Choice,
        limit: Option<usize>,
        report: &mut Report,
    ) -> Result<(), CampaignError> {
        let last = self.journal.store().last_campaign().await?;
        let open = last.clone().filter(|campaign| !campaign.closed);
        let mut failing = last.as_ref().map(|campaign| campaign.notes.failing.clone()).unwrap_or_default();
        let unsure = failing.keys().chain(report.went.keys()).cloned().collect();
        let in_hand = Arc::new(Semaphore::new(self.session.options.concurrency.max(1) * IN_HAND_PER_CALL));
        let early = EarlyProofs::new(&self.session, choice, limit, unsure, &in_hand);
        let looking = Box::pin(self.look(choice, open.as_ref(), &early, report));
        let Some(mut survey) = looking.await? else { return Ok(()) };
        let seen = survey.keys();
        let now = self.session.aws_now();
        failing::ask_about_contradictions(&mut survey, &failing, now);
        let Survey { due, mut left_alone, unconfirmed, passed_over, .. } = survey;
        if choice.terms.is_named {
            // A command about some keys says nothing of the others.
            left_alone.retain(|note| note.key_id.as_ref().is_none_or(|key| !passed_over.contains(key)));
        }
        let before: Vec<Summary> = match &open {
            Some(campaign) => self.journal.store().summaries(RotationFilter::Campaign(campaign.id)).await?,
            None => Vec::new(),
        };
        // The keys that `--only` leaves out of this run keep their state.
        let kept =
            open.as_ref().map(|campaign| kept(campaign, &before, &passed_over, &mut left_alone)).unwrap_or_default();
        // A failure of rotator's own credentials is not a failure of a key.
        for (key, why) in unconfirmed.iter().filter(|_| !self.session.failures.any()) {
            report.failed(key, why, false);
        }

        failing.retain(|key, _| seen.contains(key));
        let mut tried = last.as_ref().map(|campaign| campaign.notes.tried.clone()).unwrap_or_default();
        tried.retain(|key, _| seen.contains(key));
        let mut so_far = failing.clone();
        take_down(&mut so_far, &report.went, now);
        let may_be_opened = |due: &Due| so_far.get(&due.key.id).is_none_or(|failing| failing.may_be_opened(now));
        let (mut due, held_back): (Vec<_>, Vec<_>) = due.into_iter().partition(|due| may_be_opened(due));
        let held_back = held_back.iter().filter_map(|due| Some((due, so_far.get(&due.key.id)?)));
        left_alone.extend(held_back.map(|(due, why)| failing::held_back(due, why)));
        report.left_alone.clone_from(&left_alone);
        let unopened: Vec<AccessKeyId> =
            due.iter().map(|due| &due.key.id).chain(unconfirmed.keys()).chain(&kept).cloned().collect();
        let looked_at = gave_up(&before);
        let mut notes = CampaignNotes { unopened, left_alone, failing, looked_at, tried };
        let id = match (open, last) {
            (Some(campaign), _) => campaign.id,
            (None, Some(last)) if notes.unopened.is_empty() => {
                // No campaign is to begin. The notes of the last one are brought up to date.
                take_down(&mut notes.failing, &report.went, now);
                report.left_alone = self.settle(last.id, notes).await?;
                return Ok(());
            }
            // `status` shows what needs an operator, and counts the unused keys.
            (None, None) if notes.unopened.is_empty() && !notes.left_alone.iter().any(is_shown_later) => return Ok(()),
            (None, _) => self.begin_campaign().await?,
        };
        report.campaign = Some(id);
        self.journal.store().note_campaign(id, notes.clone()).await?;
        due.sort_by_cached_key(|due| turn(&due.key, &so_far, &notes.tried));
        due.truncate(limit.unwrap_or(usize::MAX));
        if let Some(watcher) = self.session.options.watcher.as_ref().filter(|_| !due.is_empty()) {
            let at_once = due.iter().filter(|due| due.policy.deletes_at_once()).count();
            watcher(Progress::Due { keys: due.len(), at_once });
        }
        let rotated = self.open_each(id, due, choice, (early, in_hand), report).await?;
        // A key whose old pair was not proven needs an operator, and the campaign does not wait for it.
        let unproven = report.left_alone.split_off(notes.left_alone.len());
        notes.tried.extend(unproven.iter().filter_map(|note| Some((note.key_id.clone()?, now))));
        let needs_operator = |key: &AccessKeyId| unproven.iter().any(|note| note.key_id.as_ref() == Some(key));
        notes.unopened.retain(|key| !rotated.contains(key) && !needs_operator(key));
        notes.left_alone.extend(unproven);
        report.unopened = notes.unopened.len();
        take_down(&mut notes.failing, &report.went, now);
        report.left_alone = self.settle(id, notes).await?;
        Ok(())
    }

    /// Surveys the stores. `None`: a stop was asked for. Where no rotation is to be opened, the rotations in flight are
    /// recorded as they are.
    async fn look(
        &self,
        choice: &Choice,
        campaign: Option<&Campaign>,
        early: &EarlyProofs,
        report: &mut Report,
    ) -> Result<Option<Survey>, CampaignError> {
        let on_due = |due: &Due| early.begin(due);
        let surveying = Box::pin(self.survey(choice, campaign, &report.touched, &on_due));
        // A survey changes nothing, and hundreds of its calls may be in the queue.
        let Some(survey) = self.session.stop.unless_asked(surveying).await else {
            report.stopped = true;
            self.settle_in_flight(report).await?;
            return Ok(None);
        };
        let survey = survey?;
        report.troubles.extend(survey.warnings().map(|warning| (None, warning)));
        report.entries.clone_from(&survey.entries);
        report.identities = self.session.stores.known_identities();
        report.chosen.clone_from(&survey.chosen);
        if let Err(error) = survey.check_only() {
            self.settle_in_flight(report).await?;
            return Err(error);
        }
        Ok(Some(survey))
    }

    async fn survey(
        &self,
        choice: &Choice,
        campaign: Option<&Campaign>,
        touched: &[RotationId],
        on_due: &(dyn Fn(&Due) + Sync),
    ) -> Result<Survey, CampaignError> {
        let store = self.journal.store();
        let open = store.summaries(RotationFilter::Open).await?;
        let all =
            if self.session.sinks.all.is_empty() { Vec::new() } else { store.summaries(RotationFilter::All).await? };
        let made_by_campaign = match campaign {
            Some(campaign) => store.keys_made_by(campaign.id).await?,
            None => Vec::new(),
        };
        let made = Arc::new(store.clone());
        let mut taken = Taken::from_journal(&open, &all, made_by_campaign, made);
        for id in touched {
            // A rotation that has just closed was in flight when this run began.
            taken.names.extend(store.summary(*id).await?.map(|summary| Names::of_rotation(&summary.rotation)));
        }
        Ok(survey_with(&self.session, choice, &taken, on_due).await?)
    }

    /// How many rotations may be under way at once. Those that wait for a proof hold no slot of the rate limiter.
    fn most_under_way(&self) -> usize {
        let for_each_call = if self.session.options.wait { UNDER_WAY_PER_CALL_WITH_WAIT } else { UNDER_WAY_PER_CALL };
        self.session.options.concurrency.max(1) * for_each_call
    }

    pub(in crate::engine) async fn begin_campaign(&self) -> Result<CampaignId, StorageError> {
        let id = CampaignId::from_uuid(Uuid::now_v7());
        self.journal.store().begin_campaign(id, self.journal.clock().now()).await?;
        Ok(id)
    }
}

/// Returns the keys that `--only` leaves out of this run and that still wait to be opened. The notes that need an
/// operator are taken over into `left_alone`.
fn kept(
    campaign: &Campaign,
    rotations: &[Summary],
    passed_over: &BTreeSet<AccessKeyId>,
    left_alone: &mut Vec<LeftAloneNote>,
) -> Vec<AccessKeyId> {
    let is_passed_over = |note: &LeftAloneNote| note.key_id.as_ref().is_some_and(|key| passed_over.contains(key));
    for note in campaign.notes.left_alone.iter().filter(|note| note.due && is_passed_over(note)) {
        left_alone.retain(|now| now.key_id != note.key_id);
        left_alone.push(note.clone());
    }
    let mut waiting = campaign.still_to_open(rotations.iter().map(|summary| &summary.rotation));
    waiting.retain(|key| passed_over.contains(key));
    waiting
}

fn is_shown_later(note: &LeftAloneNote) -> bool {
    note.due || note.reason == SkipReason::Unused
}

/// Returns the rotations that gave up by themselves.
fn gave_up(summaries: &[Summary]) -> BTreeSet<RotationId> {
    summaries.iter().map(|summary| &summary.rotation).filter(|rotation| rotation.gave_up()).map(|r| r.id).collect()
}
