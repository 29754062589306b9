//! The queue of removals: order, number, and what is given back.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use tokio::sync::Semaphore;

use super::*;
use crate::journal::clock::Clock;
use crate::types::time::Timestamp;

const CALLS: [Operation; 2] = [Operation::ListAccessKeys, Operation::DeleteAccessKey];

/// A clock that always shows the same time.
struct Still;

#[async_trait]
impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(0)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, _: Duration) {
        std::future::pending().await
    }
}

fn limiter(slots: usize, rate: Option<f64>) -> RateLimiter {
    RateLimiter::new(Arc::new(Semaphore::new(slots)), rate, Arc::new(Still))
}

/// How many of `wanted` units are admitted at once.
async fn admitted(limiter: &RateLimiter, wanted: usize) -> usize {
    let mut tickets: Vec<_> = (0..wanted).map(|_| Ticket::take(limiter)).collect();
    for ticket in &mut tickets {
        let _ = ticket.admit(&CALLS).now_or_never();
    }
    tickets.iter().filter(|ticket| ticket.slot.is_some()).count()
}

#[tokio::test]
async fn as_many_are_admitted_as_the_rate_lets_through_in_five_seconds() {
    assert_eq!(admitted(&limiter(100, Some(20.0)), 80).await, 50);
    assert_eq!(admitted(&limiter(100, Some(0.5)), 80).await, 1, "at least one, however slow the rate is");
    assert_eq!(admitted(&limiter(100, None), 40).await, 40);
    assert_eq!(admitted(&limiter(1, Some(20.0)), 80).await, 1, "each has a slot of its own");
}

#[tokio::test]
async fn the_first_that_came_is_the_first_admitted_also_after_it_stepped_back() {
    let limiter = limiter(10, Some(0.5));
    let (mut first, mut second) = (Ticket::take(&limiter), Ticket::take(&limiter));
    assert!(second.admit(&CALLS).now_or_never().is_none(), "it is not its turn");
    assert!(first.admit(&CALLS).now_or_never().is_some());
    assert!(second.admit(&CALLS).now_or_never().is_none());
    first.step_back();
    assert!(second.admit(&CALLS).now_or_never().is_none(), "the first still comes before it");
    drop(first);
    assert!(second.admit(&CALLS).now_or_never().is_some(), "what ends, or is given up, makes room");
    drop(second);
    assert_eq!(admitted(&limiter, 1).await, 1);
}
