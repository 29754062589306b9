//! The ground that decisions stand on. Each function gives what is known, or as `Err` the step that leads to it.

use super::step::{Query, Requires, Step, block, end};
use crate::rotation::block_reason::BlockReason;
use crate::rotation::event::{Ending, Event};
use crate::rotation::intent::Intent;
use crate::rotation::observed::{
    KeyOwner, KeyStatus, KeyUse, KeysSeen, LateCopy, Observed, PlaceContent, PlacesSeen, ScanSeen,
};
use crate::rotation::record::{NEW_NOT_LISTED, OLD_INACTIVE, Rotation};
use crate::rotation::state::{NewKeyState, Phase, Provenance};
use crate::types::name::AccessKeyId;
use crate::types::time::Timestamp;

/// What a look saw that contradicts nothing, where one before it did.
const AS_EXPECTED: &str = "as expected";

/// What a look saw where IAM has no such user and does not say who has its keys.
const NOT_FOUND: &str = "no such user, and the owner of its keys is unknown";

/// A list of the user's keys, once it is known to be that of the user whose rotation this is. A user may be given another
/// name, and its name be given to another user. So where none of the rotation's own keys is listed, IAM is asked who has
/// them: keys never move from one user to another.
///
/// A list that was answered and lacks them is believed where that question has no answer; that there is no such user is
/// not: it proves nothing about the keys.
pub(in crate::rotation) fn require_key_list<'a>(rotation: &Rotation, observed: &'a Observed) -> Requires<&'a KeysSeen> {
    let keys = observed.keys.as_ref().ok_or(Step::Observe(Query::Keys))?;
    if lists_our_own(rotation, keys) {
        return Ok(keys);
    }
    let mut unclear = None;
    for key in rotation.own_keys() {
        match observed.owners.get(key).ok_or_else(|| Step::Observe(Query::Owner(key.clone())))? {
            KeyOwner::User(user) if !user.as_str().eq_ignore_ascii_case(rotation.opened.user.as_str()) => {
                return Err(Step::Record(Event::Renamed { user: user.clone() }));
            }
            // One of the two lists of IAM is behind.
            KeyOwner::User(user) => unclear = unclear.or_else(|| Some(format!("IAM says that {key} is {user}'s"))),
            KeyOwner::NoSuchKey => {}
            KeyOwner::Unclear(why) => unclear = unclear.or_else(|| Some(why.clone())),
        }
    }
    let Some(why) = unclear.filter(|_| keys.keys.is_none() && !rotation.user_given_up) else { return Ok(keys) };
    require_confirmed(rotation, keys.at, NOT_FOUND)?;
    Err(block(rotation.user_not_found(why)))
}

/// Whether the list is surely that of the rotation's own user.
pub(in crate::rotation) fn lists_our_own(rotation: &Rotation, keys: &KeysSeen) -> bool {
    rotation.own_keys().any(|key| keys.find(key).is_some())
}

/// Returns the user's keys. IAM is eventually consistent, so a list that contradicts the record counts only after a
/// second, equal one, `settle` later; a user that was deleted has no keys.
pub(super) fn require_keys<'a>(rotation: &Rotation, observed: &'a Observed) -> Requires<&'a KeysSeen> {
    let keys = require_key_list(rotation, observed)?;
    match (contradiction(rotation, keys), &rotation.first_sighting) {
        (Some(seen), _) => require_confirmed(rotation, keys.at, &seen)?,
        (None, Some(first)) if first.seen != AS_EXPECTED => {
            return Err(Step::Record(Event::LookedOnce { at: keys.at, seen: AS_EXPECTED.to_owned() }));
        }
        (None, Some(_) | None) => {}
    }
    if keys.keys.is_none() {
        return Err(end(Ending::Gone, no_user(rotation)));
    }
    Ok(keys)
}

fn no_user(rotation: &Rotation) -> String {
    let user = &rotation.opened.user;
    if rotation.user_given_up {
        return format!("IAM has no user {user}, and an operator said that it is gone with its keys");
    }
    format!("IAM has no user {user}, nor its keys under another name")
}

/// What in this list contradicts what the phase says. Equal texts are equal looks.
fn contradiction(rotation: &Rotation, keys: &KeysSeen) -> Option<String> {
    let Some(listed) = &keys.keys else { return Some("no such user".to_owned()) };
    let status = |key: &AccessKeyId| keys.find(key).map(|seen| seen.status);
    let old = status(&rotation.opened.old_key);
    let mut found = Vec::new();
    match rotation.state.phase()? {
        Phase::Opened => {
            if old.is_none() {
                found.push("old key not listed".to_owned());
            }
            // A key that was deleted a moment ago may still be listed: it takes no room.
            let others = listed.iter().filter(|key| rotation.attempts > 0 && key.id != rotation.opened.old_key);
            found.extend(others.map(|key| format!("{} listed", key.id)));
        }
        Phase::CreatedNew { made } => match (&made.provenance, status(&made.key)) {
            (Provenance::Inferred, None) => found.push(NEW_NOT_LISTED.to_owned()),
            (Provenance::Inferred, Some(KeyStatus::Active)) if made.deactivated.is_some() => {
                found.push("new key active".to_owned());
            }
            (Provenance::Acknowledged { .. }, None) if rotation.may_not_delete(&made.key) => {
                found.push(NEW_NOT_LISTED.to_owned());
            }
            // Deleting an acknowledged key needs no more than its id.
            (Provenance::Inferred | Provenance::Acknowledged { .. }, _) => {}
        },
        phase @ (Phase::StoredNew { made, .. } | Phase::DeactivatedOld { made, .. }) => {
            if status(&made.key).is_none() {
                found.push(NEW_NOT_LISTED.to_owned());
            }
            if old.is_none() {
                found.push("old key not listed".to_owned());
            }
            // An abort gives up the new key, so a lost delete of the old key must not be executed later.
            if rotation.old_delete_may_land && rotation.abort_asked && old.is_some() {
                found.push("old key listed, a delete of it was lost".to_owned());
            }
            let inactive_before = matches!(phase, Phase::DeactivatedOld { .. }) || rotation.seen_inactive;
            if old == Some(KeyStatus::Active) && inactive_before {
                found.push("old key active".to_owned());
            }
            if old == Some(KeyStatus::Inactive) && rotation.deactivation_may_land {
                found.push(OLD_INACTIVE.to_owned());
            }
        }
    }
    (!found.is_empty()).then(|| found.join(", "))
}

/// Passes at the second of two equal looks `settle` apart, the first of them journaled.
pub(in crate::rotation) fn require_confirmed(rotation: &Rotation, at: Timestamp, seen: &str) -> Requires<()> {
    match &rotation.first_sighting {
        Some(first) if first.seen == seen => {
            let due = rotation.opened.policy.settled_after(first.at);
            if at < due {
                let why = "IAM is eventually consistent: looking a second time before concluding".to_owned();
                return Err(Step::Wait { until: due, why });
            }
            Ok(())
        }
        Some(_) | None => Err(Step::Record(Event::LookedOnce { at, seen: seen.to_owned() })),
    }
}

/// The places. A store that cannot be read means: touch nothing.
pub(in crate::rotation) fn require_readable_places(observed: &Observed) -> Requires<&PlacesSeen> {
    let places = observed.places.as_ref().ok_or(Step::Observe(Query::Places))?;
    if places.any(PlaceContent::Unreadable) {
        let why = format!("{} cannot be read now", places.which(PlaceContent::Unreadable).join(", "));
        return Err(Step::Retry { why });
    }
    Ok(places)
}

/// Whether any place holds the new pair, or half of it.
pub(in crate::rotation) fn holds_new(places: &PlacesSeen) -> bool {
    places.any(PlaceContent::New) || places.any(PlaceContent::Torn) || places.any(PlaceContent::IdOnly)
}

/// A fresh scan for the key.
pub(in crate::rotation) fn require_scan<'a>(observed: &'a Observed, key: &AccessKeyId) -> Requires<&'a ScanSeen> {
    observed
        .scan
        .as_ref()
        .filter(|scan| scan.named.contains_key(key))
        .ok_or_else(|| Step::Observe(Query::Scan(key.clone())))
}

/// P3: a fresh scan in which no entry names the key, nor may.
pub(super) fn require_unreferenced(observed: &Observed, key: &AccessKeyId) -> Requires<()> {
    let scan = require_scan(observed, key)?;
    if !scan.unreadable.is_empty() {
        return Err(block(BlockReason::Unreadable { entries: scan.unreadable.clone() }));
    }
    let entries = scan.naming(key);
    if entries.is_empty() {
        return Ok(());
    }
    Err(block(BlockReason::StillReferenced { key: key.clone(), entries: entries.to_vec() }))
}

/// Copies of the old pair that turned up late get the new pair like the other places, and then the scan is repeated. A copy
/// of a key that is not active works for no reader, and says nothing of what its reader needs.
pub(super) fn late_copies(rotation: &Rotation, old: KeyStatus, observed: &Observed) -> Requires<()> {
    let is_new =
        |copy: &&LateCopy| !rotation.left_out.contains(&copy.place) && !rotation.opened.places.contains(&copy.place);
    let copies: Vec<&LateCopy> = observed.copies.iter().filter(is_new).collect();
    let scanned = require_scan(observed, &rotation.opened.old_key)?;
    if copies.is_empty() || !scanned.unreadable.is_empty() {
        return Ok(());
    }
    match (rotation.state.phase(), old) {
        // They are to work until they have the new pair.
        (Some(Phase::DeactivatedOld { .. }), _) => Err(Step::Execute(Intent::ReactivateOld)),
        (Some(Phase::StoredNew { .. }), KeyStatus::Active) => Err(Step::Record(Event::PlacesAdded {
            places: copies.iter().map(|copy| copy.place.clone()).collect(),
            stores: copies.iter().map(|copy| (copy.place.store.clone(), copy.store.clone())).collect(),
        })),
        (_, KeyStatus::Active | KeyStatus::Inactive | KeyStatus::Expired | KeyStatus::Other) => Ok(()),
    }
}

/// While late copies wait for the new pair, the other places hold it already: what does not any more is an operator's, and is
/// not overwritten. A late copy that another writer has changed, or that does not take the new pair, is no place.
pub(super) fn added_to_stored(rotation: &Rotation, places: &PlacesSeen, refused: bool) -> Requires<()> {
    if rotation.added.is_empty() {
        return Ok(());
    }
    let (mut left, mut reverted, mut written) = (Vec::new(), Vec::new(), Vec::new());
    for (place, (name, shows)) in rotation.opened.places.iter().zip(&places.places) {
        let added = rotation.added.contains(place);
        match shows {
            PlaceContent::New | PlaceContent::Unreadable => {}
            PlaceContent::Foreign if added => left.push(place.clone()),
            PlaceContent::Old if added && refused => left.push(place.clone()),
            PlaceContent::Old | PlaceContent::Torn | PlaceContent::IdOnly if added => {}
            PlaceContent::Old => reverted.push(name.clone()),
            PlaceContent::Torn | PlaceContent::IdOnly | PlaceContent::Foreign => written.push(name.clone()),
        }
    }
    if !left.is_empty() {
        return Err(Step::Record(Event::PlacesLeft { places: left }));
    }
    if rotation.abort_asked {
        let all_old = places.all(PlaceContent::Old);
        let which = [reverted, written].concat();
        return if all_old || which.is_empty() {
            Ok(())
        } else {
            Err(block(BlockReason::CannotAbort { places: which, new_key_gone: false }))
        };
    }
    if !written.is_empty() {
        return Err(block(BlockReason::ChangedElsewhere {
            places: written,
            still_new: places.which(PlaceContent::New),
            new_key_gone: false,
        }));
    }
    if reverted.is_empty() {
        return Ok(());
    }
    Err(block(BlockReason::Reverted {
        places: reverted,
        still_new: places.which(PlaceContent::New),
        new_key_gone: false,
    }))
}

/// The key's last use; `None`: it was never used.
pub(in crate::rotation) fn require_last_used<'a>(
    observed: &'a Observed,
    key: &AccessKeyId,
) -> Requires<Option<&'a KeyUse>> {
    observed.last_used.get(key).map(Option::as_ref).ok_or_else(|| Step::Observe(Query::LastUsed(key.clone())))
}

/// The fence: from its moment on, no write of the new pair from before can land.
pub(super) fn require_fence_passed(made: &NewKeyState, now: Timestamp) -> Requires<()> {
    match made.fenced {
        None => Err(Step::Execute(Intent::FenceStore)),
        Some(until) if now < until => {
            Err(Step::Wait { until, why: "a write that was under way may still change the store".to_owned() })
        }
        Some(_) => Ok(()),
    }
}

/// A key that an operator named is deleted once no entry names it; one after the other. The old key and ours have their
/// own paths.
pub(super) fn delete_named(rotation: &Rotation, observed: &Observed) -> Requires<()> {
    let Some(key) = rotation.named.iter().find(|key| rotation.is_strangers(key)) else { return Ok(()) };
    if require_key_list(rotation, observed)?.keys.is_none() {
        require_keys(rotation, observed)?;
    }
    require_unreferenced(observed, key)?;
    Err(Step::Execute(Intent::DeleteNamed { key: key.clone() }))
}
