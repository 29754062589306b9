//! The clock of this machine, and nothing else.

use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;

use crate::journal::clock::Clock;
use crate::rotation::policy::Timestamp;

/// The machine's wall clock, its monotonic clock, and tokio's timer.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_system(SystemTime::now())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn time_goes_on() {
        let clock = SystemClock::new();
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        clock.sleep(Duration::from_millis(20)).await;
        assert!(clock.monotonic() - monotonic >= Duration::from_millis(20));
        assert!(wall > Timestamp::from_unix_seconds(1_700_000_000), "the wall clock is this machine's: {wall}");
    }
}
