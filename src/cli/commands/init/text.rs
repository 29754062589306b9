//! The content of the new file: the template with the stores that were named or found.

use super::found::Found;

/// The template.
const TEMPLATE: &str = include_str!("rotator.toml");

/// The line of the template that the stores replace.
const STORE: &str = "# store = \"sqlite:secrets.db\"\n";

/// The setting of the template that asks AWS for owners.
const FROM: &str = "from = \"aws\"\n";

/// Stores that `init` cannot look for, with the reason.
const NOT_ASKED: &str = "init contacts no server, so it has not looked into these";

/// The content with these stores.
pub(super) fn with_named(uris: &[String]) -> String {
    let store = match uris {
        [only] => format!("store = {}\n", quoted(only)),
        uris => format!("store = [\n{}]\n", items(uris)),
    };
    TEMPLATE.replacen(STORE, &store, 1)
}

/// The content with what was found.
pub(super) fn with_found(found: &[Found]) -> String {
    let uris: Vec<String> = found.iter().flat_map(|one| one.stores.clone()).collect();
    let mut others: Vec<(&str, Vec<&str>)> =
        found.iter().filter_map(|one| one.comment.as_ref()).map(|(uri, needs)| (*needs, vec![uri.as_str()])).collect();
    others.push((NOT_ASKED, vec!["aws-secretsmanager:", "aws-ssm:/"]));
    let mut store = if uris.is_empty() { STORE.to_owned() } else { format!("store = [\n{}", items(&uris)) };
    for (needs, uris_of) in others {
        let indent = if uris.is_empty() { "" } else { "    " };
        store.push_str(&format!("{indent}# {needs}:\n"));
        for uri in uris_of.into_iter().map(quoted) {
            store.push_str(&if uris.is_empty() { format!("# store = {uri}\n") } else { format!("{indent}# {uri},\n") });
        }
    }
    if !uris.is_empty() {
        store.push_str("]\n");
    }
    TEMPLATE.replacen(STORE, &store, 1)
}

/// The content without the setting that asks AWS for owners, which excludes a template.
pub(super) fn without_owners_of_aws(text: &str) -> String {
    text.replacen(FROM, &format!("# {FROM}"), 1)
}

fn items(uris: &[String]) -> String {
    uris.iter().map(|uri| format!("    {},\n", quoted(uri))).collect()
}

fn quoted(uri: &(impl AsRef<str> + ?Sized)) -> String {
    toml::Value::from(uri.as_ref()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stores(text: &str) -> Option<toml::Value> {
        text.parse::<toml::Table>().expect("valid").get("store").cloned()
    }

    #[test]
    fn each_form_is_valid_toml_with_the_stores_in_it() {
        let one = Found { stores: vec!["file:it's \"x\"".to_owned()], ..Found::default() };
        let two = Found { comment: Some(("vault:MOUNT".to_owned(), "why")), ..Found::default() };
        let text = with_found(&[one, two]);
        assert_eq!(stores(&text), Some(vec!["file:it's \"x\""].into()));
        assert!(text.contains("    # why:\n    # \"vault:MOUNT\",\n"), "{text}");
        assert_eq!(stores(&with_found(&[])), None);
        assert_eq!(stores(&with_named(&["sqlite:a".to_owned()])), Some("sqlite:a".into()));
        let two = ["sqlite:a".to_owned(), "file:b".to_owned()];
        assert_eq!(stores(&with_named(&two)), Some(vec!["sqlite:a", "file:b"].into()));
        let table: toml::Table = without_owners_of_aws(&text).parse().expect("valid");
        assert!(table["owner"].as_table().is_some_and(toml::Table::is_empty), "no owner is set");
    }
}
