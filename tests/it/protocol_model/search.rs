//! Visits every reachable state once, breadth first, and checks the promises at every step. Then follows the path
//! without further faults from every state to its end.

use std::collections::{BTreeMap, HashMap, VecDeque};

use rotator::rotation::state::State;

use super::fingerprint::Fingerprint;
use super::machine::Machine;
use super::operator::Act;
use super::setup::{Second, Setup};
use super::users::Fate;
use super::world::{At, ModelState, Work};

/// One step of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// A request is executed, or a part of it.
    Execute {
        request: usize,
        lags: bool,
    },
    /// The reply to this request is lost.
    Lose {
        request: usize,
    },
    /// A rotator dies, and loses everything in its memory.
    Crash {
        rotator: usize,
    },
    /// A visit continues.
    Step {
        rotator: usize,
        user: usize,
        fails: bool,
    },
    /// `run` or `resume` looks at a rotation again.
    Visit {
        rotator: usize,
        user: usize,
    },
    /// Time passes until something is due.
    Tick,
    /// A rotation is opened.
    Open {
        rotator: usize,
        user: usize,
    },
    /// The first rotator's journal is copied for the second.
    Copy {
        user: usize,
    },
    Operator {
        user: usize,
        act: Act,
    },
    /// A change or delete does not find a key that was just made.
    Miss {
        request: usize,
    },
    /// Rights are revoked, for good.
    Refuse {
        user: usize,
        calls: u16,
    },
    /// An operator does what a block asks for: gives the right, or runs the command.
    Obey {
        rotator: usize,
        user: usize,
        allows: bool,
    },
    /// A user is renamed or deleted.
    Meets {
        user: usize,
        fate: Fate,
    },
}

/// The parameters of the exploration, and the counts.
pub(super) struct Model {
    pub(super) setup: Setup,
    pub(super) machine: Machine,
    pub(super) broken: Option<String>,
    pub(super) hits: BTreeMap<&'static str, u64>,
    pub(super) states: u64,
    pub(super) transitions: u64,
    pub(super) ends: u64,
}

/// More states than these are not explored.
const MOST_STATES: usize = 40_000_000;
/// A way without faults longer than this does not end.
const LONGEST_WAY: usize = 600;

impl Model {
    pub(super) fn new(setup: Setup) -> Self {
        let longest_stall = std::time::Duration::from_secs(if setup.budget.stalls > 0 { 1_000 } else { 0 });
        let machine = Machine::new(setup.policy.clone(), setup.layout.has_sink(), longest_stall);
        Self { setup, machine, broken: None, hits: BTreeMap::new(), states: 0, transitions: 0, ends: 0 }
    }

    pub(super) fn hit(&mut self, window: &'static str, times: u64) {
        *self.hits.entry(window).or_default() += times;
    }

    fn start(&mut self) -> ModelState {
        let rotators = if self.setup.second == Second::None { 1 } else { 2 };
        let mut state = ModelState::new(self.setup.users, rotators, self.setup.layout, self.setup.budget);
        for user in 0..self.setup.users {
            self.take(&mut state, Move::Open { rotator: 0, user });
        }
        state
    }

    pub(super) fn explore(&mut self) {
        let start = self.start();
        let mut numbers: HashMap<u128, u32> = HashMap::from([(Fingerprint::of(&start), 0)]);
        let mut came_by: Vec<(u32, Move)> = vec![(0, Move::Tick)];
        // The next state without a fault, or itself at an end.
        let mut goes_to: Vec<u32> = Vec::new();
        let mut frontier = VecDeque::from([start]);
        while let Some(state) = frontier.pop_front() {
            let from = u32::try_from(goes_to.len()).expect("few states");
            goes_to.push(from);
            let (moves, faultless) = self.moves(&state);
            if faultless == 0 {
                self.ends += 1;
                self.check_end(&state);
                if self.broken.is_some() {
                    self.tell(&came_by, from);
                }
            }
            if faultless > 0 && moves[..faultless].iter().all(|step| matches!(step, Move::Obey { .. })) {
                self.check_rest(&state);
                if self.broken.is_some() {
                    self.tell(&came_by, from);
                }
            }
            for (number, step) in moves.into_iter().enumerate() {
                let mut next = state.clone();
                self.take(&mut next, step);
                self.transitions += 1;
                let known = numbers.len();
                let to = *numbers.entry(Fingerprint::of(&next)).or_insert(u32::try_from(known).expect("few states"));
                if number == 0 && faultless > 0 {
                    goes_to[from as usize] = to;
                }
                if to as usize == known {
                    came_by.push((from, step));
                    frontier.push_back(next);
                }
                if self.broken.is_some() {
                    came_by.push((from, step));
                    break;
                }
            }
            if self.broken.is_some() {
                let last = u32::try_from(came_by.len()).expect("few states") - 1;
                self.tell(&came_by, last);
            }
            assert!(numbers.len() < MOST_STATES, "more than {MOST_STATES} states: {:?}", self.setup);
        }
        self.states += numbers.len() as u64;
        self.every_way_ends(&goes_to, &came_by);
    }

    /// P6: once faults stop, every way ends.
    fn every_way_ends(&mut self, goes_to: &[u32], came_by: &[(u32, Move)]) {
        let mut ends = vec![false; goes_to.len()];
        for start in 0..goes_to.len() {
            let mut way = Vec::new();
            let mut at = start;
            while !ends[at] && goes_to[at] as usize != at {
                way.push(at);
                at = goes_to[at] as usize;
                if way.len() > LONGEST_WAY {
                    self.break_promise(format!("P6: this does not end in {LONGEST_WAY} steps"));
                    let last = u32::try_from(way[LONGEST_WAY - 60]).expect("few states");
                    self.tell(came_by, last);
                }
            }
            ends[at] = true;
            for passed in way {
                ends[passed] = true;
            }
        }
    }

    /// Reports the path to a broken promise.
    fn tell(&mut self, came_by: &[(u32, Move)], last: u32) {
        let mut way = Vec::new();
        let mut at = last;
        while at != 0 {
            let (from, step) = came_by[at as usize];
            way.push(step);
            at = from;
        }
        let broken = self.broken.take().unwrap_or_default();
        let mut story = format!("{broken} in {:?}\n", self.setup);
        let mut state = self.start();
        for step in way.into_iter().rev() {
            self.take(&mut state, step);
            story += &format!("{step:?}\n");
            for (user, world) in state.users.iter().enumerate() {
                let keys: Vec<_> = world.keys.iter().map(|key| (key.id, key.active, key.shown)).collect();
                let pairs: Vec<_> = world.places.iter().map(|pair| (pair.id, pair.secret)).collect();
                let works: Vec<_> = state.works.iter().map(|works| self.reported(&works[user])).collect();
                story += &format!("    {works:?} {keys:?} {pairs:?} {:?} {:?}\n", world.sink, world.denied);
            }
        }
        panic!("{story}\n{state:#?}");
    }

    fn reported(&self, work: &Work) -> String {
        let Some(rotation) = work.rotation else { return String::new() };
        let state = &self.machine.rotation(rotation).state;
        let intent = state.intent().map_or("", |intent| intent.name());
        let at = if matches!(work.at, At::Visiting(_)) { "" } else { "resting " };
        let blocked = if self.machine.facts(rotation).is_blocked() { "blocked " } else { "" };
        let reason = match state {
            State::Blocked { reason, .. } => reason.name(),
            State::Settled { .. } | State::InDoubt { .. } | State::Closed { .. } => "",
        };
        format!("{at}{blocked}{reason} {} {intent}", state.name())
    }
}
