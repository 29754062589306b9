//! Runs a task for each of many rotations, and bounds how many are under way at once.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};

/// The right of a task to be under way. It is dropped when the task ends, or when its rotation begins a wait that may
/// take days.
pub type Started = OwnedSemaphorePermit;

/// Runs `task` for each item, in order, and at most `most` of them at once. `take` gets each result as it comes.
pub(super) async fn for_each<I, F, T>(
    items: impl IntoIterator<Item = I>,
    most: usize,
    task: impl Fn(I, Option<Started>) -> F,
    mut take: impl FnMut(Result<T, JoinError>),
) where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let under_way = Arc::new(Semaphore::new(most));
    let mut tasks = JoinSet::new();
    for item in items {
        // The semaphore is never closed.
        let mut started = under_way.clone().try_acquire_owned().ok();
        while started.is_none() {
            tokio::select! {
                Some(ended) = tasks.join_next() => take(ended),
                permit = under_way.clone().acquire_owned() => started = permit.ok(),
            }
        }
        tasks.spawn(task(item, started));
    }
    while let Some(ended) = tasks.join_next().await {
        take(ended);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn no_more_tasks_are_under_way_than_allowed_and_those_that_wait_do_not_count() {
        let [now, peak, over] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
        let mut ended = Vec::new();
        let task = |number: usize, started: Option<Started>| {
            let (now, peak, over) = (now.clone(), peak.clone(), over.clone());
            async move {
                peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
                drop(started);
                // One waits for all the others.
                while number == 3 && over.load(Ordering::SeqCst) < 39 {
                    tokio::task::yield_now().await;
                }
                over.fetch_add(1, Ordering::SeqCst);
                number
            }
        };
        for_each(0..40, 4, task, |result| ended.push(result.expect("ends"))).await;
        assert_eq!(peak.load(Ordering::SeqCst), 4);
        ended.sort_unstable();
        assert_eq!(ended, (0..40).collect::<Vec<_>>());
    }
}
