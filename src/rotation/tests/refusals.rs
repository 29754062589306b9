//! A right that is missing, and an old key that is used for ever: each blocks its rotation, each is led out of by the
//! command that is printed, and no run makes a second key meanwhile.

use super::endings::{ask, check_ending, obey, to_the_end};
use super::world::{Fault, Left, World};
use super::*;
use crate::rotation::decide::{Query, Step};
use crate::rotation::observed::PlaceContent;

/// As the engine does at the second refusal.
impl World {
    pub(super) fn block(&self, rotation: &mut Rotation, denied: Denied) -> Left {
        let reason = rotation.blocked_for(denied);
        self.note(rotation, Event::Blocked(reason.clone()));
        Left::Blocked(reason)
    }

    pub(super) fn refused_look(&self, rotation: &Rotation, look: &Query) -> Option<Denied> {
        let denied = match look {
            Query::Keys => Denied::of_user(rotation, Operation::ListAccessKeys, "no"),
            Query::LastUsed(key) => Denied::of_key(rotation, Operation::GetAccessKeyLastUsed, key, "no"),
            // A refusal is one of its answers.
            Query::Owner(_) => return None,
            Query::Places | Query::Scan(_) | Query::NewPair | Query::StoredPair => return None,
        };
        self.denied.contains(denied.operation.name()).then_some(denied)
    }

    /// Whether this effect is refused each time.
    pub(super) fn is_denied(&self, intent: &Intent) -> bool {
        let operation = match intent {
            Intent::CreateNew { .. } => Operation::CreateAccessKey,
            Intent::StoreNew | Intent::RestoreOld | Intent::FenceStore => Operation::WriteStore,
            Intent::WriteSink { .. } => return false,
            Intent::DeactivateOld
            | Intent::ReactivateOld
            | Intent::DeactivateNew { .. }
            | Intent::ReactivateNew { .. } => Operation::UpdateAccessKey,
            Intent::DeleteOld | Intent::DiscardNew { .. } | Intent::DeleteNamed { .. } => Operation::DeleteAccessKey,
        };
        self.denied.contains(operation.name()) || self.is_locked(intent)
    }

    /// Whether another program holds the lock of what this effect writes.
    fn is_locked(&self, intent: &Intent) -> bool {
        let is_write = matches!(intent, Intent::StoreNew | Intent::RestoreOld | Intent::FenceStore);
        is_write && self.denied.contains(Operation::LockStore.name())
    }

    /// How this effect is refused.
    pub(super) fn kind_of_denial(&self, intent: &Intent) -> RefusalKind {
        if self.is_locked(intent) { RefusalKind::Locked } else { RefusalKind::Denied }
    }
}

/// Every right except that to ask for the last use is granted again once the operator has read the block. The commands
/// alone lead to the end, and while a right is missing no run makes a second key.
#[test]
fn whatever_right_is_missing_the_printed_commands_lead_to_the_end() {
    let all = [
        Operation::ListAccessKeys,
        Operation::GetAccessKeyLastUsed,
        Operation::CreateAccessKey,
        Operation::UpdateAccessKey,
        Operation::DeleteAccessKey,
        Operation::GetCallerIdentity,
        Operation::WriteStore,
        Operation::LockStore,
    ];
    let mut met = BTreeSet::new();
    for policy in policies() {
        for missing in all {
            for lost in [None, Some(0)] {
                let mut rotation = Rotation::open(id(), opened(policy.clone()));
                let mut world = World::new(&[PlaceContent::Old]);
                world.denied = BTreeSet::from([missing.name()]);
                world.faults = lost.map(|effect| (effect, Fault::LostAfter)).into_iter().collect();
                for _ in 0..3 {
                    if let Left::Blocked(reason @ BlockReason::AccessDenied { .. }) = world.drive(&mut rotation) {
                        met.insert((missing.name(), rotation.state.name()));
                        let is_lock = missing == Operation::LockStore;
                        let (code, words) =
                            if is_lock { ("locked", "holds the lock") } else { ("access-denied", missing.name()) };
                        assert_eq!(reason.name(), code);
                        assert!(
                            reason.message(&rotation.opened.user).contains(words),
                            "{}",
                            reason.message(&rotation.opened.user)
                        );
                    }
                    (world.in_hand, world.old_values) = (false, false);
                    assert!(rotation.creates <= 1 + u32::from(lost.is_some()), "{missing:?}: {rotation:#?}");
                }
                if !rotation.is_closed() {
                    to_the_end(&mut rotation, &mut world, false);
                }
                let keys = world.keys.as_ref().map_or(0, BTreeMap::len);
                assert_eq!(keys, 1, "{missing:?}: nothing of ours is left over: {world:#?}");
            }
        }
    }
    for expected in [
        ("ListAccessKeys", "opened"),
        ("GetAccessKeyLastUsed", "stored-new"),
        ("GetAccessKeyLastUsed", "opened"),
        ("CreateAccessKey", "opened"),
        ("UpdateAccessKey", "stored-new"),
        ("DeleteAccessKey", "stored-new"),
        ("DeleteAccessKey", "deactivated-old"),
        ("GetCallerIdentity", "opened"),
        ("writing", "opened"),
        ("locking", "opened"),
    ] {
        assert!(met.contains(&expected), "{expected:?} is not among {met:?}");
    }
}

#[test]
fn what_an_operator_may_do_depends_on_whether_the_new_pair_is_stored() {
    let mut met = BTreeMap::new();
    for missing in [Operation::UpdateAccessKey, Operation::WriteStore, Operation::LockStore] {
        for policy in policies() {
            let mut rotation = Rotation::open(id(), opened(policy));
            let denied = Denied::new(missing, "a thing", "no");
            let mut world = World::new(&[PlaceContent::Old]);
            for stored in [false, true] {
                let user = rotation.opened.user.clone();
                let said = rotation.blocked_for(denied.clone()).message(&user);
                met.insert((missing.name(), stored), said);
                let stored = |rotation: &Rotation| matches!(rotation.state.phase(), Some(Phase::StoredNew { .. }));
                assert_eq!(world.drive_until(&mut rotation, stored), None);
            }
        }
    }
    let said = |missing, stored, words: &str| met[&(missing, stored)].contains(words);
    assert!(said("UpdateAccessKey", true, "--finish") && !said("UpdateAccessKey", false, "--finish"), "{met:#?}");
    for missing in ["writing", "locking"] {
        assert!(said(missing, false, "or abort") && !said(missing, true, "abort"), "{met:#?}");
    }
    assert!(met.values().all(|said| !said.contains("is stored")), "the state is known: {met:#?}");
}

#[test]
fn the_answer_of_aws_names_the_call_and_is_given_once() {
    let rotation = Rotation::open(id(), opened(Policy::default()));
    let message = |answer: &str| {
        let denied = Denied::of_user(&rotation, Operation::CreateAccessKey, answer);
        rotation.blocked_for(denied).message(&rotation.opened.user)
    };
    let user = &rotation.opened.user;
    let answer = format!("call CreateAccessKey for user {user}: AWS answered AccessDenied (HTTP 403, request id x)");
    let said = message(&answer);
    assert!(said.starts_with(&format!("access denied: {answer}; the old key")), "{said}");
    assert_eq!(said.matches("CreateAccessKey").count(), 1, "{said}");
    assert!(message("no").starts_with(&format!("access denied: CreateAccessKey of user {user} is refused (no)")));
}

#[test]
fn a_key_that_another_hand_deleted_needs_no_right_to_delete() {
    for policy in policies() {
        let mut rotation = Rotation::open(id(), opened(policy.clone()));
        let mut world = World::new(&[PlaceContent::Old]);
        world.denied = BTreeSet::from([Operation::DeleteAccessKey.name()]);
        let Left::Blocked(BlockReason::AccessDenied { denied, .. }) = world.drive(&mut rotation) else {
            panic!("{world:#?}")
        };
        assert_eq!(denied.key, Some(key(OLD)));
        world.keys.as_mut().expect("a user").remove(&key(OLD));
        assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld));
        check_ending(Ending::DeletedOld, &rotation, &world);
    }
    // The same for a new key that is given up.
    let mut rotation = Rotation::open(id(), opened(Policy::default()));
    let mut world = World::new(&[PlaceContent::Old]);
    world.denied = BTreeSet::from([Operation::DeleteAccessKey.name(), Operation::GetCallerIdentity.name()]);
    let Left::Blocked(BlockReason::AccessDenied { denied, .. }) = world.drive(&mut rotation) else {
        panic!("{world:#?}")
    };
    let made = denied.key.expect("the new key");
    world.keys.as_mut().expect("a user").remove(&made);
    (world.in_hand, world.old_values) = (false, false);
    assert!(matches!(world.drive(&mut rotation), Left::Blocked(BlockReason::AccessDenied { .. })));
    assert_eq!((rotation.state.name(), rotation.creates), ("opened", 1), "and no second one is made");
    ask(&mut rotation, OperatorRequest::Abort);
    assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::Aborted));
}

/// A list that contradicts the record is looked at twice, `settle` apart, before each delete: without `--wait` each run
/// ends in that wait, and hears one refusal.
#[test]
fn a_refusal_of_an_effect_in_each_of_several_runs_counts() {
    let mut rotation = Rotation::open(id(), opened(Policy::default()));
    let mut world = World::new(&[PlaceContent::Old]);
    let stored = |rotation: &Rotation| matches!(rotation.state.phase(), Some(Phase::StoredNew { .. }));
    assert_eq!(world.drive_until(&mut rotation, stored), None);
    let refused = |rotation: &mut Rotation, intent: Intent| {
        world.note(rotation, Event::LookedOnce { at: at(0), seen: "old key not listed".to_owned() });
        world.note(rotation, Event::Intended(intent));
        world.note(rotation, Event::NotDone(NotDone::Refused(Refusal::new(RefusalKind::Denied, "no"))));
    };
    let denied = Denied::of_key(&rotation, Operation::DeleteAccessKey, &key(OLD), "no");
    refused(&mut rotation, Intent::DeleteOld);
    assert!(!rotation.is_known_to_lack(&denied), "policies take a while to be in force");
    refused(&mut rotation, Intent::DeleteOld);
    assert!(rotation.is_known_to_lack(&denied), "the second refusal counts, whichever run hears it");
    world.note(&mut rotation, Event::Intended(Intent::FenceStore));
    world.note(&mut rotation, Event::Done(Outcome::Fenced { at: at(0) }));
    assert!(rotation.is_known_to_lack(&denied), "another effect says nothing of this right");
    refused(&mut rotation, Intent::DeactivateOld);
    assert!(!rotation.is_known_to_lack(&denied), "not two in a row any more");
}

#[test]
fn a_key_is_made_again_once_a_day_where_nothing_else_shows_that_the_right_is_there() {
    let mut rotation = Rotation::open(id(), opened(Policy::default()));
    let mut world = World::new(&[PlaceContent::Old]);
    world.denied = BTreeSet::from([Operation::GetCallerIdentity.name()]);
    for day in 1..=3 {
        assert!(matches!(world.drive(&mut rotation), Left::Blocked(BlockReason::AccessDenied { .. })));
        assert_eq!(rotation.creates, day);
        world.now += 24 * 3600 - 300;
        assert!(matches!(world.drive(&mut rotation), Left::Blocked(BlockReason::AccessDenied { .. })));
        assert_eq!(rotation.creates, day, "not before the day is over");
        world.now += 600;
    }
    world.denied.clear();
    assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld));
}

/// The lock is released for each rewrite of the old values, and held again for each write of a new pair.
#[test]
fn a_lock_that_is_held_for_the_writes_alone_costs_two_keys_and_then_one_a_day() {
    let mut rotation = Rotation::open(id(), opened(Policy::default()));
    let mut world = World::new(&[PlaceContent::Old]);
    let is_made = |rotation: &Rotation| matches!(rotation.state.phase(), Some(Phase::CreatedNew { .. }));
    for (hours, keys) in [(0, 1), (0, 2), (0, 2), (12, 2), (13, 3), (1, 3)] {
        world.now += hours * 3600;
        world.denied.clear();
        if world.drive_until(&mut rotation, is_made).is_none() {
            world.denied.insert(Operation::LockStore.name());
            let left = world.drive(&mut rotation);
            assert!(matches!(&left, Left::Blocked(reason) if reason.name() == "locked"), "{left:?}");
            assert_eq!(rotation.state.name(), "opened", "the new key is discarded");
        }
        assert_eq!(rotation.creates, keys, "after {hours} more hours");
    }
}

/// The locks are tried before each create. That another program held one then says nothing once it was free.
#[test]
fn a_lock_that_was_free_at_the_create_counts_anew() {
    let mut rotation = Rotation::open(id(), opened(Policy::default()));
    let mut world = World::new(&[PlaceContent::Old]);
    let locked = Denied::of_write(&rotation, "held").by_a_lock();
    let reason = rotation.blocked_for(locked.clone());
    world.note(&mut rotation, Event::Blocked(reason));
    assert!(rotation.is_known_to_lack(&locked), "the next try is enough");
    let is_made = |rotation: &Rotation| matches!(rotation.state.phase(), Some(Phase::CreatedNew { .. }));
    assert_eq!(world.drive_until(&mut rotation, is_made), None);
    assert!(!rotation.is_known_to_lack(&locked));
    assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld));
}

#[test]
fn a_rewrite_that_was_lost_before_a_new_key_is_made_is_fenced_off() {
    let mut rotation = Rotation::open(id(), opened(Policy::default()));
    // In one entry: of several, some might be rewritten in each run.
    let place = &mut rotation.opened.places[0];
    place.secret = place.id.clone();
    let mut world = World::new(&[PlaceContent::Old]);
    world.denied = BTreeSet::from([Operation::WriteStore.name()]);
    assert!(matches!(world.drive(&mut rotation), Left::Blocked(BlockReason::AccessDenied { .. })));
    world.denied.clear();
    world.faults = BTreeMap::from([(world.effects, Fault::LostBefore)]);
    assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld));
    let fences = world.told.iter().filter(|(_, step)| *step == Step::Execute(Intent::FenceStore)).count();
    assert!(fences >= 3, "refused, lost, and heard: {fences}");
}

#[test]
fn a_service_that_goes_on_using_the_old_key_is_named_after_the_time_that_the_policy_gives() {
    let still_in_use_for = LONG * 20;
    let policy = Policy { overlap: LONG, still_in_use: StillInUse::Wait, still_in_use_for, ..Policy::default() };
    let patience = i64::try_from(policy.still_in_use_for.as_secs()).expect("short");
    for finish in [false, true] {
        let mut rotation = Rotation::open(id(), opened(policy.clone()));
        let mut world = World { used_without_end: true, ..World::new(&[PlaceContent::Old]) };
        let began = world.now;
        let Left::Blocked(reason @ BlockReason::StillInUse { .. }) = world.drive(&mut rotation) else {
            panic!("{world:#?}")
        };
        let waited = world.now - began;
        assert!((patience..patience + 2_000).contains(&waited), "{waited}");
        assert!(
            reason.message(&rotation.opened.user).contains("s3 in eu-west-1"),
            "{}",
            reason.message(&rotation.opened.user)
        );
        world.used_without_end = finish;
        if finish {
            obey(&reason, false, &mut world, &mut rotation);
        } else {
            world.now += 5_000;
        }
        assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld), "finish: {finish}");
        check_ending(Ending::DeletedOld, &rotation, &world);
    }
}
