//! The admission of removals: which of the rotations that want to remove a key may do so now.
//!
//! A removal (deactivate, delete, discard) is one unit: admission, final check, journal, send. What the final check has
//! read must be only seconds old when the call is sent, so no unit may wait in a queue after it. Units are therefore
//! admitted first come, first served, and only as many at once as the rate limit lets through within [`SENT_WITHIN`].
//! An admitted unit holds one slot of its own, and its calls are sent before all others
//! ([`super::rate_limit::Priority`]).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, SemaphorePermit};

use super::rate_limit::{Operation, RateLimiter};

/// The time within which all admitted units must pass the rate limit. It is also the greatest age of the last read of a
/// final check when its removal is sent.
pub(super) const SENT_WITHIN: Duration = Duration::from_secs(5);

/// The place of one removal in the queue, and its slot while it is admitted.
#[must_use]
pub(super) struct Ticket<'a> {
    limiter: &'a RateLimiter,
    number: u64,
    called: Arc<Notify>,
    admitted: bool,
    slot: Option<SemaphorePermit<'a>>,
}

impl<'a> Ticket<'a> {
    /// Takes the next place in the account's queue.
    pub(super) fn take(limiter: &'a RateLimiter) -> Self {
        let called = Arc::new(Notify::new());
        let mut units = limiter.removals().units();
        let number = units.next;
        units.next += 1;
        units.waiting.insert(number, called.clone());
        drop(units);
        Self { limiter, number, called, admitted: false, slot: None }
    }

    /// Waits until this unit is the first that waits and few enough units are admitted. Returns at once if it is
    /// admitted already. `calls`: the calls of the unit, each to be sent once.
    pub(super) async fn admit(&mut self, calls: &[Operation]) {
        while !self.admitted {
            let most = most_units(self.limiter, calls);
            {
                let mut units = self.limiter.removals().units();
                let is_first = units.waiting.first_key_value().is_some_and(|(first, _)| *first == self.number);
                if is_first && units.admitted < most {
                    units.waiting.remove(&self.number);
                    units.admitted += 1;
                    self.admitted = true;
                    units.wake_first();
                }
            }
            if !self.admitted {
                self.called.notified().await;
            }
        }
        if self.slot.is_none() {
            self.slot = self.limiter.slot().await;
        }
    }

    /// Returns the slot, and waits again at the same place of the queue: no unit that arrived later is admitted first.
    pub(super) fn step_back(&mut self) {
        self.slot = None;
        if std::mem::take(&mut self.admitted) {
            let mut units = self.limiter.removals().units();
            units.admitted = units.admitted.saturating_sub(1);
            units.waiting.insert(self.number, self.called.clone());
            units.wake_first();
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut units = self.limiter.removals().units();
        units.waiting.remove(&self.number);
        if self.admitted {
            units.admitted = units.admitted.saturating_sub(1);
        }
        units.wake_first();
    }
}

/// Returns how many units of these calls pass within [`SENT_WITHIN`] at the current rate of the slowest operation: at
/// least one. Without a rate limit only the slots bound the units.
fn most_units(limiter: &RateLimiter, calls: &[Operation]) -> usize {
    let slowest = calls.iter().filter_map(|operation| limiter.rate(*operation)).reduce(f64::min);
    slowest.map_or(usize::MAX, |rate| units_within(rate, calls.len()))
}

fn units_within(rate: f64, calls: usize) -> usize {
    let units = SENT_WITHIN.as_secs_f64() * rate / calls.max(1) as f64;
    (units.floor() as usize).max(1)
}

#[cfg(test)]
mod tests;
