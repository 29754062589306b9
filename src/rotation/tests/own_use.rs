//! Which uses of a key are rotator's own proofs.

use super::*;
use crate::rotation::event::UsedBefore;
use crate::rotation::observed::KeyUse;
use crate::rotation::own_use::OwnUses;

fn used(second: i64, service: &str) -> UsedBefore {
    UsedBefore::Last(KeyUse { at: at(second), service: Some(service.to_owned()), region: None })
}

/// A rotation that tried the key at this second, when IAM reported this use.
fn tried(second: i64, last_used: Option<UsedBefore>) -> Rotation {
    let mut rotation = Rotation::open(id(), opened(Policy::default()));
    rotation.opened.old_pair = OldPair { user_id: None, last_used, proofs: vec![at(second)] };
    rotation
}

fn uses(of: &str, rotations: &[(Rotation, i64, i64)]) -> OwnUses {
    let mut uses = OwnUses::default();
    for (rotation, began, ended) in rotations {
        uses.take(&key(of), rotation, at(*began), at(*ended));
    }
    uses
}

#[test]
fn a_proof_of_the_old_pair_is_no_use_and_the_use_before_it_counts() {
    let before = |last_used| uses(OLD, &[(tried(1000, last_used), 1000, 1010)]);
    let of_s3 = before(Some(used(10, "s3")));
    assert_eq!(of_s3.last_use_by_others(used(1020, "sts")), Some(used(10, "s3")));
    assert_eq!(of_s3.last_use_by_others(used(1020, "s3")), Some(used(1020, "s3")), "no proof calls S3");
    assert_eq!(of_s3.last_use_by_others(used(5000, "sts")), Some(used(5000, "sts")), "no proof was made then");
    assert_eq!(of_s3.last_use_by_others(UsedBefore::Never), Some(UsedBefore::Never));
    let never = before(Some(UsedBefore::Never));
    assert_eq!(never.last_use_by_others(used(1000, "sts")), Some(UsedBefore::Never));
    assert_eq!(before(None).last_use_by_others(used(1000, "sts")), None, "the use before is not on record");
    assert_eq!(before(None).last_use_by_others(used(5000, "sts")), Some(used(5000, "sts")));
}

#[test]
fn the_use_before_a_second_proof_may_be_the_first_proof() {
    let first = (tried(1000, Some(used(10, "s3"))), 1000, 1010);
    let second = (tried(9000, Some(used(1000, "sts"))), 9000, 9010);
    assert_eq!(uses(OLD, &[first, second]).last_use_by_others(used(9000, "sts")), Some(used(10, "s3")));
}

#[test]
fn a_key_that_rotator_made_was_not_used_if_only_its_own_rotation_called_sts() {
    let mut rotation = tried(1000, Some(used(10, "s3")));
    rotation.new_key = Some(key(NEW));
    let made = uses(NEW, &[(rotation, 1000, 9000)]);
    assert_eq!(made.last_use_by_others(used(9030, "sts")), Some(UsedBefore::Never));
    assert_eq!(made.last_use_by_others(used(1000, "sts")), Some(UsedBefore::Never));
    assert_eq!(made.last_use_by_others(used(9030, "s3")), Some(used(9030, "s3")));
    assert_eq!(made.last_use_by_others(used(9100, "sts")), Some(used(9100, "sts")));
    // The proofs of the old key say nothing about the new one.
    assert_eq!(uses(NEW, &[(tried(1000, None), 0, 1)]).last_use_by_others(used(1000, "sts")), Some(used(1000, "sts")));
}
