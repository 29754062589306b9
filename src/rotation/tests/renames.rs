//! A user that is renamed, or deleted, while its rotation is open: in the pure world, where IAM knows names and keys.

use super::endings::{ask, check_ending};
use super::world::{Left, World};
use super::*;
use crate::rotation::decide::Step;
use crate::rotation::observed::{KeyOwner, PlaceContent};

impl World {
    /// Whether the rotation knows the user by its name.
    pub(super) fn is_user_of(&self, rotation: &Rotation) -> bool {
        rotation.opened.user == self.user
    }

    /// Whom IAM names for a key.
    pub(super) fn owner_of(&self, id: &AccessKeyId) -> KeyOwner {
        if self.denied.contains(Operation::GetAccessKeyLastUsed.name()) {
            // Worded anew each time, as AWS does.
            KeyOwner::Unclear(format!("request {}: AccessDenied", self.told.len()))
        } else if self.status(id).is_some() {
            KeyOwner::User(self.user.clone())
        } else {
            KeyOwner::NoSuchKey
        }
    }

    /// The name is that of no user, or of another one, who has none of these keys.
    pub(super) fn change_of_another(&self, intent: &Intent) -> Result<Outcome, Refusal> {
        let makes = matches!(intent, Intent::CreateNew { .. });
        assert!(!makes || !self.name_is_taken, "P2: a key was made for another user: {self:#?}");
        let deletes = matches!(intent, Intent::DeleteOld | Intent::DiscardNew { .. } | Intent::DeleteNamed { .. });
        if deletes && self.name_is_taken {
            return Ok(Outcome::of_intent(intent, at(self.now)).expect("it is not a create"));
        }
        Err(Refusal::new(RefusalKind::NoSuchEntity, "no"))
    }

    fn renamed(&mut self, name_is_taken: bool) {
        self.user = UserName::new("another/name").expect("valid");
        self.name_is_taken = name_is_taken;
    }
}

/// The moments of the rotation at which the user is renamed.
fn moments() -> Vec<fn(&Rotation) -> bool> {
    vec![
        |_| true,
        |rotation| matches!(rotation.state.phase(), Some(Phase::CreatedNew { .. })),
        |rotation| matches!(rotation.state, State::Settled { phase: Phase::StoredNew { .. } }),
        |rotation| matches!(rotation.state.phase(), Some(Phase::DeactivatedOld { .. })),
    ]
}

fn long_waits() -> Policy {
    Policy { overlap: LONG, quarantine: LONG, ..Policy::default() }
}

#[test]
fn a_rotation_goes_on_under_the_users_new_name() {
    for enough in moments() {
        for name_is_taken in [false, true] {
            let mut rotation = Rotation::open(id(), opened(long_waits()));
            let mut world = World::new(&[PlaceContent::Old]);
            assert_eq!(world.drive_until(&mut rotation, enough), None);
            world.renamed(name_is_taken);
            assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld), "{world:#?}");
            check_ending(Ending::DeletedOld, &rotation, &world);
            assert_eq!(rotation.opened.user, world.user);
            let renames = |(_, step): &&(i64, Step)| matches!(step, Step::Record(Event::Renamed { .. }));
            assert_eq!(world.told.iter().filter(renames).count(), 1, "{world:#?}");
        }
    }
}

/// Stands before the question what became of the user.
fn not_found(enough: fn(&Rotation) -> bool) -> (Rotation, World, BlockReason) {
    let mut rotation = Rotation::open(id(), opened(long_waits()));
    let mut world = World::new(&[PlaceContent::Old]);
    assert_eq!(world.drive_until(&mut rotation, enough), None);
    world.renamed(false);
    world.denied = BTreeSet::from([Operation::GetAccessKeyLastUsed.name()]);
    world.in_hand = false;
    let Left::Blocked(reason) = world.drive(&mut rotation) else { panic!("{world:#?}") };
    assert_eq!(reason.name(), "user-not-found");
    (rotation, world, reason)
}

#[test]
fn where_the_question_is_refused_an_operator_says_what_became_of_the_user() {
    for enough in moments() {
        // The user was renamed: the question is allowed, and the rotation continues.
        let (mut rotation, mut world, reason) = not_found(enough);
        let message = reason.message(&rotation.opened.user);
        assert!(message.contains("app/prod") && message.contains(OLD), "{message}");
        assert_eq!(world.drive(&mut rotation), Left::Blocked(reason), "the next run says the same, and notes nothing");
        world.denied.clear();
        assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld));
        check_ending(Ending::DeletedOld, &rotation, &world);

        // It was deleted.
        let (mut rotation, mut world, reason) = not_found(enough);
        world.keys = None;
        let word = match reason.command(rotation.id) {
            command if command.ends_with("--finish") => OperatorRequest::DeleteKey { key: key(OLD) },
            command => {
                assert_eq!(command, format!("rotator abort {}", rotation.id));
                OperatorRequest::Abort
            }
        };
        ask(&mut rotation, word);
        let ending = if matches!(rotation.state.phase(), Some(Phase::Opened)) { Ending::Aborted } else { Ending::Gone };
        assert_eq!(world.drive(&mut rotation), Left::Closed(ending), "{world:#?}");
    }
}

#[test]
fn a_word_from_before_the_user_was_missing_is_no_answer() {
    let mut rotation = Rotation::open(id(), opened(long_waits()));
    let mut world = World::new(&[PlaceContent::Old]);
    let stored = |rotation: &Rotation| matches!(rotation.state.phase(), Some(Phase::StoredNew { .. }));
    assert_eq!(world.drive_until(&mut rotation, stored), None);
    ask(&mut rotation, OperatorRequest::DeleteKey { key: key(OLD) });
    world.renamed(false);
    world.denied = BTreeSet::from([Operation::GetAccessKeyLastUsed.name()]);
    let left = world.drive(&mut rotation);
    assert!(matches!(left, Left::Blocked(BlockReason::UserNotFound { stored: true, .. })), "{left:?}");
    // The name is found again: what was said of the missing user is forgotten.
    ask(&mut rotation, OperatorRequest::DeleteKey { key: key(OLD) });
    assert!(rotation.user_given_up);
    world.denied.clear();
    assert_eq!(world.drive(&mut rotation), Left::Closed(Ending::DeletedOld));
    assert!(!rotation.user_given_up);
    check_ending(Ending::DeletedOld, &rotation, &world);
}
