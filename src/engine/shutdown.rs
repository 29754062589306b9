//! Being asked to stop: nothing more is opened, keys in hand are brought to `stored-new` or discarded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::journal::clock::Clock;

/// How long a stop may take that finishes what is in hand.
pub const STOP_WITHIN: Duration = Duration::from_secs(30);

/// Whether somebody asked to stop. Made once, shared by reference.
#[derive(Debug, Default)]
pub struct Stop {
    /// When, on the monotonic clock in milliseconds, plus one; zero: nobody.
    asked: AtomicU64,
    told: Notify,
}

impl Stop {
    /// Asks. Only the first time counts.
    pub fn ask(&self, clock: &dyn Clock) {
        let at = u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let _ = self.asked.compare_exchange(0, at, Ordering::SeqCst, Ordering::SeqCst);
        self.told.notify_waiters();
    }

    /// Returns when somebody asks.
    pub async fn wait(&self) {
        let told = self.told.notified();
        if !self.asked() {
            told.await;
        }
    }

    /// Returns the result of `work`, or `None` if a stop is asked for first. `work` must have no effect: it may be cut off.
    pub(super) async fn unless_asked<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.wait() => None,
        }
    }

    /// Whether somebody asked.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst) != 0
    }

    /// How long ago the stop was asked for.
    fn since(&self, clock: &dyn Clock) -> Option<Duration> {
        let at = self.asked.load(Ordering::SeqCst).checked_sub(1)?;
        Some(clock.monotonic().saturating_sub(Duration::from_millis(at)))
    }

    /// Whether a stop was asked for and the time for what is in hand is nearly over.
    #[must_use]
    pub fn overdue(&self, clock: &dyn Clock) -> bool {
        self.since(clock).is_some_and(|since| since > STOP_WITHIN - Duration::from_secs(10))
    }

    /// Whether a stop was asked for and no time is left. A proof ends earlier, when it is [`overdue`](Self::overdue), so that
    /// the discard of its key still has time to read the stores.
    #[must_use]
    pub fn time_is_over(&self, clock: &dyn Clock) -> bool {
        self.asked() && self.time_left(clock).is_zero()
    }

    /// How much time is left for what is in hand, so that the process ends within [`STOP_WITHIN`].
    #[must_use]
    pub fn time_left(&self, clock: &dyn Clock) -> Duration {
        (STOP_WITHIN - Duration::from_secs(5)).saturating_sub(self.since(clock).unwrap_or_default())
    }
}
