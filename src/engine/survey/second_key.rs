//! A second active key of a user that no entry of any store names. A rotation whose journal was lost leaves such a key,
//! and it prevents the next rotation of the user.

use std::collections::{BTreeMap, BTreeSet};

use super::choice::Choice;
use super::found::{ConfirmedKey, Taken};
use super::ownership::Confirmed;
use crate::discovery::SkipReason;
use crate::engine::accounts::Account;
use crate::engine::rate_limit::Operation;
use crate::engine::session::Session;
use crate::journal::campaign::LeftAloneNote;
use crate::rotation::observed::{KeySeen, KeyStatus};
use crate::types::name::{AccessKeyId, AccountId, UserName};
use crate::types::shell::quoted;

const UNKNOWN_USE: &str = "last use unknown";

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
            let note = note(session, &account, &user, &key).await;
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

/// Asks IAM when the key was last used, and returns the answer as words of a message.
pub(super) async fn last_use(account: &Account, key: &AccessKeyId) -> String {
    let last_used = || account.ports.iam.last_used(key);
    match account.limiter.read(Operation::GetAccessKeyLastUsed, last_used).await {
        Ok(Some(used)) => used.used.map_or_else(|| "never used".to_owned(), |used| format!("last used {}", used.at)),
        Ok(None) | Err(_) => UNKNOWN_USE.to_owned(),
    }
}

async fn note(session: &Session, account: &AccountId, user: &UserName, key: &KeySeen) -> LeftAloneNote {
    let used = match session.accounts.of(account) {
        Some(account) => last_use(account, &key.id).await,
        None => UNKNOWN_USE.to_owned(),
    };
    LeftAloneNote {
        key_id: Some(key.id.clone()),
        places: Vec::new(),
        reason: SkipReason::SecondActiveKey.into(),
        message: message(user, key, &used),
        due: true,
    }
}

fn message(user: &UserName, key: &KeySeen, used: &str) -> String {
    format!(
        "user {user} has this second active key (created {}, {used}), which no entry of a store names, and IAM allows no \
         third: {}",
        key.created,
        advice(user, key)
    )
}

/// What an operator may do about a second key of a user, which leaves no room for a new one.
pub(super) fn advice(user: &UserName, spare: &KeySeen) -> String {
    let (word, id) = (quoted(user.as_str()), &spare.id);
    let delete = format!("delete it (aws iam delete-access-key --user-name {word} --access-key-id {id})");
    let retire = match spare.status {
        KeyStatus::Active => format!(
            "deactivate it (aws iam update-access-key --user-name {word} --access-key-id {id} --status Inactive) and some days \
             later {delete}"
        ),
        KeyStatus::Inactive | KeyStatus::Expired | KeyStatus::Other => delete,
    };
    format!(
        "if nothing needs {id}, {retire}; with `[policy] spare_key = \"delete-inactive\"` rotator deletes it once it is \
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

    #[test]
    fn the_commands_name_the_user_whatever_its_name() {
        let key = key('A', KeyStatus::Active);
        for user in HOSTILE {
            let message = message(&UserName::new(user).expect("valid"), &key, "never used");
            let words = |verb| ["aws", "iam", verb, "--user-name", user, "--access-key-id", key.id.as_str()];
            let inactive = [&words("update-access-key")[..], &["--status", "Inactive"]].concat();
            let (deactivate, delete) = message.split_once(" and some days later").expect("two commands");
            assert_says(deactivate, ")", &inactive);
            assert_says(delete, "); with `[policy]", &words("delete-access-key"));
            let inactive = KeySeen { status: KeyStatus::Inactive, ..key.clone() };
            assert!(!advice(&UserName::new(user).expect("valid"), &inactive).contains("deactivate it"));
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
