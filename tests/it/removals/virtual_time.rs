//! A clock that advances only when every task waits for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::oneshot;

/// The number of times that the other tasks run before they count as waiting. A wake-up passes through a few locks only.
const TURNS: usize = 40;

#[derive(Default)]
struct Sleepers {
    now: Duration,
    serial: u64,
    waiting: BTreeMap<(Duration, u64), oneshot::Sender<()>>,
}

/// The time of one played world.
#[derive(Default)]
pub(super) struct VirtualTime(Mutex<Sleepers>);

impl VirtualTime {
    fn sleepers(&self) -> MutexGuard<'_, Sleepers> {
        self.0.lock().expect("no test panics while it holds the clock")
    }

    pub(super) fn now(&self) -> Duration {
        self.sleepers().now
    }

    pub(super) async fn sleep(&self, span: Duration) {
        let woken = {
            let mut sleepers = self.sleepers();
            sleepers.serial += 1;
            let (wake, woken) = oneshot::channel();
            let at = (sleepers.now.saturating_add(span), sleepers.serial);
            sleepers.waiting.insert(at, wake);
            woken
        };
        let _ = woken.await;
    }

    /// Stops the process for this time, so that every shorter sleep ends late.
    pub(super) fn jump(&self, span: Duration) {
        self.sleepers().now += span;
    }

    /// Moves time on whenever all wait, for as long as it is polled.
    pub(super) async fn pass(self: &Arc<Self>) {
        loop {
            let before = self.sleepers().serial;
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
            let mut sleepers = self.sleepers();
            if sleepers.serial != before {
                continue;
            }
            // A task that stopped sleeping early has dropped the receiver.
            while let Some(((at, _), wake)) = sleepers.waiting.pop_first() {
                if !wake.is_closed() {
                    sleepers.now = sleepers.now.max(at);
                    let _ = wake.send(());
                    break;
                }
            }
        }
    }
}
