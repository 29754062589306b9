//! What an executor knows and holds of one rotation, and what one step of it yields.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::entry_writes::{self, OldValues};
use super::fact_age::Facts;
use crate::engine::accounts::Account;
use crate::engine::observe::places::Readings;
use crate::engine::session::Session;
use crate::engine::tasks::Started;
use crate::journal::write_ahead::RotationJournal;
use crate::ports::call::{CallError, CallErrorKind};
use crate::rotation::denied::Denied;
use crate::rotation::observed::{InMemoryFacts, Observed};
use crate::rotation::record::Rotation;
use crate::types::secret::SecretKey;
use crate::types::time::Timestamp;

/// How many times something that fails for now is tried in one pass.
pub(super) const MOST_TRIES: u32 = 6;

/// For how long a query without an answer is tried again. Each try waits for time-outs.
pub(super) const SILENT_FOR: Duration = Duration::from_secs(20);

/// Why an executor stops.
#[derive(Debug)]
pub enum StopReason {
    /// The rotation is closed or blocked.
    AtRest,
    /// Nothing is to be done before this time of AWS.
    Waiting(Timestamp),
    /// An effect or a query fails for now. The text is for the operator.
    FailedForNow(String),
    /// rotator's own credentials, which the rotation needs, have failed. The text is for the operator.
    NoCredentials(String),
    /// A stop was asked for.
    Stopped,
    /// The new pair is stored, and the executor was asked to leave the removal of the old key to another one.
    Stored,
    /// The session is not the one that the rotation was opened for. The text is for the operator.
    WrongSession(String),
}

/// A rotation after one step, and why its executor stops there, if it does.
pub(super) struct Advance {
    pub(super) journal: RotationJournal,
    pub(super) stop: Option<StopReason>,
}

impl Advance {
    pub(super) const fn proceed(journal: RotationJournal) -> Self {
        Self { journal, stop: None }
    }

    pub(super) const fn stop(journal: RotationJournal, reason: StopReason) -> Self {
        Self { journal, stop: Some(reason) }
    }
}

/// A rotation that was advanced as far as possible now.
pub struct Advanced {
    pub rotation: Arc<Rotation>,
    /// Why the rotation was not advanced further.
    pub stopped: StopReason,
    /// The journal of the rotation, if the removal of its old key is left to another executor.
    pub(in crate::engine) left: Option<RotationJournal>,
}

/// What is known and held of one rotation while it is advanced.
pub(super) struct Executor<'a> {
    pub(super) session: &'a Session,
    pub(super) account: &'a Account,
    pub(super) memory: InMemory,
    pub(super) observed: Observed,
    /// When the observed facts were read.
    pub(super) facts: Facts,
    /// When the rotation reached its present state, or the last wait ended, by the monotonic clock. A scan for a
    /// removal begins later.
    pub(super) since: Duration,
    pub(super) failures: u32,
    /// Since when its queries get no answer.
    pub(super) silent_since: Option<Duration>,
    /// Since when effects of the rotation are throttled.
    pub(super) throttled_since: Option<Duration>,
    pub(super) steps: usize,
    /// The time that the executor waits for.
    pub(super) waits_until: Option<Timestamp>,
    /// Whether the session has to be checked again: the executor has slept, or a store denied access to its identity.
    pub(super) is_unsure: bool,
    pub(super) first_refusal: FirstRefusal,
    /// One of the permits that bound how many new keys are in memory at once.
    pub(super) place: Option<OwnedSemaphorePermit>,
    /// The right to be under way.
    pub(super) started: Option<Started>,
}

/// What this process has in memory of one rotation. It is dropped, and its secrets are overwritten, when the executor
/// stops.
#[derive(Default)]
pub(super) struct InMemory {
    pub(super) new_secret: Option<SecretKey>,
    pub(super) old_values: OldValues,
    pub(super) readings: Option<Readings>,
    pub(super) keys_seen_at: Duration,
    /// A denial of the write of the new pair that counts.
    pub(super) store_denied: Option<Denied>,
}

impl InMemory {
    /// Returns what `next_step` has to know of it.
    pub(super) fn shown(&self, session: &Session, rotation: &Rotation) -> InMemoryFacts {
        let readings = self.readings.as_ref();
        InMemoryFacts {
            new_secret: self.new_secret.is_some(),
            old_values: readings
                .is_some_and(|readings| entry_writes::can_put_back(rotation, readings, &self.old_values)),
            call_timeout: session.options.call_timeout,
        }
    }
}

/// Why a query failed.
pub(super) enum Unseen {
    Denied(Denied),
    /// rotator's own credentials have failed.
    Credentials(String),
    NoAnswer(String),
    Otherwise(String),
}

impl Unseen {
    /// Converts the error of a call. `denied` words a denial.
    pub(super) fn of(error: CallError, denied: impl FnOnce(String) -> Denied) -> Self {
        match error.kind {
            CallErrorKind::Denied => Self::Denied(denied(error.message)),
            CallErrorKind::Credentials => Self::Credentials(error.message),
            CallErrorKind::Unavailable => Self::NoAnswer(error.message),
            CallErrorKind::Throttled | CallErrorKind::Invalid | CallErrorKind::NoSuchEntity | CallErrorKind::Other => {
                Self::Otherwise(error.message)
            }
        }
    }
}

/// The first denial of a call, and when it was received, by the monotonic clock.
pub(super) type FirstRefusal = Option<(Denied, Duration)>;
