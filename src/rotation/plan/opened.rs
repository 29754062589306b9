//! `opened`: no key of ours exists. Check that the world is as it was planned, make room, create.

use super::super::effect::Intent;
use super::super::event::{Ending, Event};
use super::super::known::{Hand, KeyStatus, KeysSeen, Known, PlaceShows};
use super::super::policy::{MOST_CREATES, SpareKey};
use super::super::reason::Reason;
use super::super::standing::Rotation;
use super::ground::{delete_named, keys_of, places_of, unnamed};
use super::{Step, block, end};
use crate::planted::{self, Planted};

pub(super) fn next(rotation: &Rotation, hand: Hand, known: &Known) -> Result<Step, Step> {
    if rotation.abort_asked {
        return Ok(end(Ending::Aborted, "a person asked for it; the old key is as it was"));
    }
    delete_named(rotation, known)?;
    if rotation.creates >= MOST_CREATES {
        return Ok(block(Reason::TooManyCreates));
    }
    let keys = keys_of(rotation, known)?;
    let old = &rotation.opened.old_key;
    let Some(old_seen) = keys.find(old) else {
        return Ok(end(Ending::Gone, format!("IAM does not list {old} for {} any more", rotation.opened.user)));
    };
    if old_seen.status != KeyStatus::Active {
        let status = old_seen.status.name();
        let why = format!("the old key {old} is {status} now: a new one would enable what someone switched off");
        return Ok(end(Ending::Aborted, why));
    }
    make_room(rotation, keys, known)?;
    let places = places_of(known)?;
    if !places.all(PlaceShows::Old) {
        let which = places.which_not(PlaceShows::Old).join(", ");
        return Ok(end(Ending::Aborted, format!("{which} does not hold the old pair any more")));
    }
    Ok(Step::Act(Intent::CreateNew {
        listed: keys.ids(),
        asked_at: keys.at,
        give_up_at: keys.at.plus(hand.call_timeout),
    }))
}

/// A user has room for two keys: what to do about one that is in the way.
fn make_room(rotation: &Rotation, keys: &KeysSeen, known: &Known) -> Result<(), Step> {
    let others = keys.keys.iter().flatten().filter(|key| key.id != rotation.opened.old_key);
    let Some(other) = others.min_by_key(|key| (rotation.kept.contains(&key.id), key.id.clone())) else {
        return Ok(());
    };
    let kept = rotation.kept.contains(&other.id);
    let mut attempts = rotation.watched.iter().chain(&rotation.refused_create);
    let late = attempts.any(|attempt| attempt.may_have_made(&other.id, other.created));
    if late && planted::is(Planted::LateKeyTaken) {
        return Err(Step::Act(Intent::DeleteNamed { key: other.id.clone() }));
    }
    if late && !kept {
        if !rotation.late_keys.contains(&other.id) {
            return Err(Step::Note(Event::LateKeySeen { key: other.id.clone() }));
        }
        let why = if rotation.refused_create.is_some() {
            "IAM refused a create because the user had two keys, and this one was not listed before it: a proxy may have \
             sent that create twice, and then the key is ours and its secret is lost"
        } else {
            "it turned up late, and may be the child of a create whose reply was lost"
        };
        let why = why.to_owned();
        return Err(block(Reason::UnclaimedKeys { keys: vec![other.id.clone()], why }));
    }
    let inactive = other.status == KeyStatus::Inactive;
    if rotation.opened.policy.spare_key == SpareKey::DeleteInactive && inactive && !kept {
        unnamed(known, &other.id)?;
        return Err(Step::Act(Intent::DeleteNamed { key: other.id.clone() }));
    }
    let described = format!("{}, created {}", other.status.name(), other.created);
    Err(block(Reason::SpareKey { key: other.id.clone(), described }))
}
