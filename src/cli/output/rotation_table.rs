//! The table of rotations: which step each has reached and what comes next; below it the reasons, and what to run.

use std::collections::{BTreeMap, HashMap};

use super::columns::{Cell, Fold, Style, columns};
use super::document::{BlockShown, Document, RotationShown, SinkShown};
use super::look::Look;
use super::paragraph::paragraph;
use super::printable::printable;
use super::requests::{Asked, Requests};
use super::times::Times;
use crate::journal::overview::InShort;
use crate::rotation::decide::waits::{OVERLAP, OVERLAP_THEN_DELETE, QUARANTINE, is_shown_by_its_step};
use crate::types::name::{AccessKeyId, AccountId, RotationId, SinkName, UserName};
use crate::types::shell::quoted;
use crate::types::time::Timestamp;

/// How users are named: with their account if there are several.
#[derive(Clone, Copy)]
pub(super) struct Whose {
    several: bool,
}

impl Whose {
    pub(super) fn of<'a>(mut accounts: impl Iterator<Item = &'a AccountId>) -> Self {
        let first = accounts.next();
        Self { several: accounts.any(|other| Some(other) != first) }
    }

    pub(super) fn name(self, user: &UserName, account: &AccountId) -> String {
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
    /// Why it waits, or what failed last.
    pub last_error: Option<&'a str>,
    pub sinks: &'a [SinkShown],
    /// What an operator asked for and is not done yet.
    pub requests: Option<&'a Requests>,
    /// When it ended, in a list of what has ended.
    pub ended_at: Option<Timestamp>,
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
            last_error: rotation.waiting_for.as_deref().or(rotation.last_error.as_deref()),
            sinks: &rotation.sinks,
            requests: Some(&rotation.requests_in_words),
            ended_at: None,
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
            // The columns of the journal show no rotation in short that has one.
            requests: None,
            ended_at: None,
        }
    }

    /// What comes next at the request of an operator.
    fn asked(&self) -> Option<Asked> {
        self.requests.and_then(|requests| requests.next)
    }

    fn is_closed(&self) -> bool {
        matches!(self.state, "deleted-old" | "aborted" | "gone")
    }

    /// Blocked rotations come first, then those in flight, then the closed ones.
    fn rank(&self) -> u8 {
        match (self.blocked, self.is_closed()) {
            (Some(_), _) => 0,
            (None, false) => 1,
            (None, true) => 2,
        }
    }
}

/// The number of rotations that have ended well and get a row, where there are more.
const MOST_DONE: usize = 20;

/// The rotations of a document as a table, those that have ended with their time and both keys: a user may have several.
#[must_use]
pub fn rotations(document: &Document, look: &Look) -> String {
    let row = |rotation| {
        let row = RotationRow::of(rotation);
        RotationRow { ended_at: row.is_closed().then_some(rotation.updated_at), ..row }
    };
    rotation_rows(document.rotations.iter().map(row).collect(), look)
}

/// The rotations as a table, with the reasons of blocks, waits and failures below it.
#[must_use]
pub fn rotation_rows(mut rotations: Vec<RotationRow<'_>>, look: &Look) -> String {
    if rotations.is_empty() {
        return String::new();
    }
    rotations.sort_by_key(|rotation| {
        (rotation.rank(), rotation.user, rotation.account, rotation.ended_at, rotation.old_key_id, rotation.id)
    });
    let whose = Whose::of(rotations.iter().map(|rotation| rotation.account));
    let done = rotations.iter().filter(|rotation| rotation.state == "deleted-old").count();
    let left_out = done.saturating_sub(MOST_DONE);
    let mut to_leave_out = left_out;
    // The last rows are of the rotations that have ended.
    let shown = rotations.iter().rev().filter(|rotation| {
        let is_left_out = to_leave_out > 0 && rotation.state == "deleted-old";
        to_leave_out -= usize::from(is_left_out);
        !is_left_out
    });
    let shown: Vec<&RotationRow<'_>> = shown.collect();
    let shown = shown.into_iter().rev();
    let mut text = if look.wide { wide(shown, whose, look) } else { short(shown, whose, look) };
    if left_out > 0 {
        text.push_str(&format!("… and {left_out} more rotated (`rotator status --all` lists every one)\n"));
    }
    text.push_str(&notes(&rotations, whose, look));
    text.push_str(&sinks(&rotations, whose, look));
    text
}

fn short<'r>(rows: impl Iterator<Item = &'r RotationRow<'r>>, whose: Whose, look: &Look) -> String {
    let rows = rows.map(|rotation| {
        let style = style(rotation);
        [
            Cell::from(whose.name(rotation.user, rotation.account)),
            Cell::new(style, step(rotation)),
            Cell::from(next(rotation, look)),
        ]
    });
    columns(["USER", "STEP", "NEXT"], [Fold::Last, Fold::First, Fold::First], rows, look.paint, look.width)
}

/// The table with the ids and the names of the states. Where it is wider than the terminal, each rotation has a line for each
/// column: neither an id nor a word is cut.
fn wide<'r>(rows: impl Iterator<Item = &'r RotationRow<'r>>, whose: Whose, look: &Look) -> String {
    let rows = rows.map(|rotation| {
        [
            Cell::from(rotation.id.to_string()),
            Cell::from(whose.name(rotation.user, rotation.account)),
            Cell::from(rotation.old_key_id.to_string()),
            Cell::from(rotation.new_key_id.map_or("-", |key| key.as_str())),
            Cell::new(style(rotation), state(rotation, &look.times)),
        ]
    });
    let folds = [Fold::Never, Fold::Never, Fold::Never, Fold::Never, Fold::First];
    columns(["ROTATION", "USER", "OLD KEY", "NEW KEY", "STATE"], folds, rows, look.paint, look.width)
}

fn style(rotation: &RotationRow<'_>) -> Style {
    match (rotation.blocked, rotation.state) {
        (Some(_), _) => Style::Bad,
        (None, "deleted-old") => Style::Good,
        (None, "aborted" | "gone") => Style::Plain,
        (None, _) if rotation.waiting_until.is_none() && rotation.last_error.is_some() => Style::Bad,
        (None, _) => Style::Waiting,
    }
}

/// The state, and what holds or happens in it, in words.
fn step(rotation: &RotationRow<'_>) -> String {
    match (rotation.blocked, rotation.in_doubt) {
        (Some(blocked), _) => format!("BLOCKED  {}", blocked.reason),
        (None, Some(intent)) => format!("{}: {}", rotation.state, under_way(intent)),
        // None is to come.
        (None, None) if rotation.asked() == Some(Asked::Abort) && rotation.state == "opened" => {
            "opened: no new key".to_owned()
        }
        (None, None) => reached(rotation.state),
    }
}

/// A state, and what holds in it.
pub(super) fn reached(state: &str) -> String {
    let words = match state {
        "opened" => "no new key yet",
        "created-new" => "not stored yet",
        "stored-new" => "both keys work",
        "deactivated-old" => "old key off",
        "deleted-old" => "rotated",
        "aborted" => "old key kept",
        "gone" => "no user or no key",
        other => return other.to_owned(),
    };
    format!("{state}: {words}")
}

/// The effect that is under way, or whose outcome is not known.
pub(super) fn under_way(intent: &str) -> &str {
    match intent {
        "create-new" => "making the new key",
        "store-new" => "storing the new key",
        "restore-old" => "putting the old key back",
        "fence-store" => "waiting out late writes",
        "write-sink" => "writing to a sink",
        "deactivate-old" => "turning the old key off",
        "reactivate-old" => "turning the old key on",
        "delete-old" => "deleting the old key",
        "deactivate-new" => "turning the new key off",
        "reactivate-new" => "turning the new key on",
        "discard-new" => "discarding the new key",
        "delete-named" => "deleting a key",
        other => other,
    }
}

/// What comes next, and when.
fn next(rotation: &RotationRow<'_>, look: &Look) -> String {
    let times = &look.times;
    if rotation.blocked.is_some() {
        return "see below".to_owned();
    }
    if rotation.is_closed() {
        let new = rotation.new_key_id.filter(|_| rotation.state == "deleted-old");
        if let Some(at) = rotation.ended_at {
            let new = new.map(|key| format!(" -> {key}")).unwrap_or_default();
            return format!("{} {}{new}", times.column(at), rotation.old_key_id);
        }
        return new.map(|key| format!("new key {key}")).unwrap_or_default();
    }
    if let Some(asked) = rotation.asked() {
        let asked = asked.in_short();
        return match (rotation.waiting_until, rotation.last_error) {
            (Some(until), _) if until > times.now() => format!("{asked}, next {}", times.until(until)),
            (None, Some(_)) => format!("{asked}, see below"),
            (Some(_) | None, _) => format!("{asked}: {}", now(look)),
        };
    }
    match (rotation.waiting_until, rotation.in_doubt, rotation.last_error) {
        (Some(until), ..) if until <= times.now() => format!("now: {}", now(look)),
        (Some(until), ..) => format!("{} {}", to_come(rotation.last_error), times.until(until)),
        (None, _, Some(_)) => "failed for now, see below".to_owned(),
        (None, Some(_), None) if look.at_work.is_some() => "in progress".to_owned(),
        (None, Some(_), None) => "outcome not known yet".to_owned(),
        (None, _, None) => now(look).to_owned(),
    }
}

/// What continues a rotation that can go on now. A rotator that is at work may advance others only.
fn now(look: &Look) -> &'static str {
    if look.at_work.is_some() { "a rotator is at work" } else { "rotator resume" }
}

/// What follows the usual waits.
fn to_come(why: Option<&str>) -> &'static str {
    match why {
        Some(OVERLAP) => "old key off",
        Some(OVERLAP_THEN_DELETE) => "old key deleted",
        Some(QUARANTINE) => "deleted",
        Some(_) | None => "goes on",
    }
}

/// The sinks of one rotation.
pub(super) fn sinks_of(rotation: &RotationRow<'_>, look: &Look) -> String {
    sinks(std::slice::from_ref(rotation), Whose { several: false }, look)
}

/// The last acknowledged write of each sink.
fn sinks(rotations: &[RotationRow<'_>], whose: Whose, look: &Look) -> String {
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
        let line = format!("sink {} {what} {}", printable(sink.as_str()), printable(&in_short(users)));
        text.push_str(&format!("{space}{}", paragraph(&line, 2, look.width)));
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

fn state(rotation: &RotationRow<'_>, times: &Times) -> String {
    let mut state = rotation.state.to_owned();
    if let Some(intent) = rotation.in_doubt {
        state.push_str(&format!(", {intent} in doubt"));
    }
    if let Some(blocked) = &rotation.blocked {
        state.push_str(&format!(", blocked: {}", blocked.reason));
    } else if let Some(until) = rotation.waiting_until {
        state.push_str(&format!(", waits until {}", times.local(until)));
    }
    if let Some(at) = rotation.ended_at {
        state.push_str(&format!(" at {}", times.local(at)));
    }
    if let Some(asked) = rotation.asked() {
        state.push_str(&format!(", {}", asked.in_short()));
    }
    state
}

/// What continues the rotations in flight.
pub(super) const WHAT_CONTINUES: &str = "the next `rotator run` or `rotator resume`";

/// The maximum number of users that one line names.
const MOST_NAMED: usize = 5;

/// The notes below the table: a paragraph for each block, then a line for each other reason, with its users.
fn notes(rotations: &[RotationRow<'_>], whose: Whose, look: &Look) -> String {
    let mut text = String::new();
    let mut lines: Vec<(&str, &str, Vec<&RotationRow<'_>>)> = Vec::new();
    let mut numbers: HashMap<(&str, &str), usize> = HashMap::new();
    let mut of_user: HashMap<&UserName, usize> = HashMap::new();
    for rotation in rotations.iter().filter(|rotation| !rotation.is_closed()) {
        *of_user.entry(rotation.user).or_default() += 1;
    }
    for rotation in rotations {
        if let Some(blocked) = rotation.blocked {
            let is_only_one = of_user.get(rotation.user) == Some(&1);
            let user = whose.name(rotation.user, rotation.account);
            text.push_str(&block(rotation, blocked, is_only_one, &user, look));
            continue;
        }
        // The column says it all of the usual waits.
        let Some(why) = rotation.last_error.filter(|why| !is_shown_by_its_step(why)) else { continue };
        let kind = match (rotation.waiting_until, rotation.state) {
            (None, "deleted-old") => continue,
            (Some(_), _) => "waiting",
            (None, state @ ("aborted" | "gone")) => state,
            (None, _) => "failed for now",
        };
        let number = *numbers.entry((kind, why)).or_insert(lines.len());
        match lines.get_mut(number) {
            Some((_, _, rotations)) => rotations.push(rotation),
            None => lines.push((kind, why, vec![rotation])),
        }
    }
    let lines = lines.into_iter().map(|(kind, why, rotations)| {
        let name = |rotation: &&RotationRow<'_>| whose.name(rotation.user, rotation.account);
        let named = in_short(rotations.iter().map(name).collect());
        format!("{kind} {}: {}", printable(&named), printable(why))
    });
    let on_record = rotations.iter().flat_map(|rotation| on_record(rotation, whose));
    for (number, line) in lines.chain(on_record).enumerate() {
        let space = if number == 0 { "\n" } else { "" };
        text.push_str(&format!("{space}{}", paragraph(&line, 2, look.width)));
    }
    text
}

/// The requests of operators that are not carried out yet, and what does it.
fn on_record(rotation: &RotationRow<'_>, whose: Whose) -> Vec<String> {
    let user = whose.name(rotation.user, rotation.account);
    let of_block = if rotation.blocked.is_some() { ", once the block is resolved," } else { "" };
    let line = |asked: &String| format!("on record {}: {asked}; {WHAT_CONTINUES}{of_block} does it", printable(&user));
    rotation.requests.map(|requests| requests.on_record.iter().map(line).collect()).unwrap_or_default()
}

/// The reason of a block, and the command that resolves it.
pub(super) fn block(
    rotation: &RotationRow<'_>,
    blocked: &BlockShown,
    is_only_one: bool,
    user: &str,
    look: &Look,
) -> String {
    let message = format!("blocked {}: {}", printable(user), printable(&blocked.message));
    let text = paragraph(&message, 2, look.width);
    let coloured = look.paint.with(Style::Bad, "blocked");
    let text = format!("{coloured}{}", text.strip_prefix("blocked").unwrap_or(&text));
    // A user with one rotation names it, and is easier to type than an id.
    let command = match is_only_one {
        true => blocked.command.replace(&rotation.id.to_string(), &quoted(rotation.user.as_str())),
        false => blocked.command.clone(),
    };
    let command = paragraph(&format!("  {}", printable(&command)), 0, look.width);
    format!("\n{text}{command}  see {}\n", blocked.docs)
}

#[cfg(test)]
mod tests;
