//! A key that may have leaked and is not replaced: what is said of it, and how to turn it off.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::wiring::journal::{HeldJournal, storage_failed};
use crate::discovery::SkipReason;
use crate::engine::rate_limit::Operation;
use crate::engine::report::{Report, Went};
use crate::engine::session::Session;
use crate::journal::campaign::LeftAloneNote;
use crate::rotation::observed::KeyUse;
use crate::types::name::{AccessKeyId, AccountId, UserName};
use crate::types::shell::quoted;

/// The commands that this process has printed: each is printed once.
#[derive(Debug, Default)]
pub(super) struct Told(RefCell<BTreeSet<String>>);

impl Told {
    /// The command that turns a key off, in a sentence. `user` is a word of the shell. The credentials of a shell may be
    /// those of another account than that of the key.
    pub(super) fn turned_off_by(&self, user: &str, key: &str, account: Option<&AccountId>) -> String {
        let command = format!("aws iam update-access-key --user-name {user} --access-key-id {key} --status Inactive");
        if self.0.borrow().contains(&command) {
            return "the command above turns it off".to_owned();
        }
        let with = account.map(|account| format!(" with credentials of account {account}")).unwrap_or_default();
        let words = format!("this turns it off{with}, and what uses it stops working:\n  {command}");
        self.0.borrow_mut().insert(command);
        words
    }

    /// The command that finds a key, in a sentence that goes on.
    pub(super) fn found_by(&self, command: &str) -> String {
        match self.0.borrow_mut().insert(command.to_owned()) {
            true => format!("this finds it:\n  {command}\n  "),
            false => "the command above finds it; ".to_owned(),
        }
    }

    /// What to do about a key that may have leaked and that was not replaced.
    fn still_works(&self, user: &UserName, key: &AccessKeyId, account: &AccountId) -> String {
        let off = self.turned_off_by(&quoted(user.as_str()), key.as_str(), Some(account));
        format!("{user}: {key} still works; if it is abused now, {off}")
    }
}

/// The user of a key, its account and its last use, if an account knows the key.
async fn owner_of(session: &Session, key: &AccessKeyId) -> Option<(UserName, AccountId, Option<KeyUse>)> {
    for account in session.accounts.reachable() {
        let last_used = || account.ports.iam.last_used(key);
        if let Ok(Some(found)) = account.limiter.read(Operation::GetAccessKeyLastUsed, last_used).await
            && let Some(user) = found.user
        {
            return Some((user, account.caller.account.clone(), found.used));
        }
    }
    None
}

/// Says which of the named keys have no rotation, although they may have leaked: they were left alone, or failed before
/// one was opened.
pub(super) async fn say_what_still_works(
    session: &Session,
    report: &Report,
    held: &HeldJournal,
    context: &Context,
    told: &Told,
) -> Result<(), CliError> {
    let own = held.journal.store().summaries_of(&report.touched).await.map_err(|error| storage_failed(&error))?;
    let in_rotations: BTreeSet<AccessKeyId> = own.into_iter().map(|own| own.rotation.opened.old_key).collect();
    let is_of_iam = |note: &&LeftAloneNote| {
        let reasons =
            [SkipReason::TemporaryKey, SkipReason::UnknownToIam, SkipReason::OtherAccount, SkipReason::Inactive];
        !reasons.iter().any(|reason| note.reason == *reason)
    };
    let left_alone = report.left_alone.iter().filter(is_of_iam).filter_map(|note| note.key_id.as_ref());
    let failed = report.went.iter().filter(|(_, went)| matches!(went, Went::Failed { .. })).map(|(key, _)| key);
    let keys: BTreeSet<&AccessKeyId> = left_alone.chain(failed.filter(|key| !in_rotations.contains(key))).collect();
    for key in keys {
        if let Some((user, account, _)) = owner_of(session, key).await {
            context.terminal.say(&told.still_works(&user, key, &account));
        }
    }
    Ok(())
}

/// The error for a key that no store holds: it cannot be rotated, and only an operator knows what uses it.
pub(super) async fn in_no_store(session: &Session, key: &AccessKeyId, told: &Told) -> CliError {
    let mut text = format!("no store holds the key {key}, so there is nothing to rotate it in");
    let owner = owner_of(session, key).await;
    if let Some((owner, _, used)) = &owner {
        let used = used.as_ref().map_or_else(|| "never used".to_owned(), |used| format!("last used {}", used.at));
        text.push_str(&format!("; IAM says that it is of user {owner}, {used}"));
    }
    if session.signs_with(key) {
        text.push_str("; rotator itself signs with it");
    }
    let word = owner.as_ref().map_or_else(|| "USER".to_owned(), |(user, ..)| quoted(user.as_str()));
    let account = owner.as_ref().map(|(_, account, _)| account);
    let hint = format!("if it has leaked, {}", told.turned_off_by(&word, key.as_str(), account));
    CliError { exit: Exit::NeedsOperator, ..CliError::failed(text, hint) }
}
