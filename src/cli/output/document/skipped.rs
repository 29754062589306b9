//! What was skipped, in the JSON documents of `run` and `plan`.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::last_used::LastUsedShown;
use super::super::rule_shown::RuleShown;
use super::super::schema::{PlaceShown, Time};
use crate::discovery::SkipReason;
use crate::engine::survey::ConfirmedKey;
use crate::journal::campaign::{LeftAloneNote, NoteDetail, PlaceNote};
use crate::types::name::{AccessKeyId, AccountId, UserName};
use crate::types::time::Timestamp;

/// A key or an entry that was skipped.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Skipped")]
pub struct SkippedShown {
    /// The key, if its id is known.
    #[schemars(with = "Option<String>")]
    pub key_id: Option<AccessKeyId>,
    /// The places of the key.
    #[schemars(with = "Vec<PlaceShown>")]
    pub places: Vec<PlaceNote>,
    /// What IAM said about the key, if `plan` asked.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<ConfirmedShown>,
    /// A stable name.
    pub reason: String,
    /// A text for operators.
    pub message: String,
    /// Whether the key is due, so that an operator is needed.
    pub needs_operator: bool,
    /// The section of the manual about the reason, if this build knows the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub docs: Option<String>,
    /// The account and the user, and what the message says in fields. The text uses them.
    #[serde(skip)]
    #[schemars(skip)]
    pub whose: Option<(AccountId, UserName)>,
    #[serde(skip)]
    #[schemars(skip)]
    pub detail: Option<NoteDetail>,
    /// The rule that decides about the key, in a plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RuleShown")]
    pub rule: Option<RuleShown>,
}

/// What IAM said about a skipped key.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ConfirmedShown {
    /// The number of the AWS account.
    #[schemars(with = "String")]
    pub account: AccountId,
    /// The IAM user of the key.
    #[schemars(with = "String")]
    pub user: UserName,
    /// The creation time of the key in IAM.
    #[schemars(with = "Time")]
    pub created: Timestamp,
    /// When its age will make it due, if it is not due yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Time")]
    pub due_at: Option<Timestamp>,
    /// The last use of the key, or null if IAM was not asked or did not answer.
    pub last_used: Option<LastUsedShown>,
}

impl ConfirmedShown {
    pub(super) fn of(key: &ConfirmedKey) -> Self {
        let ConfirmedKey { account, user, created, due_at, last_use } = key.clone();
        Self { account, user, created, due_at, last_used: last_use.as_ref().map(LastUsedShown::of) }
    }
}

impl SkippedShown {
    #[must_use]
    pub fn of(note: &LeftAloneNote) -> Self {
        let LeftAloneNote { key_id, places, reason, message, due, whose, detail } = note;
        Self {
            key_id: key_id.clone(),
            places: places.clone(),
            confirmed: None,
            needs_operator: *due,
            docs: reason.known().map(SkipReason::docs_section),
            rule: None,
            whose: whose.clone(),
            detail: detail.clone(),
            reason: reason.name().to_owned(),
            message: message.clone(),
        }
    }
}
