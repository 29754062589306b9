//! The tables for operators, and the notes below them.

use std::collections::{BTreeMap, HashMap};

use super::document::{
    BlockShown, Counts, Document, DueShown, FollowerShown, PlanDocument, RotationShown, SinkShown, SkippedShown,
};
use super::terminal::printable;
use crate::journal::campaign::{LeftAloneNote, PlaceNote};
use crate::journal::overview::InShort;
use crate::types::name::{AccessKeyId, AccountId, RotationId, SinkName, UserName};
use crate::types::time::Timestamp;

/// Whether to use colours.
#[derive(Debug, Clone, Copy)]
pub struct Paint(pub bool);

impl Paint {
    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// How users are named: with their account if there are several.
#[derive(Clone, Copy)]
struct Whose {
    several: bool,
}

impl Whose {
    fn of<'a>(mut accounts: impl Iterator<Item = &'a AccountId>) -> Self {
        let first = accounts.next();
        Self { several: accounts.any(|other| Some(other) != first) }
    }

    fn name(self, user: &UserName, account: &AccountId) -> String {
        if self.several { format!("{user} in {account}") } else { user.to_string() }
    }
}

/// What the table shows of a rotation.
pub struct RotationRow<'a> {
    pub id: RotationId,
    pub account: &'a AccountId,
    pub user: &'a UserName,
    pub old_key_id: &'a AccessKeyId,
    pub new_key_id: Option<&'a AccessKeyId>,
    pub state: &'a str,
    pub in_doubt: Option<&'a str>,
    pub blocked: Option<&'a BlockShown>,
    pub waiting_until: Option<Timestamp>,
    pub last_error: Option<&'a str>,
    pub sinks: &'a [SinkShown],
}

impl<'a> RotationRow<'a> {
    #[must_use]
    pub fn of(rotation: &'a RotationShown) -> Self {
        Self {
            id: rotation.id,
            account: &rotation.account,
            user: &rotation.user,
            old_key_id: &rotation.old_key_id,
            new_key_id: rotation.new_key_id.as_ref(),
            state: rotation.state,
            in_doubt: rotation.in_doubt,
            blocked: rotation.blocked.as_ref(),
            waiting_until: rotation.waiting_until,
            last_error: rotation.last_error.as_deref(),
            sinks: &rotation.sinks,
        }
    }

    #[must_use]
    pub fn in_short(rotation: &'a InShort) -> Self {
        Self {
            id: rotation.id,
            account: &rotation.account,
            user: &rotation.user,
            old_key_id: &rotation.old_key,
            new_key_id: rotation.new_key.as_ref(),
            state: &rotation.state,
            in_doubt: rotation.in_doubt.as_deref(),
            blocked: None,
            waiting_until: rotation.waiting_until,
            last_error: rotation.last_error.as_deref(),
            sinks: &[],
        }
    }
}

/// The rotations of a document as a table.
#[must_use]
pub fn rotations(document: &Document, paint: Paint) -> String {
    rotation_rows(&document.rotations.iter().map(RotationRow::of).collect::<Vec<_>>(), paint)
}

/// The rotations as a table, with the reasons of blocks, waits and failures below it.
#[must_use]
pub fn rotation_rows(rotations: &[RotationRow<'_>], paint: Paint) -> String {
    if rotations.is_empty() {
        return String::new();
    }
    let whose = Whose::of(rotations.iter().map(|rotation| rotation.account));
    let rows = rotations.iter().map(|rotation| {
        [
            rotation.id.to_string(),
            whose.name(rotation.user, rotation.account),
            rotation.old_key_id.to_string(),
            rotation.new_key_id.map_or("-", |key| key.as_str()).to_owned(),
            state(rotation),
        ]
    });
    let mut text = columns(["ROTATION", "USER", "OLD KEY", "NEW KEY", "STATE"], rows, paint);
    text.push_str(&notes(rotations, whose, paint));
    text.push_str(&sinks(rotations, whose));
    text
}

/// The last acknowledged write of each sink.
fn sinks(rotations: &[RotationRow<'_>], whose: Whose) -> String {
    let mut lines: BTreeMap<(&SinkName, &str), Vec<String>> = BTreeMap::new();
    for (rotation, sink) in
        rotations.iter().flat_map(|rotation| rotation.sinks.iter().map(move |sink| (rotation, sink)))
    {
        let has_new = sink.acknowledged_key_id.is_some() && sink.acknowledged_key_id.as_ref() == rotation.new_key_id;
        let what = match (sink.left, has_new, rotation.state) {
            (true, ..) => "is not waited for any more, for",
            (false, true, _) => "took the new pair of",
            (false, false, "aborted" | "gone") if sink.acknowledged_key_id.is_some() => "took the old pair back of",
            (false, false, "stored-new" | "deactivated-old") => "has not taken the new pair of",
            (false, false, _) => continue,
        };
        let user = whose.name(rotation.user, rotation.account);
        lines.entry((&sink.follower.sink, what)).or_default().push(user);
    }
    let mut text = String::new();
    for (number, ((sink, what), users)) in lines.into_iter().enumerate() {
        let space = if number == 0 { "\n" } else { "" };
        text.push_str(&format!("{space}sink {} {what} {}\n", printable(sink.as_str()), printable(&in_short(users))));
    }
    text
}

/// The first names, and the number of the others.
fn in_short(mut names: Vec<String>) -> String {
    let more = names.len().saturating_sub(MOST_NAMED);
    names.truncate(MOST_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", names.join(", "))
}

fn state(rotation: &RotationRow<'_>) -> String {
    let mut state = rotation.state.to_owned();
    if let Some(intent) = rotation.in_doubt {
        state.push_str(&format!(", {intent} in doubt"));
    }
    if let Some(blocked) = &rotation.blocked {
        state.push_str(&format!(", blocked: {}", blocked.reason));
    } else if let Some(until) = rotation.waiting_until {
        state.push_str(&format!(", waits until {until}"));
    }
    state
}

/// The maximum number of users that one line names.
const MOST_NAMED: usize = 5;

/// The notes below the table: a paragraph for each block, then a line for each other reason, with its users.
fn notes(rotations: &[RotationRow<'_>], whose: Whose, paint: Paint) -> String {
    let mut text = String::new();
    let mut lines: Vec<(&str, &str, Vec<&RotationRow<'_>>)> = Vec::new();
    let mut numbers: HashMap<(&str, &str), usize> = HashMap::new();
    for rotation in rotations {
        if let Some(blocked) = &rotation.blocked {
            let user = whose.name(rotation.user, rotation.account);
            let (word, user) = (paint.red("blocked"), printable(&user));
            let (message, command) = (printable(&blocked.message), printable(&blocked.command));
            text.push_str(&format!("\n{word} {user}: {message}\n  {command}\n"));
            continue;
        }
        let Some(why) = rotation.last_error else { continue };
        let kind = match (rotation.waiting_until, rotation.state) {
            (None, "deleted-old") => continue,
            (Some(_), _) => "waiting",
            (None, state @ ("aborted" | "gone")) => state,
            (None, _) => "last error",
        };
        let number = *numbers.entry((kind, why)).or_insert(lines.len());
        match lines.get_mut(number) {
            Some((_, _, rotations)) => rotations.push(rotation),
            None => lines.push((kind, why, vec![rotation])),
        }
    }
    for (number, (kind, why, rotations)) in lines.into_iter().enumerate() {
        let name = |rotation: &&RotationRow<'_>| whose.name(rotation.user, rotation.account);
        let named = in_short(rotations.iter().map(name).collect());
        let space = if number == 0 { "\n" } else { "" };
        text.push_str(&format!("{space}{kind} {}: {}\n", printable(&named), printable(why)));
    }
    text
}

/// One line with the number of rotations of each kind.
#[must_use]
pub fn counts(counts: Counts) -> String {
    let Counts { in_flight, waiting, blocked, done, aborted, gone, needs_operator } = counts;
    let mut parts = Vec::new();
    for (number, what) in [(done, "rotated"), (in_flight, "in flight"), (aborted, "aborted"), (gone, "gone")] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
        if what == "in flight" && (waiting > 0 || blocked > 0) {
            let some = [(waiting, "waiting"), (blocked, "blocked")];
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
    parts.join(", ")
}

/// The keys that `run` would rotate, and each one that it would skip with the reason.
#[must_use]
pub fn plan(plan: &PlanDocument, paint: Paint) -> String {
    let mut text = due(&plan.due, paint);
    if !plan.skipped.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&paint.bold("skipped:"));
        text.push('\n');
        text.push_str(&skipped(&plan.skipped));
    }
    text
}

/// The due keys as a table.
#[must_use]
pub fn due(due: &[DueShown], paint: Paint) -> String {
    if due.is_empty() {
        return String::new();
    }
    let whose = Whose::of(due.iter().map(|due| &due.account));
    let rows = due.iter().map(|due| {
        [whose.name(&due.user, &due.account), due.key_id.to_string(), due.created.to_string(), entries(&due.places)]
    });
    let mut text = columns(["USER", "KEY", "CREATED", "ENTRIES"], rows, paint);
    for FollowerShown { sink, follows } in due.iter().flat_map(|due| &due.sinks) {
        text.push_str(&format!("sink {} follows {}\n", printable(sink.as_str()), printable(follows)));
    }
    text
}

/// The skipped keys, each with its reason.
#[must_use]
pub fn skipped(notes: &[SkippedShown]) -> String {
    notes
        .iter()
        .map(|note| {
            let key = note.key_id.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
            let named = format!("{}{key}", entries(&note.places));
            format!("  {}: {}\n", printable(named.trim_start()), printable(&note.message))
        })
        .collect()
}

/// The skipped keys that need an operator in full, and the number of the others for each reason.
#[must_use]
pub fn skipped_in_short(notes: &[LeftAloneNote]) -> String {
    let (due, others): (Vec<_>, Vec<_>) = notes.iter().partition(|note| note.due);
    let mut text = String::new();
    if !due.is_empty() {
        let due: Vec<SkippedShown> = due.into_iter().map(SkippedShown::of).collect();
        text.push_str(&format!("due but not rotated, each needs an operator:\n{}", skipped(&due)));
    }
    let mut by_reason: BTreeMap<&str, usize> = BTreeMap::new();
    for note in others {
        *by_reason.entry(note.reason.name()).or_default() += 1;
    }
    if !by_reason.is_empty() {
        let reasons: Vec<_> = by_reason.iter().map(|(reason, number)| format!("{number} {reason}")).collect();
        text.push_str(&format!("skipped: {} (`rotator plan` says which, and why)\n", reasons.join(", ")));
    }
    text
}

fn entries(places: &[PlaceNote]) -> String {
    let mut names: Vec<String> = places
        .iter()
        .map(|place| {
            if place.location == "whole value" {
                place.entry.clone()
            } else {
                format!("{} {}", place.entry, place.location)
            }
        })
        .collect();
    names.dedup();
    names.join(", ")
}

/// The number of bytes that few cells exceed. Reserved memory that no cell needs is never written.
const USUAL_CELL: usize = 32;

fn columns<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>, paint: Paint) -> String {
    let mut widths = head.map(str::len);
    // All cells are in one text, since a thousand rows of strings take half a megabyte. The numbers of bytes and of
    // characters of each cell are kept.
    let most = rows.size_hint().0;
    let (mut cells, mut sizes) = (String::with_capacity(most * N * USUAL_CELL), Vec::with_capacity(most));
    for row in rows {
        let mut number = 0;
        sizes.push(row.map(|cell| {
            let cell = printable(&cell);
            cells.push_str(&cell);
            let length = width_of(&cell);
            widths[number] = length.max(widths[number]);
            number += 1;
            (cell.len(), length)
        }));
    }
    let mut line = String::new();
    add_line(&mut line, head.iter().map(|cell| (*cell, cell.len())), &widths);
    let mut text = paint.bold(&line) + "\n";
    text.reserve(sizes.len() * widths.iter().map(|width| width + 2).sum::<usize>());
    let mut rest = cells.as_str();
    for row in &sizes {
        let row = row.map(|(bytes, length)| {
            let (cell, others) = rest.split_at(bytes);
            rest = others;
            (cell, length)
        });
        add_line(&mut text, row.into_iter(), &widths);
        text.push('\n');
    }
    text
}

/// The number of characters.
fn width_of(cell: &str) -> usize {
    if cell.is_ascii() { cell.len() } else { cell.chars().count() }
}

/// Adds a line of cells, each with its number of characters, without space at the end.
fn add_line<'a>(text: &mut String, cells: impl Iterator<Item = (&'a str, usize)>, widths: &[usize]) {
    let start = text.len();
    for ((cell, length), width) in cells.zip(widths) {
        text.push_str(cell);
        text.extend(std::iter::repeat_n(' ', width.saturating_sub(length) + 2));
    }
    let end = text.get(start..).map_or(start, |line| start + line.trim_end().len());
    text.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_harmless() {
        let rows = [["a".to_owned(), "x\u{1b}y".to_owned()], ["longer".to_owned(), "z".to_owned()]];
        let text = columns(["ONE", "TWO"], rows.into_iter(), Paint(false));
        assert_eq!(text, "ONE     TWO\na       x\\u{1b}y\nlonger  z\n");
    }

    #[test]
    fn counts_are_one_line() {
        assert_eq!(counts(Counts::default()), "nothing in flight");
        let some = Counts { in_flight: 3, waiting: 1, blocked: 1, done: 2, aborted: 0, gone: 0, needs_operator: 1 };
        assert_eq!(counts(some), "2 rotated, 3 in flight (1 waiting, 1 blocked), 1 needs an operator");
        let none = Counts { needs_operator: 2, ..Counts::default() };
        assert_eq!(counts(none), "nothing in flight, 2 need an operator");
    }
}
