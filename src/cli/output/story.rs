//! One rotation as a story: what happened and when, what comes next, and how to undo it.

use super::columns::Style;
use super::document::RotationShown;
use super::given::with_flags;
use super::look::Look;
use super::paragraph::{paragraph, wrap};
use super::places::places;
use super::printable::printable;
use super::requests::Asked;
use super::rotation_table::{RotationRow, WHAT_CONTINUES, block, reached, sinks_of, under_way};
use super::times;
use crate::journal::line::{Line, Summary};
use crate::rotation::decide::waits::is_shown_by_its_step;
use crate::rotation::event::{Ending, Event, NotDone, Opened, OperatorRequest, Outcome};
use crate::rotation::intent::{AfterDiscard, Intent};
use crate::rotation::record::{NEW_NOT_LISTED, Rotation};
use crate::rotation::state::{Phase, State};
use crate::types::error_text::is_same_matter;
use crate::types::name::AccessKeyId;
use crate::types::shell::quoted;
use crate::types::time::Timestamp;

/// The story of a rotation, from its lines in the journal.
#[must_use]
pub fn story(summary: &Summary, lines: &[Line], look: &Look) -> String {
    let rotation = &summary.rotation;
    let shown = RotationShown::of(summary);
    let row = RotationRow::of(&shown);
    let mut text = headline(rotation, look);
    let zone = look.times.zone();
    let sentences: Vec<(String, String)> =
        sentences(lines).iter().map(|said| (look.times.column(said.at), said.shown(look))).collect();
    // One column for all, also if some are of another day.
    let longest = sentences.iter().map(|(at, _)| at.len()).max().unwrap_or_default();
    let column = if longest > TIME.len() { LONG_COLUMN } else { COLUMN };
    let entry = |when: &str, words: &str| entry(when, words, column, look);
    for (at, words) in &sentences {
        text.push_str(&entry(at, words));
    }
    if let Some(intent) = rotation.state.intent() {
        let words = under_way(intent.name());
        match look.at_work {
            Some(_) => text.push_str(&entry("now", words)),
            None => {
                let words = format!("{words}: the outcome is not known yet; `rotator resume` finds it out");
                text.push_str(&entry("in doubt", &words));
            }
        }
    }
    for asked in &shown.requests_in_words.on_record {
        text.push_str(&entry("on record", asked));
    }
    if let Some(next) = next(rotation, shown.requests_in_words.next, look) {
        text.push_str(&entry("then", &next));
    }
    let is_blocked = matches!(rotation.state, State::Blocked { .. });
    let undo = if is_blocked { Vec::new() } else { undo(rotation) };
    undo.iter().for_each(|(what, how)| text.push_str(&entry(what, how)));
    let when = look.once_it_has_ended().filter(|_| !undo.is_empty() || is_blocked);
    if let Some(when) = when {
        text.push_str(&entry("when", &format!("each of these commands works {when}")));
    }
    text.push_str(&entry("id", &format!("{}; times are in {zone}", rotation.id)));
    if let Some(blocked) = &shown.blocked {
        text.push_str(&block(&row, blocked, true, &rotation.opened.user.to_string(), look));
    } else if let Some(why) = rotation.last_error.as_ref().filter(|_| rotation.waiting_until.is_none()) {
        text.push_str(&format!("\n{}", paragraph(&printable(why), 2, look.width)));
    }
    text.push_str(&sinks_of(&row, look));
    text
}

fn headline(rotation: &Rotation, look: &Look) -> String {
    let state = rotation.state.name();
    let (words, style) = match &rotation.state {
        State::Blocked { reason, .. } => (format!("{state}, BLOCKED: {}", reason.name()), Style::Bad),
        State::Closed { ending: Ending::DeletedOld } => (format!("{state}: rotated"), Style::Good),
        State::Closed { ending: Ending::Aborted | Ending::Gone } => (reached(state), Style::Plain),
        State::Settled { .. } | State::InDoubt { .. } if rotation.abort_asked => {
            (format!("{state}, to be aborted"), Style::Waiting)
        }
        State::Settled { .. } | State::InDoubt { .. } if rotation.waiting_until.is_some() => {
            (format!("{state}, waiting"), Style::Waiting)
        }
        State::Settled { .. } | State::InDoubt { .. } => (format!("{state}, in flight"), Style::Waiting),
    };
    let opened = &rotation.opened;
    let old = &opened.old_key;
    let keys = match &rotation.new_key {
        // With an indent of its own.
        Some(new) if look.width.is_some_and(|width| old.as_str().len() + new.as_str().len() + 6 > width) => {
            format!("{old} ->\n  {new}")
        }
        Some(new) => format!("{old} -> {new}"),
        // No new key is to come.
        None if rotation.is_closed() || rotation.abort_asked => old.to_string(),
        None => format!("{old} -> no new key yet"),
    };
    let user = printable(opened.user.as_str());
    let widths = [user.chars().count(), keys.len(), words.len()];
    let fits =
        |parts: &[usize]| look.width.is_none_or(|width| parts.iter().map(|part| part + 3).sum::<usize>() - 3 <= width);
    let (first, second) = match (fits(&widths), fits(&widths[..2])) {
        (true, _) => ("   ", "   "),
        (false, true) => ("   ", "\n  "),
        (false, false) => ("\n  ", "\n  "),
    };
    format!("{user}{first}{keys}{second}{}\n", look.paint.with(style, &words))
}

/// How wide a time of today is.
const TIME: &str = "04:55:26";

/// The column of the sentences, and the one beside times of other days.
const COLUMN: usize = 12;
const LONG_COLUMN: usize = 20;

/// A line of the story: a time or a word, and a sentence beside it.
fn entry(when: &str, words: &str, column: usize, look: &Look) -> String {
    let width = look.width.map(|width| width.saturating_sub(column));
    let lines = wrap(&with_flags(&printable(words)), width);
    let lines = lines.join(&format!("\n{}", " ".repeat(column)));
    format!("  {when:<width$}{lines}\n", width = column - 2)
}

/// What one or more lines in a row say to an operator.
struct Sentence {
    words: String,
    /// When the first of these lines was written, and the last.
    since: Timestamp,
    at: Timestamp,
    /// How many lines say it.
    times: usize,
}

impl Sentence {
    fn shown(&self, look: &Look) -> String {
        match self.times {
            1 => self.words.clone(),
            times => format!("{} ({times} times since {})", self.words, look.times.column(self.since)),
        }
    }
}

/// What the lines say to an operator. Equal sentences in a row are one.
fn sentences(lines: &[Line]) -> Vec<Sentence> {
    let mut sentences: Vec<Sentence> = Vec::new();
    let mut intended = None;
    let mut seen = "";
    for line in lines {
        if let Event::LookedOnce { seen: now, .. } = &line.event {
            seen = now;
        }
        if let Event::Intended(intent) = &line.event {
            // A look after the delete was sent says nothing about the time before.
            let was_gone = matches!(intent, Intent::DiscardNew { .. }) && seen.contains(NEW_NOT_LISTED);
            intended = Some(Intended { intent, was_gone });
            seen = "";
        }
        let Some(words) = words(&line.event, intended, line.at) else { continue };
        // The answers of servers have ids of their own.
        let has_answer = matches!(&line.event, Event::Deferred { .. } | Event::NotDone(NotDone::Refused(_)));
        let is_again =
            |last: &&mut Sentence| last.words == words || (has_answer && is_same_matter(&last.words, &words));
        match sentences.last_mut().filter(is_again) {
            Some(last) => (last.words, last.at, last.times) = (words, line.at, last.times + 1),
            None => sentences.push(Sentence { words, since: line.at, at: line.at, times: 1 }),
        }
    }
    sentences
}

/// The effect that the lines are about.
#[derive(Clone, Copy)]
struct Intended<'a> {
    intent: &'a Intent,
    /// Whether it deletes a new key that IAM did not list any more.
    was_gone: bool,
}

fn words(event: &Event, intended: Option<Intended<'_>>, at: Timestamp) -> Option<String> {
    let effect = under_way(intended.map_or("an effect", |intended| intended.intent.name()));
    let writes_sink = intended.is_some_and(|intended| matches!(intended.intent, Intent::WriteSink { .. }));
    Some(match event {
        Event::Opened(opened) => began(opened, at),
        Event::Done(Outcome::NewDiscarded { then: AfterDiscard::Abort }) if intended.is_some_and(|it| it.was_gone) => {
            "the new key was not in IAM any more; the old one stays".to_owned()
        }
        Event::Done(outcome) => done(outcome),
        Event::NotDone(NotDone::Refused(refusal)) => format!("{effect}: refused: {}", refusal.message),
        // No one can look at what a sink holds.
        Event::NotDone(NotDone::Seen) if writes_sink => {
            format!("{effect}: its outcome is not known, so it is written again")
        }
        Event::NotDone(NotDone::Seen) => format!("{effect}: it did not happen, as a look showed"),
        // The request is shown.
        Event::Intended(_) | Event::LookedOnce { .. } | Event::SinkLeft { .. } => return None,
        Event::Disowned { key } => format!("the key {key} is not of this rotation, or gone"),
        Event::Renamed { user } => format!("the user is now named {user}"),
        Event::Withheld(denied) => {
            format!(
                "a right is missing ({} on {}): no new key until it is there",
                denied.operation.name(),
                denied.resource
            )
        }
        Event::PlacesAdded { places, .. } => format!("{} more places of the old pair found", places.len()),
        Event::PlacesLeft { places } => format!("{} of these hold another value by now", places.len()),
        Event::Blocked(reason) => format!("BLOCKED: {}", reason.name()),
        Event::Unblocked => "no longer blocked".to_owned(),
        Event::Asked(asked) => match asked {
            OperatorRequest::Abort => "asked to abort".to_owned(),
            OperatorRequest::TakeAbortBack => "took the abort back".to_owned(),
            OperatorRequest::ReactivateOld => "asked to make the old key active again".to_owned(),
            OperatorRequest::DeleteKey { key } => format!("asked to delete {key}"),
            OperatorRequest::KeepKey { key } => format!("asked to keep {key}"),
            OperatorRequest::LeaveSink { sink } => format!("asked not to wait for the sink {sink}"),
        },
        Event::LateKeySeen { key } => format!("the key {key} turned up late; it may be one of a lost create"),
        Event::Deferred { why, until: Some(_) } if is_shown_by_its_step(why) => return None,
        Event::Deferred { why, until: Some(_) } => format!("waits: {why}"),
        Event::Deferred { why, until: None } => format!("failed for now: {why}"),
        Event::Ended { ending, why } => format!("ended ({}): {why}", ending.name()),
    })
}

fn began(opened: &Opened, at: Timestamp) -> String {
    let age = at.since(opened.old_key_created);
    let notes = crate::engine::survey::place_notes(&opened.places);
    format!("opened: the key is {} old, in {}", times::one_unit(age), places(&notes, true))
}

fn done(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Created { key, .. } => format!("new key {key} made"),
        Outcome::FoundCreated { key } => {
            format!("the answer to the create was lost; {key} was found in IAM, and its secret is lost")
        }
        Outcome::Stored { .. } => "the new key works, and is stored in every place; both keys work".to_owned(),
        Outcome::Restored => "the old pair is back in every place".to_owned(),
        Outcome::Fenced { .. } => "made sure that no write from before can still change the store".to_owned(),
        Outcome::SinkAcknowledged { key, .. } => format!("a sink took the pair of {key}"),
        Outcome::OldDeactivated { .. } => "old key off; it can come back".to_owned(),
        Outcome::OldReactivated { .. } => "old key on again".to_owned(),
        Outcome::OldDeleted => "old key deleted".to_owned(),
        Outcome::NewDeactivated { .. } => "new key off, since its secret is lost".to_owned(),
        Outcome::NewReactivated => "new key on again".to_owned(),
        Outcome::NewDiscarded { then: AfterDiscard::CreateAgain } => {
            "deleted that new key; another one is made".to_owned()
        }
        Outcome::NewDiscarded { then: AfterDiscard::Abort } => "deleted the new key; the old one stays".to_owned(),
        Outcome::NamedDeleted { key } => format!("deleted {key}"),
    }
}

/// What comes next by itself.
fn next(rotation: &Rotation, asked: Option<Asked>, look: &Look) -> Option<String> {
    const NO_WAIT: &str = "old key deleted without a wait, once every place holds a new pair that works";
    // A rotation that `rotate --now` opened has neither wait, and so has one of a run without both.
    let policy = &rotation.opened.policy;
    let has_no_waits = policy.overlap.is_zero() && policy.quarantine.is_zero();
    let is_hurried = has_no_waits || rotation.named.contains(&rotation.opened.old_key);
    let phase = match &rotation.state {
        State::Settled { phase } => phase,
        State::InDoubt { phase, .. } if rotation.abort_asked => phase,
        State::InDoubt { phase: Phase::Opened | Phase::CreatedNew { .. }, .. } if is_hurried => {
            return Some(NO_WAIT.to_owned());
        }
        State::InDoubt { .. } | State::Blocked { .. } | State::Closed { .. } => return None,
    };
    let until = rotation.waiting_until;
    let when = until.map(|until| format!("{} ({})", look.times.local(until), look.times.until(until)));
    let quarantine = rotation.opened.policy.quarantine;
    let when = when.unwrap_or_else(|| match look.at_work {
        Some(process) => format!("by the rotator that is at work (pid {process}), or with {WHAT_CONTINUES}"),
        None => format!("with {WHAT_CONTINUES}"),
    });
    match asked {
        Some(Asked::Abort) => return Some(aborted(rotation, phase, &when)),
        Some(Asked::ReactivateOld) => return Some(format!("old key on again {when}")),
        Some(Asked::DeleteOld) => return Some(format!("old key deleted {when}")),
        None => {}
    }
    Some(match phase {
        Phase::Opened | Phase::CreatedNew { .. } if is_hurried => format!("it goes on {when}; {NO_WAIT}"),
        Phase::Opened | Phase::CreatedNew { .. } => format!("it goes on {when}"),
        Phase::StoredNew { .. } if rotation.is_never_deactivated_again() => {
            format!("rotator asks about the old key {when}; both keys stay active until you decide")
        }
        Phase::StoredNew { .. } if quarantine.is_zero() => format!("old key deleted {when}"),
        Phase::StoredNew { .. } => format!("old key off {when}; deleted {} later", times::wait(quarantine)),
        Phase::DeactivatedOld { .. } => format!("old key deleted {when}"),
    })
}

/// What an abort that was asked for removes, and what it leaves.
fn aborted(rotation: &Rotation, phase: &Phase, when: &str) -> String {
    let old = &rotation.opened.old_key;
    let new = |key: &AccessKeyId| match rotation.shows_no_new_key() {
        true => format!("IAM does not list the new key {key} any more"),
        false => format!("the new key {key} is deleted"),
    };
    match phase {
        Phase::Opened => format!("aborted {when}: no new key is left, and the old key {old} stays in every place"),
        Phase::CreatedNew { made } => {
            format!("aborted {when}: {}, and the old key {old} stays in every place", new(&made.key))
        }
        Phase::StoredNew { made, .. } | Phase::DeactivatedOld { made, .. } => {
            format!(
                "aborted {when} if every place holds the old pair again: {}, and the old key {old} stays",
                new(&made.key)
            )
        }
    }
}

/// How to go back, as far as that is possible. To make the old key active again is less: the places keep the new pair.
fn undo(rotation: &Rotation) -> Vec<(&'static str, String)> {
    let user = quoted(rotation.opened.user.as_str());
    let Some(phase) = rotation.state.phase() else { return Vec::new() };
    if rotation.abort_asked {
        let how = match rotation.discards() {
            Some(_) => format!("an abort stays; `rotator rotate {user}` rotates the key afterwards"),
            None => format!("`rotator abort {user} --undo` takes the abort back, and the rotation continues"),
        };
        return vec![("to undo", how)];
    }
    let put_back = format!(
        "put the old pair back into every place yourself, then `rotator resume {user}`, which says how to go on; rotator keeps \
         no copy of the old secret"
    );
    let reactivate = format!("`rotator reactivate {user}` makes it work again; the places keep the new pair");
    let never_off = rotation.opened.policy.quarantine.is_zero() || rotation.named.contains(&rotation.opened.old_key);
    match phase {
        Phase::Opened | Phase::CreatedNew { .. } => vec![("to undo", format!("`rotator abort {user}`"))],
        Phase::StoredNew { .. } if rotation.is_never_deactivated_again() => Vec::new(),
        Phase::StoredNew { .. } if never_off => vec![("to undo", put_back)],
        Phase::StoredNew { .. } => vec![("to undo", put_back), ("old key", format!("once it is off, {reactivate}"))],
        Phase::DeactivatedOld { .. } => vec![("old key", reactivate)],
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::cli::output::columns::Paint;
    use crate::cli::output::times::Times;

    /// A sink is never read.
    #[test]
    fn nothing_is_said_of_a_look_at_a_sink() {
        let at = Timestamp::from_unix_seconds(0);
        let key = AccessKeyId::new("AKIANEWNEWNEWNEWNEW0").expect("valid");
        let said = |intent: &Intent| {
            words(&Event::NotDone(NotDone::Seen), Some(Intended { intent, was_gone: false }), at).expect("shown")
        };
        let of_sink = said(&Intent::WriteSink { sink: 0, key, asked_at: at, until: at });
        assert_eq!(of_sink, "writing to a sink: its outcome is not known, so it is written again");
        assert!(said(&Intent::DeleteOld).ends_with("as a look showed"));
    }

    #[test]
    fn equal_sentences_in_a_row_are_one_with_their_number() {
        let deferred = |why: &str, waits: bool| Event::Deferred {
            why: why.to_owned(),
            until: waits.then(|| Timestamp::from_unix_seconds(1_700_000_000)),
        };
        let events = [
            deferred("IAM is behind", true),
            Event::LookedOnce { at: Timestamp::from_unix_seconds(0), seen: "as expected".to_owned() },
            deferred("IAM is behind", true),
            deferred("IAM is behind", true),
            deferred("AWS answered Throttling (HTTP 400, request id a-1)", false),
            deferred("AWS answered Throttling (HTTP 400, request id b-2)", false),
            deferred("IAM is behind", true),
        ];
        let id = "01a21df5-5a61-76c3-a60a-efe63916d494".parse().expect("valid");
        let at = |second: i64| Timestamp::from_unix_seconds(1_700_000_000 + second);
        let lines = (0..).zip(events).map(|(number, event)| {
            let seq = u64::try_from(number).expect("small");
            Line { rotation: id, seq, at: at(number), event }
        });
        let look = Look {
            paint: Paint(false),
            width: None,
            wide: false,
            times: Times::at(at(10), TimeZone::UTC),
            at_work: None,
        };
        let said = sentences(&lines.collect::<Vec<_>>());
        let said: Vec<(Timestamp, String)> = said.iter().map(|said| (said.at, said.shown(&look))).collect();
        let expected = [
            (at(3), "waits: IAM is behind (3 times since 22:13:20)"),
            (at(5), "failed for now: AWS answered Throttling (HTTP 400, request id b-2) (2 times since 22:13:24)"),
            (at(6), "waits: IAM is behind"),
        ];
        assert_eq!(said, expected.map(|(at, words)| (at, words.to_owned())));
    }
}
