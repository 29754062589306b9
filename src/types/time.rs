//! Moments and spans of time. No clock is read here.

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

    /// The same moment on the clocks of a zone.
    #[must_use]
    pub fn in_zone(self, zone: &jiff::tz::TimeZone) -> jiff::Zoned {
        self.0.to_zoned(zone.clone())
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

/// A day of the calendar, such as `2027-01-31`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date(jiff::civil::Date);

impl Date {
    /// The end of the day, in UTC.
    #[must_use]
    pub fn end(self) -> Timestamp {
        let midnight = |day: jiff::civil::Date| jiff::tz::Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok();
        Timestamp(self.0.tomorrow().ok().and_then(midnight).unwrap_or(jiff::Timestamp::MAX))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::str::FromStr for Date {
    type Err = jiff::Error;
    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        jiff::civil::Date::strptime("%Y-%m-%d", text).map(Self)
    }
}

/// Writes a span by its two largest units: `80d`, `2d 3h`, `1h 30m`. A span that is shorter than a second is shown
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
    fn a_day_ends_with_the_next_one_in_utc() {
        let day: Date = "2024-02-29".parse().expect("valid");
        assert_eq!((day.to_string(), day.end().to_string()), ("2024-02-29".into(), "2024-03-01T00:00:00Z".into()));
        for text in ["2023-02-29", "2024-02-29T00:00", "tomorrow", "24-2-29x"] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
    }

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
