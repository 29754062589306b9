//! The queue of removals: order, number, and what is given back.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::poll;
use tokio::sync::Semaphore;

use super::*;
use crate::journal::clock::Clock;
use crate::rotation::policy::Timestamp;

const CALLS: [Operation; 2] = [Operation::ListAccessKeys, Operation::DeleteAccessKey];

/// A clock that stands still.
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

fn pace(slots: usize, rate: Option<f64>) -> Pace {
    Pace::new(Arc::new(Semaphore::new(slots)), rate, Arc::new(Still))
}

/// How many of `wanted` units are admitted at once.
async fn admitted(pace: &Pace, wanted: usize) -> usize {
    let mut tickets: Vec<_> = (0..wanted).map(|_| Ticket::take(pace)).collect();
    for ticket in &mut tickets {
        let _ = poll!(Box::pin(ticket.admit(&CALLS)));
    }
    tickets.iter().filter(|ticket| ticket.slot.is_some()).count()
}

#[tokio::test]
async fn as_many_are_admitted_as_the_rate_lets_through_in_five_seconds() {
    assert_eq!(admitted(&pace(100, Some(20.0)), 80).await, 50);
    assert_eq!(admitted(&pace(100, Some(0.5)), 80).await, 1, "at least one, however slow the rate is");
    assert_eq!(admitted(&pace(100, None), 80).await, 80);
    assert_eq!(admitted(&pace(1, Some(20.0)), 80).await, 1, "each has a slot of its own");
}

#[tokio::test]
async fn the_first_that_came_is_the_first_admitted_also_after_it_stepped_back() {
    let pace = pace(10, Some(0.5));
    let (mut first, mut second) = (Ticket::take(&pace), Ticket::take(&pace));
    assert!(poll!(Box::pin(second.admit(&CALLS))).is_pending(), "it is not its turn");
    assert!(poll!(Box::pin(first.admit(&CALLS))).is_ready());
    assert!(poll!(Box::pin(second.admit(&CALLS))).is_pending());
    first.step_back();
    assert!(poll!(Box::pin(second.admit(&CALLS))).is_pending(), "the first still comes before it");
    drop(first);
    assert!(poll!(Box::pin(second.admit(&CALLS))).is_ready(), "what ends, or is given up, makes room");
    drop(second);
    assert_eq!(admitted(&pace, 1).await, 1);
}
