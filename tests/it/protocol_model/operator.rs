//! The actions of an operator, possible at any step: in IAM, in the store, and with the commands of rotator.

use super::facts::PhaseIs;
use super::machine::{KeyId, Says};
use super::search::Model;
use super::world::{Actor, At, By, ModelState, NO_KEY, Pair};

/// As many as make rotator give up.
const DENIALS: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Fills the second slot with a key, and uses it at once or not.
    CreatesKey {
        uses: bool,
    },
    /// Uses a key that was never used before.
    Uses(KeyId),
    Deletes(KeyId),
    Switches(KeyId, bool),
    /// Writes something that is no key over a place's secret.
    Overwrites,
    /// Puts a pair into every place.
    Puts(KeyId),
    /// Names a key in another entry.
    Notes(KeyId),
    /// Makes that entry unreadable.
    Garbles,
    /// Withdraws the right to write the last place, until it has been refused a few times.
    Denies,
    DeletesUser,
    /// Runs a command of rotator's; the lock is free.
    Says(usize, Says),
}

impl Model {
    /// Returns the acts of an operator that are possible in this state.
    pub(super) fn acts(&mut self, state: &ModelState, user: usize) -> Vec<Act> {
        let world = &state.users[user];
        if !world.exists {
            return Vec::new();
        }
        let mut acts = vec![Act::DeletesUser];
        if world.alive() < 2 {
            acts.extend([Act::CreatesKey { uses: true }, Act::CreatesKey { uses: false }]);
        }
        for key in &world.keys {
            let Some(active) = key.active else { continue };
            acts.extend([Act::Deletes(key.id), Act::Switches(key.id, !active)]);
            if !key.used {
                acts.push(Act::Uses(key.id));
            }
            if world.note != Some(key.id) {
                acts.push(Act::Notes(key.id));
            }
            // Only who made a key, or read the store, has its secret.
            if key.by != By::Before && !world.names(key.id) && key.by != By::Operator {
                continue;
            }
            if world.places.iter().any(|pair| *pair != Pair { secret: key.id, id: key.id }) {
                acts.push(Act::Puts(key.id));
            }
        }
        if world.places[0].secret != NO_KEY {
            acts.push(Act::Overwrites);
        }
        if !world.unreadable {
            acts.push(Act::Garbles);
        }
        if world.denials == 0 {
            acts.push(Act::Denies);
        }
        for rotator in 0..state.works.len() {
            acts.extend(self.words(state, rotator, user).into_iter().map(|says| Act::Says(rotator, says)));
        }
        acts
    }

    /// Returns the possible operator commands about a rotation. The commands need the lock, so nothing is under way.
    fn words(&mut self, state: &ModelState, rotator: usize, user: usize) -> Vec<Says> {
        let work = &state.works[rotator][user];
        let (Some(rotation), At::Resting { .. }) = (work.rotation, &work.at) else { return Vec::new() };
        let facts = self.machine.facts(rotation).clone();
        let Some(phase) = facts.phase else { return Vec::new() };
        let mut words = vec![Says::Abort];
        if self.machine.rotation(rotation).abort_asked {
            words.push(Says::TakeAbortBack);
        }
        if phase == PhaseIs::DeactivatedOld {
            words.push(Says::Reactivate);
        }
        for key in &state.users[user].keys {
            let is_made = facts.made.is_some_and(|(made, _)| made == key.id);
            if !is_made || facts.made.is_some_and(|(_, heard)| !heard) {
                // `rotate --now` names the old key in any phase.
                words.push(Says::DeleteKey(key.id));
                // To keep it, before a block, would be a mistake.
                if key.id != facts.old || facts.is_blocked() {
                    words.push(Says::KeepKey(key.id));
                }
            }
        }
        words.retain(|says| self.machine.says(rotation, *says) != rotation);
        words
    }

    pub(super) fn act(&mut self, state: &mut ModelState, user: usize, act: Act) {
        match act {
            Act::CreatesKey { uses } => {
                let id = state.fresh_id(user, self.remembered(state, user));
                state.users[user].add(id, By::Operator, false, false);
                state.users[user].keys.iter_mut().filter(|key| key.id == id).for_each(|key| key.used = uses);
            }
            Act::Uses(id) => {
                state.users[user].keys.iter_mut().filter(|key| key.id == id).for_each(|key| key.used = true);
            }
            Act::Deletes(id) => state.users[user].set(id, None, false),
            Act::Switches(id, active) => state.users[user].set(id, Some(active), false),
            Act::Overwrites => state.write(user, 0, NO_KEY),
            Act::Puts(id) => {
                for entry in 0..state.users[user].places.len() * 2 {
                    state.write(user, entry, id);
                }
            }
            Act::Notes(id) => state.users[user].note = Some(id),
            Act::Garbles => state.users[user].unreadable = true,
            Act::Denies => state.users[user].denials = DENIALS,
            Act::DeletesUser => {
                state.users[user].exists = false;
                state.users[user].keys.retain(|key| key.other);
            }
            Act::Says(rotator, says) => {
                let rotation = state.works[rotator][user].rotation.expect("it was opened");
                state.works[rotator][user].rotation = Some(self.machine.says(rotation, says));
            }
        }
        state.changed(user, Actor::Operator);
    }
}
