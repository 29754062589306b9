//! The rule that leads from a place to an IAM user: `<app>/<environment>` literally, a template, a table, or the answer
//! of AWS.

use std::collections::BTreeMap;

use crate::types::name::UserName;
use crate::types::place::Place;

/// How a place leads to an IAM user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A template with `{app}` and `{environment}`; `"{app}/{environment}"` is the literal default. (Real IAM allows
    /// no `/` in a user name.)
    Template(String),
    /// A table from `<app>/<environment>` to user names. The template applies to what is not in it.
    Table(BTreeMap<String, String>, String),
    /// `iam:GetAccessKeyLastUsed` names the user.
    Aws,
}

/// The default.
pub const LITERAL: &str = "{app}/{environment}";

impl Default for Owner {
    fn default() -> Self {
        Self::Template(LITERAL.to_owned())
    }
}

impl Owner {
    /// Returns the user that a place names. `None`: AWS has to name the user, or the text is not a valid user name.
    #[must_use]
    pub fn of(&self, place: &Place) -> Option<UserName> {
        let by_template =
            |template: &str| template.replace("{app}", place.app()).replace("{environment}", place.environment());
        let text = match self {
            Self::Template(template) => by_template(template),
            Self::Table(table, template) => {
                table.get(place.id.entry.scope()).cloned().unwrap_or_else(|| by_template(template))
            }
            Self::Aws => return None,
        };
        UserName::new(text).ok()
    }

    /// Words the line of the configuration that leads from this place to `user`.
    #[must_use]
    pub fn suggestion(place: &Place, user: Option<&UserName>) -> String {
        let (app, environment) = (place.app(), place.environment());
        match user {
            Some(user) => {
                let template = user.as_str().replace(app, "{app}").replace(environment, "{environment}");
                if template.contains("{app}") && template.contains("{environment}") {
                    format!("[owner] template = \"{template}\"")
                } else {
                    format!("[owner.table] \"{}\" = \"{user}\"", place.id.entry.scope())
                }
            }
            None => "[owner] template = \"{app}-{environment}\"   (or: from = \"aws\")".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::name::{EntryName, StoreName};
    use crate::types::place::{FieldRef, Location};

    fn place() -> Place {
        let spot = FieldRef { entry: EntryName::new("shop/prod/KEY").expect("valid"), location: Location::WholeValue };
        Place { store: StoreName::new("s").expect("valid"), id: spot.clone(), secret: spot }
    }

    #[test]
    fn a_place_leads_to_a_user() {
        let name = |text: &str| UserName::new(text).ok();
        assert_eq!(Owner::default().of(&place()), name("shop/prod"));
        assert_eq!(Owner::Template("svc-{app}-{environment}".to_owned()).of(&place()), name("svc-shop-prod"));
        let table = BTreeMap::from([("shop/prod".to_owned(), "till".to_owned())]);
        assert_eq!(Owner::Table(table, LITERAL.to_owned()).of(&place()), name("till"));
        assert_eq!(Owner::Table(BTreeMap::new(), LITERAL.to_owned()).of(&place()), name("shop/prod"));
        assert_eq!(Owner::Aws.of(&place()), None);
    }

    #[test]
    fn the_suggestion_is_the_line_to_set() {
        let user = UserName::new("prod-shop").expect("valid");
        assert_eq!(Owner::suggestion(&place(), Some(&user)), "[owner] template = \"{environment}-{app}\"");
        let user = UserName::new("till").expect("valid");
        assert_eq!(Owner::suggestion(&place(), Some(&user)), "[owner.table] \"shop/prod\" = \"till\"");
    }
}
