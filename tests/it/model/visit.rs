//! One process at work on one rotation, as the drive does it: ask the machine, look, note, send an effect off, hear.
//! What the drive remembers and forgets between steps is here too; what to do is the machine's alone.

use super::machine::{Doing, Holds, LookAt, Next, PhaseIs, RefusalKindHashed, Reply};
use super::search::Model;
use super::seen::{Listed, Seen, Shows};
use super::world::{Actor, At, Batches, By, MOST_ENTRIES, Pair, Readings, Request, Right, State, User, Visit};
use rotator::rotation::policy::Unclaimed;

/// As the drive: then the rotation is left in flight until the next run.
const MOST_TRIES: u8 = 6;
/// When the next run looks at one that failed, in seconds.
const NEXT_RUN: i64 = 60;

fn shows(pair: Pair, old: u8, made: Option<(u8, bool)>) -> Shows {
    match made {
        Some((new, true)) if pair.secret == new && pair.id == new => Shows::New,
        Some((new, true)) if pair.secret == new && pair.id == old => Shows::Torn,
        Some((new, true)) if pair.secret == old && pair.id == new => Shows::IdOnly,
        _ if pair.id == old && pair.secret == old => Shows::Old,
        _ => Shows::Foreign,
    }
}

impl Model {
    fn rotation(state: &State, rotator: usize, user: usize) -> u32 {
        state.works[rotator][user].rotation.expect("it was opened")
    }

    fn holds(visit: &Visit) -> Holds {
        let halves = |place: usize| [visit.old_values[place * 2], visit.old_values[place * 2 + 1]];
        let can_put_back = |places: &Vec<Shows>| {
            let new = places.iter().enumerate().filter(|(_, shows)| matches!(shows, Shows::New | Shows::Torn));
            new.map(|(place, _)| place).all(|place| halves(place).iter().all(Option::is_some))
        };
        Holds { secret: visit.secret, old_values: visit.seen.places.as_ref().is_some_and(can_put_back) }
    }

    /// One step of a visit. `fails`: a proof that should pass does not.
    pub(super) fn step(&mut self, state: &mut State, rotator: usize, user: usize, fails: bool) {
        let rotation = Self::rotation(state, rotator, user);
        let visit = state.visit(rotator, user).clone();
        let holds = Self::holds(&visit);
        match self.machine.next(rotation, holds, &visit.seen) {
            Next::Rest => self.rest(state, rotator, user, None),
            Next::Wait(until) => self.rest(state, rotator, user, Some(until)),
            Next::Later => self.fail(state, rotator, user),
            Next::Note(next) => {
                state.works[rotator][user].rotation = Some(next);
                forget(state.visit(rotator, user));
            }
            Next::Look(look) => self.look(state, rotator, user, look, fails),
            Next::Act(doing, next) => {
                self.windows_of_an_intent(state, rotator, user, doing);
                let request = self.request(state, rotator, user, doing);
                Self::keep_old_values(state, rotator, user, doing);
                state.works[rotator][user].rotation = Some(next);
                state.requests.push(request);
                let visit = state.visit(rotator, user);
                visit.awaits = true;
                // What it rested on is carried by the request from here on.
                visit.readings = None;
                forget(visit);
            }
        }
    }

    /// Whether the next step is a proof that the world would pass.
    pub(super) fn is_about_to_prove(&mut self, state: &State, rotator: usize, user: usize) -> bool {
        let At::Visiting(visit) = &state.works[rotator][user].at else { return false };
        let rotation = Self::rotation(state, rotator, user);
        let holds = Self::holds(visit);
        let next = self.machine.next(rotation, holds, &visit.seen);
        let made = self.machine.facts(rotation).made;
        next == Next::Look(LookAt::NewPair) && made.is_some_and(|(key, _)| state.users[user].is_active(key))
    }

    fn rest(&mut self, state: &mut State, rotator: usize, user: usize, until: Option<i64>) {
        // What changed while it looked, it may not have seen.
        let changed = state.visit(rotator, user).overtaken;
        state.works[rotator][user].at = At::Resting { until, changed };
    }

    fn fail(&mut self, state: &mut State, rotator: usize, user: usize) {
        let visit = state.visit(rotator, user);
        visit.failures += 1;
        forget(visit);
        if visit.failures >= MOST_TRIES {
            self.rest(state, rotator, user, Some(NEXT_RUN));
        }
    }

    fn look(&mut self, state: &mut State, rotator: usize, user: usize, look: LookAt, fails: bool) {
        let facts = self.machine.facts(Self::rotation(state, rotator, user)).clone();
        let unreadable = state.users.iter().any(|user| user.unreadable);
        let named = |key| state.users.iter().any(|user| user.names(key));
        let world = state.users[user].clone();
        let mut proved = None;
        let named_now = if let LookAt::Scan(key) = look { named(key) } else { false };
        let visit = state.visit(rotator, user);
        let seen = &mut visit.seen;
        match look {
            LookAt::Keys => seen.keys = Some(list(&world)),
            LookAt::Places => {
                let places: Vec<_> = world.places.iter().map(|pair| shows(*pair, facts.old, facts.made)).collect();
                visit.secret |= places.iter().any(|shows| matches!(shows, Shows::New | Shows::Torn));
                seen.places = Some(places);
                visit.readings = Some(Readings { values: world.values(), fresh: u8::MAX });
            }
            LookAt::Scan(key) => {
                seen.scan.push((key, named_now));
                seen.unreadable = unreadable;
            }
            LookAt::NewPair | LookAt::StoredPair => {
                let (key, _) = facts.made.expect("a new key");
                assert!(visit.secret, "a proof of nothing in hand");
                let passes = world.is_active(key) && !fails;
                *(if look == LookAt::NewPair { &mut seen.new_pair } else { &mut seen.stored_pair }) = Some(passes);
                proved = passes.then_some(key);
            }
            LookAt::Owner(key) => seen.owners.push((key, world.find(key).is_some_and(|key| key.active.is_some()))),
            LookAt::Used(key) => seen.used.push((key, world.find(key).is_some_and(|key| key.used))),
        }
        let unused = |id| state.users[user].find(id).is_some_and(|key| !key.used);
        if let Some(key) = proved.filter(|key| unused(*key)) {
            state.users[user].keys.iter_mut().filter(|seen| seen.id == key).for_each(|key| key.used = true);
            state.changed(user, Actor::Rotator(rotator));
        }
    }

    fn request(&self, state: &State, rotator: usize, user: usize, doing: Doing) -> Request {
        let facts = self.machine.facts(Self::rotation(state, rotator, user));
        let At::Visiting(visit) = &state.works[rotator][user].at else { panic!("no visit") };
        Request {
            user: u8::try_from(user).expect("few"),
            rotator: u8::try_from(rotator).expect("few"),
            rotation: facts.number,
            doing,
            heard: true,
            right: self.right(state, rotator, user, doing),
            overtaken: visit.overtaken,
            deadline: super::world::LATE,
            batches: self.batches(visit, doing),
        }
    }

    /// What is written: as `drive/write.rs` has it, by what the last reading showed.
    fn batches(&self, visit: &Visit, doing: Doing) -> Batches {
        let (Some(readings), Some(places)) = (&visit.readings, &visit.seen.places) else { return Batches::default() };
        let value = |entry: u8| {
            let place = places[usize::from(entry) / 2];
            let old = visit.old_values[usize::from(entry)];
            match doing {
                Doing::Store(key) => matches!(place, Shows::Old | Shows::Torn | Shows::IdOnly).then_some(key),
                Doing::Restore => matches!(place, Shows::New | Shows::Torn | Shows::IdOnly).then_some(old).flatten(),
                Doing::Fence => Some(readings.values[usize::from(entry)]),
                Doing::Create | Doing::Sink(_) | Doing::Status(..) | Doing::Delete(_) => None,
            }
        };
        let batch = |entries: &&[u8]| -> Vec<_> {
            entries.iter().filter_map(|entry| value(*entry).map(|value| (*entry, value))).collect()
        };
        let order = match doing {
            // The id goes back first, as the secret came first.
            Doing::Restore => self.setup.layout.batches_back(),
            Doing::Store(_) | Doing::Fence | Doing::Create | Doing::Sink(_) | Doing::Status(..) | Doing::Delete(_) => {
                self.setup.layout.batches()
            }
        };
        let todo = order.iter().map(batch).filter(|batch| !batch.is_empty()).collect();
        Batches { todo, fresh: readings.fresh, written: false }
    }

    /// Keeps the values that a write of the new pair replaces, as the drive does.
    fn keep_old_values(state: &mut State, rotator: usize, user: usize, doing: Doing) {
        let visit = state.visit(rotator, user);
        let (Doing::Store(_), Some(readings), Some(places)) = (doing, visit.readings, visit.seen.places.clone()) else {
            return;
        };
        for entry in 0..MOST_ENTRIES {
            let shows = places.get(entry / 2).copied();
            if shows == Some(Shows::Old) {
                visit.old_values[entry].get_or_insert(readings.values[entry]);
            }
        }
    }

    /// By what right a key is touched: P2, written from DESIGN, not from the code under test.
    fn right(&self, state: &State, rotator: usize, user: usize, doing: Doing) -> Right {
        let (Doing::Status(id, _) | Doing::Delete(id)) = doing else { return Right::Plain };
        let number = Self::rotation(state, rotator, user);
        let (facts, rotation) = (self.machine.facts(number), self.machine.rotation(number));
        let Some(key) = state.users[user].find(id) else { return Right::Plain };
        let named = rotation
            .named
            .iter()
            .any(|named| named.as_str() == crate::support::rotations::key_id(u64::from(id)).as_str());
        if id == facts.old || key.by == By::Rotation(facts.number) || named {
            return Right::Plain;
        }
        let inside = rotation.watched.iter().any(|attempt| {
            let created = super::machine::at(key.created);
            let second = std::time::Duration::from_secs(1);
            created >= attempt.asked_at.minus(second * 2) && created <= attempt.give_up_at.plus(second * 60)
        });
        let may_be_taken = self.setup.policy.unclaimed == Unclaimed::Reclaim;
        if inside && may_be_taken { Right::Marks } else { Right::None }
    }

    /// A reply is heard. `half`: something was written, and then refused.
    pub(super) fn hear(&mut self, state: &mut State, request: &Request, reply: Option<Reply>) {
        let (rotator, user) = (usize::from(request.rotator), usize::from(request.user));
        let visit = state.visit(rotator, user);
        visit.awaits = false;
        visit.readings = None;
        forget(visit);
        let Some(reply) = reply else { return self.fail(state, rotator, user) };
        visit.secret |= matches!(reply, Reply::Created(_));
        let next = self.machine.hears(Self::rotation(state, rotator, user), reply);
        state.works[rotator][user].rotation = Some(next);
        if matches!(reply, Reply::Refused(_)) {
            return self.fail(state, rotator, user);
        }
        let created = self.machine.facts(next).phase == Some(PhaseIs::CreatedNew);
        let visit = state.visit(rotator, user);
        visit.failures = 0;
        if !created {
            visit.old_values = [None; MOST_ENTRIES];
        }
        // A secret of which no key is left is of no use; the drive drops it with the visit.
        visit.secret &= self.machine.facts(next).made.is_some();
    }

    /// Executes what a request asks, or the next part of it; `Some`: it is over, with this reply.
    pub(super) fn execute(&mut self, state: &mut State, request: &mut Request, lags: bool) -> Option<Option<Reply>> {
        let user = usize::from(request.user);
        let actor = Actor::Rotator(usize::from(request.rotator));
        let exists = state.users[user].exists;
        let reply = match request.doing {
            Doing::Create if !exists => Reply::Refused(RefusalKindHashed::NoSuchEntity),
            Doing::Delete(_) if !exists => Reply::Refused(RefusalKindHashed::NoSuchEntity),
            Doing::Create if state.users[user].alive() >= 2 => Reply::Refused(RefusalKindHashed::LimitExceeded),
            Doing::Create => {
                let id = state.fresh_id(user, self.remembered(state, user));
                state.users[user].add(id, By::Rotation(request.rotation), lags);
                state.changed(user, actor);
                Reply::Created(id)
            }
            Doing::Status(id, _) if state.users[user].find(id).is_none_or(|key| key.active.is_none()) => {
                Reply::Refused(RefusalKindHashed::NoSuchEntity)
            }
            Doing::Status(id, active) => {
                state.users[user].set(id, Some(active), lags);
                state.changed(user, actor);
                Reply::Done
            }
            Doing::Delete(id) => {
                if state.users[user].find(id).is_some_and(|key| key.active.is_some()) {
                    state.users[user].set(id, None, lags);
                    state.changed(user, actor);
                }
                Reply::Done
            }
            // Nobody sees what it holds, so that nobody has anything to look at again.
            Doing::Sink(id) => {
                state.users[user].sink = Some(id);
                Reply::Done
            }
            Doing::Store(_) | Doing::Restore | Doing::Fence => return self.write(state, request),
        };
        Some(Some(reply))
    }

    fn write(&mut self, state: &mut State, request: &mut Request) -> Option<Option<Reply>> {
        let user = usize::from(request.user);
        if !request.batches.todo.is_empty() {
            let batch = request.batches.todo.remove(0);
            let is_last_place =
                batch.iter().any(|(entry, _)| usize::from(*entry) / 2 + 1 == state.users[user].places.len());
            let refusal = if state.users[user].denials > 0 && is_last_place {
                state.users[user].denials -= 1;
                Some(RefusalKindHashed::Denied)
            } else if batch.iter().any(|(entry, _)| request.batches.fresh & (1 << entry) == 0) {
                Some(RefusalKindHashed::Stale)
            } else {
                None
            };
            if let Some(kind) = refusal {
                // A refusal after something was written is no refusal of the whole.
                return Some((!request.batches.written).then_some(Reply::Refused(kind)));
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
        let reads_back =
            |wanted: fn(&Pair, u8) -> bool, key| state.users[user].places.iter().all(|pair| wanted(pair, key));
        let both = |pair: &Pair, key: u8| pair.id == key && pair.secret == key;
        let done = match request.doing {
            Doing::Store(key) => reads_back(both, key),
            Doing::Restore => {
                let rotation = state.works[usize::from(request.rotator)][user].rotation.expect("it was opened");
                reads_back(both, self.machine.facts(rotation).old)
            }
            Doing::Create | Doing::Fence | Doing::Sink(_) | Doing::Status(..) | Doing::Delete(_) => true,
        };
        Some(done.then_some(Reply::Done))
    }

    /// What the rotations of a user remember: a bit for each key.
    pub(super) fn remembered(&self, state: &State, user: usize) -> u64 {
        let rotations = state.works.iter().filter_map(|works| works[user].rotation);
        rotations.map(|rotation| self.machine.facts(rotation).remembered).fold(0, |all, some| all | some)
    }
}

fn forget(visit: &mut Visit) {
    visit.seen = Seen::default();
    visit.overtaken = false;
    visit.stalled = false;
}

pub(super) fn list(user: &User) -> Listed {
    let listed = user.keys.iter().filter_map(|key| key.listed().map(|active| (key.id, active, key.created)));
    Listed { at: 0, keys: user.exists.then(|| listed.collect()) }
}
