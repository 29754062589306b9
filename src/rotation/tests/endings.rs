//! P6: every rotation ends. From every state in every world, by itself or through the commands of its blocks; and
//! from `opened` through every fault, and every pair of faults, that its effects can meet.

use super::world::{Fault, Left, World};
use super::*;
use crate::rotation::decide::Step;
use crate::rotation::observed::{KeyStatus, PlaceContent};

/// A block, what the person does about it, a block again …: more than these no rotation needs.
const MOST_BLOCKS: usize = 8;

pub(super) fn ask(rotation: &mut Rotation, asked: OperatorRequest) {
    *rotation = apply(rotation, &Event::Asked(asked)).expect("it is open");
}

/// What an operator does who reads the message and types the command, in the world and to the rotation. Where the
/// message offers two ways, `back` is the one to the old pair.
pub(super) fn obey(reason: &BlockReason, back: bool, world: &mut World, rotation: &mut Rotation) {
    let command = reason.command(rotation.id);
    let made = rotation.made().map(|made| made.key.clone());
    let new_is_there = made.as_ref().is_some_and(|made| world.status(made).is_some());
    let back = back && world.status(&key(OLD)).is_some();
    let way_back = |world: &mut World| world.places.fill(PlaceContent::Old);
    match reason {
        BlockReason::SpareKey { .. } | BlockReason::UnclaimedKeys { .. } | BlockReason::TooManyCreates => {}
        // Without the old key the rotation cannot return to it: the operator who gave the id to another user fixes it.
        BlockReason::WrongIdentity { .. } => world.wrong_identity &= world.status(&key(OLD)).is_some(),
        BlockReason::OldKeyReactivated { .. } => {}
        BlockReason::ChangedElsewhere { .. } | BlockReason::Reverted { .. } => {
            if back || !new_is_there {
                way_back(world);
                ask(rotation, OperatorRequest::Abort);
            } else {
                world.places.fill(PlaceContent::New);
            }
        }
        BlockReason::OldKeyGone { .. } => world.places.fill(PlaceContent::New),
        BlockReason::StillReferenced { key, .. } => {
            world.elsewhere.remove(key);
        }
        BlockReason::Unreadable { .. } => world.unreadable = false,
        BlockReason::NewKeyNotActive { key, .. } => {
            if back {
                way_back(world);
                ask(rotation, OperatorRequest::Abort);
            } else {
                world.set(key, KeyStatus::Active);
            }
        }
        BlockReason::StoredPairFails { key, .. } => {
            if new_is_there && !back {
                world.set(key, KeyStatus::Active);
            } else {
                way_back(world);
                ask(rotation, OperatorRequest::Abort);
            }
        }
        BlockReason::NewKeyGone { .. } | BlockReason::NewKeyDiscarded { .. } | BlockReason::CannotAbort { .. } => {
            way_back(world)
        }
        BlockReason::OldKeyNotActive { key, .. } => world.set(key, KeyStatus::Active),
        // The last use of a key may stay unknown: the command leads out all the same.
        BlockReason::AccessDenied { denied, .. } => {
            if denied.operation != Operation::GetAccessKeyLastUsed {
                world.denied.clear();
            }
        }
        BlockReason::StillInUse { .. } => {}
        BlockReason::UserNotFound { .. } => {
            if world.keys.is_some() {
                // It was renamed, and the operator allows the question: `rotator resume`.
                return world.denied.clear();
            }
        }
    }
    obey_command(&command, rotation);
}

/// The command, word for word.
fn obey_command(command: &str, rotation: &mut Rotation) {
    let id = rotation.id.to_string();
    match command.split(' ').collect::<Vec<_>>().as_slice() {
        ["rotator", "resume", of] if *of == id => {}
        ["rotator", "abort", of] if *of == id => ask(rotation, OperatorRequest::Abort),
        ["rotator", "resolve", of, "--delete-key", named] if *of == id => {
            ask(rotation, OperatorRequest::DeleteKey { key: key(named) });
        }
        ["rotator", "resolve", of, "--finish"] if *of == id => {
            ask(rotation, OperatorRequest::DeleteKey { key: key(OLD) });
        }
        words => panic!("no command: {words:?}"),
    }
}

/// Drives a rotation to its end; which blocks were met on the way.
pub(super) fn to_the_end(rotation: &mut Rotation, world: &mut World, back: bool) -> (Ending, Vec<&'static str>) {
    let mut met = Vec::new();
    for _ in 0..MOST_BLOCKS {
        match world.drive(rotation) {
            Left::Closed(ending) => return (ending, met),
            Left::Blocked(reason) => {
                met.push(reason.name());
                obey(&reason, back, world, rotation);
            }
            // The next run, with nothing in memory.
            Left::Failing(_) => {
                (world.in_hand, world.old_values) = (false, false);
                world.replace_unreadable();
            }
        }
    }
    panic!("no end of blocks: {met:?}\n{world:#?}\n{rotation:#?}");
}

impl World {
    /// Once faults stop.
    fn replace_unreadable(&mut self) {
        for shows in &mut self.places {
            if *shows == PlaceContent::Unreadable {
                *shows = PlaceContent::Old;
            }
        }
    }
}

fn worlds(rotation: &Rotation) -> Vec<World> {
    use PlaceContent::{Foreign, IdOnly, New, Old, Torn, Unreadable};
    let acknowledged = rotation.made().is_some_and(|made| made.fingerprint().is_some());
    let mixes: &[&[PlaceContent]] = if acknowledged {
        &[
            &[Old, Old],
            &[New, New],
            &[Torn, Old],
            &[New, Old],
            &[New, Foreign],
            &[Old, Foreign],
            &[Unreadable, New],
            &[IdOnly, Old],
            &[IdOnly, New],
        ]
    } else {
        &[&[Old, Old], &[Old, Foreign], &[Unreadable, Old]]
    };
    let statuses = [None, Some(KeyStatus::Active), Some(KeyStatus::Inactive)];
    let sinks = vec![key(OLD); rotation.sinks.len()];
    let last_use = BTreeSet::from([Operation::GetAccessKeyLastUsed.name()]);
    let mut worlds = Vec::new();
    for mix in mixes {
        for old in statuses {
            for new in statuses {
                for variant in 0..12 {
                    let mut world = World::new(mix);
                    world.in_hand = acknowledged && variant == 0;
                    world.sinks.clone_from(&sinks);
                    let keys = [(OLD, old, -1_000_000), (NEW, new, 10)];
                    let there = keys.into_iter().filter_map(|(id, status, made)| Some((key(id), (status?, made))));
                    world.keys = (![1, 8].contains(&variant)).then(|| there.collect());
                    match variant {
                        2 => world.elsewhere = BTreeSet::from([key(OLD)]),
                        3 => world.elsewhere = BTreeSet::from([key(NEW)]),
                        4 => world.unreadable = true,
                        5 => world.wrong_identity = true,
                        7 | 8 => world.denied = last_use.clone(),
                        9..=11 => {
                            world.user = UserName::new("another/name").expect("valid");
                            world.name_is_taken = variant == 10;
                            world.denied = if variant == 11 { last_use.clone() } else { BTreeSet::new() };
                        }
                        6 => {
                            world.used = BTreeMap::from([(key(NEW), 9_000), (key(OLD), 9_990)]);
                            if let Some(keys) = &mut world.keys {
                                keys.insert(key(STRANGER), (KeyStatus::Active, 20));
                            }
                        }
                        _ => {}
                    }
                    worlds.push(world);
                }
            }
        }
    }
    worlds
}

#[test]
fn every_rotation_ends_wherever_it_stands_and_every_blocks_command_resolves_it() {
    let mut met = BTreeSet::new();
    let (mut played, mut endings) = (0, BTreeSet::new());
    // Without waits, and with all of them.
    for policy in policies().into_iter().take(2) {
        for start in unblocked(&policy) {
            for world in worlds(&start) {
                for back in [false, true] {
                    let (mut rotation, mut world) = (start.clone(), world.clone());
                    let (ending, blocks) = to_the_end(&mut rotation, &mut world, back);
                    met.extend(blocks);
                    let is_gone = world.status(&key(OLD)).is_none();
                    assert!(ending == Ending::Aborted || is_gone, "{ending:?}, and the old key is there: {world:#?}");
                    endings.insert(ending.name());
                    played += 1;
                }
            }
        }
    }
    assert!(played > 20_000, "only {played} played");
    assert_eq!(endings.len(), 3);
    let mut reasons: BTreeSet<_> = reasons().iter().map(BlockReason::name).collect();
    // It takes five lost secrets: see below.
    reasons.remove("too-many-creates");
    // It takes a week of use: see below.
    reasons.remove("still-in-use");
    assert_eq!(met, reasons, "every block is met, and left through its command");
}

#[test]
fn five_lost_secrets_end_in_a_block_that_abort_resolves() {
    let mut rotation = settled(Phase::Opened, &Policy::default());
    let mut world = World::new(&[PlaceContent::Old]);
    world.loses_creates = true;
    let (ending, met) = to_the_end(&mut rotation, &mut world, false);
    assert_eq!((ending, met.as_slice()), (Ending::Aborted, ["too-many-creates"].as_slice()));
    assert_eq!(world.keys.map(|keys| keys.into_keys().collect()), Some(vec![key(OLD)]), "and no orphan is left");
}

/// Where the rotation ended, the world is as that ending says.
pub(super) fn check_ending(ending: Ending, rotation: &Rotation, world: &World) {
    let keys: Vec<_> = world.keys.iter().flatten().map(|(id, (status, _))| (id.clone(), *status)).collect();
    let expected = match ending {
        Ending::DeletedOld => rotation.new_key.clone().expect("its new key is on record"),
        Ending::Aborted => key(OLD),
        Ending::Gone => panic!("nothing was gone: {world:#?}"),
    };
    let shows = if ending == Ending::DeletedOld { PlaceContent::New } else { PlaceContent::Old };
    let has_it = |(sink, state): (&AccessKeyId, &SinkState)| state.left || *sink == expected;
    assert!(world.sinks.iter().zip(&rotation.sinks).all(has_it), "{world:#?}");
    assert_eq!(keys, [(expected, KeyStatus::Active)], "no orphan, no outage: {world:#?}");
    assert!(world.places.iter().all(|place| *place == shows), "{world:#?}");
}

fn play(policy: &Policy, sinks: usize, faults: BTreeMap<usize, Fault>) -> usize {
    let followers = vec![follower(); sinks];
    let mut rotation = Rotation::open(id(), Opened { sinks: followers, ..opened(policy.clone()) });
    let sinks = vec![key(OLD); sinks];
    let mut world = World { faults, sinks, ..World::new(&[PlaceContent::Old, PlaceContent::Old]) };
    let (ending, met) = to_the_end(&mut rotation, &mut world, false);
    let may_block = policy.unclaimed == Unclaimed::Report;
    // A create that is refused for lack of a right is not repeated in that run.
    let denied = met.iter().all(|reason| *reason == "access-denied");
    assert!(denied || may_block, "faults alone block nothing: {met:?} {world:#?}");
    check_ending(ending, &rotation, &world);
    world.effects
}

#[test]
fn every_fault_and_every_pair_of_faults_is_survived() {
    let faults = [
        Fault::Refused(RefusalKind::Throttled),
        Fault::Refused(RefusalKind::Denied),
        Fault::Refused(RefusalKind::Stale),
        Fault::LostBefore,
        Fault::LostAfter,
        Fault::CrashBefore,
        Fault::CrashAfter,
    ];
    let mut played = 0;
    for (policy, sinks) in policies().into_iter().flat_map(|policy| [0, 2].map(|sinks| (policy.clone(), sinks))) {
        let effects = play(&policy, sinks, BTreeMap::new());
        assert!(
            (3 + sinks..=4 + sinks).contains(&effects),
            "create, store, sinks, perhaps deactivate, delete: {effects}"
        );
        for first in 0..effects {
            for one in faults {
                let effects = play(&policy, sinks, BTreeMap::from([(first, one)]));
                for second in first + 1..effects {
                    for two in faults {
                        play(&policy, sinks, BTreeMap::from([(first, one), (second, two)]));
                        played += 1;
                    }
                }
            }
        }
    }
    assert!(played > 1_000, "only {played} pairs");
}

#[test]
fn a_store_that_never_takes_the_new_pair_ends_the_rotation() {
    for kind in [RefusalKind::Credentials, RefusalKind::Stale, RefusalKind::Other] {
        let mut rotation = settled(Phase::Opened, &Policy::default());
        let mut world = World::new(&[PlaceContent::Old]);
        world.faults = (1..4).map(|effect| (effect, Fault::Refused(kind))).collect();
        let (ending, met) = to_the_end(&mut rotation, &mut world, false);
        assert_eq!((ending, met.len()), (Ending::Aborted, 0), "{kind:?}");
        check_ending(ending, &rotation, &world);
        assert!(
            !world.told.iter().any(|(_, step)| *step == Step::Execute(Intent::FenceStore)),
            "a fence is a write, and would be refused"
        );
    }
}

#[test]
fn a_second_half_that_is_refused_for_good_undoes_the_first() {
    let mut rotation = settled(Phase::Opened, &Policy::default());
    let mut world = World { writes_half: true, ..World::new(&[PlaceContent::Old, PlaceContent::Old]) };
    assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::Aborted));
    check_ending(Ending::Aborted, &rotation, &world);
    let acts = |wanted: &Intent| world.told.iter().filter(|(_, step)| *step == Step::Execute(wanted.clone())).count();
    assert_eq!((acts(&Intent::StoreNew), acts(&Intent::RestoreOld)), (3, 1));
}

#[test]
fn a_person_who_reactivated_the_old_key_is_never_overruled() {
    let policy = &policies()[3];
    let mut rotation = settled(phases()[11].clone(), policy);
    let mut world = World::new(&[PlaceContent::New]);
    world.keys.as_mut().expect("a user").insert(key(NEW), (KeyStatus::Active, 10));
    assert_eq!(world.drive(&mut rotation), Left::Blocked(BlockReason::OldKeyReactivated { key: key(OLD) }));
    // Another writer reverts, and undoes that again.
    world.places.fill(PlaceContent::Old);
    assert!(matches!(world.drive(&mut rotation), Left::Blocked(BlockReason::Reverted { .. })));
    world.places.fill(PlaceContent::New);
    assert_eq!(world.drive(&mut rotation), Left::Blocked(BlockReason::OldKeyReactivated { key: key(OLD) }));
    assert_eq!(world.status(&key(OLD)), Some(KeyStatus::Active));
}
