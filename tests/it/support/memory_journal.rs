//! A journal in memory, behind the same port as SQLite's; one contract suite holds both to the same behaviour.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use rotator::journal::entry::{Campaign, CampaignNotes, Line, Summary};
use rotator::journal::store::{JournalStore, StorageError, Which};
use rotator::rotation::name::{AccessKeyId, CampaignId, RotationId, UserName};
use rotator::rotation::policy::Timestamp;
use rotator::rotation::standing::Rotation;

#[derive(Default)]
struct Kept {
    lines: BTreeMap<RotationId, Vec<Line>>,
    summaries: BTreeMap<RotationId, Summary>,
    campaigns: Vec<Campaign>,
    leases: BTreeMap<RotationId, (String, Timestamp)>,
}

/// The journal.
#[derive(Default)]
pub(crate) struct MemoryJournal(Mutex<Kept>);

impl MemoryJournal {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn campaign(&self, id: CampaignId, change: impl FnOnce(&mut Campaign)) -> Result<(), StorageError> {
        let mut kept = self.kept();
        let campaign = kept.campaigns.iter_mut().find(|campaign| campaign.id == id);
        change(campaign.ok_or_else(|| StorageError::failed(format!("there is no campaign {id}")))?);
        Ok(())
    }
}

#[async_trait]
impl JournalStore for MemoryJournal {
    async fn append(&self, line: Line, after: &Rotation) -> Result<(), StorageError> {
        let mut kept = self.kept();
        let lines = kept.lines.entry(line.rotation).or_default();
        if line.seq != lines.len() as u64 + 1 {
            return Err(StorageError::Conflict { rotation: line.rotation, seq: line.seq });
        }
        let opened_at = lines.first().map_or(line.at, |first| first.at);
        let summary = Summary { rotation: after.clone(), seq: line.seq, opened_at, updated_at: line.at };
        lines.push(line.clone());
        kept.summaries.insert(line.rotation, summary);
        Ok(())
    }

    async fn lines(&self, rotation: RotationId) -> Result<Vec<Line>, StorageError> {
        Ok(self.kept().lines.get(&rotation).cloned().unwrap_or_default())
    }

    async fn summaries(&self, which: Which) -> Result<Vec<Summary>, StorageError> {
        let wanted = |summary: &&Summary| match which {
            Which::Open => !summary.rotation.is_closed(),
            Which::Campaign(id) => summary.rotation.opened.campaign == id,
            Which::WatchedAfter(moment) => {
                summary.rotation.is_closed() && summary.rotation.watched_until().is_some_and(|until| until > moment)
            }
            Which::All => true,
        };
        Ok(self.kept().summaries.values().filter(wanted).cloned().collect())
    }

    async fn summary(&self, rotation: RotationId) -> Result<Option<Summary>, StorageError> {
        Ok(self.kept().summaries.get(&rotation).cloned())
    }

    async fn begin_campaign(&self, id: CampaignId, at: Timestamp) -> Result<(), StorageError> {
        let notes = CampaignNotes::default();
        self.kept().campaigns.push(Campaign { id, began_at: at, closed: false, notes });
        Ok(())
    }

    async fn note_campaign(&self, id: CampaignId, notes: CampaignNotes) -> Result<(), StorageError> {
        self.campaign(id, |campaign| campaign.notes = notes)
    }

    async fn close_campaign(&self, id: CampaignId) -> Result<(), StorageError> {
        self.campaign(id, |campaign| campaign.closed = true)
    }

    async fn last_campaign(&self) -> Result<Option<Campaign>, StorageError> {
        Ok(self.kept().campaigns.last().cloned())
    }

    async fn keys_made_by(&self, id: CampaignId) -> Result<Vec<AccessKeyId>, StorageError> {
        let kept = self.kept();
        let made = kept.summaries.values().filter(|summary| summary.rotation.opened.campaign == id);
        Ok(made.filter_map(|summary| summary.rotation.new_key.clone()).collect())
    }

    async fn keys_made_for(&self, user: &UserName) -> Result<Vec<AccessKeyId>, StorageError> {
        let kept = self.kept();
        let made = kept.summaries.values().filter(|summary| summary.rotation.opened.user == *user);
        Ok(made.filter_map(|summary| summary.rotation.new_key.clone()).collect())
    }

    async fn lease(
        &self,
        rotation: RotationId,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), StorageError> {
        let mut kept = self.kept();
        if let Some((other, held)) = kept.leases.get(&rotation)
            && other != holder
            && *held > now
        {
            return Err(StorageError::Leased { rotation, holder: other.clone(), until: *held });
        }
        kept.leases.insert(rotation, (holder.to_owned(), until));
        Ok(())
    }
}
