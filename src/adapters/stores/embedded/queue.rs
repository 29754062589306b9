//! The queue of the writes that wait for the connection. One thread serves it, so that a thousand rotations at once do not
//! need a thread each.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::table::WriteError;
use crate::ports::secret_store::Write;
use crate::types::name::EntryName;

/// The writes that wait.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) waiting: Vec<Waiting>,
    /// Whether a thread serves the queue, or is about to.
    pub(super) is_served: bool,
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

/// A thread serves the queue. If it ends early, because of a panic, then no waiting write gets an answer.
pub(super) struct Serving<'q> {
    pub(super) queue: &'q Mutex<Queue>,
    /// Whether the queue was empty at the end.
    pub(super) is_over: bool,
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

/// Locks the queue. A thread that panicked with the lock has left it whole.
pub(super) fn locked(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
