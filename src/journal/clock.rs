//! The clock port. Decisions use AWS's own clock; this clock dates journal lines and measures waits.

use std::time::Duration;

use async_trait::async_trait;

use crate::types::time::Timestamp;

/// Time as this machine has it.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The wall clock: may jump, so nothing is decided by it.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment; it never decreases. It counts the time that the machine spends suspended: fences
    /// and windows are measured by it.
    fn monotonic(&self) -> Duration;

    /// As [`monotonic`](Self::monotonic), without the time that the machine spends suspended: for how long something works.
    fn awake(&self) -> Duration {
        self.monotonic()
    }

    /// Returns after `span`.
    async fn sleep(&self, span: Duration);
}
