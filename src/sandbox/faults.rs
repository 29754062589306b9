//! Faults on demand: which call goes wrong, and how.
//!
//! Here is only the choice; `server` carries it out.

use std::time::Duration;

use serde::Serialize;

use super::action::Action;

/// How a call goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum FaultKind {
    /// The connection is dropped; nothing has happened.
    LostReplyBefore,
    /// The call is carried out, then the connection is dropped.
    LostReplyAfter,
    /// `Throttling`, status 400; nothing has happened.
    Throttle,
    /// `ServiceUnavailable`, status 503; nothing has happened.
    ServiceUnavailable,
    /// `InternalFailure`, status 500; nothing has happened.
    InternalFailure,
    /// Refused in these words; nothing has happened.
    Refuse(super::ApiError),
    /// The call waits this long, then goes on as usual.
    Latency(Duration),
    /// The call is carried out; only this many bytes of a success's body are sent, and `Content-Length` says so.
    Truncate(usize),
    /// The call is carried out; the connection breaks after this many bytes of a success's body, of which
    /// `Content-Length` announced all.
    CutOff(usize),
    /// The call is carried out; the body of a success is no XML.
    Garbage200,
    /// The request arrives twice, as behind something that sends it again: it is carried out twice, and one of the two
    /// answers is sent.
    Twice(Told),
    /// The call waits until it is released, and then is carried out even if nobody waits for the answer any more.
    HoldUntilReleased,
    /// The call is carried out; its answer waits until it is released.
    HoldReply,
    /// The call is never carried out and never answered.
    HoldForever,
}

/// Which answer to a call that was carried out twice is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// What the first time came to.
    First,
    /// What the second time came to.
    Second,
}

/// Something that goes wrong on demand. As made, it meets the first call of any action for any user, once.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Which action it meets; `None` means every one.
    pub action: Option<Action>,
    /// Whose keys the call is about (its `UserName`, else who signed it); `None` means anyone's. Case is ignored.
    pub user: Option<String>,
    /// When among the calls that it could meet.
    pub when: When,
    /// How often it strikes before it is spent; `None` means always.
    pub times: Option<u32>,
    /// What it does.
    pub kind: FaultKind,
}

/// When a fault strikes, among the calls that its action and user match.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// From the n-th of them on, counted from 1.
    FromNth(u32),
    /// At each with this probability; the same seed draws the same calls.
    Sometimes {
        /// From 0 to 1.
        probability: f64,
        /// Of the draw.
        seed: u64,
    },
}

impl Fault {
    /// A fault of that kind at the next call, whatever it is.
    #[must_use]
    pub fn new(kind: FaultKind) -> Self {
        Self { action: None, user: None, when: When::FromNth(1), times: Some(1), kind }
    }

    /// Only calls of `action`.
    #[must_use]
    pub fn on(self, action: Action) -> Self {
        Self { action: Some(action), ..self }
    }

    /// Only calls about `user`'s keys.
    #[must_use]
    pub fn for_user(self, user: impl Into<String>) -> Self {
        Self { user: Some(user.into()), ..self }
    }

    /// From the n-th such call on, counted from 1.
    #[must_use]
    pub fn nth(self, nth: u32) -> Self {
        Self { when: When::FromNth(nth), ..self }
    }

    /// At each such call with this probability, until it is disarmed or [`times`](Self::times) is reached.
    #[must_use]
    pub fn sometimes(self, probability: f64, seed: u64) -> Self {
        Self { when: When::Sometimes { probability, seed }, times: None, ..self }
    }

    /// So often.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Until it is disarmed.
    #[must_use]
    pub fn always(self) -> Self {
        Self { times: None, ..self }
    }
}

/// Names an armed fault, and the calls that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct FaultId(pub u64);

/// What has been armed.
#[derive(Default)]
pub(super) struct Faults {
    armed: Vec<Armed>,
    next: u64,
}

struct Armed {
    id: FaultId,
    fault: Fault,
    /// Calls that its action and user matched.
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

    /// The faults with how often each has struck.
    pub(super) fn armed(&self) -> impl Iterator<Item = (FaultId, &Fault, u32)> {
        self.armed.iter().map(|armed| (armed.id, &armed.fault, armed.struck))
    }

    /// The fault that this call meets. Every fault that matches counts the call; of those that would strike, the one
    /// armed first does.
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

/// SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>): a seed must draw the same calls on every machine.
struct Random(u64);

impl Random {
    /// At least 0 and less than 1.
    fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The upper 53 bits are what a double holds exactly.
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
