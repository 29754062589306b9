//! What to do next: (rotation, what we hold, what is known, now) -> step. Pure and total.
//!
//! No destructive step is proposed without the ground that DESIGN section 1 asks for, looked at since the last event.

use super::effect::{AfterDiscard, Intent};
use super::event::{Ending, Event};
use super::known::{Hand, KeyStatus, KeysSeen, Known, PlaceShows, PlacesSeen, Proof, ScanSeen};
use super::name::AccessKeyId;
use super::policy::{MOST_CREATES, MOST_REFUSED_WRITES, SpareKey, StillInUse, Timestamp};
use super::reason::Reason;
use super::reconcile::reconcile;
use super::standing::{Claim, Made, Phase, Rotation, Standing};

/// Something to look at before the next decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// `ListAccessKeys` for the user.
    Keys,
    /// Read every place; a new secret that is found there is taken in hand.
    Places,
    /// Read every entry of every store, beginning now, and see which names this key.
    Scan(AccessKeyId),
    /// Try the new pair in hand at AWS, as often as the policy asks.
    NewPair,
    /// Read the pair back from every place and try it at AWS once.
    StoredPair,
    /// When this key was last used.
    LastUsed(AccessKeyId),
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Learn something, then ask again.
    Look(Look),
    /// Journal the intent, have the effect, journal the outcome.
    Act(Intent),
    /// Journal a fact that has no effect.
    Note(Event),
    /// Nothing before this moment of AWS's clock.
    Wait {
        /// When to ask again.
        until: Timestamp,
        /// For people.
        why: String,
    },
    /// Something cannot be seen now; try again with backoff, then leave it in flight.
    Later {
        /// For people.
        why: String,
    },
    /// Closed, or blocked for the same reason as before.
    Rest,
}

pub(super) fn block(reason: Reason) -> Step {
    Step::Note(Event::Blocked(reason))
}

fn end(ending: Ending, why: impl Into<String>) -> Step {
    Step::Note(Event::Ended { ending, why: why.into() })
}

/// The next step of a rotation.
#[must_use]
pub fn plan(rotation: &Rotation, hand: Hand, known: &Known, now: Timestamp) -> Step {
    match &rotation.standing {
        Standing::Closed { .. } => Step::Rest,
        Standing::Settled { phase } => settled(rotation, phase, hand, known, now),
        Standing::InDoubt { phase, intent } => reconcile(rotation, phase, intent, hand, known, now),
        Standing::Blocked { phase, intent, reason } => {
            // Afresh, as if it were not blocked: one whose cause is gone goes on by itself.
            let step = match intent {
                None => settled(rotation, phase, hand, known, now),
                Some(intent) => reconcile(rotation, phase, intent, hand, known, now),
            };
            match step {
                Step::Look(_) | Step::Later { .. } | Step::Rest => step,
                Step::Note(Event::Blocked(again)) if again == *reason => Step::Rest,
                // A first look is one step of the same question.
                Step::Note(Event::Blocked(_) | Event::LookedOnce { .. } | Event::LateKeySeen { .. }) => step,
                Step::Act(_) | Step::Wait { .. } | Step::Note(_) => Step::Note(Event::Unblocked),
            }
        }
    }
}

fn settled(rotation: &Rotation, phase: &Phase, hand: Hand, known: &Known, now: Timestamp) -> Step {
    match phase {
        Phase::Opened => opened(rotation, hand, known),
        Phase::CreatedNew { made } => match made.claim {
            Claim::Evidence => reclaim(rotation, made, known, now),
            Claim::Acknowledged { .. } => created_new(rotation, made, hand, known, now),
        },
        Phase::StoredNew { made, stored_at } => stored_new(rotation, made, *stored_at, known, now),
        Phase::DeactivatedOld { made, deactivated_at, .. } => {
            deactivated_old(rotation, made, *deactivated_at, known, now)
        }
    }
}

/// The user's keys, or the step that leads to them. With the user, all its keys are gone.
fn keys_of<'a>(rotation: &Rotation, known: &'a Known) -> Result<&'a KeysSeen, Step> {
    let keys = known.keys.as_ref().ok_or(Step::Look(Look::Keys))?;
    if keys.keys.is_some() {
        return Ok(keys);
    }
    Err(twice(rotation, keys.at, "no such user", |_| {
        end(Ending::Gone, format!("IAM has no user {}", rotation.opened.user))
    }))
}

/// "Absent" is concluded only from two equal looks `settle` apart, the first of them journaled.
pub(super) fn twice(rotation: &Rotation, at: Timestamp, seen: &str, conclude: impl FnOnce(Timestamp) -> Step) -> Step {
    match &rotation.first_look {
        Some(first) if first.seen == seen => {
            let due = first.at.plus(rotation.opened.policy.settle);
            if at < due {
                let why = "IAM is eventually consistent: looking a second time before concluding".to_owned();
                return Step::Wait { until: due, why };
            }
            conclude(first.at)
        }
        Some(_) | None => Step::Note(Event::LookedOnce { at, seen: seen.to_owned() }),
    }
}

/// The places, or the step that leads to them. A store that cannot be read means: touch nothing.
pub(super) fn places_of(known: &Known) -> Result<&PlacesSeen, Step> {
    let places = known.places.as_ref().ok_or(Step::Look(Look::Places))?;
    if places.any(PlaceShows::Unreadable) {
        let why = format!("{} cannot be read now", places.which(PlaceShows::Unreadable).join(", "));
        return Err(Step::Later { why });
    }
    Ok(places)
}

/// A fresh scan in which no entry names the key, or the step that leads to it or blocks.
pub(super) fn unnamed(known: &Known, key: &AccessKeyId) -> Result<(), Step> {
    let scan = scan_for(known, key)?;
    if !scan.unreadable.is_empty() {
        return Err(block(Reason::Unreadable { entries: scan.unreadable.clone() }));
    }
    let entries = scan.naming(key);
    if entries.is_empty() {
        return Ok(());
    }
    Err(block(Reason::StillNamed { key: key.clone(), entries: entries.to_vec() }))
}

pub(super) fn scan_for<'a>(known: &'a Known, key: &AccessKeyId) -> Result<&'a ScanSeen, Step> {
    known.scan.as_ref().filter(|scan| scan.named.contains_key(key)).ok_or_else(|| Step::Look(Look::Scan(key.clone())))
}

fn either(step: Result<Step, Step>) -> Step {
    step.unwrap_or_else(|step| step)
}

fn opened(rotation: &Rotation, hand: Hand, known: &Known) -> Step {
    either(try_opened(rotation, hand, known))
}

fn try_opened(rotation: &Rotation, hand: Hand, known: &Known) -> Result<Step, Step> {
    if rotation.abort_asked {
        return Ok(end(Ending::Aborted, "a person asked for it; nothing had been changed"));
    }
    if let Some(step) = delete_named(rotation, known)? {
        return Ok(step);
    }
    if rotation.creates >= MOST_CREATES {
        return Ok(block(Reason::TooManyCreates));
    }
    let keys = keys_of(rotation, known)?;
    let old = &rotation.opened.old_key;
    let Some(old_seen) = keys.find(old) else {
        return Ok(twice(rotation, keys.at, "old key not listed", |_| {
            end(Ending::Gone, format!("IAM does not list {old} for {} any more", rotation.opened.user))
        }));
    };
    if old_seen.status != KeyStatus::Active {
        let why = format!(
            "the old key {old} is {} now: a new one would enable what someone switched off",
            old_seen.status.name()
        );
        return Ok(end(Ending::Aborted, why));
    }
    if let Some(step) = make_room(rotation, keys, known)? {
        return Ok(step);
    }
    let places = places_of(known)?;
    if !places.all(PlaceShows::Old) {
        let which =
            [places.which(PlaceShows::Foreign), places.which(PlaceShows::New), places.which(PlaceShows::Torn)].concat();
        let why = format!("{} does not hold the old pair any more; nothing had been changed", which.join(", "));
        return Ok(end(Ending::Aborted, why));
    }
    Ok(Step::Act(Intent::CreateNew {
        listed: keys.ids(),
        asked_at: keys.at,
        give_up_at: keys.at.plus(hand.call_timeout),
    }))
}

/// A user has room for two keys. What to do about one that is in the way; `None`: there is room.
fn make_room(rotation: &Rotation, keys: &KeysSeen, known: &Known) -> Result<Option<Step>, Step> {
    let others = keys.keys.iter().flatten().filter(|key| key.id != rotation.opened.old_key);
    let Some(other) = others.min_by_key(|key| (rotation.kept.contains(&key.id), key.id.clone())) else {
        return Ok(None);
    };
    let kept = rotation.kept.contains(&other.id);
    let late = rotation.watched.iter().any(|attempt| attempt.may_have_made(&other.id, other.created));
    if late && !kept {
        if !rotation.late_keys.contains(&other.id) {
            return Ok(Some(Step::Note(Event::LateKeySeen { key: other.id.clone() })));
        }
        let why = "it turned up late, and may be the child of a create whose reply was lost".to_owned();
        return Ok(Some(block(Reason::UnclaimedKeys { keys: vec![other.id.clone()], why })));
    }
    let inactive = other.status == KeyStatus::Inactive;
    if rotation.opened.policy.spare_key == SpareKey::DeleteInactive && inactive && !kept {
        unnamed(known, &other.id)?;
        return Ok(Some(Step::Act(Intent::DeleteNamed { key: other.id.clone() })));
    }
    let described = format!("{}, created {}", other.status.name(), other.created);
    Ok(Some(block(Reason::SpareKey { key: other.id.clone(), described })))
}

/// A key that a person named is deleted once no entry names it. The old key has its own path.
fn delete_named(rotation: &Rotation, known: &Known) -> Result<Option<Step>, Step> {
    let Some(key) = rotation.named.as_ref().filter(|key| **key != rotation.opened.old_key) else { return Ok(None) };
    unnamed(known, key)?;
    Ok(Some(Step::Act(Intent::DeleteNamed { key: key.clone() })))
}

fn created_new(rotation: &Rotation, made: &Made, hand: Hand, known: &Known, now: Timestamp) -> Step {
    either(try_created_new(rotation, made, hand, known, now))
}

fn try_created_new(rotation: &Rotation, made: &Made, hand: Hand, known: &Known, now: Timestamp) -> Result<Step, Step> {
    let places = places_of(known)?;
    let (foreign, unwritten) = (places.any(PlaceShows::Foreign), !holds_new(places));
    if unwritten {
        let refused_for_good = rotation.refused_writes >= MOST_REFUSED_WRITES;
        if rotation.abort_asked || foreign || refused_for_good {
            return discard(rotation, made, hand, AfterDiscard::Abort, known, now);
        }
        if !hand.new_secret {
            return discard(rotation, made, hand, AfterDiscard::CreateAgain, known, now);
        }
    } else if foreign {
        if hand.old_values && hand.new_secret {
            return Ok(Step::Act(Intent::RestoreOld));
        }
        return Ok(block(Reason::SomebodyWrote { places: places.which(PlaceShows::Foreign) }));
    } else if !hand.new_secret {
        let which = [places.which(PlaceShows::New), places.which(PlaceShows::Torn)].concat();
        return Ok(Step::Later {
            why: format!("{} names the new key, but its secret could not be read back", which.join(", ")),
        });
    }
    match known.new_pair.as_ref().ok_or(Step::Look(Look::NewPair))? {
        Proof::Passed => Ok(Step::Act(Intent::StoreNew)),
        Proof::TimedOut(_) if unwritten => discard(rotation, made, hand, AfterDiscard::Abort, known, now),
        Proof::TimedOut(answer) => Ok(block(Reason::StoredPairFails { key: made.key.clone(), answer: answer.clone() })),
        Proof::SomebodyElse(answer) => {
            Ok(block(Reason::WrongIdentity { key: made.key.clone(), answer: answer.clone() }))
        }
    }
}

/// Whether any place holds the new pair, or half of it.
pub(super) fn holds_new(places: &PlacesSeen) -> bool {
    places.any(PlaceShows::New) || places.any(PlaceShows::Torn)
}

/// The way to `DiscardNew`: the fence, a look at the places after it, a scan, then the discard.
fn discard(
    rotation: &Rotation,
    made: &Made,
    hand: Hand,
    then: AfterDiscard,
    known: &Known,
    now: Timestamp,
) -> Result<Step, Step> {
    // A process that holds the secret and never let a write go has nothing to fence off.
    if made.store_intended || !hand.new_secret {
        match made.fenced {
            None => return Ok(Step::Act(Intent::FenceStore)),
            Some(until) if now < until => {
                let why = "a write that was under way may still land in the store".to_owned();
                return Ok(Step::Wait { until, why });
            }
            Some(_) => {}
        }
    }
    keys_of(rotation, known)?;
    unnamed(known, &made.key)?;
    Ok(Step::Act(Intent::DiscardNew { key: made.key.clone(), then }))
}

/// A key held on mere evidence: deactivate it, look again after `settle`, fence, look once more, discard it.
fn reclaim(rotation: &Rotation, made: &Made, known: &Known, now: Timestamp) -> Step {
    either(try_reclaim(rotation, made, known, now))
}

fn try_reclaim(rotation: &Rotation, made: &Made, known: &Known, now: Timestamp) -> Result<Step, Step> {
    let Some(deactivated) = made.deactivated else {
        return Ok(Step::Act(Intent::DeactivateNew { key: made.key.clone() }));
    };
    let due = deactivated.plus(rotation.opened.policy.settle);
    if now < due {
        let why = format!("{} is inactive and is looked at once more before it is deleted", made.key);
        return Ok(Step::Wait { until: due, why });
    }
    match made.fenced {
        None => return Ok(Step::Act(Intent::FenceStore)),
        Some(until) if now < until => {
            let why = "a write that was under way may still land in the store".to_owned();
            return Ok(Step::Wait { until, why });
        }
        Some(_) => {}
    }
    let keys = keys_of(rotation, known)?;
    if keys.at < due {
        return Ok(Step::Wait { until: due, why: "AWS's clock is not there yet".to_owned() });
    }
    if keys.find(&made.key).is_some_and(|key| key.status == KeyStatus::Active) {
        let why = "somebody made it active again".to_owned();
        return Ok(block(Reason::UnclaimedKeys { keys: vec![made.key.clone()], why }));
    }
    let used = known.last_used.get(&made.key).ok_or_else(|| Step::Look(Look::LastUsed(made.key.clone())))?;
    let scan = scan_for(known, &made.key)?;
    if used.is_some() || !scan.naming(&made.key).is_empty() {
        return Ok(Step::Act(Intent::ReactivateNew { key: made.key.clone() }));
    }
    unnamed(known, &made.key)?;
    let then = if rotation.abort_asked { AfterDiscard::Abort } else { AfterDiscard::CreateAgain };
    Ok(Step::Act(Intent::DiscardNew { key: made.key.clone(), then }))
}

fn stored_new(rotation: &Rotation, made: &Made, stored_at: Timestamp, known: &Known, now: Timestamp) -> Step {
    either(try_stored_new(rotation, made, stored_at, known, now))
}

fn try_stored_new(
    rotation: &Rotation,
    made: &Made,
    stored_at: Timestamp,
    known: &Known,
    now: Timestamp,
) -> Result<Step, Step> {
    let policy = &rotation.opened.policy;
    if let Some(step) = delete_named(rotation, known)? {
        return Ok(step);
    }
    let at_a_persons_word = rotation.named.as_ref() == Some(&rotation.opened.old_key);
    let due = stored_at.plus(policy.overlap);
    if now < due && !rotation.abort_asked && !at_a_persons_word {
        return Ok(Step::Wait { until: due, why: "both keys stay active for the overlap".to_owned() });
    }
    let keys = keys_of(rotation, known)?;
    if keys.at < due && !rotation.abort_asked && !at_a_persons_word {
        return Ok(Step::Wait { until: due, why: "both keys stay active for the overlap".to_owned() });
    }
    let places = places_of(known)?;
    if rotation.abort_asked {
        return abort_stored(rotation, made, keys, places, known, now);
    }
    every_place_is_new(rotation, made, keys, places)?;
    stored_pair_answers(made, known)?;
    if rotation.reactivate_asked && !at_a_persons_word {
        return Ok(block(Reason::OldKeyReactivated { key: rotation.opened.old_key.clone() }));
    }
    if policy.still_in_use == StillInUse::Wait && !at_a_persons_word {
        old_key_is_quiet(rotation, keys.at, known)?;
    }
    unnamed(known, &rotation.opened.old_key)?;
    if policy.quarantine.is_zero() || at_a_persons_word {
        return Ok(Step::Act(Intent::DeleteOld));
    }
    Ok(Step::Act(Intent::DeactivateOld))
}

/// P3: an old key goes only while every place holds the new pair, and IAM has the new key active.
fn every_place_is_new(rotation: &Rotation, made: &Made, keys: &KeysSeen, places: &PlacesSeen) -> Result<(), Step> {
    if places.any(PlaceShows::Foreign) || places.any(PlaceShows::Torn) {
        let which = [places.which(PlaceShows::Foreign), places.which(PlaceShows::Torn)].concat();
        return Err(block(Reason::SomebodyWrote { places: which }));
    }
    if places.any(PlaceShows::Old) {
        return Err(block(Reason::Reverted { places: places.which(PlaceShows::Old) }));
    }
    match keys.find(&made.key).map(|key| key.status) {
        Some(KeyStatus::Active) => Ok(()),
        // The listing may lag behind the create.
        None => Err(twice(rotation, keys.at, "new key not listed", |_| {
            block(Reason::NewKeyNotActive { key: made.key.clone(), seen: "not listed".to_owned() })
        })),
        Some(status @ (KeyStatus::Inactive | KeyStatus::Expired | KeyStatus::Other)) => {
            Err(block(Reason::NewKeyNotActive { key: made.key.clone(), seen: status.name().to_owned() }))
        }
    }
}

fn stored_pair_answers(made: &Made, known: &Known) -> Result<(), Step> {
    match known.stored_pair.as_ref().ok_or(Step::Look(Look::StoredPair))? {
        Proof::Passed => Ok(()),
        Proof::TimedOut(answer) => {
            Err(block(Reason::StoredPairFails { key: made.key.clone(), answer: answer.clone() }))
        }
        Proof::SomebodyElse(answer) => {
            Err(block(Reason::WrongIdentity { key: made.key.clone(), answer: answer.clone() }))
        }
    }
}

/// Quiet: not used for as long as the overlap. Last-use lags, so this errs towards waiting longer.
fn old_key_is_quiet(rotation: &Rotation, at: Timestamp, known: &Known) -> Result<(), Step> {
    let old = &rotation.opened.old_key;
    match known.last_used.get(old).ok_or_else(|| Step::Look(Look::LastUsed(old.clone())))? {
        Some(used) if *used > at.minus(rotation.overlap()) => Err(Step::Wait {
            until: used.plus(rotation.overlap()).max(at),
            why: format!("the old key {old} was still used at {used}"),
        }),
        Some(_) | None => Ok(()),
    }
}

/// A person gave up after `stored-new`: only once the old pair stands everywhere again.
fn abort_stored(
    rotation: &Rotation,
    made: &Made,
    keys: &KeysSeen,
    places: &PlacesSeen,
    known: &Known,
    now: Timestamp,
) -> Result<Step, Step> {
    if !places.all(PlaceShows::Old) {
        let places = [places.which(PlaceShows::New), places.which(PlaceShows::Torn), places.which(PlaceShows::Foreign)];
        return Ok(block(Reason::CannotAbort { places: places.concat() }));
    }
    if !keys.find(&rotation.opened.old_key).is_some_and(|key| key.status == KeyStatus::Active) {
        return Ok(block(Reason::CannotAbort {
            places: vec![format!("IAM, where {} is not active,", rotation.opened.old_key)],
        }));
    }
    match made.fenced {
        None => Ok(Step::Act(Intent::FenceStore)),
        Some(until) if now < until => {
            Ok(Step::Wait { until, why: "a write that was under way may still land in the store".to_owned() })
        }
        Some(_) => {
            unnamed(known, &made.key)?;
            Ok(Step::Act(Intent::DiscardNew { key: made.key.clone(), then: AfterDiscard::Abort }))
        }
    }
}

fn deactivated_old(rotation: &Rotation, made: &Made, deactivated_at: Timestamp, known: &Known, now: Timestamp) -> Step {
    either(try_deactivated_old(rotation, made, deactivated_at, known, now))
}

fn try_deactivated_old(
    rotation: &Rotation,
    made: &Made,
    deactivated_at: Timestamp,
    known: &Known,
    now: Timestamp,
) -> Result<Step, Step> {
    let old = &rotation.opened.old_key;
    // Looked at in every run, not at the end only: a service that reads the old pair is cut off now.
    let places = places_of(known)?;
    if places.any(PlaceShows::Old) || rotation.reactivate_asked || rotation.abort_asked {
        return Ok(Step::Act(Intent::ReactivateOld));
    }
    if let Some(step) = delete_named(rotation, known)? {
        return Ok(step);
    }
    let at_a_persons_word = rotation.named.as_ref() == Some(old);
    let due = deactivated_at.plus(rotation.opened.policy.quarantine);
    if now < due && !at_a_persons_word {
        return Ok(Step::Wait { until: due, why: "the old key stays inactive for the quarantine".to_owned() });
    }
    let keys = keys_of(rotation, known)?;
    if keys.at < due && !at_a_persons_word {
        return Ok(Step::Wait { until: due, why: "the old key stays inactive for the quarantine".to_owned() });
    }
    every_place_is_new(rotation, made, keys, places)?;
    let reactivated = keys.find(old).is_some_and(|key| key.status == KeyStatus::Active);
    if reactivated && !at_a_persons_word {
        return Ok(block(Reason::OldKeyReactivated { key: old.clone() }));
    }
    stored_pair_answers(made, known)?;
    unnamed(known, old)?;
    Ok(Step::Act(Intent::DeleteOld))
}
