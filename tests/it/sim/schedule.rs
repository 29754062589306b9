//! Plays one schedule: a setup, faults, then `run` and `resume` until all rotations have ended; then checks the
//! promises.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rotator::adapters::sqlite_journal::SqliteJournal;
use rotator::engine::accounts::AccountPorts;
use rotator::engine::campaign::Engine;
use rotator::engine::options::EngineOptions;
use rotator::engine::report::Report;
use rotator::engine::session::{Ports, Session};
use rotator::engine::shutdown::Stop;
use rotator::engine::sinks::SinkPorts;
use rotator::engine::survey::choice::{Choice, Patterns, Terms};
use rotator::engine::survey::owner_rule::Owner;
use rotator::journal::line::Summary;
use rotator::journal::store::{RotationFilter, SharedStore};
use rotator::journal::write_ahead::{Journal, replay};
use rotator::rotation::block_reason::BlockReason;
use rotator::rotation::state::State;
use rotator::types::name::{SinkName, StoreName};

use super::faults::Faults;
use super::freshness::CALL_TIMEOUT;
use super::journal::Struck;
use super::ports::{SinkPort, StorePort};
use super::process::{Process, Shared, lock};
pub(super) use super::setup::{Setup, user_name};
use super::state::{SECRET_MARK, SINK, SimState};
use crate::support::memory_journal::MemoryJournal;

/// The storage of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backing {
    Memory,
    Sqlite,
}

/// The journal as the next process finds it: the one before is dead, and writes no more.
async fn reopened(storage: SharedStore, folder: &std::path::Path) -> SharedStore {
    while Arc::strong_count(&storage) > 1 {
        tokio::task::yield_now().await;
    }
    drop(storage);
    Arc::new(SqliteJournal::open(&folder.join("journal.db")).expect("the journal opens"))
}

/// A folder in memory where the system has one: fsync costs nothing there, and thousands of schedules are played.
fn folder_without_syncs() -> tempfile::TempDir {
    let shared_memory = std::path::Path::new("/dev/shm");
    let folder = if shared_memory.is_dir() { tempfile::tempdir_in(shared_memory) } else { tempfile::tempdir() };
    folder.expect("a folder")
}

/// The end of a schedule.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) touches: usize,
    /// The number of processes.
    pub(crate) processes: u64,
    /// The touches at which something may have changed.
    pub(crate) effects: Vec<usize>,
    pub(crate) windows: BTreeMap<&'static str, u64>,
    pub(crate) broken: Vec<String>,
    /// The story, where it was wanted.
    pub(crate) reported: Vec<String>,
}

const MOST_ROUNDS: usize = 60;
/// The maximum number of days until a restored right is noticed. A fault may cut off the one create of each day, and a
/// schedule has at most four faults.
const MOST_DAYS: u32 = 5;
const A_DAY: i64 = 25 * 3_600_000;
/// So long after a signal a process is ended that calls without an answer keep.
const ENDED_AFTER: i64 = 29_000;

/// The command line of one process.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// `run`, or `resume`.
    pub(crate) opens: bool,
    pub(crate) older_than: Duration,
    pub(crate) limit: Option<usize>,
    pub(crate) only: Option<String>,
}

fn choice(setup: &Setup, run: &Run) -> Choice {
    let only = run.only.as_ref().map(|only| Patterns::new(std::slice::from_ref(only), "--only").expect("a pattern"));
    Choice {
        owner: Owner::default(),
        only,
        exclude: Patterns::default(),
        terms: Terms { older_than: run.older_than, policy: setup.policy.clone(), ..Terms::default() },
        rules: Vec::new(),
    }
}

fn sink(me: &Process) -> SinkPorts {
    let follows = globset::Glob::new("*/AWS_ACCESS_KEY_ID").expect("a pattern");
    let follows = globset::GlobSetBuilder::new().add(follows).build().expect("patterns");
    let name = SinkName::new(SINK).expect("a name");
    let of_store = Some(StoreName::new("store0").expect("a name"));
    SinkPorts { sink: Arc::new(SinkPort { process: me.clone(), name }), follows, of_store }
}

/// Sends the planned signal, if any, to the first process.
fn signal(me: &Process, setup: &Setup, stop: Arc<Stop>) -> Option<tokio::task::JoinHandle<()>> {
    let traffic = setup.traffic.as_ref()?;
    let (at, clock, me) = (traffic.signal_at?, traffic.clock.clone(), me.clone());
    let is_first = lock(&me.state).process == 1;
    is_first.then(|| {
        tokio::spawn(async move {
            clock.sleep(at).await;
            lock(&me.state).has_a_signal();
            stop.ask(&me);
            // A process that does not end by then is killed, as the command line does.
            clock.sleep(ENDED_AFTER).await;
            lock(&me.state).catch_up();
            lock(&me.state).hit("ended while calls were under way after a signal");
            me.die().await;
        })
    })
}

/// One process: `run` or `resume`. `None`: it died.
pub(super) async fn process(
    state: &Shared,
    storage: &SharedStore,
    setup: &Setup,
    run: &Run,
) -> Option<Result<Report, String>> {
    let me = Process::new(state);
    let (began, suspended) = {
        let state = lock(state);
        (state.now, state.suspended)
    };
    let crashed = me.crashed.clone();
    let stop = Arc::new(Stop::default());
    let signal = signal(&me, setup, stop.clone());
    let work = async {
        let names: Vec<String> = lock(state).stores.keys().filter(|name| *name != SINK).cloned().collect();
        let stores = names.into_iter().map(|name| {
            let name = StoreName::new(name).expect("a name");
            Arc::new(StorePort { process: me.clone(), name }) as _
        });
        let clock: Arc<Process> = Arc::new(me.clone());
        let sinks = if setup.sink { vec![sink(&me)] } else { Vec::new() };
        let accounts = vec![AccountPorts::of_credentials(clock.clone(), clock.clone())];
        let ports =
            Ports { accounts, own_keys: Default::default(), stores: stores.collect(), sinks, clock: clock.clone() };
        let traffic = setup.traffic.as_ref();
        let options = EngineOptions {
            concurrency: traffic.map_or(16, |traffic| traffic.concurrency),
            rate: traffic.and_then(|traffic| traffic.rate),
            call_timeout: Duration::from_millis(CALL_TIMEOUT.unsigned_abs()),
            wait: traffic.is_some_and(|traffic| traffic.wait),
            scan_interval: rotator::engine::observe::scan::SCAN_INTERVAL,
            unread_ok: globset::GlobSet::empty(),
            watcher: None,
        };
        let session = Session::connect(ports, options, stop.clone()).await.map_err(|error| error.to_string())?;
        let journal = Journal::new(Struck::shared(storage.clone(), &me), clock);
        let engine = Engine::new(Arc::new(session), journal);
        if run.opens {
            let mut report = Report::default();
            engine.finish_in_flight(&[], &mut report).await.map_err(|error| error.to_string())?;
            engine.open_due(&choice(setup, run), run.limit, &mut report).await.map_err(|error| error.to_string())?;
            Ok(report)
        } else {
            engine.resume(&[]).await.map_err(|error| error.to_string())
        }
    };
    let stuck = async {
        match &setup.traffic {
            Some(traffic) => traffic.clock.is_stuck().await,
            None => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        report = work => Some(report),
        () = crashed.notified() => None,
        () = stuck => {
            lock(state).broken.push("P6: every task waits, and nothing wakes one".to_owned());
            Some(Err("it hangs".to_owned()))
        }
    };
    if let Some(task) = signal {
        task.abort();
    }
    let mut state = lock(state);
    state.ends_after_a_signal();
    state.counts_a_process(began, suspended);
    drop(state);
    outcome
}

/// Plays a schedule to its end and says what was broken; `tells` its story, too, which costs more than to play it.
pub(crate) async fn play(setup: &Setup, faults: &Faults, tells: bool) -> Played {
    let folder = (setup.backing == Backing::Sqlite).then(folder_without_syncs);
    let mut world = setup.build(faults.clone());
    world.reported = tells.then(Vec::new);
    let state: Shared = Arc::new(Mutex::new(world));
    let mut storage: SharedStore = Arc::new(MemoryJournal::default());
    let mut settled = false;
    let mut opens = true;
    let mut days = 0;
    for round in 0..MOST_ROUNDS {
        if let Some(folder) = &folder {
            storage = reopened(storage, folder.path()).await;
        }
        let was_calm = lock(&state).has_calmed_down();
        lock(&state).struck = false;
        let run = Run { opens, older_than: Duration::ZERO, limit: None, only: None };
        let outcome = process(&state, &storage, setup, &run).await;
        let open = storage.summaries(RotationFilter::Open).await.expect("the journal reads");
        lock(&state).tell(|| end_of_process(outcome.as_ref()));
        let blocked = open.iter().filter(|summary| matches!(summary.rotation.state, State::Blocked { .. }));
        let all_blocked = blocked.count() == open.len();
        if lock(&state).broken.len() > 20 {
            break;
        }
        let finished = matches!(&outcome, Some(Ok(report)) if opens && report.unopened == 0 && report.aborted == 0);
        // A late key that no list shows yet can be reported by the next run at the earliest.
        let is_denied = |reason: &BlockReason| matches!(reason, BlockReason::AccessDenied { .. });
        let denied = open
            .iter()
            .any(|summary| matches!(&summary.rotation.state, State::Blocked { reason, .. } if is_denied(reason)));
        let is_over = finished && all_blocked && was_calm && !lock(&state).struck && round > 0;
        // Where only another new key shows that a right is there again, one is made a day.
        if is_over && denied && days < MOST_DAYS {
            days += 1;
            lock(&state).advance(A_DAY);
            continue;
        }
        if is_over {
            settled = true;
            break;
        }
        // `resume` alone while anything is in flight; `run` for what was never opened or ended `aborted`.
        opens = all_blocked || round > 12;
        time_passes(&mut lock(&state), setup, &open, all_blocked);
    }
    let all = storage.summaries(RotationFilter::All).await.expect("the journal reads");
    replays(&storage, &all, &state).await;
    let mut state = lock(&state);
    if !settled && state.broken.is_empty() {
        let states: Vec<_> = all.iter().map(|summary| format!("{:?}", summary.rotation.state)).collect();
        state.broken.push(format!("P6: it does not end: {states:?}"));
    }
    state.check_the_end(setup, &all);
    std::mem::take(&mut *state).played()
}

impl SimState {
    pub(super) fn played(self) -> Played {
        Played {
            touches: self.touches,
            processes: self.process,
            effects: self.effects,
            windows: self.windows,
            broken: self.broken,
            reported: self.reported.unwrap_or_default(),
        }
    }
}

pub(super) fn end_of_process(outcome: Option<&Result<Report, String>>) -> String {
    match outcome {
        None => "-- it died".to_owned(),
        Some(Ok(report)) => {
            let alone: Vec<_> = report.left_alone.iter().map(|note| note.message.clone()).collect();
            format!("-- {} touched, troubles {:?}, skipped {alone:?}", report.touched.len(), report.troubles)
        }
        Some(Err(error)) => format!("-- failed: {error}"),
    }
}

/// Lets the time pass that the rotations wait for, until the next process.
fn time_passes(state: &mut SimState, setup: &Setup, open: &[Summary], at_rest: bool) {
    state.advance(i64::try_from(setup.policy.settle.as_millis()).expect("short") + 17_000);
    if let Some(until) = open.iter().filter_map(|summary| summary.rotation.waiting_until).max() {
        let gap = (until.as_unix_seconds() * 1000 - state.now).max(0) + 1000;
        state.advance(gap);
    }
    if at_rest && let Some(due) = state.held.iter().map(|held| held.due).max() {
        let gap = (due - state.now).max(0) + 1000;
        state.advance(gap);
    }
}

/// The journal's summary is what its lines say, and they say no secret.
pub(super) async fn replays(storage: &SharedStore, all: &[Summary], state: &Shared) {
    for summary in all {
        let lines = storage.lines(summary.rotation.id).await.expect("the journal reads");
        let text =
            serde_json::to_string(&(lines.iter().map(|line| &line.event).collect::<Vec<_>>(), &summary.rotation));
        if text.expect("lines are JSON").contains(SECRET_MARK) {
            lock(state).broken.push("P5: a secret in the journal".to_owned());
        }
        match replay(summary.rotation.id, &lines) {
            Ok(rotation) if rotation == summary.rotation => {}
            Ok(_) => lock(state).broken.push("the summary is not what the lines say".to_owned()),
            Err(error) => lock(state).broken.push(format!("the journal does not replay: {error}")),
        }
    }
}
