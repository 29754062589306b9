//! The queue of the reads and writes that wait for the connection. One thread serves it, so that a thousand rotations at
//! once do not need a thread each: each thread keeps memory that it has used and freed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::table::WriteError;
use crate::ports::secret_store::Write;
use crate::types::name::EntryName;

/// What waits, and whether a thread serves it or is about to.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Waiting,
    is_served: bool,
}

/// What waits for the connection, in the order of its arrival.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) reads: Vec<Read>,
    pub(super) writes: Vec<WaitingWrite>,
}

impl Waiting {
    const fn is_empty(&self) -> bool {
        self.reads.is_empty() && self.writes.is_empty()
    }
}

/// A read that waits. It answers its caller itself, and does nothing if the caller is gone.
pub(super) type Read = Box<dyn FnOnce() + Send>;

/// A write that waits for the connection.
pub(super) struct WaitingWrite {
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
pub(super) fn add_write(queue: &Arc<Mutex<Queue>>, work: Work) -> (Answer, Option<Serving>) {
    let (answer, heard) = oneshot::channel();
    (heard, add(queue, |waiting| waiting.writes.push(WaitingWrite { work, answer })))
}

/// Adds a read. Returns where its result will be, and the duty to serve the queue if no thread has it.
pub(super) fn add_read<T: Send + 'static>(
    queue: &Arc<Mutex<Queue>>,
    read: impl FnOnce() -> T + Send + 'static,
) -> (oneshot::Receiver<T>, Option<Serving>) {
    let (answer, heard) = oneshot::channel();
    let read = move || {
        if !answer.is_closed() {
            drop(answer.send(read()));
        }
    };
    (heard, add(queue, |waiting| waiting.reads.push(Box::new(read))))
}

fn add(queue: &Arc<Mutex<Queue>>, push: impl FnOnce(&mut Waiting)) -> Option<Serving> {
    let mut locked = lock(queue);
    push(&mut locked.waiting);
    let is_served = std::mem::replace(&mut locked.is_served, true);
    (!is_served).then(|| Serving { queue: Arc::clone(queue), is_over: false })
}

/// The duty to serve the queue until it is empty. If it is dropped before, because no thread could start or a thread
/// panicked, then nothing that waits gets an answer, and the next caller has the duty.
pub(super) struct Serving {
    queue: Arc<Mutex<Queue>>,
    is_over: bool,
}

impl Serving {
    /// Takes all waiting reads and at most `most` of the waiting writes. `None`: nothing waits, and the duty is over.
    pub(super) fn take(&mut self, most: usize) -> Option<Waiting> {
        let mut queue = lock(&self.queue);
        if queue.waiting.is_empty() {
            // Under the same lock as the check, so that nothing is left behind.
            queue.is_served = false;
            self.is_over = true;
            return None;
        }
        let count = queue.waiting.writes.len().min(most);
        let writes = queue.waiting.writes.drain(..count).collect();
        Some(Waiting { reads: std::mem::take(&mut queue.waiting.reads), writes })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if !self.is_over {
            let mut queue = lock(&self.queue);
            queue.is_served = false;
            queue.waiting = Waiting::default();
        }
    }
}

/// Locks the queue. No code panics while it has the lock.
fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(super) fn waiting(queue: &Mutex<Queue>) -> usize {
    let queue = lock(queue);
    queue.waiting.reads.len() + queue.waiting.writes.len()
}
