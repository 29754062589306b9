//! Rotations as the document shows them, gathered one by one: a run of thousands of keys never has all of them in memory as
//! the journal has them.

use std::collections::BTreeSet;

use super::{Counts, RotationShown};
use crate::journal::line::Summary;
use crate::journal::overview::ClosedCounts;
use crate::types::name::{CampaignId, RotationId};

/// Rotations that are shown, and their counts.
#[derive(Debug, Default)]
pub struct Gathered {
    campaign: Option<CampaignId>,
    pub rotations: Vec<RotationShown>,
    /// The counts of these rotations.
    pub counts: Counts,
    /// The closed ones among them that are not of the campaign.
    pub(in crate::cli) closed_elsewhere: ClosedCounts,
}

impl Gathered {
    /// `campaign`: the latest one, whose closed rotations are counted whether they are shown or not.
    #[must_use]
    pub fn new(campaign: Option<CampaignId>) -> Self {
        Self { campaign, ..Self::default() }
    }

    /// Takes these rotations.
    #[must_use]
    pub fn with<'s>(mut self, summaries: impl IntoIterator<Item = &'s Summary>) -> Self {
        summaries.into_iter().for_each(|summary| self.take(summary));
        self
    }

    /// Takes a rotation that is shown.
    pub fn take(&mut self, summary: &Summary) {
        self.rotations.push(RotationShown::of(summary));
        self.counts.take(&summary.rotation);
        if Some(summary.rotation.opened.campaign) != self.campaign {
            self.closed_elsewhere.take(&summary.rotation);
        }
    }

    /// Sorts the rotations by user, account and old key. The order of their ids is that of their openings, which a run
    /// makes in any order.
    pub fn sort(&mut self) {
        self.rotations.sort_by(|one, other| one.place_in_lists().cmp(&other.place_in_lists()));
    }

    /// The ids of the rotations.
    #[must_use]
    pub fn ids(&self) -> BTreeSet<RotationId> {
        self.rotations.iter().map(|rotation| rotation.id).collect()
    }
}
