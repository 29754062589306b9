//! One schedule: a setup, faults, then `run` and `resume` until nothing is left to do; and what must hold then.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rotator::adapters::sqlite_journal::SqliteJournal;
use rotator::drive::campaign::Drive;
use rotator::drive::owner::Owner;
use rotator::drive::report::Report;
use rotator::drive::stop::Stop;
use rotator::drive::survey::Choice;
use rotator::drive::world::{Manner, Ports, World};
use rotator::journal::store::{SharedStore, Which};
use rotator::journal::write_ahead::{Journal, replay};
use rotator::rotation::name::StoreName;
use rotator::rotation::policy::Policy;
use rotator::rotation::standing::Standing;

use super::faults::{Faults, Interference};
use super::journal::Struck;
use super::ports::{Process, Shared, StorePort, lock};
use super::state::{By, State, Store};
use crate::support::memory_journal::MemoryJournal;

/// Where the journal is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backing {
    Memory,
    Sqlite,
}

/// What the world is at the beginning.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) users: usize,
    /// How many stores hold each pair.
    pub(crate) stores: usize,
    pub(crate) atomic: bool,
    pub(crate) policy: Policy,
    /// This user has a second key, which is a stranger's.
    pub(crate) stranger: Option<usize>,
    /// In milliseconds: lists, authentication.
    pub(crate) lag: (i64, i64),
    pub(crate) backing: Backing,
    /// What a person does, and at which touch.
    pub(crate) interference: Option<(usize, Interference)>,
}

impl Setup {
    pub(crate) fn simple() -> Self {
        Self {
            users: 1,
            stores: 1,
            atomic: true,
            policy: Policy {
                settle: Duration::from_secs(60),
                proof_span: Duration::ZERO,
                confirmations: 2,
                ..Policy::default()
            },
            stranger: None,
            lag: (0, 0),
            backing: Backing::Memory,
            interference: None,
        }
    }

    fn build(&self, faults: Faults) -> State {
        let mut state = State { now: 1_800_000_000_000, lag: self.lag, faults, ..State::default() };
        state.interference = self.interference;
        let long_ago = state.now - 90 * 86_400_000;
        for number in 0..self.users {
            let scope = format!("app{number}/production");
            let (id, secret) = state.add_key(&scope, By::Stored, true, long_ago);
            if self.stranger == Some(number) {
                state.add_key(&scope, By::Stranger, true, long_ago);
            }
            for store in 0..self.stores {
                let name = format!("store{store}");
                let entries = &mut state
                    .stores
                    .entry(name.clone())
                    .or_insert_with(|| Store { atomic: self.atomic, ..Store::default() });
                let (ids, secrets) = (format!("{scope}/AWS_ACCESS_KEY_ID"), format!("{scope}/AWS_SECRET_ACCESS_KEY"));
                entries.entries.insert(ids.clone(), (1, id.clone().into_bytes()));
                entries.entries.insert(secrets.clone(), (1, format!("{secret}\n").into_bytes()));
                entries.entries.insert(format!("{scope}/MY_SECRET"), (1, b"keep me".to_vec()));
                state.readers.push((name, ids, secrets));
            }
        }
        state
    }
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

/// How a schedule ended.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) touches: usize,
    pub(crate) broken: Vec<String>,
    pub(crate) told: Vec<String>,
}

const MOST_ROUNDS: usize = 60;

fn choice(setup: &Setup) -> Choice {
    Choice {
        owner: Owner::default(),
        only: None,
        exclude: globset::GlobSet::empty(),
        older_than: Duration::ZERO,
        policy: setup.policy.clone(),
    }
}

/// One process: `run` or `resume`. `None`: it died.
async fn process(state: &Shared, storage: &SharedStore, setup: &Setup, opens: bool) -> Option<Result<Report, String>> {
    let me = Process::new(state);
    let crashed = me.crashed.clone();
    let work = async {
        let names: Vec<String> = lock(state).stores.keys().cloned().collect();
        let stores = names.into_iter().map(|name| {
            let name = StoreName::new(name).expect("a name");
            Arc::new(StorePort { process: me.clone(), name }) as _
        });
        let clock: Arc<Process> = Arc::new(me.clone());
        let ports =
            Ports { iam: clock.clone(), identity: clock.clone(), stores: stores.collect(), clock: clock.clone() };
        let manner = Manner {
            concurrency: 16,
            rate: None,
            call_timeout: Duration::from_secs(10),
            wait: false,
            unread_ok: globset::GlobSet::empty(),
            watcher: None,
        };
        let world = World::arrive(ports, manner, Arc::new(Stop::default())).await.map_err(|error| error.to_string())?;
        let journal = Journal::new(Struck::shared(storage.clone(), &me), clock);
        let drive = Drive::new(Arc::new(world), journal);
        if opens {
            let mut report = Report::default();
            drive.finish_in_flight(&[], &mut report).await.map_err(|error| error.to_string())?;
            drive.open_due(&choice(setup), None, &mut report).await.map_err(|error| error.to_string())?;
            Ok(report)
        } else {
            drive.resume(&[]).await.map_err(|error| error.to_string())
        }
    };
    tokio::select! {
        report = work => Some(report),
        () = crashed.notified() => None,
    }
}

/// Plays a schedule to its end and says what was broken.
pub(crate) async fn play(setup: &Setup, faults: Faults) -> Played {
    let folder = (setup.backing == Backing::Sqlite).then(folder_without_syncs);
    let state: Shared = Arc::new(Mutex::new(setup.build(faults)));
    let mut storage: SharedStore = Arc::new(MemoryJournal::default());
    let mut settled = false;
    let mut opens = true;
    for round in 0..MOST_ROUNDS {
        if let Some(folder) = &folder {
            storage = reopened(storage, folder.path()).await;
        }
        let all_shown = lock(&state).everything_is_shown();
        let outcome = process(&state, &storage, setup, opens).await;
        if let Some(folder) = &folder {
            storage = reopened(storage, folder.path()).await;
        }
        let open = storage.summaries(Which::Open).await.expect("the journal reads");
        let told = match &outcome {
            None => "-- it died".to_owned(),
            Some(Ok(report)) => {
                let alone: Vec<_> = report.left_alone.iter().map(|note| note.message.clone()).collect();
                format!("-- {} touched, troubles {:?}, left alone {alone:?}", report.touched.len(), report.troubles)
            }
            Some(Err(error)) => format!("-- failed: {error}"),
        };
        lock(&state).reported_late |= told.contains("turned up");
        lock(&state).told.push(told);
        replays(&storage, &state).await;
        let blocked = open.iter().filter(|summary| matches!(summary.rotation.standing, Standing::Blocked { .. }));
        let all_blocked = blocked.count() == open.len();
        let finished = matches!(&outcome, Some(Ok(report)) if opens && report.unopened == 0 && report.aborted == 0);
        // A late key that no list shows yet can be told of by the next run at the earliest.
        if finished && all_blocked && all_shown && round > 0 {
            settled = true;
            break;
        }
        // `resume` alone while anything is in flight; `run` for what was never opened or ended `aborted`.
        opens = all_blocked || round > 12;
        lock(&state).advance(setup.policy.settle.as_millis().try_into().unwrap_or(i64::MAX / 8) + 17_000);
        let waits = open.iter().filter_map(|summary| summary.rotation.waiting_until).max();
        if let Some(until) = waits {
            let mut state = lock(&state);
            let gap = (until.as_unix_seconds() * 1000 - state.now).max(0) + 1000;
            state.advance(gap);
        }
    }
    let open = storage.summaries(Which::All).await.expect("the journal reads");
    let mut state = lock(&state);
    if !settled {
        let standings: Vec<_> = open.iter().map(|summary| format!("{:?}", summary.rotation.standing)).collect();
        state.broken.push(format!("P6: it does not end: {standings:?}"));
    }
    at_the_end(&mut state, setup, &open);
    Played { touches: state.touches, broken: state.broken.clone(), told: state.told.clone() }
}

/// The journal's summary is what its lines say.
async fn replays(storage: &SharedStore, state: &Shared) {
    for summary in storage.summaries(Which::All).await.expect("the journal reads") {
        let lines = storage.lines(summary.rotation.id).await.expect("the journal reads");
        match replay(summary.rotation.id, &lines) {
            Ok(rotation) if rotation == summary.rotation => {}
            Ok(_) => lock(state).broken.push("the summary is not what the lines say".to_owned()),
            Err(error) => lock(state).broken.push(format!("the journal does not replay: {error}")),
        }
    }
}

fn at_the_end(state: &mut State, setup: &Setup, all: &[rotator::journal::entry::Summary]) {
    let mut broken = Vec::new();
    for (number, (user, keys)) in state.users.iter().enumerate() {
        let strangers = usize::from(setup.stranger == Some(number));
        let is_blocked = all.iter().any(|summary| {
            summary.rotation.opened.user.as_str() == user
                && matches!(summary.rotation.standing, Standing::Blocked { .. })
        });
        let late = keys.iter().filter(|key| key.by == By::Late).count();
        if is_blocked {
            if strangers == 0 && late == 0 && setup.interference.is_none() {
                broken.push(format!("P6: {user} is blocked, and nobody but us was there"));
            }
            continue;
        }
        if setup.interference.is_some() {
            continue;
        }
        if late > 0 && !state.reported_late {
            broken.push(format!("the end: {user} has a late key that nobody was told of"));
        }
        if keys.len() != 1 + strangers + late {
            broken.push(format!("the end: {user} has {} keys", keys.len()));
        }
        let rotated = keys.iter().any(|key| key.by == By::Rotator);
        if rotated == (strangers > 0) && late == 0 {
            broken.push(format!("the end: {user} was {}rotated", if rotated { "" } else { "not " }));
        }
    }
    for store in state.stores.values() {
        for (entry, (version, bytes)) in &store.entries {
            if entry.ends_with("MY_SECRET") && (bytes != b"keep me" || *version != 1) {
                broken.push(format!("the end: {entry} was changed"));
            }
            if entry.ends_with("SECRET_ACCESS_KEY") && !bytes.ends_with(b"\n") {
                broken.push(format!("the end: {entry} lost a byte"));
            }
        }
    }
    state.broken.extend(broken);
}
