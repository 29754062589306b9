//! The one pacer above clients whose own retries are off.
//!
//! It bounds the calls in flight and, per operation, spaces them out as soon as one is throttled: IAM's quota belongs
//! to everything in the account, and its rates are unpublished
//! (<https://repost.aws/knowledge-center/iam-sts-throttling-error>).

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::journal::clock::Clock;
use crate::ports::call::{CallError, CallErrorKind};
use crate::rotation::failure::{Failure, RefusalKind};

/// The gap between calls after the first throttling.
const FIRST_GAP: Duration = Duration::from_millis(50);
/// The widest gap.
const WIDEST_GAP: Duration = Duration::from_secs(5);
/// How much each call that is not throttled takes off the gap: a twentieth.
const SPEED_UP: u32 = 20;
/// How often a call that changes nothing is tried.
const MOST_TRIES: u32 = 6;
/// The wait before the second try; doubles.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);

/// Operations that have a quota of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "AWS's own names")]
pub enum Operation {
    ListAccessKeys,
    GetAccessKeyLastUsed,
    CreateAccessKey,
    UpdateAccessKey,
    DeleteAccessKey,
    GetCallerIdentity,
    Store,
}

#[derive(Debug, Default, Clone, Copy)]
struct Lane {
    gap: Duration,
    next: Duration,
}

/// The pacer. One per account.
pub struct Pace {
    slots: Semaphore,
    lanes: Mutex<HashMap<Operation, Lane>>,
    clock: Arc<dyn Clock>,
    least_gap: Duration,
}

/// The right to make one call now.
#[must_use]
pub struct Turn<'a> {
    pace: &'a Pace,
    operation: Operation,
    _slot: Option<SemaphorePermit<'a>>,
}

impl Pace {
    /// At most `concurrency` calls in flight, and of one operation at most `rate` calls a second.
    #[must_use]
    pub fn new(concurrency: usize, rate: Option<f64>, clock: Arc<dyn Clock>) -> Self {
        let least_gap =
            rate.filter(|rate| *rate > 0.0).map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        Self { slots: Semaphore::new(concurrency.max(1)), lanes: Mutex::default(), clock, least_gap }
    }

    fn lanes(&self) -> std::sync::MutexGuard<'_, HashMap<Operation, Lane>> {
        self.lanes.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits for a turn. The wait for the lane's gap holds no slot.
    pub async fn turn(&self, operation: Operation) -> Turn<'_> {
        let slot = loop {
            let wait = {
                let now = self.clock.monotonic();
                let mut lanes = self.lanes();
                let lane = lanes.entry(operation).or_default();
                let wait = lane.next.saturating_sub(now);
                if wait.is_zero() {
                    lane.next = now + lane.gap.max(self.least_gap);
                }
                wait
            };
            if wait.is_zero() {
                break self.slots.acquire().await.ok();
            }
            self.clock.sleep(wait).await;
        };
        Turn { pace: self, operation, _slot: slot }
    }

    /// Makes a call that changes nothing, and tries again with backoff while that may help.
    ///
    /// # Errors
    /// What the last try said.
    pub async fn read<T, F, A>(&self, operation: Operation, call: A) -> Result<T, CallError>
    where
        A: Fn() -> F + Send + Sync,
        F: Future<Output = Result<T, CallError>> + Send,
        T: Send,
    {
        let mut backoff = FIRST_BACKOFF;
        let mut tries = 1;
        loop {
            let turn = self.turn(operation).await;
            let answer = call().await;
            turn.over(matches!(&answer, Err(error) if error.kind == CallErrorKind::Throttled));
            match answer {
                Err(error) if error.kind.is_transient() && tries < MOST_TRIES => {
                    tracing::debug!(?operation, tries, "trying again: {error}");
                    self.clock.sleep(backoff).await;
                    backoff *= 2;
                    tries += 1;
                }
                answer => return answer,
            }
        }
    }
}

impl Turn<'_> {
    /// The call is over; `throttled` slows the whole lane, anything else speeds it up by a small step.
    pub fn over(self, throttled: bool) {
        let now = self.pace.clock.monotonic();
        let mut lanes = self.pace.lanes();
        let lane = lanes.entry(self.operation).or_default();
        if throttled {
            lane.gap = (lane.gap * 2).clamp(FIRST_GAP, WIDEST_GAP);
            lane.next = lane.next.max(now + lane.gap);
        } else {
            lane.gap = lane.gap.saturating_sub((lane.gap / SPEED_UP).max(Duration::from_micros(500)));
        }
    }

    /// The call is over: an effect.
    pub fn over_with<T>(self, result: &Result<T, Failure>) {
        self.over(matches!(result, Err(Failure::Refused(refusal)) if refusal.kind == RefusalKind::Throttled));
    }
}
