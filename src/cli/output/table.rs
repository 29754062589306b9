//! The words below the tables: what was counted, and what was skipped.

use std::collections::BTreeMap;

use super::columns::Style;
use super::document::{Counts, SkippedShown};
use super::given;
use super::look::Look;
use super::paragraph::paragraph;
use super::places::places;
use super::printable::printable;
use super::rotation_table::Whose;
use super::{second_keys, unused_keys};
use crate::discovery::SkipReason;
use crate::journal::campaign::{LeftAloneNote, NoteDetail};
use crate::journal::overview::ClosedCounts;

/// One line with the number of rotations of each kind. `ready`: of those that wait for a time, how many have reached it.
#[must_use]
pub fn counts(counts: Counts, ready: usize) -> String {
    let Counts { in_flight, waiting, blocked, done, aborted, gone, needs_operator, unused } = counts;
    let waiting = waiting.saturating_sub(ready);
    let mut parts = Vec::new();
    for (number, what) in [(done, "rotated"), (in_flight, "in flight"), (aborted, "aborted"), (gone, "gone")] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
        if what == "in flight" && waiting + ready + blocked > 0 {
            let some = [(ready, "can go on now"), (waiting, "waiting"), (blocked, "blocked")];
            let some: Vec<_> = some.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
            if let Some(last) = parts.last_mut() {
                last.push_str(&format!(" ({})", some.join(", ")));
            }
        }
    }
    if parts.is_empty() {
        parts.push("nothing in flight".to_owned());
    }
    match needs_operator {
        0 => {}
        1 => parts.push("1 needs an operator".to_owned()),
        _ => parts.push(format!("{needs_operator} need an operator")),
    }
    if unused > 0 {
        parts.push(format!("{unused} unused"));
    }
    parts.join(", ")
}

/// The closed rotations of the latest campaign, where they are not `shown` as those of the command.
#[must_use]
pub fn campaign(of_campaign: ClosedCounts, shown: Counts) -> Option<String> {
    let ClosedCounts { done, aborted, gone } = of_campaign;
    if (done, aborted, gone) == (shown.done, shown.aborted, shown.gone) || done + aborted + gone == 0 {
        return None;
    }
    let closed = Counts { done, aborted, gone, ..Counts::default() };
    Some(format!("the latest campaign so far: {}", counts(closed, 0)))
}

/// Where the manual says more about the reason.
pub(super) fn see(note: &SkippedShown) -> String {
    note.docs.as_ref().map(|section| format!(" (see {section})")).unwrap_or_default()
}

/// The skipped keys, each with its reason. What holds for several of them is said once.
#[must_use]
pub fn skipped<'n>(notes: impl Iterator<Item = &'n SkippedShown>, look: &Look) -> String {
    let notes: Vec<&SkippedShown> = notes.collect();
    let whose = Whose::of(notes.iter().filter_map(|note| note.whose.as_ref()).map(|(account, _)| account));
    let mut text = String::new();
    let mut calls: Vec<(&str, &NoteDetail)> = Vec::new();
    for note in &notes {
        match &note.detail {
            Some(detail @ NoteDetail::FailedCall { action, denied }) => {
                let call = (note.reason.as_str(), detail);
                if !calls.contains(&call) {
                    calls.push(call);
                    let of_it = |other: &&&SkippedShown| {
                        (other.reason.as_str(), other.detail.as_ref()) == (call.0, Some(call.1))
                    };
                    text.push_str(&failed_call(note, notes.iter().filter(of_it).count(), (action, *denied), look));
                }
            }
            Some(NoteDetail::OtherKey(_) | NoteDetail::Unused { .. } | NoteDetail::Unknown) | None => {
                text.push_str(&in_short("  ", note, whose, look).unwrap_or_else(|| one(note, look)));
            }
        }
    }
    text.extend(for_all(&notes, 2, look));
    text
}

/// The places of a note, and its key.
fn named(note: &SkippedShown) -> String {
    let key = note.key_id.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
    format!("{}{key}", places(&note.places, true)).trim_start().to_owned()
}

/// A note with its message.
fn one(note: &SkippedShown, look: &Look) -> String {
    let see = if note.needs_operator { see(note) } else { String::new() };
    paragraph(&format!("  {}: {}{see}", printable(&named(note)), printable(&note.message)), 2, look.width)
}

/// What holds for all keys about which a call failed: it is no matter of the single key.
fn failed_call(first: &SkippedShown, keys: usize, (action, denied): (&str, bool), look: &Look) -> String {
    if keys == 1 {
        return one(first, look);
    }
    let why = match denied {
        true => format!("AWS denies {action} to the credentials in use"),
        false => format!("the call {action} failed"),
    };
    let (named, message) = (named(first), &first.message);
    let text =
        format!("  {keys} keys: {why}; the first of them, {}: {}{}", printable(&named), printable(message), see(first));
    paragraph(&text, 2, look.width)
}

/// A note in short, where what holds for several keys is said once, by [`for_all`].
pub(super) fn in_short(head: &str, note: &SkippedShown, whose: Whose, look: &Look) -> Option<String> {
    let (account, user) = note.whose.as_ref()?;
    let called = whose.name(user, account);
    let lines = match note.detail.as_ref()? {
        NoteDetail::OtherKey(other) => {
            let where_ = (note.reason == SkipReason::SecondActiveKey.name()).then_some("in no store");
            second_keys::own(&called, user, other, where_, &look.times)
        }
        NoteDetail::Unused { created, used, own_proof } => {
            unused_keys::own(&called, (user, note.key_id.as_ref()?), (*created, used, *own_proof), &look.times)
        }
        NoteDetail::FailedCall { .. } | NoteDetail::Unknown => return None,
    };
    Some(headed(head, &lines, look))
}

/// These lines as a paragraph that begins with `head`. The later ones are indented by four.
fn headed(head: &str, lines: &[String], look: &Look) -> String {
    let own = head.len() - head.trim_start_matches(' ').len();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let (head, indent) = if number == 0 { (head, 4 - own.min(4)) } else { ("    ", 0) };
        text.push_str(&paragraph(&format!("{head}{}", printable(line)), indent, look.width));
    }
    text
}

/// What holds for those of these notes that are shown in short: a paragraph for each kind, indented by `own`.
pub(super) fn for_all(notes: &[&SkippedShown], own: usize, look: &Look) -> Vec<String> {
    let has = |of_kind: fn(&NoteDetail) -> bool| notes.iter().filter_map(|note| note.detail.as_ref()).any(of_kind);
    let two_keys = has(|detail| matches!(detail, NoteDetail::OtherKey(_))).then_some(second_keys::FOR_ALL);
    let unused = has(|detail| matches!(detail, NoteDetail::Unused { .. })).then_some(unused_keys::FOR_ALL);
    let texts = two_keys.into_iter().chain(unused);
    texts.map(|text| paragraph(&format!("{}{text}", " ".repeat(own)), 2, look.width)).collect()
}

/// The skipped keys that need an operator in full, and the number of the others for each reason. `by_latest_run`: an earlier
/// command left them alone, so flags that are named are not of this command.
#[must_use]
pub fn skipped_in_short(notes: &[LeftAloneNote], by_latest_run: bool, look: &Look) -> String {
    let (due, others): (Vec<_>, Vec<_>) = notes.iter().partition(|note| note.due);
    let mut text = String::new();
    if !due.is_empty() {
        let due: Vec<SkippedShown> = due.into_iter().map(SkippedShown::of).collect();
        let heading = look.paint.with(Style::Bad, "not rotated, each needs an operator:");
        text.push_str(&format!("{heading}\n{}", skipped(due.iter(), look)));
    }
    let mut by_reason: BTreeMap<String, usize> = BTreeMap::new();
    for note in others {
        *by_reason.entry(reason_in_short(note, by_latest_run)).or_default() += 1;
    }
    if !by_reason.is_empty() {
        let reasons: Vec<_> = by_reason.iter().map(|(reason, number)| format!("{number} {reason}")).collect();
        let reasons = reasons.join(", ");
        let line = match by_latest_run {
            true => format!("skipped by the latest `rotator run`: {reasons} (`rotator plan` shows every key)"),
            false => format!("skipped: {reasons} (`rotator plan{}` says which, and why)", given::for_plan()),
        };
        text.push_str(&paragraph(&line, 2, look.width));
    }
    text
}

/// The name of the reason, or what left the key out.
fn reason_in_short(note: &LeftAloneNote, by_latest_run: bool) -> String {
    let name = note.reason.name();
    let left_out = note.message.strip_prefix("left out by ").filter(|_| name == SkipReason::Excluded.name());
    match left_out {
        Some("--only") if by_latest_run => "not chosen by its --only".to_owned(),
        Some("--exclude") if by_latest_run => "left out by its --exclude".to_owned(),
        Some(by @ ("--only" | "[policy] only")) => format!("not chosen by {by}"),
        Some(by @ ("--exclude" | "[policy] exclude")) => format!("left out by {by}"),
        // A rule may give a reason of any length.
        Some(_) | None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::cli::output::columns::Paint;
    use crate::cli::output::times::Times;
    use crate::journal::campaign::NotedReason;
    use crate::types::time::Timestamp;

    #[test]
    fn what_only_did_not_choose_is_not_called_excluded() {
        let note = |message: &str| LeftAloneNote {
            key_id: None,
            places: Vec::new(),
            reason: NotedReason::Known(SkipReason::Excluded),
            message: message.to_owned(),
            due: false,
            whose: None,
            detail: None,
        };
        let notes =
            ["left out by --only", "left out by --only", "left out by [policy] exclude", "left out by [[rule]] 1"];
        let look = Look {
            paint: Paint(false),
            width: None,
            wide: false,
            at_work: None,
            times: Times::at(Timestamp::from_unix_seconds(0), TimeZone::UTC),
        };
        let text = skipped_in_short(&notes.map(note), false, &look);
        let words = "skipped: 1 excluded, 1 left out by [policy] exclude, 2 not chosen by --only (";
        assert!(text.starts_with(words), "{text}");
    }

    #[test]
    fn counts_are_one_line() {
        assert_eq!(counts(Counts::default(), 0), "nothing in flight");
        let some =
            Counts { in_flight: 3, waiting: 1, blocked: 1, done: 2, aborted: 0, gone: 0, needs_operator: 1, unused: 4 };
        assert_eq!(
            counts(some, 1),
            "2 rotated, 3 in flight (1 can go on now, 1 blocked), 1 needs an operator, 4 unused",
            "nothing waits for a time that has come"
        );
        assert_eq!(counts(some, 0), "2 rotated, 3 in flight (1 waiting, 1 blocked), 1 needs an operator, 4 unused");
        let none = Counts { needs_operator: 2, ..Counts::default() };
        assert_eq!(counts(none, 0), "nothing in flight, 2 need an operator");
    }

    #[test]
    fn the_numbers_of_the_campaign_are_named_where_they_are_not_those_of_the_command() {
        let of_campaign = ClosedCounts { done: 13, aborted: 1, gone: 0 };
        let own = Counts { done: 4, in_flight: 2, ..Counts::default() };
        let words = campaign(of_campaign, own);
        assert_eq!(words.as_deref(), Some("the latest campaign so far: 13 rotated, 1 aborted"));
        assert_eq!(campaign(of_campaign, Counts { done: 13, aborted: 1, ..own }), None);
        assert_eq!(campaign(ClosedCounts::default(), own), None);
    }
}
