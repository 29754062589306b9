//! Faults on demand: which call fails, and how.
//!
//! This module selects the fault; `server` applies it.

use std::time::Duration;

use serde::Serialize;

use super::action::Action;
use super::error::ApiError;

/// How a call fails.
#[derive(Debug, Clone, PartialEq)]
pub enum FaultKind {
    /// The connection is dropped; the call is not executed.
    LostReplyBefore,
    /// The call is executed, then the connection is dropped.
    LostReplyAfter,
    /// `Throttling`, status 400; the call is not executed.
    Throttle,
    /// `ServiceUnavailable`, status 503; the call is not executed.
    ServiceUnavailable,
    /// `InternalFailure`, status 500; the call is not executed.
    InternalFailure,
    /// This error is returned; the call is not executed.
    Refuse(ApiError),
    /// The call waits this long, then continues normally.
    Latency(Duration),
    /// The call is executed; only this many bytes of a successful body are sent, with a matching `Content-Length`.
    Truncate(usize),
    /// The call is executed; the connection breaks after this many bytes of a successful body, whose `Content-Length`
    /// is complete.
    CutOff(usize),
    /// The call is executed; the body of a success is not XML.
    Garbage200,
    /// The request arrives twice, as after a retry by a proxy: it is executed twice, and one of the two responses is
    /// sent.
    Twice(SentAnswer),
    /// The call waits until it is released. It is executed then, even if the client has disconnected.
    HoldUntilReleased,
    /// The call is executed; its response waits until it is released.
    HoldReply,
    /// The call is never executed and never answered.
    HoldForever,
}

/// Which response to a call that was executed twice is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentAnswer {
    /// The response to the first execution.
    First,
    /// The response to the second execution.
    Second,
}

/// A fault. By default it affects the first call of any action for any user, once.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// The action that is affected; `None` means every action.
    pub action: Option<Action>,
    /// The user of the affected calls (their `UserName`, otherwise the caller); `None` means any user. Case is
    /// ignored.
    pub user: Option<String>,
    /// Which of the matching calls are affected.
    pub when: When,
    /// How many calls are affected; `None` means no limit.
    pub times: Option<u32>,
    pub kind: FaultKind,
}

/// Which calls a fault affects, among those that match its action and user.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// The n-th one and all later ones, counted from 1.
    FromNth(u32),
    /// Each one with this probability; the same seed selects the same calls.
    Sometimes {
        /// The probability, from 0 to 1.
        probability: f64,
        /// The seed of the selection.
        seed: u64,
    },
}

impl Fault {
    /// A fault of that kind at the next call.
    #[must_use]
    pub fn new(kind: FaultKind) -> Self {
        Self { action: None, user: None, when: When::FromNth(1), times: Some(1), kind }
    }

    /// Restricts the fault to calls of `action`.
    #[must_use]
    pub fn on(self, action: Action) -> Self {
        Self { action: Some(action), ..self }
    }

    /// Restricts the fault to calls for `user`.
    #[must_use]
    pub fn for_user(self, user: impl Into<String>) -> Self {
        Self { user: Some(user.into()), ..self }
    }

    /// Starts the fault at the n-th matching call, counted from 1.
    #[must_use]
    pub fn nth(self, nth: u32) -> Self {
        Self { when: When::FromNth(nth), ..self }
    }

    /// Affects each matching call with this probability, until the fault is disarmed or [`times`](Self::times) is
    /// reached.
    #[must_use]
    pub fn sometimes(self, probability: f64, seed: u64) -> Self {
        Self { when: When::Sometimes { probability, seed }, times: None, ..self }
    }

    /// Limits the number of affected calls.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Affects calls until the fault is disarmed.
    #[must_use]
    pub fn always(self) -> Self {
        Self { times: None, ..self }
    }
}

/// The id of an armed fault, which also identifies the calls that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct FaultId(pub u64);

/// The armed faults.
#[derive(Default)]
pub(super) struct Faults {
    armed: Vec<Armed>,
    next: u64,
}

struct Armed {
    id: FaultId,
    fault: Fault,
    /// The number of calls that matched the action and the user.
    met: u32,
    struck: u32,
    random: Random,
}

impl Faults {
    pub(super) fn arm(&mut self, fault: Fault) -> FaultId {
        self.next += 1;
        let id = FaultId(self.next);
        let seed = match fault.when {
            When::FromNth(_) => 0,
            When::Sometimes { seed, .. } => seed,
        };
        self.armed.push(Armed { id, fault, met: 0, struck: 0, random: Random(seed) });
        id
    }

    pub(super) fn disarm_all(&mut self) {
        self.armed.clear();
    }

    /// The faults with the number of calls that each has affected.
    pub(super) fn armed(&self) -> impl Iterator<Item = (FaultId, &Fault, u32)> {
        self.armed.iter().map(|armed| (armed.id, &armed.fault, armed.struck))
    }

    /// Selects the fault for a call. Every matching fault counts the call; among those that would affect it, the
    /// oldest is used.
    pub(super) fn choose(&mut self, action: Action, user: Option<&str>) -> Option<(FaultId, FaultKind)> {
        let mut chosen = None;
        for armed in self.armed.iter_mut().filter(|armed| armed.matches(action, user)) {
            if armed.would_strike() && chosen.is_none() {
                armed.struck += 1;
                chosen = Some((armed.id, armed.fault.kind.clone()));
            }
        }
        chosen
    }
}

impl Armed {
    fn matches(&self, action: Action, user: Option<&str>) -> bool {
        let wanted_user = self.fault.user.as_ref().map(|name| name.to_lowercase());
        self.fault.action.is_none_or(|wanted| wanted == action)
            && (wanted_user.is_none() || wanted_user == user.map(str::to_lowercase))
    }

    fn would_strike(&mut self) -> bool {
        self.met += 1;
        let now = match self.fault.when {
            When::FromNth(nth) => self.met >= nth,
            When::Sometimes { probability, .. } => self.random.draw() < probability,
        };
        now && self.fault.times.is_none_or(|times| self.struck < times)
    }
}

/// SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>), so that a seed selects the same calls on every machine.
struct Random(u64);

impl Random {
    /// A number from 0 up to, but not including, 1.
    fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // A double represents exactly the upper 53 bits.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let unit = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
        unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(faults: &mut Faults, calls: u32) -> Vec<u32> {
        (1..=calls).filter(|_| faults.choose(Action::CreateAccessKey, Some("alice")).is_some()).collect()
    }

    #[test]
    fn a_fault_strikes_from_the_nth_call_so_many_times() {
        let mut faults = Faults::default();
        faults.arm(Fault::new(FaultKind::Throttle).nth(3).times(2));
        assert_eq!(strikes(&mut faults, 6), [3, 4]);
    }

    #[test]
    fn a_fault_meets_only_its_action_and_user() {
        let mut faults = Faults::default();
        faults.arm(Fault::new(FaultKind::Throttle).on(Action::DeleteAccessKey).for_user("Alice").always());
        assert_eq!(faults.choose(Action::CreateAccessKey, Some("alice")), None);
        assert_eq!(faults.choose(Action::DeleteAccessKey, Some("bob")), None);
        assert_eq!(faults.choose(Action::DeleteAccessKey, None), None);
        assert!(faults.choose(Action::DeleteAccessKey, Some("alice")).is_some());
    }

    #[test]
    fn the_fault_armed_first_strikes_and_the_others_count() {
        let mut faults = Faults::default();
        faults.arm(Fault::new(FaultKind::Throttle).nth(2));
        faults.arm(Fault::new(FaultKind::Garbage200).nth(3));
        let kinds: Vec<_> = (1..=4).map(|_| faults.choose(Action::GetUser, None).map(|(_, kind)| kind)).collect();
        assert_eq!(kinds, [None, Some(FaultKind::Throttle), Some(FaultKind::Garbage200), None]);
    }

    #[test]
    fn a_seed_draws_the_same_calls_again() {
        let draw = |seed| {
            let mut faults = Faults::default();
            faults.arm(Fault::new(FaultKind::Throttle).sometimes(0.25, seed));
            strikes(&mut faults, 1000)
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!((200..300).contains(&draw(7).len()), "{} of 1000", draw(7).len());
    }
}
