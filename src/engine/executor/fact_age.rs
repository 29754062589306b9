//! The age of the facts that a removal depends on, by the monotonic clock of this machine, which no `Date` changes.

use std::time::Duration;

use crate::engine::admission::SENT_WITHIN;

/// How long the reads of one final check may take in all, before the call time-out is added.
const CHECKED_WITHIN: Duration = Duration::from_secs(30);
/// How long ago the scan of all stores may have begun when a removal is sent, before its own duration is added.
const SCANNED_WITHIN: Duration = Duration::from_secs(60);

/// When a read began and when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Span {
    pub(in crate::engine) began: Duration,
    pub(in crate::engine) ended: Duration,
}

impl Span {
    fn took(self) -> Duration {
        self.ended.saturating_sub(self.began)
    }

    /// Returns the last moment at which a removal that depends on this scan may be sent.
    fn scan_serves_until(self) -> Duration {
        self.began + SCANNED_WITHIN + self.took()
    }

    /// Returns whether a removal that is admitted now can still be sent while this scan serves.
    pub(in crate::engine) fn scan_is_fresh(self, now: Duration) -> bool {
        now + SENT_WITHIN < self.scan_serves_until()
    }
}

/// When each observed fact was read. `None`: it was not read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) keys: Option<Span>,
    pub(super) places: Option<Span>,
    pub(super) stored_pair: Option<Span>,
    pub(super) scan: Option<Span>,
}

impl Facts {
    fn reads(&self) -> impl Iterator<Item = (&'static str, Span)> {
        let named = [
            ("the list of access keys", self.keys),
            ("the entries that hold the pair", self.places),
            ("the proof of the stored pair", self.stored_pair),
        ];
        named.into_iter().filter_map(|(name, span)| Some((name, span?)))
    }

    /// Returns the last moment at which a removal that depends on these facts may be sent: [`SENT_WITHIN`] after the
    /// last read ended, [`CHECKED_WITHIN`] and one call time-out after the first began, and while the scan serves.
    pub(super) fn send_before(&self, call_timeout: Duration) -> Duration {
        let last_ended = self.reads().map(|(_, span)| span.ended).max().unwrap_or_default();
        let first_began = self.reads().map(|(_, span)| span.began).min().unwrap_or_default();
        let scan = self.scan.map_or(Duration::MAX, Span::scan_serves_until);
        (last_ended + SENT_WITHIN).min(first_began + CHECKED_WITHIN + call_timeout).min(scan)
    }

    /// Returns whether all reads are as new as those of a final check: no read began more than [`SENT_WITHIN`] ago.
    pub(super) fn are_as_new_as_a_check(&self, now: Duration) -> bool {
        self.reads().all(|(_, span)| now <= span.began + SENT_WITHIN)
    }

    /// Returns whether only the wait after the reads made the facts too old.
    pub(super) fn waited_too_long(&self, now: Duration) -> bool {
        self.reads().all(|(_, span)| now > span.ended + SENT_WITHIN)
    }

    /// Returns why the facts are too old for a removal that is sent now: it names the slowest read, or the wait after
    /// the reads.
    pub(super) fn too_old(&self, now: Duration, call_timeout: Duration) -> Option<String> {
        if now <= self.send_before(call_timeout) {
            return None;
        }
        let last_ended = self.reads().map(|(_, span)| span.ended).max().unwrap_or_default();
        let waited = now.saturating_sub(last_ended);
        let slowest = self.reads().max_by_key(|(_, span)| span.took());
        Some(match slowest {
            Some((name, span)) if span.took() > waited => format!("reading {name} took {}", seconds(span.took())),
            Some(_) | None => format!("the removal could be sent only {} after the last check", seconds(waited)),
        })
    }
}

fn seconds(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn span(began: u64, ended: u64) -> Option<Span> {
        Some(Span { began: Duration::from_secs(began), ended: Duration::from_secs(ended) })
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_removal_is_sent_at_most_five_seconds_after_the_last_read() {
        let facts = Facts { keys: span(100, 101), places: span(100, 108), scan: span(90, 99), ..Facts::default() };
        assert_eq!(facts.too_old(at(113), TIMEOUT), None);
        let why = facts.too_old(at(114), TIMEOUT).expect("too old");
        assert_eq!(why, "reading the entries that hold the pair took 8.0 s");
        let quick = Facts { keys: span(100, 101), ..Facts::default() };
        assert_eq!(
            quick.too_old(at(160), TIMEOUT).expect("too old"),
            "the removal could be sent only 59.0 s after the last check"
        );
    }

    #[test]
    fn all_reads_of_a_check_are_made_within_thirty_seconds_and_a_time_out() {
        let facts = Facts { keys: span(100, 101), places: span(100, 139), ..Facts::default() };
        assert_eq!(facts.too_old(at(140), TIMEOUT), None);
        assert!(facts.too_old(at(141), TIMEOUT).is_some());
    }

    #[test]
    fn a_scan_serves_for_a_minute_and_its_own_duration() {
        let facts = Facts { keys: span(170, 171), scan: span(100, 110), ..Facts::default() };
        assert_eq!(facts.too_old(at(170), TIMEOUT), None);
        assert!(facts.too_old(at(171), TIMEOUT).is_some());
        let scan = facts.scan.expect("a scan");
        assert!(scan.scan_is_fresh(at(164)) && !scan.scan_is_fresh(at(165)));
    }
}
