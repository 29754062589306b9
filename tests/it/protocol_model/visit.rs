//! One process at work on one rotation, as the engine does it: ask the machine, look, note, send an effect off, hear.
//! This file also models what the engine remembers between steps. The machine decides what to do.

use super::facts::{Asks, PhaseIs};
use super::machine::{Doing, Holds, KeyId, LookAt, Next, RefusalKindHashed, Reply};
use super::rights::{Call, Lack};
use super::search::Model;
use super::seen::{Owner, Proved, Seen, Shows};
use super::world::{Actor, At, Batches, By, MOST_ENTRIES, ModelState, Pair, Readings, Request, Right, User, Visit};
use rotator::rotation::policy::Unclaimed;

/// As the engine: then the rotation is left in flight until the next run.
const MOST_TRIES: u8 = 6;
/// The time until the next run after a failure, in seconds.
const NEXT_RUN: i64 = 60;
/// When one looks again that waits for the next of one new key a day.
const A_DAY: i64 = 24 * 3_600;

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
    pub(super) fn rotation(state: &ModelState, rotator: usize, user: usize) -> u32 {
        state.works[rotator][user].rotation.expect("it was opened")
    }

    pub(super) fn holds(visit: &Visit) -> Holds {
        let halves = |place: usize| [visit.old_values[place * 2], visit.old_values[place * 2 + 1]];
        let can_put_back = |places: &Vec<Shows>| {
            let new = places.iter().enumerate().filter(|(_, shows)| matches!(shows, Shows::New | Shows::Torn));
            new.map(|(place, _)| place).all(|place| halves(place).iter().all(Option::is_some))
        };
        Holds { secret: visit.secret, old_values: visit.seen.places.as_ref().is_some_and(can_put_back) }
    }

    /// One step of a visit. `fails`: a proof that should pass does not.
    pub(super) fn step(&mut self, state: &mut ModelState, rotator: usize, user: usize, fails: bool) {
        let rotation = Self::rotation(state, rotator, user);
        let visit = state.visit(rotator, user).clone();
        let holds = Self::holds(&visit);
        match self.machine.next(rotation, holds, &visit.seen) {
            Next::Rest => self.rest(state, rotator, user, None),
            Next::Wait(until) => self.rest(state, rotator, user, Some(until)),
            Next::Later if visit.seen.places.iter().flatten().any(|shows| *shows == Shows::Unreadable) => {
                self.denied(state, rotator, user, Lack::Places, visit.overtaken);
            }
            Next::Later => self.fail(state, rotator, user),
            Next::Note(next) => {
                self.windows_of_a_note(rotation, next);
                state.works[rotator][user].rotation = Some(next);
                forget(state.visit(rotator, user));
            }
            Next::Look(look) => self.look(state, rotator, user, look, fails),
            Next::Act(Doing::Store(_), _) if visit.store_denied => {
                state.visit(rotator, user).store_denied = false;
                self.denied(state, rotator, user, Lack::Write, visit.overtaken);
            }
            Next::Act(doing, next) => {
                self.windows_of_an_intent(state, rotator, user, doing);
                let request = self.request(state, rotator, user, doing);
                Self::keep_old_values(state, rotator, user, doing);
                state.works[rotator][user].rotation = Some(next);
                state.requests.push(request);
                let visit = state.visit(rotator, user);
                visit.awaits = true;
                // From here on, the request carries the facts that it relies on.
                visit.readings = None;
                forget(visit);
            }
        }
    }

    /// Whether the next step is a proof that the world would pass.
    pub(super) fn is_about_to_prove(&mut self, state: &ModelState, rotator: usize, user: usize) -> bool {
        let At::Visiting(visit) = &state.works[rotator][user].at else { return false };
        let rotation = Self::rotation(state, rotator, user);
        let holds = Self::holds(visit);
        let next = self.machine.next(rotation, holds, &visit.seen);
        let made = self.machine.facts(rotation).made;
        next == Next::Look(LookAt::NewPair) && made.is_some_and(|(key, _)| state.users[user].is_active(key))
    }

    pub(super) fn rest(&mut self, state: &mut ModelState, rotator: usize, user: usize, until: Option<i64>) {
        // A change during the observation may have been missed.
        let visit = state.visit(rotator, user);
        let changed = visit.overtaken || visit.renewed;
        let block = self.machine.facts(Self::rotation(state, rotator, user)).block;
        let once_a_day = block.is_some_and(|block| matches!(block.asks, Asks::RightOnceADay(_)));
        let until = until.or_else(|| once_a_day.then_some(A_DAY));
        state.works[rotator][user].at = At::Resting { until, changed };
    }

    fn fail(&mut self, state: &mut ModelState, rotator: usize, user: usize) {
        let visit = state.visit(rotator, user);
        visit.failures += 1;
        forget(visit);
        if visit.failures >= MOST_TRIES {
            self.rest(state, rotator, user, Some(NEXT_RUN));
        }
    }

    fn look(&mut self, state: &mut ModelState, rotator: usize, user: usize, look: LookAt, fails: bool) {
        let facts = self.machine.facts(Self::rotation(state, rotator, user)).clone();
        if let Some(lack) = refused(state, user, look) {
            let overtaken = state.visit(rotator, user).overtaken;
            return self.denied(state, rotator, user, lack, overtaken);
        }
        if look == LookAt::Keys && state.users[user].met_at(facts.name) == Some(true) {
            self.hit("the list of another user of the same name", 1);
        }
        let unreadable = state.users.iter().any(|user| user.unreadable);
        let named = |key| state.users.iter().any(|user| user.names(key));
        let world = state.users[user].clone();
        let may = |call: Call| world.denied & call.bit() == 0;
        let mut proved = None;
        let named_now = if let LookAt::Scan(key) = look { named(key) } else { false };
        let visit = state.visit(rotator, user);
        let seen = &mut visit.seen;
        match look {
            LookAt::Keys => seen.keys = Some(world.list(facts.name)),
            LookAt::Places => {
                let show = |pair: &Pair| {
                    if may(Call::Read) { shows(*pair, facts.old, facts.made) } else { Shows::Unreadable }
                };
                let places: Vec<_> = world.places.iter().map(show).collect();
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
                let answer = prove(&world, key, may(Call::Identity), fails);
                *(if look == LookAt::NewPair { &mut seen.new_pair } else { &mut seen.stored_pair }) = Some(answer);
                proved = (answer == Proved::Passed).then_some(key);
            }
            LookAt::Owner(key) => seen.owners.push((key, owner(&world, key, may(Call::LastUsed), may(Call::List)))),
            LookAt::Used(key) => seen.used.push((key, world.find(key).is_some_and(|key| key.used))),
        }
        let unused = |id| state.users[user].find(id).is_some_and(|key| !key.used);
        if let Some(key) = proved.filter(|key| unused(*key)) {
            state.users[user].keys.iter_mut().filter(|seen| seen.id == key).for_each(|key| key.used = true);
            state.changed(user, Actor::Rotator(rotator));
        }
    }

    fn request(&self, state: &ModelState, rotator: usize, user: usize, doing: Doing) -> Request {
        let facts = self.machine.facts(Self::rotation(state, rotator, user));
        let At::Visiting(visit) = &state.works[rotator][user].at else { panic!("no visit") };
        let may_not_write = self.machine.rotation(Self::rotation(state, rotator, user)).may_not_write();
        Request {
            user: u8::try_from(user).expect("few"),
            rotator: u8::try_from(rotator).expect("few"),
            rotation: facts.number,
            doing,
            name: facts.name,
            heard: true,
            right: self.right(state, rotator, user, doing),
            overtaken: visit.overtaken,
            deadline: super::world::LATE,
            batches: self.batches(visit, doing, may_not_write),
        }
    }

    /// Returns the writes as `engine/executor/entry_writes.rs` makes them from the last reading.
    fn batches(&self, visit: &Visit, doing: Doing, may_not_write: bool) -> Batches {
        let (Some(readings), Some(places)) = (&visit.readings, &visit.seen.places) else { return Batches::default() };
        let value = |entry: u8| {
            let place = places[usize::from(entry) / 2];
            let old = visit.old_values[usize::from(entry)];
            match doing {
                Doing::Store(key) => matches!(place, Shows::Old | Shows::Torn | Shows::IdOnly).then_some(key),
                Doing::Restore => {
                    let is_back = may_not_write && old == Some(readings.values[usize::from(entry)]);
                    let back = matches!(place, Shows::New | Shows::Torn | Shows::IdOnly) && !is_back;
                    back.then_some(old).flatten()
                }
                Doing::Fence => Some(readings.values[usize::from(entry)]),
                Doing::Create | Doing::Sink(_) | Doing::Status(..) | Doing::Delete(_) => None,
            }
        };
        let batch = |entries: &&[u8]| -> Vec<_> {
            entries.iter().filter_map(|entry| value(*entry).map(|value| (*entry, value))).collect()
        };
        let order = match doing {
            // Restores the id first, because the secret was written first.
            Doing::Restore => self.setup.layout.batches_back(),
            Doing::Store(_) | Doing::Fence | Doing::Create | Doing::Sink(_) | Doing::Status(..) | Doing::Delete(_) => {
                self.setup.layout.batches()
            }
        };
        let todo = order.iter().map(batch).filter(|batch| !batch.is_empty()).collect();
        Batches { todo, fresh: readings.fresh, written: false }
    }

    /// Keeps the values that a write of the new pair replaces, as the engine does.
    fn keep_old_values(state: &mut ModelState, rotator: usize, user: usize, doing: Doing) {
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

    /// By what right a key is touched: P2, written from `docs/design/promises.md`, not from the code under test.
    fn right(&self, state: &ModelState, rotator: usize, user: usize, doing: Doing) -> Right {
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
        let inside = rotation.lost_creates.iter().any(|attempt| {
            let created = super::machine::at(key.created);
            let second = std::time::Duration::from_secs(1);
            created >= attempt.asked_at.minus(second * 2) && created <= attempt.give_up_at.plus(second * 60)
        });
        let may_be_taken = self.setup.policy.unclaimed == Unclaimed::Reclaim;
        if inside && may_be_taken { Right::Marks } else { Right::None }
    }

    /// A reply is heard. `half`: something was written, and then refused.
    pub(super) fn hear(&mut self, state: &mut ModelState, request: &Request, reply: Option<Reply>) {
        let (rotator, user) = (usize::from(request.rotator), usize::from(request.user));
        let visit = state.visit(rotator, user);
        visit.awaits = false;
        visit.readings = None;
        forget(visit);
        let Some(reply) = reply else { return self.fail(state, rotator, user) };
        visit.secret |= matches!(reply, Reply::Created(_));
        let rotation = Self::rotation(state, rotator, user);
        let next = self.machine.hears(rotation, reply);
        state.works[rotator][user].rotation = Some(next);
        if reply == Reply::Refused(RefusalKindHashed::Denied) {
            return match (request.doing, Lack::of_effect(request.doing)) {
                (Doing::Store(_), _) => self.write_denied(state, rotator, user),
                (_, Some(lack)) => self.denied(state, rotator, user, lack, request.overtaken),
                (_, None) => self.fail(state, rotator, user),
            };
        }
        if matches!(reply, Reply::Refused(_)) {
            return self.fail(state, rotator, user);
        }
        let created = self.machine.facts(next).phase == Some(PhaseIs::CreatedNew);
        let visit = state.visit(rotator, user);
        visit.failures = 0;
        visit.store_denied = false;
        if !created {
            visit.old_values = [None; MOST_ENTRIES];
        }
        // A secret of which no key is left is of no use; the engine drops it with the visit.
        visit.secret &= self.machine.facts(next).made.is_some();
    }
}

pub(super) fn forget(visit: &mut Visit) {
    visit.seen = Seen::default();
    visit.overtaken = false;
    visit.stalled = false;
}

/// A look that is refused as a whole.
fn refused(state: &ModelState, user: usize, look: LookAt) -> Option<Lack> {
    let denied = |call: Call| state.users[user].denied & call.bit() != 0;
    let by_any = |call: Call| state.users.iter().any(|user| user.denied & call.bit() != 0);
    match look {
        LookAt::Keys => denied(Call::List).then_some(Lack::List),
        LookAt::Scan(_) => by_any(Call::Read).then_some(Lack::Scan),
        LookAt::Used(key) => denied(Call::LastUsed).then_some(Lack::LastUsed(key)),
        // For these observations a missing answer is an answer.
        LookAt::Places | LookAt::NewPair | LookAt::StoredPair | LookAt::Owner(_) => None,
    }
}

fn prove(world: &User, key: KeyId, may: bool, fails: bool) -> Proved {
    match world.find(key).filter(|key| key.active == Some(true)) {
        None => Proved::TimedOut,
        Some(_) if !may => Proved::Denied,
        Some(key) if key.other => Proved::SomebodyElse,
        Some(_) if fails => Proved::TimedOut,
        Some(_) => Proved::Passed,
    }
}

/// As the engine asks: whose the key is, and whether the list of that user bears it out.
fn owner(world: &User, key: KeyId, may_ask: bool, may_list: bool) -> Owner {
    if !may_ask {
        return Owner::Unclear;
    }
    match world.find(key).filter(|key| key.active.is_some()) {
        None => Owner::NoSuchKey,
        Some(key) if !may_list || key.listed().is_none() => Owner::Unclear,
        Some(key) => Owner::Named(if key.other { 0 } else { world.name }),
    }
}
