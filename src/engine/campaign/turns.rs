//! The keys of one run under `limit`: the oldest are first. A key that failed counts as created at its last failure, so
//! that it neither blocks the others nor stays behind them in a campaign that is open for months.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::survey::{Due, Survey};
use crate::journal::campaign::{CampaignNotes, Failing};
use crate::rotation::observed::KeySeen;
use crate::types::name::AccessKeyId;
use crate::types::time::Timestamp;

/// Returns the moment by which keys are ordered.
pub(super) fn turn(
    key: &KeySeen,
    failing: &BTreeMap<AccessKeyId, Failing>,
    tried: &BTreeMap<AccessKeyId, Timestamp>,
) -> Timestamp {
    let failed = failing.get(&key.id).map(|failing| failing.last);
    failed.into_iter().chain(tried.get(&key.id).copied()).fold(key.created, Timestamp::max)
}

/// Leaves only those keys due that the next run opens. The others are held back. Both keep their order.
pub fn hold_back(survey: &mut Survey, limit: Option<usize>, last: Option<&CampaignNotes>) {
    let Some(limit) = limit else { return };
    let none = CampaignNotes::default();
    let CampaignNotes { failing, tried, .. } = last.unwrap_or(&none);
    let mut order: Vec<&Box<Due>> = survey.due.iter().collect();
    order.sort_by_cached_key(|due| turn(&due.key, failing, tried));
    let opened: BTreeSet<AccessKeyId> = order.into_iter().take(limit).map(|due| due.key.id.clone()).collect();
    let due = std::mem::take(&mut survey.due);
    (survey.due, survey.held_back) = due.into_iter().partition(|due| opened.contains(&due.key.id));
}
