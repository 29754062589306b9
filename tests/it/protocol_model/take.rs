//! Takes one step of the environment.

use super::facts::{Facts, PhaseIs};
use super::machine::Doing;
use super::moves::{due, next_moment};
use super::search::{Model, Move};
use super::seen::Seen;
use super::world::{At, LONG_AGO, ModelState, Request, Visit, Work};

impl Model {
    pub(super) fn take(&mut self, state: &mut ModelState, step: Move) {
        let before = state.clone();
        match step {
            Move::Execute { request, lags } => {
                state.left.lags -= u8::from(lags);
                self.executed(&before, state, request, lags);
            }
            Move::Lose { request } => {
                state.left.losses -= 1;
                state.requests[request].heard = false;
                let request = state.requests[request].clone();
                self.windows_of_a_loss(&request);
                self.hear(state, &request, None);
            }
            Move::Crash { rotator } => {
                state.left.crashes -= 1;
                self.crash(state, rotator);
            }
            Move::Step { rotator, user, fails } => {
                state.left.losses -= u8::from(fails);
                self.step(state, rotator, user, fails);
            }
            Move::Visit { rotator, user } => state.works[rotator][user].at = At::Visiting(Visit::default()),
            Move::Tick => self.tick(state),
            Move::Open { rotator, user } => {
                let old = due(state, user).expect("a key is due");
                let rotation = self.machine.open(u8::try_from(rotator).expect("few"), old);
                state.works[rotator][user].rotation = Some(rotation);
                state.works[rotator][user].at = At::Visiting(Visit::default());
            }
            Move::Copy { user } => {
                state.works[1][user].rotation = state.works[0][user].rotation;
                state.works[1][user].at = At::Resting { until: None, changed: true };
            }
            Move::Operator { user, act } => {
                state.left.acts -= 1;
                self.act(state, user, act);
            }
            Move::Miss { request } => {
                let request = state.requests.remove(request);
                self.miss(state, &request);
            }
            Move::Refuse { user, calls } => {
                state.left.refusals -= 1;
                state.users[user].denied |= calls;
            }
            Move::Obey { rotator, user, allows } => self.obey(state, rotator, user, allows),
            Move::Meets { user, fate } => {
                state.left.fates -= 1;
                Self::meet(state, user, fate);
            }
        }
        Self::excuse(&before, state, matches!(step, Move::Operator { .. } | Move::Meets { .. }));
        self.windows_of_a_state(state);
        self.forget_what_decides_nothing(state);
    }

    /// States that differ in nothing that anybody can find out are one.
    fn forget_what_decides_nothing(&mut self, state: &mut ModelState) {
        let users = &state.users;
        let mut refused_write = 0;
        state.requests.retain(|request| {
            let user = &users[usize::from(request.user)];
            let changes_something = match request.doing {
                Doing::Create => user.exists || user.other,
                Doing::Status(id, active) => user.find(id).is_some_and(|key| key.active == Some(!active)),
                Doing::Delete(id) => user.find(id).is_some_and(|key| key.active.is_some()),
                // Another value may have been written before this write takes effect.
                Doing::Sink(_) => true,
                Doing::Store(_) | Doing::Restore | Doing::Fence => {
                    let next = request.batches.todo.first();
                    next.is_some_and(|batch| batch.iter().all(|(entry, _)| request.batches.fresh & (1 << entry) != 0))
                }
            };
            let is_late_write = !request.heard && !changes_something && matches!(request.doing, Doing::Store(_));
            refused_write += u64::from(is_late_write);
            request.heard || changes_something
        });
        self.hit("a late write that compare-and-set refuses", refused_write);
        state.requests.sort();
        for user in 0..state.users.len() {
            let known = |facts: &Facts, id| facts.phase.is_none() || facts.old == id || facts.made == Some((id, true));
            for number in 0..state.users[user].keys.len() {
                let id = state.users[user].keys[number].id;
                let mut rotations = state.works.iter().filter_map(|works| works[user].rotation);
                let undecided = state.works.iter().any(|works| {
                    works[user].rotation.is_none()
                        || matches!(&works[user].at, At::Visiting(visit) if visit.seen.keys.is_some())
                });
                if !undecided && rotations.all(|rotation| known(self.machine.facts(rotation), id)) {
                    state.users[user].keys[number].created = LONG_AGO;
                }
            }
        }
    }

    fn executed(&mut self, before: &ModelState, state: &mut ModelState, request: usize, lags: bool) {
        let mut request = state.requests.remove(request);
        self.windows_of_an_execution(before, &request);
        let over = self.execute(state, &mut request, lags);
        self.check_effect(before, state, &request);
        match over {
            None => state.requests.push(request),
            Some(reply) if request.heard => self.hear(state, &request, reply),
            Some(_) => {}
        }
    }

    fn crash(&mut self, state: &mut ModelState, rotator: usize) {
        for user in 0..state.users.len() {
            let At::Visiting(visit) = &state.works[rotator][user].at else { continue };
            let facts = self.machine.facts(state.works[rotator][user].rotation.expect("it was opened"));
            if visit.secret && facts.phase == Some(PhaseIs::CreatedNew) {
                self.hit("killed with the new secret in hand", 1);
            }
            state.works[rotator][user].at = At::Resting { until: None, changed: true };
        }
        let mine = |request: &&mut Request| usize::from(request.rotator) == rotator && request.heard;
        let mut lost = Vec::new();
        for request in state.requests.iter_mut().filter(mine) {
            request.heard = false;
            lost.push(request.clone());
        }
        for request in lost {
            self.windows_of_a_loss(&request);
        }
    }

    /// Lets time pass: every time moves into the past.
    fn tick(&mut self, state: &mut ModelState) {
        let seconds = next_moment(state).expect("something is due");
        for user in 0..state.users.len() {
            let mut shows_more = false;
            for key in &mut state.users[user].keys {
                if key.created != LONG_AGO {
                    key.created -= seconds;
                }
                if let Some((_, until)) = &mut key.shown {
                    *until -= seconds;
                    if *until <= 0 {
                        key.shown = None;
                        shows_more = true;
                    }
                }
            }
            state.users[user].forget_deleted();
            for works in &mut state.works {
                let work = &mut works[user];
                work.rotation = work.rotation.map(|rotation| self.machine.later(rotation, seconds));
                match &mut work.at {
                    At::Nothing => {}
                    At::Resting { until, changed } => {
                        if let Some(until) = until {
                            *until -= seconds;
                        }
                        *changed |= shows_more;
                    }
                    At::Visiting(visit) => {
                        visit.stalled |= visit.seen != Seen::default();
                        if let Some(listed) = &mut visit.seen.keys {
                            listed.at -= seconds;
                            let created = listed.keys.iter_mut().flatten().map(|(_, _, created)| created);
                            created.filter(|created| **created != LONG_AGO).for_each(|created| *created -= seconds);
                        }
                    }
                }
            }
        }
        for request in &mut state.requests {
            // A signature is good for a quarter of an hour, and a sink says how late it may be; what a store compares and sets may be late for ever.
            if matches!(request.doing, Doing::Create | Doing::Delete(_) | Doing::Sink(_)) {
                request.deadline -= seconds;
            }
        }
        state.requests.retain(|request| request.deadline >= 0);
        let visiting = |work: &Work| matches!(work.at, At::Visiting(_));
        if state.works.iter().flatten().any(visiting) {
            state.left.stalls -= 1;
        }
    }
}
