//! The proof of the old pair at STS before its rotation is opened. A key that IAM lists may be stored with a
//! secret that belongs to another key.
//!
//! Only `run` proves a pair, because a proof counts as a use of the key. If the policy waits until the old key
//! is unused, the last use is read before the proof.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::discovery::SkipReason;
use crate::engine::accounts::Account;
use crate::engine::rate_limit::Operation;
use crate::engine::session::Session;
use crate::engine::survey::{Due, place_notes};
use crate::journal::campaign::LeftAloneNote;
use crate::ports::identity::WhoIs;
use crate::rotation::event::{OldPair, UsedBefore};
use crate::rotation::policy::StillInUse;
use crate::types::name::AccessKeyId;
use crate::types::secret::SecretKey;
use crate::types::time::Timestamp;

/// The time between two refusals that count. Two secrets tried with one id within about 5 s can give a false
/// `SignatureDoesNotMatch`, and another process may have tried the other one.
const APART: Duration = Duration::from_secs(10);

/// The result of a proof.
pub(super) enum Tried {
    /// STS identified the expected user.
    Proven {
        /// The proof, for the journal.
        old_pair: OldPair,
        /// One of the permits that bound how many new keys are in memory at once.
        place: Option<OwnedSemaphorePermit>,
    },
    /// The key cannot be rotated before an operator fixes the cause.
    Left(Box<LeftAloneNote>),
    /// The pair could not be tried now, which says nothing about it. The text is for the operator.
    NotNow(String),
    /// A stop was asked for.
    Stopped,
}

/// A refusal of STS, which counts when STS gives it twice.
#[derive(Debug, Clone, PartialEq, Eq)]
enum No {
    /// The pair is not accepted.
    NotAccepted(String),
    /// The call is not let through.
    Forbidden(String),
    /// The request is refused for another reason.
    Failed(String),
}

impl No {
    const fn reason(&self) -> SkipReason {
        match self {
            Self::NotAccepted(_) => SkipReason::PairNotProven,
            Self::Forbidden(_) => SkipReason::StsDenied,
            Self::Failed(_) => SkipReason::StsFailed,
        }
    }
}

/// What one answer of STS means.
enum Verdict {
    Proven,
    No(No),
    /// The pair belongs to this other user.
    Another(String),
    NotNow(String),
}

/// Proves the pair of `due`. A permit is taken from `in_hand` for the duration of a call, and kept if the pair is
/// proven. The wait before the second try holds no permit and no slot of the rate limiter. With `early`, a permit that was
/// taken before, the proof keeps that permit until it ends, and never waits for one.
pub(super) async fn prove_old(
    session: &Session,
    due: &Due,
    in_hand: &Arc<Semaphore>,
    early: Option<OwnedSemaphorePermit>,
) -> Tried {
    let (key, user, policy) = (&due.key.id, &due.user, &due.policy);
    let Some(account) = session.accounts.of(&due.account) else {
        return Tried::NotNow(format!(
            "key {key} of user {user} was not rotated: account {} does not answer",
            due.account
        ));
    };
    let Some(secret) = due.secret.as_deref() else {
        return Tried::NotNow(format!("key {key} of user {user} was not rotated: its pair could not be read back"));
    };
    let mut old_pair = OldPair::default();
    let mut first: Option<No> = None;
    let is_early = early.is_some();
    let mut place = early;
    loop {
        if place.is_none() {
            place = tokio::select! {
                place = in_hand.clone().acquire_owned() => place.ok(),
                () = session.stop.wait() => return Tried::Stopped,
            };
        }
        if session.stop.asked() {
            return Tried::Stopped;
        }
        let asking = async {
            // A wait for the other users of the key has to tell their use from this proof.
            if first.is_none() && policy.still_in_use == StillInUse::Wait {
                old_pair.last_used = last_use(account, key).await;
            } else if first.is_none() {
                // A later run may have to tell it, too, for `unused_for`.
                old_pair.last_used = due.last_use.as_ref().and_then(|last_use| last_use.by_others.clone());
            }
            ask(session, account, due, secret, &mut old_pair).await
        };
        // Neither call changes anything, and the queue before them may be long.
        let verdict = tokio::select! {
            verdict = Box::pin(asking) => verdict,
            () = session.stop.wait() => return Tried::Stopped,
        };
        let no = match verdict {
            Verdict::Proven => return Tried::Proven { old_pair, place },
            Verdict::Another(who) => return Tried::Left(Box::new(of_another(session, due, &who))),
            Verdict::NotNow(why) => {
                return Tried::NotNow(format!("key {key} of user {user} was not rotated in this run: {why}"));
            }
            Verdict::No(no) => no,
        };
        if !is_early {
            place = None;
        }
        if matches!(no, No::NotAccepted(_)) && session.aws_now() < due.key.created.plus(policy.settle) {
            return Tried::NotNow(format!(
                "key {key} of user {user} was created at {}, and AWS does not accept its pair yet; the next run tries it again",
                due.key.created
            ));
        }
        match first {
            Some(before) if before.reason() == no.reason() => return Tried::Left(Box::new(refused(session, due, &no))),
            Some(_) => {
                return Tried::NotNow(format!(
                    "key {key} of user {user} was not rotated in this run: AWS refused its pair twice, for different reasons"
                ));
            }
            None => first = Some(no),
        }
        tokio::select! {
            () = session.clock.sleep(APART) => {}
            () = session.stop.wait() => return Tried::Stopped,
        }
    }
}

/// Returns the last use before the proof, if IAM reports it. A policy that denies the call does not stop the rotation.
async fn last_use(account: &Account, key: &AccessKeyId) -> Option<UsedBefore> {
    let ask = || account.ports.iam.last_used(key);
    match account.limiter.read(Operation::GetAccessKeyLastUsed, ask).await {
        Ok(Some(answer)) => Some(answer.used.map_or(UsedBefore::Never, UsedBefore::Last)),
        Ok(None) => None,
        Err(error) => {
            tracing::debug!("the last use of {key} before its proof is not known: {error}");
            None
        }
    }
}

async fn ask(session: &Session, account: &Account, due: &Due, secret: &SecretKey, old_pair: &mut OldPair) -> Verdict {
    let who_is = || account.ports.identity.who_is(&due.key.id, secret);
    match account.limiter.read(Operation::GetCallerIdentity, who_is).await {
        Ok(WhoIs::User { account: of, user, id, at }) => {
            session.saw_date(at);
            record(old_pair, at);
            if of != due.account || !user.is_user(&due.user) {
                return Verdict::Another(format!("user {user} of account {of}"));
            }
            old_pair.user_id = id;
            Verdict::Proven
        }
        Ok(WhoIs::Other { arn }) => Verdict::Another(arn),
        Ok(WhoIs::NotAccepted { code }) => Verdict::No(No::NotAccepted(code)),
        Ok(WhoIs::Forbidden { code }) => Verdict::No(No::Forbidden(code)),
        Err(error) if error.kind.is_transient() => Verdict::NotNow(error.message),
        Err(error) => Verdict::No(No::Failed(error.message)),
    }
}

fn record(old_pair: &mut OldPair, at: Timestamp) {
    if old_pair.proofs.last() != Some(&at) {
        old_pair.proofs.push(at);
    }
}

fn note(due: &Due, reason: SkipReason, message: String) -> LeftAloneNote {
    let (key_id, places) = (Some(due.key.id.clone()), place_notes(&due.places));
    let whose = Some((due.account.clone(), due.user.clone()));
    LeftAloneNote { key_id, places, reason: reason.into(), message, due: true, whose, detail: None }
}

/// Words where the two halves of the pair are stored.
fn halves(session: &Session, due: &Due) -> String {
    let of_place = |place: &crate::types::place::Place| {
        let (id, secret) =
            (session.stores.describe(&place.store, &place.id), session.stores.describe(&place.store, &place.secret));
        format!("id in {id}, secret in {secret}")
    };
    due.places.iter().map(of_place).collect::<Vec<_>>().join("; ")
}

fn refused(session: &Session, due: &Due, no: &No) -> LeftAloneNote {
    let (key, user, halves) = (&due.key.id, &due.user, halves(session, due));
    let seconds = APART.as_secs();
    let message = match no {
        No::NotAccepted(code) => format!(
            "AWS does not accept the pair of {key} ({halves}): it answered {code} twice, {seconds} s apart, while IAM lists \
             the key as active for user {user}. The secret is not that of this key, so nothing was changed: correct the \
             entry, or leave it out with --exclude, then `rotator run`"
        ),
        No::Forbidden(code) => format!(
            "AWS STS does not let the pair of {key} ({halves}) ask who it is: it answered {code} twice, {seconds} s apart. \
             The call needs no permission, so the policy of a VPC endpoint or a network perimeter refuses it, and no \
             rotation of user {user} could be finished from here. Nothing was changed: allow sts:GetCallerIdentity there, \
             or run rotator where it is allowed, then `rotator run`"
        ),
        No::Failed(why) => format!(
            "AWS STS refused twice to say whose pair {key} of user {user} is ({halves}): {why}. Nothing was changed: correct \
             the cause, then `rotator run`"
        ),
    };
    note(due, no.reason(), message)
}

fn of_another(session: &Session, due: &Due, who: &str) -> LeftAloneNote {
    let message = format!(
        "the pair of {} ({}) authenticates as {who}, and IAM lists the key for user {} of account {}. Nothing was changed: \
         find out whose the pair is and correct the entry, or leave it out with --exclude, then `rotator run`",
        due.key.id,
        halves(session, due),
        due.user,
        due.account
    );
    note(due, SkipReason::PairOfAnother, message)
}
