//! One rotator process in the simulation: the outcome of each of its calls, its clock and its death.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use rotator::journal::clock::Clock;
use rotator::ports::call::{CallError, CallErrorKind};
use rotator::types::failure::{Failure, Refusal, RefusalKind};
use rotator::types::time::Timestamp;

use super::effects::{NO_USER, Sent};
use super::faults::{Fault, Op};
use super::freshness::CALL_TIMEOUT;
use super::state::{Effect, Held, Key, SimState};

/// The world's state, shared by all ports.
pub(crate) type Shared = Arc<Mutex<SimState>>;

pub(crate) fn lock(state: &Shared) -> MutexGuard<'_, SimState> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// One process's view of the world: dead after its crash.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) state: Shared,
    pub(crate) epoch: u64,
    pub(crate) crashed: Arc<tokio::sync::Notify>,
}

/// The outcome of a call, before the port converts it.
enum Touched<T> {
    Answered(T),
    Lost,
    Throttled,
    Denied,
    Credentials,
}

impl Process {
    pub(crate) fn new(state: &Shared) -> Self {
        let mut world = lock(state);
        world.process += 1;
        world.facts.forget_reads();
        Self { state: state.clone(), epoch: world.epoch, crashed: Arc::default() }
    }

    /// Simulated time, in milliseconds.
    pub(crate) fn millis(&self) -> i64 {
        lock(&self.state).now
    }

    /// The `Date` of an answer.
    pub(crate) fn at(&self) -> Timestamp {
        Timestamp::from_unix_seconds(lock(&self.state).date())
    }

    /// Dies: nothing of this process touches the world again.
    pub(crate) async fn die(&self) -> ! {
        {
            let mut state = lock(&self.state);
            if state.epoch == self.epoch {
                state.epoch += 1;
            }
        }
        self.crashed.notify_one();
        std::future::pending::<()>().await;
        unreachable!("a dead process does not go on")
    }

    /// Yields to other tasks, and then returns the fault of this call. Never returns in a dead process.
    pub(crate) async fn begin(&self, op: Op, where_to: &str) -> Option<Fault> {
        tokio::task::yield_now().await;
        {
            let mut state = lock(&self.state);
            if state.epoch == self.epoch {
                return state.touch(op, where_to);
            }
        }
        std::future::pending().await
    }

    /// Lets this much virtual time pass. Never returns in a dead process.
    async fn pass(&self, millis: i64) {
        let clock = lock(&self.state).moving.as_ref().map(|moving| moving.traffic.clock.clone());
        let Some(clock) = clock else { return };
        clock.sleep(millis).await;
        let is_dead = {
            let mut state = lock(&self.state);
            state.catch_up();
            state.epoch != self.epoch
        };
        if is_dead {
            std::future::pending::<()>().await;
        }
    }

    /// One touch: `late` is what a held request will do.
    async fn touch<T>(
        &self,
        op: Op,
        where_to: &str,
        late: Option<(Effect, Sent)>,
        act: impl FnOnce(&mut SimState) -> T,
    ) -> Touched<T> {
        let fault = self.begin(op, where_to).await;
        let (until, back) = lock(&self.state).takes(op).unwrap_or_default();
        self.pass(until).await;
        let done = |act: &mut dyn FnMut(&mut SimState) -> T| {
            let mut state = lock(&self.state);
            if state.moving.is_none() {
                state.advance(20);
            }
            let answer = act(&mut state);
            if op.is_effect() {
                state.check(where_to);
            }
            answer
        };
        let mut act = Some(act);
        let mut act = |state: &mut SimState| (act.take().expect("acts once"))(state);
        match fault {
            None => {
                let answer = done(&mut act);
                self.pass(back).await;
                Touched::Answered(answer)
            }
            Some(Fault::CrashBefore) => self.die().await,
            Some(Fault::CrashAfter) => {
                let _ = done(&mut act);
                self.die().await
            }
            Some(Fault::LostBefore) => {
                self.pass(CALL_TIMEOUT).await;
                Touched::Lost
            }
            Some(Fault::LostAfter) => {
                let _ = done(&mut act);
                self.pass(CALL_TIMEOUT).await;
                Touched::Lost
            }
            Some(Fault::Late(seconds)) => {
                if let Some((effect, Sent { at: sent, overtaken })) = late {
                    let mut state = lock(&self.state);
                    let (due, sender) = (state.now + i64::from(seconds) * 1000, state.process);
                    state.held.push(Held { due, effect, sender, sent, overtaken });
                }
                self.pass(CALL_TIMEOUT).await;
                Touched::Lost
            }
            Some(Fault::Throttled) => {
                self.pass(back).await;
                Touched::Throttled
            }
            Some(Fault::Denied) => Touched::Denied,
            Some(Fault::Credentials) => Touched::Credentials,
        }
    }

    /// A call that changes nothing.
    pub(crate) async fn call<T>(
        &self,
        op: Op,
        where_to: &str,
        act: impl FnOnce(&mut SimState) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        match self.touch(op, where_to, None, act).await {
            Touched::Answered(answer) => answer,
            Touched::Lost => Err(CallError::new(CallErrorKind::Unavailable, format!("{op:?}: no answer"))),
            Touched::Throttled => Err(CallError::new(CallErrorKind::Throttled, format!("{op:?}: Throttling"))),
            Touched::Denied => Err(CallError::new(CallErrorKind::Denied, format!("{op:?}: AccessDenied"))),
            Touched::Credentials => Err(CallError::new(CallErrorKind::Credentials, format!("{op:?}: ExpiredToken"))),
        }
    }

    pub(crate) async fn effect(&self, op: Op, where_to: &str, effect: Effect) -> Result<Option<Key>, Failure> {
        let sent = {
            let mut state = lock(&self.state);
            state.check_ground(&effect);
            state.sends(&effect)
        };
        let late = (effect.clone(), sent);
        match self.touch(op, where_to, Some(late), |state| state.has_it(effect, sent)).await {
            Touched::Answered(Ok(key)) => Ok(key),
            Touched::Answered(Err(code)) => {
                let kind = match code {
                    "NoSuchEntity" | NO_USER => RefusalKind::NoSuchEntity,
                    "LimitExceeded" => RefusalKind::LimitExceeded,
                    _ => RefusalKind::Stale,
                };
                Err(Refusal::new(kind, format!("{op:?}: {code}")).into())
            }
            Touched::Lost => Err(Failure::Unknown(format!("{op:?}: no answer"))),
            Touched::Throttled => Err(Refusal::new(RefusalKind::Throttled, format!("{op:?}: Throttling")).into()),
            Touched::Denied => Err(Refusal::new(RefusalKind::Denied, format!("{op:?}: AccessDenied")).into()),
            Touched::Credentials => Err(Refusal::new(RefusalKind::Credentials, format!("{op:?}: ExpiredToken")).into()),
        }
    }
}

#[async_trait]
impl Clock for Process {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.millis() / 1000)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.millis()).unwrap_or_default())
    }

    fn awake(&self) -> Duration {
        let state = lock(&self.state);
        Duration::from_millis(u64::try_from(state.now - state.suspended).unwrap_or_default())
    }

    async fn sleep(&self, span: Duration) {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4).max(1);
        if lock(&self.state).moving.is_some() {
            return self.pass(millis).await;
        }
        tokio::task::yield_now().await;
        let dead = {
            let mut state = lock(&self.state);
            let dead = state.epoch != self.epoch;
            if !dead {
                state.advance(millis);
            }
            dead
        };
        if dead {
            std::future::pending::<()>().await;
        }
    }
}
