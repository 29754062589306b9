//! What is known of a key only by evidence, or by a reply that was lost, is proved again before anything rests on it.

use super::world::{Fault, Left, World};
use super::*;
use crate::rotation::decide::Step;
use crate::rotation::observed::{KeyStatus, PlaceContent};
use crate::rotation::policy::{MOST_REFUSED_WRITES, SpareKey};

const OLD_ONLY: [PlaceContent; 1] = [PlaceContent::Old];

fn created() -> Intent {
    Intent::CreateNew { listed: BTreeSet::from([key(OLD)]), asked_at: at(9_990), give_up_at: at(10_020) }
}

fn after(rotation: Rotation, events: &[Event]) -> Rotation {
    events.iter().fold(rotation, |rotation, event| apply(&rotation, event).expect("legal"))
}

#[test]
fn a_key_that_was_seen_inactive_and_is_active_again_is_an_operators() {
    let policy = Policy { quarantine: LONG, ..Policy::default() };
    let mut rotation = settled(Phase::Opened, &policy);
    let mut world = World::new(&OLD_ONLY);
    // The create, the write, then the deactivation, whose request is held somewhere.
    world.faults.insert(2, Fault::LostBefore);
    assert!(world.drive_until(&mut rotation, |rotation| rotation.deactivation_may_land).is_none());
    assert!(matches!(rotation.state, State::Settled { phase: Phase::StoredNew { .. } }), "back in its phase");
    // It is executed late; then an operator needs the key.
    world.set(&key(OLD), KeyStatus::Inactive);
    assert!(world.drive_until(&mut rotation, |rotation| rotation.seen_inactive).is_none());
    world.set(&key(OLD), KeyStatus::Active);
    let left = world.drive(&mut rotation);
    assert_eq!(left, Left::Blocked(BlockReason::OldKeyReactivated { key: key(OLD) }));
    assert_eq!(world.status(&key(OLD)), Some(KeyStatus::Active));
}

#[test]
fn a_deactivation_whose_reply_was_lost_is_asked_for_again_only_with_all_of_its_ground() {
    let policy = Policy { quarantine: LONG, ..Policy::default() };
    let mut rotation = settled(Phase::Opened, &policy);
    let mut world = World::new(&OLD_ONLY);
    world.faults.insert(2, Fault::LostBefore);
    world.drive_until(&mut rotation, |rotation| rotation.deactivation_may_land);
    // Meanwhile the place was reverted.
    world.places[0] = PlaceContent::Old;
    let left = world.drive(&mut rotation);
    assert!(matches!(left, Left::Blocked(BlockReason::Reverted { .. })), "{left:?}");
    assert_eq!(world.status(&key(OLD)), Some(KeyStatus::Active));
}

/// A create whose reply was lost, and its key found and switched off.
fn held_on_evidence(policy: &Policy) -> (World, Rotation, AccessKeyId) {
    let mut rotation = settled(Phase::Opened, policy);
    let mut world = World::new(&OLD_ONLY);
    world.faults.insert(0, Fault::CrashAfter);
    let is_off = |rotation: &Rotation| rotation.made().is_some_and(|made| made.deactivated.is_some());
    assert!(world.drive_until(&mut rotation, is_off).is_none());
    let found = rotation.made().expect("found").key.clone();
    (world, rotation, found)
}

#[test]
fn a_use_that_shows_up_late_gives_the_key_back() {
    let (mut world, mut rotation, found) = held_on_evidence(&Policy::default());
    // It was in use all the while, and the data on it lags.
    world.used.insert(found.clone(), world.now - 100);
    let left = world.drive(&mut rotation);
    assert_eq!(world.status(&found), Some(KeyStatus::Active), "{:#?}", world.told);
    assert!(matches!(left, Left::Blocked(_)), "an operator is asked: {left:?}");
}

#[test]
fn a_key_that_a_lost_request_deactivates_after_it_is_known_to_be_a_strangers_is_not_deleted_as_a_spare() {
    for spare_key in [SpareKey::Block, SpareKey::DeleteInactive] {
        let mut rotation = settled(Phase::Opened, &Policy { spare_key, ..Policy::default() });
        let mut world = World::new(&OLD_ONLY);
        world.faults.insert(0, Fault::CrashAfter);
        // The deactivation is held somewhere.
        world.faults.insert(1, Fault::LostBefore);
        assert!(world.drive_until(&mut rotation, |rotation| !rotation.may_turn_inactive.is_empty()).is_none());
        let found = rotation.made().expect("found").key.clone();
        // Its use shows, and it is no key of ours; only then is the request executed.
        world.used.insert(found.clone(), world.now - 100);
        let is_disowned = |rotation: &Rotation| rotation.made().is_none();
        assert!(world.drive_until(&mut rotation, is_disowned).is_none(), "{:#?}", world.told);
        world.set(&found, KeyStatus::Inactive);
        let left = world.drive(&mut rotation);
        assert_eq!(world.status(&found), Some(KeyStatus::Inactive), "{left:?} {:#?}", world.told);
        let Left::Blocked(BlockReason::SpareKey { key, described }) = left else {
            panic!("an operator is asked: {left:?}")
        };
        assert_eq!(key, found);
        assert!(described.contains("may be what deactivated it"), "{described}");
    }
}

#[test]
fn the_next_rotation_does_not_delete_such_a_key_either() {
    let policy = Policy { spare_key: SpareKey::DeleteInactive, ..Policy::default() };
    let opened = Opened { may_turn_inactive: [key(NEW)].into(), ..opened(policy) };
    let mut rotation = Rotation::open(id(), opened);
    let mut world = World::new(&OLD_ONLY);
    world.keys.as_mut().expect("a user").insert(key(NEW), (KeyStatus::Inactive, 5));
    let left = world.drive(&mut rotation);
    assert_eq!(world.status(&key(NEW)), Some(KeyStatus::Inactive), "{left:?} {:#?}", world.told);
    assert!(matches!(&left, Left::Blocked(BlockReason::SpareKey { key: spare, .. }) if *spare == key(NEW)), "{left:?}");
}

#[test]
fn last_use_is_asked_for_twice_as_far_apart_as_the_policy_says() {
    for wait in [60, 15 * 60, 3_600] {
        let policy = Policy { unclaimed_after: Duration::from_secs(wait), ..Policy::default() };
        let (mut world, mut rotation, found) = held_on_evidence(&policy);
        world.told.clear();
        let off_since = world.now;
        assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld));
        let discarded = world.told.iter().find_map(|(now, step)| {
            matches!(step, Step::Execute(Intent::DiscardNew { key, .. }) if *key == found).then_some(*now)
        });
        let waited = discarded.expect("discarded") - off_since;
        assert!(waited >= i64::try_from(wait).expect("short") && waited <= 3_700, "{waited} s of {wait}");
    }
}

#[test]
fn a_key_that_an_operator_has_named_waits_for_settle_only() {
    let (mut world, mut rotation, found) = held_on_evidence(&Policy::default());
    world.told.clear();
    let off_since = world.now;
    rotation = apply(&rotation, &Event::Asked(OperatorRequest::DeleteKey { key: found.clone() })).expect("open");
    assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld));
    let discarded = world.told.iter().find_map(|(now, step)| {
        matches!(step, Step::Execute(Intent::DiscardNew { key, .. }) if *key == found).then_some(*now)
    });
    let waited = discarded.expect("discarded") - off_since;
    // `settle`, and the fence.
    assert!((60..=200).contains(&waited), "{waited} s");
}

#[test]
fn a_key_that_a_refused_create_may_have_made_is_not_called_a_strangers() {
    let limit = Refusal::new(RefusalKind::LimitExceeded, "no");
    let doubled = [Event::Intended(created()), Event::NotDone(NotDone::Refused(limit))];
    let mut rotation = after(settled(Phase::Opened, &Policy::default()), &doubled);
    let mut world = World::new(&OLD_ONLY);
    world.keys.as_mut().expect("a user").insert(key(NEW), (KeyStatus::Active, 9_995));
    let left = world.drive(&mut rotation);
    let Left::Blocked(BlockReason::UnclaimedKeys { keys, why }) = left else { panic!("{left:?}") };
    assert_eq!(keys, [key(NEW)]);
    assert!(why.contains("sent that create twice"), "{why}");
    // One that was there before is the spare that it was.
    let mut rotation = after(settled(Phase::Opened, &Policy::default()), &doubled);
    world.keys.as_mut().expect("a user").insert(key(NEW), (KeyStatus::Active, 5_000));
    let left = world.drive(&mut rotation);
    assert!(matches!(left, Left::Blocked(BlockReason::SpareKey { .. })), "{left:?}");
}

#[test]
fn what_the_store_said_is_told_at_the_end_and_not_what_was_waited_for() {
    let refused = Refusal::new(RefusalKind::Other, "the store answered HTTP 403");
    let waits = "a write that was under way may still change the store".to_owned();
    let refusals = (0..MOST_REFUSED_WRITES)
        .flat_map(|_| [Event::Intended(Intent::StoreNew), Event::NotDone(NotDone::Refused(refused.clone()))]);
    let mut events: Vec<Event> = refusals.collect();
    events.push(Event::Deferred { why: waits, until: Some(at(10_500)) });
    let mut rotation = after(settled(phases()[1].clone(), &Policy::default()), &events);
    let mut world = World::new(&OLD_ONLY);
    world.keys.as_mut().expect("a user").insert(key(NEW), (KeyStatus::Active, 0));
    assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::Aborted));
    let message = rotation.last_error.expect("said");
    assert!(message.contains("HTTP 403"), "{message}");
}
