//! The state of the journal at one moment, as far as output and exit codes need it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::exit::Tally;
use super::output::document::gathered::Gathered;
use super::output::document::{Counts, Document};
use crate::adapters::sqlite_journal::SyncReader;
use crate::engine::survey::{MadeKeys, own_uses};
use crate::journal::campaign::{Campaign, LeftAloneNote};
use crate::journal::line::Summary;
use crate::journal::overview::CampaignCounts;
use crate::journal::store::{RotationFilter, SharedStore, StorageError};
use crate::rotation::own_use::OwnUses;
use crate::rotation::state::State;
use crate::types::name::{AccessKeyId, UserName};
use crate::types::time::Timestamp;

/// The open rotations, and the latest campaign.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub campaign: Option<Campaign>,
    pub open: Vec<Summary>,
    /// What is counted of the campaign.
    pub(in crate::cli) counts: CampaignCounts,
}

/// The keys that rotations created, from a journal that is open for reading.
pub struct ReadMade(pub Mutex<SyncReader>);

#[async_trait]
impl MadeKeys for ReadMade {
    async fn made_for(&self, user: &UserName) -> Result<Vec<AccessKeyId>, String> {
        let reader = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reader.keys_made_for(user).map_err(|error| error.to_string())
    }

    async fn own_uses(&self, user: &UserName, key: &AccessKeyId) -> Result<OwnUses, String> {
        let reader = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = reader.closed_rotations_of(user, key).map_err(|error| error.to_string())?;
        Ok(own_uses(key, &closed))
    }

    async fn may_turn_inactive(&self) -> Result<BTreeSet<AccessKeyId>, String> {
        let reader = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reader.may_turn_inactive().map_err(|error| error.to_string())
    }
}

impl Snapshot {
    /// Reads the state from the journal that this process holds.
    ///
    /// # Errors
    /// [`StorageError`] if the journal cannot be read.
    pub async fn take(store: &SharedStore) -> Result<Self, StorageError> {
        let campaign = store.last_campaign().await?;
        let counts = match &campaign {
            Some(campaign) => store.counts_of(campaign).await?,
            None => CampaignCounts::default(),
        };
        Ok(Self { campaign, open: store.summaries(RotationFilter::Open).await?, counts })
    }

    /// Reads the state from a journal that is open for reading.
    ///
    /// # Errors
    /// [`StorageError`] if the journal cannot be read.
    pub fn read(reader: &SyncReader) -> Result<Self, StorageError> {
        let campaign = reader.last_campaign()?;
        let counts = match &campaign {
            Some(campaign) => reader.counts_of(campaign)?,
            None => CampaignCounts::default(),
        };
        Ok(Self { campaign, open: reader.summaries(RotationFilter::Open)?, counts })
    }

    /// Where rotations that are shown are gathered.
    #[must_use]
    pub fn gathered(&self) -> Gathered {
        Gathered::new(self.campaign.as_ref().map(|campaign| campaign.id))
    }

    /// The document that shows these rotations.
    #[must_use]
    pub fn document(&self, shown: Gathered) -> Document {
        let mut counts = Counts::of(self.open.iter().map(|summary| &summary.rotation));
        counts.add(self.counts.closed);
        counts.add(shown.closed_elsewhere);
        let campaign = self.campaign.as_ref().map(|campaign| campaign.id);
        Document::new(campaign, shown.rotations, counts, self.skipped(), self.tally().needs_operator())
    }

    /// What the last `run` skipped.
    #[must_use]
    pub fn skipped(&self) -> &[LeftAloneNote] {
        self.campaign.as_ref().map_or(&[], |campaign| &campaign.notes.left_alone)
    }

    /// The number of due keys that the latest campaign has not opened yet, and that need only another `run`.
    #[must_use]
    pub const fn unopened(&self) -> usize {
        self.counts.unopened
    }

    /// What is in flight, and the keys without a rotation as of the last run.
    #[must_use]
    pub fn tally(&self) -> Tally {
        // This includes keys whose open rotation keeps failing: each has a note.
        let stuck = self.skipped().iter().filter(|note| note.due).count();
        Tally { stuck, unopened: self.unopened(), ..self.tally_in_flight() }
    }

    /// What is in flight.
    #[must_use]
    pub fn tally_in_flight(&self) -> Tally {
        tally_of(self.open.iter().map(InFlight::of), self.campaign.as_ref())
    }

    /// How many of the waiting rotations have reached the time that they wait for.
    #[must_use]
    pub fn ready(&self, now: Timestamp) -> usize {
        ready_of(self.open.iter().map(InFlight::of), now)
    }

    /// When the first of the waiting rotations continues.
    #[must_use]
    pub fn next_time(&self) -> Option<Timestamp> {
        next_time_of(self.open.iter().map(InFlight::of))
    }
}

/// What a tally needs of an open rotation.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct InFlight<'a> {
    pub(in crate::cli) old_key: &'a AccessKeyId,
    pub(in crate::cli) is_blocked: bool,
    pub(in crate::cli) waiting_until: Option<Timestamp>,
}

impl<'a> InFlight<'a> {
    pub(in crate::cli) fn of(summary: &'a Summary) -> Self {
        let Summary { rotation, .. } = summary;
        let is_blocked = match rotation.state {
            State::Blocked { .. } => true,
            State::Settled { .. } | State::InDoubt { .. } | State::Closed { .. } => false,
        };
        Self { old_key: &rotation.opened.old_key, is_blocked, waiting_until: rotation.waiting_until }
    }
}

/// What is in flight among these open rotations.
pub(in crate::cli) fn tally_of<'a>(open: impl Iterator<Item = InFlight<'a>>, campaign: Option<&Campaign>) -> Tally {
    let mut tally = Tally::default();
    for rotation in open {
        if rotation.is_blocked {
            tally.blocked += 1;
        } else if campaign.is_some_and(|campaign| campaign.notes.keeps_failing(rotation.old_key)) {
            tally.stuck += 1;
        } else if rotation.waiting_until.is_some() {
            tally.waiting += 1;
        } else {
            tally.failed += 1;
        }
    }
    tally
}

/// When the first of the waiting rotations continues.
pub(in crate::cli) fn next_time_of<'a>(open: impl Iterator<Item = InFlight<'a>>) -> Option<Timestamp> {
    open.filter(|rotation| !rotation.is_blocked).filter_map(|rotation| rotation.waiting_until).min()
}

/// How many of the waiting rotations have reached the time that they wait for.
pub(in crate::cli) fn ready_of<'a>(open: impl Iterator<Item = InFlight<'a>>, now: Timestamp) -> usize {
    let is_ready = |open: &InFlight<'_>| !open.is_blocked && open.waiting_until.is_some_and(|until| until <= now);
    open.filter(is_ready).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_is_ready_from_the_time_that_it_waits_for() {
        let key = AccessKeyId::new("AKIAABCDEFGHIJKLMNOP").expect("valid");
        let at = Timestamp::from_unix_seconds;
        let waits = |until, is_blocked| InFlight { old_key: &key, is_blocked, waiting_until: until };
        let open =
            [waits(Some(at(9)), false), waits(Some(at(10)), false), waits(Some(at(9)), true), waits(None, false)];
        let ready = |now| ready_of(open.into_iter(), at(now));
        assert_eq!([ready(8), ready(9), ready(10)], [0, 1, 2]);
    }
}
