//! How moments are shown to an operator: ages and waits as spans, and absolute times in local time with the zone. JSON has
//! UTC.

use std::path::{Component, Path};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;

use crate::types::time::Timestamp;

/// The present moment and the local time zone.
#[derive(Debug, Clone)]
pub struct Times {
    now: Timestamp,
    zone: TimeZone,
}

const MINUTE: u64 = 60;
const TWO_MINUTES: u64 = 2 * MINUTE;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

impl Times {
    /// The present moment of the local clock, and the zone of the system.
    #[must_use]
    pub fn here() -> Self {
        static ZONE: OnceLock<TimeZone> = OnceLock::new();
        let zone = ZONE.get_or_init(|| zone_of(std::env::var("TZ").ok().as_deref()));
        Self::at(Timestamp::from_system(SystemTime::now()), zone.clone())
    }

    #[must_use]
    pub const fn at(now: Timestamp, zone: TimeZone) -> Self {
        Self { now, zone }
    }

    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The age of what was made then: `12d`, `5h`, `40m` or `new`.
    #[must_use]
    pub fn age(&self, then: Timestamp) -> String {
        short(self.now.since(then)).unwrap_or_else(|| "new".to_owned())
    }

    /// How long from now: `in 58 min`, or `now` if the time has come.
    #[must_use]
    pub fn until(&self, then: Timestamp) -> String {
        if then <= self.now { "now".to_owned() } else { format!("in {}", wait(then.since(self.now))) }
    }

    /// How long from now in one unit, rounded down: `in 68d`, or `now`.
    #[must_use]
    pub fn until_short(&self, then: Timestamp) -> String {
        short(then.since(self.now)).map_or_else(|| "now".to_owned(), |span| format!("in {span}"))
    }

    /// How long ago: `2d ago`, or `just now`.
    #[must_use]
    pub fn ago(&self, then: Timestamp) -> String {
        short(self.now.since(then)).map_or_else(|| "just now".to_owned(), |span| format!("{span} ago"))
    }

    /// The local time with its zone, and the date if it is not today: `05:55:36 CET`, `2026-12-04 05:55 CET`.
    #[must_use]
    pub fn local(&self, then: Timestamp) -> String {
        self.in_form(then, "%H:%M:%S %Z", "%Y-%m-%d %H:%M %Z")
    }

    /// The local time without the zone, for a column of times: `05:55:36`, and with the date if it is not today.
    #[must_use]
    pub fn column(&self, then: Timestamp) -> String {
        self.in_form(then, "%H:%M:%S", "%Y-%m-%d %H:%M")
    }

    fn in_form(&self, then: Timestamp, today: &str, other_day: &str) -> String {
        let (there, here) = (then.in_zone(&self.zone), self.now.in_zone(&self.zone));
        there.strftime(if there.date() == here.date() { today } else { other_day }).to_string()
    }

    /// The local date, `4 Dec`; if that is less than a day away, with the time: `28 Nov at 00:30 CET`.
    #[must_use]
    pub fn date_to_come(&self, then: Timestamp) -> String {
        let date = self.date(then);
        if then.since(self.now).as_secs() >= DAY {
            return date;
        }
        format!("{date} at {}", then.in_zone(&self.zone).strftime("%H:%M %Z"))
    }

    /// The local date: `4 Dec`, with the year if it is another one.
    #[must_use]
    pub fn date(&self, then: Timestamp) -> String {
        let (there, here) = (then.in_zone(&self.zone), self.now.in_zone(&self.zone));
        let form = if there.year() == here.year() { "%-d %b" } else { "%-d %b %Y" };
        there.strftime(form).to_string()
    }

    /// The abbreviation of the local zone, such as `CET`.
    #[must_use]
    pub fn zone(&self) -> String {
        self.now.in_zone(&self.zone).strftime("%Z").to_string()
    }
}

/// The zone that `TZ` names, else that of `/etc/localtime`, else UTC
/// (<https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/V1_chap08.html>). One file is read: a search for the name of
/// the zone in all of `/usr/share/zoneinfo` would take longer than `status`.
fn zone_of(tz: Option<&str>) -> TimeZone {
    let Some(name) = tz else { return zone_in(Path::new("/etc/localtime")) };
    let name = name.strip_prefix(':').unwrap_or(name);
    if name.is_empty() || Path::new(name).components().any(|part| part == Component::ParentDir) {
        return TimeZone::UTC;
    }
    // An absolute path replaces the folder.
    TimeZone::posix(name).unwrap_or_else(|_| zone_in(&Path::new("/usr/share/zoneinfo").join(name)))
}

fn zone_in(file: &Path) -> TimeZone {
    let data = std::fs::read(file).ok();
    data.and_then(|data| TimeZone::tzif("local", &data).ok()).unwrap_or(TimeZone::UTC)
}

/// A span as its largest unit, from a minute on.
fn short(span: Duration) -> Option<String> {
    let seconds = span.as_secs();
    let (unit, letter) = match seconds {
        DAY.. => (DAY, 'd'),
        HOUR.. => (HOUR, 'h'),
        MINUTE.. => (MINUTE, 'm'),
        _ => return None,
    };
    Some(format!("{}{letter}", seconds / unit))
}

/// A span in its largest unit: `61d`, `5h`, `40m`; below a minute the seconds.
#[must_use]
pub fn one_unit(span: Duration) -> String {
    short(span).unwrap_or_else(|| format!("{}s", span.as_secs()))
}

/// A wait, rounded up: `41 s`, `119 s`, `59 min`, `1 h 30 min`, `6 d 23 h`.
#[must_use]
pub fn wait(span: Duration) -> String {
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    let two = |(large, of), (small, in_it), total: u64| match (total / large, total % large / small) {
        (number, 0) => format!("{number} {of}"),
        (number, rest) => format!("{number} {of} {rest} {in_it}"),
    };
    match seconds {
        // A minute more or less is of no interest in a day.
        DAY.. => two((DAY, "d"), (HOUR, "h"), seconds.div_ceil(HOUR) * HOUR),
        HOUR.. => two((HOUR, "h"), (MINUTE, "min"), seconds.div_ceil(MINUTE) * MINUTE),
        // Rounded up to two minutes, 61 s would be twice as long.
        MINUTE => "1 min".to_owned(),
        TWO_MINUTES.. => match seconds.div_ceil(MINUTE) {
            60 => "1 h".to_owned(),
            minutes => format!("{minutes} min"),
        },
        _ => format!("{seconds} s"),
    }
}

/// How long something took: `4.2 s`, `1 min 12 s`.
#[must_use]
pub fn took(span: Duration) -> String {
    match span.as_secs() {
        0..MINUTE => format!("{:.1} s", span.as_secs_f64()),
        seconds @ MINUTE..HOUR => format!("{} min {} s", seconds / MINUTE, seconds % MINUTE),
        seconds => format!("{} h {} min", seconds / HOUR, seconds % HOUR / MINUTE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(zone: &str) -> Times {
        let now = "2026-11-27T22:30:00Z".parse().expect("valid");
        Times::at(now, TimeZone::posix(zone).expect("valid"))
    }

    #[test]
    fn a_wait_has_at_most_two_units_and_never_ends_early() {
        for (seconds, words) in [
            (0, "0 s"),
            (41, "41 s"),
            (60, "1 min"),
            (61, "61 s"),
            (119, "119 s"),
            (120, "2 min"),
            (121, "3 min"),
            (3541, "1 h"),
            (3600, "1 h"),
            (5400, "1 h 30 min"),
            (86_340, "23 h 59 min"),
            (86_399, "24 h"),
            (86_400, "1 d"),
            (604_799, "7 d"),
            (601_000, "6 d 23 h"),
        ] {
            assert_eq!(wait(Duration::from_secs(seconds)), words, "{seconds}");
        }
        assert_eq!(wait(Duration::from_millis(200)), "1 s");
    }

    #[test]
    fn what_was_done_took_so_long() {
        for (millis, words) in [(0, "0.0 s"), (4_230, "4.2 s"), (72_900, "1 min 12 s"), (5_400_000, "1 h 30 min")] {
            assert_eq!(took(Duration::from_millis(millis)), words);
        }
    }

    #[test]
    fn the_zone_is_that_of_the_variable_or_of_one_file() {
        let shown = |tz| Times::at(times("CET-1").now(), zone_of(tz)).zone();
        assert_eq!(shown(Some("CET-1")), "CET");
        for none in ["", ":", "Not/AZone", "../etc/passwd", "/etc/passwd"] {
            assert_eq!(shown(Some(none)), "UTC", "{none}");
        }
        if Path::new("/usr/share/zoneinfo/Asia/Tokyo").exists() {
            assert_eq!([shown(Some("Asia/Tokyo")), shown(Some(":/usr/share/zoneinfo/Asia/Tokyo"))], ["JST", "JST"]);
        }
    }

    #[test]
    fn moments_are_relative_or_local() {
        let times = times("CET-1");
        let now = times.now();
        let before = |seconds| now.minus(Duration::from_secs(seconds));
        assert_eq!([times.age(before(12 * 86_400)), times.age(before(5 * 3600)), times.age(now)], ["12d", "5h", "new"]);
        assert_eq!(times.ago(before(130)), "2m ago");
        assert_eq!(times.until(now.plus(Duration::from_secs(58 * 60))), "in 58 min");
        assert_eq!([times.until(now), times.until(before(9))], ["now", "now"]);
        assert_eq!(times.local(before(60)), "23:29:00 CET");
        let later = now.plus(Duration::from_secs(3600));
        assert_eq!([times.local(later), times.column(later)], ["2026-11-28 00:30 CET", "2026-11-28 00:30"]);
        assert_eq!([times.date(later), times.date_to_come(later)], ["28 Nov", "28 Nov at 00:30 CET"]);
        assert_eq!(times.date_to_come(now.plus(Duration::from_secs(DAY))), "28 Nov");
        assert_eq!([times.ago(now), times.ago(before(59))], ["just now", "just now"]);
        assert_eq!(times.date(now.plus(Duration::from_secs(60 * 86_400))), "26 Jan 2027");
        assert_eq!(times.zone(), "CET");
    }
}
