//! The promises of `docs/design/promises.md`, checked at every step from the states before and after it.

use rotator::rotation::event::Ending;

use super::facts::{Asks, Facts};
use super::machine::{Doing, KeyId};
use super::search::Model;
use super::world::{ModelState, NO_KEY, Request, Right};

impl Model {
    pub(super) fn break_promise(&mut self, which: String) {
        self.broken.get_or_insert(which);
    }

    /// P2: a value of another writer is never overwritten.
    pub(super) fn overwrites(&mut self, before: KeyId, value: KeyId, request: &Request) {
        if before == NO_KEY && value != NO_KEY {
            self.break_promise(format!("P2: {:?} overwrites what an operator wrote", request.doing));
        }
    }

    /// An effect was executed, or a part of it; `request` is what is left of it.
    pub(super) fn check_effect(&mut self, before: &ModelState, after: &mut ModelState, request: &Request) {
        let number = usize::from(request.user);
        let reported = format!("{:?} of rotator {}", request.doing, request.rotator);
        self.check_key(before, after, request, &reported);
        let (was, is) = (&before.users[number], &after.users[number]);
        if request.doing == Doing::Create && is.alive() > 2 {
            self.break_promise(format!("P4: {reported} makes {} keys", is.alive()));
        }
        let writes = matches!(request.doing, Doing::Store(_) | Doing::Restore | Doing::Sink(_));
        let mut excused = false;
        for place in 0..is.holders() {
            let goes_on = request.batches.todo.iter().flatten().any(|(entry, _)| usize::from(*entry) / 2 == place);
            let written = writes && (was.places.get(place) != is.places.get(place) || was.sink != is.sink);
            // The write began on facts that another writer has changed since: the key of one half does not exist any more.
            let in_vain = is.places.get(place).is_some_and(|pair| !is.is_active(pair.secret) || !is.is_active(pair.id));
            excused |= goes_on && written && request.overtaken && in_vain;
            if is.works(place) || goes_on || was.excused || !(was.works(place) || written) {
                continue;
            }
            if request.overtaken {
                excused = true;
            } else {
                self.break_promise(format!("P1: {reported} leaves a place or a sink with a pair that AWS refuses"));
            }
        }
        // Half of a pair can be rolled forward, until a request that observed earlier takes its key away.
        let takes_away = |id: KeyId| {
            was.is_active(id) && !is.is_active(id) && is.places.iter().any(|pair| [pair.secret, pair.id].contains(&id))
        };
        if let Doing::Delete(id) | Doing::Status(id, false) = request.doing {
            excused |= request.overtaken && takes_away(id);
        }
        if excused {
            self.hit("an effect that another writer overtook breaks a pair", 1);
            after.users[number].excused = true;
        }
    }

    /// P2 and P3: whose key is switched off or deleted, and whether an entry names it.
    fn check_key(&mut self, before: &ModelState, after: &ModelState, request: &Request, reported: &str) {
        let number = usize::from(request.user);
        let (was, is) = (&before.users[number], &after.users[number]);
        let (Doing::Delete(id) | Doing::Status(id, false)) = request.doing else { return };
        let Some(key) = was.find(id).filter(|key| key.active.is_some()) else { return };
        if is.find(id).and_then(|key| key.active) == key.active {
            return;
        }
        match request.right {
            Right::Plain => {}
            // Evidence is not proof: a stranger's key with every mark is outside the promise.
            Right::Marks if request.overtaken || !(key.used || was.names(id)) => {
                self.hit("a stranger's key that bears every mark", 1);
            }
            Right::Marks => {
                self.break_promise(format!("P2: {reported} touches a stranger's key that is used or named"))
            }
            Right::None => self.break_promise(format!("P2: {reported} touches a key of {:?}", key.by)),
        }
        let named = before.users.iter().any(|user| user.names(id));
        let unreadable = before.users.iter().any(|user| user.unreadable);
        if (named || unreadable) && !request.overtaken {
            self.break_promise(format!("P3: {reported}, and an entry names it or may"));
        }
    }

    /// Checks the promises for a state in which all rotations have ended.
    pub(super) fn check_end(&mut self, state: &ModelState) {
        for works in &state.works {
            for (user, work) in works.iter().enumerate() {
                let Some(rotation) = work.rotation else { continue };
                let facts = self.machine.facts(rotation).clone();
                let closed = facts.phase.is_none();
                if !closed && !facts.is_blocked() {
                    self.break_promise("P6: at rest, neither closed nor blocked".to_owned());
                }
                let world = &state.users[user];
                let alone = state.works.len() == 1 && state.left.acts == self.setup.budget.acts;
                if closed && !world.excused && !(0..world.holders()).all(|place| world.works(place)) {
                    self.break_promise("P1: over, and a place or a sink holds a pair that AWS refuses".to_owned());
                }
                let believed = world.believes_the_other();
                let left_off = world.keys.iter().any(|key| key.active != Some(true));
                if alone && closed && left_off && !world.astray && !believed {
                    self.break_promise("over, and a key of ours is left switched off".to_owned());
                }
                let told_gone = match facts.ending {
                    Some(Ending::DeletedOld) => true,
                    Some(Ending::Gone) => !believed,
                    Some(Ending::Aborted) | None => false,
                };
                if told_gone && world.find(facts.old).is_some_and(|key| key.active.is_some()) && !world.astray {
                    self.break_promise("over, and the old key is there, which is said to be gone".to_owned());
                }
                if self.is_obeyed() && alone && !closed && !self.needs_more(&facts) {
                    self.break_promise("P6: what the block asks for was done, and it is not closed".to_owned());
                }
            }
        }
    }

    /// Whether a block asks for more than a right or a command: something in a store or in IAM is to be changed.
    fn needs_more(&mut self, facts: &Facts) -> bool {
        let more = facts.block.is_some_and(|block| block.asks == Asks::More && block.command.is_none());
        self.hit("a block that neither a right nor a command resolves", u64::from(more));
        more
    }

    /// Marks a place that an operator broke as excused, or clears the mark when the place works again.
    pub(super) fn excuse(before: &ModelState, after: &mut ModelState, is_operator: bool) {
        for (was, is) in before.users.iter().zip(&mut after.users) {
            let mut places = 0..is.holders();
            if places.clone().all(|place| is.works(place)) {
                is.excused = false;
            } else if is_operator && was != is && places.any(|place| !is.works(place)) {
                is.excused = true;
            }
        }
    }
}
