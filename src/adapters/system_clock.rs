//! The clock of this machine.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use rustix::time::{ClockId, clock_gettime};

use crate::journal::clock::Clock;
use crate::types::time::Timestamp;

/// A clock that includes suspended time, which Linux's `CLOCK_MONOTONIC` does not.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SINCE_BOOT: ClockId = ClockId::Boottime;
/// On macOS `CLOCK_MONOTONIC` includes suspended time. On other systems it may not: waits for AWS then only take
/// longer, but a fence can be too short.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SINCE_BOOT: ClockId = ClockId::Monotonic;

/// The wall clock of this machine, its clock since the boot (`CLOCK_BOOTTIME` on Linux, `CLOCK_MONOTONIC` elsewhere),
/// and tokio's timer.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Duration,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
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
    // The time since the boot is never negative.
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

    /// Set where this test runs once more, in a time namespace whose boot is a day longer ago: so a machine looks that was
    /// suspended for a day.
    #[cfg(target_os = "linux")]
    const AFTER_A_DAY: &str = "ROTATOR_TEST_AFTER_A_DAY";

    #[test]
    #[cfg(target_os = "linux")]
    fn the_clock_counts_the_time_of_a_suspend() {
        let since = |clock| Duration::try_from(clock_gettime(clock)).expect("after the boot");
        let boot = since(ClockId::Boottime);
        let shown = SystemClock { start: Duration::ZERO }.monotonic();
        let awake = since(ClockId::Monotonic);
        assert!(shown >= boot, "it shows {shown:?}; the boot was {boot:?} ago, {awake:?} of it awake");
        assert!(shown < boot + Duration::from_secs(5), "it shows {shown:?}; the boot was {boot:?} ago");
        if std::env::var_os(AFTER_A_DAY).is_some() {
            assert!(boot > awake + Duration::from_secs(86_000), "this shows nothing: {boot:?} and {awake:?}");
            return;
        }
        let mut again = std::process::Command::new("unshare");
        again.args(["--time", "--boottime", "86400"]);
        if !rustix::process::geteuid().is_root() {
            again.args(["--user", "--map-root-user"]);
        }
        again.arg(std::env::current_exe().expect("a program")).env(AFTER_A_DAY, "1");
        again.args(["--exact", "adapters::system_clock::tests::the_clock_counts_the_time_of_a_suspend"]);
        // Without the program, or the right to such a namespace, only a machine that was suspended shows it.
        let Ok(ended) = again.output() else { return };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&ended.stdout), text(&ended.stderr));
        assert!(ended.status.success() && out.contains("1 passed") || err.starts_with("unshare: "), "{out}{err}");
    }

    #[tokio::test]
    async fn the_clock_advances() {
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
