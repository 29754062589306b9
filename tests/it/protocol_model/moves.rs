//! The moves that are possible in a state.

use super::machine::Doing;
use super::search::{Model, Move};
use super::setup::Second;
use super::world::{At, ModelState, Pair, Request};

impl Model {
    /// Returns the possible moves, those without a fault first, and the number of the latter.
    pub(super) fn moves(&mut self, state: &ModelState) -> (Vec<Move>, usize) {
        let left = state.left;
        let mut moves = Vec::new();
        let mut faults = Vec::new();
        for (request, sent) in state.requests.iter().enumerate() {
            if sent.heard {
                moves.push(Move::Execute { request, lags: false });
                if left.losses > 0 {
                    faults.push(Move::Lose { request });
                }
            } else {
                faults.push(Move::Execute { request, lags: false });
            }
            let can_lag = matches!(sent.doing, Doing::Create | Doing::Status(..) | Doing::Delete(_));
            if left.lags > 0 && can_lag {
                faults.push(Move::Execute { request, lags: true });
            }
            if is_not_found(state, sent) {
                faults.push(Move::Miss { request });
            }
        }
        let mut visiting = false;
        for (rotator, works) in state.works.iter().enumerate() {
            let mut in_memory = false;
            for (user, work) in works.iter().enumerate() {
                match &work.at {
                    At::Nothing => {}
                    At::Resting { until, changed } => {
                        if *changed || until.is_some_and(|until| until <= 0) {
                            moves.push(Move::Visit { rotator, user });
                        }
                    }
                    At::Visiting(visit) => {
                        visiting = true;
                        in_memory = true;
                        if !visit.awaits {
                            moves.push(Move::Step { rotator, user, fails: false });
                            if left.losses > 0 && self.is_about_to_prove(state, rotator, user) {
                                faults.push(Move::Step { rotator, user, fails: true });
                            }
                        }
                    }
                }
            }
            if in_memory && left.crashes > 0 {
                faults.push(Move::Crash { rotator });
            }
        }
        let heard = state.requests.iter().any(|request| request.heard);
        if next_moment(state).is_some() {
            if !visiting {
                moves.push(Move::Tick);
            } else if left.stalls > 0 && !heard {
                faults.push(Move::Tick);
            }
        }
        self.obeying(state, &mut moves);
        let faultless = moves.len();
        moves.append(&mut faults);
        self.refusals(state, &mut moves);
        self.fates(state, &mut moves);
        for user in 0..state.users.len() {
            self.others(state, user, &mut moves);
        }
        (moves, faultless)
    }

    /// Adds the moves that the second rotator and operators may begin.
    fn others(&mut self, state: &ModelState, user: usize, moves: &mut Vec<Move>) {
        if let Some(second) = state.works.get(1)
            && second[user].at == At::Nothing
        {
            match self.setup.second {
                Second::None => {}
                Second::Opens => {
                    if due(state, user).is_some() {
                        moves.push(Move::Open { rotator: 1, user });
                    }
                }
                Second::Copies => moves.push(Move::Copy { user }),
            }
        }
        if state.left.acts > 0 {
            moves.extend(self.acts(state, user).into_iter().map(|act| Move::Operator { user, act }));
        }
    }
}

/// A change or delete of a key that lists do not show yet may not find it, either.
fn is_not_found(state: &ModelState, request: &Request) -> bool {
    let (Doing::Status(id, _) | Doing::Delete(id)) = request.doing else { return false };
    let key = state.users[usize::from(request.user)].find(id);
    key.is_some_and(|key| key.active.is_some() && key.listed().is_none())
}

/// The key that a survey would find due: every place holds its pair, and it is the user's only key.
pub(super) fn due(state: &ModelState, user: usize) -> Option<u8> {
    let world = &state.users[user];
    let Pair { id, .. } = world.places[0];
    let stands = world.places.iter().all(|pair| *pair == Pair { secret: id, id });
    let listed: Vec<_> = world.keys.iter().filter_map(|key| key.listed().map(|active| (key.id, active))).collect();
    (world.exists && world.name == 0 && stands && listed == [(id, true)] && world.note != Some(id)).then_some(id)
}

/// In how many seconds something is due next.
pub(super) fn next_moment(state: &ModelState) -> Option<i64> {
    let mut moments = Vec::new();
    for work in state.works.iter().flatten() {
        if let At::Resting { until: Some(until), .. } = work.at {
            moments.push(until);
        }
    }
    for key in state.users.iter().flat_map(|user| &user.keys) {
        moments.extend(key.shown.map(|(_, until)| until));
    }
    moments.into_iter().filter(|moment| *moment > 0).min()
}
