//! A printed policy.

use serde_json::Value;

/// A printed document, and the purpose of each of its parts.
pub(super) struct Document {
    pub(super) document: Value,
    pub(super) remarks: Vec<String>,
}
