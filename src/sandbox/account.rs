//! The content of the simulated account: users, their keys, and the clock that dates them.
//!
//! This module has no sockets and no AWS messages; the rules are in `iam_model`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use crate::types::name::AccessKeyId;
use crate::types::secret::SecretKey;

use super::action::Service;

/// The status of an access key, as IAM names it
/// (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKeyMetadata.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum KeyStatus {
    /// The key authenticates.
    Active,
    /// The key is refused until it is activated again.
    Inactive,
    /// The key is refused; only AWS itself sets this status.
    Expired,
}

impl KeyStatus {
    /// The name of the status in AWS.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Inactive => "Inactive",
            Self::Expired => "Expired",
        }
    }
}

impl fmt::Display for KeyStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An IAM user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    /// The name, with its original case.
    pub(super) name: String,
    /// The path; `/` by default.
    pub(super) path: String,
    /// The unique id `AIDA…`, which is never reused.
    pub(super) id: String,
    pub(super) created: Timestamp,
    /// Whether the user may call every action. Any other user may only ask for its identity.
    pub(super) administrator: bool,
    /// The name of the session, if this is a role that is assumed.
    pub(super) session: Option<String>,
    /// The actions that are not allowed, such as `iam:CreateAccessKey`; true if a policy denies one expressly.
    pub(super) denied: BTreeMap<String, bool>,
    /// The keys of the user, the oldest first.
    pub(super) keys: Vec<AccessKeyId>,
}

/// Whether an action is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Allowed,
    /// A policy denies it.
    ExplicitDeny,
    /// No policy allows it.
    ImplicitDeny,
}

impl Decision {
    /// The decision about an action such as `iam:CreateAccessKey`.
    pub(super) fn about(user: &User, action: &str) -> Self {
        match (user.denied.get(action), user.administrator) {
            (Some(true), _) => Self::ExplicitDeny,
            (Some(false), _) | (None, false) => Self::ImplicitDeny,
            (None, true) => Self::Allowed,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::ExplicitDeny => "explicitDeny",
            Self::ImplicitDeny => "implicitDeny",
        }
    }
}

/// An access key without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySummary {
    pub id: AccessKeyId,
    /// The owner of the key.
    pub user: String,
    pub status: KeyStatus,
    pub created: Timestamp,
    /// The last use, as `GetAccessKeyLastUsed` reports it now.
    pub last_used: Option<LastUse>,
}

/// One use of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastUse {
    /// The time of the use, by the clock of the sandbox.
    pub at: Timestamp,
    /// The service that was called.
    pub service: Service,
    /// The region of the signature.
    pub region: String,
}

/// An access key with its secret.
pub(super) struct Key {
    pub(super) id: AccessKeyId,
    pub(super) secret: SecretKey,
    /// The name of the owner in lower case, which is the index of the users.
    pub(super) owner: String,
    pub(super) status: KeyStatus,
    /// The previous status, and the time of the last change.
    pub(super) former_status: Option<(KeyStatus, Timestamp)>,
    pub(super) created: Timestamp,
    /// A number that grows with every key; a page of a list continues after it.
    pub(super) serial: u64,
    pub(super) uses: Uses,
}

/// The uses of a key: the last reported one, and those that are not reported yet.
#[derive(Default)]
pub(super) struct Uses(VecDeque<LastUse>);

impl Uses {
    /// Records a use, which is reported after `lag`.
    pub(super) fn note(&mut self, last_use: LastUse, lag: Duration) {
        let told_before = last_use.at.checked_sub(lag).unwrap_or(Timestamp::MIN);
        // Of the reported uses only the newest is kept.
        while self.0.get(1).is_some_and(|second| second.at <= told_before) {
            self.0.pop_front();
        }
        // Dates have a precision of a second, so one use a second is enough and keeps the queue short.
        match self.0.back() {
            Some(back) if back.at.as_second() == last_use.at.as_second() => {}
            Some(_) | None => self.0.push_back(last_use),
        }
    }

    /// The last use that is reported at `now`.
    pub(super) fn told(&self, now: Timestamp, lag: Duration) -> Option<&LastUse> {
        let told_before = now.checked_sub(lag).unwrap_or(Timestamp::MIN);
        self.0.iter().rev().find(|last_use| last_use.at <= told_before)
    }
}

/// The clock of the sandbox: the clock of the host plus an offset.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clock {
    ahead: Duration,
}

impl Clock {
    /// The time of the host.
    pub(super) fn host(self) -> Timestamp {
        Timestamp::now()
    }

    /// The time of the sandbox.
    pub(super) fn now(self) -> Timestamp {
        self.host().checked_add(self.ahead).unwrap_or(Timestamp::MAX)
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.ahead = self.ahead.saturating_add(by);
    }
}

/// The time as a type of the standard library.
pub(super) fn system_time(time: Timestamp) -> SystemTime {
    SystemTime::from(time)
}

/// `length` random characters of `alphabet`, whose size must divide 256.
///
/// # Panics If the operating system has no random numbers.
fn random_text(prefix: &str, alphabet: &[u8], length: usize) -> String {
    debug_assert_eq!(256 % alphabet.len(), 0, "another size would draw unevenly");
    let mut bytes = vec![0_u8; length];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    let drawn = bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()]));
    prefix.chars().chain(drawn).collect()
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A new access key id: `AKIA` and 16 characters of the base-32 alphabet.
///
/// # Panics If the operating system has no random numbers.
pub(super) fn random_key_id() -> AccessKeyId {
    AccessKeyId::new(random_text("AKIA", BASE32, 16)).expect("20 letters and digits are an id")
}

/// A new user id: `AIDA` and 17 characters of the base-32 alphabet.
///
/// # Panics If the operating system has no random numbers.
pub(super) fn random_user_id() -> String {
    random_text("AIDA", BASE32, 17)
}

/// A new secret: 40 characters of the base-64 alphabet.
///
/// # Panics If the operating system has no random numbers.
pub(super) fn random_secret() -> SecretKey {
    SecretKey::new(random_text("", BASE64, 40))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(second: i64) -> LastUse {
        let at = Timestamp::from_second(second).expect("a valid time");
        LastUse { at, service: Service::Sts, region: "us-east-1".to_owned() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a valid time")
    }

    #[test]
    fn a_use_is_reported_once_the_lag_is_over() {
        let lag = Duration::from_secs(10);
        let mut uses = Uses::default();
        uses.note(used(100), lag);
        uses.note(used(103), lag);
        assert_eq!(uses.told(at(109), lag), None);
        assert_eq!(uses.told(at(110), lag), Some(&used(100)));
        assert_eq!(uses.told(at(113), lag), Some(&used(103)));
    }

    #[test]
    fn a_key_in_constant_use_keeps_few_uses() {
        let lag = Duration::from_secs(3);
        let mut uses = Uses::default();
        for second in 0..1000 {
            uses.note(used(second), lag);
            uses.note(used(second), lag);
        }
        assert!(uses.0.len() <= 6, "{} kept", uses.0.len());
        assert_eq!(uses.told(at(999), lag), Some(&used(996)));
    }

    #[test]
    fn ids_and_secrets_have_the_form_that_aws_gives_them() {
        let (id, secret) = (random_key_id(), random_secret());
        assert_eq!((id.as_str().len(), &id.as_str()[..4]), (20, "AKIA"));
        assert!(id.as_str().bytes().all(|byte| BASE32.contains(&byte)));
        assert_eq!(secret.expose().len(), 40);
        assert!(secret.expose().bytes().all(|byte| BASE64.contains(&byte)));
        assert_ne!(random_key_id(), id);
    }
}
