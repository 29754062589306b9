//! The dangerous windows, and the number of times that the search passes through each.

use super::facts::{Asks, Facts, PhaseIs};
use super::machine::Doing;
use super::search::Model;
use super::world::{At, ModelState, Request};

/// Every window; each has to be hit.
pub(super) const WINDOWS: [&str; 24] = [
    "create in doubt",
    "store in doubt",
    "delete in doubt",
    "sink in doubt",
    "a create executed after it was reconciled",
    "a write of a sink executed and its reply lost",
    "a write executed after the fence",
    "a change or delete executed and its reply lost",
    "killed with the new secret in hand",
    "another writer between the observation and the effect",
    "time between the look and the effect",
    "a list that lags",
    "two rotators with a new key in hand",
    "an effect that another writer overtook breaks a pair",
    "a call refused for good",
    "blocked for want of a right",
    "a right missing with the new secret in hand",
    "a right given because a block names it",
    "a command run because a block prints it",
    "a user's new name followed",
    "the list of another user of the same name",
    "blocked as a user that is not found",
    "a create for another user of the same name",
    "a change or delete that does not find a new key",
];

impl Model {
    pub(super) fn windows_of_a_loss(&mut self, request: &Request) {
        match request.doing {
            Doing::Create => self.hit("create in doubt", 1),
            Doing::Store(_) => self.hit("store in doubt", 1),
            Doing::Delete(_) => self.hit("delete in doubt", 1),
            Doing::Sink(_) => self.hit("sink in doubt", 1),
            Doing::Restore | Doing::Fence | Doing::Status(..) => {}
        }
    }

    pub(super) fn windows_of_an_intent(&mut self, state: &ModelState, rotator: usize, user: usize, doing: Doing) {
        let At::Visiting(visit) = &state.works[rotator][user].at else { return };
        if visit.overtaken {
            self.hit("another writer between the observation and the effect", 1);
        }
        if visit.stalled && doing != Doing::Create {
            self.hit("time between the look and the effect", 1);
        }
    }

    pub(super) fn windows_of_a_note(&mut self, before: u32, after: u32) {
        let (was, is) = (self.machine.facts(before).clone(), self.machine.facts(after).clone());
        if was.name != is.name && is.phase.is_some() {
            self.hit("a user's new name followed", 1);
        }
        let asks_for_the_user = |facts: &Facts| facts.block.is_some_and(|block| block.asks == Asks::User);
        if asks_for_the_user(&is) && !asks_for_the_user(&was) {
            self.hit("blocked as a user that is not found", 1);
        }
    }

    pub(super) fn windows_of_an_execution(&mut self, before: &ModelState, request: &Request) {
        if request.heard {
            return;
        }
        let works = before.works.iter().map(|works| &works[usize::from(request.user)]);
        let rotations: Vec<_> = works.filter_map(|work| work.rotation).collect();
        match request.doing {
            Doing::Create if rotations.iter().all(|rotation| !self.machine.facts(*rotation).creates_in_doubt) => {
                self.hit("a create executed after it was reconciled", 1);
            }
            Doing::Store(_) if rotations.iter().any(|rotation| self.machine.facts(*rotation).is_fenced) => {
                self.hit("a write executed after the fence", 1);
            }
            Doing::Status(..) | Doing::Delete(_) => self.hit("a change or delete executed and its reply lost", 1),
            Doing::Sink(_) => self.hit("a write of a sink executed and its reply lost", 1),
            Doing::Create | Doing::Store(_) | Doing::Restore | Doing::Fence => {}
        }
    }

    pub(super) fn windows_of_a_state(&mut self, state: &ModelState) {
        for user in 0..state.users.len() {
            let in_hand = |work: &super::world::Work| match (&work.at, work.rotation) {
                (At::Visiting(visit), Some(rotation)) => {
                    visit.secret && self.machine.facts(rotation).phase == Some(PhaseIs::CreatedNew)
                }
                _ => false,
            };
            if state.works.len() == 2 && state.works.iter().all(|works| in_hand(&works[user])) {
                self.hit("two rotators with a new key in hand", 1);
            }
            if state.users[user].keys.iter().any(|key| key.shown.is_some()) {
                self.hit("a list that lags", 1);
            }
        }
    }
}
