//! The real storage port with faults: an append may be the last thing a process does, or fail before or after it is
//! durable.

use std::sync::Arc;

use async_trait::async_trait;
use rotator::journal::entry::{Campaign, CampaignNotes, Line, Summary};
use rotator::journal::store::{JournalStore, SharedStore, StorageError, Which};
use rotator::rotation::name::{AccessKeyId, CampaignId, RotationId, UserName};
use rotator::rotation::policy::Timestamp;
use rotator::rotation::standing::Rotation;

use super::faults::Fault;
use super::ports::{Process, lock};

/// A journal that faults strike.
pub(crate) struct Struck {
    pub(crate) inner: SharedStore,
    pub(crate) process: Process,
}

impl Struck {
    pub(crate) fn shared(inner: SharedStore, process: &Process) -> SharedStore {
        Arc::new(Self { inner, process: process.clone() })
    }

    async fn touch(&self, what: &str) -> Option<Fault> {
        tokio::task::yield_now().await;
        let (dead, fault) = {
            let mut state = lock(&self.process.state);
            if state.epoch == self.process.epoch { (false, state.touch(what)) } else { (true, None) }
        };
        if dead {
            std::future::pending::<()>().await;
        }
        fault
    }
}

#[async_trait]
impl JournalStore for Struck {
    async fn append(&self, line: Line, after: &Rotation) -> Result<(), StorageError> {
        let text = serde_json::to_string(&line.event).expect("an event is JSON");
        let summary = serde_json::to_string(after).expect("a rotation is JSON");
        {
            let mut state = lock(&self.process.state);
            let leaked = state.secrets.iter().any(|secret| text.contains(secret) || summary.contains(secret));
            if leaked {
                state.broken.push(format!("P5: a secret in the journal: {}", line.seq));
            }
        }
        let what = format!("journal {}", text.chars().take(60).collect::<String>());
        match self.touch(&what).await {
            None | Some(Fault::Throttled | Fault::Late(_)) => self.inner.append(line, after).await,
            Some(Fault::CrashBefore) => self.process.die().await,
            Some(Fault::CrashAfter) => {
                self.inner.append(line, after).await?;
                self.process.die().await
            }
            Some(Fault::LostBefore) => Err(StorageError::failed("the disk is full")),
            Some(Fault::LostAfter) => {
                self.inner.append(line, after).await?;
                Err(StorageError::failed("the disk failed"))
            }
        }
    }

    async fn lines(&self, rotation: RotationId) -> Result<Vec<Line>, StorageError> {
        self.inner.lines(rotation).await
    }

    async fn summaries(&self, which: Which) -> Result<Vec<Summary>, StorageError> {
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

    async fn lease(
        &self,
        rotation: RotationId,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), StorageError> {
        self.inner.lease(rotation, holder, now, until).await
    }
}
