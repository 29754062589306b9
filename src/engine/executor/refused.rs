//! What is refused for lack of a right: it counts at the second refusal, `settle` after the first, as policies take a
//! while to be in force everywhere. Then the rotation is blocked, and a later run looks once.

use super::state::{Advance, Executor, StopReason, Unseen};
use crate::journal::write_ahead::{JournalError, RotationJournal};
use crate::planted::{self, Planted};
use crate::rotation::denied::{Denied, Operation};
use crate::rotation::event::Event;
use crate::rotation::record::Rotation;
use crate::rotation::state::State;

impl Executor<'_> {
    /// A look that failed.
    pub(super) async fn unseen(&mut self, journal: RotationJournal, unseen: Unseen) -> Result<Advance, JournalError> {
        match unseen {
            Unseen::Denied(denied) => self.denied(journal, denied).await,
            Unseen::Credentials(why) if !planted::is(Planted::DeadCredentialsUsed) => {
                Ok(Advance::stop(journal, StopReason::NoCredentials(why)))
            }
            Unseen::Credentials(why) | Unseen::Otherwise(why) => self.later(journal, why).await,
        }
    }

    /// A look or an effect was refused for lack of a right.
    pub(super) async fn denied(&mut self, journal: RotationJournal, denied: Denied) -> Result<Advance, JournalError> {
        if planted::is(Planted::RefusalIsTransient) {
            return self.later(journal, denied.answer).await;
        }
        self.forget();
        if !self.counts(journal.rotation(), &denied).await {
            return Ok(Advance::proceed(journal));
        }
        let reason = journal.rotation().blocked_for(denied);
        let again =
            matches!(&journal.rotation().standing, State::Blocked { reason: before, .. } if reason.is_again(before));
        let journal = if again { journal } else { journal.note(Event::Blocked(reason)).await? };
        Ok(Advance::stop(journal, StopReason::AtRest))
    }

    /// Whether this refusal counts; if not, it has been waited until the next one does.
    pub(super) async fn counts(&mut self, rotation: &Rotation, denied: &Denied) -> bool {
        let clock = &self.session.clock;
        // What is refused was not made, and is not asked for twice.
        let once = denied.operation == Operation::CreateAccessKey;
        if once || rotation.is_known_to_lack(denied) || self.session.stop.asked() {
            return true;
        }
        let (now, settle) = (clock.monotonic(), rotation.opened.policy.settle);
        let counts_at = match &self.first_refusal {
            Some((before, at)) if denied.is_again(before) => {
                if now >= *at + settle {
                    return true;
                }
                *at + settle
            }
            Some(_) | None => {
                self.first_refusal = Some((denied.clone(), now));
                now + settle
            }
        };
        tracing::warn!(rotation = %rotation.id, "{}; it is tried once more in {settle:?}", denied.answer);
        tokio::select! {
            () = clock.sleep(counts_at.saturating_sub(now)) => {}
            () = self.session.stop.wait() => {}
        }
        self.since = clock.monotonic();
        false
    }
}
