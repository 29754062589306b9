//! The queue of the writes that wait for the connection. One thread serves it, so that a thousand rotations at once do not
//! need a thread each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::error::StoreError;
use super::open::Inner;
use super::table::WriteError;
use crate::ports::secret_store::Write;
use crate::types::name::EntryName;

/// The maximum number of writes in one transaction.
const MOST_AT_ONCE: usize = 256;

/// The writes that wait.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Vec<Waiting>,
    /// Whether a thread serves the queue, or is about to.
    is_served: bool,
}

/// A write that waits for the connection.
pub(super) struct Waiting {
    pub(super) work: Work,
    pub(super) answer: oneshot::Sender<Result<(), WriteError>>,
}

/// What a rotation changes: all of it or nothing.
pub(super) enum Work {
    /// Writes the batch, if every entry has the version that the batch replaces.
    Replace(Vec<Write>),
    /// Forgets the values before the rotation.
    Forget(Vec<EntryName>),
}

/// The result of a queued write, once it is there.
pub(super) type Answer = oneshot::Receiver<Result<(), WriteError>>;

impl Inner {
    /// Does the work in one transaction with all other work that waits.
    pub(super) async fn write(self: &Arc<Self>, work: Work) -> Result<(), WriteError> {
        let (answer, is_served) = self.enqueue(work);
        if !is_served {
            let inner = Arc::clone(self);
            // It answers each caller itself.
            drop(tokio::task::spawn_blocking(move || inner.serve()));
        }
        // A thread that panics drops the answers. The work may be what it was at.
        answer.await.unwrap_or_else(|_| Err(self.defect()))
    }

    /// Returns where the answer will be, and whether a thread serves the queue. Otherwise the caller must see to it that
    /// one does.
    pub(super) fn enqueue(&self, work: Work) -> (Answer, bool) {
        let (answer, heard) = oneshot::channel();
        let mut queue = locked(&self.queue);
        queue.waiting.push(Waiting { work, answer });
        (heard, std::mem::replace(&mut queue.is_served, true))
    }

    /// Does all work that waits.
    pub(super) fn serve(&self) {
        let mut serving = Serving { queue: &self.queue, is_over: false };
        // After a panic no thread can use the connection any more, and no caller gets an answer.
        let Ok(mut connection) = self.connection.lock() else { return };
        loop {
            let together: Vec<Waiting> = {
                let mut queue = locked(&self.queue);
                if queue.waiting.is_empty() {
                    // Under the same lock as the check, so that no write is left behind.
                    queue.is_served = false;
                    serving.is_over = true;
                    return;
                }
                let count = queue.waiting.len().min(MOST_AT_ONCE);
                queue.waiting.drain(..count).collect()
            };
            self.perform(&mut connection, together);
        }
    }

    fn defect(&self) -> WriteError {
        WriteError::Uncertain(StoreError::Poisoned { path: self.path.clone() })
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        locked(&self.queue).waiting.len()
    }
}

/// A thread serves the queue. If it ends early, because of a panic, then no waiting write gets an answer.
struct Serving<'q> {
    queue: &'q Mutex<Queue>,
    is_over: bool,
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let mut queue = locked(self.queue);
            queue.is_served = false;
            queue.waiting.clear();
        }
    }
}

fn locked(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
