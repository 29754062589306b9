//! T8: each file and socket call of a run killed or refused, one by one, then `resume`.
//!
//! `strace` counts a call per thread, so the runtime has one worker, and each file is counted apart: the journal's log
//! is written by the journal's own thread alone, the store's by those that may block. SIGKILL precedes the call.
//! Before a call that changes nothing (a read, a `stat`) it leaves what it leaves before the next one that does, so CI
//! kills at every third call that changes a file or talks, and the full table at all. Errors are not played at calls
//! that lock: they make SQLite wait for seconds, and some kept a run longer than a test may wait. Left out are the
//! runtime's own eventfd, epoll and signal pipe, which reach neither disk nor network.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rotator::sandbox::Sandbox;

use super::recording::{self, Call};
use super::scenario::{Kept, Scenario, sound};
use crate::support::program::sandbox_with_slashes;
use crate::support::proof::{Proof, is_full};
use crate::support::root;

/// Calls that change a file or a folder, or talk to AWS.
const CHANGE: [&str; 20] = [
    "chmod",
    "connect",
    "fchmod",
    "fchown",
    "fdatasync",
    "fsync",
    "ftruncate",
    "link",
    "linkat",
    "mkdir",
    "open",
    "openat",
    "pwrite64",
    "recvfrom",
    "rename",
    "sendto",
    "shutdown",
    "unlink",
    "write",
    "writev",
];

/// Worker threads of this test: most of a case is waiting for a disk.
const AT_ONCE: usize = 4;

/// An upper limit for the number of times that a run makes one call.
const MOST: u64 = 2_000;

/// One kind of call on one file, or on the connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    call: String,
    /// Below the scenario's folder, or absolute; none for a connection and for a draft, whose name is drawn anew.
    file: Option<PathBuf>,
    /// The first of these calls in its thread that is meant.
    first: u64,
    /// The last occurrence, for calls where trying cannot find it.
    last: Option<u64>,
}

/// The fate of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Injected {
    Kill,
    Error(&'static str),
}

const ERRORS: [Injected; 3] = [Injected::Error("EIO"), Injected::Error("ENOSPC"), Injected::Error("EINTR")];

/// A row of the table: this kind of call, from `n` in steps until a run ends without meeting it.
#[derive(Debug, Clone)]
struct Row {
    kept: Kept,
    target: Target,
    injected: Injected,
    first: u64,
    step: u64,
}

#[test]
fn every_call_that_is_killed_or_refused_leads_to_a_clean_resume() {
    if !root::can("trace a process that may not be dumped") {
        return;
    }
    let sandbox = sandbox_with_slashes();
    let kinds = if is_full() { &[Kept::TwoEntries, Kept::Document, Kept::TwoPlaces][..] } else { &[Kept::TwoEntries] };
    let mut rows = VecDeque::new();
    let mut recorded = 0;
    for kept in kinds {
        for (target, times) in targets(&sandbox, *kept) {
            recorded += if CHANGE.contains(&target.call.as_str()) { times } else { 0 };
            rows.extend(rows_of(*kept, &target));
        }
    }
    let windows = ["SIGKILL", "EIO", "ENOSPC", "EINTR"];
    let mut proof = Proof::of("T8", "system calls killed or refused", &windows);
    proof.count("calls in the recorded runs that change or talk", recorded);
    let (rows, proof, broken) = (Mutex::new(rows), Mutex::new(proof), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(row) = locked(&rows).pop_front() {
                    if let Err(how) = play(&sandbox, &row, &proof) {
                        locked(&broken).push(format!("{row:?}: {how}"));
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().expect("no panic");
    assert!(broken.is_empty(), "{} promises broken:\n{}", broken.len(), broken.join("\n"));
    proof.into_inner().expect("no panic").conclude();
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Records a run and returns its calls for each file, with their number.
fn targets(sandbox: &Sandbox, kept: Kept) -> Vec<(Target, u64)> {
    let scenario = Scenario::new(sandbox, kept);
    let ended = recording::run_under_strace(&scenario, &["-y", "-e", "trace=umask,%file,%desc,%network"]);
    let ended = sound(ended).unwrap_or_else(|how| panic!("{how}"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let calls = recording::read(&scenario.path("trace"));
    assert!(calls.len() > 500, "only {} calls were recorded", calls.len());
    let mut counted: BTreeMap<(String, String), u64> = BTreeMap::new();
    // The first and the last that is meant, and how many there are.
    type Range = (u64, Option<u64>, u64);
    let mut found: BTreeMap<(String, Option<PathBuf>), Range> = BTreeMap::new();
    for call in &calls {
        let nth = counted.entry((call.thread().to_owned(), call.name.clone())).or_default();
        *nth += 1;
        let Some(file) = file_of(&scenario, call) else { continue };
        let is_draft = file.as_ref().is_some_and(|file| file.to_string_lossy().contains(".new"));
        let key = (call.name.clone(), file.filter(|_| !is_draft));
        let (_, last, times) = found.entry(key).or_insert(if is_draft { (*nth, Some(*nth), 0) } else { (1, None, 0) });
        *last = last.map(|_| *nth);
        *times += 1;
    }
    // Before our own code the loader has made some of these calls, and `strace` counts them too.
    let before = before_own_code(&scenario);
    found
        .into_iter()
        .map(|((call, file), (first, last, times))| {
            let loader = if last.is_some() { before.get(&call).copied().unwrap_or_default() } else { 0 };
            (Target { first: first + loader, last: last.map(|last| last + loader), call, file }, times)
        })
        .collect()
}

/// The number of each call before rotator's own code began.
fn before_own_code(scenario: &Scenario) -> BTreeMap<String, u64> {
    let recorded = std::fs::read_to_string(scenario.path("trace")).expect("a recording");
    let mut counted = BTreeMap::new();
    for line in recorded.lines().take_while(|line| !line.contains("umask(")) {
        let name = line.split_once(' ').and_then(|(_, rest)| rest.trim_start().split_once('(')).map(|(name, _)| name);
        *counted.entry(name.unwrap_or_default().to_owned()).or_default() += 1;
    }
    counted
}

/// The file that a call is on, `Some(None)` for a connection; `None` for what is neither.
fn file_of(scenario: &Scenario, call: &Call) -> Option<Option<PathBuf>> {
    if call.is_of_a_socket() {
        // Without a file these would meet the runtime's own descriptors.
        return (!["close", "epoll_ctl", "fcntl", "read", "socketpair", "write"].contains(&call.name.as_str()))
            .then_some(None);
    }
    let path = call.path()?;
    if ["/proc", "/sys", "/dev/pts", "/dev/null"].iter().any(|elsewhere| path.starts_with(elsewhere)) {
        return None;
    }
    Some(Some(path.strip_prefix(scenario.program.folder()).map(PathBuf::from).unwrap_or(path)))
}

fn rows_of(kept: Kept, target: &Target) -> Vec<Row> {
    let row = |injected, first, step| Row { kept, target: target.clone(), injected, first: target.first + first, step };
    let locks = ["fcntl", "flock"].contains(&target.call.as_str());
    // In CI every third call is killed, and each error is injected at another of the fifteen places.
    let errors = (0..).zip(ERRORS).filter(|_| !locks);
    let errors = errors.map(|(first, error)| if is_full() { row(error, 0, 1) } else { row(error, first, 15) });
    let is_killed = is_full() || CHANGE.contains(&target.call.as_str());
    is_killed.then(|| row(Injected::Kill, 0, if is_full() { 1 } else { 3 })).into_iter().chain(errors).collect()
}

/// All of a row, until a run ends without an injection.
fn play(sandbox: &Sandbox, row: &Row, proof: &Mutex<Proof>) -> Result<(), String> {
    let last = row.target.last.unwrap_or(row.target.first + MOST);
    let mut n = row.first;
    while n <= last {
        let scenario = Scenario::new(sandbox, row.kept);
        let was_hit = inject(&scenario, row, n).map_err(|how| format!("n = {n}: {how}"))?;
        if !was_hit {
            return Ok(());
        }
        let in_doubt = scenario.status().map_err(|how| format!("n = {n}: {how}"))?;
        scenario.recovers().map_err(|how| format!("n = {n}: {how}"))?;
        let mut proof = locked(proof);
        proof.case();
        proof.hit(
            match row.injected {
                Injected::Kill => "SIGKILL",
                Injected::Error(name) => name,
            },
            1,
        );
        let create = in_doubt.iter().filter(|(_, in_doubt)| in_doubt.as_deref() == Some("create-new")).count();
        proof.count("create in doubt", create as u64);
        n += row.step;
    }
    assert!(row.target.last.is_some(), "{row:?} is met more than {MOST} times");
    Ok(())
}

/// One run with one injection; whether it was met.
fn inject(scenario: &Scenario, row: &Row, n: u64) -> Result<bool, String> {
    let call = &row.target.call;
    let what = match row.injected {
        Injected::Kill => format!("inject={call}:signal=SIGKILL:when={n}"),
        Injected::Error(name) => format!("inject={call}:error={name}:when={n}"),
    };
    let traced = format!("trace={call}");
    let file = row.target.file.as_ref().map(|file| scenario.program.folder().join(file).display().to_string());
    let mut options = vec!["-e", &traced, "-e", &what];
    if let Some(file) = &file {
        options.extend(["-P", file]);
    }
    let ended = sound(recording::run_under_strace(scenario, &options))?;
    match row.injected {
        Injected::Kill => Ok(ended.signal.is_some()),
        Injected::Error(_) => {
            // `run` must end in one of these ways, whatever the disk or the network does.
            let code = ended.code.unwrap_or(-1);
            let reported = code == 0 || !ended.stderr.is_empty() || code == 3;
            if ![0, 1, 2, 3].contains(&code) || !reported {
                return Err(format!("a call that fails is not to end like this: {ended:?}"));
            }
            Ok(recording::has_injection(&scenario.path("trace")))
        }
    }
}
