//! What a run or resume did and found, gathered from the results of its executors.

use std::collections::{BTreeMap, BTreeSet};

use tokio::task::JoinError;

use super::executor::{Advanced, StopReason};
use crate::journal::campaign::LeftAloneNote;
use crate::journal::write_ahead::JournalError;
use crate::rotation::event::Ending;
use crate::rotation::state::State;
use crate::types::error_text::with_causes;
use crate::types::name::{AccessKeyId, CampaignId, RotationId, StoreIdentity, StoreName};

/// What a run or resume did and found.
#[derive(Debug, Default)]
pub struct Report {
    pub campaign: Option<CampaignId>,
    /// The rotations that were advanced, in the order in which they were opened.
    pub touched: Vec<RotationId>,
    /// The number of rotations that ended `aborted` by themselves.
    pub aborted: usize,
    /// A message for each failure, with its rotation.
    pub troubles: Vec<(Option<RotationId>, String)>,
    /// The keys and entries that were skipped.
    pub left_alone: Vec<LeftAloneNote>,
    /// Due keys that no rotation was opened for, because of `--limit`, a stop or a failure.
    pub unopened: usize,
    /// The keys that `only` takes, if the stores were read for keys.
    pub chosen: BTreeSet<AccessKeyId>,
    /// How many entries each store contained, if the stores were read for keys.
    pub entries: BTreeMap<StoreName, usize>,
    /// The identities of the stores, if the stores were read for keys.
    pub identities: BTreeMap<StoreName, StoreIdentity>,
    /// The result for each key that was tried.
    pub went: BTreeMap<AccessKeyId, Went>,
    /// Whether a stop was asked for.
    pub stopped: bool,
}

/// The result of one run for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Went {
    /// The key is rotated, waits for a known time, or is blocked, which its rotation shows.
    Well,
    /// The rotation of the key failed for now.
    Failed {
        why: String,
        /// Whether the rotation made a new key and gave up.
        gave_up_a_key: bool,
    },
}

impl Report {
    /// Records that a key failed for now, before or in its rotation.
    pub(super) fn failed(&mut self, key: &AccessKeyId, why: &str, gave_up_a_key: bool) {
        // The key may have failed before in this run, in the rotation that was in flight.
        let before = matches!(self.went.get(key), Some(Went::Failed { gave_up_a_key: true, .. }));
        let went = Went::Failed { why: why.to_owned(), gave_up_a_key: gave_up_a_key || before };
        self.went.insert(key.clone(), went);
    }
}

/// Takes the result of one executor.
pub(super) fn collect(ended: Result<(RotationId, Result<Advanced, JournalError>), JoinError>, report: &mut Report) {
    match ended {
        Ok((id, result)) => {
            take_in(id, result, report);
        }
        Err(error) => report.troubles.push((None, task_died(&error))),
    }
}

/// The result for a key that was due.
pub(super) enum Opening {
    /// A rotation was opened and advanced.
    Advanced(Box<Advanced>),
    /// No rotation was opened: the key needs an operator first.
    Left(Box<LeftAloneNote>),
    /// No rotation was opened, and the next run tries again: the key, and the message.
    NotNow(AccessKeyId, String),
    /// No rotation was opened: a stop was asked for.
    Stopped,
    /// No rotation was opened: rotator's own credentials have failed, which the run reports once.
    NoCredentials,
}

/// Takes the result for one due key. Returns the rotation if it is open, or ended otherwise than `aborted`.
pub(super) fn collect_opened(
    ended: Result<(RotationId, Result<Opening, JournalError>), JoinError>,
    report: &mut Report,
) -> Option<RotationId> {
    match ended {
        Ok((_, Ok(Opening::Stopped))) => report.stopped = true,
        Ok((_, Ok(Opening::NoCredentials))) => {}
        Ok((_, Ok(Opening::NotNow(key, why)))) => {
            report.failed(&key, &why, false);
            report.troubles.push((None, why));
        }
        Ok((_, Ok(Opening::Left(note)))) => report.left_alone.push(*note),
        Ok((id, Ok(Opening::Advanced(advanced)))) => return take_in(id, Ok(*advanced), report).then_some(id),
        Ok((id, Err(error))) => {
            take_in(id, Err(error), report);
        }
        Err(error) => report.troubles.push((None, task_died(&error))),
    }
    None
}

/// The text of a panic may contain anything, and is not shown.
fn task_died(error: &tokio::task::JoinError) -> String {
    let how =
        if error.is_panic() { "a defect in rotator stopped one rotation" } else { "one rotation was interrupted" };
    format!("{how}; `rotator resume` continues it")
}

/// Returns whether the rotation is open, or ended otherwise than `aborted`.
fn take_in(id: RotationId, result: Result<Advanced, JournalError>, report: &mut Report) -> bool {
    report.touched.push(id);
    let advanced = match result {
        Ok(advanced) => advanced,
        Err(error) => {
            report.troubles.push((Some(id), with_causes(&error)));
            return false;
        }
    };
    let key = advanced.rotation.opened.old_key.clone();
    match advanced.stopped {
        StopReason::FailedForNow(why) => {
            report.failed(&key, &why, false);
            report.troubles.push((Some(id), why));
        }
        // The run reports this once.
        StopReason::NoCredentials(_) => {}
        // The cause is where rotator was run, not the key.
        StopReason::WrongSession(why) => report.troubles.push((Some(id), why)),
        StopReason::Stopped => report.stopped = true,
        StopReason::AtRest | StopReason::Waiting(_) | StopReason::Stored => {
            report.went.insert(key.clone(), Went::Well);
        }
    }
    match advanced.rotation.state {
        State::Closed { ending: Ending::Aborted } => {
            let gave_up = advanced.rotation.gave_up();
            if gave_up {
                report.aborted += 1;
                let made_a_key = advanced.rotation.creates > 0;
                let why = advanced.rotation.last_error.clone().unwrap_or_default();
                report.failed(&key, &why, made_a_key);
                report.troubles.push((Some(id), format!("aborted: {why}")));
            }
            !gave_up
        }
        State::Closed { ending: Ending::DeletedOld | Ending::Gone }
        | State::Settled { .. }
        | State::InDoubt { .. }
        | State::Blocked { .. } => true,
    }
}
