//! Sinks: written last, never read, and in the way of every removal until they are known to have the right pair.

use super::endings::{check_ending, to_the_end};
use super::world::{Fault, Left, World};
use super::*;
use crate::rotation::decide::Step;
use crate::rotation::observed::PlaceContent;

fn begin(policy: &Policy) -> (Rotation, World) {
    let rotation = Rotation::open(id(), Opened { sinks: vec![follower()], ..opened(policy.clone()) });
    (rotation, World { sinks: vec![key(OLD)], ..World::new(&[PlaceContent::Old]) })
}

fn say(rotation: &mut Rotation, asked: OperatorRequest) {
    *rotation = apply(rotation, &Event::Asked(asked)).expect("it is open");
}

fn writes(world: &World) -> Vec<(i64, AccessKeyId)> {
    let written = |(at, step): &(i64, Step)| {
        if let Step::Execute(Intent::WriteSink { key, .. }) = step { Some((*at, key.clone())) } else { None }
    };
    world.told.iter().filter_map(written).collect()
}

#[test]
fn a_sink_that_takes_nothing_keeps_both_keys_until_a_person_says_not_to_wait() {
    let (mut rotation, mut world) = begin(&Policy::default());
    world.faults = (2..40).map(|effect| (effect, Fault::Refused(RefusalKind::Denied))).collect();
    assert!(matches!(world.drive(&mut rotation), Left::Failing(_)));
    assert_eq!(rotation.state.name(), "stored-new");
    assert_eq!(world.keys.as_ref().map(BTreeMap::len), Some(2), "nothing of the old key goes");
    say(&mut rotation, OperatorRequest::LeaveSink { sink: SinkName::new("another").expect("valid") });
    assert!(!rotation.sinks[0].left, "it is another sink");
    assert!(matches!(world.drive(&mut rotation), Left::Failing(_)));
    world.faults.clear();
    say(&mut rotation, OperatorRequest::LeaveSink { sink: follower().sink });
    assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld));
    assert_eq!(world.sinks, [key(OLD)], "and it was not written");
}

#[test]
fn the_overlap_begins_when_the_last_sink_has_the_pair() {
    let policy = Policy { overlap: LONG, ..Policy::default() };
    let (mut rotation, mut world) = begin(&policy);
    world.faults = (2..8).map(|effect| (effect, Fault::Refused(RefusalKind::Denied))).collect();
    assert!(matches!(world.drive(&mut rotation), Left::Failing(_)));
    world.now += 500;
    let acknowledged = world.now;
    assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld));
    assert!(world.now >= acknowledged + 1_000, "{} after {acknowledged}", world.now);
    check_ending(Ending::DeletedOld, &rotation, &world);
}

/// A program that reads a sink that was left gets the new pair from the operator, who has just updated it.
#[test]
fn the_overlap_begins_when_a_sink_is_left() {
    let policy = Policy { overlap: LONG, ..Policy::default() };
    let (mut rotation, mut world) = begin(&policy);
    world.faults = (2..8).map(|effect| (effect, Fault::Refused(RefusalKind::Denied))).collect();
    assert!(matches!(world.drive(&mut rotation), Left::Failing(_)));
    world.now += 5_000;
    let left = world.now;
    say(&mut rotation, OperatorRequest::LeaveSink { sink: follower().sink });
    assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld));
    assert!(world.now >= left + 1_000, "{} after {left}", world.now);
    check_ending(Ending::DeletedOld, &rotation, &world);
}

#[test]
fn an_abort_brings_the_old_pair_back_and_waits_for_what_may_land() {
    let policy = Policy { overlap: LONG, ..Policy::default() };
    for lost in [None, Some(Fault::LostBefore), Some(Fault::LostAfter), Some(Fault::CrashBefore)] {
        let (mut rotation, mut world) = begin(&policy);
        world.faults = lost.map(|fault| (2, fault)).into_iter().collect();
        let sent_something = |rotation: &Rotation| !rotation.sinks[0].is_untouched();
        assert_eq!(world.drive_until(&mut rotation, sent_something), None);
        let sent = world.now;
        world.places.fill(PlaceContent::Old);
        say(&mut rotation, OperatorRequest::Abort);
        let (ending, met) = to_the_end(&mut rotation, &mut world, true);
        assert_eq!((ending, met.len()), (Ending::Aborted, 0), "{lost:?}");
        check_ending(ending, &rotation, &world);
        let (at, last) = writes(&world).pop().expect("the sink was written");
        assert_eq!(last, key(OLD));
        assert!(lost.is_none() || at > sent, "a write that may still take effect is waited for");
    }
}

#[test]
fn a_change_of_mind_brings_the_new_pair_again() {
    let policy = Policy { overlap: LONG, ..Policy::default() };
    let (mut rotation, mut world) = begin(&policy);
    assert_eq!(world.drive_until(&mut rotation, |rotation| rotation.sinks[0].acknowledged.is_some()), None);
    world.places.fill(PlaceContent::Old);
    say(&mut rotation, OperatorRequest::Abort);
    assert_eq!(world.drive_until(&mut rotation, |rotation| rotation.sinks[0].has(&key(OLD))), None);
    assert_eq!(world.sinks, [key(OLD)]);
    world.places.fill(PlaceContent::New);
    say(&mut rotation, OperatorRequest::DeleteKey { key: key(OLD) });
    assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld));
    check_ending(Ending::DeletedOld, &rotation, &world);
}

#[test]
fn an_acknowledgement_of_another_pair_or_sink_is_none() {
    let stored = followed(&settled(phases()[5].clone(), &Policy::default()), sink(None, None));
    let doubt = in_doubt(&stored, &intents()[5]).expect("legal");
    assert!(matches!(doubt.state.intent(), Some(Intent::WriteSink { .. })));
    let acknowledged = |sink, id| Event::Done(Outcome::SinkAcknowledged { sink, key: key(id), at: at(0) });
    assert!(apply(&doubt, &acknowledged(0, NEW)).is_ok());
    assert!(apply(&doubt, &acknowledged(0, OLD)).is_err());
    assert!(apply(&doubt, &acknowledged(1, NEW)).is_err());
    assert!(in_doubt(&followed(&stored, sink(None, Some(OLD))), &intents()[5]).is_some(), "it has landed by then");
    let early = Intent::WriteSink { sink: 0, key: key(NEW), asked_at: at(LANDS_BY - 1), until: at(LANDS_BY) };
    assert!(
        in_doubt(&followed(&stored, sink(None, Some(OLD))), &early).is_none(),
        "a write of the old pair may take effect after it"
    );
    for none in [Intent::DeleteOld, Intent::DeactivateOld] {
        assert!(in_doubt(&stored, &none).is_none(), "the sink has no new pair");
        assert!(in_doubt(&followed(&stored, sink(Some(NEW), None)), &none).is_some());
    }
}
