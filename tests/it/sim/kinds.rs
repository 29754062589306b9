//! The kinds of faults that early simulations lacked. Each proof reports how many times each kind happened, and too few
//! are a failure.

use rotator::journal::line::Summary;
use rotator::rotation::state::State;

use super::faults::Interference;
use super::schedule::Run;
use super::state::{By, SimState};

/// An operator wrote while the removal of the key was due.
pub(crate) const WRITTEN_BEFORE_A_REMOVAL: &str = "an operator wrote while a removal was due";
/// An operator put the old pair back before rotator read its own write back.
pub(crate) const PUT_BACK_AT_ONCE: &str = "an operator put the old pair back before the write was read back";
/// A signal was sent while removals were due.
pub(crate) const SIGNALLED_BEFORE_REMOVALS: &str = "a signal while removals were due";
/// The machine was suspended while a rotation was in flight.
pub(crate) const SUSPENDED: &str = "the machine was suspended with rotations in flight";
/// The right to a call was missing.
pub(crate) const REFUSED: &str = "refused for want of rights";
/// A rotation was blocked because of that.
pub(crate) const BLOCKED_AS_REFUSED: &str = "blocked for want of a right";
/// A rotation was blocked because a service continues to use the old key.
pub(crate) const STILL_IN_USE: &str = "blocked by a service that still uses the key";
/// One process waited for longer than the steps of one pass allow.
pub(crate) const LONG_WAIT: &str = "one process waited for more than four hours";
/// A rotation needs an operator, and another user's key was rotated meanwhile.
pub(crate) const BESIDE_A_BLOCK: &str = "a key was rotated beside one that needs an operator";
/// A run with `--limit` of fewer users than there are.
pub(crate) const LIMITED: &str = "a run with --limit";
/// A run with `--only`.
pub(crate) const ONLY: &str = "a run with --only";
/// A change of status was in doubt while lists showed the former one.
pub(crate) const STATUS_SHOWN_LATE: &str = "a status in doubt, and lists that show the former one";
/// A change of a key did not find the key, which was just made.
pub(crate) const YOUNG: &str = "no such entity, for a key just made";
/// A use was not shown yet when last use was asked for.
pub(crate) const USE_SHOWN_LATE: &str = "a use that last use did not show yet";
/// A create was executed twice, and the second answer was heard.
pub(crate) const SENT_TWICE: &str = "a create sent twice";
/// A `Date` was wrong.
pub(crate) const WRONG_DATE: &str = "a wrong date";
/// The credentials of rotator itself failed.
pub(crate) const CREDENTIALS: &str = "rotator's own credentials fail";
/// Last use was refused for a key that IAM does not list.
pub(crate) const REFUSED_FOR_A_STALE_KEY: &str = "last use refused for a key that is not listed";

/// A user was renamed.
pub(crate) const RENAMED: &str = "a user renamed";

/// The kinds that T19 must meet.
pub(crate) const IN_CROWDS: [&str; 4] =
    [WRITTEN_BEFORE_A_REMOVAL, PUT_BACK_AT_ONCE, SIGNALLED_BEFORE_REMOVALS, SUSPENDED];

/// The kinds that T20 must meet.
pub(crate) const IN_LIVES: [&str; 15] = [
    RENAMED,
    REFUSED,
    BLOCKED_AS_REFUSED,
    STILL_IN_USE,
    LONG_WAIT,
    BESIDE_A_BLOCK,
    LIMITED,
    ONLY,
    STATUS_SHOWN_LATE,
    YOUNG,
    USE_SHOWN_LATE,
    SENT_TWICE,
    WRONG_DATE,
    CREDENTIALS,
    REFUSED_FOR_A_STALE_KEY,
];

/// A wait that is no ordinary visit.
const LONG: i64 = 4 * 3_600_000;

impl SimState {
    /// Whether this user's new pair is stored, and the old key is there.
    fn removal_is_due(&self, user: &str) -> bool {
        let old = |user| self.users.get(user).into_iter().flatten().any(|key| key.by == By::Stored);
        self.facts.stored.contains_key(user) && old(user)
    }

    /// An operator writes to this user's places now.
    pub(crate) fn counts_a_write(&mut self, user: &str, interference: Interference) {
        if self.removal_is_due(user) {
            self.hit(WRITTEN_BEFORE_A_REMOVAL);
        }
        if interference == Interference::Reverts && self.unread.contains(user) {
            self.hit(PUT_BACK_AT_ONCE);
        }
    }

    /// Records a signal.
    pub(crate) fn counts_a_signal(&mut self) {
        let due = self.facts.stored.keys().any(|user| self.removal_is_due(user));
        if due {
            self.hit(SIGNALLED_BEFORE_REMOVALS);
        }
    }

    /// The machine is suspended now.
    pub(crate) fn counts_a_suspend(&mut self) {
        if !self.replaced.is_empty() {
            self.hit(SUSPENDED);
        }
    }

    /// A run of a long life has ended.
    pub(crate) fn counts_a_run(&mut self, run: &Run, users: usize, all: &[Summary]) {
        if run.limit.is_some_and(|limit| limit < users) {
            self.hit(LIMITED);
        }
        if run.only.is_some() {
            self.hit(ONLY);
        }
        let is_blocked = |summary: &Summary| matches!(summary.rotation.state, State::Blocked { .. });
        let closed = all.iter().filter(|summary| summary.rotation.is_closed()).count();
        if closed > self.closed && all.iter().any(is_blocked) {
            self.hit(BESIDE_A_BLOCK);
        }
        self.closed = closed;
    }

    /// A process that began then has ended.
    pub(crate) fn counts_a_process(&mut self, began: i64, suspended: i64) {
        if self.now - began - (self.suspended - suspended) > LONG {
            self.hit(LONG_WAIT);
        }
    }
}
