//! What a run or resume records for later ones, and when a campaign is closed.

use std::collections::BTreeSet;

use super::failing::{ask_an_operator, take_down};
use super::{Engine, gave_up};
use crate::engine::error::CampaignError;
use crate::engine::report::Report;
use crate::journal::campaign::{Campaign, CampaignNotes, LeftAloneNote};
use crate::journal::store::RotationFilter;
use crate::rotation::record::Rotation;
use crate::types::name::{AccessKeyId, CampaignId};

impl Engine {
    /// Records what is left to do, and closes the campaign if nothing of it can continue without an operator. Returns
    /// the recorded notes of skipped keys.
    pub(super) async fn settle(
        &self,
        id: CampaignId,
        mut notes: CampaignNotes,
    ) -> Result<Vec<LeftAloneNote>, CampaignError> {
        let store = self.journal.store();
        let open = store.summaries(RotationFilter::Open).await?;
        ask_an_operator(&mut notes, &open);
        notes.left_alone.sort_by(LeftAloneNote::in_order);
        notes.looked_at = gave_up(&store.summaries(RotationFilter::AbortedOf(id)).await?);
        let of_it = || open.iter().map(|summary| &summary.rotation).filter(|rotation| rotation.opened.campaign == id);
        let goes_on = !notes.unopened.is_empty() || of_it().any(|rotation| notes.goes_on_by_itself(rotation));
        let left_alone = notes.left_alone.clone();
        store.note_campaign(id, notes).await?;
        if !goes_on {
            store.close_campaign(id).await?;
        }
        Ok(left_alone)
    }

    /// Does the same as [`settle`](Self::settle) after a run that only advanced rotations in flight and judged no key
    /// again.
    pub(super) async fn settle_in_flight(&self, report: &mut Report) -> Result<(), CampaignError> {
        let store = self.journal.store();
        let last = store.last_campaign().await?;
        let gave_up: Vec<AccessKeyId> = self.gave_up_in(report).await?;
        let campaign = match last {
            None => return Ok(()),
            Some(campaign) if campaign.closed && !gave_up.is_empty() => {
                // The campaign of the rotation is closed. Its key waits for another campaign, which the next run opens.
                let id = self.begin_campaign().await?;
                let looked_at = BTreeSet::new();
                Campaign { id, closed: false, notes: CampaignNotes { looked_at, ..campaign.notes }, ..campaign }
            }
            Some(campaign) => campaign,
        };
        report.campaign = Some(campaign.id);
        let rotations = store.summaries(RotationFilter::Campaign(campaign.id)).await?;
        let mut notes = campaign.notes.clone();
        if !campaign.closed {
            notes.unopened = campaign.still_to_open(rotations.iter().map(|summary| &summary.rotation));
            notes.unopened.extend(gave_up);
            notes.unopened.sort();
            notes.unopened.dedup();
        }
        take_down(&mut notes.failing, &report.went, self.session.aws_now());
        let mut left_alone = self.settle(campaign.id, notes).await?;
        left_alone.retain(|note| note.due || !campaign.closed);
        report.left_alone = left_alone;
        Ok(())
    }

    /// Returns the keys of the rotations that gave up during this resume.
    async fn gave_up_in(&self, report: &Report) -> Result<Vec<AccessKeyId>, CampaignError> {
        let mut keys = Vec::new();
        if report.aborted == 0 {
            return Ok(keys);
        }
        for id in &report.touched {
            let summary = self.journal.store().summary(*id).await?;
            let rotation = summary.map(|summary| summary.rotation).filter(Rotation::gave_up);
            keys.extend(rotation.map(|rotation| rotation.opened.old_key));
        }
        Ok(keys)
    }
}
