//! The dangerous windows, and how often the search passes through each.

use super::machine::{Doing, PhaseIs};
use super::search::Model;
use super::world::{At, Request, State};

/// Every window; each has to be hit.
pub(super) const WINDOWS: [&str; 14] = [
    "create in doubt",
    "store in doubt",
    "delete in doubt",
    "sink in doubt",
    "a create executed after it was reconciled",
    "a write of a sink executed that nobody hears of",
    "a write executed after the fence",
    "a change or delete executed that nobody hears of",
    "killed with the new secret in hand",
    "somebody between the look and the effect",
    "time between the look and the effect",
    "a list that lags",
    "two rotators with a new key in hand",
    "an effect that somebody overtook breaks a pair",
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

    pub(super) fn windows_of_an_intent(&mut self, state: &State, rotator: usize, user: usize, doing: Doing) {
        let At::Visiting(visit) = &state.works[rotator][user].at else { return };
        if visit.overtaken {
            self.hit("somebody between the look and the effect", 1);
        }
        if visit.stalled && doing != Doing::Create {
            self.hit("time between the look and the effect", 1);
        }
    }

    pub(super) fn windows_of_an_execution(&mut self, before: &State, request: &Request) {
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
            Doing::Status(..) | Doing::Delete(_) => self.hit("a change or delete executed that nobody hears of", 1),
            Doing::Sink(_) => self.hit("a write of a sink executed that nobody hears of", 1),
            Doing::Create | Doing::Store(_) | Doing::Restore | Doing::Fence => {}
        }
    }

    pub(super) fn windows_of_a_state(&mut self, state: &State) {
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
