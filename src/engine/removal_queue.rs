//! The queue of the removals of one account. [`super::admission`] admits from it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

#[derive(Default)]
pub(super) struct Units {
    /// The number of the next ticket.
    pub(super) next: u64,
    pub(super) waiting: BTreeMap<u64, Arc<Notify>>,
    pub(super) admitted: usize,
}

impl Units {
    /// Wakes the first unit that waits. No other unit can be admitted, so no other is woken.
    pub(super) fn wake_first(&self) {
        if let Some((_, first)) = self.waiting.first_key_value() {
            first.notify_one();
        }
    }
}

/// The queue of one account.
#[derive(Default)]
pub(super) struct Queue {
    units: Mutex<Units>,
}

impl Queue {
    pub(super) fn units(&self) -> MutexGuard<'_, Units> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
