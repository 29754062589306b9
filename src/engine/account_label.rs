//! How messages name an account and a rotation.

use crate::rotation::record::Rotation;
use crate::types::name::AccountId;

/// The rotation in a message, by its user and its old key. Its id says nothing to an operator.
#[must_use]
pub fn called(rotation: &Rotation) -> String {
    format!("the rotation of {} ({})", rotation.opened.user, rotation.opened.old_key)
}

/// The configured name and number of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Label {
    pub name: Option<String>,
    pub id: Option<AccountId>,
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.name, &self.id) {
            (Some(name), Some(id)) => write!(f, "{name} ({id})"),
            (Some(name), None) => f.write_str(name),
            (None, Some(id)) => write!(f, "{id}"),
            (None, None) => f.write_str("of the credentials in use"),
        }
    }
}
