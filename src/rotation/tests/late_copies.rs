//! Copies of the old pair that turn up after every place has the new one: they get it, too, and no operator is needed.

use super::world::{Fault, Left, World};
use super::*;
use crate::rotation::decide::Step;
use crate::rotation::observed::{KeyStatus, PlaceContent};

/// A pair in an environment of its own.
pub(super) fn copy() -> Place {
    let spot = |entry: &str| FieldRef { entry: EntryName::new(entry).expect("valid"), location: Location::WholeValue };
    let store = StoreName::new("sqlite:store.db").expect("valid");
    Place { store, id: spot("other/prod/ID"), secret: spot("other/prod/SECRET") }
}

impl World {
    /// A late copy becomes a place, or ceases to be one.
    pub(super) fn follow(&mut self, rotation: &Rotation, event: &Event) {
        if let Event::PlacesAdded { places, .. } = event {
            self.copies.retain(|copy| !places.contains(copy));
            self.places.extend(places.iter().map(|_| PlaceContent::Old));
        }
        if let Event::PlacesLeft { places } = event {
            let places_now = rotation.opened.places.iter().zip(std::mem::take(&mut self.places));
            for (place, shows) in places_now {
                match (places.contains(place), shows) {
                    (false, shows) => self.places.push(shows),
                    (true, PlaceContent::Old) => self.copies.push(place.clone()),
                    (true, _) => {}
                }
            }
        }
    }
}

/// A rotation whose new pair is stored, and the world it is in.
fn stored(policy: &Policy) -> (Rotation, World) {
    let mut rotation = settled(Phase::Opened, policy);
    let mut world = World::new(&[PlaceContent::Old]);
    let is_stored = |rotation: &Rotation| matches!(rotation.state.phase(), Some(Phase::StoredNew { .. }));
    assert_eq!(world.drive_until(&mut rotation, is_stored), None);
    world.told.clear();
    (rotation, world)
}

fn acts(world: &World) -> Vec<Intent> {
    let act = |(_, step): &(i64, Step)| if let Step::Execute(intent) = step { Some(intent.clone()) } else { None };
    world.told.iter().filter_map(act).collect()
}

/// Drives until the copy has become a place.
fn until_added(rotation: &mut Rotation, world: &mut World) {
    world.copies = vec![copy()];
    assert_eq!(world.drive_until(rotation, |rotation| !rotation.added.is_empty()), None);
    assert_eq!(rotation.opened.places.len(), 2);
}

#[test]
fn a_late_copy_gets_the_new_pair_and_then_the_old_key_goes() {
    for policy in policies() {
        let (mut rotation, mut world) = stored(&policy);
        world.copies = vec![copy()];
        assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld), "{policy:?}");
        assert_eq!(world.places, [PlaceContent::New; 2]);
        let acts = acts(&world);
        assert_eq!(acts.first(), Some(&Intent::StoreNew), "{acts:?}");
        assert_eq!(acts.last(), Some(&Intent::DeleteOld));
        assert!(rotation.added.is_empty() && rotation.left_out.is_empty());
    }
}

#[test]
fn the_overlap_begins_when_the_copy_has_the_pair() {
    let (mut rotation, mut world) = stored(&Policy { overlap: LONG, ..Policy::default() });
    until_added(&mut rotation, &mut world);
    let added = world.now;
    assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld));
    assert!(world.now >= added + 1_000, "{} after {added}", world.now);
}

#[test]
fn a_copy_that_comes_in_the_quarantine_works_again_until_it_has_the_pair() {
    let (mut rotation, mut world) = stored(&Policy { quarantine: LONG, ..Policy::default() });
    let is_off = |rotation: &Rotation| matches!(rotation.state.phase(), Some(Phase::DeactivatedOld { .. }));
    assert_eq!(world.drive_until(&mut rotation, is_off), None);
    world.told.clear();
    world.copies = vec![copy()];
    assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld));
    let expected = [Intent::ReactivateOld, Intent::StoreNew, Intent::DeactivateOld, Intent::DeleteOld];
    assert_eq!(acts(&world), expected);
    assert_eq!(world.places, [PlaceContent::New; 2]);
}

#[test]
fn a_crash_or_a_lost_reply_while_the_copy_is_written_changes_nothing_of_that() {
    for fault in [Fault::LostBefore, Fault::LostAfter, Fault::CrashBefore, Fault::CrashAfter] {
        let (mut rotation, mut world) = stored(&Policy::default());
        world.faults = BTreeMap::from([(world.effects, fault)]);
        world.copies = vec![copy()];
        assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld), "{fault:?}");
        assert_eq!(world.places, [PlaceContent::New; 2]);
        assert!(!acts(&world).contains(&Intent::RestoreOld), "{fault:?}");
    }
}

#[test]
fn a_copy_that_does_not_take_the_pair_blocks_as_it_did() {
    for kind in [RefusalKind::Denied, RefusalKind::Other] {
        let (mut rotation, mut world) = stored(&Policy::default());
        world.faults = (0..3).map(|more| (world.effects + more, Fault::Refused(kind))).collect();
        world.copies = vec![copy()];
        let Left::Blocked(BlockReason::StillReferenced { key: named, .. }) = world.drive(&mut rotation) else {
            panic!("{kind:?}: {:?}", rotation.state)
        };
        assert_eq!((named, world.status(&key(OLD))), (key(OLD), Some(KeyStatus::Active)));
        assert_eq!(world.places, [PlaceContent::New], "what was stored stays so");
        assert_eq!(rotation.opened.places.len(), 1);
        // An operator changes the entry.
        world.copies.clear();
        assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld), "{kind:?}");
    }
}

#[test]
fn what_an_operator_puts_back_while_a_copy_waits_is_not_overwritten() {
    let (mut rotation, mut world) = stored(&Policy::default());
    until_added(&mut rotation, &mut world);
    world.places[0] = PlaceContent::Old;
    assert!(matches!(world.drive(&mut rotation), Left::Blocked(BlockReason::Reverted { .. })), "{rotation:?}");
    world.places[0] = PlaceContent::Foreign;
    assert!(matches!(world.drive(&mut rotation), Left::Blocked(BlockReason::ChangedElsewhere { .. })), "{rotation:?}");
    assert!(acts(&world).is_empty(), "{:?}", acts(&world));
    // And the old pair everywhere is a way back.
    world.places.fill(PlaceContent::Old);
    rotation = apply(&rotation, &Event::Asked(OperatorRequest::Abort)).expect("open");
    assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::Aborted));
    assert_eq!(world.places, [PlaceContent::Old; 2]);
}

#[test]
fn a_copy_that_somebody_else_changes_is_no_place_any_more() {
    let (mut rotation, mut world) = stored(&Policy::default());
    until_added(&mut rotation, &mut world);
    world.places[1] = PlaceContent::Foreign;
    assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld));
    assert_eq!(world.places, [PlaceContent::New]);
    assert_eq!(rotation.left_out, [copy()]);
}

#[test]
fn one_that_somebody_gave_the_new_pair_is_as_good_as_written() {
    let (mut rotation, mut world) = stored(&Policy::default());
    until_added(&mut rotation, &mut world);
    world.places[1] = PlaceContent::New;
    assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld));
    assert_eq!(rotation.opened.places.len(), 2);
}

#[test]
fn a_copy_of_a_key_that_an_operator_switched_off_is_left_alone() {
    let (mut rotation, mut world) = stored(&Policy::default());
    world.set(&key(OLD), KeyStatus::Inactive);
    world.copies = vec![copy()];
    assert!(matches!(world.drive(&mut rotation), Left::Blocked(BlockReason::StillReferenced { .. })), "{rotation:?}");
    assert!(acts(&world).is_empty());
}
