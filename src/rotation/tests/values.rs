//! Small truths that the floors above rely on, and the guards of `apply`, each by itself.

use super::*;
use crate::rotation::observed::{KeyStatus, PlaceContent, PlacesSeen};

fn created(claim: Provenance, change: impl FnOnce(&mut NewKeyState)) -> Rotation {
    let mut made = NewKeyState::new(key(NEW), claim);
    change(&mut made);
    settled(Phase::CreatedNew { made }, &Policy::default())
}

fn acknowledged() -> Provenance {
    Provenance::Acknowledged { fingerprint: fingerprint() }
}

fn discard() -> Event {
    Event::Intended(Intent::DiscardNew { key: key(NEW), then: AfterDiscard::CreateAgain, why: "because".to_owned() })
}

#[test]
fn a_key_on_evidence_goes_only_inactive_and_after_a_fence() {
    for (deactivated, fenced) in [(false, false), (true, false), (false, true), (true, true)] {
        let rotation = created(Provenance::Inferred, |made| {
            made.deactivated = deactivated.then(|| at(NEW_DEACTIVATED_AT));
            made.fenced = fenced.then(|| at(FENCED_AT));
        });
        assert_eq!(apply(&rotation, &discard()).is_ok(), deactivated && fenced, "{rotation:?}");
    }
}

#[test]
fn an_acknowledged_key_goes_unless_a_write_of_it_may_land_unfenced() {
    for (lost, fenced) in [(false, false), (true, false), (false, true), (true, true)] {
        let rotation = created(acknowledged(), |made| {
            made.write_may_land = lost;
            made.fenced = fenced.then(|| at(FENCED_AT));
        });
        assert_eq!(apply(&rotation, &discard()).is_ok(), fenced || !lost, "{rotation:?}");
    }
}

#[test]
fn a_rotation_ends_by_a_note_only_without_a_key_or_without_a_user() {
    for phase in phases() {
        for ending in [Ending::DeletedOld, Ending::Aborted, Ending::Gone] {
            let may = ending == Ending::Gone || (ending == Ending::Aborted && phase == Phase::Opened);
            let ended = Event::Ended { ending, why: "over".to_owned() };
            assert_eq!(apply(&settled(phase.clone(), &Policy::default()), &ended).is_ok(), may, "{phase:?} {ending:?}");
        }
    }
}

#[test]
fn a_sink_acknowledges_what_it_was_sent() {
    let stored = Phase::StoredNew {
        made: created(acknowledged(), |_| ()).made().expect("made").clone(),
        stored_at: at(STORED_AT),
    };
    let rotation = followed(&settled(stored, &Policy::default()), sink(None, None));
    let write = Intent::WriteSink { sink: 0, key: key(NEW), asked_at: at(LANDS_BY), until: at(LANDS_BY + 130) };
    let sent = in_doubt(&rotation, &write).expect("it may be written");
    for (id, sink, fits) in [(NEW, 0, true), (OLD, 0, false), (NEW, 1, false)] {
        let done = Event::Done(Outcome::SinkAcknowledged { sink, key: key(id), at: at(2_000) });
        assert_eq!(apply(&sent, &done).is_ok(), fits, "{id} by sink {sink}");
    }
}

#[test]
fn the_key_that_a_person_named_is_the_one_that_was_deleted() {
    let settled = settled(Phase::Opened, &Policy::default());
    let named = apply(&settled, &Event::Asked(OperatorRequest::DeleteKey { key: key(STRANGER) })).expect("open");
    let sent = in_doubt(&named, &Intent::DeleteNamed { key: key(STRANGER) }).expect("it may be deleted");
    for (id, fits) in [(STRANGER, true), (NEW, false), (OLD, false)] {
        let done = Event::Done(Outcome::NamedDeleted { key: key(id) });
        assert_eq!(apply(&sent, &done).is_ok(), fits, "{id}");
    }
}

#[test]
fn a_pair_that_is_stored_stands_before_no_fence() {
    let fenced = created(acknowledged(), |made| made.fenced = Some(at(FENCED_AT)));
    let sent = in_doubt(&fenced, &Intent::StoreNew).expect("it may be stored");
    let stored = apply(&sent, &Event::Done(Outcome::Stored { at: at(300) })).expect("stored");
    assert_eq!(stored.made().and_then(|made| made.fenced), None);
}

#[test]
fn a_key_whose_fate_is_known_is_nobodys_late_child() {
    let opened = settled(Phase::Opened, &Policy::default());
    let sent = in_doubt(&opened, &intents()[0]).expect("it may be created");
    let lost = apply(&sent, &Event::NotDone(NotDone::Seen)).expect("not seen");
    let may_be_its_child = |rotation: &Rotation| {
        rotation.lost_creates.iter().any(|attempt| attempt.may_have_made(&key(STRANGER), at(TIMED_OUT_AT)))
    };
    assert!(may_be_its_child(&lost));
    let kept = Event::Asked(OperatorRequest::KeepKey { key: key(STRANGER) });
    assert!(!may_be_its_child(&apply(&lost, &kept).expect("open")));
}

#[test]
fn a_rotation_gave_up_where_it_ended_aborted_and_nobody_asked_for_it() {
    for ending in [Ending::DeletedOld, Ending::Aborted, Ending::Gone] {
        for asked in [false, true] {
            let mut rotation = settled(Phase::Opened, &Policy::default());
            assert!(!rotation.gave_up(), "it is open");
            rotation.abort_asked = asked;
            rotation.state = State::Closed { ending };
            assert_eq!(rotation.gave_up(), ending == Ending::Aborted && !asked, "{ending:?} {asked}");
        }
    }
}

#[test]
fn facts_that_do_not_hold_are_named() {
    let whole = || followed(&created(acknowledged(), |_| ()), sink(None, None));
    assert_eq!(whole().check_facts(), Ok(()));
    let breaks: [(Record, &str); 3] = [
        (|rotation| rotation.opened.sinks[0].place = 1, "every sink follows a place"),
        (|rotation| rotation.creates = 0, "there is no new key without a create"),
        (|rotation| rotation.creates = 6, "no rotation makes more keys than it may"),
    ];
    for (break_it, fact) in breaks {
        let mut rotation = whole();
        break_it(&mut rotation);
        let broken = rotation.check_facts().expect_err("it does not hold").to_string();
        assert!(broken.ends_with(fact), "{broken}");
    }
    let mut most = whole();
    most.creates = 5;
    assert!(most.check_facts().is_ok(), "as many as it may");
}

#[test]
fn nothing_is_waited_for_at_a_sink_that_a_person_left() {
    let mut state = sink(None, Some(NEW));
    let rotation = followed(&settled(Phase::Opened, &Policy::default()), state.clone());
    assert_eq!(rotation.followers().collect::<Vec<_>>(), [(&follower(), &state)]);
    assert_eq!(state.may_land_until(), Some(at(LANDS_BY)));
    state.left = true;
    assert_eq!(state.may_land_until(), None);
}

#[test]
fn a_block_is_the_same_whatever_the_words_of_aws() {
    let fails = |id: &str, answer: &str| BlockReason::StoredPairFails { key: key(id), answer: answer.to_owned() };
    assert!(fails(NEW, "request 1").is_again(&fails(NEW, "request 2")));
    assert!(!fails(NEW, "request 1").is_again(&fails(OLD, "request 1")));
    assert!(!fails(NEW, "no").is_again(&BlockReason::WrongIdentity { key: key(NEW), answer: "no".to_owned() }));
    assert!(BlockReason::TooManyCreates.is_again(&BlockReason::TooManyCreates));
}

#[test]
fn a_blocks_message_names_every_key() {
    let keys = vec![key(NEW), key(STRANGER)];
    let message = BlockReason::UnclaimedKeys { keys, why: "it is unknown".to_owned() }.message(&user());
    assert!(message.contains(&format!("{NEW}, {STRANGER}")), "{message}");
}

fn user() -> UserName {
    UserName::new("till 2").expect("valid")
}

#[test]
fn each_command_in_the_message_of_a_block_names_the_user() {
    let mut commands = 0;
    for reason in reasons() {
        let message = reason.message(&user());
        let code = message.split('`').skip(1).step_by(2);
        for command in code.filter(|code| code.starts_with("rotator ") && *code != "rotator run") {
            assert!(command.contains(" 'till 2'"), "{}: {command}", reason.name());
            commands += 1;
        }
        assert!(!message.contains("` with --") && !message.contains(": --"), "{message}");
    }
    assert!(commands > 4, "{commands}");
}

#[test]
fn a_block_that_asks_for_the_new_pair_names_the_places_that_still_hold_it() {
    let [places, still_new] = ["a/b/c", "d/e/f"].map(|place| vec![place.to_owned()]);
    let (key, clone) = (key(OLD), (places.clone(), still_new.clone()));
    for reason in [
        BlockReason::Reverted { places: places.clone(), still_new: still_new.clone(), new_key_gone: false },
        BlockReason::OldKeyGone { key, places, still_new, new_key_gone: false },
        BlockReason::ChangedElsewhere { places: clone.0, still_new: clone.1, new_key_gone: false },
    ] {
        let message = reason.message(&user());
        assert!(message.contains("which is still in d/e/f"), "{message}");
    }
}

#[test]
fn places_that_show_something_else_are_named() {
    let places = vec![("a".to_owned(), PlaceContent::Old), ("b".to_owned(), PlaceContent::New)];
    let seen = PlacesSeen { places };
    assert_eq!(seen.which_not(PlaceContent::Old), ["b"]);
}

#[test]
fn names_are_what_the_manual_says() {
    let endings = [Ending::DeletedOld, Ending::Aborted, Ending::Gone].map(Ending::name);
    assert_eq!(endings, ["deleted-old", "aborted", "gone"]);
    assert_eq!([KeyStatus::Active, KeyStatus::Inactive].map(KeyStatus::name), ["active", "inactive"]);
    assert_eq!(format!("{:?}", Timestamp::from_unix_seconds(0)), "1970-01-01T00:00:00Z");
    for (text, fits) in [("exec actions", true), ("", false), ("two\nlines", false)] {
        assert_eq!(StoreIdentity::new(text).is_ok(), fits, "{text:?}");
    }
}

#[test]
fn a_span_reads_as_people_write_it() {
    use crate::types::time::words;
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let rows = [
        (hours(80 * 24), "80d"),
        (hours(51), "2d 3h"),
        (hours(90 * 24) - Duration::from_secs(1), "89d 23h"),
        (Duration::from_secs(5400), "1h 30m"),
        (Duration::from_secs(3605), "1h"),
        (Duration::from_secs(45), "45s"),
        (Duration::from_millis(250), "250ms"),
    ];
    for (span, text) in rows {
        assert_eq!(words(span), text);
    }
}
