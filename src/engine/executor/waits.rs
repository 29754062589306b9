//! How long `--wait` sleeps before it checks a rotation again, and what a shorter wait gives back.

use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use crate::engine::tasks::Started;

/// `--wait` checks again after a tenth of the remaining time, within these bounds, so that a reverted place is reported
/// early.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(15 * 60));
/// The least wait. The dates of AWS are whole seconds.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// Returns how long to sleep before the next check if `left` remains: a tenth of it.
pub(super) fn look_again(left: Duration) -> Duration {
    let tenth = (left / 10).clamp(LOOK_AGAIN.0, LOOK_AGAIN.1);
    left.min(tenth).max(SHORTEST_WAIT)
}

/// Gives the right to be under way back before a short wait, if a place still bounds how many such rotations there are.
pub(super) fn give_back(started: &mut Option<Started>, place: Option<&OwnedSemaphorePermit>) {
    if place.is_some() {
        *started = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_looked_at_again_after_a_tenth_of_it_within_bounds() {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        for (left, sleeps) in [(60 * 24 * 7, 15), (200, 15), (100, 10), (60, 6), (10, 1), (2, 1), (1, 1)] {
            assert_eq!(look_again(minutes(left)), minutes(sleeps), "{left} minutes left");
        }
        assert_eq!(look_again(Duration::from_secs(20)), Duration::from_secs(20), "no longer than is left");
        assert_eq!(look_again(Duration::ZERO), SHORTEST_WAIT);
    }
}
