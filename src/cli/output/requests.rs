//! What an operator asked of a rotation and is not done yet, in the words of `status` and in its document.

use schemars::JsonSchema;
use serde::Serialize;

use crate::rotation::record::Rotation;
use crate::rotation::state::Phase;
use crate::types::name::AccessKeyId;

/// What comes next at the request of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The rotation is given up.
    Abort,
    /// The old key, which every place has replaced, is deleted without a wait.
    DeleteOld,
    /// The old key is made active again.
    ReactivateOld,
}

impl Asked {
    /// What the column of the next step begins with.
    #[must_use]
    pub const fn in_short(self) -> &'static str {
        match self {
            Self::Abort => "being undone",
            Self::DeleteOld => "deletion asked for",
            Self::ReactivateOld => "old key to come back",
        }
    }
}

/// The requests of operators that a rotation has not carried out yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests {
    /// The one that changes what comes next.
    pub next: Option<Asked>,
    /// All but an abort, each as a sentence: that changes every other word about the rotation.
    pub on_record: Vec<String>,
}

impl Requests {
    /// The requests of this rotation. A closed one has none.
    #[must_use]
    pub fn of(rotation: &Rotation) -> Self {
        let Some(phase) = rotation.state.phase() else { return Self::default() };
        let old = &rotation.opened.old_key;
        let is_off = matches!(phase, Phase::DeactivatedOld { .. });
        let is_stored = is_off || matches!(phase, Phase::StoredNew { .. });
        let comes_back = comes_back(rotation, phase);
        let next = match () {
            () if rotation.abort_asked => Some(Asked::Abort),
            () if comes_back => Some(Asked::ReactivateOld),
            () if is_stored && rotation.named.contains(old) => Some(Asked::DeleteOld),
            () => None,
        };
        let back = comes_back.then(|| format!("the old key {old} is to be made active again"));
        let deleted = rotation.named.iter().map(|key| if key == old { without_a_wait(key) } else { once_checked(key) });
        Self { next, on_record: back.into_iter().chain(deleted).collect() }
    }
}

/// A request of an operator that is not done yet, in a document.
#[derive(Debug, Serialize, JsonSchema, PartialEq, Eq)]
#[schemars(rename = "Request")]
pub struct RequestShown {
    /// `abort`, `reactivate` or `delete-key`.
    pub request: &'static str,
    /// The key that is to be active again or deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub key_id: Option<AccessKeyId>,
}

impl RequestShown {
    /// The requests of this rotation. A closed one has none.
    #[must_use]
    pub fn of(rotation: &Rotation) -> Vec<Self> {
        let Some(phase) = rotation.state.phase() else { return Vec::new() };
        let abort = rotation.abort_asked.then_some(Self { request: "abort", key_id: None });
        let old = || Some(rotation.opened.old_key.clone());
        let back = comes_back(rotation, phase).then(|| Self { request: "reactivate", key_id: old() });
        let deleted = rotation.named.iter().map(|key| Self { request: "delete-key", key_id: Some(key.clone()) });
        abort.into_iter().chain(back).chain(deleted).collect()
    }
}

/// Whether an old key that was turned off is to be active again.
const fn comes_back(rotation: &Rotation, phase: &Phase) -> bool {
    matches!(phase, Phase::DeactivatedOld { .. }) && rotation.reactivate_asked
}

/// The request to delete an old key.
#[must_use]
pub fn without_a_wait(old: &AccessKeyId) -> String {
    format!("{old} is to be deleted without a wait, as soon as every place holds a new pair that works")
}

/// The request to delete another key.
#[must_use]
pub fn once_checked(key: &AccessKeyId) -> String {
    format!("{key} is to be deleted, once the checks of a removal pass")
}
