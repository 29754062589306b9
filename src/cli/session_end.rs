//! Sessions that end before the known waits of a command do. Each is named at the start, since a session that ends in the
//! middle leaves its rotations as they are.

use std::time::Duration;

use super::error::CliError;
use super::output::terminal::Terminal;
use super::output::times::Times;
use super::wiring::journal::{HeldJournal, storage_failed};
use crate::engine::session::Session;
use crate::engine::survey::choice::Choice;
use crate::journal::store::RotationFilter;
use crate::ports::identity::SessionEnd;
use crate::rotation::policy::Policy;
use crate::rotation::record::Rotation;
use crate::rotation::state::{Phase, State};
use crate::types::name::RotationId;
use crate::types::time::Timestamp;

/// What a command may wait for.
pub(in crate::cli) struct Waits<'a> {
    /// The choice of the rotations that it opens, if it opens any.
    pub(in crate::cli) opened: Option<&'a Choice>,
    /// The rotations in flight that it continues; all of them if the list is empty.
    pub(in crate::cli) in_flight: Option<&'a [RotationId]>,
    pub(in crate::cli) held: &'a HeldJournal,
}

impl Waits<'_> {
    /// Warns of each session that ends before the known waits do. `wait`: the command waits for overlap and quarantine.
    pub(in crate::cli) async fn warn(&self, session: &Session, wait: bool, terminal: Terminal) -> Result<(), CliError> {
        let ends = session.accounts.reachable().iter().filter_map(|account| account.ports.identity.session_end());
        let mut ends: Vec<SessionEnd> = ends.collect();
        ends.dedup();
        if ends.is_empty() {
            return Ok(());
        }
        let times = Times::here();
        let Some(until) = self.until(times.now(), wait).await? else { return Ok(()) };
        for end in ends.iter().filter(|end| end.at < until) {
            terminal.warn(&warning(end, until, &times));
        }
        Ok(())
    }

    /// The end of the last known wait.
    async fn until(&self, now: Timestamp, wait: bool) -> Result<Option<Timestamp>, CliError> {
        let mut all = Vec::new();
        if let Some(choice) = self.opened {
            let terms = std::iter::once(&choice.terms).chain(choice.rules.iter().map(|rule| &rule.terms));
            all.extend(terms.map(|terms| now.plus(whole(&terms.policy, wait))));
        }
        if let Some(ids) = self.in_flight {
            let store = self.held.journal.store();
            let open = store.summaries(RotationFilter::Open).await.map_err(|error| storage_failed(&error))?;
            let rotations = open.iter().map(|open| &open.rotation);
            let chosen = rotations.filter(|rotation| ids.is_empty() || ids.contains(&rotation.id));
            all.extend(chosen.filter_map(|rotation| rest(rotation, now, wait)));
        }
        Ok(all.into_iter().max())
    }
}

/// How long a rotation takes at least. Without `wait` a command ends where an overlap or a quarantine begins.
fn whole(policy: &Policy, wait: bool) -> Duration {
    let waited = if wait { policy.overlap + policy.quarantine } else { Duration::ZERO };
    policy.proof_span + policy.settle + waited
}

/// The end of the known waits of a rotation in flight. `None`: an operator is needed first.
fn rest(rotation: &Rotation, now: Timestamp, wait: bool) -> Option<Timestamp> {
    let policy = &rotation.opened.policy;
    let phase = match &rotation.state {
        State::Settled { phase } | State::InDoubt { phase, .. } => phase,
        State::Blocked { .. } | State::Closed { .. } => return None,
    };
    // Asked for by an operator, the removal of the old key waits for nothing.
    let wait = wait && !rotation.named.contains(&rotation.opened.old_key);
    Some(match (rotation.waiting_until.filter(|_| wait), phase) {
        (Some(until), Phase::StoredNew { .. }) => until.max(now).plus(policy.quarantine + policy.settle),
        (Some(until), _) => until.max(now).plus(policy.settle),
        (None, _) => now.plus(whole(policy, wait)),
    })
}

fn warning(end: &SessionEnd, until: Timestamp, times: &Times) -> String {
    let SessionEnd { at, source, hint } = end;
    format!(
        "the session of {source} ends at {} ({}), before the known waits do, at {}: what is not done then stays as it is, \
         and `rotator resume` continues it in another session\n  {hint}",
        times.local(*at),
        times.until(*at),
        times.local(until)
    )
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_command_that_does_not_wait_needs_no_session_for_the_overlap() {
        let policy = Policy { overlap: HOUR, quarantine: HOUR * 24, ..Policy::default() };
        assert_eq!(whole(&policy, true), HOUR * 25 + Duration::from_secs(70));
        assert_eq!(whole(&policy, false), Duration::from_secs(70));
    }

    #[test]
    fn the_warning_says_which_session_ends_when_and_what_to_do() {
        let now: Timestamp = "2026-11-27T13:00:00Z".parse().expect("valid");
        let times = Times::at(now, TimeZone::posix("CET-1").expect("valid"));
        let end = SessionEnd {
            at: now.plus(HOUR / 2),
            source: "the AWS profile `ops` by SSO".to_owned(),
            hint: "`aws sso login --profile ops` begins another session".to_owned(),
        };
        let text = warning(&end, now.plus(HOUR * 25), &times);
        assert!(text.contains("`ops` by SSO ends at 14:30:00 CET (in 30 min)"), "{text}");
        assert!(text.contains("at 2026-11-28 15:00 CET") && text.contains("`rotator resume`"), "{text}");
        assert!(text.ends_with("\n  `aws sso login --profile ops` begins another session"), "{text}");
    }
}
