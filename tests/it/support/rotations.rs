//! Realistic rotations and their journal lines.

use std::collections::{BTreeMap, BTreeSet};

use rotator::journal::line::Line;
use rotator::rotation::apply::apply;
use rotator::rotation::block_reason::BlockReason;
use rotator::rotation::event::{Event, NotDone, OldPair, Opened, Outcome};
use rotator::rotation::intent::Intent;
use rotator::rotation::policy::Policy;
use rotator::rotation::record::Rotation;
use rotator::types::name::{
    AccessKeyId, AccountId, CampaignId, EntryName, RotationId, StoreIdentity, StoreName, UserName,
};
use rotator::types::place::{FieldRef, Location, Place};
use rotator::types::secret::SecretKey;
use rotator::types::time::Timestamp;

/// A rotation id; the same for the same number.
pub(crate) fn rotation_id(number: u128) -> RotationId {
    RotationId::from_uuid(uuid::Uuid::from_u128(number))
}

/// A campaign id; the same for the same number.
pub(crate) fn campaign_id(number: u128) -> CampaignId {
    CampaignId::from_uuid(uuid::Uuid::from_u128(number))
}

/// A key id; the same for the same number.
pub(crate) fn key_id(number: u64) -> AccessKeyId {
    AccessKeyId::new(format!("AKIA{number:016}")).expect("valid")
}

/// A moment to the nanosecond, as the local clock has it.
pub(crate) fn moment(second: u64) -> Timestamp {
    Timestamp::from_unix_seconds(1_700_000_000).plus(std::time::Duration::new(second, 123_456_789))
}

/// A frozen plan, with letters in it that JSON and SQL mind.
pub(crate) fn opened(campaign: CampaignId, number: u64) -> Opened {
    let store = StoreName::new("sqlite:/srv/it's \"here\".db").expect("valid");
    let spot = |name: &str| FieldRef {
        entry: EntryName::new(format!("app{number}/prod'uction/{name}")).expect("valid"),
        location: Location::WholeValue,
    };
    let place = Place { store: store.clone(), id: spot("AWS_ACCESS_KEY_ID"), secret: spot("AWS_SECRET_ACCESS_KEY") };
    Opened {
        campaign,
        account: AccountId::new("123456789012").expect("valid"),
        user: UserName::new(format!("app{number}/prödüction")).expect("valid"),
        old_key: key_id(number),
        old_secret: None,
        old_key_created: Timestamp::from_unix_seconds(1_600_000_000),
        old_pair: OldPair::default(),
        places: vec![place],
        stores: BTreeMap::from([(store, StoreIdentity::new("identity").expect("valid"))]),
        sinks: Vec::new(),
        may_turn_inactive: BTreeSet::new(),
        policy: Policy::default(),
    }
}

/// A rotation that grows line by line; [`Self::next`] gives what a journal is to append.
pub(crate) struct Story {
    pub(crate) rotation: Rotation,
    seq: u64,
    opened: bool,
}

impl Story {
    /// Begins one.
    pub(crate) fn new(id: RotationId, campaign: CampaignId, number: u64) -> Self {
        Self { rotation: Rotation::open(id, opened(campaign, number)), seq: 0, opened: false }
    }

    /// The first line.
    pub(crate) fn open(&mut self) -> (Line, Rotation) {
        assert!(!std::mem::replace(&mut self.opened, true), "it is open already");
        let event = Event::Opened(Box::new(self.rotation.opened.clone()));
        (self.line(event), self.rotation.clone())
    }

    /// The next line.
    pub(crate) fn next(&mut self, event: Event) -> (Line, Rotation) {
        self.rotation = apply(&self.rotation, &event).expect("a legal event");
        (self.line(event), self.rotation.clone())
    }

    fn line(&mut self, event: Event) -> Line {
        self.seq += 1;
        Line { rotation: self.rotation.id, seq: self.seq, at: moment(self.seq), event }
    }

    /// Every line after the first of a rotation that loses a reply, is blocked once, and then ends.
    pub(crate) fn finish(&mut self, new_key: u64) -> Vec<(Line, Rotation)> {
        let at = moment(60);
        let key = key_id(new_key);
        let fingerprint = SecretKey::new("s".repeat(40)).fingerprint(self.rotation.id).expect("it is like AWS's");
        let create = Intent::CreateNew {
            listed: BTreeSet::from([self.rotation.opened.old_key.clone()]),
            asked_at: moment(1),
            give_up_at: moment(31),
        };
        let spare = BlockReason::SpareKey { key: key_id(99), described: "active".to_owned() };
        let events = [
            Event::Blocked(spare),
            Event::Unblocked,
            Event::Intended(create.clone()),
            Event::Deferred { why: "no answer".to_owned(), until: Some(at) },
            Event::NotDone(NotDone::Seen),
            Event::Intended(create),
            Event::Done(Outcome::Created { key, fingerprint, at }),
            Event::Intended(Intent::StoreNew),
            Event::Done(Outcome::Stored { at }),
            Event::Intended(Intent::DeleteOld),
            Event::Done(Outcome::OldDeleted),
        ];
        events.into_iter().map(|event| self.next(event)).collect()
    }
}
