//! How messages name an account.

use crate::types::name::AccountId;

/// What is known of an account before it is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Label {
    /// What people call it.
    pub name: Option<String>,
    /// Its number.
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
