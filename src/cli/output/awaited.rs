//! Which accounts and stores were asked and have not answered yet, and for how long.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::times;

/// A call that failed without an answer is tried again after less than this.
const TRIED_AGAIN_WITHIN: Duration = Duration::from_secs(12);

/// The accounts and stores that were asked, by the name that messages call them.
#[derive(Debug, Default)]
pub(super) struct Awaited(BTreeMap<String, Asked>);

#[derive(Debug)]
struct Asked {
    /// The calls under way.
    calls: usize,
    /// When the first of these calls began, or when the last answer came.
    since: Instant,
    /// When a call failed without an answer, and why. An answer removes it.
    failed: Option<(Instant, String)>,
    /// Whether it was reported since then.
    is_reported: bool,
}

/// An account or a store that does not answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Silent {
    pub who: String,
    span: Duration,
    why: Option<String>,
}

impl Silent {
    /// For a line of its own: for how long, and what the last call failed with.
    #[must_use]
    pub fn in_full(&self) -> String {
        let why = self.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
        format!("waiting for {}: no answer for {}{why}", self.who, times::wait(self.span))
    }

    /// For the progress line.
    pub(super) fn in_short(&self) -> String {
        format!("no answer from {} for {}", self.who, times::wait(self.span))
    }
}

impl Awaited {
    /// A call begins.
    pub(super) fn asked(&mut self, who: &str, now: Instant) {
        let fresh = || Asked { calls: 0, since: now, failed: None, is_reported: false };
        if !self.0.contains_key(who) {
            self.0.insert(who.to_owned(), fresh());
        }
        let Some(asked) = self.0.get_mut(who) else { return };
        if asked.calls == 0 && !asked.is_tried_again(now) {
            *asked = fresh();
        }
        asked.calls += 1;
    }

    /// A call has ended; `failed`: without an answer.
    pub(super) fn ended(&mut self, who: &str, failed: Option<&str>, now: Instant) {
        let Some(asked) = self.0.get_mut(who) else { return };
        asked.calls = asked.calls.saturating_sub(1);
        match failed {
            Some(why) => asked.failed = Some((now, why.to_owned())),
            None => (asked.since, asked.failed, asked.is_reported) = (now, None, false),
        }
    }

    /// Who has not answered for this long.
    pub(super) fn silent(&self, now: Instant, least: Duration) -> Vec<Silent> {
        self.0.iter().filter_map(|(who, asked)| asked.silent(who, now, least)).collect()
    }

    /// The same of those that were not reported. They count as reported from now on.
    pub(super) fn take_unreported(&mut self, now: Instant, least: Duration) -> Vec<Silent> {
        let untold = self.0.iter_mut().filter(|(_, asked)| !asked.is_reported);
        let silent = untold.filter_map(|(who, asked)| {
            let silent = asked.silent(who, now, least)?;
            asked.is_reported = true;
            Some(silent)
        });
        silent.collect()
    }
}

impl Asked {
    fn is_tried_again(&self, now: Instant) -> bool {
        self.failed.as_ref().is_some_and(|(at, _)| now.duration_since(*at) < TRIED_AGAIN_WITHIN)
    }

    fn silent(&self, who: &str, now: Instant, least: Duration) -> Option<Silent> {
        let span = now.duration_since(self.since);
        let is_silent = span >= least && (self.calls > 0 || self.is_tried_again(now));
        let why = self.failed.as_ref().map(|(_, why)| why.clone());
        is_silent.then(|| Silent { who: who.to_owned(), span, why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn names(silent: Vec<Silent>) -> Vec<String> {
        silent.into_iter().map(|silent| silent.who).collect()
    }

    #[test]
    fn who_does_not_answer_is_reported_once_until_an_answer_comes() {
        let (mut awaited, start) = (Awaited::default(), Instant::now());
        awaited.asked("vault", start);
        awaited.asked("aws", start);
        awaited.ended("aws", None, start + SECOND);
        assert!(awaited.silent(start + SECOND * 2, SECOND * 3).is_empty(), "not for long enough");
        awaited.ended("vault", Some("connection refused"), start + SECOND * 4);
        let reported = awaited.take_unreported(start + SECOND * 5, SECOND * 3);
        let words = "waiting for vault: no answer for 5 s (connection refused)";
        assert_eq!(reported.iter().map(Silent::in_full).collect::<Vec<_>>(), [words]);
        awaited.asked("vault", start + SECOND * 6);
        assert!(awaited.take_unreported(start + SECOND * 9, SECOND * 3).is_empty(), "it was reported");
        assert_eq!(awaited.silent(start + SECOND * 9, SECOND * 3)[0].in_short(), "no answer from vault for 9 s");
        awaited.ended("vault", None, start + SECOND * 10);
        assert!(awaited.silent(start + SECOND * 60, SECOND * 3).is_empty(), "it has answered");
        awaited.asked("vault", start + SECOND * 60);
        assert!(awaited.silent(start + SECOND * 61, SECOND * 3).is_empty(), "time without a call is no silence");
        assert_eq!(names(awaited.take_unreported(start + SECOND * 64, SECOND * 3)), ["vault"]);
    }

    #[test]
    fn a_call_that_was_given_up_is_not_awaited() {
        let (mut awaited, start) = (Awaited::default(), Instant::now());
        awaited.asked("vault", start);
        awaited.ended("vault", Some("the time-out passed"), start + SECOND * 10);
        assert_eq!(names(awaited.silent(start + SECOND * 15, SECOND * 3)), ["vault"], "it may be tried again");
        assert!(awaited.silent(start + SECOND * 30, SECOND * 3).is_empty());
    }
}
