//! What is looked at in each run while a rotation waits for a time that the operator has set.

use super::super::decide::{Step, next_step};
use super::super::observed::{KeyOwner, KeySeen, KeyStatus, KeysSeen, Observed, PlaceContent, PlacesSeen};
use super::super::record::FirstSighting;
use super::*;

fn waiting(phase: Phase, shows: PlaceContent) -> Step {
    let rotation = settled(phase, &Policy { overlap: LONG, quarantine: LONG, ..Policy::default() });
    let place = |name: &str, shows| (name.to_owned(), shows);
    let places = PlacesSeen { places: vec![place("one", PlaceContent::New), place("other", shows)] };
    let known = Observed { places: Some(places), ..Observed::default() };
    next_step(&rotation, empty_hand(), &known, at(OLD_DEACTIVATED_AT + 60))
}

/// A program that reads such a place may fail now.
#[test]
fn a_value_of_another_is_reported_at_once_and_not_when_the_wait_is_over() {
    let made = || NewKeyState::new(key(NEW), Provenance::Acknowledged { fingerprint: fingerprint() });
    let overlap = || Phase::StoredNew { made: made(), stored_at: at(STORED_AT) };
    let quarantine =
        || Phase::DeactivatedOld { made: made(), stored_at: at(STORED_AT), deactivated_at: at(OLD_DEACTIVATED_AT) };
    for phase in [overlap(), quarantine()] {
        let waits = waiting(phase.clone(), PlaceContent::New);
        assert!(matches!(waits, Step::Wait { .. }), "{phase:?}: {waits:?}");
        for shows in [PlaceContent::Foreign, PlaceContent::IdOnly] {
            let [places, still_new] = ["other", "one"].map(|place| vec![place.to_owned()]);
            let block = Event::Blocked(BlockReason::ChangedElsewhere { places, still_new, new_key_gone: false });
            assert_eq!(waiting(phase.clone(), shows), Step::Record(block), "{phase:?} {shows:?}");
        }
    }
}

/// An operator deleted the new key by hand, and asked for an abort before the old pair was back.
#[test]
fn an_abort_says_that_the_new_key_is_gone() {
    let made = NewKeyState::new(key(NEW), Provenance::Acknowledged { fingerprint: fingerprint() });
    let mut rotation = settled(Phase::StoredNew { made, stored_at: at(STORED_AT) }, &Policy::default());
    rotation.abort_asked = true;
    let listed = |id: &str| KeySeen { id: key(id), status: KeyStatus::Active, created: at(0) };
    for (keys, new_key_gone) in [(vec![listed(OLD)], true), (vec![listed(OLD), listed(NEW)], false)] {
        let seen = "new key not listed".to_owned();
        // It was not listed at the first look either.
        rotation.first_sighting = new_key_gone.then(|| FirstSighting { at: at(-100_000), seen });
        let known = Observed {
            keys: Some(KeysSeen { at: at(300), keys: Some(keys) }),
            places: Some(PlacesSeen { places: vec![("one".to_owned(), PlaceContent::New)] }),
            ..Observed::default()
        };
        let reason = BlockReason::CannotAbort { places: vec!["one".to_owned()], new_key_gone };
        let message = reason.message(&rotation.opened.user);
        assert_eq!(next_step(&rotation, empty_hand(), &known, at(300)), Step::Record(Event::Blocked(reason)));
        assert_eq!(message.contains("does not list the new key any more"), new_key_gone, "{message}");
        assert_eq!(message.contains("--undo"), !new_key_gone, "there is nothing to keep: {message}");
    }
}

/// The way that a message offers has to be there: the new pair, or the new key to discard, is not.
#[test]
fn a_block_about_a_place_says_that_the_new_key_is_gone() {
    let made = NewKeyState::new(key(NEW), Provenance::Acknowledged { fingerprint: fingerprint() });
    let mut rotation = settled(Phase::StoredNew { made, stored_at: at(STORED_AT) }, &Policy::default());
    let listed = |id: &str| KeySeen { id: key(id), status: KeyStatus::Active, created: at(0) };
    let mut names = Vec::new();
    for (shows, keys) in [
        (PlaceContent::Old, vec![listed(OLD)]),
        (PlaceContent::Foreign, vec![listed(OLD)]),
        (PlaceContent::Old, vec![listed(STRANGER)]),
    ] {
        let both = !keys.iter().any(|seen| seen.id == key(OLD));
        let seen = if both { "new key not listed, old key not listed" } else { "new key not listed" };
        rotation.first_sighting = Some(FirstSighting { at: at(-100_000), seen: seen.to_owned() });
        let known = Observed {
            keys: Some(KeysSeen { at: at(300), keys: Some(keys) }),
            places: Some(PlacesSeen { places: vec![("one".to_owned(), shows)] }),
            owners: [OLD, NEW].map(|id| (key(id), KeyOwner::NoSuchKey)).into(),
            ..Observed::default()
        };
        let step = next_step(&rotation, empty_hand(), &known, at(300));
        let Step::Record(Event::Blocked(reason)) = step else { panic!("{shows:?}: {step:?}") };
        let message = reason.message(&rotation.opened.user);
        assert!(message.contains("IAM does not list the new key"), "{message}");
        assert!(!message.contains("put the new pair") && !message.contains("or the new one,"), "{message}");
        assert!(reason.command(rotation.id).starts_with("rotator abort "), "{reason:?}");
        names.push(reason.name());
    }
    assert_eq!(names, ["reverted", "changed-elsewhere", "old-key-gone"]);
}
