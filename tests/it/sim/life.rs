//! T20: one installation over weeks. `run` is repeated with permanent refusals, lags, renames, wrong dates, `--limit`,
//! `--only` and `older_than`, and after every run each rotation must be in an expected state.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rotator::journal::line::Summary;
use rotator::journal::store::{RotationFilter, SharedStore};
use rotator::rotation::state::State;

use super::faults::{Fault, Faults, Op};
use super::kinds;
use super::process::{Shared, lock};
use super::schedule::{Played, Run, Setup, end_of_process, process, replays, user_name};
use super::state::{By, SimState};
use crate::support::memory_journal::MemoryJournal;

/// So long after a create no other one of the same user follows where nothing changes.
const ONE_CREATE_IN: i64 = 20 * 3_600_000;
/// A stated time is not further away than this and what the policy waits for.
const LONGEST_WAIT: i64 = 2 * 86_400_000;

/// The pattern of runs over a long time.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) runs: usize,
    /// From the end of one run to the next, in milliseconds.
    pub(crate) every: i64,
    pub(crate) older_than: Duration,
    pub(crate) limit: Option<usize>,
    /// Runs with a number that this divides are run with `--only` the first user.
    pub(crate) only_in: Option<usize>,
}

impl Life {
    fn run(&self, number: usize) -> Run {
        let only = self.only_in.is_some_and(|often| number % often == 1).then(|| user_name(0));
        Run { opens: true, older_than: self.older_than, limit: self.limit, only }
    }
}

/// Plays the whole of it.
pub(crate) async fn live(setup: &Setup, life: &Life, faults: &Faults, tells: bool) -> Played {
    let mut world = setup.build(faults.clone());
    world.reported = tells.then(Vec::new);
    world.lives = true;
    let state: Shared = Arc::new(Mutex::new(world));
    let storage: SharedStore = Arc::new(MemoryJournal::default());
    for number in 0..life.runs {
        let began = lock(&state).now;
        lock(&state).struck = false;
        let run = life.run(number);
        let outcome = process(&state, &storage, setup, &run).await;
        let all = storage.summaries(RotationFilter::All).await.expect("the journal reads");
        let mut state = lock(&state);
        state.tell(|| end_of_process(outcome.as_ref()));
        state.runs += 1;
        state.counts_a_run(&run, setup.users, &all);
        state.check_run(setup, life, &all, began);
        if !state.broken.is_empty() {
            break;
        }
        state.advance(life.every);
    }
    let all = storage.summaries(RotationFilter::All).await.expect("the journal reads");
    replays(&storage, &all, &state).await;
    std::mem::take(&mut *lock(&state)).played()
}

impl SimState {
    /// P6 and P7 after every run.
    fn check_run(&mut self, setup: &Setup, life: &Life, all: &[Summary], began: i64) {
        let mut broken = Vec::new();
        let waits = setup.policy.overlap + setup.policy.quarantine + setup.policy.settle;
        let latest = self.now + LONGEST_WAIT + i64::try_from(waits.as_millis()).expect("short");
        for rotation in all.iter().map(|summary| &summary.rotation) {
            let user = &self.whose(rotation.opened.user.as_str());
            match &rotation.state {
                State::Closed { .. } => broken.extend(self.wrong_conclusion(rotation)),
                State::Blocked { reason, .. } => {
                    let needs = format!("P6: {user} is blocked ({reason:?}), and nothing was in its way");
                    if !self.may_block(setup, user) {
                        broken.push(needs);
                    }
                }
                State::Settled { .. } | State::InDoubt { .. } => {
                    let until = rotation.waiting_until.map(|until| until.as_unix_seconds() * 1000);
                    let (waits, too_long) = (until.is_some_and(|until| until >= began - 2_000), until > Some(latest));
                    if too_long {
                        broken.push(format!("P6: {user} waits for more than it may"));
                    }
                    if !waits && !self.struck && !self.is_failing_for_now() {
                        let why = rotation.last_error.as_deref().unwrap_or("no reason");
                        broken.push(format!("P6: {user} is neither closed, nor waiting, nor blocked: {why}"));
                    }
                }
            }
        }
        broken.extend(self.loops_of_creates());
        broken.extend(self.starved(setup, life));
        self.broken.append(&mut broken);
    }

    /// Whether a block may be right: an operator acted on this user, or what the user's rotation needs is refused.
    fn may_block(&self, setup: &Setup, user: &str) -> bool {
        setup.disturbs(user) || self.hindered.contains_key(user) || self.hindered.contains_key("")
    }

    /// Whether something that is no refusal of rights fails now: the credentials that rotator itself has.
    fn is_failing_for_now(&self) -> bool {
        let credentials = |denial: &Denial| denial.credentials && denial.from <= self.now;
        self.denials.iter().any(credentials)
    }

    /// P6: nothing is made and taken away again and again. A refusal that has ended allows one more create: rotator
    /// sees that the reason for giving the new key up has ended.
    fn loops_of_creates(&self) -> Option<String> {
        let ended = self.denials.iter().filter(|denial| denial.until <= self.now).count();
        let faults = self.faults.at.len() + self.faults.of.len() + ended;
        self.creates.iter().find_map(|(user, times)| {
            let again = times.windows(2 + faults).find(|times| times[1 + faults] - times[0] < ONE_CREATE_IN)?;
            Some(format!("P6: {user} had {} creates within {} s", again.len(), (again[1 + faults] - again[0]) / 1000))
        })
    }

    /// P7: what nothing is in the way of is rotated.
    fn starved(&self, setup: &Setup, life: &Life) -> Vec<String> {
        let millis = |span: Duration| i64::try_from(span.as_millis()).expect("short");
        let waiting = setup.traffic.as_ref().is_some_and(|traffic| traffic.wait);
        let rounds = life.limit.map_or(1, |limit| setup.users.div_ceil(limit.max(1)));
        let runs = i64::try_from(4 + rounds + life.only_in.map_or(0, |_| 1)).expect("small");
        let waits = millis(setup.policy.overlap + setup.policy.quarantine) + 3_600_000;
        let due = millis(life.older_than).max(ONE_CREATE_IN);
        let patience = millis(setup.policy.still_in_use_for) * i64::from(setup.in_use.is_some());
        // A run with `--wait` opens nothing more until all that it opened has ended.
        let in_turn = if waiting { i64::try_from(rounds).expect("small") } else { 1 };
        let longest = due + (1 + in_turn) * (waits + patience) + runs * (life.every + 60_000);
        let mut starved = Vec::new();
        for (user, keys) in &self.users {
            let since = self.hindered.get(user).copied().max(self.hindered.get("").copied()).unwrap_or(i64::MIN);
            let newest = keys.iter().map(|key| key.created).max().unwrap_or_default().max(self.began);
            // Beside a key that turned up late or is a stranger's there is no room for another.
            let is_free = keys.iter().all(|key| matches!(key.by, By::Stored | By::Rotator)) && !setup.disturbs(user);
            if is_free && self.now - newest.max(since) > longest {
                starved.push(format!("P7: {user} has not been rotated for {} h", (self.now - newest) / 3_600_000));
            }
        }
        starved
    }
}

/// A call that is refused for a while or for good.
#[derive(Debug, Clone)]
pub(crate) struct Denial {
    pub(crate) op: Op,
    /// Only where it concerns this user or is asked of this store; empty: every one.
    pub(crate) whose: String,
    /// From which moment on, and until when.
    pub(crate) from: i64,
    pub(crate) until: i64,
    /// Whether rotator's own credentials are what fails; then every call does.
    pub(crate) credentials: bool,
}

impl Denial {
    /// The same, after the beginning.
    pub(crate) fn after(&self, began: i64) -> Self {
        Self { from: self.from + began, until: self.until.saturating_add(began), ..self.clone() }
    }
}

/// When something was last in the way of a user's rotation; of all of them, under an empty name.
pub(crate) type Hindered = BTreeMap<String, i64>;

impl SimState {
    /// Whether this call is refused now.
    pub(crate) fn denies(&mut self, op: Op, where_to: &str) -> Option<Fault> {
        let now = self.now;
        let applies = |denial: &&Denial| {
            let whose = denial.whose.is_empty() || denial.whose == where_to;
            denial.from <= now && now < denial.until && whose && (denial.credentials || denial.op == op)
        };
        let denial = self.denials.iter().find(applies)?;
        let is_of_all = denial.whose.is_empty() || op.is_of_a_store();
        let (credentials, whose) = (denial.credentials, if is_of_all { "" } else { where_to });
        if op == Op::Append {
            return None;
        }
        // The obstacle stays until an operator removes it.
        let hindered = self.hindered.entry(whose.to_owned()).or_insert(now);
        *hindered = now.max(*hindered);
        self.hit(if credentials { kinds::CREDENTIALS } else { kinds::REFUSED });
        Some(if credentials { Fault::Credentials } else { Fault::Denied })
    }

    /// Returns the time in a response of IAM, STS or a store, which may be wrong always or once.
    pub(crate) fn date(&mut self) -> i64 {
        self.dates_told += 1;
        let wrong = self.wrong_dates.get(&self.dates_told).copied();
        if wrong.is_some() {
            self.hit(kinds::WRONG_DATE);
        }
        self.now / 1000 + wrong.unwrap_or_default()
    }
}
