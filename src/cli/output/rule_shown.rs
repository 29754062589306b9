//! A rule of the configuration, as the JSON document of `plan` shows it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::engine::survey::choice::RuleName;

/// A rule of the configuration.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Rule")]
pub struct RuleShown {
    /// Its number, from 1.
    pub number: usize,
    /// Its patterns.
    #[serde(rename = "match")]
    pub patterns: Vec<String>,
}

impl RuleShown {
    pub(super) fn of(name: &RuleName) -> Self {
        Self { number: name.number, patterns: name.patterns.clone() }
    }
}
