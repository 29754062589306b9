//! T13: the power fails at a drawn moment of a run, unsynced writes are dropped and torn, and a real `resume` follows.
//!
//! Between two calls that change IAM (the create, the first use of the new key, the delete) its state stays the same, so
//! a run that is killed just before such a call shows IAM as it was at each moment since the one before: the moment is
//! drawn among these, and the folder is rebuilt from the recorded system calls up to it.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rotator::adapters::sqlite_journal::SqliteJournal;
use rotator::journal::store::RotationFilter;
use rotator::sandbox::Sandbox;

use super::recording::{self, Call};
use super::replay::{self, Disk, Op};
use super::scenario::{Kept, Scenario, sound};
use crate::support::program::sandbox_with_slashes;
use crate::support::proof::{self, Draw, Proof};
use crate::support::root;

const IN_CI: u64 = 100;
const IN_FULL: u64 = 2_000;

/// Worker threads of this test: most of a case is waiting for a disk.
const AT_ONCE: usize = 4;

const WINDOWS: [&str; 4] = ["unsynced write dropped", "write torn", "create in doubt", "journal line lost"];

/// The part of a run during which the state of IAM is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    BeforeCreate,
    CreateToUse,
    UseToDelete,
    AfterDelete,
}

/// A run that was killed, or not: its folder before, and what it did to it.
pub(super) struct Recorded {
    pub(super) before: Disk,
    pub(super) ops: Vec<Op>,
    /// Before which of `ops` each call was sent, with its action.
    sent: Vec<(usize, String)>,
}

#[test]
fn after_the_power_went_at_any_moment_it_recovers() {
    if !root::can("trace a process that may not be dumped") {
        return;
    }
    let sandbox = sandbox_with_slashes();
    let sends = [false, true].map(|has_journal| sends_of_a_run(&sandbox, has_journal));
    let proof = Mutex::new(Proof::of("T13", "power lost, unsynced writes dropped and torn", &WINDOWS));
    let (next, broken) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let cases = proof::cases(IN_CI, IN_FULL);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let case = next.fetch_add(1, Ordering::Relaxed);
                    if case >= cases {
                        return;
                    }
                    let draw = &mut Draw::new(proof::seed(), case);
                    if let Err(how) = play(&sandbox, &sends, draw, &proof) {
                        broken.lock().expect("no panic").push(format!("case {case} of seed {}: {how}", proof::seed()));
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().expect("no panic");
    assert!(broken.is_empty(), "{} promises broken:\n{}", broken.len(), broken.join("\n"));
    proof.into_inner().expect("no panic").conclude();
}

/// Returns the positions of the create and of the delete among the calls of a run, counted from 1.
pub(super) fn sends_of_a_run(sandbox: &Sandbox, has_journal: bool) -> [u64; 2] {
    let scenario = new_scenario(sandbox, has_journal);
    let recorded = record(&scenario, None).expect("it runs");
    ["CreateAccessKey", "DeleteAccessKey"].map(|action| {
        let found = recorded.sent.iter().position(|(_, sent)| sent == action);
        found.unwrap_or_else(|| panic!("no {action} was sent")) as u64 + 1
    })
}

/// Half of the runs find a journal, the others make it.
fn new_scenario(sandbox: &Sandbox, has_journal: bool) -> Scenario {
    let scenario = Scenario::new(sandbox, Kept::TwoEntries);
    if has_journal {
        drop(SqliteJournal::open(&scenario.path("journal.db")).expect("made"));
    }
    scenario
}

/// Runs rotator with the recording on; killed just before the `until`-th call is sent.
pub(super) fn record(scenario: &Scenario, until: Option<u64>) -> Result<Recorded, String> {
    let folder = scenario.program.folder();
    let before = Disk::of(folder);
    let whole = recording::whole(&format!("writev,{}", replay::CALLS));
    let mut options: Vec<&str> = whole.iter().map(String::as_str).collect();
    let kill = until.map(|n| format!("inject=writev:signal=SIGKILL:when={n}"));
    if let Some(kill) = &kill {
        options.extend(["-e", kill]);
    }
    let ended = sound(recording::run_under_strace(scenario, &options))?;
    if ended.signal.is_some() != until.is_some() {
        return Err(format!("it was not to end like this: {ended:?}"));
    }
    let calls = recording::read(&scenario.path("trace"));
    std::fs::remove_file(scenario.path("trace")).expect("removed");
    let (mut ops, mut sent) = (Vec::new(), Vec::new());
    for call in &calls {
        if call.name == "writev" {
            sent.push((ops.len(), action_of(call)));
        }
        ops.extend(replay::op(call, folder).filter(|op| !is_of_the_lock(op)));
    }
    Ok(Recorded { before, ops, sent })
}

/// Recognises writes of the lock file, which have no offset and whose content is for operators only.
fn is_of_the_lock(op: &Op) -> bool {
    let (Op::Create(path) | Op::Truncate { path, .. }) = op else { return false };
    path.extension().is_some_and(|extension| extension == "lock")
}

/// `Action=…` in what a call sends: the body follows the head in the same call.
fn action_of(call: &Call) -> String {
    let sent = call.all_text();
    let action = sent.split("Action=").nth(1).unwrap_or_default();
    action.split('&').next().unwrap_or_default().to_owned()
}

/// One case: a run, a moment, what the power left, and what `resume` makes of it.
fn play(sandbox: &Sandbox, sends: &[[u64; 2]; 2], draw: &mut Draw, proof: &Mutex<Proof>) -> Result<(), String> {
    let has_journal = draw.below(2) == 1;
    let part = *draw.one_of(&[
        Part::BeforeCreate,
        Part::CreateToUse,
        Part::CreateToUse,
        Part::CreateToUse,
        Part::UseToDelete,
        Part::UseToDelete,
        Part::AfterDelete,
    ]);
    let scenario = new_scenario(sandbox, has_journal);
    let [create, delete] = sends[usize::from(has_journal)];
    let until = match part {
        Part::BeforeCreate => Some(create),
        Part::CreateToUse => Some(create + 1),
        Part::UseToDelete => Some(delete),
        Part::AfterDelete => None,
    };
    let recorded = record(&scenario, until)?;
    let sent_at = |n: u64| recorded.sent[n as usize - 1].0;
    let from = match part {
        Part::BeforeCreate => 0,
        Part::CreateToUse => sent_at(create),
        Part::UseToDelete => sent_at(create + 1),
        Part::AfterDelete => sent_at(delete),
    };
    let cut = moment(&recorded.ops, from, draw);
    let reported = format!("{part:?}, journal before: {has_journal}, cut at {cut} of {}", recorded.ops.len());
    let (fate, lost) = leave(&scenario, &recorded, cut, draw).map_err(|how| format!("{reported}: {how}"))?;
    let states = scenario.status().map_err(|how| format!("{reported}: {how}"))?;
    scenario.recovers().map_err(|how| format!("{reported}: {how}"))?;
    let mut proof = proof.lock().expect("no panic");
    proof.case();
    proof.hit("unsynced write dropped", fate.dropped);
    proof.hit("write torn", fate.torn);
    proof.count("unsynced write kept", fate.kept);
    proof.hit("journal line lost", lost);
    let create = states.iter().filter(|(_, in_doubt)| in_doubt.as_deref() == Some("create-new")).count();
    proof.hit("create in doubt", create as u64);
    Ok(())
}

/// A moment from `from` on: mostly just before a log is synced, when most is at stake.
fn moment(ops: &[Op], from: usize, draw: &mut Draw) -> usize {
    let is_of_a_log = |op: &Op| matches!(op, Op::Sync(path) if path.to_string_lossy().ends_with("-wal"));
    let syncs: Vec<usize> = (from..ops.len()).filter(|at| is_of_a_log(&ops[*at])).collect();
    if draw.below(3) > 0 && !syncs.is_empty() {
        return *draw.one_of(&syncs);
    }
    from + draw.below((ops.len() - from) as u64 + 1) as usize
}

/// Leaves in the scenario's folder what the power loss left. Returns what became of unsynced writes, and how many lines
/// of the journal were lost, which may not have been acknowledged.
fn leave(scenario: &Scenario, recorded: &Recorded, cut: usize, draw: &mut Draw) -> Result<(replay::Fate, u64), String> {
    let mut disk = recorded.before.clone();
    let mut acknowledged = disk.clone();
    for op in &recorded.ops[..cut] {
        disk.play(op);
        if matches!(op, Op::Sync(path) if path.ends_with("journal.db-wal")) {
            acknowledged = disk.clone();
        }
    }
    let folder = scenario.program.folder();
    for file in std::fs::read_dir(folder).expect("listed") {
        std::fs::remove_file(file.expect("listed").path()).expect("removed");
    }
    let fate = disk.write_what_is_left(folder, draw);
    let left = lines(|copy| super::scenario::copy_files(folder, copy, |_| true))?;
    let written = lines(|copy| disk.write_all(copy))?;
    let promised = lines(|copy| acknowledged.write_all(copy))?;
    if left < promised {
        return Err(format!("{promised} lines of the journal were acknowledged, {left} are left"));
    }
    Ok((fate, written.saturating_sub(left)))
}

/// Returns the number of lines of the journal that `fill` writes into a folder.
fn lines(fill: impl FnOnce(&Path)) -> Result<u64, String> {
    let copy = tempfile::tempdir().expect("a folder");
    fill(copy.path());
    let reported = |error: &dyn std::fmt::Display| format!("the journal cannot be read: {error}");
    let opened = SqliteJournal::open_read_only(&copy.path().join("journal.db")).map_err(|error| reported(&error))?;
    let Some(reader) = opened else { return Ok(0) };
    let mut lines = 0;
    for summary in reader.summaries(RotationFilter::All).map_err(|error| reported(&error))? {
        lines += reader.lines(summary.rotation.id).map_err(|error| reported(&error))?.len() as u64;
    }
    Ok(lines)
}
