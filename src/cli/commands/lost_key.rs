//! What becomes of the new key of a rotation that has not stored it: its secret is lost, unless a place holds it already.

use crate::rotation::intent::Intent;
use crate::rotation::record::Rotation;
use crate::rotation::state::{NewKeyState, Phase, Provenance};

/// Says it, if the new key is not stored in every place and no process works on the rotation. `is_given_up`: no other key
/// is made.
pub(super) fn what_becomes_of_it(rotation: &Rotation, is_given_up: bool) -> Option<String> {
    let made = match rotation.state.phase()? {
        Phase::CreatedNew { made } => made,
        Phase::Opened | Phase::StoredNew { .. } | Phase::DeactivatedOld { .. } => return None,
    };
    let is_written = matches!(rotation.state.intent(), Some(Intent::StoreNew | Intent::RestoreOld));
    Some(of(made, made.write_may_land || is_written, is_given_up))
}

fn of(NewKeyState { key, provenance, .. }: &NewKeyState, may_be_stored: bool, is_given_up: bool) -> String {
    let another = if is_given_up { "" } else { ", and makes another one" };
    match provenance {
        Provenance::Inferred => format!(
            "the new key {key} bears the marks of this rotation, and its secret is lost: unless another program uses it, the \
             rotation deletes it{another}"
        ),
        Provenance::Acknowledged { .. } if may_be_stored => format!(
            "if a place holds the new key {key}, the rotation stores it in every place; if no place does, its secret is lost, \
             and the rotation deletes it{another}"
        ),
        Provenance::Acknowledged { .. } => {
            format!("the secret of the new key {key} is lost: the rotation deletes that key{another}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::name::AccessKeyId;
    use crate::types::secret::Fingerprint;

    #[test]
    fn only_a_key_that_a_place_may_hold_may_stay() {
        let key = AccessKeyId::new("AKIAABCDEFGHIJKLMNOP").expect("valid");
        let fingerprint: Fingerprint = serde_json::from_value("0".repeat(64).into()).expect("valid");
        let made = NewKeyState::new(key, Provenance::Acknowledged { fingerprint });
        assert!(of(&made, true, false).starts_with("if a place holds the new key"));
        for made in [NewKeyState { provenance: Provenance::Inferred, ..made.clone() }, made] {
            let said = of(&made, false, false);
            assert!(
                said.contains("lost") && said.contains("and makes another one") && !said.contains("stays"),
                "{said}"
            );
            assert!(!of(&made, false, true).contains("another one"));
        }
    }
}
