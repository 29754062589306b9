//! Missing permissions: any call may be denied from some time on, until an operator allows it because a block names it,
//! or runs the command that the block prints instead.

use rotator::rotation::denied::{Denied, Operation};
use rotator::rotation::record::Rotation;

use super::facts::{Asks, Block};
use super::machine::{Doing, KeyId, LookAt, Next, Says, name};
use super::search::{Model, Move};
use super::world::{At, ModelState, Request};

/// The calls that may be denied. Each has a bit in [`super::world::User::denied`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Call {
    List,
    LastUsed,
    Create,
    Change,
    Delete,
    /// `GetCallerIdentity` with the new pair.
    Identity,
    /// Reading the user's entries; a scan reads those of all users.
    Read,
    Write,
    /// Writing the entries that are written last, where a place is not written at once.
    WriteLast,
}

pub(super) const CALLS: [Call; 9] = [
    Call::List,
    Call::LastUsed,
    Call::Create,
    Call::Change,
    Call::Delete,
    Call::Identity,
    Call::Read,
    Call::Write,
    Call::WriteLast,
];
const ALL: u16 = (1 << CALLS.len()) - 1;

impl Call {
    pub(super) const fn bit(self) -> u16 {
        1 << self as u16
    }

    /// The calls of which the operator hears by this name.
    const fn named(operation: Operation) -> &'static [Self] {
        match operation {
            Operation::ListAccessKeys => &[Self::List],
            Operation::GetAccessKeyLastUsed => &[Self::LastUsed],
            Operation::CreateAccessKey => &[Self::Create],
            Operation::UpdateAccessKey => &[Self::Change],
            Operation::DeleteAccessKey => &[Self::Delete],
            Operation::GetCallerIdentity => &[Self::Identity],
            Operation::ReadStore => &[Self::Read],
            // A lock that another program holds keeps rotator from the same calls.
            Operation::WriteStore | Operation::LockStore => &[Self::Write, Self::WriteLast],
        }
    }
}

/// A call that was refused, and about what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Lack {
    List,
    LastUsed(KeyId),
    Create,
    Change(KeyId),
    Delete(KeyId),
    Places,
    Scan,
    Write,
}

impl Lack {
    /// `None`: a sink, for which the engine has no block of this kind.
    pub(super) const fn of_effect(doing: Doing) -> Option<Self> {
        match doing {
            Doing::Create => Some(Self::Create),
            Doing::Store(_) | Doing::Restore | Doing::Fence => Some(Self::Write),
            Doing::Sink(_) => None,
            Doing::Status(key, _) => Some(Self::Change(key)),
            Doing::Delete(key) => Some(Self::Delete(key)),
        }
    }

    /// As the engine words it.
    fn denied(self, rotation: &Rotation) -> Denied {
        const NO: &str = "no";
        match self {
            Self::List => Denied::of_user(rotation, Operation::ListAccessKeys, NO),
            Self::LastUsed(key) => Denied::of_key(rotation, Operation::GetAccessKeyLastUsed, &name(key), NO),
            Self::Create => Denied::of_user(rotation, Operation::CreateAccessKey, NO),
            Self::Change(key) => Denied::of_key(rotation, Operation::UpdateAccessKey, &name(key), NO),
            Self::Delete(key) => Denied::of_key(rotation, Operation::DeleteAccessKey, &name(key), NO),
            Self::Places => Denied::new(Operation::ReadStore, "the store", NO),
            Self::Scan => Denied::new(Operation::ReadStore, "every entry of the stores", NO),
            Self::Write => Denied::of_write(rotation, NO),
        }
    }
}

impl Model {
    /// Whether operators do what blocks ask for in this exploration.
    pub(super) const fn is_obeyed(&self) -> bool {
        self.setup.budget.refusals > 0 || self.setup.budget.fates > 0
    }

    /// A right may be revoked at any moment, but the moment makes no difference until a call needs the right. So it is
    /// revoked right before the first call that needs it.
    pub(super) fn refusals(&mut self, state: &ModelState, moves: &mut Vec<Move>) {
        if state.left.refusals == 0 {
            return;
        }
        let mut needed = vec![0_u16; state.users.len()];
        for request in &state.requests {
            needed[usize::from(request.user)] |= self.calls_of(request);
        }
        for rotator in 0..state.works.len() {
            for user in 0..state.users.len() {
                match self.next_look(state, rotator, user) {
                    Some(LookAt::Keys) => needed[user] |= Call::List.bit(),
                    Some(LookAt::Places) => needed[user] |= Call::Read.bit(),
                    Some(LookAt::Scan(_)) => needed.iter_mut().for_each(|needed| *needed |= Call::Read.bit()),
                    Some(LookAt::NewPair | LookAt::StoredPair) => needed[user] |= Call::Identity.bit(),
                    Some(LookAt::Used(_)) => needed[user] |= Call::LastUsed.bit(),
                    Some(LookAt::Owner(_)) => needed[user] |= Call::LastUsed.bit() | Call::List.bit(),
                    None => {}
                }
            }
        }
        for (user, needed) in needed.into_iter().enumerate() {
            let missing = state.users[user].denied;
            for call in CALLS.iter().filter(|call| call.bit() & needed & !missing != 0) {
                moves.push(Move::Refuse { user, calls: call.bit() });
            }
            if needed & !missing != 0 {
                moves.push(Move::Refuse { user, calls: ALL });
            }
        }
    }

    fn calls_of(&self, request: &Request) -> u16 {
        match request.doing {
            Doing::Create => Call::Create.bit(),
            Doing::Status(..) => Call::Change.bit(),
            Doing::Delete(_) => Call::Delete.bit(),
            Doing::Sink(_) => 0,
            Doing::Store(_) | Doing::Restore | Doing::Fence => {
                let last = if self.setup.layout.batches().len() > 1 { Call::WriteLast.bit() } else { 0 };
                Call::Write.bit() | Call::Read.bit() | last
            }
        }
    }

    /// The next observation of a visit.
    pub(super) fn next_look(&mut self, state: &ModelState, rotator: usize, user: usize) -> Option<LookAt> {
        let At::Visiting(visit) = &state.works[rotator][user].at else { return None };
        if visit.awaits {
            return None;
        }
        let rotation = Self::rotation(state, rotator, user);
        match self.machine.next(rotation, Self::holds(visit), &visit.seen) {
            Next::Look(look) => Some(look),
            Next::Act(..) | Next::Note(_) | Next::Wait(_) | Next::Later | Next::Rest => None,
        }
    }

    /// A look or an effect was refused. As the engine: it counts when it is refused again, and then the rotation is
    /// blocked; what was refused to it before counts at once.
    pub(super) fn denied(&mut self, state: &mut ModelState, rotator: usize, user: usize, lack: Lack, overtaken: bool) {
        self.hit("a call refused for good", 1);
        let rotation = Self::rotation(state, rotator, user);
        let denied = lack.denied(self.machine.rotation(rotation));
        let visit = state.visit(rotator, user);
        super::visit::forget(visit);
        let counts = lack == Lack::Create
            || visit.refused == Some(lack)
            || self.machine.rotation(rotation).is_known_to_lack(&denied);
        if visit.secret && self.machine.facts(rotation).phase == Some(super::facts::PhaseIs::CreatedNew) {
            self.hit("a right missing with the new secret in hand", 1);
        }
        let visit = state.visit(rotator, user);
        visit.overtaken = overtaken;
        if !counts {
            visit.refused = Some(lack);
            visit.overtaken = false;
            return;
        }
        if let Some(next) = self.machine.block(rotation, denied) {
            self.hit("blocked for want of a right", 1);
            state.works[rotator][user].rotation = Some(next);
        }
        self.rest(state, rotator, user, None);
    }

    /// A write of the new pair was refused: `plan` counts that itself. Where it counts and `plan` has no other way, the
    /// next one is not sent.
    pub(super) fn write_denied(&mut self, state: &mut ModelState, rotator: usize, user: usize) {
        self.hit("a call refused for good", 1);
        let rotation = self.machine.rotation(Self::rotation(state, rotator, user));
        let known = rotation.is_known_to_lack(&Lack::Write.denied(rotation));
        let visit = state.visit(rotator, user);
        visit.store_denied = known || visit.refused == Some(Lack::Write);
        visit.refused = Some(Lack::Write);
    }

    /// The acts of an operator on a blocked rotation.
    pub(super) fn obeying(&mut self, state: &ModelState, moves: &mut Vec<Move>) {
        if !self.is_obeyed() {
            return;
        }
        for rotator in 0..state.works.len() {
            for user in 0..state.users.len() {
                let work = &state.works[rotator][user];
                let At::Resting { changed: false, .. } = work.at else { continue };
                let rotation = Self::rotation(state, rotator, user);
                let Some(block) = self.machine.facts(rotation).block else { continue };
                if missing(state, user, block) != 0 {
                    moves.push(Move::Obey { rotator, user, allows: true });
                }
                let wants = block.asks != Asks::User || !state.users[user].exists;
                if let Some(says) = block.command.filter(|_| wants)
                    && self.machine.says(rotation, says) != rotation
                {
                    moves.push(Move::Obey { rotator, user, allows: false });
                }
            }
        }
    }

    pub(super) fn obey(&mut self, state: &mut ModelState, rotator: usize, user: usize, allows: bool) {
        let rotation = Self::rotation(state, rotator, user);
        let block = self.machine.facts(rotation).block.expect("it is blocked");
        if allows {
            let given = missing(state, user, block);
            // The operator hears of a store, not of an entry.
            let everywhere = given & Call::Read.bit() != 0;
            for (number, of) in state.users.iter_mut().enumerate() {
                if number == user || everywhere {
                    of.denied &= !given;
                }
            }
            self.hit("a right given because a block names it", 1);
        } else {
            let says: Says = block.command.expect("there is a command");
            state.works[rotator][user].rotation = Some(self.machine.says(rotation, says));
            self.hit("a command run because a block prints it", 1);
        }
        for work in state.works.iter_mut().flatten() {
            match &mut work.at {
                At::Nothing => {}
                At::Resting { changed, .. } => *changed = true,
                At::Visiting(visit) => visit.renewed = true,
            }
        }
    }

    /// P6 and P7: all that is left is what blocks ask for. So every rotation is closed or blocked, and what is said to be
    /// missing is missing.
    pub(super) fn check_rest(&mut self, state: &ModelState) {
        for (user, work) in state.works.iter().flat_map(|works| works.iter().enumerate()) {
            let Some(rotation) = work.rotation else { continue };
            let facts = self.machine.facts(rotation);
            let Some(block) = facts.block else {
                if facts.phase.is_some() {
                    self.break_promise("P6: at rest, neither closed nor blocked".to_owned());
                }
                continue;
            };
            let named = match block.asks {
                Asks::Right(_) | Asks::RightOnceADay(_) => missing(state, user, block) != 0,
                Asks::User => missing(state, user, block) != 0 || !state.users[user].exists,
                Asks::More => true,
            };
            if !named {
                self.break_promise(format!("P6: blocked for what is there: {block:?}"));
            }
            // A permission to write that ends between the writes of two entries leaves no way to repair the pair.
            let world = &state.users[user];
            let torn = self.setup.layout.batches().len() > 1 && world.denied & Call::Write.bit() != 0;
            if !world.excused && !torn && !(0..world.holders()).all(|place| world.works(place)) {
                self.break_promise("P1: blocked, and a place holds a pair that AWS refuses".to_owned());
            }
        }
    }
}

/// The rights that this block asks for and that are missing.
fn missing(state: &ModelState, user: usize, block: Block) -> u16 {
    let asked = match block.asks {
        Asks::Right(operation) | Asks::RightOnceADay(operation) => {
            Call::named(operation).iter().map(|call| call.bit()).fold(0, |all, bit| all | bit)
        }
        Asks::User if state.users[user].exists => Call::LastUsed.bit() | Call::List.bit(),
        Asks::User | Asks::More => 0,
    };
    let everywhere = state.users.iter().fold(0, |all, user| all | user.denied) & Call::Read.bit();
    asked & (state.users[user].denied | everywhere)
}
