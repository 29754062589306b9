//! The table of `plan`: every key that was found, whether it is due, and why not.

use std::collections::BTreeMap;

use super::columns::{Cell, Fold, Style, columns};
use super::document::{DueShown, FollowerShown, PlanDocument, SkippedShown};
use super::last_used::LastUsedShown;
use super::look::Look;
use super::paragraph::paragraph;
use super::places::{in_short, places};
use super::printable::printable;
use super::rotation_table::Whose;
use super::rule_shown::RuleShown;
use super::table;
use super::times::{self, Times};
use crate::cli::config;
use crate::discovery::SkipReason;
use crate::journal::campaign::PlaceNote;
use crate::types::name::{AccountId, UserName};
use crate::types::time::Timestamp;

/// The due keys as a table.
#[must_use]
pub fn due(due: &[DueShown], look: &Look) -> String {
    if due.is_empty() {
        return String::new();
    }
    let whose = Whose::of(due.iter().map(|due| &due.account));
    let several_stores = have_several_stores(due.iter().flat_map(|due| &due.places));
    let rows: Vec<Row<'_>> = due.iter().map(|due| Row::of_due(due, several_stores)).collect();
    let mut text = rows_as_table(&rows, whose, look);
    for FollowerShown { sink, follows } in due.iter().flat_map(|due| &due.sinks) {
        text.push_str(&format!("sink {} follows {}\n", printable(sink.as_str()), printable(in_short(follows))));
    }
    text
}

/// All keys that were found, with the reasons below, and the skipped entries without a key.
#[must_use]
pub fn plan(plan: &PlanDocument, look: &Look) -> String {
    let due_places = plan.due.iter().flat_map(|due| &due.places);
    let several_stores = have_several_stores(due_places.chain(plan.skipped.iter().flat_map(|note| &note.places)));
    let (keys, others): (Vec<_>, Vec<_>) = plan.skipped.iter().partition(|note| note.confirmed.is_some());
    let mut rows: Vec<Row<'_>> = keys.iter().filter_map(|note| Row::of_skipped(note, several_stores, look)).collect();
    rows.extend(plan.due.iter().map(|due| Row::of_due(due, several_stores)));
    rows.sort_by_key(|row| (row.rank, row.user, row.account, row.key));
    let mut number = 0;
    for row in &mut rows {
        if row.note.is_some() {
            number += 1;
            row.number = Some(number);
        }
    }
    let whose = Whose::of(rows.iter().map(|row| row.account));
    let mut text = if rows.is_empty() { String::new() } else { rows_as_table(&rows, whose, look) };
    for FollowerShown { sink, follows } in plan.due.iter().flat_map(|due| &due.sinks) {
        text.push_str(&format!("sink {} follows {}\n", printable(sink.as_str()), printable(in_short(follows))));
    }
    for row in &rows {
        if let (Some(number), Some(note)) = (row.number, row.note) {
            let in_full = || {
                let user = whose.name(row.user, row.account);
                let message = format!("({number}) {user}, {}: {}{}", note.reason, note.message, table::see(note));
                paragraph(&printable(&message), 4, look.width)
            };
            let shown = table::in_short(&format!("({number}) "), note, whose, look).unwrap_or_else(in_full);
            text.push_str(&format!("\n{shown}"));
        }
    }
    let notes: Vec<&SkippedShown> = rows.iter().filter_map(|row| row.note).collect();
    text.extend(table::for_all(&notes, 0, look).into_iter().map(|paragraph| format!("\n{paragraph}")));
    let (left_out, others): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|note| note.reason == SkipReason::Excluded.name());
    let mut by_reason: BTreeMap<&str, usize> = BTreeMap::new();
    for note in left_out {
        *by_reason.entry(note.message.as_str()).or_default() += 1;
    }
    for (reason, number) in by_reason {
        let keys = if number == 1 { "1 key is".to_owned() } else { format!("{number} keys are") };
        let space = if text.is_empty() { "" } else { "\n" };
        text.push_str(&format!("{space}{}", paragraph(&printable(&format!("{keys} {reason}")), 2, look.width)));
    }
    if !others.is_empty() {
        let space = if text.is_empty() { "" } else { "\n" };
        text.push_str(&format!("{space}{}\n", look.paint.with(Style::Bold, "skipped:")));
        text.push_str(&table::skipped(others.into_iter(), look));
    }
    text
}

/// Warns that old keys are deleted at once.
#[must_use]
pub fn warning_at_once(due: &[DueShown]) -> Option<String> {
    let at_once = due.iter().filter(|due| due.overlap.is_zero() && due.quarantine.is_zero()).count();
    config::warning_at_once(at_once, due.len())
}

/// The steps of the keys that are due, with their times, as `run` would take them now.
#[must_use]
pub fn steps(due: &[DueShown], times: &Times) -> Vec<String> {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for due in due {
        let words = steps_of(due, times);
        match groups.iter_mut().find(|(other, _)| *other == words) {
            Some((_, users)) => users.push(due.user.as_str()),
            None => groups.push((words, vec![due.user.as_str()])),
        }
    }
    let whom = |users: &[&str], is_only| match (users, is_only) {
        ([one], _) => (*one).to_owned(),
        ([_, ..], true) => "each due key".to_owned(),
        ([first, others @ ..], false) => format!("{first} and {} more", others.len()),
        ([], _) => String::new(),
    };
    let is_only = groups.len() == 1;
    groups.iter().map(|(words, users)| format!("{}: {words}", printable(&whom(users, is_only)))).collect()
}

fn steps_of(due: &DueShown, times: &Times) -> String {
    let DueShown { overlap, quarantine, .. } = due;
    let deleted = times.now().plus(*overlap).plus(*quarantine);
    match (overlap.is_zero(), quarantine.is_zero()) {
        (true, true) => "new key now; the old key is deleted as soon as the new one is stored and works".to_owned(),
        (false, true) => format!(
            "new key now; both keys work for {}; then the old key is deleted ({})",
            times::wait(*overlap),
            times.local(deleted)
        ),
        (true, false) => format!(
            "new key now; then the old key is off for {}, and deleted on {}",
            times::wait(*quarantine),
            times.date_to_come(deleted)
        ),
        (false, false) => format!(
            "new key now; both keys work for {}; then the old key is off for {}, and deleted on {}",
            times::wait(*overlap),
            times::wait(*quarantine),
            times.date_to_come(deleted)
        ),
    }
}

/// The order of the rows.
const NEEDS_OPERATOR: u8 = 0;
const DUE: u8 = 1;
const NOT_DUE: u8 = 2;

struct Row<'a> {
    rank: u8,
    account: &'a AccountId,
    user: &'a UserName,
    key: &'a str,
    created: Timestamp,
    last_used: Option<&'a LastUsedShown>,
    due: String,
    place: String,
    note: Option<&'a SkippedShown>,
    number: Option<usize>,
}

impl<'a> Row<'a> {
    fn of_due(due: &'a DueShown, several_stores: bool) -> Self {
        Self {
            rank: DUE,
            account: &due.account,
            user: &due.user,
            key: due.key_id.as_str(),
            created: due.created,
            last_used: due.last_used.as_ref(),
            due: with_rule("now".to_owned(), due.rule.as_ref()),
            place: places(&due.places, several_stores),
            note: None,
            number: None,
        }
    }

    fn of_skipped(note: &'a SkippedShown, several_stores: bool, look: &Look) -> Option<Self> {
        let (confirmed, key) = (note.confirmed.as_ref()?, note.key_id.as_ref()?);
        let (rank, due) = match confirmed.due_at {
            _ if note.needs_operator => (NEEDS_OPERATOR, "needs you".to_owned()),
            Some(at) => (NOT_DUE, look.times.until_short(at)),
            None => (NOT_DUE, note.reason.clone()),
        };
        Some(Self {
            rank,
            account: &confirmed.account,
            user: &confirmed.user,
            key: key.as_str(),
            created: confirmed.created,
            last_used: confirmed.last_used.as_ref(),
            due: with_rule(due, note.rule.as_ref()),
            place: places(&note.places, several_stores),
            // The column says it all of a key that is only too young.
            note: (note.reason != SkipReason::NotDue.name()).then_some(note),
            number: None,
        })
    }
}

/// The rule that decides about the key, if there is one.
fn with_rule(due: String, rule: Option<&RuleShown>) -> String {
    match rule {
        Some(rule) => format!("{due}, rule {}", rule.number),
        None => due,
    }
}

/// The last use is a column where IAM was asked for one.
fn rows_as_table(rows: &[Row<'_>], whose: Whose, look: &Look) -> String {
    let cells = rows.iter().map(|row| {
        let style = match row.rank {
            NEEDS_OPERATOR => Style::Bad,
            DUE => Style::Waiting,
            _ => Style::Plain,
        };
        let number = row.number.map(|number| format!(" ({number})")).unwrap_or_default();
        (
            [
                Cell::from(whose.name(row.user, row.account)),
                Cell::from(row.key),
                Cell::from(look.times.age(row.created)),
            ],
            Cell::from(row.last_used.map_or_else(|| "-".to_owned(), |used| last_used(used, &look.times))),
            [
                Cell::new(style, format!("{}{number}", row.due)),
                Cell::from(if row.place.is_empty() { "no store" } else { row.place.as_str() }),
            ],
        )
    });
    let (never, first, below) = (Fold::Never, Fold::First, Fold::Below);
    if rows.iter().any(|row| row.last_used.is_some()) {
        let cells = cells.map(|([user, key, age], used, [due, place])| [user, key, age, used, due, place]);
        let folds = [Fold::Last, never, never, first, first, below];
        return columns(["USER", "KEY", "AGE", "LAST USED", "DUE", "WHERE"], folds, cells, look.paint, look.width);
    }
    let cells = cells.map(|([user, key, age], _, [due, place])| [user, key, age, due, place]);
    columns(
        ["USER", "KEY", "AGE", "DUE", "WHERE"],
        [Fold::Last, never, never, first, below],
        cells,
        look.paint,
        look.width,
    )
}

fn last_used(used: &LastUsedShown, times: &Times) -> String {
    let Some(at) = used.at else { return "never".to_owned() };
    let service = if used.by_rotator { Some("rotator") } else { used.service.as_deref() };
    let service = service.map(|service| format!(" ({service})")).unwrap_or_default();
    format!("{}{service}", times.ago(at))
}

fn have_several_stores<'a>(mut places: impl Iterator<Item = &'a PlaceNote>) -> bool {
    let Some(first) = places.next() else { return false };
    places.any(|other| other.store != first.store)
}
