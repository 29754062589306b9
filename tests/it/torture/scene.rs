//! A sandbox with a rig in it: its calls in order, its clock put forward where rotator waits, and an operator who
//! does what rotator says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rotator::sandbox::{Action, Behaviour, CallSeen, KeyStatus, Sandbox};
use serde_json::Value;

use super::rig::Rig;
use crate::support::aws::Pair;
use crate::support::program::again;
use crate::support::program::{Ended, Program, Running, sandbox_with_slashes};

/// The pause of an operator's loop between two runs of rotator.
const A_WHILE: Duration = Duration::from_secs(10);
/// The number of times that a command may be repeated until it ends with 0 (P6).
const MOST_TRIES: usize = 40;
/// The longest wait of a test for a call.
const PATIENCE: Duration = Duration::from_secs(20);
/// Nothing in the store names this user's keys, an active and an inactive one: rotator has no business with them.
const STRANGER: &str = "stranger/production";

/// The sandbox and the rig.
pub(super) struct Scene {
    pub(super) sandbox: Sandbox,
    pub(super) rig: Rig,
    seen: Receiver<CallSeen>,
    stranger: Vec<(String, KeyStatus)>,
}

/// The end of a rotation, or of all of them.
#[derive(Debug, Default)]
pub(super) struct Finished {
    /// The number of repetitions.
    pub(super) tries: usize,
    /// All that it said on stderr.
    pub(super) said: String,
    /// The reasons of the blocks that an operator resolved with the command that rotator gave.
    pub(super) resolved: Vec<String>,
}

impl Scene {
    /// As many users, each with a pair in the store, and a stranger.
    pub(super) fn with_users(users: usize) -> Self {
        let sandbox = sandbox_with_slashes();
        let (sender, seen) = channel();
        // An error means that the test is over.
        sandbox.observe(move |call| drop(sender.send(call.clone())));
        let mut pairs = BTreeMap::new();
        for number in 0..users {
            let user = format!("app{number}/production");
            sandbox.add_user(&user).expect("a new user");
            let key = sandbox.create_key(&user).expect("a first key");
            pairs.insert(user, Pair::new(key.id.as_str(), key.secret.expose()));
        }
        sandbox.add_user(STRANGER).expect("a new user");
        for status in [KeyStatus::Active, KeyStatus::Inactive] {
            let key = sandbox.create_key(STRANGER).expect("a key");
            sandbox.set_status(STRANGER, key.id.as_str(), status).expect("set");
        }
        let stranger = sandbox.keys_of(STRANGER).into_iter().map(|key| (key.id.to_string(), key.status)).collect();
        let rig = Rig::new(Arc::new(sandbox.clone()), Program::at(&sandbox), &pairs);
        Self { sandbox, rig, seen, stranger }
    }

    /// Sets how IAM behaves, beside the slashes in its users' names.
    pub(super) fn behave(&self, behaviour: Behaviour) {
        self.sandbox.set_behaviour(Behaviour { allow_slash_in_user_names: true, ..behaviour });
    }

    /// Forgets the calls that were seen so far.
    pub(super) fn forget_calls(&self) {
        while self.seen.try_recv().is_ok() {}
    }

    /// Waits for the `nth` success of `action`, and returns whether it happened before `running` ended.
    pub(super) fn wait_for(&self, action: Action, nth: u64, running: &mut Running) -> bool {
        let began = Instant::now();
        let mut left = nth;
        while left > 0 {
            match self.seen.recv_timeout(Duration::from_millis(5)) {
                Ok(call) => left -= u64::from(call.action == action && call.outcome.is_ok()),
                Err(_) if running.is_over() || began.elapsed() > PATIENCE => return false,
                Err(_) => {}
            }
        }
        true
    }

    /// Waits until a call is held; whether one was before `running` ended.
    pub(super) fn wait_until_held(&self, running: &mut Running) -> bool {
        self.wait_until_calls_held(1, running)
    }

    /// Waits until this number of calls is held, and returns whether that happened before `running` ended.
    pub(super) fn wait_until_calls_held(&self, calls: usize, running: &mut Running) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let began = Instant::now();
        let moment = Duration::from_millis(5);
        let held = || runtime.block_on(async { tokio::time::timeout(moment, self.sandbox.held(calls)).await.is_ok() });
        loop {
            if held() {
                return true;
            }
            if running.is_over() || began.elapsed() > PATIENCE {
                return false;
            }
        }
    }

    /// Whether a key was made for `user` among the calls seen from now on within a moment.
    pub(super) fn sees_create_for(&self, user: &str) -> bool {
        while let Ok(call) = self.seen.recv_timeout(Duration::from_millis(200)) {
            if call.action == Action::CreateAccessKey && call.user.as_deref() == Some(user) {
                return call.outcome.is_ok();
            }
        }
        false
    }

    /// Releases every held call, and returns those that were carried out then: nothing else may be calling.
    pub(super) fn release_all(&self) -> Vec<CallSeen> {
        self.forget_calls();
        let released = self.sandbox.release(None);
        let next = || self.seen.recv_timeout(Duration::from_millis(500)).ok();
        std::iter::from_fn(next).take(released).collect()
    }

    /// If `user` has a key beside the stored one, rotator must have said of it that it turned up late, and left it as
    /// it is. Deletes it then, as an operator would, and returns whether there was one.
    pub(super) fn delete_late_key(&self, user: &str, said: &str) -> Result<bool, String> {
        let stored = self.rig.stored()?[user].id.clone();
        let keys = self.rig.iam.keys_of(user);
        let Some(late) = keys.iter().find(|key| **key != stored) else { return Ok(false) };
        if !said.contains(&format!("key {late} of user {user} turned up late")) {
            return Err(format!("{late} of {user} turned up late, and was not reported: {said}"));
        }
        let gone = |error| format!("{late} of {user} was touched: {error}");
        self.sandbox.delete_key(user, late).map_err(gone)?;
        Ok(true)
    }

    /// Returns the document of `status`.
    pub(super) fn status(&self) -> Value {
        self.rig.program.ends_with(0, &["status", "--output", "json"]).json()
    }

    /// Runs `run`, so that it finds every key due, or `resume`, once. Then puts AWS's clock forward to the earliest time that a
    /// rotation waits for, else by the pause of an operator's loop.
    pub(super) fn once(&self, command: &str) -> Ended {
        self.once_as(&again(command))
    }

    fn once_as(&self, words: &[&str]) -> Ended {
        let ended = self.rig.program.rotator(&[words, &["-q", "--output", "json"]].concat());
        self.sleep_after(&ended);
        ended
    }

    /// If something is in flight, puts AWS's clock forward to the time of the next run in an operator's loop.
    pub(super) fn sleep_after(&self, ended: &Ended) {
        if ended.code == Some(3) {
            self.sleep(&ended.json());
        }
    }

    /// Puts AWS's clock forward to the first of the times in this document.
    pub(super) fn sleep(&self, document: &Value) {
        let rotations = document["rotations"].as_array().expect("rotations");
        let times = rotations.iter().filter_map(|rotation| rotation["waiting_until"].as_str());
        let times = times.map(|time| time.parse::<jiff::Timestamp>().expect("a time"));
        let wait = times.min().map_or(A_WHILE, |first| {
            let seconds = (first.as_second() - self.sandbox.now().as_second() + 1).max(0);
            Duration::from_secs(seconds.unsigned_abs())
        });
        self.sandbox.advance(wait);
    }

    /// P6: repeats `run` or `resume` until it ends with 0, with an operator who answers each block with the command that
    /// rotator itself gives, and nothing else.
    pub(super) fn finish(&self, command: &str) -> Result<Finished, String> {
        self.finish_as(&again(command))
    }

    /// [`Self::finish`] with these words of a command. A plain `run` rotates each due key once, however often it is
    /// repeated; [`Self::finish`] with `run` also rotates again what the run before has completed.
    pub(super) fn finish_as(&self, words: &[&str]) -> Result<Finished, String> {
        let mut finished = Finished::default();
        for _ in 0..MOST_TRIES {
            let ended = self.once_as(words);
            finished.tries += 1;
            finished.said.push_str(&ended.stderr);
            match ended.code {
                Some(0) => return Ok(finished),
                Some(3) => {}
                Some(4) => {
                    for answered in self.rig.answer_blocks(&ended.json())? {
                        finished.said.push_str(&answered.said);
                        finished.resolved.push(answered.reason);
                    }
                }
                _ => return Err(format!("{words:?} ends with {:?}: {}{}", ended.code, ended.stdout, ended.stderr)),
            }
        }
        Err(format!("still in flight after {MOST_TRIES} times: {}", self.rig.program.rotator(&["status"]).stdout))
    }

    /// P2: the stranger's keys are as they were.
    pub(super) fn stranger_untouched(&self) -> Result<(), String> {
        let now: Vec<_> =
            self.sandbox.keys_of(STRANGER).into_iter().map(|key| (key.id.to_string(), key.status)).collect();
        if now == self.stranger { Ok(()) } else { Err(format!("the stranger's keys were touched: {now:?}")) }
    }
}
