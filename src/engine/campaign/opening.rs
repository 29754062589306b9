//! Opens a rotation for each key that is due, and gathers the removals of a large run.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Engine;
use super::early::{EarlyProof, EarlyProofs};
use super::old_pair::{Tried, prove_old};
use crate::discovery::SkipReason;
use crate::engine::executor::{Advanced, Begin, advance};
use crate::engine::report::{Opening, Report, collect_opened};
use crate::engine::survey::choice::Choice;
use crate::engine::survey::{Due, place_notes};
use crate::engine::tasks::{Part, Rest, in_two_parts};
use crate::journal::campaign::LeftAloneNote;
use crate::journal::store::StorageError;
use crate::journal::write_ahead::{JournalError, RotationJournal};
use crate::ports::call::{CallError, CallErrorKind};
use crate::rotation::event::{OldPair, Opened};
use crate::rotation::policy::SpareKey;
use crate::types::name::{AccessKeyId, CampaignId, RotationId};

/// How many times as many removals are gathered as rotations have ended. Each removal needs a scan of every entry that
/// began after its new pair was stored, so that the scans of a large run would take more time than all else. The first
/// rotations are not gathered, and show whether keys can be removed at all.
const GATHERED_FOR_EACH_ENDED: usize = 2;

/// How many of the rotations whose removals are gathered stay in memory, for each call in flight. The others are read
/// from the journal again.
const KEPT_PER_CALL: usize = 64;

/// A rotation whose removal is gathered.
struct Gathered {
    id: RotationId,
    journal: Option<(RotationJournal, OwnedSemaphorePermit)>,
}

impl Engine {
    /// Opens and advances a rotation for each key. Returns the keys whose rotation did not end `aborted`.
    #[expect(clippy::vec_box, reason = "the boxes are those of the survey")]
    pub(super) async fn open_each(
        &self,
        campaign: CampaignId,
        mut due: Vec<Box<Due>>,
        choice: &Choice,
        (early, in_hand): (EarlyProofs, Arc<Semaphore>),
        report: &mut Report,
    ) -> Result<BTreeSet<AccessKeyId>, StorageError> {
        let not_spare = self.not_spare(choice).await?;
        early.first_of(&mut due);
        let keys: Vec<_> = due.iter().map(|due| (due.id, due.key.id.clone())).collect();
        let at_once = self.most_under_way();
        // With `--wait` a rotation of another policy may hold the last ones up for days, and the scans have an interval.
        let gathers = !self.session.options.wait;
        let kept = Arc::new(Semaphore::new(self.session.options.concurrency.max(1) * KEPT_PER_CALL));
        let open = |(number, due): (usize, Box<Due>), started| {
            let id = due.id;
            let leaves_removal = gathers && number >= at_once;
            let begin = Begin { started, leaves_removal, ..Begin::default() };
            let opened = self.opened(campaign, &due, &not_spare);
            let opening = self.open_one(due, opened, early.take(id), in_hand.clone(), begin);
            // An `async` block would contain the future twice.
            let kept = kept.clone();
            opening.map(move |result| match result {
                Ok(Opening::Advanced(mut advanced)) => match advanced.left.take() {
                    Some(journal) => {
                        Part::First(Gathered { id, journal: Some(journal).zip(kept.try_acquire_owned().ok()) })
                    }
                    None => Part::Whole((id, Ok(Opening::Advanced(advanced)))),
                },
                result => Part::Whole((id, result)),
            })
        };
        let remove = |Gathered { id, journal }, since, started| {
            let begin = Begin { started, since: Some(since), ..Begin::default() };
            let ended = self.removed(id, journal, begin);
            ended.map(move |ended| (id, ended.map(|ended| Opening::Advanced(Box::new(ended)))))
        };
        let clock = &self.session.clock;
        let gather = |ended: usize| (ended * GATHERED_FOR_EACH_ENDED).max(at_once);
        let rest = Rest { gather, now: || clock.monotonic(), task: remove };
        let mut opened = BTreeSet::new();
        let take = |ended| opened.extend(collect_opened(ended, report));
        in_two_parts(due.into_iter().enumerate(), at_once, open, rest, take).await;
        report.touched.sort();
        Ok(keys.into_iter().filter(|(id, _)| opened.contains(id)).map(|(_, key)| key).collect())
    }

    /// Advances a rotation whose removal was gathered.
    fn removed(
        &self,
        id: RotationId,
        journal: Option<(RotationJournal, OwnedSemaphorePermit)>,
        begin: Begin,
    ) -> impl Future<Output = Result<Advanced, JournalError>> + Send + 'static {
        let session = self.session.clone();
        let Some((journal, kept)) = journal else { return self.replayed(id, begin).left_future() };
        // From here on the right to be under way bounds how many are in memory.
        drop(kept);
        async move { Box::pin(advance(&session, journal, begin)).await }.right_future()
    }

    /// Proves the old pair of one key, opens its rotation and advances it.
    fn open_one(
        &self,
        due: Box<Due>,
        opened: Result<Opened, CallError>,
        begun: Option<EarlyProof>,
        in_hand: Arc<Semaphore>,
        begin: Begin,
    ) -> impl Future<Output = Result<Opening, JournalError>> + Send + 'static {
        let (session, journal) = (self.session.clone(), self.journal.clone());
        async move {
            if session.lacks_credentials_for(&due) {
                return Ok(Opening::NoCredentials);
            }
            let opened = match opened {
                Ok(opened) => opened,
                Err(why) => return Ok(not_opened(&due, why)),
            };
            let tried = match begun {
                Some(begun) => begun.end().await,
                None => prove_old(&session, &due, &in_hand, None).await,
            };
            let (old_pair, place) = match tried {
                Tried::Proven { old_pair, place } => (old_pair, place),
                Tried::Left(note) => return Ok(Opening::Left(note)),
                Tried::NotNow(why) => return Ok(Opening::NotNow(due.key.id, why)),
                Tried::Stopped => return Ok(Opening::Stopped),
            };
            if session.lacks_credentials_for(&due) {
                return Ok(Opening::NoCredentials);
            }
            let journal = journal.open(due.id, Opened { old_pair, ..opened }).await?;
            let begin = Begin { place, listed: Some(due.into_listed()), ..begin };
            Ok(Opening::Advanced(Box::new(Box::pin(advance(&session, journal, begin)).await?)))
        }
    }

    /// Returns the keys that no rotation may delete as inactive spare keys: a lost request of ours may be what
    /// deactivated them. Only a policy that deletes such keys needs to know them.
    async fn not_spare(&self, choice: &Choice) -> Result<BTreeSet<AccessKeyId>, StorageError> {
        match choice.terms.policy.spare_key {
            SpareKey::DeleteInactive => self.journal.store().may_turn_inactive().await,
            SpareKey::Block => Ok(BTreeSet::new()),
        }
    }

    fn opened(&self, campaign: CampaignId, due: &Due, not_spare: &BTreeSet<AccessKeyId>) -> Result<Opened, CallError> {
        let stores = self.session.identities_of_stores(due)?;
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
            may_turn_inactive: not_spare.clone(),
            policy: due.policy.clone(),
        })
    }
}

/// No rotation is opened where a store does not return its identity. A missing right needs an operator, who can grant
/// it.
fn not_opened(due: &Due, why: CallError) -> Opening {
    let key = &due.key.id;
    let said = format!("key {key} of user {} was not rotated: {}", due.user, why.message);
    if why.kind != CallErrorKind::Denied {
        return Opening::NotNow(key.clone(), said);
    }
    Opening::Left(Box::new(LeftAloneNote {
        key_id: Some(key.clone()),
        places: place_notes(&due.places),
        reason: SkipReason::AccessDenied.into(),
        message: format!("{said}; nothing was changed: have the right granted, then `rotator run`"),
        due: true,
        whose: Some((due.account.clone(), due.user.clone())),
        detail: None,
    }))
}
