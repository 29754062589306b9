//! A second active key of a user that no entry of any store names. A rotation whose journal was lost leaves such a key,
//! and it prevents the next rotation of the user.

use std::collections::{BTreeMap, BTreeSet};

use super::choice::Choice;
use super::found::{ConfirmedKey, Taken};
use super::ownership::Confirmed;
use super::unused;
use crate::discovery::SkipReason;
use crate::engine::accounts::Account;
use crate::engine::session::Session;
use crate::journal::campaign::{LeftAloneNote, NoteDetail, OtherKey};
use crate::rotation::event::UsedBefore;
use crate::rotation::observed::{KeySeen, KeyStatus};
use crate::types::name::{AccessKeyId, AccountId, UserName};
use crate::types::shell::quoted;

/// Returns a note for each such key of the users whose keys were `listed`, and what IAM said about it. `found`: the keys that the stores hold.
pub(super) async fn notes(
    session: &Session,
    choice: &Choice,
    taken: &Taken,
    listed: &[Confirmed],
    found: &BTreeSet<AccessKeyId>,
) -> Vec<(LeftAloneNote, ConfirmedKey)> {
    let mut notes = Vec::new();
    for (id, (account, user, key)) in second_keys(taken, listed, found) {
        if session.signs_with(&id) || choice.excludes_id(&id, session.aws_now()) {
            continue;
        }
        // Discovery knows fewer forms than the search for a key id. If that search fails, the key is not reported.
        let is_unnamed = |named: Vec<String>| named.is_empty();
        let seen = session.scans.naming(&session.scan_context(), &id, session.clock.monotonic()).await;
        if seen.is_ok_and(|(mut seen, _)| is_unnamed(seen.named.remove(&id).unwrap_or_default())) {
            let other = OtherKey::of(session.accounts.of(&account), taken, &user, &key).await;
            let note = note((account.clone(), user.clone()), other);
            notes.push((note, ConfirmedKey { account, user, created: key.created, due_at: None, last_use: None }));
        }
    }
    notes
}

/// Finds the second keys that no store is known to hold, by id: one for each user.
fn second_keys(
    taken: &Taken,
    listed: &[Confirmed],
    found: &BTreeSet<AccessKeyId>,
) -> BTreeMap<AccessKeyId, (AccountId, UserName, KeySeen)> {
    let mut second = BTreeMap::new();
    for Confirmed { account, user, key: known, keys, .. } in listed {
        if known.status != KeyStatus::Active || taken.users.contains(&(account.clone(), user.clone())) {
            continue;
        }
        let unknown =
            keys.keys.iter().flatten().filter(|key| key.status == KeyStatus::Active && !found.contains(&key.id));
        second.extend(unknown.map(|key| (key.id.clone(), (account.clone(), user.clone(), key.clone()))));
    }
    second
}

impl OtherKey {
    /// Asks IAM when the key was last used. `account`: that of the user, if it can be asked.
    pub(super) async fn of(account: Option<&Account>, taken: &Taken, user: &UserName, key: &KeySeen) -> Self {
        let last_use = match account {
            Some(account) => unused::last_use(account, taken, (user, &key.id), None).await.ok(),
            None => None,
        };
        Self {
            id: key.id.clone(),
            status: key.status,
            created: key.created,
            last_use: last_use.and_then(|last_use| last_use.by_others),
            may_be_deactivated_by_rotator: false,
        }
    }

    /// Its status, age and last use.
    pub(super) fn described(&self) -> String {
        let used = match &self.last_use {
            Some(UsedBefore::Last(used)) => format!("last used {}", used.at),
            Some(UsedBefore::Never) => "never used".to_owned(),
            None => "last use unknown".to_owned(),
        };
        format!("{}, created {}, {used}", self.status.name(), self.created)
    }
}

fn note((account, user): (AccountId, UserName), other: OtherKey) -> LeftAloneNote {
    let message = format!(
        "user {user} has a second active key, {} ({}), which no entry of a store names, and IAM allows no third: {}",
        other.id,
        other.described(),
        advice(&user, &other)
    );
    LeftAloneNote {
        key_id: Some(other.id.clone()),
        places: Vec::new(),
        reason: SkipReason::SecondActiveKey.into(),
        message,
        due: true,
        whose: Some((account, user)),
        detail: Some(NoteDetail::OtherKey(other)),
    }
}

/// The command that sets the status of a key of this user.
#[must_use]
pub fn to_set(user: &UserName, key: &AccessKeyId, status: &str) -> String {
    let user = quoted(user.as_str());
    format!("aws iam update-access-key --user-name {user} --access-key-id {key} --status {status}")
}

/// The command that deletes a key of this user.
#[must_use]
pub fn to_delete(user: &UserName, key: &AccessKeyId) -> String {
    format!("aws iam delete-access-key --user-name {} --access-key-id {key}", quoted(user.as_str()))
}

/// What an operator may do about the other key of a user, which leaves no room for a new one.
pub(super) fn advice(user: &UserName, other: &OtherKey) -> String {
    let (word, id) = (quoted(user.as_str()), &other.id);
    let delete = format!("delete it ({})", to_delete(user, id));
    let retire = match other.status {
        KeyStatus::Active => {
            let deactivate = to_set(user, id, "Inactive");
            format!(
                "if nothing needs it, deactivate it ({deactivate}), and once nothing has failed without it for some days, {delete}"
            )
        }
        KeyStatus::Inactive | KeyStatus::Expired | KeyStatus::Other => {
            format!("once nothing has failed without it for some days, {delete}")
        }
    };
    format!(
        "{retire}; with `[policy] spare_key = \"delete-inactive\"` rotator deletes it once it is \
         inactive and the room is needed; if something needs it, that needs a user of its own, and --exclude {word} leaves \
         this one out until then; if rotator made one of the two keys and its journal was lost, `rotator resume --journal \
         FILE` with that journal continues"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::executor::fact_age::Span;
    use crate::rotation::observed::KeysSeen;
    use crate::types::shell::real::{HOSTILE, assert_says};
    use crate::types::time::Timestamp;

    fn key(letter: char, status: KeyStatus) -> KeySeen {
        let id = AccessKeyId::new(format!("AKIAABCDEFGHIJKLMNO{letter}")).expect("valid");
        KeySeen { id, status, created: Timestamp::from_unix_seconds(1_700_000_000) }
    }

    fn other(key: &KeySeen) -> OtherKey {
        let KeySeen { id, status, created } = key.clone();
        OtherKey { id, status, created, last_use: Some(UsedBefore::Never), may_be_deactivated_by_rotator: false }
    }

    #[test]
    fn the_commands_name_the_user_whatever_its_name() {
        let key = key('A', KeyStatus::Active);
        for name in HOSTILE {
            let user = UserName::new(name).expect("valid");
            let note = note((AccountId::new("123456789012").expect("valid"), user.clone()), other(&key));
            let words = |verb| ["aws", "iam", verb, "--user-name", name, "--access-key-id", key.id.as_str()];
            let inactive = [&words("update-access-key")[..], &["--status", "Inactive"]].concat();
            let (deactivate, delete) = note.message.split_once(", and once nothing has failed").expect("two commands");
            assert_says(deactivate, ")", &inactive);
            assert_says(delete, "); with `[policy]", &words("delete-access-key"));
            let inactive = KeySeen { status: KeyStatus::Inactive, ..key.clone() };
            let advice = advice(&user, &other(&inactive));
            assert!(!advice.contains("deactivate it"), "{advice}");
            assert!(advice.starts_with("once nothing has failed without it for some days, delete it"), "{advice}");
        }
    }

    #[test]
    fn only_an_active_key_that_no_store_holds_is_reported() {
        let now = Timestamp::from_unix_seconds(1_700_000_000);
        let (account, user) = (AccountId::new("123456789012").expect("valid"), UserName::new("u").expect("valid"));
        let stored = key('A', KeyStatus::Active);
        let confirmed = |other: KeySeen| {
            let keys = KeysSeen { at: now, keys: Some(vec![stored.clone(), other]) };
            let listed = Span { began: std::time::Duration::ZERO, ended: std::time::Duration::ZERO };
            vec![Confirmed {
                account: account.clone(),
                user: user.clone(),
                key: stored.clone(),
                keys,
                listed,
                reported_use: None,
                last_use: None,
            }]
        };
        let found = BTreeSet::from([stored.id.clone(), key('C', KeyStatus::Active).id]);
        let number = |taken: &Taken, other| second_keys(taken, &confirmed(other), &found).len();
        let nothing = Taken::default();
        assert_eq!(number(&nothing, key('B', KeyStatus::Active)), 1);
        assert_eq!(number(&nothing, key('B', KeyStatus::Inactive)), 0);
        assert_eq!(number(&nothing, key('C', KeyStatus::Active)), 0, "a store holds it");
        let in_flight = Taken { users: [(account.clone(), user.clone())].into(), ..Taken::default() };
        assert_eq!(number(&in_flight, key('B', KeyStatus::Active)), 0, "a rotation knows it");
    }
}
