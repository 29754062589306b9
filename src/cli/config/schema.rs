//! The JSON Schema of rotator.toml, made from the types that read the file. It describes the documented forms. The file
//! may also have a number or a boolean in quotes.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use super::file::File;

/// The schema in draft 7 without references, which the editors' TOML plugins understand.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let settings = settings.with_transform(RecursiveTransform(without_null));
    settings.into_generator().into_root_schema_for::<File>().to_value()
}

/// Removes `null`, which TOML does not have: a setting without a value is left out of the file.
fn without_null(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
    if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    let Some(Value::Array(forms)) = schema.get_mut("anyOf") else { return };
    forms.retain(|form| form["type"] != "null");
    if let [Value::Object(only)] = &forms[..] {
        let only = only.clone();
        schema.remove("anyOf");
        for (key, value) in only {
            if schema.get(&key).is_none() {
                schema.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::super::file::{AccountTable, AwsTable, OwnerTable, PolicyTable, RuleTable, SinkTable, StoreTable};
    use super::super::layers::{Layers, settings};
    use super::super::read::keys_of;
    use super::*;
    use crate::cli::config::Config;
    use crate::cli::host_env::HostEnv;

    fn read(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Checks a value against the keywords that the schema uses; another keyword is an error.
    fn check(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let keywords = schema.as_object().ok_or_else(|| format!("{at}: no schema"))?;
        for (keyword, rule) in keywords {
            let fits = match (keyword.as_str(), value) {
                ("$schema" | "title" | "description" | "default" | "format" | "pattern", _) => true,
                ("type", _) => {
                    let kinds = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                    kinds.iter().any(|kind| match kind.as_str().expect("a type") {
                        "string" => value.is_string(),
                        "integer" => value.is_i64() || value.is_u64(),
                        "number" => value.is_number(),
                        "boolean" => value.is_boolean(),
                        "array" => value.is_array(),
                        "object" => value.is_object(),
                        other => panic!("{at}: the type {other}"),
                    })
                }
                ("enum", _) => rule.as_array().expect("a list").contains(value),
                ("minimum", Value::Number(number)) => number.as_f64() >= rule.as_f64(),
                ("maximum", Value::Number(number)) => number.as_f64() <= rule.as_f64(),
                ("required", Value::Object(table)) => {
                    rule.as_array().expect("a list").iter().all(|key| table.contains_key(key.as_str().expect("a key")))
                }
                ("properties", Value::Object(table)) => {
                    for (key, value) in table {
                        if let Some(schema) = rule.get(key) {
                            check(schema, value, &format!("{at}.{key}"))?;
                        }
                    }
                    true
                }
                ("additionalProperties", Value::Object(table)) if rule == &Value::Bool(false) => {
                    table.keys().all(|key| schema["properties"].get(key).is_some())
                }
                ("additionalProperties", Value::Object(table)) => {
                    table.values().try_for_each(|value| check(rule, value, at)).map(|()| true)?
                }
                ("items", Value::Array(items)) => {
                    items.iter().try_for_each(|item| check(rule, item, at)).map(|()| true)?
                }
                ("anyOf", _) => rule.as_array().expect("a list").iter().any(|schema| check(schema, value, at).is_ok()),
                ("minimum" | "maximum" | "required" | "properties" | "additionalProperties" | "items", _) => true,
                (other, _) => panic!("{at}: this test does not know the keyword {other}"),
            };
            if !fits {
                return Err(format!("{at}: {value} does not fit {keyword}: {rule}"));
            }
        }
        Ok(())
    }

    fn host() -> HostEnv {
        let variables = vec![("HOME".to_owned(), "/home/me".to_owned())];
        HostEnv { variables, folder: PathBuf::from("/"), ..HostEnv::default() }
    }

    fn fits(text: &str) -> Result<(), String> {
        let value: Value = toml::from_str(text).map_err(|error| error.to_string())?;
        check(&schema(), &value, "rotator.toml")
    }

    /// Every block of TOML in the documents, and the file that `init` writes, with and without its comments.
    #[test]
    fn each_example_fits_the_schema_and_is_read() {
        let template = read("src/cli/commands/init/rotator.toml");
        let is_setting = |line: &&str| line.contains(" = ") || line.starts_with('[');
        let uncommented: Vec<&str> = template
            .lines()
            .map(|line| line.strip_prefix("# ").filter(|rest| is_setting(rest)).unwrap_or(line))
            .collect();
        let mut examples = vec![("init".to_owned(), uncommented.join("\n")), ("init".to_owned(), template)];
        let pages = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).expect("docs");
        let pages = pages.map(|page| format!("docs/{}", page.expect("a page").file_name().to_string_lossy()));
        for page in pages.filter(|page| page.ends_with(".md")).chain(["README.md".to_owned()]) {
            let text = read(&page);
            let blocks = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
            examples.extend(blocks.map(|block| (page.clone(), block.to_owned())));
        }
        assert!(examples.len() >= 6, "only {} examples are read", examples.len());
        for (page, example) in examples {
            fits(&example).unwrap_or_else(|error| panic!("{page}: {error}"));
            let mut layers = Layers::default();
            layers.file(Path::new(&page), &example).unwrap_or_else(|error| panic!("{page}: {error}"));
            // `init` explains settings that exclude each other, and the examples of the other pages are parts of a file.
            if page == "docs/configuration.md" {
                Config::of_layers(&layers, &host()).unwrap_or_else(|error| panic!("{page}: {error}\n{example}"));
            }
        }
    }

    #[test]
    fn what_rotator_refuses_does_not_fit_the_schema() {
        for text in [
            "[policy]\nolder_then = \"1d\"",
            "[policy]\nconfirmations = 0",
            "[policy]\nconfirmations = true",
            "[policy]\nspare_key = \"delete\"",
            "[policy]\nrate = 0",
            "[policy]\nunread_ok = [1]",
            "stor = \"sqlite:x\"",
            "store = [\"file:x\", 1]",
            "[[store]]\nname = \"x\"",
            "[[store]]\nuri = \"sqlite:x\"\nreadonly = true",
            "[[store]]\nuri = \"vault:x\"\nauth = \"password\"",
            "[[sink]]\nuri = \"exec:x\"",
            "[[rule]]\nexclude = true",
            "[[rule]]\nmatch = true",
            "[[rule]]\nmatch = \"a\"\nsettle = \"1h\"",
            "rule = 5",
            "account = 5",
        ] {
            assert!(fits(text).is_err(), "{text} fits");
            assert!(Layers::default().file(Path::new("rotator.toml"), text).is_err(), "{text} is read");
        }
        fits("[policy]\nconfirmations = 100\nrate = 2.5\nunread_ok = \"a/*\"").expect("fits");
    }

    /// The defaults of the schema are those of the program.
    #[test]
    fn a_file_with_every_default_changes_nothing() {
        let (schema, mut layers, mut count) = (schema(), Layers::default(), 0);
        for (section, key) in settings() {
            let table = if section.is_empty() { &schema } else { &schema["properties"][section] };
            let Some(default) = table["properties"][key].get("default").filter(|default| !default.is_array()) else {
                continue;
            };
            let text = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
            layers.file(Path::new("rotator.toml"), &format!("{text}{key} = {default}")).expect("valid");
            count += 1;
        }
        assert!(count > 12, "only {count} defaults");
        let of = |layers: &Layers| Config::of_layers(layers, &host()).expect("valid");
        let (one, other) = (of(&layers), of(&Layers::default()));
        assert_eq!((one.policy, one.owner, one.older_than), (other.policy, other.owner, other.older_than));
        assert_eq!((one.concurrency, one.rate, one.call_timeout), (other.concurrency, other.rate, other.call_timeout));
        assert_eq!(one.scan_interval, other.scan_interval);
    }

    /// The keys of a table of the schema.
    fn keys(table: &Value) -> BTreeSet<&str> {
        table["properties"].as_object().expect("properties").keys().map(String::as_str).collect()
    }

    #[test]
    fn the_schema_has_the_keys_that_the_reader_knows() {
        let schema = schema();
        let top = &schema["properties"];
        for (table, known) in [
            (&schema, keys_of::<File>()),
            (&top["policy"], keys_of::<PolicyTable>()),
            (&top["owner"], keys_of::<OwnerTable>()),
            (&top["aws"], keys_of::<AwsTable>()),
            (&top["store"]["anyOf"][1]["items"], keys_of::<StoreTable>()),
            (&top["rule"]["items"], keys_of::<RuleTable>()),
            (&top["account"]["items"], keys_of::<AccountTable>()),
            (&top["sink"]["items"], keys_of::<SinkTable>()),
        ] {
            assert!(known.len() > 1 || known == ["call_timeout"], "{known:?}");
            assert_eq!(keys(table), known.iter().copied().collect());
            assert_eq!(table["additionalProperties"], false, "{known:?}");
        }
    }
}
