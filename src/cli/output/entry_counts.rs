//! The number of entries of each store. A store with a wrong name is often an empty one, so an empty store is a
//! warning.

use std::collections::BTreeMap;

use super::terminal::Terminal;
use crate::types::name::StoreName;

/// The warning for an empty store.
pub(in crate::cli) const EMPTY: &str = "it has no entries: check its name, and that rotator may list what is there";

/// The number with its noun, such as "3 entries".
#[must_use]
pub(in crate::cli) fn count(number: usize) -> String {
    match number {
        1 => "1 entry".to_owned(),
        _ => format!("{number} entries"),
    }
}

/// Prints the number of entries of every store on stderr; an empty store is a warning.
pub(in crate::cli) fn say(entries: &BTreeMap<StoreName, usize>, terminal: Terminal) {
    for (store, number) in entries {
        match number {
            0 => terminal.warn(&format!("warning: {store}: {EMPTY}")),
            _ => terminal.say(&format!("{store}: {}", count(*number))),
        }
    }
}
