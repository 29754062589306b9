//! What an executor knows and holds of one rotation, and what one step of it yields.

use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::entry_writes::{self, OldValues};
use super::fact_age::Facts;
use crate::engine::accounts::Account;
use crate::engine::observe::places::Readings;
use crate::engine::session::Session;
use crate::journal::write_ahead::RotationJournal;
use crate::ports::call::{CallError, CallErrorKind};
use crate::rotation::denied::Denied;
use crate::rotation::observed::{InMemoryFacts, Observed};
use crate::rotation::record::Rotation;
use crate::types::secret::SecretKey;
use crate::types::time::Timestamp;

/// How many times something that fails for now is tried in one pass.
pub(super) const MOST_TRIES: u32 = 6;

/// Why an executor stops.
#[derive(Debug)]
pub enum StopReason {
    /// Closed, or blocked.
    AtRest,
    /// Nothing to do before this moment of AWS's clock.
    Waiting(Timestamp),
    /// Something fails for now; for people.
    FailedForNow(String),
    /// Credentials of rotator's own that it needs have failed; for people.
    NoCredentials(String),
    /// Somebody asked to stop.
    Stopped,
    /// This is not the world it was opened in; for people.
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

/// A rotation that was advanced as far as it goes now.
#[derive(Debug)]
pub struct Advanced {
    /// The rotation.
    pub rotation: Rotation,
    /// Why it was not advanced further.
    pub stopped: StopReason,
}

/// One visit under way.
pub(super) struct Executor<'a> {
    pub(super) session: &'a Session,
    pub(super) account: &'a Account,
    pub(super) hand: InMemory,
    pub(super) known: Observed,
    /// When what is known was read.
    pub(super) facts: Facts,
    /// When the rotation came to its present state or the last wait was over, by the monotonic clock: a scan for a removal
    /// begins later.
    pub(super) since: Duration,
    pub(super) failures: u32,
    /// The steps since the last wait.
    pub(super) steps: usize,
    /// The time that this visit waits for.
    pub(super) waits_until: Option<Timestamp>,
    /// Whether this may not be the world that it was: it has slept, or a store refused to say which one it is.
    pub(super) is_unsure: bool,
    pub(super) first_refusal: FirstRefusal,
    /// One of the places that bound how many new keys are in memory at once.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

/// What this process has in memory of one rotation. Dropped, and so overwritten, when the visit ends.
#[derive(Default)]
pub(super) struct InMemory {
    pub(super) new_secret: Option<SecretKey>,
    pub(super) old_values: OldValues,
    pub(super) readings: Option<Readings>,
    pub(super) keys_seen_at: Duration,
    /// A write of the new pair was refused for lack of a right, and that counts.
    pub(super) store_denied: Option<Denied>,
}

impl InMemory {
    /// What the machine needs to know of it.
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

/// Why a look failed.
pub(super) enum Unseen {
    /// A right is missing.
    Denied(Denied),
    /// Credentials of rotator's own have failed; for people.
    Credentials(String),
    /// For people.
    Otherwise(String),
}

impl Unseen {
    /// A call that failed, which is `denied` if it was refused for lack of a right.
    pub(super) fn of(error: CallError, denied: impl FnOnce(String) -> Denied) -> Self {
        match error.kind {
            CallErrorKind::Denied => Self::Denied(denied(error.message)),
            CallErrorKind::Credentials => Self::Credentials(error.message),
            CallErrorKind::Throttled
            | CallErrorKind::Unavailable
            | CallErrorKind::Invalid
            | CallErrorKind::NoSuchEntity
            | CallErrorKind::Other => Self::Otherwise(error.message),
        }
    }
}

/// The first refusal of a call in this visit, and when it was heard, by the monotonic clock.
pub(super) type FirstRefusal = Option<(Denied, Duration)>;
