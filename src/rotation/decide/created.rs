//! `created-new`, the key acknowledged: prove it and store it, roll forward what a crash cut in half, or discard it.

use super::preconditions::{
    added_to_stored, holds_new, require_fence_passed, require_keys, require_readable_places, require_unreferenced,
};
use super::step::{Decision, Query, Requires, Step, block};
use crate::rotation::block_reason::BlockReason;
use crate::rotation::denied::{Denied, MOST_DENIED_WRITES};
use crate::rotation::event::Event;
use crate::rotation::intent::{AfterDiscard, Intent};
use crate::rotation::observed::{InMemoryFacts, KeyStatus, Observed, PlaceContent, PlacesSeen, Proof};
use crate::rotation::policy::MOST_REFUSED_WRITES;
use crate::rotation::record::Rotation;
use crate::rotation::state::NewKeyState;

pub(super) fn next(decision: Decision<'_>, made: &NewKeyState) -> Requires<Step> {
    let Decision { rotation, memory, observed, now } = decision;
    let places = require_readable_places(observed)?;
    let unwritten = !holds_new(places);
    let refused = rotation.refused_writes >= MOST_REFUSED_WRITES || writes_are_denied(rotation).is_some();
    added_to_stored(rotation, places, refused)?;
    if let Some(denied) = writes_are_denied(rotation).filter(|_| unwritten) {
        return Ok(Step::Record(Event::Withheld(denied)));
    }
    let give_up = why_give_up(rotation, made, memory, places);
    if unwritten {
        if let Some(why) = give_up {
            return discard(decision, made, AfterDiscard::Abort, why);
        }
        if let Some(denied) = &rotation.withheld {
            let why = format!("a new key is of no use: {}", denied.answer);
            return discard(decision, made, AfterDiscard::CreateAgain, why);
        }
        if !memory.new_secret {
            let why = "its secret was lost before any place held it".to_owned();
            return discard(decision, made, AfterDiscard::CreateAgain, why);
        }
    } else {
        // The old pair is not put back if its key was deactivated or deleted meanwhile.
        // Where the new secret is lost, there is no way forward: the old id is put back beside the old secret.
        let lost = !memory.new_secret && !places.any(PlaceContent::New) && !places.any(PlaceContent::Torn);
        let refused = give_up.is_some() || writes_are_denied(rotation).is_some();
        let can_go_back = lost || (refused && memory.old_values);
        if can_go_back && old_key_works(rotation, observed)? {
            return Ok(Step::Execute(Intent::RestoreOld));
        }
        if places.any(PlaceContent::Foreign) || lost {
            let which = [places.which(PlaceContent::Foreign), places.which(PlaceContent::IdOnly)].concat();
            return Ok(block(BlockReason::ChangedElsewhere {
                places: which,
                still_new: places.which(PlaceContent::New),
                new_key_gone: false,
            }));
        }
        if made.discard_may_land {
            return Ok(block(BlockReason::NewKeyDiscarded { key: made.key.clone() }));
        }
        if !memory.new_secret {
            let why = format!("{} holds the new secret, but it could not be read back", new(places).join(", "));
            return Ok(Step::Retry { why });
        }
        // Without the old values the only way out of a half-written store is forward, also for an abort.
    }
    if made.old_may_land {
        require_fence_passed(made, now)?;
    }
    match observed.new_pair.as_ref().ok_or(Step::Observe(Query::NewPair))? {
        Proof::Passed => Ok(Step::Execute(Intent::StoreNew)),
        Proof::TimedOut(answer) if unwritten => {
            let why = format!("the new key {} did not authenticate in time: {answer}", made.key);
            discard(decision, made, AfterDiscard::Abort, why)
        }
        // The pair worked when it was stored, so its key was deleted or deactivated since. The old pair works and can
        // be written back.
        Proof::TimedOut(_) if memory.old_values && old_key_works(rotation, observed)? => {
            Ok(Step::Execute(Intent::RestoreOld))
        }
        Proof::TimedOut(answer) => {
            Ok(block(BlockReason::StoredPairFails { key: made.key.clone(), answer: answer.clone() }))
        }
        Proof::Denied(answer) if unwritten => {
            Ok(Step::Record(Event::Withheld(Denied::of_proof(rotation, &made.key, answer))))
        }
        Proof::Denied(_) if memory.old_values && old_key_works(rotation, observed)? => {
            Ok(Step::Execute(Intent::RestoreOld))
        }
        Proof::Denied(answer) => Ok(block(rotation.blocked_for(Denied::of_proof(rotation, &made.key, answer)))),
        Proof::SomebodyElse(_) if rotation.abort_asked => {
            Ok(block(BlockReason::CannotAbort { places: new(places), new_key_gone: false }))
        }
        Proof::SomebodyElse(answer) => {
            Ok(block(BlockReason::WrongIdentity { key: made.key.clone(), answer: answer.clone() }))
        }
    }
}

/// The places that hold the new pair, or half of it.
fn new(places: &PlacesSeen) -> Vec<String> {
    [places.which(PlaceContent::New), places.which(PlaceContent::Torn), places.which(PlaceContent::IdOnly)].concat()
}

/// Says why the old pair is kept, for the operator.
fn why_give_up(rotation: &Rotation, made: &NewKeyState, memory: InMemoryFacts, places: &PlacesSeen) -> Option<String> {
    // Without its secret in hand it cannot be stored anyway.
    if made.discard_may_land && memory.new_secret {
        return Some(format!("the deletion of {} was asked for and may be executed yet", made.key));
    }
    if rotation.abort_asked {
        return Some("an operator asked for it; the old key is as it was".to_owned());
    }
    if places.any(PlaceContent::Foreign) {
        let which = places.which(PlaceContent::Foreign).join(", ");
        return Some(format!("the old pair is not in {which} any more"));
    }
    (rotation.refused_writes >= MOST_REFUSED_WRITES).then(|| {
        let last = rotation.store_said.as_deref().or(rotation.last_error.as_deref()).unwrap_or("no reason given");
        format!("the store did not take the new pair: {last}")
    })
}

/// The right or the lock to write is missing, and what was made for it is not given up yet.
fn writes_are_denied(rotation: &Rotation) -> Option<Denied> {
    let counts = rotation.denied_writes >= MOST_DENIED_WRITES && rotation.withheld.is_none() && !rotation.abort_asked;
    counts.then(|| {
        let denied = Denied::of_write(rotation, rotation.last_error.as_deref().unwrap_or("no reason given"));
        if rotation.locked_out { denied.by_a_lock() } else { denied }
    })
}

fn old_key_works(rotation: &Rotation, observed: &Observed) -> Requires<bool> {
    let old = require_keys(rotation, observed)?.find(&rotation.opened.old_key);
    Ok(old.is_some_and(|old| old.status == KeyStatus::Active))
}

/// The way to `DiscardNew`: the fence, a look at the places after it, a scan, then the discard.
fn discard(decision: Decision<'_>, made: &NewKeyState, then: AfterDiscard, why: String) -> Requires<Step> {
    let Decision { rotation, memory, observed, now } = decision;
    // A process that holds the secret, and heard the end of every write, has nothing to fence off.
    if made.write_may_land || !memory.new_secret {
        require_fence_passed(made, now)?;
    }
    let keys = require_keys(rotation, observed)?;
    require_unreferenced(observed, &made.key)?;
    if keys.find(&made.key).is_none() && rotation.may_not_delete(&made.key) && !made.write_may_land {
        return Ok(Step::Record(Event::Disowned { key: made.key.clone() }));
    }
    Ok(Step::Execute(Intent::DiscardNew { key: made.key.clone(), then, why }))
}
