//! Executes a request at IAM, a store or a sink, and returns the reply.

use super::machine::{Doing, RefusalKindHashed, Reply};
use super::rights::Call;
use super::search::Model;
use super::world::{Actor, By, ModelState, Pair, Request};

impl Model {
    /// Executes what a request asks, or the next part of it; `Some`: it is over, with this reply.
    pub(super) fn execute(
        &mut self,
        state: &mut ModelState,
        request: &mut Request,
        lags: bool,
    ) -> Option<Option<Reply>> {
        let user = usize::from(request.user);
        let denied = |call: Call| state.users[user].denied & call.bit() != 0;
        let refused = |kind| Some(Some(Reply::Refused(kind)));
        match request.doing {
            Doing::Create if denied(Call::Create) => return refused(RefusalKindHashed::Denied),
            Doing::Status(..) if denied(Call::Change) => return refused(RefusalKindHashed::Denied),
            Doing::Delete(_) if denied(Call::Delete) => return refused(RefusalKindHashed::Denied),
            Doing::Store(_) | Doing::Restore | Doing::Fence => return self.write(state, request),
            // Its place is the only thing that shows what it holds, so there is nothing to look at again.
            Doing::Sink(id) => {
                state.users[user].sink = Some(id);
                return Some(Some(Reply::Done));
            }
            Doing::Create | Doing::Status(..) | Doing::Delete(_) => {}
        }
        let Some(other) = state.users[user].met_at(request.name) else {
            return refused(RefusalKindHashed::NoSuchEntity);
        };
        Some(Some(self.of_keys(state, request, other, lags)))
    }

    /// A call that changes the keys of the user, or of another of the same name.
    fn of_keys(&mut self, state: &mut ModelState, request: &Request, other: bool, lags: bool) -> Reply {
        let user = usize::from(request.user);
        let actor = Actor::Rotator(usize::from(request.rotator));
        let alive = |id| state.users[user].find(id).filter(|key| key.active.is_some());
        match request.doing {
            Doing::Create if state.users[user].alive_of(other) >= 2 => {
                return Reply::Refused(RefusalKindHashed::LimitExceeded);
            }
            Doing::Create => {
                let id = state.fresh_id(user, self.remembered(state, user));
                state.users[user].add(id, By::Rotation(request.rotation), other, lags);
                state.changed(user, actor);
                if other {
                    self.hit("a create for another user of the same name", 1);
                    state.users[user].astray = true;
                    if !request.overtaken {
                        self.break_promise("P2: a key is made for another user of the same name".to_owned());
                    }
                }
                return Reply::Created(id);
            }
            Doing::Status(id, _) if alive(id).is_none_or(|key| key.other != other) => {
                return Reply::Refused(RefusalKindHashed::NoSuchEntity);
            }
            Doing::Status(id, active) => {
                state.users[user].set(id, Some(active), lags);
                state.changed(user, actor);
            }
            Doing::Delete(id) => match alive(id).map(|key| key.other == other) {
                Some(true) => {
                    state.users[user].set(id, None, lags);
                    state.changed(user, actor);
                }
                // The user does not have the key, which is success.
                Some(false) => {
                    let world = &mut state.users[user];
                    let excused = world.astray || world.believes_the_other() || request.overtaken;
                    world.astray = true;
                    if request.heard && !excused {
                        self.break_promise("P2: a delete is sent to another user of the same name".to_owned());
                    }
                }
                None => {}
            },
            Doing::Store(_) | Doing::Restore | Doing::Fence | Doing::Sink(_) => {}
        }
        Reply::Done
    }

    /// A list that does not show a new key yet, and a change or delete that does not find it.
    pub(super) fn miss(&mut self, state: &mut ModelState, request: &Request) {
        self.hit("a change or delete that does not find a new key", 1);
        if !request.heard {
            return;
        }
        let rotation = Self::rotation(state, usize::from(request.rotator), usize::from(request.user));
        let made = self.machine.facts(rotation).made;
        let reply = match request.doing {
            // Of a key that was just made it is no answer.
            Doing::Delete(id) if made.is_some_and(|(made, _)| made == id) => None,
            Doing::Delete(_) => Some(Reply::Done),
            Doing::Create | Doing::Status(..) | Doing::Store(_) | Doing::Restore | Doing::Fence | Doing::Sink(_) => {
                Some(Reply::Refused(RefusalKindHashed::NoSuchEntity))
            }
        };
        self.hear(state, request, reply);
    }

    fn write(&mut self, state: &mut ModelState, request: &mut Request) -> Option<Option<Reply>> {
        let user = usize::from(request.user);
        if !request.batches.todo.is_empty() {
            let batch = request.batches.todo.remove(0);
            let last = state.users[user].places.len() * 2 - 1;
            let is_last = batch.iter().any(|(entry, _)| usize::from(*entry) == last);
            let is_last_place = batch.iter().any(|(entry, _)| usize::from(*entry) / 2 == last / 2);
            let denied = |call: Call| state.users[user].denied & call.bit() != 0;
            let may_not = denied(Call::Write) || (is_last && denied(Call::WriteLast));
            let refusal = if may_not {
                Some(RefusalKindHashed::Denied)
            } else if state.users[user].denials > 0 && is_last_place {
                state.users[user].denials -= 1;
                Some(RefusalKindHashed::Denied)
            } else if batch.iter().any(|(entry, _)| request.batches.fresh & (1 << entry) == 0) {
                Some(RefusalKindHashed::Stale)
            } else {
                None
            };
            if let Some(kind) = refusal {
                // A refusal after something was written is no refusal of the whole; half a fence has changed nothing.
                let counts = !request.batches.written || request.doing == Doing::Fence;
                return Some(counts.then_some(Reply::Refused(kind)));
            }
            for (entry, value) in batch {
                let entry = usize::from(entry);
                let before = *state.users[user].entry(entry);
                self.overwrites(before, value, request);
                state.write(user, entry, value);
                request.batches.fresh &= !(1 << entry);
            }
            request.batches.written = true;
            state.changed(user, Actor::Rotator(usize::from(request.rotator)));
            if !request.batches.todo.is_empty() {
                return None;
            }
        }
        if state.users[user].denied & Call::Read.bit() != 0 {
            // The new pair cannot be read back.
            return Some(None);
        }
        let reads_back =
            |wanted: fn(&Pair, u8) -> bool, key| state.users[user].places.iter().all(|pair| wanted(pair, key));
        let both = |pair: &Pair, key: u8| pair.id == key && pair.secret == key;
        let done = match request.doing {
            Doing::Store(key) => reads_back(both, key),
            Doing::Restore => {
                let rotation = Self::rotation(state, usize::from(request.rotator), user);
                reads_back(both, self.machine.facts(rotation).old)
            }
            Doing::Create | Doing::Fence | Doing::Sink(_) | Doing::Status(..) | Doing::Delete(_) => true,
        };
        Some(done.then_some(Reply::Done))
    }

    /// The keys that the rotations of a user remember: a bit for each.
    pub(super) fn remembered(&self, state: &ModelState, user: usize) -> u64 {
        let rotations = state.works.iter().filter_map(|works| works[user].rotation);
        rotations.map(|rotation| self.machine.facts(rotation).remembered).fold(0, |all, some| all | some)
    }
}
