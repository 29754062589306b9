//! The `[[rule]]` tables. What a rule leaves out comes from `[policy]`, and a flag counts for every key.

use super::file::{PolicyTable, RuleTable};
use super::layers::{Layers, Origin};
use super::values::{self, compiled};
use crate::cli::error::CliError;
use crate::engine::survey::rules::{Exclusion, Rule, Terms};

/// Reads the rules. `terms`: those of every other key.
pub(super) fn read(
    tables: &[RuleTable],
    policy: &PolicyTable,
    terms: &Terms,
    layers: &Layers,
) -> Result<Vec<Rule>, CliError> {
    let of_rule = |(at, table): (usize, &RuleTable)| one(at + 1, table, policy, terms, layers);
    tables.iter().enumerate().map(of_rule).collect()
}

fn one(
    number: usize,
    table: &RuleTable,
    policy: &PolicyTable,
    terms: &Terms,
    layers: &Layers,
) -> Result<Rule, CliError> {
    let called = format!("[[rule]] {number}");
    let from = layers.origin("", "rule").map_or_else(String::new, |origin| format!(" in {origin}"));
    if !table.exclude && (table.reason.is_some() || table.until.is_some()) {
        return Err(CliError::usage(
            format!("{called}{from} has a reason or an `until`, and does not exclude its keys"),
            "add exclude = true, or remove them",
        ));
    }
    let has_flag = |key: &str| matches!(layers.origin("policy", key), Some(Origin::Flag(_)));
    let own = |key: &str, time| Option::filter(time, |_| !has_flag(key)).map(|time: super::forms::Time| time.0);
    let overlap = own("overlap", table.overlap).unwrap_or(terms.policy.overlap);
    let quarantine = own("quarantine", table.quarantine).unwrap_or(terms.policy.quarantine);
    let unused_for = match table.unused_for.filter(|_| !has_flag("unused_for")) {
        Some(unused) => unused.0,
        None => terms.unused_for,
    };
    Ok(Rule {
        number,
        keys: compiled(&table.keys, &called, &format!("{called}{from}"))?,
        terms: Terms {
            older_than: own("older_than", table.older_than).unwrap_or(terms.older_than),
            again: terms.again,
            is_named: false,
            unused_for,
            policy: values::policy_with(policy, overlap, quarantine)?,
        },
        exclusion: table
            .exclude
            .then(|| Exclusion { reason: table.reason.clone(), until: table.until.map(|until| until.0) }),
    })
}
