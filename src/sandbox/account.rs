//! What the look-alike account holds: users, their keys, and the clock that dates them.
//!
//! No sockets and no AWS wording of answers; what the API allows is decided in `world`.

use std::collections::VecDeque;
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
    /// The key is refused until somebody activates it again.
    Inactive,
    /// The key is refused; only AWS itself sets this status.
    Expired,
}

impl KeyStatus {
    /// AWS's word.
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
    /// The name, in the case it was made with.
    pub(super) name: String,
    /// The path, `/` unless given.
    pub(super) path: String,
    /// `AIDA…`, never used again.
    pub(super) id: String,
    /// When it was made.
    pub(super) created: Timestamp,
    /// Whether it may call every action. Any other user may only ask who it is.
    pub(super) administrator: bool,
    /// Its keys, the oldest first.
    pub(super) keys: Vec<AccessKeyId>,
}

/// An access key as the sandbox tells of it: no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySummary {
    /// Its id.
    pub id: AccessKeyId,
    /// Whose it is.
    pub user: String,
    /// Its status.
    pub status: KeyStatus,
    /// When it was made.
    pub created: Timestamp,
    /// When it last signed a request, as `GetAccessKeyLastUsed` tells it now.
    pub last_used: Option<LastUse>,
}

/// One use of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastUse {
    /// When, by the sandbox's clock.
    pub at: Timestamp,
    /// At which service.
    pub service: Service,
    /// In which region, as the signature says.
    pub region: String,
}

/// An access key with its secret.
pub(super) struct Key {
    pub(super) id: AccessKeyId,
    pub(super) secret: SecretKey,
    /// The owner's name in lower case, the index of the users.
    pub(super) owner: String,
    pub(super) status: KeyStatus,
    /// The status before the last change, and when that was.
    pub(super) former_status: Option<(KeyStatus, Timestamp)>,
    pub(super) created: Timestamp,
    /// Grows with every key made; a page of a listing continues after it.
    pub(super) serial: u64,
    pub(super) uses: Uses,
}

/// When a key was used: the last use that is already told, and those that are not told yet.
#[derive(Default)]
pub(super) struct Uses(VecDeque<LastUse>);

impl Uses {
    /// Notes a use. `lag` is how long a use stays untold.
    pub(super) fn note(&mut self, last_use: LastUse, lag: Duration) {
        let told_before = last_use.at.checked_sub(lag).unwrap_or(Timestamp::MIN);
        // All but the newest of those that are told already are history.
        while self.0.get(1).is_some_and(|second| second.at <= told_before) {
            self.0.pop_front();
        }
        // Dates are told to the second, so one use a second is enough and the queue stays short.
        match self.0.back() {
            Some(back) if back.at.as_second() == last_use.at.as_second() => {}
            Some(_) | None => self.0.push_back(last_use),
        }
    }

    /// The last use that is told at `now`.
    pub(super) fn told(&self, now: Timestamp, lag: Duration) -> Option<&LastUse> {
        let told_before = now.checked_sub(lag).unwrap_or(Timestamp::MIN);
        self.0.iter().rev().find(|last_use| last_use.at <= told_before)
    }
}

/// The sandbox's clock: the host's, and how far it has been put forward.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clock {
    ahead: Duration,
}

impl Clock {
    /// The host's time.
    pub(super) fn host(self) -> Timestamp {
        Timestamp::now()
    }

    /// The sandbox's time.
    pub(super) fn now(self) -> Timestamp {
        self.host().checked_add(self.ahead).unwrap_or(Timestamp::MAX)
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.ahead = self.ahead.saturating_add(by);
    }
}

/// The same time as the standard library has it.
pub(super) fn system_time(time: Timestamp) -> SystemTime {
    SystemTime::try_from(time).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// `length` characters drawn evenly from `alphabet`, whose size must divide 256.
///
/// # Panics
/// If the operating system has no randomness to give.
fn random_text(prefix: &str, alphabet: &[u8], length: usize) -> String {
    debug_assert_eq!(256 % alphabet.len(), 0, "another size would draw unevenly");
    let mut bytes = vec![0_u8; length];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    let drawn = bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()]));
    prefix.chars().chain(drawn).collect()
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A fresh access key id: `AKIA` and 16 of the base-32 alphabet.
///
/// # Panics
/// If the operating system has no randomness to give.
pub(super) fn random_key_id() -> AccessKeyId {
    AccessKeyId::new(random_text("AKIA", BASE32, 16)).expect("20 letters and digits are an id")
}

/// A fresh user id: `AIDA` and 17 of the base-32 alphabet.
///
/// # Panics
/// If the operating system has no randomness to give.
pub(super) fn random_user_id() -> String {
    random_text("AIDA", BASE32, 17)
}

/// A fresh secret: 40 of the base-64 alphabet.
///
/// # Panics
/// If the operating system has no randomness to give.
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
    fn a_use_is_told_once_the_lag_is_over() {
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
