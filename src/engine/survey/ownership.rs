//! The owner of a key: its account and its user, confirmed by IAM's own list before anything changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::found::ConfirmedKey;
use super::last_use::LastUse;
use super::owner_rule::Owner;
use super::skip::Skip;
use crate::discovery::{Candidate, SkipReason};
use crate::engine::accounts::Account;
use crate::engine::executor::fact_age::Span;
use crate::engine::rate_limit::Operation;
use crate::engine::session::Session;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::iam::LastUsed;
use crate::rotation::event::UsedBefore;
use crate::rotation::observed::{KeySeen, KeysSeen};
use crate::types::name::{AccountId, UserName};
use crate::types::place::Place;
use crate::types::time::Timestamp;

/// A key that IAM lists for a user.
pub(super) struct Confirmed {
    pub(super) account: AccountId,
    pub(super) user: UserName,
    pub(super) key: KeySeen,
    /// All keys of the user.
    pub(super) keys: KeysSeen,
    /// When they were listed.
    pub(super) listed: Span,
    /// The last use, if IAM reported it with the owner.
    pub(super) reported_use: Option<UsedBefore>,
    /// The last use, once it is known, and whether it is a proof of rotator.
    pub(super) last_use: Option<LastUse>,
}

impl Confirmed {
    /// Returns what a survey shows of the key. `due_at`: when its age will make it due, if it is not due yet.
    pub(super) fn shown(&self, due_at: Option<Timestamp>) -> ConfirmedKey {
        ConfirmedKey {
            account: self.account.clone(),
            user: self.user.clone(),
            created: self.key.created,
            due_at,
            last_use: self.last_use.clone(),
        }
    }
}

/// The key lists of users in one survey. Each list is read once, regardless of how many pairs lead to its user.
#[derive(Default)]
pub(super) struct Lists(Mutex<BTreeMap<(AccountId, UserName), Arc<List>>>);

/// A list that is read once. Others wait for the same answer.
type List = OnceCell<Result<(KeysSeen, Span), CallError>>;

impl Lists {
    async fn of(&self, session: &Session, account: &Account, user: &UserName) -> Result<(KeysSeen, Span), CallError> {
        let whose = (account.caller.account.clone(), user.clone());
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(whose).or_default().clone();
        asked.get_or_init(|| list(session, account, user)).await.clone()
    }
}

/// Finds the account and the user of a key.
pub(super) async fn ownership<'a>(
    session: &'a Session,
    lists: &Lists,
    owner: &Owner,
    candidate: &Candidate,
) -> Result<(&'a Account, Confirmed), Skip> {
    let account = account_of(session, candidate).await?;
    let (user, (keys, listed), reported_use) = user_of(session, lists, account, owner, candidate).await?;
    let Some(key) = keys.find(&candidate.key_id).cloned() else {
        return Err(stale(candidate, &user, None));
    };
    Ok((
        account,
        Confirmed { account: account.caller.account.clone(), user, key, keys, listed, reported_use, last_use: None },
    ))
}

/// Finds the account of a key. If only one account is configured, its key list decides.
async fn account_of<'a>(session: &'a Session, candidate: &Candidate) -> Result<&'a Account, Skip> {
    let (accounts, key) = (&session.accounts, &candidate.key_id);
    let account = match accounts.reachable() {
        [only] if !accounts.are_several() => only,
        _ => match accounts.account_of(key).await {
            Ok(Some(id)) => accounts.of(&id).ok_or_else(|| not_ours(session, &id))?,
            Ok(None) => {
                return Err(Skip::new(SkipReason::UnknownToIam, "AWS does not know to which account it belongs"));
            }
            Err(error) => {
                let message = format!("AWS did not say to which account it belongs: {}", error.message);
                let skip = match error.kind == CallErrorKind::Credentials {
                    true => Skip::recheck(SkipReason::AccountUnknown, message),
                    false => Skip::needs_operator(SkipReason::AccountUnknown, message),
                };
                return Err(skip.of_call("sts:GetAccessKeyInfo", error.kind));
            }
        },
    };
    if let Some(place) = candidate.places.iter().find(|place| !account.ports.covers.holds(place)) {
        return Err(elsewhere(session, account, place));
    }
    Ok(account)
}

fn not_ours(session: &Session, id: &AccountId) -> Skip {
    match session.accounts.why_unreachable(id) {
        Some(error) => {
            let message = format!("it belongs to account {id}, which cannot be used: {error}");
            match session.failures.any() && error.kind == CallErrorKind::Credentials {
                true => Skip::recheck(SkipReason::AccountFailed, message),
                false => Skip::needs_operator(SkipReason::AccountFailed, message),
            }
        }
        None => Skip::new(
            SkipReason::OtherAccount,
            format!(
                "it belongs to account {id}, which is not configured; an [[account]] with `role` or `profile` of that account \
                 would be"
            ),
        ),
    }
}

fn elsewhere(session: &Session, account: &Account, place: &Place) -> Skip {
    let where_ = session.stores.describe(&place.store, &place.id);
    if !session.accounts.are_several() {
        let message = format!("{where_} is not among the environments and stores of account {}", account.ports.label);
        return Skip::new(SkipReason::NotCovered, message);
    }
    let message = format!(
        "{where_} names a key of account {}, which is not configured to have keys there: correct the entry, or the \
         environments and stores of that [[account]]",
        account.ports.label
    );
    Skip::needs_operator(SkipReason::NotCovered, message)
}

/// Finds the user that IAM lists the key for. A confirmation for the owner of one place holds for all places.
async fn user_of(
    session: &Session,
    lists: &Lists,
    account: &Account,
    owner: &Owner,
    candidate: &Candidate,
) -> Result<(UserName, (KeysSeen, Span), Option<UsedBefore>), Skip> {
    let named: BTreeSet<UserName> = candidate.places.iter().filter_map(|place| owner.of(place)).collect();
    let mut absent = None;
    for user in &named {
        match lists.of(session, account, user).await {
            Ok(listed) if listed.0.find(&candidate.key_id).is_some() => return Ok((user.clone(), listed, None)),
            Ok(listed) => absent = absent.or(listed.0.keys.is_some().then(|| (user.clone(), listed))),
            Err(error) if error.kind == CallErrorKind::Invalid => {}
            Err(error) => return Err(not_listed(error)),
        }
    }
    let last_used = || account.ports.iam.last_used(&candidate.key_id);
    let whose = account.limiter.read(Operation::GetAccessKeyLastUsed, last_used).await;
    let (said, reported) = match whose {
        Ok(Some(LastUsed { user, used })) => (user, used.map_or(UsedBefore::Never, UsedBefore::Last)),
        Ok(None) => (None, UsedBefore::Never),
        // The key list is the stronger source: the user exists, and the key is not in the list.
        Err(error) => {
            return Err(match absent {
                Some((user, _)) => stale(candidate, &user, Some(&error)),
                None if error.kind.is_transient() || error.kind == CallErrorKind::Credentials => {
                    Skip::recheck(SkipReason::IamFailed, error.message).of_call(LAST_USED, error.kind)
                }
                None if error.kind == CallErrorKind::Denied => not_told(candidate, &named, &error),
                None => unknown_owner(candidate, &named, None, &format!("; {}", error.message)),
            });
        }
    };
    match said {
        // User names are unique regardless of case, and IAM decides the spelling.
        Some(user) if named.is_empty() || is_spelt_otherwise(&user, &named) => {
            match lists.of(session, account, &user).await {
                Ok(listed) if listed.0.find(&candidate.key_id).is_some() => Ok((user, listed, Some(reported))),
                Ok(_) => Err(not_listed_yet(&user)),
                Err(error) => Err(not_listed(error)),
            }
        }
        Some(user) if named.contains(&user) => Err(not_listed_yet(&user)),
        Some(user) if absent.is_none() => Err(renamed(candidate, &named, &user)),
        Some(user) => Err(unknown_owner(candidate, &named, Some(&user), "")),
        None => match absent {
            Some((user, listed)) => Ok((user, listed, None)),
            None => Err(Skip::new(
                SkipReason::UnknownToIam,
                format!(
                    "account {} has no such key{}: it belongs to another account, or was deleted",
                    account.caller.account,
                    named.first().map(|user| format!(", and no user {user}")).unwrap_or_default()
                ),
            )),
        },
    }
}

/// The actions of IAM that lead to an owner, as a policy names them.
const LIST: &str = "iam:ListAccessKeys";
const LAST_USED: &str = "iam:GetAccessKeyLastUsed";

/// Where an operator finds what to allow.
const POLICY: &str = "`rotator policy` prints the rights that this configuration needs";

/// The credentials in use may not ask whose key it is. That says nothing of the key, nor of `[owner]`.
fn not_told(candidate: &Candidate, named: &BTreeSet<UserName>, error: &CallError) -> Skip {
    let named = named.iter().map(UserName::as_str).collect::<Vec<_>>().join(" or ");
    let message = match candidate.places.first().filter(|_| !named.is_empty()) {
        Some(place) => format!(
            "IAM has no user {named}, to whom its entry leads, and denies the question whose key it is: {}; {POLICY}; or \
             name its user: set `{}` in rotator.toml",
            error.message,
            Owner::suggestion(place, None)
        ),
        None => format!("IAM denies the question whose key it is: {}; {POLICY}", error.message),
    };
    Skip::needs_operator(SkipReason::IamFailed, message).of_call(LAST_USED, error.kind)
}

/// IAM's list could not be read. A failure of rotator's own credentials says nothing about the key.
fn not_listed(error: CallError) -> Skip {
    let (kind, message) = (error.kind, error.message);
    let skip = match kind {
        CallErrorKind::Credentials => Skip::recheck(SkipReason::IamFailed, message),
        CallErrorKind::Denied => Skip::needs_operator(SkipReason::IamFailed, format!("{message}; {POLICY}")),
        CallErrorKind::Throttled
        | CallErrorKind::Unavailable
        | CallErrorKind::Invalid
        | CallErrorKind::NoSuchEntity
        | CallErrorKind::Other => Skip::needs_operator(SkipReason::IamFailed, message),
    };
    skip.of_call(LIST, kind)
}

/// IAM is eventually consistent: one of its two answers is behind.
fn not_listed_yet(user: &UserName) -> Skip {
    Skip::recheck(
        SkipReason::NotListedYet,
        format!("IAM says that it is {user}'s, and does not list it for {user} yet"),
    )
}

/// No user has the name that the entry leads to, and the key belongs to another user.
fn renamed(candidate: &Candidate, named: &BTreeSet<UserName>, user: &UserName) -> Skip {
    let named = named.iter().map(UserName::as_str).collect::<Vec<_>>().join(" or ");
    let line = candidate.places.first().map(|place| Owner::suggestion(place, Some(user))).unwrap_or_default();
    let message = format!(
        "IAM has no user {named}, to whom its entry leads, and says that the key is {user}'s: the user was renamed, or \
         [owner] leads to a wrong name; set `{line}` in rotator.toml (or [owner] from = \"aws\", which follows a rename), \
         then `rotator run`"
    );
    Skip::needs_operator(SkipReason::OwnerUnknown, message)
}

/// IAM lists the user's keys without this key. A denial of another call does not change that.
fn stale(candidate: &Candidate, user: &UserName, refused: Option<&CallError>) -> Skip {
    let key = &candidate.key_id;
    let more = match refused {
        Some(error) => format!("; whether it is another user's could not be asked ({})", error.message),
        None => String::new(),
    };
    let message = format!(
        "the entry is stale: IAM has user {user}, and the user has no key {key} any more; correct or remove the entry{more}"
    );
    Skip::new(SkipReason::NotConfirmed, message)
}

fn unknown_owner(candidate: &Candidate, named: &BTreeSet<UserName>, said: Option<&UserName>, more: &str) -> Skip {
    let named = named.iter().map(UserName::as_str).collect::<Vec<_>>().join(", ");
    let line = candidate.places.first().map(|place| Owner::suggestion(place, said)).unwrap_or_default();
    let message = match said {
        Some(user) => format!(
            "its entry names the owner {named}, but IAM says that the key is {user}'s; set `{line}` in rotator.toml{more}"
        ),
        None if named.is_empty() => format!("IAM does not say whose key it is: the key may not exist any more{more}"),
        None => format!("IAM has no user {named} and does not say whose key it is; set `{line}` in rotator.toml{more}"),
    };
    Skip::needs_operator(SkipReason::OwnerUnknown, message)
}

async fn list(session: &Session, account: &Account, user: &UserName) -> Result<(KeysSeen, Span), CallError> {
    let began = session.clock.monotonic();
    let mut keys = account.limiter.read(Operation::ListAccessKeys, || account.ports.iam.list_keys(user)).await?;
    keys.at = session.saw_date(keys.at);
    Ok((keys, Span { began, ended: session.clock.monotonic() }))
}

fn is_spelt_otherwise(user: &UserName, named: &BTreeSet<UserName>) -> bool {
    !named.contains(user) && named.iter().any(|name| name.as_str().eq_ignore_ascii_case(user.as_str()))
}
