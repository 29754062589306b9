//! AWS's own clock: the last `Date` it answered with, carried on by this process's monotonic clock.
//!
//! A local wall clock that jumps neither deletes early nor hangs, because none is read here. A decision that destroys
//! goes by the `Date` of the very answer it rests on; this estimate dates records and says when to look again.

use std::sync::Mutex;
use std::time::Duration;

use crate::rotation::policy::Timestamp;

/// The estimate. Never goes back.
#[derive(Debug)]
pub struct AwsClock(Mutex<(Timestamp, Duration)>);

impl AwsClock {
    /// Starts from an answer dated `at` that came when the monotonic clock stood at `monotonic`.
    #[must_use]
    pub fn new(at: Timestamp, monotonic: Duration) -> Self {
        Self(Mutex::new((at, monotonic)))
    }

    /// Takes a later answer in.
    pub fn saw(&self, at: Timestamp, monotonic: Duration) {
        let mut base = self.base();
        if at > estimate(*base, monotonic) {
            *base = (at, monotonic);
        }
    }

    /// AWS's clock now.
    #[must_use]
    pub fn now(&self, monotonic: Duration) -> Timestamp {
        estimate(*self.base(), monotonic)
    }

    fn base(&self) -> std::sync::MutexGuard<'_, (Timestamp, Duration)> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn estimate((at, then): (Timestamp, Duration), monotonic: Duration) -> Timestamp {
    at.plus(monotonic.saturating_sub(then))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_between_answers_and_never_back() {
        let start = Timestamp::from_unix_seconds(1_000);
        let second = Duration::from_secs(1);
        let clock = AwsClock::new(start, second);
        assert_eq!(clock.now(second * 4), start.plus(second * 3));
        clock.saw(start, second * 4);
        assert_eq!(clock.now(second * 4), start.plus(second * 3));
        clock.saw(start.plus(second * 60), second * 5);
        assert_eq!(clock.now(second * 6), start.plus(second * 61));
    }
}
