//! Renames, deletes and recreates users, and gives a user's name to another user. Keys stay with their user, and calls
//! use the name.

use rotator::types::name::UserName;

use super::machine::LookAt;
use super::rights::Call;
use super::search::{Model, Move};
use super::seen::Listed;
use super::world::{Actor, ModelState, User};

/// The two names that a user may have.
pub(super) fn name_of(name: u8) -> UserName {
    UserName::new(if name == 0 { "a-user" } else { "renamed" }).expect("valid")
}

/// The fate of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The user has another name.
    Renamed,
    /// The user has another name, and a second user has the former name.
    RenamedAndTaken,
    Deleted,
    /// The user is deleted and created again under the same name: another user, without keys.
    Remade,
}

impl User {
    /// Whose keys are met under this name: `Some(true)`: another user's; `None`: there is no such user.
    pub(super) fn met_at(&self, name: u8) -> Option<bool> {
        if self.exists && self.name == name { Some(false) } else { (self.other && name == 0).then_some(true) }
    }

    /// Where the question whose key it is has no answer, the list of the user of this name is believed, as a list that
    /// answered is: real IAM refuses that question also for keys that it does not know.
    pub(super) const fn believes_the_other(&self) -> bool {
        self.other && self.denied & Call::LastUsed.bit() != 0
    }

    /// The list of the user of this name.
    pub(super) fn list(&self, name: u8) -> Listed {
        let keys = self.met_at(name).map(|other| {
            let its = self.keys.iter().filter(|key| key.other == other);
            its.filter_map(|key| key.listed().map(|active| (key.id, active, key.created))).collect()
        });
        Listed { at: 0, keys }
    }
}

impl Model {
    /// The time makes no difference as long as IAM is not called, so it happens right before a call.
    pub(super) fn fates(&mut self, state: &ModelState, moves: &mut Vec<Move>) {
        if state.left.fates == 0 {
            return;
        }
        for (user, world) in state.users.iter().enumerate() {
            if !world.exists {
                continue;
            }
            let is_called = state
                .requests
                .iter()
                .any(|request| usize::from(request.user) == user && request.batches.todo.is_empty());
            let is_asked = (0..state.works.len()).any(|rotator| {
                let look = self.next_look(state, rotator, user);
                matches!(look, Some(look) if !matches!(look, LookAt::Places | LookAt::Scan(_)))
            });
            if !is_called && !is_asked {
                continue;
            }
            let fates = match (world.name, world.other) {
                (0, _) => [Fate::Renamed, Fate::RenamedAndTaken, Fate::Deleted, Fate::Remade].as_slice(),
                (_, false) => [Fate::Renamed, Fate::Deleted].as_slice(),
                (_, true) => [Fate::Deleted].as_slice(),
            };
            moves.extend(fates.iter().map(|fate| Move::Meets { user, fate: *fate }));
        }
    }

    pub(super) fn meet(state: &mut ModelState, user: usize, fate: Fate) {
        let world = &mut state.users[user];
        match fate {
            Fate::Renamed => world.name = 1 - world.name,
            Fate::RenamedAndTaken => (world.name, world.other) = (1, true),
            Fate::Deleted | Fate::Remade => {
                world.exists = false;
                world.other |= fate == Fate::Remade;
                world.keys.retain(|key| key.other);
            }
        }
        state.changed(user, Actor::Operator);
    }
}
