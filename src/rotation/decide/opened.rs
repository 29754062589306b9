//! `opened`: no key of ours exists. Check that the world is as it was planned, make room, create.

use std::collections::BTreeSet;

use super::preconditions::{delete_named, require_keys, require_readable_places, require_unreferenced};
use super::step::{Decision, Requires, Step, block, end};
use crate::rotation::block_reason::BlockReason;
use crate::rotation::denied::{Denied, ONE_KEY_IN};
use crate::rotation::event::{Ending, Event};
use crate::rotation::intent::Intent;
use crate::rotation::observed::{KeyStatus, KeysSeen, Observed, PlaceContent};
use crate::rotation::policy::{MOST_CREATES, SpareKey};
use crate::rotation::record::{Probe, Rotation};
use crate::types::place::Place;
use crate::types::time::Timestamp;

pub(super) fn next(decision: Decision<'_>) -> Requires<Step> {
    let Decision { rotation, memory, observed, now } = decision;
    if rotation.abort_asked {
        return Ok(end(Ending::Aborted, "an operator asked for it; the old key is as it was"));
    }
    delete_named(rotation, observed)?;
    if rotation.creates >= MOST_CREATES {
        return Ok(block(BlockReason::TooManyCreates));
    }
    let keys = require_keys(rotation, observed)?;
    let old = &rotation.opened.old_key;
    let Some(old_seen) = keys.find(old) else {
        return Ok(end(Ending::Gone, format!("IAM does not list {old} for {} any more", rotation.opened.user)));
    };
    if old_seen.status != KeyStatus::Active {
        let status = old_seen.status.name();
        let why = format!("the old key {old} is {status} now: a new one would enable what someone switched off");
        return Ok(end(Ending::Aborted, why));
    }
    make_room(rotation, keys, observed)?;
    let places = require_readable_places(observed)?;
    if !places.all(PlaceContent::Old) {
        let which = places.which_not(PlaceContent::Old).join(", ");
        return Ok(end(Ending::Aborted, format!("the old pair is not in {which} any more")));
    }
    if let Some(denied) = &rotation.withheld {
        is_worth_a_key(rotation, denied, keys)?;
    }
    nothing_may_land(rotation, now)?;
    Ok(Step::Execute(Intent::CreateNew {
        listed: keys.ids(),
        asked_at: keys.at,
        give_up_at: keys.at.plus(memory.call_timeout),
    }))
}

/// The last new key was given up because a right or a lock was missing. Whether a store takes a write is seen by rewriting
/// what it holds; whatever else shows nothing, or has deceived once, is tried with a new key, of which one a day is made.
fn is_worth_a_key(rotation: &Rotation, denied: &Denied, keys: &KeysSeen) -> Requires<()> {
    // Entries are written one after the other: where some take a rewrite and others do not, it is not made in each run.
    let entries: BTreeSet<_> = rotation.opened.places.iter().flat_map(Place::entries).collect();
    let cut = matches!(rotation.probe, Some(Probe::Lost)) && entries.len() > 1;
    let shows = denied.is_of_a_write() && rotation.opened.stores.len() == 1 && !cut;
    if !shows || rotation.keys_withheld > 1 {
        once_a_day(rotation, denied, keys)?;
    }
    if shows { Err(Step::Execute(Intent::FenceStore)) } else { Ok(()) }
}

fn once_a_day(rotation: &Rotation, denied: &Denied, keys: &KeysSeen) -> Requires<()> {
    let due = rotation.created_last.is_none_or(|last| keys.at >= last.plus(ONE_KEY_IN));
    if due { Ok(()) } else { Err(block(rotation.blocked_for_a_day(denied.clone()))) }
}

/// A rewrite with an unknown outcome must not undo what is stored next.
fn nothing_may_land(rotation: &Rotation, now: Timestamp) -> Requires<()> {
    match rotation.probe {
        Some(Probe::Lost) => Err(Step::Execute(Intent::FenceStore)),
        Some(Probe::Fenced(until)) if now < until => {
            Err(Step::Wait { until, why: "a write that was under way may still change the store".to_owned() })
        }
        Some(Probe::Fenced(_)) | None => Ok(()),
    }
}

/// A user has room for two keys: what to do about one that is in the way.
fn make_room(rotation: &Rotation, keys: &KeysSeen, observed: &Observed) -> Requires<()> {
    let others = keys.keys.iter().flatten().filter(|key| key.id != rotation.opened.old_key);
    let Some(other) = others.min_by_key(|key| (rotation.kept.contains(&key.id), key.id.clone())) else {
        return Ok(());
    };
    let kept = rotation.kept.contains(&other.id);
    let mut attempts = rotation.lost_creates.iter().chain(&rotation.refused_create);
    let late = attempts.any(|attempt| attempt.may_have_made(&other.id, other.created));
    if late && !kept {
        if !rotation.late_keys.contains(&other.id) {
            return Err(Step::Record(Event::LateKeySeen { key: other.id.clone() }));
        }
        let why = if rotation.refused_create.is_some() {
            "IAM refused a create because the user had two keys, and this one was not listed before it: a proxy may have \
             sent that create twice, and then the key is ours and its secret is lost"
        } else {
            "it turned up late, and may be the child of a create whose reply was lost"
        };
        let why = why.to_owned();
        return Err(block(BlockReason::UnclaimedKeys { keys: vec![other.id.clone()], why }));
    }
    let inactive = other.status == KeyStatus::Inactive;
    // A late request of rotator's own may have deactivated it, and a program of its owner may still need it.
    let by_us = inactive && rotation.may_turn_inactive.contains(&other.id);
    if rotation.opened.policy.spare_key == SpareKey::DeleteInactive && inactive && !kept && !by_us {
        require_unreferenced(observed, &other.id)?;
        return Err(Step::Execute(Intent::DeleteNamed { key: other.id.clone() }));
    }
    let mut described = format!("{}, created {}", other.status.name(), other.created);
    if by_us {
        described.push_str(
            "; rotator once asked IAM to deactivate it, before it was known to belong to another program, and got no answer: \
             that request may be what deactivated it; if a program needs the key, make it active in IAM",
        );
    }
    Err(block(BlockReason::SpareKey { key: other.id.clone(), described }))
}
