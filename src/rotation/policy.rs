//! Times, and the rules that an operator sets for a rotation.
//!
//! The rules in force when a rotation is opened are frozen in its `opened` event. No clock is read here.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment, in UTC. What AWS says is to the second (its `Date` header), what the local clock says is finer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z; what lies outside the years -9999 to 9999 is moved to the border.
    #[must_use]
    pub fn from_unix_seconds(seconds: i64) -> Self {
        let border = if seconds < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        Self(jiff::Timestamp::from_second(seconds).unwrap_or(border))
    }

    /// From the system's clock.
    #[must_use]
    pub fn from_system(time: std::time::SystemTime) -> Self {
        Self(jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH))
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub fn as_unix_seconds(self) -> i64 {
        self.0.as_second()
    }

    /// This long after.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.checked_add(span).unwrap_or(jiff::Timestamp::MAX))
    }

    /// This long before.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.checked_sub(span).unwrap_or(jiff::Timestamp::MIN))
    }

    /// How long after `earlier` this is; zero if it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::try_from(self.0.duration_since(earlier.0)).unwrap_or_default()
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::str::FromStr for Timestamp {
    type Err = jiff::Error;
    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse().map(Self)
    }
}

/// What to do when a user has two keys already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpareKey {
    /// Name the spare and wait for a person.
    Block,
    /// Delete the spare if it is inactive; otherwise block.
    DeleteInactive,
}

/// What to do with a key that bears every mark of a lost reply of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unclaimed {
    /// Deactivate it, look again after `settle`, discard it.
    Reclaim,
    /// Name it and wait for a person.
    Report,
}

/// What to do when the old key is still used after `stored-new`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StillInUse {
    /// Go on: last-use lags, and with no overlap every key would look used.
    Ignore,
    /// Wait until it has been quiet for as long as the overlap.
    Wait,
}

/// The rules for one rotation. A journal from before a rule existed means its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// How long both keys stay active after `stored-new`.
    pub overlap: Duration,
    /// How long the old key stays inactive before it is deleted; zero: no deactivation step at all.
    pub quarantine: Duration,
    /// How long "not listed" proves nothing, IAM being eventually consistent.
    pub settle: Duration,
    /// How many times in a row the new pair must answer as the expected user.
    pub confirmations: u32,
    /// The time over which the confirmations are spread.
    pub proof_span: Duration,
    /// When to give up a new pair that AWS does not accept; where AWS does not say, five times as late.
    pub proof_timeout: Duration,
    /// Two keys already.
    pub spare_key: SpareKey,
    /// A key that is most likely ours.
    pub unclaimed: Unclaimed,
    /// How long a key that is most likely ours stays inactive before its last use is asked for once more and it is
    /// deleted: last use lags.
    #[serde(skip_serializing_if = "is_usual")]
    pub unclaimed_after: Duration,
    /// An old key still in use.
    pub still_in_use: StillInUse,
    /// How long after the overlap a service that still uses the old key is waited for, before an operator is needed.
    #[serde(skip_serializing_if = "is_default_patience")]
    pub still_in_use_for: Duration,
}

/// A journal from before the setting existed means this, and one that means this has the same form.
const PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);

fn is_default_patience(patience: &Duration) -> bool {
    *patience == PATIENCE
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            overlap: Duration::ZERO,
            quarantine: Duration::ZERO,
            settle: Duration::from_secs(60),
            confirmations: 3,
            proof_span: Duration::from_secs(10),
            proof_timeout: Duration::from_secs(120),
            spare_key: SpareKey::Block,
            unclaimed: Unclaimed::Reclaim,
            unclaimed_after: UNCLAIMED_AFTER,
            still_in_use: StillInUse::Ignore,
            still_in_use_for: PATIENCE,
        }
    }
}

/// What a journal without `unclaimed_after` means; part of its form, so it never changes.
const UNCLAIMED_AFTER: Duration = Duration::from_secs(15 * 60);

fn is_usual(unclaimed_after: &Duration) -> bool {
    *unclaimed_after == UNCLAIMED_AFTER
}

impl Policy {
    /// From when on a look contradicts one of this moment, by AWS's dates: `settle` later. These are whole seconds, of
    /// which the first may have been as good as over: one more, or it could be a second less than was asked for.
    #[must_use]
    pub fn settled_after(&self, moment: Timestamp) -> Timestamp {
        if self.settle.is_zero() { moment } else { moment.plus(self.settle + Duration::from_secs(1)) }
    }

    /// From when on a key that is held on evidence, and was deactivated at this moment, may be deleted.
    #[must_use]
    pub fn unclaimed_since(&self, deactivated: Timestamp) -> Timestamp {
        self.settled_after(deactivated).max(deactivated.plus(self.unclaimed_after))
    }
}

/// How many creates one rotation may spend before it is blocked.
pub const MOST_CREATES: u32 = 5;

/// How many writes of the new pair may fail in a row before it is given up.
pub const MOST_REFUSED_WRITES: u32 = 3;

/// How long after its intent AWS may still execute a signed request: a signature is good for 15 minutes
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>), and one more.
pub const LATE_REQUEST: Duration = Duration::from_secs(16 * 60);

/// How far AWS's clocks may differ at the early end of an attempt's window.
pub const WINDOW_BEFORE: Duration = Duration::from_secs(2);

/// How long after the attempt's time-out a key may still be dated to count as the attempt's.
pub const WINDOW_AFTER: Duration = Duration::from_secs(60);

/// A span as people write it, by its two largest units: `80d`, `2d 3h`, `1h 30m`. What is shorter than a second is shown
/// in full.
#[must_use]
pub fn words(span: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    if span < Duration::from_secs(1) {
        return format!("{}ms", span.as_millis());
    }
    let mut rest = span.as_secs();
    let mut parts = Vec::new();
    for (size, unit) in UNITS {
        let number = rest / size;
        rest %= size;
        match (number, parts.len()) {
            (0, 0) => {}
            (0, _) => break,
            (number, _) => parts.push(format!("{number}{unit}")),
        }
        if parts.len() == 2 {
            break;
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_rfc_3339_in_utc() {
        let moment = Timestamp::from_unix_seconds(1_700_000_000);
        assert_eq!(moment.to_string(), "2023-11-14T22:13:20Z");
        assert_eq!("2023-11-14T22:13:20Z".parse::<Timestamp>().expect("valid"), moment);
        assert_eq!(moment.plus(Duration::from_secs(5)).since(moment), Duration::from_secs(5));
        assert_eq!(moment.since(moment.plus(Duration::from_secs(5))), Duration::ZERO);
        assert!(Timestamp::from_unix_seconds(i64::MAX) > Timestamp::from_unix_seconds(i64::MIN));
    }
}
