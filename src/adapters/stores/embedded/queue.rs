//! The queue of the writes that wait for the connection. One thread serves it, so that a thousand rotations at once do not
//! need a thread each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::table::WriteError;
use crate::ports::secret_store::Write;
use crate::types::name::EntryName;

/// The writes that wait, and whether a thread serves them or is about to.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Vec<Waiting>,
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

/// The receiver of the result of a queued write.
pub(super) type Answer = oneshot::Receiver<Result<(), WriteError>>;

/// Adds a write. Returns where its answer will be, and the duty to serve the queue if no thread has it.
pub(super) fn add(queue: &Arc<Mutex<Queue>>, work: Work) -> (Answer, Option<Serving>) {
    let (answer, heard) = oneshot::channel();
    let mut locked = lock(queue);
    locked.waiting.push(Waiting { work, answer });
    let is_served = std::mem::replace(&mut locked.is_served, true);
    (heard, (!is_served).then(|| Serving { queue: Arc::clone(queue), is_over: false }))
}

/// The duty to serve the queue until it is empty. If it is dropped before, because no thread could start or a thread
/// panicked, then no waiting write gets an answer, and the next write has the duty.
pub(super) struct Serving {
    queue: Arc<Mutex<Queue>>,
    is_over: bool,
}

impl Serving {
    /// Takes at most `most` of the waiting writes. If it returns none, the duty is over.
    pub(super) fn take(&mut self, most: usize) -> Vec<Waiting> {
        let mut queue = lock(&self.queue);
        if queue.waiting.is_empty() {
            // Under the same lock as the check, so that no write is left behind.
            queue.is_served = false;
            self.is_over = true;
        }
        let count = queue.waiting.len().min(most);
        queue.waiting.drain(..count).collect()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if !self.is_over {
            let mut queue = lock(&self.queue);
            queue.is_served = false;
            queue.waiting.clear();
        }
    }
}

/// Locks the queue. No code panics while it has the lock.
fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(super) fn waiting(queue: &Mutex<Queue>) -> usize {
    lock(queue).waiting.len()
}
