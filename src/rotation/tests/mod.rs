//! The machine, tested by enumeration: every state, every event, every answer the world can give.
//!
//! What is sampled here is used by all: `transitions` (apply), `decisions` (plan, against the `ground` that the
//! promises ask for), `endings` (every rotation ends, every block's command resolves it, in the pure `world`),
//! `recovery` (one crash story per row of the recovery table) and `journal_form` (what is written stays readable).

mod decisions;
mod endings;
mod evidence;
mod journal_form;
mod late_copies;
mod old_pair;
mod own_use;
mod preconditions;
#[path = "../../../tests/it/support/proof.rs"]
#[expect(dead_code, reason = "what draws and counts cases is for the integration tests")]
mod proof;
mod recovery;
mod refusals;
mod renames;
mod sinks;
mod transitions;
mod values;
mod waiting;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::apply::apply;
use super::block_reason::BlockReason;
use super::denied::{Denied, Operation};
use super::event::{Ending, Event, NotDone, OldPair, Opened, OperatorRequest, Outcome};
use super::intent::{AfterDiscard, Intent};
use super::lost_create::LostCreate;
use super::observed::InMemoryFacts;
use super::policy::{Policy, SpareKey, StillInUse, Unclaimed};
use super::record::{Probe, Rotation};
use super::sink::{Acknowledged, Follower, SinkState};
use super::state::{NewKeyState, Phase, Provenance, State};
use crate::types::failure::{Refusal, RefusalKind};
use crate::types::name::{
    AccessKeyId, AccountId, CampaignId, EntryName, RotationId, SinkName, StoreIdentity, StoreName, UserName,
};
use crate::types::place::{FieldRef, Location, Place};
use crate::types::secret::{Fingerprint, SecretKey};
use crate::types::time::Timestamp;

pub(super) const OLD: &str = "AKIAOLDOLDOLDOLDOLD0";
pub(super) const NEW: &str = "AKIANEWNEWNEWNEWNEW0";
pub(super) const STRANGER: &str = "AKIASTRANGERSTRANGER";

/// When things happened, in seconds after the epoch of these tests.
pub(super) const ASKED_AT: i64 = 0;
pub(super) const TIMED_OUT_AT: i64 = 30;
pub(super) const NEW_DEACTIVATED_AT: i64 = 100;
pub(super) const FENCED_AT: i64 = 200;
pub(super) const STORED_AT: i64 = 100;
pub(super) const OLD_DEACTIVATED_AT: i64 = 200;
/// Overlap and quarantine, where there is one.
pub(super) const LONG: Duration = Duration::from_secs(1_000);

pub(super) fn key(id: &str) -> AccessKeyId {
    AccessKeyId::new(id).expect("a valid id")
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_700_000_000 + seconds)
}

pub(super) fn id() -> RotationId {
    RotationId::from_uuid(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001))
}

/// The new secret, which no line of a journal may hold.
pub(super) const NEW_SECRET: &str = "theNewSecretHasFortyCharactersOfBase64++";

pub(super) fn fingerprint() -> Fingerprint {
    SecretKey::new(NEW_SECRET.to_owned()).fingerprint(id()).expect("it is like AWS's")
}

pub(super) fn empty_hand() -> InMemoryFacts {
    InMemoryFacts { new_secret: false, old_values: false, call_timeout: Duration::from_secs(30) }
}

pub(super) fn opened(policy: Policy) -> Opened {
    let store = StoreName::new("sqlite:store.db").expect("valid");
    let spot = |entry: &str| FieldRef { entry: EntryName::new(entry).expect("valid"), location: Location::WholeValue };
    Opened {
        campaign: CampaignId::from_uuid(uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002)),
        account: AccountId::new("123456789012").expect("valid"),
        user: UserName::new("app/prod").expect("valid"),
        old_key: key(OLD),
        old_key_created: at(-1_000_000),
        old_pair: OldPair::default(),
        old_secret: None,
        places: vec![Place { store: store.clone(), id: spot("app/prod/ID"), secret: spot("app/prod/SECRET") }],
        stores: BTreeMap::from([(store, StoreIdentity::new("one").expect("valid"))]),
        sinks: Vec::new(),
        may_turn_inactive: BTreeSet::new(),
        policy,
    }
}

/// For how long after it was sent a write to the sink of these tests may take effect.
pub(super) const LANDS_WITHIN: Duration = Duration::from_secs(100);
/// Until when one may that is on record as lost.
pub(super) const LANDS_BY: i64 = 1_000;

pub(super) fn follower() -> Follower {
    Follower {
        sink: SinkName::new("actions").expect("valid"),
        identity: StoreIdentity::new("exec actions").expect("valid"),
        place: 0,
        lands_within: LANDS_WITHIN,
    }
}

/// What a sink acknowledged last, and whose pair may still be written there.
pub(super) fn sink(acknowledged: Option<&str>, may_land: Option<&str>) -> SinkState {
    SinkState {
        acknowledged: acknowledged.map(|id| Acknowledged { key: key(id), at: at(STORED_AT) }),
        may_land: may_land.map(|id| (key(id), at(LANDS_BY))).into_iter().collect(),
        left: false,
        left_at: None,
    }
}

/// The same rotation with a sink that follows its place.
pub(super) fn followed(rotation: &Rotation, state: SinkState) -> Rotation {
    let mut rotation = rotation.clone();
    rotation.opened.sinks = vec![follower()];
    rotation.sinks = vec![state];
    rotation
}

/// Waits of zero and above, and each rule at least once each way.
pub(super) fn policies() -> Vec<Policy> {
    let plain = Policy::default();
    vec![
        plain.clone(),
        Policy {
            overlap: LONG,
            quarantine: LONG,
            unclaimed: Unclaimed::Report,
            spare_key: SpareKey::DeleteInactive,
            still_in_use: StillInUse::Wait,
            ..plain.clone()
        },
        Policy {
            overlap: LONG,
            settle: Duration::ZERO,
            spare_key: SpareKey::DeleteInactive,
            still_in_use: StillInUse::Wait,
            still_in_use_for: LONG * 2,
            ..plain.clone()
        },
        Policy { quarantine: LONG, settle: Duration::ZERO, ..plain },
    ]
}

pub(super) fn phases() -> Vec<Phase> {
    let acknowledged = NewKeyState::new(key(NEW), Provenance::Acknowledged { fingerprint: fingerprint() });
    let evidence = NewKeyState::new(key(NEW), Provenance::Inferred);
    let mut phases = vec![Phase::Opened];
    for fenced in [None, Some(at(FENCED_AT))] {
        for write_may_land in [false, true] {
            phases.push(Phase::CreatedNew { made: NewKeyState { fenced, write_may_land, ..acknowledged.clone() } });
        }
        for deactivated in [None, Some(at(NEW_DEACTIVATED_AT))] {
            phases.push(Phase::CreatedNew { made: NewKeyState { fenced, deactivated, ..evidence.clone() } });
        }
        phases
            .push(Phase::StoredNew { made: NewKeyState { fenced, ..acknowledged.clone() }, stored_at: at(STORED_AT) });
    }
    phases.push(Phase::DeactivatedOld {
        made: acknowledged,
        stored_at: at(STORED_AT),
        deactivated_at: at(OLD_DEACTIVATED_AT),
    });
    phases
}

pub(super) fn intents() -> Vec<Intent> {
    let create = |listed: &[&str]| Intent::CreateNew {
        listed: listed.iter().map(|id| key(id)).collect(),
        asked_at: at(ASKED_AT),
        give_up_at: at(TIMED_OUT_AT),
    };
    let discard = |then| Intent::DiscardNew { key: key(NEW), then, why: "because".to_owned() };
    vec![
        create(&[OLD]),
        create(&[OLD, STRANGER]),
        Intent::StoreNew,
        Intent::RestoreOld,
        Intent::FenceStore,
        Intent::WriteSink { sink: 0, key: key(NEW), asked_at: at(LANDS_BY), until: at(LANDS_BY + 130) },
        Intent::WriteSink { sink: 0, key: key(OLD), asked_at: at(LANDS_BY), until: at(LANDS_BY + 130) },
        Intent::DeactivateOld,
        Intent::ReactivateOld,
        Intent::DeleteOld,
        Intent::DeactivateNew { key: key(NEW) },
        Intent::ReactivateNew { key: key(NEW) },
        discard(AfterDiscard::CreateAgain),
        discard(AfterDiscard::Abort),
        Intent::DeleteNamed { key: key(STRANGER) },
    ]
}

pub(super) fn outcomes() -> Vec<Outcome> {
    let at = at(3_000);
    vec![
        Outcome::Created { key: key(NEW), fingerprint: fingerprint(), at },
        Outcome::FoundCreated { key: key(NEW) },
        Outcome::Stored { at },
        Outcome::Restored,
        Outcome::Fenced { at },
        Outcome::SinkAcknowledged { sink: 0, key: key(NEW), at },
        Outcome::OldDeactivated { at },
        Outcome::OldReactivated { at },
        Outcome::OldDeleted,
        Outcome::NewDeactivated { at },
        Outcome::NewReactivated,
        Outcome::NewDiscarded { then: AfterDiscard::CreateAgain },
        Outcome::NewDiscarded { then: AfterDiscard::Abort },
        Outcome::NamedDeleted { key: key(STRANGER) },
    ]
}

/// A right that is missing.
pub(super) fn denied(operation: Operation) -> Denied {
    Denied::of_key(&Rotation::open(id(), opened(Policy::default())), operation, &key(OLD), "no")
}

fn denied_reason() -> BlockReason {
    let denied = denied(Operation::DeleteAccessKey);
    BlockReason::AccessDenied { denied, state: "text".to_owned(), finish: false, once_a_day: false, stored: false }
}

pub(super) fn reasons() -> Vec<BlockReason> {
    let texts = || vec!["app/prod/ID".to_owned()];
    let (new, old) = (key(NEW), key(OLD));
    let text = || "text".to_owned();
    vec![
        BlockReason::SpareKey { key: key(STRANGER), described: text() },
        BlockReason::UnclaimedKeys { keys: vec![new.clone(), key(STRANGER)], why: text() },
        BlockReason::ChangedElsewhere { places: texts(), still_new: Vec::new(), new_key_gone: false },
        BlockReason::Reverted { places: texts(), still_new: Vec::new(), new_key_gone: false },
        BlockReason::OldKeyGone { key: old.clone(), places: texts(), still_new: Vec::new(), new_key_gone: false },
        BlockReason::StillReferenced { key: old.clone(), entries: texts() },
        BlockReason::Unreadable { entries: texts() },
        BlockReason::NewKeyNotActive { key: new.clone(), seen: text() },
        BlockReason::NewKeyGone { key: new.clone() },
        BlockReason::NewKeyDiscarded { key: new.clone() },
        BlockReason::StoredPairFails { key: new.clone(), answer: text() },
        BlockReason::WrongIdentity { key: new, answer: text() },
        BlockReason::OldKeyReactivated { key: old.clone() },
        BlockReason::OldKeyNotActive { key: old, seen: text() },
        BlockReason::TooManyCreates,
        BlockReason::CannotAbort { places: texts(), new_key_gone: false },
        denied_reason(),
        BlockReason::StillInUse { key: key(OLD), at: at(10), service: "s3".to_owned(), region: "eu-west-1".to_owned() },
        BlockReason::UserNotFound {
            user: UserName::new("app/prod").expect("valid"),
            keys: vec![key(OLD), key(NEW)],
            why: text(),
            stored: true,
        },
    ]
}

pub(super) fn events() -> Vec<Event> {
    let refused = |kind| Event::NotDone(NotDone::Refused(Refusal::new(kind, "no")));
    let asked = |ask| Event::Asked(ask);
    let end = |ending| Event::Ended { ending, why: "over".to_owned() };
    let mut events = vec![
        Event::Opened(Box::new(opened(Policy::default()))),
        Event::Opened(Box::new(Opened { old_secret: Some(fingerprint()), ..opened(Policy::default()) })),
        Event::Opened(Box::new(Opened { sinks: vec![follower()], ..opened(Policy::default()) })),
        Event::Opened(Box::new(Opened { old_pair: old_pair::proven(), ..opened(Policy::default()) })),
        Event::NotDone(NotDone::Seen),
        Event::LookedOnce { at: at(10), seen: "not listed".to_owned() },
        Event::Disowned { key: key(NEW) },
        Event::Unblocked,
        Event::Withheld(denied(Operation::WriteStore)),
        Event::Renamed { user: UserName::new("another/name").expect("valid") },
        Event::PlacesAdded { places: vec![late_copies::copy()], stores: opened(Policy::default()).stores },
        Event::PlacesLeft { places: vec![late_copies::copy()] },
        Event::SinkLeft { sink: 0, at: at(10) },
        asked(OperatorRequest::Abort),
        asked(OperatorRequest::TakeAbortBack),
        asked(OperatorRequest::ReactivateOld),
        asked(OperatorRequest::LeaveSink { sink: follower().sink }),
        Event::LateKeySeen { key: key(STRANGER) },
        Event::Deferred { why: "not now".to_owned(), until: None },
        Event::Deferred { why: "not yet".to_owned(), until: Some(at(10)) },
        end(Ending::DeletedOld),
        end(Ending::Aborted),
        end(Ending::Gone),
    ];
    events.extend(
        [
            RefusalKind::NoSuchEntity,
            RefusalKind::LimitExceeded,
            RefusalKind::Throttled,
            RefusalKind::Denied,
            RefusalKind::Credentials,
            RefusalKind::Stale,
            RefusalKind::Other,
        ]
        .map(refused),
    );
    for id in [OLD, NEW, STRANGER] {
        events.push(asked(OperatorRequest::DeleteKey { key: key(id) }));
        events.push(asked(OperatorRequest::KeepKey { key: key(id) }));
    }
    events.extend(intents().into_iter().map(Event::Intended));
    events.extend(outcomes().into_iter().map(Event::Done));
    events.extend(reasons().into_iter().map(Event::Blocked));
    let (places, still_new) = (vec!["app/prod/ID".to_owned()], vec!["other/prod/ID".to_owned()]);
    events.push(Event::Blocked(BlockReason::Reverted { places, still_new, new_key_gone: false }));
    events
}

pub(super) fn settled(phase: Phase, policy: &Policy) -> Rotation {
    let mut rotation = Rotation::open(id(), opened(policy.clone()));
    if let Some(made) = phase.made() {
        rotation.creates = 1;
        rotation.attempts = 1;
        rotation.new_key = Some(made.key.clone());
    }
    rotation.state = State::Settled { phase };
    rotation
}

pub(super) fn in_doubt(settled: &Rotation, intent: &Intent) -> Option<Rotation> {
    apply(settled, &Event::Intended(intent.clone())).ok()
}

pub(super) fn blocked(rotation: &Rotation, reason: BlockReason) -> Rotation {
    apply(rotation, &Event::Blocked(reason)).expect("whatever is open may be blocked")
}

/// Every phase settled, and in doubt with every intent that may follow there.
pub(super) fn unblocked(policy: &Policy) -> Vec<Rotation> {
    let mut rotations = Vec::new();
    for phase in phases() {
        let settled = settled(phase, policy);
        rotations.extend(intents().iter().filter_map(|intent| in_doubt(&settled, intent)));
        let writes = intents().into_iter().filter(|intent| matches!(intent, Intent::WriteSink { .. }));
        rotations.extend(writes.filter_map(|intent| in_doubt(&followed(&settled, sink(None, None)), &intent)));
        rotations.push(settled);
    }
    rotations
}

/// Puts something on record.
pub(super) type Record = fn(&mut Rotation);

fn say(rotation: &mut Rotation, asked: OperatorRequest) {
    *rotation = apply(rotation, &Event::Asked(asked)).expect("an operator may ask for anything");
}

/// What else may be on record, one thing at a time.
pub(super) fn records() -> Vec<(&'static str, Record)> {
    fn change_made(rotation: &mut Rotation, change: fn(&mut NewKeyState)) {
        match &mut rotation.state {
            State::Settled { phase: Phase::CreatedNew { made } | Phase::StoredNew { made, .. } } => change(made),
            State::Settled { phase: Phase::Opened | Phase::DeactivatedOld { .. } }
            | State::InDoubt { .. }
            | State::Blocked { .. }
            | State::Closed { .. } => {}
        }
    }
    fn follow(rotation: &mut Rotation, state: SinkState) {
        if let State::Settled { phase: Phase::StoredNew { .. } } = &rotation.state {
            *rotation = followed(rotation, state);
        }
    }
    fn follow_and_abort(rotation: &mut Rotation, state: SinkState) {
        follow(rotation, state);
        say(rotation, OperatorRequest::Abort);
    }
    vec![
        ("nothing", |_| {}),
        ("abort asked", |rotation| say(rotation, OperatorRequest::Abort)),
        ("reactivation asked", |rotation| say(rotation, OperatorRequest::ReactivateOld)),
        ("reactivated by an operator", |rotation| rotation.reactivated = true),
        ("a lost delete of the old key", |rotation| rotation.old_delete_may_land = true),
        ("abort asked after a lost delete of the old key", |rotation| {
            rotation.old_delete_may_land = true;
            say(rotation, OperatorRequest::Abort);
        }),
        ("a lost delete of the new key", |rotation| change_made(rotation, |made| made.discard_may_land = true)),
        ("a lost write of the new pair", |rotation| change_made(rotation, |made| made.write_may_land = true)),
        ("a lost write of the old pair", |rotation| change_made(rotation, |made| made.old_may_land = true)),
        ("old key named", |rotation| say(rotation, OperatorRequest::DeleteKey { key: key(OLD) })),
        ("new key named", |rotation| say(rotation, OperatorRequest::DeleteKey { key: key(NEW) })),
        ("stranger named", |rotation| say(rotation, OperatorRequest::DeleteKey { key: key(STRANGER) })),
        ("new key kept", |rotation| say(rotation, OperatorRequest::KeepKey { key: key(NEW) })),
        ("stranger kept", |rotation| say(rotation, OperatorRequest::KeepKey { key: key(STRANGER) })),
        ("five creates", |rotation| rotation.creates = 5),
        ("three refused writes", |rotation| rotation.refused_writes = 3),
        ("two denied writes", |rotation| rotation.denied_writes = 2),
        ("two writes that met a lock", |rotation| {
            rotation.denied_writes = 2;
            rotation.locked_out = true;
        }),
        ("no new key for want of a right", |rotation| {
            rotation.withheld = Some(denied(Operation::WriteStore));
            rotation.keys_withheld = 1;
        }),
        ("no delete of the old key allowed", |rotation| {
            rotation.denied = Some(denied(Operation::DeleteAccessKey));
        }),
        ("the user given up", |rotation| rotation.user_given_up = true),
        ("a rewrite whose end was not heard", |rotation| rotation.probe = Some(Probe::Lost)),
        ("a watched create", |rotation| {
            rotation.lost_creates = vec![LostCreate {
                listed: BTreeSet::from([key(OLD)]),
                asked_at: at(ASKED_AT),
                give_up_at: at(TIMED_OUT_AT),
            }];
        }),
        ("a sink that has nothing yet", |rotation| follow(rotation, sink(None, None))),
        ("a sink that has the new pair", |rotation| follow(rotation, sink(Some(NEW), None))),
        ("a lost write of the new pair to a sink", |rotation| follow(rotation, sink(None, Some(NEW)))),
        ("a lost write of the old pair to a sink", |rotation| follow(rotation, sink(Some(OLD), Some(OLD)))),
        ("a sink that is not waited for", |rotation| {
            follow(rotation, SinkState { left: true, ..sink(None, Some(NEW)) });
        }),
        ("a sink that is not waited for since then", |rotation| {
            follow(rotation, SinkState { left: true, left_at: Some(at(STORED_AT + 1)), ..sink(None, Some(NEW)) });
        }),
        ("abort asked, and a sink untouched", |rotation| follow_and_abort(rotation, sink(None, None))),
        ("abort asked, and a sink has the new pair", |rotation| follow_and_abort(rotation, sink(Some(NEW), None))),
        ("abort asked after a lost write to a sink", |rotation| follow_and_abort(rotation, sink(None, Some(NEW)))),
        ("abort asked, and a sink has the old pair again", |rotation| {
            follow_and_abort(rotation, sink(Some(OLD), Some(NEW)));
        }),
    ]
}
