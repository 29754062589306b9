//! Runs a task for each of many rotations, and bounds how many are under way at once.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};

/// The right of a task to be under way. It is dropped when the task ends, or when its rotation begins to wait without a
/// call in flight.
pub type Started = OwnedSemaphorePermit;

/// Runs `task` for each item, in order, and at most `most` of them at once. `take` gets each result as it comes.
pub(super) async fn for_each<I, F, T>(
    items: impl IntoIterator<Item = I>,
    most: usize,
    task: impl Fn(I, Option<Started>) -> F,
    take: impl FnMut(Result<T, JoinError>),
) where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let whole = |item, started| task(item, started).map(Part::Whole);
    let rest = Rest { gather: |_| 0, now: || Duration::ZERO, task: |never: Never, _, _| async move { match never {} } };
    in_two_parts(items, most, whole, rest, take).await;
}

enum Never {}

/// The result of the first part of a task.
pub(super) enum Part<T, P> {
    /// There is no second part.
    Whole(T),
    /// The second part is to be done for this, together with that of others.
    First(P),
}

/// The second parts of tasks.
pub(super) struct Rest<N, C, S> {
    /// How many second parts are gathered before they begin, if this many tasks have ended.
    pub(super) gather: N,
    /// The monotonic time.
    pub(super) now: C,
    /// Does a second part. It is given when the last first part of those that are gathered had ended.
    pub(super) task: S,
}

/// How many second parts are gathered for each first part that is still at work, once every first part has begun. One that
/// is slow, or that waits, does not keep all others waiting.
const GATHERED_FOR_EACH_TO_COME: usize = 7;

/// As [`for_each`], with tasks that may have a second part. Second parts are gathered, so that they can share what is read for
/// all of them at once. First and second parts begin in turn, so that there is work while the last second parts are
/// gathered.
pub(super) async fn in_two_parts<I, P, F, S, T>(
    items: impl IntoIterator<Item = I>,
    most: usize,
    first: impl Fn(I, Option<Started>) -> F,
    rest: Rest<impl Fn(usize) -> usize, impl Fn() -> Duration, impl Fn(P, Duration, Option<Started>) -> S>,
    mut take: impl FnMut(Result<T, JoinError>),
) where
    F: Future<Output = Part<T, P>> + Send + 'static,
    S: Future<Output = T> + Send + 'static,
    T: Send + 'static,
    P: Send + 'static,
{
    let under_way = Arc::new(Semaphore::new(most));
    let (mut firsts, mut seconds) = (JoinSet::new(), JoinSet::new());
    let mut items = items.into_iter().peekable();
    let (mut gathered, mut ready, mut ended) = (Vec::new(), VecDeque::new(), 0);
    let mut first_is_next = true;
    loop {
        // The semaphore is never closed.
        let mut started = None;
        while started.is_none() {
            // What has ended is taken first: it may decide what begins next.
            tokio::select! {
                biased;
                Some(result) = next_ended(&mut firsts, &mut seconds) => {
                    take_part(result, &mut gathered, &mut ended, &mut take);
                }
                permit = under_way.clone().acquire_owned() => started = permit.ok(),
            }
        }
        // One of those at work is this loop.
        let at_work = most.saturating_sub(under_way.available_permits() + 1);
        let to_come = if items.peek().is_some() { usize::MAX } else { at_work.min(firsts.len()) };
        let wanted = (rest.gather)(ended).min(to_come.saturating_mul(GATHERED_FOR_EACH_TO_COME));
        if gathered.len() >= wanted {
            let now = (rest.now)();
            ready.extend(gathered.drain(..).map(|part| (part, now)));
        }
        first_is_next |= ready.is_empty();
        if let Some(item) = items.next_if(|_| first_is_next) {
            first_is_next = false;
            firsts.spawn(first(item, started));
        } else if let Some((part, since)) = ready.pop_front() {
            first_is_next = true;
            seconds.spawn((rest.task)(part, since, started));
        } else {
            // A first part that begins to wait gives its right back, and does not end: what is gathered may begin then.
            let one_more = u32::try_from(under_way.available_permits() + 1).unwrap_or(u32::MAX);
            tokio::select! {
                biased;
                Some(result) = next_ended(&mut firsts, &mut seconds) => {
                    take_part(result, &mut gathered, &mut ended, &mut take);
                }
                Ok(_) = under_way.acquire_many(one_more), if !gathered.is_empty() => {}
                else => return,
            }
        }
    }
}

/// Waits for the next part that ends. `None`: no part is under way.
async fn next_ended<T: 'static, P: 'static>(
    firsts: &mut JoinSet<Part<T, P>>,
    seconds: &mut JoinSet<T>,
) -> Option<Result<Part<T, P>, JoinError>> {
    tokio::select! {
        biased;
        Some(result) = firsts.join_next() => Some(result),
        Some(result) = seconds.join_next() => Some(result.map(Part::Whole)),
        else => None,
    }
}

fn take_part<T, P>(
    result: Result<Part<T, P>, JoinError>,
    gathered: &mut Vec<P>,
    ended: &mut usize,
    take: &mut impl FnMut(Result<T, JoinError>),
) {
    match result {
        Ok(Part::First(part)) => return gathered.push(part),
        Ok(Part::Whole(whole)) => take(Ok(whole)),
        Err(error) => take(Err(error)),
    }
    *ended += 1;
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

    #[tokio::test]
    async fn second_parts_are_gathered_and_begin_in_turn_with_first_parts() {
        let told = Arc::new(std::sync::Mutex::new(Vec::new()));
        let clock = AtomicUsize::new(0);
        let say = |word: String| {
            let told = told.clone();
            async move { told.lock().expect("no panic").push(word) }
        };
        let first = |number: usize, started: Option<Started>| {
            let said = say(format!("first {number}"));
            async move {
                said.await;
                drop(started);
                // The third one has no second part.
                if number == 2 { Part::Whole(number) } else { Part::First(number) }
            }
        };
        let second = |number: usize, since: Duration, started: Option<Started>| {
            let said = say(format!("second {number} since {}", since.as_secs()));
            async move {
                said.await;
                drop(started);
                number
            }
        };
        let now = || Duration::from_secs(clock.fetch_add(1, Ordering::SeqCst) as u64);
        let mut ended = Vec::new();
        // One at a time, so that the order is known.
        let rest = Rest { gather: |ended: usize| 2 + ended, now, task: second };
        in_two_parts(0..6, 1, first, rest, |result| ended.push(result.expect("ends"))).await;
        ended.sort_unstable();
        assert_eq!(ended, [0, 1, 2, 3, 4, 5]);
        let order = [
            "first 0",
            "first 1",
            "second 0 since 0",
            "first 2",
            "second 1 since 0",
            "first 3",
            "first 4",
            "first 5",
            // These are fewer than are gathered, and they are the last.
            "second 3 since 1",
            "second 4 since 1",
            "second 5 since 1",
        ];
        assert_eq!(*told.lock().expect("no panic"), order);
    }

    /// What a first part does that does not end before the others have ended.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Slow {
        IsAtWork,
        Waits,
        /// It is at work when the others end, and then waits without its right.
        BeginsToWait,
    }

    /// A first part that is at work keeps fewer than seven others waiting, and one that has given its right back keeps none.
    #[tokio::test]
    async fn one_slow_first_part_does_not_keep_the_others_waiting() {
        for (slow, others) in [(Slow::IsAtWork, GATHERED_FOR_EACH_TO_COME), (Slow::Waits, 1), (Slow::BeginsToWait, 1)] {
            let second_ended = Arc::new(tokio::sync::Notify::new());
            let first = |number: usize, started: Option<Started>| {
                let second_ended = second_ended.clone();
                async move {
                    if number == 0 {
                        let mut right = started.filter(|_| slow != Slow::Waits);
                        for _ in 0..100 {
                            tokio::task::yield_now().await;
                        }
                        right = right.filter(|_| slow == Slow::IsAtWork);
                        second_ended.notified().await;
                        drop(right);
                    }
                    Part::First(number)
                }
            };
            let second = |number: usize, _, _| {
                second_ended.notify_one();
                std::future::ready(number)
            };
            let mut ended = Vec::new();
            let rest = Rest { gather: |_| usize::MAX, now: || Duration::ZERO, task: second };
            let all = in_two_parts(0..=others, 20, first, rest, |result| ended.push(result.expect("ends")));
            tokio::time::timeout(Duration::from_secs(20), all).await.expect("the second parts of the others begin");
            assert_eq!((ended.last(), ended.len()), (Some(&0), others + 1));
        }
    }
}
