//! The rate limiter above the AWS clients and the stores, whose own retries are off.
//!
//! It bounds the calls in flight, and spaces out the calls of an operation as soon as one is throttled. IAM's quota is
//! shared by everything in the account, and its rates are unpublished
//! (<https://repost.aws/knowledge-center/iam-sts-throttling-error>).
//!
//! A throttled call cuts the rate by a tenth, and every other one adds a fixed step, as TCP does it
//! (<https://www.rfc-editor.org/rfc/rfc5681#section-3.1>): whatever share of the calls is throttled, the rate settles,
//! and from the widest gap it recovers within seconds. (Steps in proportion to the rate lead to the widest gap where
//! more than a few calls of a hundred are throttled.) The steps are small: at a quota of 20 calls a second, about one call
//! of six is throttled. A throttled call is no failure, but others of the account need the quota as well.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::backoff::OF_A_CALL;
use super::removal_queue::Queue;
use crate::journal::clock::Clock;
use crate::ports::call::{CallError, CallErrorKind};
use crate::types::failure::{Failure, RefusalKind};

/// The gap between calls after the first throttling.
const FIRST_GAP: Duration = Duration::from_millis(50);
const WIDEST_GAP: Duration = Duration::from_secs(5);
/// By how many calls a second each call that is not throttled speeds its lane up.
const SPEED_UP: f64 = 0.45;
/// How much longer a throttled call makes the gap.
const SLOW_DOWN: f64 = 1.1;
/// A smaller gap counts as zero.
const SMALLEST_GAP: Duration = Duration::from_millis(2);
/// How many times a call that changes nothing is tried. Throttled tries do not count.
const MOST_TRIES: u32 = 6;
/// A call that changes nothing is not tried again when its tries have taken this long: each may wait for its whole time-out.
const TRIED_FOR: Duration = Duration::from_secs(20);
/// For how long throttled tries of one call do not count. After that, others use the whole quota.
const THROTTLED_FOR: Duration = Duration::from_secs(15);

/// Operations that have a quota of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    ListAccessKeys,
    GetAccessKeyLastUsed,
    CreateAccessKey,
    UpdateAccessKey,
    DeleteAccessKey,
    GetCallerIdentity,
    GetAccessKeyInfo,
    GetRole,
    SimulatePrincipalPolicy,
    Store,
}

/// The order of calls that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// An ordinary call waits for a slot, and until no removal waits for the same operation.
    Ordinary,
    /// A call of an admitted removal ([`super::admission`]), or the key list of a create that holds its permit. It
    /// already has a slot and precedes all other calls, because what it has read must not become stale in a queue.
    Removal,
    /// The one scan of all stores that may run at a time. It has a slot of its own, because removals that hold all
    /// other slots wait for it.
    Scan,
}

#[derive(Debug, Default)]
struct Lane {
    gap: Duration,
    next: Duration,
    /// When the lane was slowed last. Calls that were sent before say nothing about the rate since then.
    slowed: Option<Duration>,
    /// How many calls of removals and scans wait for this operation.
    first: usize,
    /// The calls that wait, in order: the ordinary ones, and those with priority. Only the head of each queue watches
    /// the clock.
    queues: [Arc<tokio::sync::Mutex<()>>; 2],
}

impl Lane {
    fn slow_down(&mut self, now: Duration, sent: Duration) {
        if self.slowed.is_none_or(|slowed| sent >= slowed) {
            self.gap = self.gap.mul_f64(SLOW_DOWN).clamp(FIRST_GAP, WIDEST_GAP);
            self.slowed = Some(now);
        }
        self.next = self.next.max(now + self.gap);
    }

    fn speed_up(&mut self) {
        if self.gap.is_zero() {
            return;
        }
        let gap = Duration::from_secs_f64(1.0 / (1.0 / self.gap.as_secs_f64() + SPEED_UP));
        self.gap = if gap < SMALLEST_GAP { Duration::ZERO } else { gap };
    }
}

/// Limits the rate of calls. Each account has one limiter, and all stores share one. The limiters of the accounts share
/// their slots.
pub struct RateLimiter {
    slots: Arc<Semaphore>,
    lanes: Mutex<HashMap<Operation, Lane>>,
    clock: Arc<dyn Clock>,
    least_gap: Duration,
    removals: Queue,
}

/// The right to make one call now.
#[must_use]
pub struct Permit<'a> {
    limiter: &'a RateLimiter,
    operation: Operation,
    sent: Duration,
    _slot: Option<SemaphorePermit<'a>>,
}

impl RateLimiter {
    /// Allows as many calls in flight as there are `slots`, and at most `rate` calls of one operation in a second.
    #[must_use]
    pub fn new(slots: Arc<Semaphore>, rate: Option<f64>, clock: Arc<dyn Clock>) -> Self {
        let least_gap =
            rate.filter(|rate| *rate > 0.0).map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        Self { slots, lanes: Mutex::default(), clock, least_gap, removals: Queue::default() }
    }

    fn lanes(&self) -> std::sync::MutexGuard<'_, HashMap<Operation, Lane>> {
        self.lanes.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    #[must_use]
    pub(super) const fn removals(&self) -> &Queue {
        &self.removals
    }

    /// Waits for the slot that a removal holds until it is over.
    pub(super) async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        self.slots.acquire().await.ok()
    }

    /// Returns how many calls of this operation may be made each second now. `None`: only the slots bound them.
    #[must_use]
    pub(super) fn rate(&self, operation: Operation) -> Option<f64> {
        let gap = self.lanes().get(&operation).map_or(Duration::ZERO, |lane| lane.gap).max(self.least_gap);
        (!gap.is_zero()).then(|| 1.0 / gap.as_secs_f64())
    }

    /// Waits until a call may be made. The wait for the lane's gap holds no slot.
    pub async fn acquire(&self, operation: Operation) -> Permit<'_> {
        self.acquire_for(Priority::Ordinary, operation).await
    }

    /// Does the same for a call of this priority.
    pub(super) async fn acquire_for(&self, priority: Priority, operation: Operation) -> Permit<'_> {
        let first = priority != Priority::Ordinary;
        let _waiting = first.then(|| FirstInLane::new(self, operation));
        let queue = self.lanes().entry(operation).or_default().queues[usize::from(first)].clone();
        let head = queue.lock().await;
        loop {
            let wait = {
                let now = self.clock.monotonic();
                let mut lanes = self.lanes();
                let lane = lanes.entry(operation).or_default();
                let gap = lane.gap.max(self.least_gap);
                let wait = lane.next.saturating_sub(now);
                if !first && lane.first > 0 && !gap.is_zero() {
                    wait.max(gap)
                } else {
                    if wait.is_zero() {
                        lane.next = now + gap;
                    }
                    wait
                }
            };
            if wait.is_zero() {
                drop(head);
                let slot = match priority {
                    Priority::Ordinary => self.slot().await,
                    Priority::Removal | Priority::Scan => None,
                };
                return Permit { limiter: self, operation, sent: self.clock.monotonic(), _slot: slot };
            }
            self.clock.sleep(wait).await;
        }
    }

    /// Returns whether a call has been throttled since `since` for a time that does not count.
    pub(super) fn is_brief(&self, since: &mut Option<Duration>) -> bool {
        let now = self.clock.monotonic();
        now.saturating_sub(*since.get_or_insert(now)) < THROTTLED_FOR
    }

    /// Makes a call that changes nothing, and tries again with backoff while that may help.
    ///
    /// # Errors
    /// The error of the last try.
    pub async fn read<T, F, A>(&self, operation: Operation, call: A) -> Result<T, CallError>
    where
        A: Fn() -> F + Send + Sync,
        F: Future<Output = Result<T, CallError>> + Send,
        T: Send,
    {
        self.read_of(Priority::Ordinary, operation, call).await
    }

    /// Does the same for a call of this priority.
    ///
    /// # Errors
    /// The error of the last try.
    pub(super) async fn read_of<T, F, A>(
        &self,
        priority: Priority,
        operation: Operation,
        call: A,
    ) -> Result<T, CallError>
    where
        A: Fn() -> F + Send + Sync,
        F: Future<Output = Result<T, CallError>> + Send,
        T: Send,
    {
        let mut tries = 1;
        let (mut throttled_since, mut spent) = (None, Duration::ZERO);
        loop {
            let permit = self.acquire_for(priority, operation).await;
            let began = self.clock.monotonic();
            let answer = call().await;
            spent += self.clock.monotonic().saturating_sub(began);
            let is_throttled = matches!(&answer, Err(error) if error.kind == CallErrorKind::Throttled);
            permit.release(is_throttled);
            match answer {
                // The gap of the lane is the wait.
                Err(_) if is_throttled && self.is_brief(&mut throttled_since) => {}
                Err(error) if error.kind.is_transient() && tries < MOST_TRIES && spent < TRIED_FOR => {
                    tracing::debug!(?operation, tries, "trying again: {error}");
                    self.clock.sleep(OF_A_CALL.after(tries)).await;
                    tries += 1;
                }
                answer => return answer,
            }
        }
    }
}

/// Counts a call with priority while it waits for its operation, until this is dropped.
struct FirstInLane<'a> {
    limiter: &'a RateLimiter,
    operation: Operation,
}

impl<'a> FirstInLane<'a> {
    fn new(limiter: &'a RateLimiter, operation: Operation) -> Self {
        limiter.lanes().entry(operation).or_default().first += 1;
        Self { limiter, operation }
    }
}

impl Drop for FirstInLane<'_> {
    fn drop(&mut self) {
        if let Some(lane) = self.limiter.lanes().get_mut(&self.operation) {
            lane.first = lane.first.saturating_sub(1);
        }
    }
}

impl Permit<'_> {
    /// Ends the call. `throttled` slows the whole lane, any other result speeds it up by a small step.
    pub fn release(self, throttled: bool) {
        let now = self.limiter.clock.monotonic();
        let mut lanes = self.limiter.lanes();
        let lane = lanes.entry(self.operation).or_default();
        if throttled {
            lane.slow_down(now, self.sent);
        } else {
            lane.speed_up();
        }
    }

    /// Ends the call of an effect.
    pub fn release_after<T>(self, result: &Result<T, Failure>) {
        self.release(matches!(result, Err(Failure::Refused(refusal)) if refusal.kind == RefusalKind::Throttled));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    /// Time passes in calls and sleeps only.
    #[derive(Default)]
    struct Passes(Mutex<Duration>);

    impl Passes {
        fn pass(&self, span: Duration) {
            *self.0.lock().expect("no panic") += span;
        }
    }

    #[async_trait::async_trait]
    impl Clock for Passes {
        fn now(&self) -> crate::types::time::Timestamp {
            crate::types::time::Timestamp::from_unix_seconds(0)
        }

        fn monotonic(&self) -> Duration {
            *self.0.lock().expect("no panic")
        }

        async fn sleep(&self, span: Duration) {
            self.pass(span);
        }
    }

    #[tokio::test]
    async fn a_call_that_waits_for_its_time_out_is_not_tried_as_often_as_one_that_fails_at_once() {
        for (takes, expected) in [(0, 6), (3, 6), (10, 2), (15, 2), (30, 1)] {
            let (clock, takes) = (Arc::new(Passes::default()), Duration::from_secs(takes));
            let limiter = RateLimiter::new(Arc::new(Semaphore::new(1)), None, clock.clone());
            let tries = Mutex::new(0);
            let call = async || {
                clock.pass(takes);
                *tries.lock().expect("no panic") += 1;
                Err::<(), _>(CallError::new(CallErrorKind::Unavailable, "no answer"))
            };
            limiter.read(Operation::Store, call).await.expect_err("it never answers");
            assert_eq!(*tries.lock().expect("no panic"), expected, "{takes:?} each");
        }
    }

    #[test]
    fn a_burst_that_is_throttled_slows_the_lane_once() {
        let mut lane = Lane::default();
        for answer in 1..=16 {
            lane.slow_down(MOMENT * answer, Duration::ZERO);
        }
        assert_eq!(lane.gap, FIRST_GAP);
        assert_eq!(lane.next, MOMENT * 16 + FIRST_GAP, "but all wait for the last of it");
        lane.slow_down(MOMENT * 100, MOMENT * 99);
        assert_eq!(lane.gap, FIRST_GAP.mul_f64(SLOW_DOWN), "what was sent since then counts");
    }

    #[test]
    fn from_the_widest_gap_it_is_back_within_seconds() {
        let mut lane = Lane { gap: WIDEST_GAP, ..Lane::default() };
        let mut taken = Duration::ZERO;
        while lane.gap > FIRST_GAP {
            taken += lane.gap;
            lane.speed_up();
        }
        assert!(taken < Duration::from_secs(20), "{taken:?}");
        for _ in 0..1_500 {
            lane.speed_up();
        }
        assert_eq!(lane.gap, Duration::ZERO, "after a while without throttling there is no gap at all");
    }

    /// Three of ten calls are throttled at every rate. The lane must continue at a few calls a second.
    #[test]
    fn a_constant_share_of_throttled_calls_does_not_stop_the_lane() {
        let mut lane = Lane::default();
        let (mut now, calls) = (Duration::ZERO, 3_000_u32);
        for call in 0..calls {
            now += lane.gap + MOMENT;
            if call.wrapping_mul(2_654_435_761) % 10 < 3 {
                lane.slow_down(now, now);
            } else {
                lane.speed_up();
            }
        }
        assert!(now < FIRST_GAP * 2 * calls, "{calls} calls took {now:?}");
    }
}
