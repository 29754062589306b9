//! The document, field by field.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::gathered::Gathered;
use super::*;
use crate::cli::snapshot::Snapshot;
use crate::discovery::SkipReason;
use crate::journal::campaign::{Campaign, CampaignNotes};
use crate::journal::overview::CampaignCounts;
use crate::rotation::block_reason::BlockReason;
use crate::rotation::event::{Ending, OldPair, Opened};
use crate::rotation::intent::Intent;
use crate::rotation::policy::Policy;
use crate::rotation::state::{NewKeyState, Phase, Provenance};
use crate::types::name::{EntryName, StoreIdentity, StoreName};
use crate::types::place::{FieldRef, Location, Place};

const CAMPAIGN: CampaignId = CampaignId::from_uuid(Uuid::from_u128(1));

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_700_000_000 + seconds)
}

fn key(text: &str) -> AccessKeyId {
    AccessKeyId::new(text).expect("valid")
}

fn summary(number: u128, state: State) -> Summary {
    let store = StoreName::new("sqlite:/s.db").expect("valid");
    let spot = |name: &str| FieldRef { entry: EntryName::new(name).expect("valid"), location: Location::WholeValue };
    let opened = Opened {
        campaign: CAMPAIGN,
        account: AccountId::new("123456789012").expect("valid"),
        user: UserName::new("app1/production").expect("valid"),
        old_key: key("AKIAOLDOLDOLDOLDOLDO"),
        old_key_created: at(-100),
        old_pair: OldPair::default(),
        old_secret: None,
        places: vec![Place {
            store: store.clone(),
            id: spot("app1/production/ID"),
            secret: spot("app1/production/SECRET"),
        }],
        stores: BTreeMap::from([(store, StoreIdentity::new("s").expect("valid"))]),
        sinks: Vec::new(),
        may_turn_inactive: BTreeSet::new(),
        policy: Policy::default(),
    };
    let mut rotation = Rotation::open(RotationId::from_uuid(Uuid::from_u128(number)), opened);
    rotation.state = state;
    Summary { rotation, seq: 1, opened_at: at(0), updated_at: at(1) }
}

/// What the test below makes.
const EXPECTED: &str = r#"{
  "version": 1,
  "campaign": "00000000-0000-0000-0000-000000000001",
  "rotations": [
    {
      "id": "00000000-0000-0000-0000-000000000010",
      "account": "123456789012",
      "user": "app1/production",
      "old_key_id": "AKIAOLDOLDOLDOLDOLDO",
      "new_key_id": "AKIANEWNEWNEWNEWNEWN",
      "state": "opened",
      "in_doubt": "store-new",
      "blocked": {
        "reason": "spare-key",
        "message": "MESSAGE",
        "command": "rotator resolve 00000000-0000-0000-0000-000000000010 --delete-key AKIASPARESPARESPARES",
        "docs": "docs/operations.md#blocked-spare-key"
      },
      "waiting_until": null,
      "attempts": 2,
      "last_error": "why",
      "places": [
        {
          "store": "sqlite:/s.db",
          "entry": "app1/production/ID",
          "location": "whole value"
        },
        {
          "store": "sqlite:/s.db",
          "entry": "app1/production/SECRET",
          "location": "whole value"
        }
      ],
      "opened_at": "2023-11-14T22:13:20Z",
      "updated_at": "2023-11-14T22:13:21Z"
    }
  ],
  "skipped": [
    {
      "key_id": null,
      "places": [
        {
          "store": "s",
          "entry": "a/b/c",
          "location": "whole value"
        }
      ],
      "reason": "two-keys",
      "message": "m",
      "needs_operator": true,
      "docs": "docs/operations.md#skipped-two-keys"
    }
  ],
  "counts": {
    "in_flight": 1,
    "waiting": 0,
    "blocked": 1,
    "done": 0,
    "aborted": 0,
    "gone": 0,
    "needs_operator": 2
  }
}
"#;

/// Programs read this: a change here must be an addition, in the manual too.
#[test]
fn the_document_is_what_programs_rely_on() {
    let spare = BlockReason::SpareKey { key: key("AKIASPARESPARESPARES"), described: "inactive".to_owned() };
    let mut blocked =
        summary(16, State::Blocked { phase: Phase::Opened, intent: Some(Intent::StoreNew), reason: spare });
    blocked.rotation.last_error = Some("why".to_owned());
    blocked.rotation.new_key = Some(key("AKIANEWNEWNEWNEWNEWN"));
    blocked.rotation.attempts = 2;
    let note = LeftAloneNote {
        key_id: None,
        places: vec![PlaceNote {
            store: "s".to_owned(),
            entry: "a/b/c".to_owned(),
            location: "whole value".to_owned(),
        }],
        reason: SkipReason::TwoKeys.into(),
        message: "m".to_owned(),
        due: true,
        whose: None,
        detail: None,
    };
    let shown = Gathered::new(Some(CAMPAIGN)).with([&blocked]);
    let document = Document::new(Some(CAMPAIGN), shown.rotations, shown.counts, &[note], 2);
    let message = document.rotations[0].blocked.as_ref().expect("blocked").message.clone();
    let text = String::from_utf8(to_bytes(&document)).expect("text").replace(&message, "MESSAGE");
    assert_eq!(text, EXPECTED);
}

#[test]
fn each_rotation_counts_once_and_in_one_kind() {
    let open = |number| summary(number, State::Settled { phase: Phase::Opened });
    let mut waiting = open(2);
    waiting.rotation.waiting_until = Some(at(60));
    let closed = |number, ending| summary(number, State::Closed { ending });
    let blocked =
        summary(7, State::Blocked { phase: Phase::Opened, intent: None, reason: BlockReason::TooManyCreates });
    let mut elsewhere = closed(4, Ending::Gone);
    elsewhere.rotation.opened.campaign = CampaignId::from_uuid(Uuid::from_u128(99));
    let of_campaign = [closed(3, Ending::DeletedOld), closed(5, Ending::Aborted), closed(6, Ending::DeletedOld)];
    let notes = CampaignNotes::default();
    let campaign = Campaign { id: CAMPAIGN, began_at: at(0), closed: true, notes };
    let snapshot = Snapshot {
        counts: CampaignCounts::of(&campaign, &of_campaign),
        campaign: Some(campaign),
        open: vec![open(1), waiting.clone(), blocked],
    };
    let shown = snapshot.gathered().with([&open(1), &waiting, &of_campaign[0], &elsewhere]);
    let own = Counts { in_flight: 2, waiting: 1, done: 1, gone: 1, ..Counts::default() };
    assert_eq!(shown.counts, own);
    let document = snapshot.document(shown);
    assert_eq!(
        document.counts,
        Counts { in_flight: 3, waiting: 1, blocked: 1, done: 2, aborted: 1, gone: 1, needs_operator: 1, unused: 0 }
    );
    assert_eq!(document.rotations.len(), 4);
    assert_eq!(document.rotations[1].waiting_until, Some(at(60)));
}

#[test]
fn a_wait_is_no_error() {
    let shown = |until: Option<Timestamp>, state, why: &str| {
        let mut summary = summary(1, state);
        summary.rotation.waiting_until = until;
        summary.rotation.last_error = Some(why.to_owned());
        let shown = RotationShown::of(&summary);
        (shown.waiting_for, shown.last_error)
    };
    let text = |text: &str| Some(text.to_owned());
    let open = || State::Settled { phase: Phase::Opened };
    let blocked = || State::Blocked { phase: Phase::Opened, intent: None, reason: BlockReason::TooManyCreates };
    assert_eq!(shown(Some(at(60)), open(), "the overlap"), (text("the overlap"), None));
    assert_eq!(shown(None, open(), "AWS did not answer"), (None, text("AWS did not answer")));
    assert_eq!(shown(None, blocked(), "AWS did not answer"), (None, text("AWS did not answer")));
    let closed = State::Closed { ending: Ending::Aborted };
    assert_eq!(shown(None, closed, "an operator asked for it"), (None, text("an operator asked for it")));
}

#[test]
fn a_closed_rotation_waits_for_nothing() {
    let mut closed = summary(1, State::Closed { ending: Ending::Aborted });
    closed.rotation.waiting_until = Some(at(60));
    assert_eq!(Gathered::default().with([&closed]).rotations[0].waiting_until, None);
}

/// A closed rotation has done or refused what was asked of it.
#[test]
fn what_an_operator_asked_for_is_shown_until_it_is_done() {
    let [old, other] = ["AKIAOLDOLDOLDOLDOLDO", "AKIAEXTRAEXTRAEXTRA0"].map(key);
    let asked = |state| {
        let mut summary = summary(1, state);
        (summary.rotation.abort_asked, summary.rotation.reactivate_asked) = (true, true);
        summary.rotation.named = BTreeSet::from([other.clone()]);
        RotationShown::of(&summary).requests
    };
    let shown = |request, key_id: Option<&AccessKeyId>| RequestShown { request, key_id: key_id.cloned() };
    let (abort, delete) = (|| shown("abort", None), || shown("delete-key", Some(&other)));
    assert_eq!(asked(State::Settled { phase: Phase::Opened }), [abort(), delete()]);
    let made = NewKeyState::new(key("AKIANEWNEWNEWNEWNEW0"), Provenance::Inferred);
    let off = Phase::DeactivatedOld { made, stored_at: at(0), deactivated_at: at(1) };
    assert_eq!(asked(State::Settled { phase: off }), [abort(), shown("reactivate", Some(&old)), delete()]);
    assert_eq!(asked(State::Closed { ending: Ending::Aborted }), []);
}
