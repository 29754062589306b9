//! Shifts a rotation in time: the model counts every time relative to the present.

use std::time::Duration;

use rotator::rotation::block_reason::BlockReason;
use rotator::rotation::denied::ONE_KEY_IN;
use rotator::rotation::intent::Intent;
use rotator::rotation::lost_create::LostCreate;
use rotator::rotation::record::{Probe, Rotation};
use rotator::rotation::state::{NewKeyState, Phase, State};
use rotator::types::time::Timestamp;

use super::machine::at;
use super::world::LATE;

/// Moves every moment of a rotation into the past.
pub(super) fn move_back(rotation: &mut Rotation, by: Duration) {
    let back = |moment: &mut Timestamp| *moment = moment.minus(by);
    let made_back = |made: &mut NewKeyState| {
        made.deactivated.iter_mut().for_each(back);
        made.fenced.iter_mut().for_each(back);
    };
    let phase_back = |phase: &mut Phase| match phase {
        Phase::Opened => {}
        Phase::CreatedNew { made } => made_back(made),
        Phase::StoredNew { made, stored_at } => {
            made_back(made);
            back(stored_at);
        }
        Phase::DeactivatedOld { made, stored_at, deactivated_at } => {
            made_back(made);
            back(stored_at);
            back(deactivated_at);
        }
    };
    let intent_back = |intent: &mut Intent| {
        if let Intent::CreateNew { asked_at, give_up_at: until, .. } | Intent::WriteSink { asked_at, until, .. } =
            intent
        {
            back(asked_at);
            back(until);
        }
    };
    match &mut rotation.state {
        State::Settled { phase } => phase_back(phase),
        State::InDoubt { phase, intent } => {
            phase_back(phase);
            intent_back(intent);
        }
        State::Blocked { phase, intent, reason } => {
            phase_back(phase);
            intent.iter_mut().for_each(intent_back);
            reason_back(reason, by);
        }
        State::Closed { .. } => {}
    }
    for attempt in rotation.lost_creates.iter_mut().chain(&mut rotation.refused_create) {
        back(&mut attempt.asked_at);
        back(&mut attempt.give_up_at);
    }
    rotation.first_sighting.iter_mut().for_each(|look| back(&mut look.at));
    rotation.created_last.iter_mut().for_each(back);
    if let Some(Probe::Fenced(until)) = &mut rotation.probe {
        back(until);
    }
    for sink in &mut rotation.sinks {
        sink.acknowledged.iter_mut().for_each(|last| back(&mut last.at));
        sink.may_land.values_mut().for_each(back);
    }
}

/// A wait that is over is over: by how much decides nothing, but where a list may be as old as `stall`.
pub(super) fn forget_dates(rotation: &mut Rotation, stall: Duration) {
    let policy = rotation.opened.policy.clone();
    let since = |moment: &mut Timestamp, wait: Duration| {
        *moment = (*moment).max(at(0).minus(wait + stall + Duration::from_secs(1)));
    };
    // A key that it made is listed by then.
    let is_listed_by_now = |attempt: &LostCreate| attempt.until() < at(0).minus(stall);
    rotation.refused_create = rotation.refused_create.take().filter(|attempt| !is_listed_by_now(attempt));
    // Only where a right was missing does it count when the last key was made.
    if rotation.withheld.is_none() {
        rotation.created_last = None;
    }
    rotation.created_last.iter_mut().for_each(|moment| since(moment, ONE_KEY_IN));
    if let Some(Probe::Fenced(until)) = &mut rotation.probe {
        since(until, Duration::ZERO);
    }
    if let Some(look) = &mut rotation.first_sighting {
        since(&mut look.at, policy.settle.max(Duration::from_secs(LATE.unsigned_abs())));
    }
    for sink in &mut rotation.sinks {
        sink.acknowledged.iter_mut().for_each(|last| since(&mut last.at, policy.overlap));
        sink.may_land.values_mut().for_each(|until| since(until, Duration::ZERO));
    }
    let (State::Settled { phase } | State::InDoubt { phase, .. } | State::Blocked { phase, .. }) = &mut rotation.state
    else {
        return;
    };
    match phase {
        Phase::Opened => {}
        Phase::CreatedNew { made } => {
            made.deactivated.iter_mut().for_each(|moment| since(moment, policy.settle));
            made.fenced.iter_mut().for_each(|moment| since(moment, Duration::ZERO));
        }
        Phase::StoredNew { made, stored_at } => {
            since(stored_at, policy.overlap);
            made.fenced.iter_mut().for_each(|moment| since(moment, Duration::ZERO));
        }
        Phase::DeactivatedOld { stored_at, deactivated_at, .. } => {
            since(deactivated_at, policy.quarantine);
            // No decision depends on this time any more.
            *stored_at = *deactivated_at;
        }
    }
}

/// The one reason that tells a date.
fn reason_back(reason: &mut BlockReason, by: Duration) {
    if let BlockReason::SpareKey { described, .. } = reason
        && let Some((status, created)) = described.split_once("created ")
    {
        let created: Timestamp = created.parse().expect("a date");
        *described = format!("{status}created {}", created.minus(by));
    }
}
