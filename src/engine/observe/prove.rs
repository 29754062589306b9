//! Proves a pair at AWS: STS must identify the expected user.

use std::time::Duration;

use crate::engine::accounts::Account;
use crate::engine::backoff::Backoff;
use crate::engine::rate_limit::{Operation, Priority};
use crate::engine::session::Session;
use crate::ports::identity::{UserResource, WhoIs};
use crate::rotation::event::Opened;
use crate::rotation::observed::Proof;
use crate::types::name::{AccessKeyId, UserId};
use crate::types::secret::SecretKey;

/// The wait after an answer that was not a proof. Two secrets tried on one id within about 5 s can give a false
/// `SignatureDoesNotMatch`, so the longest wait is 5 s.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(5) };
/// How many times longer a pair is tried if AWS throttles the calls or does not answer. This says nothing about the
/// pair, and behind a thousand other calls one answer may take minutes.
const WHERE_NOTHING_IS_SAID: u32 = 5;
/// A bound above what any `proof_timeout` in use needs.
const MOST_TRIES: usize = 100_000;

#[derive(Debug, Clone, Copy)]
pub struct ProofOptions {
    /// How many times in a row the pair must be accepted.
    pub times: u32,
    /// The time over which the tries are spread.
    pub span: Duration,
    /// Whether STS denied a pair of this rotation before, so that one more denial is enough.
    pub denied: bool,
}

/// Returns whether this is the user that the rotation was opened for. The unique id decides where both ids are known,
/// because a name can change and can be given to another user.
fn is_same_user(opened: &Opened, user: &UserResource, id: Option<&UserId>) -> bool {
    match (&opened.old_pair.user_id, id) {
        (Some(recorded), Some(id)) => recorded == id,
        (Some(_), None) | (None, Some(_) | None) => user.is_user(&opened.user),
    }
}

/// Tries the pair once, as part of an admitted removal. Any other answer than a proof is left to [`prove`].
pub(in crate::engine) async fn prove_once(
    session: &Session,
    account: &Account,
    opened: &Opened,
    id: &AccessKeyId,
    secret: &SecretKey,
) -> Proof {
    let ask = || account.ports.identity.who_is(id, secret);
    match account.limiter.read_of(Priority::Removal, Operation::GetCallerIdentity, ask).await {
        Ok(WhoIs::User { account, user, id, at }) => {
            let _ = session.saw_date(at);
            match account == opened.account && is_same_user(opened, &user, id.as_ref()) {
                true => Proof::Passed,
                false => Proof::SomebodyElse(format!("user {user} of account {account}")),
            }
        }
        Ok(WhoIs::Other { arn }) => Proof::SomebodyElse(arn),
        Ok(WhoIs::NotAccepted { code } | WhoIs::Forbidden { code }) => Proof::TimedOut(code),
        Err(error) => Proof::TimedOut(error.message),
    }
}

/// Tries the pair until it has answered as many times in a row as `how` says.
///
/// `on_wait` is called before each wait, in which no call is in flight.
///
/// `InvalidClientTokenId` right after a create is normal; a new key has been seen to answer, then fail, then answer.
pub async fn prove(
    session: &Session,
    account: &Account,
    opened: &Opened,
    id: &AccessKeyId,
    secret: &SecretKey,
    how: ProofOptions,
    mut on_wait: impl FnMut() + Send,
) -> Proof {
    let clock = &session.clock;
    let began = clock.monotonic();
    let confirmations = how.times.max(1);
    let gap = how.span / confirmations.saturating_sub(1).max(1);
    let mut in_a_row = 0;
    let mut failures = 0;
    let mut last = "no answer".to_owned();
    let (timeout, settle) = (opened.policy.proof_timeout, opened.policy.settle);
    let mut denied_since = how.denied.then_some(began.saturating_sub(settle));
    for _ in 0..MOST_TRIES {
        let answer =
            account.limiter.read(Operation::GetCallerIdentity, || account.ports.identity.who_is(id, secret)).await;
        let mut limit = timeout;
        match answer {
            Ok(WhoIs::User { account, user, id, at }) => {
                let _ = session.saw_date(at);
                let is_expected = account == opened.account && is_same_user(opened, &user, id.as_ref());
                if !is_expected {
                    return Proof::SomebodyElse(format!("user {user} of account {account}"));
                }
                in_a_row += 1;
                if in_a_row >= confirmations {
                    return Proof::Passed;
                }
                on_wait();
                clock.sleep(gap).await;
                continue;
            }
            Ok(WhoIs::Other { arn }) => return Proof::SomebodyElse(arn),
            Ok(WhoIs::Forbidden { code }) => {
                let now = clock.monotonic();
                let first = denied_since.is_none();
                let since = *denied_since.get_or_insert(now);
                if (!first && now.saturating_sub(since) >= settle) || session.stop.overdue(clock.as_ref()) {
                    return Proof::Denied(format!("STS answers {code}"));
                }
                limit = timeout.max(settle + BACKOFF.longest * 2);
                last = code;
            }
            Ok(WhoIs::NotAccepted { code }) => last = code,
            Err(error) => {
                if error.kind.is_transient() {
                    limit = timeout.saturating_mul(WHERE_NOTHING_IS_SAID);
                }
                last = error.message;
            }
        }
        in_a_row = 0;
        if clock.monotonic().saturating_sub(began) >= limit || session.stop.overdue(clock.as_ref()) {
            break;
        }
        failures += 1;
        on_wait();
        clock.sleep(BACKOFF.after(failures)).await;
    }
    Proof::TimedOut(last)
}
