//! `apply`, for every state and every event: total, and exactly the transitions that the table allows.

use std::collections::BTreeSet;

use super::*;
use crate::rotation::apply::IllegalEvent;

/// All states, also those that no history leads to: in doubt with every intent, blocked for every reason.
fn states() -> Vec<Rotation> {
    let mut rotations = Vec::new();
    for phase in phases() {
        let settled = settled(phase.clone(), &Policy::default());
        for intent in intents() {
            let state = State::InDoubt { phase: phase.clone(), intent: intent.clone() };
            rotations.push(Rotation { state, ..settled.clone() });
            // `apply` never reads the reason.
            for reason in reasons().into_iter().take(1) {
                let state = State::Blocked { phase: phase.clone(), intent: Some(intent.clone()), reason };
                rotations.push(Rotation { state, ..settled.clone() });
            }
        }
        for reason in reasons() {
            let state = State::Blocked { phase: phase.clone(), intent: None, reason };
            rotations.push(Rotation { state, ..settled.clone() });
        }
        rotations.push(settled);
    }
    for ending in [Ending::DeletedOld, Ending::Aborted, Ending::Gone] {
        rotations.push(Rotation { state: State::Closed { ending }, ..settled(Phase::Opened, &Policy::default()) });
    }
    rotations
}

/// Whether an intent in doubt may have been intended there.
fn is_reachable(rotation: &Rotation) -> bool {
    let (Some(phase), Some(intent)) = (rotation.state.phase(), rotation.state.intent()) else { return true };
    rotation.creates > 0 && in_doubt(&settled(phase.clone(), &Policy::default()), intent).is_some()
}

/// What the table allows, in words of its own: (state, event) -> whether the event may follow at all.
fn may_follow(rotation: &Rotation, event: &Event) -> bool {
    let open = !rotation.is_closed();
    match event {
        Event::Opened(_) => false,
        Event::LateKeySeen { .. } => true,
        Event::Asked(_)
        | Event::Deferred { .. }
        | Event::LookedOnce { .. }
        | Event::Renamed { .. }
        | Event::Blocked(_) => open,
        Event::Unblocked => matches!(rotation.state, State::Blocked { .. }),
        Event::NotDone(_) | Event::Done(_) => matches!(rotation.state, State::InDoubt { .. }),
        Event::Intended(_)
        | Event::Disowned { .. }
        | Event::Withheld(_)
        | Event::PlacesAdded { .. }
        | Event::PlacesLeft { .. }
        | Event::SinkLeft { .. }
        | Event::Ended { .. } => {
            matches!(rotation.state, State::Settled { .. })
        }
    }
}

#[test]
fn apply_is_total_and_the_facts_hold_after() {
    let events = events();
    let (mut accepted, mut refused) = (0, 0);
    for rotation in states() {
        for (what, record) in records() {
            let mut rotation = rotation.clone();
            if rotation.is_closed() && what != "nothing" {
                continue;
            }
            record(&mut rotation);
            for event in &events {
                match apply(&rotation, event) {
                    Ok(next) => {
                        accepted += 1;
                        next.check_facts().expect("the facts hold after");
                        assert!(may_follow(&rotation, event), "{event:?} followed {:?}", rotation.state);
                        let mut opened = rotation.opened.clone();
                        if let Event::Renamed { user } = event {
                            opened.user.clone_from(user);
                        }
                        let adds = matches!(event, Event::PlacesAdded { .. } | Event::PlacesLeft { .. });
                        let frozen = adds || next.opened == opened;
                        assert!(
                            frozen,
                            "the plan is frozen, but for the user's name and late copies: {:?}",
                            next.opened
                        );
                        assert!(!rotation.is_closed() || next.state == rotation.state, "closed is for good");
                    }
                    Err(IllegalEvent::NoSuchTransition { .. }) => refused += 1,
                    Err(IllegalEvent::Facts(fact)) => {
                        assert!(!is_reachable(&rotation), "{event:?} in {:?}: {fact}", rotation.state);
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(accepted > 50_000 && refused > 50_000, "{accepted} accepted, {refused} refused");
}

#[test]
fn what_people_say_and_what_is_put_off_changes_no_standing() {
    for rotation in states().into_iter().filter(|rotation| !rotation.is_closed()) {
        for event in events() {
            if matches!(event, Event::Asked(_) | Event::Deferred { .. } | Event::LookedOnce { .. }) {
                assert_eq!(apply(&rotation, &event).expect("open").state, rotation.state, "{event:?}");
            }
        }
    }
}

#[test]
fn an_effect_is_intended_only_in_its_phases() {
    // The table of effects in `docs/design/recovery.md`; `.` is never. Columns as in `phases`: opened; unfenced:
    // acknowledged (its write settled,
    // may still take effect), on evidence (active, deactivated), stored; the same fenced; deactivated-old.
    let table = "
        create-new      x ..... ..... .
        store-new       . xx... xx... .
        restore-old     . xx... xx... .
        fence-store     . xxxxx xxxxx .
        write-sink      . ....x ....x .
        deactivate-old  . ....x ....x .
        reactivate-old  . ..... ..... x
        delete-old      . ....x ....x x
        deactivate-new  . ..xx. ..xx. .
        reactivate-new  . ...x. ...x. .
        discard-new     . x.... xx.x. .
        delete-named    x xxxxx xxxxx x";
    let mut names = BTreeSet::new();
    for row in table.trim().lines() {
        let (name, marks) = row.trim().split_once(' ').expect("a name and marks");
        names.insert(name.to_owned());
        let marks: Vec<bool> = marks.chars().filter(|mark| *mark != ' ').map(|mark| mark == 'x').collect();
        assert_eq!(marks.len(), phases().len());
        for (phase, allowed) in phases().into_iter().zip(marks) {
            let rotation = followed(&settled(phase, &Policy::default()), sink(Some(NEW), None));
            let any = intents()
                .iter()
                .filter(|intent| intent.name() == name)
                .any(|intent| in_doubt(&rotation, intent).is_some());
            assert_eq!(any, allowed, "{name} in {:?}", rotation.state);
        }
    }
    assert_eq!(names, intents().iter().map(|intent| intent.name().to_owned()).collect(), "every intent has a row");
}

#[test]
fn some_effects_are_never_intended_whatever_was_proved() {
    let settled_in = |phase: Phase| settled(phase, &Policy::default());
    let stored = |rotation: &Rotation| matches!(rotation.state.phase(), Some(Phase::StoredNew { .. }));
    for rotation in phases().into_iter().map(settled_in) {
        for mine in [Some(&rotation.opened.old_key), rotation.made().map(|made| &made.key)].into_iter().flatten() {
            let intent = Intent::DeleteNamed { key: mine.clone() };
            assert!(in_doubt(&rotation, &intent).is_none(), "the keys of the rotation have their own paths");
        }
        let stranger = Intent::DiscardNew { key: key(STRANGER), then: AfterDiscard::Abort, why: String::new() };
        assert!(in_doubt(&rotation, &stranger).is_none(), "only our own key is discarded");
        let reactivated = Rotation { reactivated: true, ..rotation.clone() };
        assert!(in_doubt(&reactivated, &Intent::DeactivateOld).is_none(), "reactivated by an operator is for good");
        if stored(&rotation) {
            let abort = Intent::DiscardNew { key: key(NEW), then: AfterDiscard::Abort, why: String::new() };
            assert!(in_doubt(&rotation, &abort).is_none(), "no operator asked for an abort");
        }
    }
    let opened = settled_in(Phase::Opened);
    assert!(in_doubt(&opened, &intents()[1]).is_none(), "a third key");
    assert!(in_doubt(&Rotation { creates: 5, ..opened }, &intents()[0]).is_none(), "a sixth create");
}

#[test]
fn each_intent_has_its_own_outcomes() {
    for rotation in unblocked(&Policy::default()) {
        let State::InDoubt { intent, .. } = &rotation.state else { continue };
        for outcome in outcomes() {
            let fits = match (intent, &outcome) {
                (Intent::CreateNew { .. }, Outcome::Created { .. } | Outcome::FoundCreated { .. }) => true,
                (Intent::DiscardNew { then, .. }, Outcome::NewDiscarded { then: done }) => then == done,
                (Intent::CreateNew { .. }, _) => false,
                (intent, outcome) => {
                    let own = Outcome::of_intent(intent, at(0)).expect("only a create has none");
                    std::mem::discriminant(&own) == std::mem::discriminant(outcome)
                }
            };
            let next = apply(&rotation, &Event::Done(outcome.clone()));
            assert_eq!(next.is_ok(), fits, "{outcome:?} of {intent:?} in {:?}", rotation.state);
        }
    }
}

#[test]
fn the_last_word_of_a_person_counts() {
    let stored = settled(phases()[5].clone(), &Policy::default());
    assert!(matches!(stored.state.phase(), Some(Phase::StoredNew { .. })));
    let say = |rotation: &Rotation, asked| apply(rotation, &Event::Asked(asked)).expect("open");
    let abort = say(&stored, OperatorRequest::Abort);
    let delete = say(&abort, OperatorRequest::DeleteKey { key: key(OLD) });
    assert!(!delete.abort_asked && delete.named.contains(&key(OLD)));
    let abort = say(&delete, OperatorRequest::Abort);
    assert!(abort.abort_asked && abort.named.is_empty());
    let goes_on = say(&abort, OperatorRequest::TakeAbortBack);
    assert_eq!(goes_on, stored, "the waits are those of before the requests");
    let keep = say(
        &say(&stored, OperatorRequest::DeleteKey { key: key(STRANGER) }),
        OperatorRequest::KeepKey { key: key(STRANGER) },
    );
    assert!(keep.named.is_empty() && keep.kept.contains(&key(STRANGER)));
}

#[test]
fn two_named_keys_are_both_remembered() {
    let rotation = settled(Phase::Opened, &Policy::default());
    let rotation = [NEW, STRANGER].iter().fold(rotation, |rotation, id| {
        apply(&rotation, &Event::Asked(OperatorRequest::DeleteKey { key: key(id) })).expect("open")
    });
    assert_eq!(rotation.named, BTreeSet::from([key(NEW), key(STRANGER)]));
}

#[test]
fn a_write_that_was_refused_needs_no_fence_and_one_that_was_lost_does() {
    let created = settled(phases()[1].clone(), &Policy::default());
    let doubt = in_doubt(&created, &Intent::StoreNew).expect("legal");
    let refusal = |kind| Event::NotDone(NotDone::Refused(Refusal::new(kind, "no")));
    let refused = apply(&doubt, &refusal(RefusalKind::Stale)).expect("legal");
    assert!(refused.made().is_some_and(|made| !made.write_may_land));
    assert_eq!(refused.refused_writes, 1);
    let denied = apply(&doubt, &refusal(RefusalKind::Denied)).expect("legal");
    assert_eq!((denied.refused_writes, denied.denied_writes), (0, 1), "it has a count of its own");
    let lost = apply(&doubt, &Event::NotDone(NotDone::Seen)).expect("legal");
    assert!(lost.made().is_some_and(|made| made.write_may_land && made.fenced.is_none()));
    let fenced = settled(phases()[7].clone(), &Policy::default());
    assert!(fenced.made().is_some_and(|made| made.fenced.is_some()));
    let lost = apply(&in_doubt(&fenced, &Intent::StoreNew).expect("legal"), &Event::NotDone(NotDone::Seen));
    assert!(lost.expect("legal").made().is_some_and(|made| made.fenced.is_none()), "the fence stood before it");
}

/// Before the fence was asked for there, too, builds journaled this: replay must not refuse it.
#[test]
fn a_journal_in_which_a_lost_write_was_not_fenced_still_replays() {
    let mut stored = settled(phases()[5].clone(), &Policy::default());
    if let State::Settled { phase: Phase::StoredNew { made, .. } } = &mut stored.state {
        (made.write_may_land, made.fenced) = (true, None);
    }
    assert!(stored.made().is_some_and(|made| made.write_may_land));
    for intent in [Intent::DeactivateOld, Intent::DeleteOld] {
        assert!(in_doubt(&stored, &intent).is_some(), "{intent:?}");
    }
}

#[test]
fn why_a_key_was_discarded_is_told() {
    let discard = Intent::DiscardNew { key: key(NEW), then: AfterDiscard::Abort, why: "it never answered".to_owned() };
    let doubt = in_doubt(&settled(phases()[1].clone(), &Policy::default()), &discard).expect("legal");
    let done = apply(&doubt, &Event::Done(Outcome::NewDiscarded { then: AfterDiscard::Abort })).expect("legal");
    assert_eq!(done.last_error.as_deref(), Some("it never answered"));
    assert_eq!(done.new_key, None);
}
