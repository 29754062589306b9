//! The time of AWS: the last `Date` that is trusted, advanced by the monotonic clock of this machine.
//!
//! The local wall clock is not read, so that a jump of it cannot delete a key early or extend a wait. One response is
//! not trusted alone: a `Date` far from the estimate may come from a broken proxy, and counts only when a later
//! response agrees with it.
//! The first `Date` of a process cannot be compared with an estimate. Until a second one agrees, the earlier of the two
//! counts, so that a wait that began in another process ends only when two responses agree.

use std::sync::Mutex;
use std::time::Duration;

use crate::types::time::Timestamp;

/// The greatest difference between a `Date` and the estimate at which the two agree.
const AGREES_WITHIN: Duration = Duration::from_secs(60);
/// The least time between a `Date` in doubt and the response that confirms it.
pub(super) const CONFIRMED_AFTER: Duration = Duration::from_secs(10);

/// A `Date`, and the monotonic time at which it was received.
#[derive(Debug, Clone, Copy)]
struct Heard {
    at: Timestamp,
    monotonic: Duration,
}

impl Heard {
    /// Returns what a clock that showed this `Date` shows now.
    fn now(self, monotonic: Duration) -> Timestamp {
        self.at.plus(monotonic.saturating_sub(self.monotonic))
    }

    fn agrees(self, other: Self) -> bool {
        let expected = self.now(other.monotonic);
        expected.since(other.at).max(other.at.since(expected)) <= AGREES_WITHIN
    }
}

#[derive(Debug)]
struct State {
    /// The last `Date` that is believed.
    believed: Heard,
    /// Whether two answers agreed on it.
    confirmed: bool,
    /// A `Date` far from the estimate that no second response has confirmed.
    in_doubt: Option<Heard>,
}

impl State {
    fn now(&self, monotonic: Duration) -> Timestamp {
        let estimate = self.believed.now(monotonic);
        match self.in_doubt.filter(|_| !self.confirmed) {
            Some(other) => estimate.min(other.now(monotonic)),
            None => estimate,
        }
    }

    fn saw(&mut self, at: Timestamp, monotonic: Duration) -> Timestamp {
        let heard = Heard { at, monotonic };
        if self.believed.agrees(heard) {
            self.confirmed = true;
            self.in_doubt = None;
            if at > self.believed.now(monotonic) {
                self.believed = heard;
            }
            return at;
        }
        match self.in_doubt.filter(|before| before.agrees(heard)) {
            Some(before) if monotonic.saturating_sub(before.monotonic) >= CONFIRMED_AFTER => {
                *self = Self { believed: heard, confirmed: true, in_doubt: None };
                return at;
            }
            // The first of them stays: the next is compared with it.
            Some(_) => {}
            None => self.in_doubt = Some(heard),
        }
        self.now(monotonic)
    }
}

/// The estimate of the time of AWS. It moves back only when two responses agree that it was wrong.
#[derive(Debug)]
pub struct AwsClock(Mutex<State>);

impl AwsClock {
    /// Starts from a response with the date `at` that was received at `monotonic`.
    #[must_use]
    pub fn new(at: Timestamp, monotonic: Duration) -> Self {
        let believed = Heard { at, monotonic };
        Self(Mutex::new(State { believed, confirmed: false, in_doubt: None }))
    }

    /// Takes the date of a later response in. Returns the time to rely on for this response: its own date where that is
    /// trusted, otherwise the estimate.
    pub fn saw(&self, at: Timestamp, monotonic: Duration) -> Timestamp {
        self.state().saw(at, monotonic)
    }

    #[must_use]
    pub fn now(&self, monotonic: Duration) -> Timestamp {
        self.state().now(monotonic)
    }

    /// Returns whether two responses of this process agreed.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.state().confirmed
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const YEAR: Duration = Duration::from_secs(365 * 86_400);

    fn start() -> Timestamp {
        Timestamp::from_unix_seconds(1_700_000_000)
    }

    /// Two answers have agreed, at 1 s and 2 s.
    fn confirmed() -> AwsClock {
        let clock = AwsClock::new(start(), SECOND);
        assert_eq!(clock.saw(start().plus(SECOND), SECOND * 2), start().plus(SECOND));
        clock
    }

    #[test]
    fn it_goes_on_between_answers_and_not_back_by_one_that_is_a_little_late() {
        let clock = confirmed();
        assert_eq!(clock.now(SECOND * 4), start().plus(SECOND * 3));
        assert_eq!(clock.saw(start(), SECOND * 4), start(), "an answer's own date is what it says");
        assert_eq!(clock.now(SECOND * 4), start().plus(SECOND * 3));
        clock.saw(start().plus(SECOND * 60), SECOND * 5);
        assert_eq!(clock.now(SECOND * 6), start().plus(SECOND * 61));
    }

    #[test]
    fn one_date_a_year_off_changes_nothing() {
        for wrong in [start().plus(YEAR), start().minus(YEAR)] {
            let clock = confirmed();
            assert_eq!(clock.saw(wrong, SECOND * 10), start().plus(SECOND * 9), "the estimate counts for that answer");
            assert_eq!(clock.now(SECOND * 40), start().plus(SECOND * 39));
            // The next true one leaves nothing of it: a third wrong one is alone again.
            clock.saw(start().plus(SECOND * 39), SECOND * 40);
            clock.saw(wrong, SECOND * 60);
            assert_eq!(clock.now(SECOND * 61), start().plus(SECOND * 60));
        }
    }

    #[test]
    fn a_clock_that_really_jumped_is_believed_at_the_second_answer_ten_seconds_later() {
        for jumped in [start().plus(YEAR), start().minus(YEAR)] {
            let clock = confirmed();
            clock.saw(jumped, SECOND * 10);
            assert_eq!(clock.saw(jumped.plus(SECOND * 9), SECOND * 19), start().plus(SECOND * 18), "too soon");
            assert_eq!(clock.saw(jumped.plus(SECOND * 10), SECOND * 20), jumped.plus(SECOND * 10));
            assert_eq!(clock.now(SECOND * 30), jumped.plus(SECOND * 20));
        }
    }

    #[test]
    fn two_wrong_dates_that_disagree_confirm_nothing() {
        let clock = confirmed();
        clock.saw(start().plus(YEAR), SECOND * 10);
        clock.saw(start().plus(YEAR * 2), SECOND * 30);
        assert_eq!(clock.now(SECOND * 30), start().plus(SECOND * 29));
    }

    #[test]
    fn after_a_start_the_earlier_of_two_that_disagree_counts() {
        // The first one is wrong.
        let clock = AwsClock::new(start().plus(YEAR), SECOND);
        assert_eq!(clock.saw(start(), SECOND * 2), start());
        assert_eq!(clock.now(SECOND * 3), start().plus(SECOND));
        assert_eq!(clock.saw(start().plus(SECOND * 11), SECOND * 13), start().plus(SECOND * 11));
        assert_eq!(clock.now(SECOND * 14), start().plus(SECOND * 12), "now two agree");
        // The second one is.
        let clock = AwsClock::new(start(), SECOND);
        assert_eq!(clock.saw(start().plus(YEAR), SECOND * 2), start().plus(SECOND));
        assert_eq!(clock.now(SECOND * 3), start().plus(SECOND * 2));
    }

    #[test]
    fn after_a_start_with_a_date_in_the_past_two_later_answers_are_believed() {
        let clock = AwsClock::new(start().minus(YEAR), SECOND);
        assert_eq!(clock.saw(start(), SECOND * 2), start().minus(YEAR).plus(SECOND), "not before a second one");
        assert_eq!(clock.saw(start().plus(SECOND * 10), SECOND * 12), start().plus(SECOND * 10));
    }
}
