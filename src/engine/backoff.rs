//! How long to wait before a failed call is tried again.

use std::time::Duration;

/// A wait that doubles with each failure. It has no jitter, because the rate limiter spaces the calls out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    /// The wait after the first failure.
    pub(super) first: Duration,
    /// The wait is never longer than this.
    pub(super) longest: Duration,
}

/// The backoff of a call to AWS or to a store, and of a pass over a rotation that ends in such a call.
pub(super) const OF_A_CALL: Backoff = Backoff { first: Duration::from_millis(200), longest: Duration::from_secs(10) };

impl Backoff {
    /// Returns the wait after this number of failures in a row.
    pub(super) fn after(self, failures: u32) -> Duration {
        let times = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.first.saturating_mul(times).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_limit_whatever_the_number_of_failures() {
        let backoff = Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(5) };
        let waits: Vec<u128> = (1..=7).map(|failures| backoff.after(failures).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 5000, 5000]);
        assert_eq!(backoff.after(u32::MAX), Duration::from_secs(5));
    }
}
