//! Denied calls. A denial counts at the second refusal, `settle` after the first, because IAM policies take time to
//! apply everywhere; that of a create, which made no key, counts at once. The rotation is then blocked, and each later
//! run checks once.

use super::state::{Advance, Executor, MOST_TRIES, SILENT_FOR, StopReason, Unseen};
use crate::engine::options::{Progress, REFUSALS};
use crate::journal::write_ahead::{JournalError, RotationJournal};
use crate::rotation::denied::{Denied, Operation};
use crate::rotation::event::Event;
use crate::rotation::record::Rotation;
use crate::rotation::state::State;

impl Executor<'_> {
    /// Handles a query that failed.
    pub(super) async fn unseen(&mut self, journal: RotationJournal, unseen: Unseen) -> Result<Advance, JournalError> {
        let silent_since = self.silent_since.take();
        match unseen {
            Unseen::Denied(denied) => {
                tracing::warn!(target: REFUSALS, rotation = %journal.rotation().id, "{}", denied.answer);
                self.denied(journal, denied).await
            }
            Unseen::Credentials(why) => Ok(Advance::stop(journal, StopReason::NoCredentials(why))),
            Unseen::NoAnswer(why) => {
                let now = self.session.clock.monotonic();
                let since = *self.silent_since.insert(silent_since.unwrap_or(now));
                if now.saturating_sub(since) >= SILENT_FOR && !self.has_a_key_in_hand(journal.rotation()) {
                    // This counts as the last try.
                    self.failures = MOST_TRIES;
                }
                self.later(journal, why).await
            }
            Unseen::Otherwise(why) => self.later(journal, why).await,
        }
    }

    /// Handles a query or an effect that was denied.
    pub(super) async fn denied(&mut self, journal: RotationJournal, denied: Denied) -> Result<Advance, JournalError> {
        self.forget();
        if !self.counts(journal.rotation(), &denied).await {
            return Ok(Advance::proceed(journal));
        }
        let reason = journal.rotation().blocked_for(denied);
        let again =
            matches!(&journal.rotation().state, State::Blocked { reason: before, .. } if reason.is_again(before));
        let journal = if again { journal } else { journal.note(Event::Blocked(reason)).await? };
        Ok(Advance::stop(journal, StopReason::AtRest))
    }

    /// Returns whether this denial counts. If not, it returns after the wait until the next one counts.
    pub(super) async fn counts(&mut self, rotation: &Rotation, denied: &Denied) -> bool {
        let clock = &self.session.clock;
        // A denied create made no key, and is not tried again.
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
        let Denied { operation, resource, .. } = denied;
        let user = &rotation.opened.user;
        let (name, left) = (operation.name(), counts_at.saturating_sub(now));
        tracing::warn!(rotation = %rotation.id, %user, "{name} of {resource} is refused; it is tried once more in {left:?}");
        self.session.say(Progress::PutOff(rotation.id, left));
        tokio::select! {
            () = clock.sleep(left) => {}
            () = self.session.stop.wait() => {}
        }
        self.session.say(Progress::Changed(rotation));
        self.since = clock.monotonic();
        false
    }
}
