//! What the journal holds at one moment, as far as output and exit codes need it.

use std::collections::BTreeSet;

use super::exit::Tally;
use super::output::document::Document;
use crate::adapters::sqlite_journal::SyncReader;
use crate::drive::sinks::{InSinks, in_sinks};
use crate::journal::entry::{Campaign, LeftAloneNote, Summary};
use crate::journal::store::{SharedStore, StorageError, Which};
use crate::rotation::name::RotationId;
use crate::rotation::policy::Timestamp;
use crate::rotation::standing::Standing;

/// The open rotations, the youngest campaign and its rotations.
#[derive(Debug, Default)]
pub struct Picture {
    /// The youngest campaign.
    pub campaign: Option<Campaign>,
    /// Every rotation that is not closed.
    pub open: Vec<Summary>,
    /// Every rotation of the youngest campaign.
    pub of_campaign: Vec<Summary>,
}

/// Keys that sinks were given last, from a journal that is only read.
///
/// # Errors
/// [`StorageError`] if the journal cannot be read.
pub fn read_in_sinks(reader: &SyncReader) -> Result<InSinks, StorageError> {
    Ok(in_sinks(reader.summaries(Which::All)?.iter().map(|summary| &summary.rotation)))
}

impl Picture {
    /// Takes it from the journal in hand.
    ///
    /// # Errors
    /// [`StorageError`] if the journal cannot be read.
    pub async fn take(store: &SharedStore) -> Result<Self, StorageError> {
        let campaign = store.last_campaign().await?;
        let of_campaign = match &campaign {
            Some(campaign) => store.summaries(Which::Campaign(campaign.id)).await?,
            None => Vec::new(),
        };
        Ok(Self { campaign, open: store.summaries(Which::Open).await?, of_campaign })
    }

    /// Takes it from a journal that is only read.
    ///
    /// # Errors
    /// [`StorageError`] if the journal cannot be read.
    pub fn read(reader: &SyncReader) -> Result<Self, StorageError> {
        let campaign = reader.last_campaign()?;
        let of_campaign = match &campaign {
            Some(campaign) => reader.summaries(Which::Campaign(campaign.id))?,
            None => Vec::new(),
        };
        Ok(Self { campaign, open: reader.summaries(Which::Open)?, of_campaign })
    }

    /// The document that shows `shown`.
    #[must_use]
    pub fn document(&self, shown: &[Summary]) -> Document {
        let counted: Vec<Summary> = self.open.iter().chain(&self.of_campaign).cloned().collect();
        Document::new(self.campaign.as_ref().map(|campaign| campaign.id), shown, &counted, self.left_alone())
    }

    /// What the last `run` left alone.
    #[must_use]
    pub fn left_alone(&self) -> &[LeftAloneNote] {
        self.campaign.as_ref().map_or(&[], |campaign| &campaign.notes.left_alone)
    }

    /// How many due keys the youngest campaign has not opened yet, those that need a person among them.
    #[must_use]
    pub fn unopened(&self) -> usize {
        let Some(campaign) = self.campaign.as_ref().filter(|campaign| !campaign.closed) else { return 0 };
        campaign.still_to_open(self.of_campaign.iter().map(|summary| &summary.rotation)).len()
    }

    /// What is blocked and what is in flight. No keys without a rotation: those are the campaign's.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let blocked = |summary: &&Summary| matches!(summary.rotation.standing, Standing::Blocked { .. });
        Tally { blocked: self.open.iter().filter(blocked).count(), in_flight: self.open.len(), ..Tally::default() }
    }

    /// As [`tally`](Self::tally), and the keys that the youngest campaign has still to open.
    #[must_use]
    pub fn tally_with_campaign(&self) -> Tally {
        let unopened = self.unopened();
        let need_a_person = if unopened == 0 { 0 } else { self.left_alone().iter().filter(|note| note.due).count() };
        Tally { need_a_person, unopened, ..self.tally() }
    }

    /// The rotations of the youngest campaign and the open ones that have these ids; of the rest, the ids.
    #[must_use]
    pub fn find(&self, ids: &[RotationId]) -> (Vec<Summary>, Vec<RotationId>) {
        let mut found = Vec::new();
        let mut missing: BTreeSet<RotationId> = ids.iter().copied().collect();
        for summary in self.open.iter().chain(&self.of_campaign) {
            if missing.remove(&summary.rotation.id) {
                found.push(summary.clone());
            }
        }
        (found, missing.into_iter().collect())
    }

    /// When the first of the waiting rotations has something to do.
    #[must_use]
    pub fn next_time(&self) -> Option<Timestamp> {
        let settled = |summary: &&Summary| !matches!(summary.rotation.standing, Standing::Blocked { .. });
        self.open.iter().filter(settled).filter_map(|summary| summary.rotation.waiting_until).min()
    }
}
