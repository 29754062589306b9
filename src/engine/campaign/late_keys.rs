//! Late keys: AWS may execute a `CreateAccessKey` whose reply was lost after its rotation has continued or closed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Engine, LOOK_FOR_LATE_KEYS};
use crate::engine::accounts::Account;
use crate::engine::error::CampaignError;
use crate::engine::rate_limit::Operation;
use crate::engine::report::Report;
use crate::journal::store::{RotationFilter, StorageError};
use crate::journal::write_ahead::JournalError;
use crate::rotation::event::Event;
use crate::rotation::observed::{KeySeen, KeysSeen};
use crate::types::error_text::with_causes;
use crate::types::name::{AccessKeyId, AccountId, UserName};
use crate::types::shell::quoted;

impl Engine {
    /// Reports keys that a lost `CreateAccessKey` may have made late. Such a key is never used.
    pub(super) async fn report_late_keys(&self, report: &mut Report) -> Result<(), CampaignError> {
        let session = &self.session;
        let since = session.aws_now().minus(LOOK_FOR_LATE_KEYS);
        let watched = self.journal.store().summaries(RotationFilter::WatchedAfter(since)).await?;
        // Each key is reported once, however many requests may have made it. A late key that stays must not keep `run`
        // in a loop from ending.
        let mut reported: BTreeSet<AccessKeyId> =
            watched.iter().flat_map(|summary| summary.rotation.late_keys.iter().cloned()).collect();
        let mut lists: BTreeMap<(AccountId, UserName), Option<KeysSeen>> = BTreeMap::new();
        for summary in watched {
            let rotation = summary.rotation;
            let opened = &rotation.opened;
            let Ok(Account { ports, limiter, .. }) = session.account_for(&rotation) else { continue };
            let whose = (opened.account.clone(), opened.user.clone());
            if !lists.contains_key(&whose) {
                let asking = limiter.read(Operation::ListAccessKeys, || ports.iam.list_keys(&opened.user));
                // The next run checks again.
                let Some(keys) = session.stop.unless_asked(asking).await else { return Ok(()) };
                lists.insert(whose.clone(), keys.ok());
            }
            let Some(Some(keys)) = lists.get(&whose) else { continue };
            let made = self.journal.store().keys_made_for(&opened.user).await?;
            let known = |key: &KeySeen| *key.id.as_str() == *opened.old_key.as_str() || made.contains(&key.id);
            let late = keys.keys.iter().flatten().filter(|key| {
                !known(key) && rotation.lost_creates.iter().any(|attempt| attempt.may_have_made(&key.id, key.created))
            });
            for key in late {
                if !reported.insert(key.id.clone()) {
                    continue;
                }
                report.troubles.push((Some(rotation.id), turned_up(&opened.user, &key.id)));
                let journal = self.journal.replay(rotation.id).await.map_err(late_error)?;
                let event = Event::LateKeySeen { key: key.id.clone() };
                let _noted = journal.note(event).await.map_err(late_error)?;
            }
        }
        Ok(())
    }
}

fn late_error(error: JournalError) -> StorageError {
    match error {
        JournalError::Storage(error) => error,
        JournalError::Illegal { .. } | JournalError::Incomplete { .. } => StorageError::failed(with_causes(&error)),
    }
}

fn turned_up(user: &UserName, key: &AccessKeyId) -> String {
    let word = quoted(user.as_str());
    format!(
        "key {key} of user {user} turned up late, and may be the child of a CreateAccessKey whose reply was lost; rotator does \
         not touch it: if nothing uses it, delete it (aws iam delete-access-key --user-name {word} --access-key-id {key})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::shell::real::{HOSTILE, assert_says};

    #[test]
    fn the_command_names_the_user_whatever_its_name() {
        let key = AccessKeyId::new("AKIAABCDEFGHIJKLMNOA").expect("valid");
        for user in HOSTILE {
            let message = turned_up(&UserName::new(user).expect("valid"), &key);
            let words =
                ["aws", "iam", "delete-access-key", "--user-name", user, "--access-key-id", "AKIAABCDEFGHIJKLMNOA"];
            assert_says(&message, ")", &words);
        }
    }
}
