//! Values that are named beside them and not by their own key: `{"name": "AWS_ACCESS_KEY_ID", "value": "…"}`, as in the
//! `env` of a container, and `{"access_key_id": {"value": "…"}}`, as Terraform prints its outputs.

use std::collections::BTreeMap;

use super::field::{Field, Group};

/// The key of a value in such an object, and the keys that may hold its name; in small letters, without separators.
const NAMES_OF: [(&str, &[&str]); 5] = [
    ("value", &["name", "key", "variable", "optionname", "parametername", "envname"]),
    ("parametervalue", &["parameterkey", "parametername"]),
    ("secretvalue", &["secretname", "name"]),
    ("val", &["name", "key"]),
    ("content", &["name", "key"]),
];

/// Gives each such value the name that is written beside it. The value joins the group around its object, because all
/// objects of a list belong together.
pub(super) fn name(fields: &mut [Field]) {
    let mut siblings: BTreeMap<(Group, String), String> = BTreeMap::new();
    for field in fields.iter() {
        if let (Some(name), Ok(text)) = (&field.name, &field.text)
            && NAMES_OF.iter().any(|(_, names)| names.contains(&plain(name).as_str()))
        {
            siblings.insert((field.group.clone(), plain(name)), text.to_string());
        }
    }
    for field in fields {
        let Some(own) = field.name.as_deref().map(plain) else { continue };
        let Some((_, names)) = NAMES_OF.iter().find(|(value, _)| *value == own) else { continue };
        let Some(outer) = field.group.outer() else { continue };
        let beside = names.iter().find_map(|name| siblings.get(&(field.group.clone(), (*name).to_owned())));
        let around = || field.group.last().filter(|last| !last.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(name) = beside.cloned().or_else(around) {
            field.name = Some(name);
            field.group = outer;
        }
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    /// The name and the group of each text that is no name itself.
    fn told(text: &str) -> Vec<(String, Group)> {
        let mut fields = json::fields(text).expect("JSON");
        name(&mut fields);
        let values = fields.into_iter().filter(|field| field.text.as_ref().is_ok_and(|text| text.starts_with("v ")));
        values.map(|field| (field.name.unwrap_or_default(), field.group)).collect()
    }

    #[test]
    fn the_name_beside_a_value_is_its_name() {
        let group = |pointer: &str| Group::at(pointer.to_owned());
        for (text, name, group) in [
            (r#"{"env":[{"name":"A","value":"v "}]}"#, "A", group("/env")),
            (r#"{"env":[{"value":"v ","name":"A"}]}"#, "A", group("/env")),
            (r#"[{"Name":"A","Value":"v "}]"#, "A", group("")),
            (r#"[{"ParameterKey":"A","ParameterValue":"v "}]"#, "A", group("")),
            (r#"[{"Namespace":"n","OptionName":"A","Value":"v "}]"#, "A", group("")),
            (r#"{"A":{"sensitive":true,"value":"v "}}"#, "A", group("")),
            // Nothing names these.
            (r#"[{"value":"v "}]"#, "value", group("/0")),
            (r#"{"value":"v "}"#, "value", group("")),
            (r#"{"a":{"name":"A","other":"v "}}"#, "other", group("/a")),
        ] {
            assert_eq!(told(text), [(name.to_owned(), group)], "{text}");
        }
    }
}
