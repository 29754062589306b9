//! How many entries each store has: a store that was named wrong is often one with nothing in it.

use std::collections::BTreeMap;

use super::terminal::Terminal;
use crate::types::name::StoreName;

/// What is said of a store that has none.
pub(in crate::cli) const EMPTY: &str = "it has no entries: check its name, and that rotator may list what is there";

/// "3 entries".
#[must_use]
pub(in crate::cli) fn count(number: usize) -> String {
    match number {
        1 => "1 entry".to_owned(),
        _ => format!("{number} entries"),
    }
}

/// Says it of every store on stderr; an empty one is a warning.
pub(in crate::cli) fn say(entries: &BTreeMap<StoreName, usize>, terminal: Terminal) {
    for (store, number) in entries {
        match number {
            0 => terminal.warn(&format!("warning: {store}: {EMPTY}")),
            _ => terminal.say(&format!("{store}: {}", count(*number))),
        }
    }
}
