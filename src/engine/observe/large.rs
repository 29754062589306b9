//! Searching a large value takes long and has no await at which a stop could end it. A value that is read in parts is
//! therefore not read further when the time after a stop is over, and counts as one that may name any key.

use std::io;

use crate::discovery::Source;
use crate::engine::shutdown::Stop;
use crate::journal::clock::Clock;

/// A value that cannot be read any more when the time after a stop is over.
pub(in crate::engine) struct WhileTimeIsLeft<'w> {
    value: &'w dyn Source,
    stop: &'w Stop,
    clock: &'w dyn Clock,
}

impl<'w> WhileTimeIsLeft<'w> {
    pub(in crate::engine) fn new(value: &'w dyn Source, stop: &'w Stop, clock: &'w dyn Clock) -> Self {
        Self { value, stop, clock }
    }
}

impl Source for WhileTimeIsLeft<'_> {
    fn in_memory(&self) -> Option<&[u8]> {
        self.value.in_memory()
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        if self.stop.time_is_over(self.clock) {
            return Err(io::Error::other(STOPPED));
        }
        self.value.read_at(at, into)
    }
}

/// Why a value was not searched.
pub(in crate::engine) const STOPPED: &str = "a stop was asked for, and there was no time left to search it";

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::discovery::{Needles, Unopened};
    use crate::types::name::AccessKeyId;

    /// Each reading takes a second.
    struct Slow(Mutex<Duration>);

    #[async_trait::async_trait]
    impl Clock for Slow {
        fn now(&self) -> crate::types::time::Timestamp {
            crate::types::time::Timestamp::from_unix_seconds(0)
        }

        fn monotonic(&self) -> Duration {
            *self.0.lock().expect("no panic")
        }

        async fn sleep(&self, _: Duration) {}
    }

    struct Endless<'c>(&'c Slow);

    impl Source for Endless<'_> {
        fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
            assert!(at < 200 * 1024 * 1024, "it is read on and on");
            *self.0.0.lock().expect("no panic") += Duration::from_secs(1);
            into.fill(b' ');
            Ok(into.len())
        }
    }

    #[test]
    fn the_search_of_a_value_without_end_ends_after_a_stop() {
        let (clock, stop) = (Slow(Mutex::new(Duration::from_secs(100))), Stop::default());
        stop.ask(&clock);
        let endless = Endless(&clock);
        let value = WhileTimeIsLeft { value: &endless, stop: &stop, clock: &clock };
        let needles = Needles::new([&AccessKeyId::new("AKIAABCDEFGHIJ234567").expect("an id")]);
        assert!(matches!(needles.search(&value).unopened, Some(Unopened::Unread)));
        assert!(clock.monotonic() < Duration::from_secs(100) + crate::engine::shutdown::STOP_WITHIN);
    }
}
