//! When the next pass begins. What a pass does without its credentials is seen by the binary's tests (`tests/it/cli`).

use super::*;
use std::sync::Mutex;

/// Time advances only during a sleep. A stop is asked for in the sleep of this number.
#[derive(Default)]
struct Virtual {
    slept: Mutex<Vec<Duration>>,
    stop_in: Option<(usize, Arc<Stop>)>,
}

impl Virtual {
    fn now_is(&self) -> Duration {
        self.slept.lock().expect("unpoisoned").iter().sum()
    }
}

#[async_trait]
impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(1_700_000_000).plus(self.now_is())
    }

    fn monotonic(&self) -> Duration {
        self.now_is()
    }

    async fn sleep(&self, span: Duration) {
        let slept = {
            let mut slept = self.slept.lock().expect("unpoisoned");
            slept.push(span);
            slept.len()
        };
        if let Some((_, stop)) = self.stop_in.as_ref().filter(|(number, _)| *number == slept) {
            stop.ask(self);
            std::future::pending::<()>().await;
        }
    }
}

/// Passes of which the first `failing` lack credentials; when each began, and what was said before each wait.
async fn passes(clock: &Virtual, stop: &Stop, wait: bool, failing: usize) -> (Vec<u64>, usize, bool) {
    let (mut began, said) = (Vec::new(), Mutex::new(0));
    let pass = async || {
        began.push(clock.monotonic().as_secs());
        let failed = if began.len() <= failing { vec!["the token of x failed".to_owned()] } else { Vec::new() };
        Pass { came_to: (), failed }
    };
    let last = until_they_work(clock, stop, wait, |_| *said.lock().expect("unpoisoned") += 1, pass).await;
    (began, said.into_inner().expect("unpoisoned"), last.failed.is_empty())
}

#[tokio::test]
async fn a_pass_that_lacks_credentials_is_made_again_every_five_minutes() {
    let stop = Stop::default();
    assert_eq!(passes(&Virtual::default(), &stop, true, 3).await, (vec![0, 300, 600, 900], 3, true));
    assert_eq!(passes(&Virtual::default(), &stop, true, 0).await, (vec![0], 0, true));
    assert_eq!(passes(&Virtual::default(), &stop, false, 3).await, (vec![0], 0, false), "without --wait it ends");
}

#[tokio::test]
async fn a_stop_ends_the_wait_for_the_next_pass() {
    let stop = Arc::new(Stop::default());
    let clock = Virtual { stop_in: Some((2, stop.clone())), ..Virtual::default() };
    assert_eq!(passes(&clock, &stop, true, 9).await, (vec![0, 300], 2, false));
}
