//! No command is suggested that needs room for a third key of a user.

use std::collections::{BTreeMap, BTreeSet};

use super::skipped::SkippedShown;
use crate::discovery::SkipReason;
use crate::types::name::{AccessKeyId, AccountId, UserName};

/// Replaces the advice to rotate a key all the same, where its user has another key beside it.
pub(super) fn without_room<'d>(
    due: impl IntoIterator<Item = (&'d AccountId, &'d UserName, &'d AccessKeyId)>,
    skipped: &mut [SkippedShown],
) {
    type Keys = BTreeMap<(AccountId, UserName), BTreeSet<AccessKeyId>>;
    let mut keys = Keys::new();
    for (account, user, key) in due {
        keys.entry((account.clone(), user.clone())).or_default().insert(key.clone());
    }
    for note in &*skipped {
        if let (Some(confirmed), Some(key)) = (&note.confirmed, &note.key_id) {
            let whose = (confirmed.account.clone(), confirmed.user.clone());
            keys.entry(whose).or_default().insert(key.clone());
        }
    }
    for note in skipped.iter_mut().filter(|note| note.reason == SkipReason::RecentlyRotated.name()) {
        let (Some(confirmed), Some(key)) = (&note.confirmed, &note.key_id) else { continue };
        let all = keys.get(&(confirmed.account.clone(), confirmed.user.clone()));
        let other = all.and_then(|all| all.iter().find(|other| *other != key));
        if let (Some(other), Some((why, _))) = (other, note.message.split_once("; `rotator rotate ")) {
            let user = &confirmed.user;
            note.message =
                format!("{why}; {user} has two keys, and IAM allows no third: decide about {other} first, see there");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::document::ConfirmedShown;
    use crate::types::time::Timestamp;

    fn note(reason: SkipReason, key: &str, message: &str) -> SkippedShown {
        let confirmed = ConfirmedShown {
            account: AccountId::new("123456789012").expect("valid"),
            user: UserName::new("alice").expect("valid"),
            created: Timestamp::from_unix_seconds(0),
            due_at: None,
            last_used: None,
        };
        SkippedShown {
            key_id: Some(AccessKeyId::new(key).expect("valid")),
            places: Vec::new(),
            confirmed: Some(confirmed),
            reason: reason.name().to_owned(),
            message: message.to_owned(),
            needs_operator: false,
            docs: None,
            rule: None,
        }
    }

    #[test]
    fn no_rotation_is_suggested_where_iam_has_no_room_for_its_key() {
        let (new, other) = ("AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE");
        let made = "rotator made it; `rotator rotate alice` does";
        let mut alone = [note(SkipReason::RecentlyRotated, new, made)];
        without_room([], &mut alone);
        assert_eq!(alone[0].message, made);
        let two =
            [note(SkipReason::RecentlyRotated, new, made), note(SkipReason::SecondActiveKey, other, "it is there")];
        let mut two = two;
        without_room([], &mut two);
        let [made, second] = two.map(|note| note.message);
        assert!(made.starts_with("rotator made it; alice has two keys") && made.contains(other), "{made}");
        assert!(!made.contains("rotator rotate") && second == "it is there", "{made}");
    }
}
