//! Simulated time that advances only while every task waits. Hundreds of rotations sleep, queue and call at once, and
//! the sleep of one delays no other.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The clock of one runtime, in milliseconds since it was made.
#[derive(Debug, Default)]
pub(crate) struct Clockwork(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    now: i64,
    serial: u64,
    due: BinaryHeap<Reverse<(i64, u64)>>,
    sleepers: BTreeMap<u64, oneshot::Sender<()>>,
    stuck: Option<oneshot::Sender<()>>,
}

impl Clockwork {
    /// A runtime whose idle moments move a new clock on. It has neither IO nor timers of its own.
    pub(crate) fn with_runtime() -> (Arc<Self>, tokio::runtime::Runtime) {
        let clock = Arc::new(Self::default());
        let idle = clock.clone();
        let mut builder = tokio::runtime::Builder::new_current_thread();
        (clock, builder.on_thread_park(move || idle.idle()).build().expect("a runtime"))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> i64 {
        self.inner().now
    }

    pub(crate) async fn sleep(&self, millis: i64) {
        let (wake, woken) = oneshot::channel();
        {
            let mut inner = self.inner();
            inner.serial += 1;
            let (due, number) = (inner.now + millis.max(0), inner.serial);
            inner.due.push(Reverse((due, number)));
            inner.sleepers.insert(number, wake);
        }
        let _ = woken.await;
    }

    /// Returns if every task waits for something that is no sleep: time would never advance.
    pub(crate) async fn is_stuck(&self) {
        let (wake, woken) = oneshot::channel();
        self.inner().stuck = Some(wake);
        let _ = woken.await;
    }

    /// No task can continue now: the next sleeper wakes. Those that were given up meanwhile do not count.
    fn idle(&self) {
        let mut inner = self.inner();
        while let Some(Reverse((due, number))) = inner.due.pop() {
            let Some(wake) = inner.sleepers.remove(&number) else { continue };
            let before = inner.now;
            inner.now = before.max(due);
            if wake.send(()).is_ok() {
                return;
            }
            inner.now = before;
        }
        if let Some(wake) = inner.stuck.take() {
            let _ = wake.send(());
        }
    }
}
