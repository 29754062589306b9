//! What a batch holds, and in which order. The writing itself is the simulation's (`tests/it/sim`).

use super::*;
use crate::rotation::denied::Denied;
use crate::rotation::event::{OldPair, Opened};
use crate::rotation::policy::Policy;
use crate::types::name::{AccountId, CampaignId, RotationId, StoreIdentity, UserName};
use crate::types::place::{FieldRef, Location};

fn store() -> StoreName {
    StoreName::new("sqlite:store.db").expect("valid")
}

fn entry(name: &str) -> EntryName {
    EntryName::new(name).expect("valid")
}

/// A pair in two entries, whose names sort the id's first.
fn place(id: &str, secret: &str) -> Place {
    let spot = |name| FieldRef { entry: entry(name), location: Location::WholeValue };
    Place { store: store(), id: spot(id), secret: spot(secret) }
}

fn rotation(places: Vec<Place>) -> Rotation {
    let opened = Opened {
        campaign: CampaignId::from_uuid(uuid::Uuid::from_u128(1)),
        account: AccountId::new("123456789012").expect("valid"),
        user: UserName::new("app/prod").expect("valid"),
        old_key: AccessKeyId::new("AKIAOLDOLDOLDOLDOLD0").expect("valid"),
        old_key_created: Timestamp::from_unix_seconds(0),
        old_pair: OldPair::default(),
        old_secret: None,
        places,
        stores: BTreeMap::from([(store(), StoreIdentity::new("one").expect("valid"))]),
        sinks: Vec::new(),
        may_turn_inactive: BTreeSet::new(),
        policy: Policy::default(),
    };
    Rotation::open(RotationId::from_uuid(uuid::Uuid::from_u128(2)), opened)
}

fn readings(shows: &[PlaceContent], values: &[(&str, &str)]) -> Readings {
    let value = |(name, value): &(&str, &str)| {
        (entry(name), (Version("1".to_owned()), SecretValue::new(value.as_bytes().to_vec())))
    };
    let entries = values.iter().map(value).collect();
    Readings { stores: BTreeMap::from([(store(), entries)]), shows: shows.to_vec(), ..Readings::default() }
}

fn written(batches: &Batches) -> Vec<(String, Vec<u8>)> {
    let writes = batches.values().flatten();
    writes.map(|write| (write.entry.to_string(), write.value.expose().to_vec())).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    expected.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
}

#[test]
fn half_of_a_new_pair_is_kept_as_no_old_value() {
    let rotation = rotation(vec![place("a/p/ID", "a/p/SECRET"), place("b/p/ID", "b/p/SECRET")]);
    let values = [("a/p/ID", "old"), ("a/p/SECRET", "new"), ("b/p/ID", "old"), ("b/p/SECRET", "old")];
    let torn = readings(&[PlaceContent::Torn, PlaceContent::Old], &values);
    let mut kept = OldValues::new();
    keep_old(&rotation, &torn, &mut kept);
    let names: Vec<String> = kept.keys().map(|(_, entry)| entry.to_string()).collect();
    assert_eq!(names, ["b/p/ID", "b/p/SECRET"]);
    assert!(!can_put_back(&rotation, &torn, &kept), "there is no way back for the torn one");
}

#[test]
fn the_fence_replaces_also_what_somebody_else_has_half_written() {
    let rotation = rotation(vec![place("a/p/ID", "a/p/SECRET")]);
    let values = [("a/p/ID", "old"), ("a/p/SECRET", "another writer's")];
    for shows in [PlaceContent::Old, PlaceContent::New, PlaceContent::Torn, PlaceContent::IdOnly, PlaceContent::Foreign]
    {
        let fence = fence(&rotation, &readings(&[shows], &values));
        assert_eq!(written(&fence), pairs(&values), "a late write of the id is refused: {shows:?}");
    }
    assert!(fence(&rotation, &readings(&[PlaceContent::Unreadable], &values)).is_empty());
}

const OLD: &str = "AKIAOLDOLDOLDOLDOLD0";
const NEW: &str = "AKIANEWNEWNEWNEWNEW0";

#[test]
fn the_id_goes_back_first_whatever_the_names() {
    for (id, secret) in [("a/p/ID", "a/p/SECRET"), ("a/p/Z_ID", "a/p/SECRET")] {
        let rotation = rotation(vec![place(id, secret)]);
        let values = [(id, OLD), (secret, "old/secret")];
        let mut kept = OldValues::new();
        keep_old(&rotation, &readings(&[PlaceContent::Old], &values), &mut kept);
        let back = old_pair(&rotation, &readings(&[PlaceContent::New], &[(id, NEW), (secret, "new/secret")]), &kept);
        assert_eq!(written(&back), pairs(&values));
    }
}

/// Half of a pair is written, and writes of the id are refused while writes of the secret are not: the old secret is
/// still written back.
#[test]
fn where_a_write_was_refused_only_what_changes_goes_back() {
    let mut rotation = rotation(vec![place("a/p/ID", "a/p/SECRET")]);
    let before = [("a/p/ID", OLD), ("a/p/SECRET", "old/secret")];
    let mut kept = OldValues::new();
    keep_old(&rotation, &readings(&[PlaceContent::Old], &before), &mut kept);
    let torn = readings(&[PlaceContent::Torn], &[("a/p/ID", OLD), ("a/p/SECRET", "new/secret")]);
    assert_eq!(written(&old_pair(&rotation, &torn, &kept)), pairs(&before), "a late write of the id is refused");
    rotation.refused = Some(Denied::of_write(&rotation, "no"));
    assert_eq!(written(&old_pair(&rotation, &torn, &kept)), pairs(&[("a/p/SECRET", "old/secret")]));
}

/// Another user's pair in the same document, rotated meanwhile, stays as it is.
#[test]
fn of_a_document_only_the_pair_goes_back() {
    let at = |pointer: &str| FieldRef {
        entry: entry("a/p/config.json"),
        location: Location::Json { pointer: pointer.to_owned() },
    };
    let ours = Place { store: store(), id: at("/ours/id"), secret: at("/ours/secret") };
    let document = |ours: &str, theirs: &str| {
        format!("{{\"ours\": {{\"id\": \"{ours}\", \"secret\": \"{ours}/x\"}}, \"theirs\": \"{theirs}\"}}")
    };
    let rotation = rotation(vec![ours]);
    let mut kept = OldValues::new();
    let before = document(OLD, "their old key");
    keep_old(&rotation, &readings(&[PlaceContent::Old], &[("a/p/config.json", &before)]), &mut kept);
    let now = document(NEW, "their new key");
    let back = old_pair(&rotation, &readings(&[PlaceContent::New], &[("a/p/config.json", &now)]), &kept);
    assert_eq!(written(&back), pairs(&[("a/p/config.json", &document(OLD, "their new key"))]));
}

#[test]
fn beside_the_old_secret_the_old_id_goes_back_without_anything_in_memory() {
    let rotation = rotation(vec![place("a/p/ID", "a/p/SECRET")]);
    let half = readings(&[PlaceContent::IdOnly], &[("a/p/ID", "AKIANEWNEWNEWNEWNEW0\n"), ("a/p/SECRET", "old/secret")]);
    assert!(can_put_back(&rotation, &half, &OldValues::new()));
    let back = old_pair(&rotation, &half, &OldValues::new());
    assert_eq!(written(&back), pairs(&[("a/p/ID", "AKIAOLDOLDOLDOLDOLD0\n")]));
}
