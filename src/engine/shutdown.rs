//! The orderly stop: after a signal no rotation is opened, and a new key in memory is stored or discarded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::journal::clock::Clock;

/// How long a stop may take in which new keys are stored or discarded.
pub const STOP_WITHIN: Duration = Duration::from_secs(30);

/// Whether a stop was asked for. It is made once and shared by reference.
#[derive(Debug, Default)]
pub struct Stop {
    /// The monotonic time of the request in milliseconds, plus one. Zero: no stop was asked for.
    asked: AtomicU64,
    notify: Notify,
}

impl Stop {
    /// Asks for a stop. Only the first request counts.
    pub fn ask(&self, clock: &dyn Clock) {
        let at = u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let _ = self.asked.compare_exchange(0, at, Ordering::SeqCst, Ordering::SeqCst);
        self.notify.notify_waiters();
    }

    /// Returns when a stop is asked for.
    pub async fn wait(&self) {
        let notified = self.notify.notified();
        if !self.asked() {
            notified.await;
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

    /// Returns whether a stop was asked for.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst) != 0
    }

    fn since(&self, clock: &dyn Clock) -> Option<Duration> {
        let at = self.asked.load(Ordering::SeqCst).checked_sub(1)?;
        Some(clock.monotonic().saturating_sub(Duration::from_millis(at)))
    }

    /// Returns whether a stop was asked for and its time is nearly over.
    #[must_use]
    pub fn overdue(&self, clock: &dyn Clock) -> bool {
        self.since(clock).is_some_and(|since| since > STOP_WITHIN - Duration::from_secs(10))
    }

    /// Returns whether a stop was asked for and no time is left. A proof ends earlier, when the stop is
    /// [`overdue`](Self::overdue), so that the discard of its key still has time to read the stores.
    #[must_use]
    pub fn time_is_over(&self, clock: &dyn Clock) -> bool {
        self.asked() && self.time_left(clock).is_zero()
    }

    /// Returns how much time is left for new keys in memory, so that the process ends within [`STOP_WITHIN`].
    #[must_use]
    pub fn time_left(&self, clock: &dyn Clock) -> Duration {
        (STOP_WITHIN - Duration::from_secs(5)).saturating_sub(self.since(clock).unwrap_or_default())
    }
}
