//! The events of a simulation with virtual time: the durations of calls, the number of throttled calls, and the times
//! of operators' acts, suspends and signals.

use std::sync::Arc;

use super::clockwork::Clockwork;
use super::faults::{Fault, Interference, Op};
use super::state::SimState;
use crate::support::proof::Draw;

/// The options of rotator, and the events that it meets.
#[derive(Debug, Clone)]
pub(crate) struct Traffic {
    pub(crate) clock: Arc<Clockwork>,
    /// The distribution of the durations of calls.
    pub(crate) seed: u64,
    pub(crate) rate: Option<f64>,
    pub(crate) concurrency: usize,
    pub(crate) wait: bool,
    /// The shortest and the longest call, in milliseconds.
    pub(crate) call: (u64, u64),
    /// The same for one reading of every entry of a store.
    pub(crate) scan: (u64, u64),
    /// The number of throttled calls of each kind in a thousand.
    pub(crate) throttled: Vec<(Op, u64)>,
    /// The end of throttling, in milliseconds from the beginning.
    pub(crate) throttled_for: i64,
    /// The time of the signal to the first process.
    pub(crate) signal_at: Option<i64>,
}

/// An event at a planned time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Happening {
    /// An operator acts on the user of this number.
    Operator(usize, Interference),
    /// Suspends the machine for this number of milliseconds: timers and the monotonic clock stop.
    Suspend(i64),
}

/// An event at this number of milliseconds after the beginning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned {
    pub(crate) at: i64,
    pub(crate) what: Happening,
}

/// Traffic under way.
#[derive(Debug)]
pub(crate) struct Moving {
    pub(crate) traffic: Traffic,
    draw: Draw,
    /// The correction of the clock.
    offset: i64,
    began: i64,
}

impl Moving {
    pub(crate) fn new(traffic: Traffic, began: i64) -> Self {
        let (draw, offset) = (Draw::new(traffic.seed, 7), began - traffic.clock.now());
        Self { traffic, draw, offset, began }
    }

    fn span(&mut self, (shortest, longest): (u64, u64)) -> i64 {
        let millis = shortest + self.draw.below(longest.saturating_sub(shortest) + 1);
        i64::try_from(millis).expect("short")
    }
}

impl SimState {
    /// Returns the present virtual time, after every event that was due by then.
    pub(crate) fn catch_up(&mut self) {
        if let Some(moving) = &self.moving {
            let target = moving.offset + moving.traffic.clock.now();
            self.happens_until(target);
        }
    }

    /// Advances the time by this amount at once.
    pub(crate) fn advance(&mut self, millis: i64) {
        match &mut self.moving {
            None => self.happens_until(self.now + millis),
            Some(moving) => {
                moving.offset += millis;
                self.catch_up();
            }
        }
    }

    /// Suspends the machine, while the time of AWS and of the stores advances.
    fn suspend(&mut self, millis: i64) {
        self.counts_a_suspend();
        self.suspended += millis;
        if let Some(moving) = &mut self.moving {
            moving.offset += millis;
        }
    }

    /// Time passes, and what was held or planned happens, each at its own moment.
    fn happens_until(&mut self, then: i64) {
        let mut then = then;
        loop {
            let planned = self.planned.last().filter(|planned| planned.at <= then).map(|planned| planned.at);
            let held = self.next_held(then);
            match (planned, held) {
                (Some(at), held) if held.is_none_or(|number| at <= self.held[number].due) => {
                    self.now = self.now.max(at);
                    match self.planned.pop().expect("just seen").what {
                        Happening::Operator(user, interference) => {
                            let user = super::schedule::user_name(user);
                            self.tell(|| format!("  an operator, to {user}: {interference:?}"));
                            self.interfere(&user, interference);
                        }
                        Happening::Suspend(millis) => {
                            self.suspend(millis);
                            then += millis;
                        }
                    }
                }
                (_, Some(number)) => {
                    let held = self.held.remove(number);
                    self.now = self.now.max(held.due);
                    self.execute(held);
                }
                (_, None) => break,
            }
        }
        self.now = self.now.max(then);
    }

    /// Returns the held call that is due first, if one is due by `then`.
    fn next_held(&self, then: i64) -> Option<usize> {
        let due = self.held.iter().enumerate().filter(|(_, held)| held.due <= then);
        due.min_by_key(|(_, held)| held.due).map(|(number, _)| number)
    }

    /// Returns the time until this call is executed, and the time from then until its response; `None` if time does not
    /// advance by itself.
    pub(crate) fn takes(&mut self, op: Op) -> Option<(i64, i64)> {
        let moving = self.moving.as_mut()?;
        let (call, scan) = (moving.traffic.call, moving.traffic.scan);
        let span = if op == Op::ReadAll { scan } else { call };
        Some((moving.span(span) / 2, moving.span(span) / 2))
    }

    /// Whether this call is throttled.
    pub(crate) fn throttles(&mut self, op: Op) -> Option<Fault> {
        let now = self.now;
        let moving = self.moving.as_mut()?;
        let (_, often) = *moving.traffic.throttled.iter().find(|(throttled, _)| *throttled == op)?;
        let throttled = now - moving.began < moving.traffic.throttled_for && moving.draw.below(1000) < often;
        throttled.then_some(Fault::Throttled)
    }
}
