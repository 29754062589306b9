//! A journal in memory that keeps the contract of [`JournalStore`]. It passes the same contract suite as SQLite.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use rotator::journal::campaign::{Campaign, CampaignNotes};
use rotator::journal::line::{Line, Summary};
use rotator::journal::store::{JournalStore, RotationFilter, StorageError};
use rotator::rotation::record::Rotation;
use rotator::types::name::{AccessKeyId, CampaignId, RotationId, UserName};
use rotator::types::time::Timestamp;

/// The journal in memory. Shared by reference (`Arc`), it outlives a simulated crash of its writer.
#[derive(Default)]
pub(crate) struct MemoryJournal {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    lines: Vec<Line>,
    summaries: Vec<Summary>,
    campaigns: Vec<Campaign>,
}

impl Kept {
    fn summary(&mut self, id: RotationId) -> Option<&mut Summary> {
        self.summaries.iter_mut().find(|summary| summary.rotation.id == id)
    }

    fn campaign(&mut self, id: CampaignId) -> Result<&mut Campaign, StorageError> {
        let found = self.campaigns.iter_mut().find(|campaign| campaign.id == id);
        found.ok_or_else(|| StorageError::failed(format!("the journal has no campaign {id}")))
    }
}

impl MemoryJournal {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no test panics while it holds the journal")
    }
}

#[async_trait]
impl JournalStore for MemoryJournal {
    async fn append(&self, line: Line, after: &Rotation) -> Result<(), StorageError> {
        if line.rotation != after.id {
            return Err(StorageError::failed("a line came with another rotation"));
        }
        let mut kept = self.kept();
        let last = kept.summary(line.rotation).map_or(0, |summary| summary.seq);
        if line.seq != last + 1 {
            return Err(StorageError::Conflict { rotation: line.rotation, seq: line.seq });
        }
        let (seq, updated_at) = (line.seq, line.at);
        match kept.summary(line.rotation) {
            Some(summary) => {
                *summary = Summary { rotation: after.clone(), seq, opened_at: summary.opened_at, updated_at };
            }
            None => kept.summaries.push(Summary { rotation: after.clone(), seq, opened_at: updated_at, updated_at }),
        }
        kept.lines.push(line);
        Ok(())
    }

    async fn lines(&self, rotation: RotationId) -> Result<Vec<Line>, StorageError> {
        Ok(self.kept().lines.iter().filter(|line| line.rotation == rotation).cloned().collect())
    }

    async fn summaries(&self, which: RotationFilter) -> Result<Vec<Summary>, StorageError> {
        let wanted = |summary: &&Summary| {
            let rotation = &summary.rotation;
            match which {
                RotationFilter::Open => !rotation.is_closed(),
                RotationFilter::Campaign(id) => rotation.opened.campaign == id,
                RotationFilter::AbortedOf(id) => rotation.opened.campaign == id && rotation.is_aborted(),
                RotationFilter::WatchedAfter(moment) => {
                    rotation.is_closed() && rotation.watched_until().is_some_and(|until| until > moment)
                }
                RotationFilter::All => true,
            }
        };
        Ok(self.kept().summaries.iter().filter(wanted).cloned().collect())
    }

    async fn summary(&self, rotation: RotationId) -> Result<Option<Summary>, StorageError> {
        Ok(self.kept().summary(rotation).map(|summary| summary.clone()))
    }

    async fn begin_campaign(&self, id: CampaignId, at: Timestamp) -> Result<(), StorageError> {
        let mut kept = self.kept();
        if kept.campaign(id).is_ok() {
            return Err(StorageError::failed(format!("campaign {id} has begun already")));
        }
        kept.campaigns.push(Campaign { id, began_at: at, closed: false, notes: CampaignNotes::default() });
        Ok(())
    }

    async fn note_campaign(&self, id: CampaignId, notes: CampaignNotes) -> Result<(), StorageError> {
        self.kept().campaign(id)?.notes = notes;
        Ok(())
    }

    async fn close_campaign(&self, id: CampaignId) -> Result<(), StorageError> {
        self.kept().campaign(id)?.closed = true;
        Ok(())
    }

    async fn last_campaign(&self) -> Result<Option<Campaign>, StorageError> {
        Ok(self.kept().campaigns.last().cloned())
    }

    async fn keys_made_by(&self, id: CampaignId) -> Result<Vec<AccessKeyId>, StorageError> {
        let of_campaign = |summary: &&Summary| summary.rotation.opened.campaign == id;
        Ok(self.kept().summaries.iter().filter(of_campaign).filter_map(|s| s.rotation.new_key.clone()).collect())
    }

    async fn keys_made_for(&self, user: &UserName) -> Result<Vec<AccessKeyId>, StorageError> {
        let of_user = |summary: &&Summary| summary.rotation.opened.user == *user;
        Ok(self.kept().summaries.iter().filter(of_user).filter_map(|s| s.rotation.new_key.clone()).collect())
    }

    async fn closed_rotations_of(&self, user: &UserName, key: &AccessKeyId) -> Result<Vec<Summary>, StorageError> {
        let is_of_key = |summary: &&Summary| {
            let rotation = &summary.rotation;
            let has_key = rotation.opened.old_key == *key || rotation.new_key.as_ref() == Some(key);
            rotation.is_closed() && rotation.opened.user == *user && has_key
        };
        Ok(self.kept().summaries.iter().filter(is_of_key).cloned().collect())
    }

    async fn may_turn_inactive(&self) -> Result<BTreeSet<AccessKeyId>, StorageError> {
        Ok(self.kept().summaries.iter().flat_map(|summary| summary.rotation.may_turn_inactive.clone()).collect())
    }
}
