//! The machine under test: the real decision and `apply` functions on real rotations, each kept under a number, with
//! the result of each question cached. This file decides nothing.

use std::collections::HashMap;
use std::time::Duration;

use rotator::rotation::apply::apply;
use rotator::rotation::decide::{Query, Step, next_step};
use rotator::rotation::denied::Denied;
use rotator::rotation::event::{Event, NotDone, Opened, OperatorRequest, Outcome};
use rotator::rotation::intent::Intent;
use rotator::rotation::observed::InMemoryFacts;
use rotator::rotation::policy::Policy;
use rotator::rotation::record::Rotation;
use rotator::rotation::sink::Follower;
use rotator::rotation::state::State;
use rotator::types::failure::{Refusal, RefusalKind};
use rotator::types::name::{AccessKeyId, SinkName, StoreIdentity};
use rotator::types::secret::{Fingerprint, SecretKey};
use rotator::types::time::Timestamp;

use super::dates::{forget_dates, move_back};
use super::facts::{Facts, facts};
use super::seen::{Seen, known};
use super::users::name_of;
use super::world::LATE;
use crate::support::rotations::{campaign_id, key_id, opened, rotation_id};

pub(super) type KeyId = u8;

/// As the engine: how long a call may take, and how old a list may be when a create rests on it.
const CALL: i64 = 30;
const FRESH: i64 = 5;

/// The facts of a rotator beside its observations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Holds {
    pub(super) secret: bool,
    pub(super) old_values: bool,
}

/// An effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Doing {
    Create,
    Store(KeyId),
    Restore,
    Fence,
    Sink(KeyId),
    Status(KeyId, bool),
    Delete(KeyId),
}

impl Doing {
    pub(super) fn keys(self) -> impl Iterator<Item = KeyId> {
        match self {
            Self::Store(key) | Self::Sink(key) | Self::Status(key, _) | Self::Delete(key) => Some(key),
            Self::Create | Self::Restore | Self::Fence => None,
        }
        .into_iter()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum LookAt {
    Keys,
    Places,
    Scan(KeyId),
    NewPair,
    StoredPair,
    Used(KeyId),
    Owner(KeyId),
}

/// The next step of the machine, and the state to which an event or an intent leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Look(LookAt),
    Act(Doing, u32),
    Note(u32),
    Wait(i64),
    Later,
    Rest,
}

/// The outcome of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Reply {
    Created(KeyId),
    Done,
    Refused(RefusalKindHashed),
}

/// [`RefusalKind`], hashable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum RefusalKindHashed {
    NoSuchEntity,
    LimitExceeded,
    Denied,
    Stale,
}

/// A request of an operator about a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Says {
    Abort,
    TakeAbortBack,
    Reactivate,
    DeleteKey(KeyId),
    KeepKey(KeyId),
}

/// Every rotation met so far, and every answer.
pub(super) struct Machine {
    policy: Policy,
    sinks: Vec<Follower>,
    longest_stall: Duration,
    rotations: Vec<Rotation>,
    facts: Vec<Facts>,
    numbers: HashMap<String, u32>,
    plans: HashMap<(u32, Holds, Seen), Next>,
    replies: HashMap<(u32, Reply), u32>,
    later: HashMap<(u32, i64), u32>,
    said: HashMap<(u32, Says), u32>,
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_700_000_000 + seconds)
}

pub(super) fn name(id: KeyId) -> AccessKeyId {
    key_id(u64::from(id))
}

pub(super) fn number(id: &AccessKeyId) -> KeyId {
    id.as_str()[4..].parse().expect("a key of the model")
}

fn fingerprint(rotation: u8, key: KeyId) -> Fingerprint {
    let secret = SecretKey::new(format!("secret/of/key{key:027}"));
    secret.fingerprint(rotation_id(u128::from(rotation) + 1)).expect("it is like AWS's")
}

impl Machine {
    /// `longest_stall`: how old what a process has seen may be when it acts on it.
    pub(super) fn new(policy: Policy, has_sink: bool, longest_stall: Duration) -> Self {
        let sink = || Follower {
            sink: SinkName::new("sink").expect("a name"),
            identity: StoreIdentity::new("sink").expect("an identity"),
            place: 0,
            lands_within: Duration::from_secs(LATE.unsigned_abs()),
        };
        Self {
            policy,
            sinks: has_sink.then(sink).into_iter().collect(),
            longest_stall,
            rotations: Vec::new(),
            facts: Vec::new(),
            numbers: HashMap::new(),
            plans: HashMap::new(),
            replies: HashMap::new(),
            later: HashMap::new(),
            said: HashMap::new(),
        }
    }

    pub(super) fn facts(&self, rotation: u32) -> &Facts {
        &self.facts[rotation as usize]
    }

    pub(super) fn rotation(&self, rotation: u32) -> &Rotation {
        &self.rotations[rotation as usize]
    }

    /// Questions put to the real machine.
    pub(super) fn questions(&self) -> usize {
        self.plans.len() + self.replies.len() + self.said.len()
    }

    /// Keeps a rotation without the texts for operators, which decide nothing.
    fn keep(&mut self, mut rotation: Rotation) -> u32 {
        rotation.last_error = None;
        rotation.store_said = None;
        rotation.waiting_until = None;
        rotation.attempts = rotation.attempts.min(1);
        if rotation.is_closed() {
            let state = rotation.state.clone();
            rotation = Rotation { state, ..Rotation::open(rotation.id, rotation.opened) };
        }
        let text = serde_json::to_string(&rotation).expect("JSON");
        if let Some(number) = self.numbers.get(&text) {
            return *number;
        }
        let number = u32::try_from(self.rotations.len()).expect("few rotations");
        self.facts.push(facts(&rotation, &text));
        self.numbers.insert(text, number);
        self.rotations.push(rotation);
        number
    }

    /// Opens a rotation of `old` under this number.
    pub(super) fn open(&mut self, number: u8, old: KeyId) -> u32 {
        let frozen = opened(campaign_id(1), u64::from(old));
        let frozen = Opened {
            user: name_of(0),
            old_key: name(old),
            old_secret: Some(fingerprint(number, old)),
            sinks: self.sinks.clone(),
            policy: self.policy.clone(),
            ..frozen
        };
        self.keep(Rotation::open(rotation_id(u128::from(number) + 1), frozen))
    }

    fn apply(&mut self, rotation: u32, event: &Event) -> u32 {
        let before = &self.rotations[rotation as usize];
        let next = apply(before, event).unwrap_or_else(|error| panic!("`plan` proposes what `apply` forbids: {error}"));
        self.keep(next)
    }

    /// Blocks a rotation for want of a right; `None`: it is blocked for that already.
    pub(super) fn block(&mut self, rotation: u32, denied: Denied) -> Option<u32> {
        let before = self.rotation(rotation);
        let reason = before.blocked_for(denied);
        let again = matches!(&before.state, State::Blocked { reason: before, .. } if reason.is_again(before));
        (!again).then(|| self.apply(rotation, &Event::Blocked(reason)))
    }

    pub(super) fn says(&mut self, rotation: u32, says: Says) -> u32 {
        if let Some(next) = self.said.get(&(rotation, says)) {
            return *next;
        }
        let asked = match says {
            Says::Abort => OperatorRequest::Abort,
            Says::TakeAbortBack => OperatorRequest::TakeAbortBack,
            Says::Reactivate => OperatorRequest::ReactivateOld,
            Says::DeleteKey(key) => OperatorRequest::DeleteKey { key: name(key) },
            Says::KeepKey(key) => OperatorRequest::KeepKey { key: name(key) },
        };
        let next = self.apply(rotation, &Event::Asked(asked));
        self.said.insert((rotation, says), next);
        next
    }

    /// The state after the reply to the effect in doubt.
    pub(super) fn hears(&mut self, rotation: u32, reply: Reply) -> u32 {
        if let Some(next) = self.replies.get(&(rotation, reply)) {
            return *next;
        }
        let before = self.rotation(rotation);
        let event = match reply {
            Reply::Created(key) => Event::Done(Outcome::Created {
                key: name(key),
                fingerprint: fingerprint(self.facts(rotation).number, key),
                at: at(0),
            }),
            Reply::Done => {
                let intent = before.state.intent().expect("an effect is in doubt");
                Event::Done(Outcome::of_intent(intent, at(0)).expect("a create is answered with a key"))
            }
            Reply::Refused(kind) => {
                let kind = match kind {
                    RefusalKindHashed::NoSuchEntity => RefusalKind::NoSuchEntity,
                    RefusalKindHashed::LimitExceeded => RefusalKind::LimitExceeded,
                    RefusalKindHashed::Denied => RefusalKind::Denied,
                    RefusalKindHashed::Stale => RefusalKind::Stale,
                };
                Event::NotDone(NotDone::Refused(Refusal::new(kind, "no")))
            }
        };
        let next = self.apply(rotation, &event);
        self.replies.insert((rotation, reply), next);
        next
    }

    pub(super) fn next(&mut self, rotation: u32, holds: Holds, seen: &Seen) -> Next {
        let question = (rotation, holds, seen.clone());
        if let Some(next) = self.plans.get(&question) {
            return *next;
        }
        let hand = InMemoryFacts {
            new_secret: holds.secret,
            old_values: holds.old_values,
            call_timeout: Duration::from_secs(CALL.unsigned_abs()),
        };
        let step = next_step(self.rotation(rotation), hand, &known(seen), at(0));
        assert_eq!(step, next_step(self.rotation(rotation), hand, &known(seen), at(0)), "`next_step` is deterministic");
        let next = match step {
            Step::Observe(look) => Next::Look(match look {
                Query::Keys => LookAt::Keys,
                Query::Places => LookAt::Places,
                Query::Scan(key) => LookAt::Scan(number(&key)),
                Query::NewPair => LookAt::NewPair,
                Query::StoredPair => LookAt::StoredPair,
                Query::LastUsed(key) => LookAt::Used(number(&key)),
                Query::Owner(key) => LookAt::Owner(number(&key)),
            }),
            Step::Execute(intent) => self.act(rotation, intent, seen),
            Step::Record(event) => Next::Note(self.apply(rotation, &event)),
            Step::Wait { until, .. } => Next::Wait(until.as_unix_seconds() - at(0).as_unix_seconds()),
            Step::Retry { .. } => Next::Later,
            Step::Idle => Next::Rest,
        };
        self.plans.insert(question, next);
        next
    }

    fn act(&mut self, rotation: u32, mut intent: Intent, seen: &Seen) -> Next {
        let old = self.facts(rotation).old;
        // As the engine: the attempt is dated by its own moment, and rests on a fresh list only.
        if let Intent::CreateNew { asked_at, give_up_at, .. } = &mut intent {
            if seen.keys.as_ref().is_none_or(|listed| listed.at < -FRESH) {
                return Next::Look(LookAt::Keys);
            }
            (*asked_at, *give_up_at) = (at(0), at(CALL));
        }
        let doing = match &intent {
            Intent::CreateNew { .. } => Doing::Create,
            Intent::StoreNew => Doing::Store(self.facts(rotation).made.expect("a new key").0),
            Intent::RestoreOld => Doing::Restore,
            Intent::FenceStore => Doing::Fence,
            Intent::WriteSink { key, .. } => Doing::Sink(number(key)),
            Intent::DeactivateOld => Doing::Status(old, false),
            Intent::ReactivateOld => Doing::Status(old, true),
            Intent::DeactivateNew { key } => Doing::Status(number(key), false),
            Intent::ReactivateNew { key } => Doing::Status(number(key), true),
            Intent::DeleteOld => Doing::Delete(old),
            Intent::DiscardNew { key, .. } | Intent::DeleteNamed { key } => Doing::Delete(number(key)),
        };
        Next::Act(doing, self.apply(rotation, &Event::Intended(intent)))
    }

    /// The same rotation, seen from `seconds` later.
    pub(super) fn later(&mut self, rotation: u32, seconds: i64) -> u32 {
        if let Some(next) = self.later.get(&(rotation, seconds)) {
            return *next;
        }
        let mut moved = self.rotation(rotation).clone();
        move_back(&mut moved, Duration::from_secs(seconds.unsigned_abs()));
        forget_dates(&mut moved, self.longest_stall);
        let next = self.keep(moved);
        self.later.insert((rotation, seconds), next);
        next
    }
}
