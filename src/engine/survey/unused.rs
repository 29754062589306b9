//! Keys that no program uses. A rotation would make such a key look new: it resets the age of the key, and its proofs
//! count as uses. So the survey skips a key whose last use is too long ago, and says how to retire it.
//!
//! IAM records the uses of keys since April 22, 2015
//! (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKeyLastUsed.html>). It reports only the last use, and
//! each with an unpublished delay, so `unused_for` is at least a day.

use std::time::Duration;

use super::found::Taken;
use super::last_use::LastUse;
use super::ownership::Confirmed;
use super::skip::Skip;
use crate::discovery::SkipReason;
use crate::engine::accounts::Account;
use crate::engine::rate_limit::Operation;
use crate::journal::campaign::NoteDetail;
use crate::rotation::event::UsedBefore;
use crate::rotation::own_use::OwnUses;
use crate::types::name::{AccessKeyId, UserName};
use crate::types::shell::quoted;
use crate::types::time::{Timestamp, words};

/// When IAM began to record the uses of keys: 2015-04-22T00:00:00Z.
const RECORDED_SINCE: i64 = 1_429_660_800;

/// Finds the last use of a key of this user. IAM is asked unless it has `said` so before.
///
/// # Errors
/// Why the last use is not known.
pub(super) async fn last_use(
    account: &Account,
    taken: &Taken,
    (user, id): (&UserName, &AccessKeyId),
    said: Option<UsedBefore>,
) -> Result<LastUse, String> {
    let reported = match said {
        Some(reported) => reported,
        None => match account.limiter.read(Operation::GetAccessKeyLastUsed, || account.ports.iam.last_used(id)).await {
            Ok(Some(answer)) => answer.used.map_or(UsedBefore::Never, UsedBefore::Last),
            Ok(None) => return Err(format!("IAM does not report the last use of {id}")),
            Err(error) => return Err(error.message),
        },
    };
    // Only a call of STS can be a proof.
    let own = match (&taken.made, &reported) {
        (Some(journal), UsedBefore::Last(used)) if used.is_of_sts() => journal.own_uses(user, id).await?,
        (Some(_) | None, UsedBefore::Never | UsedBefore::Last(_)) => OwnUses::default(),
    };
    Ok(LastUse { by_others: own.last_use_by_others(reported.clone()), reported })
}

/// Skips a key that no other program has used for longer than `unused_for`.
pub(super) fn check(confirmed: &Confirmed, last_use: &LastUse, unused_for: Duration) -> Result<(), Skip> {
    let (key, now) = (&confirmed.key, confirmed.keys.at);
    let since = match &last_use.by_others {
        None => return Ok(()),
        Some(UsedBefore::Last(used)) => used.at,
        Some(UsedBefore::Never) => key.created.max(Timestamp::from_unix_seconds(RECORDED_SINCE)),
    };
    if now.since(since) <= unused_for {
        return Ok(());
    }
    let own_proof = match &last_use.reported {
        UsedBefore::Last(proof) if last_use.is_own_proof() => Some(proof.at),
        UsedBefore::Last(_) | UsedBefore::Never => None,
    };
    let message = message(confirmed, last_use, since, unused_for);
    let detail = last_use.by_others.clone().map(|used| NoteDetail::Unused { created: key.created, used, own_proof });
    let skip = Skip::new(SkipReason::Unused, message);
    Err(match detail {
        Some(detail) => skip.with(detail),
        None => skip,
    })
}

fn message(confirmed: &Confirmed, last_use: &LastUse, since: Timestamp, unused_for: Duration) -> String {
    let Confirmed { user, key, keys, .. } = confirmed;
    let (word, id, ago) = (quoted(user.as_str()), &key.id, words(keys.at.since(since)));
    let by = |used: &UsedBefore| match used {
        UsedBefore::Last(used) => used.service.as_ref().map(|service| format!(" by {service}")).unwrap_or_default(),
        UsedBefore::Never => String::new(),
    };
    let used = match &last_use.by_others {
        Some(used @ UsedBefore::Last(_)) => format!("was last used{} at {since}, {ago} ago", by(used)),
        Some(UsedBefore::Never) | None => format!("was never used since {since}, {ago} ago"),
    };
    let own = match &last_use.reported {
        UsedBefore::Last(proof) if last_use.is_own_proof() => {
            format!(", except by rotator's own proof at {}", proof.at)
        }
        UsedBefore::Last(_) | UsedBefore::Never => String::new(),
    };
    format!(
        "key {id} of user {user} {used}{own}; unused_for is {}, and a rotation would make the key look new. If a \
         program needs it, set unused_for = \"never\" for it in a [[rule]]; if nothing does, deactivate it (aws iam update-access-key --user-name {word} --access-key-id {id} --status Inactive)",
        words(unused_for)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::executor::fact_age::Span;
    use crate::rotation::observed::{KeySeen, KeyStatus, KeyUse, KeysSeen};
    use crate::types::name::{AccessKeyId, AccountId, UserName};
    use crate::types::shell::real::{HOSTILE, assert_says};

    const DAY: u64 = 86_400;
    const NOW: i64 = 1_700_000_000;

    fn ago(days: u64) -> Timestamp {
        Timestamp::from_unix_seconds(NOW).minus(Duration::from_secs(days * DAY))
    }

    fn created(days: u64, user: &str) -> Confirmed {
        let id = AccessKeyId::new("AKIAABCDEFGHIJKLMNOA").expect("valid");
        let key = KeySeen { id, status: KeyStatus::Active, created: ago(days) };
        Confirmed {
            account: AccountId::new("123456789012").expect("valid"),
            user: UserName::new(user).expect("valid"),
            keys: KeysSeen { at: ago(0), keys: Some(vec![key.clone()]) },
            key,
            listed: Span { began: Duration::ZERO, ended: Duration::ZERO },
            reported_use: None,
            last_use: None,
        }
    }

    fn of(by_others: Option<UsedBefore>) -> LastUse {
        let proof = KeyUse { at: ago(1), service: Some("sts".to_owned()), region: None };
        LastUse { reported: UsedBefore::Last(proof), by_others }
    }

    fn is_unused(created_ago: u64, by_others: Option<UsedBefore>) -> bool {
        check(&created(created_ago, "u"), &of(by_others), Duration::from_secs(45 * DAY)).is_err()
    }

    #[test]
    fn a_key_is_unused_only_if_its_last_use_is_known_and_longer_ago() {
        let used = |days| Some(UsedBefore::Last(KeyUse::at(ago(days))));
        assert!(is_unused(90, used(46)) && !is_unused(90, used(45)) && !is_unused(90, used(1)));
        assert!(is_unused(46, Some(UsedBefore::Never)) && !is_unused(45, Some(UsedBefore::Never)));
        assert!(!is_unused(900, None), "unknown is not unused");
    }

    #[test]
    fn a_key_that_is_older_than_the_records_counts_from_their_beginning() {
        let recorded_for = Timestamp::from_unix_seconds(NOW).since(Timestamp::from_unix_seconds(RECORDED_SINCE));
        let confirmed = created(recorded_for.as_secs() / DAY + 1000, "u");
        let never = of(Some(UsedBefore::Never));
        assert!(check(&confirmed, &never, recorded_for - Duration::from_secs(1)).is_err());
        assert!(check(&confirmed, &never, recorded_for).is_ok());
    }

    #[test]
    fn the_message_names_the_use_and_the_command_whatever_the_name_of_the_user() {
        for user in HOSTILE {
            let used = UsedBefore::Last(KeyUse { at: ago(60), service: Some("s3".to_owned()), region: None });
            let skip = check(&created(90, user), &of(Some(used)), Duration::from_secs(45 * DAY)).expect_err("unused");
            assert!(!skip.is_due() && !skip.recheck && skip.reason == SkipReason::Unused);
            let said =
                format!("was last used by s3 at {}, 60d ago, except by rotator's own proof at {}", ago(60), ago(1));
            assert!(skip.message.contains(&said), "{}", skip.message);
            let id = "AKIAABCDEFGHIJKLMNOA";
            let command = ["aws", "iam", "update-access-key", "--user-name", user, "--access-key-id", id];
            let command = [&command[..], &["--status", "Inactive"]].concat();
            assert_says(&skip.message, ")", &command);
        }
    }
}
