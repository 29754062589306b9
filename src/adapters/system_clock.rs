//! The clock of this machine, and nothing else.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use rustix::time::{ClockId, clock_gettime};

use crate::journal::clock::Clock;
use crate::rotation::policy::Timestamp;

/// The clock that counts the time in which the machine is suspended. Linux's `CLOCK_MONOTONIC` does not.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SINCE_BOOT: ClockId = ClockId::Boottime;
/// On macOS `CLOCK_MONOTONIC` counts it. On another system it may stand still in a suspend, and then waits only take
/// longer where AWS answers; a fence can be too short there.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SINCE_BOOT: ClockId = ClockId::Monotonic;

/// The machine's wall clock, its clock since the boot (`CLOCK_BOOTTIME` on Linux, `CLOCK_MONOTONIC` elsewhere), and
/// tokio's timer.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Duration,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
    #[must_use]
    pub fn new() -> Self {
        Self { start: since_boot() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

fn since_boot() -> Duration {
    // Never before the boot.
    Duration::try_from(clock_gettime(SINCE_BOOT)).unwrap_or_default()
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_system(SystemTime::now())
    }

    fn monotonic(&self) -> Duration {
        since_boot().saturating_sub(self.start)
    }

    fn awake(&self) -> Duration {
        Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn it_counts_the_time_of_a_suspend() {
        // A machine that has been suspended since its boot shows it; on any other both clocks agree.
        let boot = Duration::try_from(clock_gettime(ClockId::Boottime)).expect("after the boot");
        let clock = SystemClock { start: Duration::ZERO };
        assert!(clock.monotonic() >= boot && clock.monotonic() < boot + Duration::from_secs(5));
    }

    #[tokio::test]
    async fn time_goes_on() {
        let clock = SystemClock::new();
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        clock.sleep(Duration::from_millis(20)).await;
        assert!(clock.monotonic() - monotonic >= Duration::from_millis(20));
        let awake = clock.awake();
        clock.sleep(Duration::from_millis(20)).await;
        assert!(clock.awake() - awake >= Duration::from_millis(20));
        assert!(wall > Timestamp::from_unix_seconds(1_700_000_000), "the wall clock is this machine's: {wall}");
    }
}
