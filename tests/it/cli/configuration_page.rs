//! The tables of docs/configuration.md are those of the schema that `rotator schema config` prints.
//! `ROTATOR_UPDATE_DOCS=1` writes them.

use std::path::Path;

use serde_json::Value;

use super::bench::Bench;

const PAGE: &str = "docs/configuration.md";
const BEGIN: &str = "<!-- settings";
const END: &str = "<!-- end of settings -->\n";

/// The section that a marker names, and its schema.
fn schema_of<'a>(schema: &'a Value, section: &str) -> &'a Value {
    let properties = &schema["properties"];
    match section {
        "" => schema,
        "store" => &properties["store"]["anyOf"][1]["items"],
        "policy" | "owner" | "aws" => &properties[section],
        "rule" | "account" | "sink" => &properties[section]["items"],
        other => panic!("{PAGE}: there is no section {other}"),
    }
}

/// A value as the file has it.
fn written(value: &Value) -> String {
    let is_empty = value.as_array().is_some_and(Vec::is_empty);
    if is_empty { "none".to_owned() } else { format!("`{value}`") }
}

fn kind(setting: &Value) -> String {
    if let Some(words) = setting["enum"].as_array() {
        return words.iter().map(written).collect::<Vec<_>>().join(", ");
    }
    if let Some(title) = setting["title"].as_str() {
        return title.to_owned();
    }
    if setting["type"].is_null() {
        return "text or list, or tables".to_owned();
    }
    let types = setting["type"].as_array().cloned().unwrap_or_else(|| vec![setting["type"].clone()]);
    let words = types.iter().map(|kind| match kind.as_str() {
        Some("string") if setting["format"] == "date" => "date",
        Some("string") => "text",
        Some("array") => "list",
        Some("object") => "table",
        Some("boolean") => "`true` or `false`",
        Some("integer" | "number") => "number",
        other => panic!("{other:?}"),
    });
    let words = words.collect::<Vec<_>>().join(" or ");
    match (&setting["minimum"], &setting["maximum"]) {
        (Value::Number(least), Value::Number(most)) => format!("{words}, {least} to {most}"),
        _ => words,
    }
}

/// The flag of a setting, if the help of `run` has one.
fn flag(section: &str, key: &str, help: &str) -> String {
    let key = key.replace('_', "-");
    let flags = [format!("--{key}"), format!("--{section}-{key}")];
    let is_there = |flag: &&String| help.split([' ', '\n', ',']).any(|word| word == flag.as_str());
    flags.iter().find(is_there).map_or_else(String::new, |flag| format!("`{flag}`"))
}

fn table(section: &str, schema: &Value, help: &str) -> String {
    let schema = schema_of(schema, section);
    let is_required = |key: &str| schema["required"].as_array().is_some_and(|keys| keys.contains(&key.into()));
    // The tables are sections of the page.
    let is_section = |setting: &Value| {
        setting["properties"].is_object() || setting["items"]["properties"].is_object() && section.is_empty()
    };
    let has_flags = ["", "policy", "owner", "aws"].contains(&section);
    let cells = |setting: &str, kind: &str, default: &str, flag: &str, meaning: &str| {
        let flag = if has_flags { format!(" {flag} |").replace("  ", " ") } else { String::new() };
        format!("| {setting} | {kind} | {default} |{flag} {meaning} |\n")
    };
    let mut text = cells("setting", "type", "default", "flag", "meaning");
    text.push_str(&cells("---", "---", "---", "---", "---"));
    for (key, setting) in schema["properties"].as_object().expect("properties") {
        if is_section(setting) {
            continue;
        }
        let meaning = setting["description"].as_str().unwrap_or_else(|| panic!("{section} {key} has no description"));
        let default = &setting["default"];
        // The meaning says what an empty list stands for.
        let is_said = default.is_null() || default.is_array() && meaning.contains("By default");
        let default = match (is_said, is_required(key)) {
            (_, true) => "required".to_owned(),
            (true, false) => String::new(),
            (false, false) => written(default),
        };
        let flag = if has_flags { flag(section, key, help) } else { String::new() };
        text.push_str(&cells(&format!("`{key}`"), &kind(setting), &default, &flag, &meaning.replace('\n', " ")));
    }
    text.replace("|  |", "| |")
}

#[test]
fn the_tables_of_the_page_are_those_of_the_schema() {
    let bench = Bench::new();
    let schema = bench.run(&["schema", "config"]).code(0).json();
    let help = bench.run(&["run", "--help"]).code(0).stdout;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&path).expect("the page");
    let mut parts = page.split(BEGIN);
    let (mut made, mut sections) = (parts.next().expect("a beginning").to_owned(), Vec::new());
    for part in parts {
        let (section, rest) = part.split_once("-->\n").expect("the end of a marker");
        let (_, rest) = rest.split_once(END).expect("the end of a table");
        let name = section.trim_start_matches(':').trim();
        made.push_str(&format!("{BEGIN}{section}-->\n{}{END}{rest}", table(name, &schema, &help)));
        sections.push(name);
    }
    assert_eq!(sections, ["", "policy", "rule", "owner", "aws", "store", "account", "sink"]);
    if std::env::var_os("ROTATOR_UPDATE_DOCS").is_some() {
        std::fs::write(&path, made).expect("written");
        return;
    }
    let differs = page.lines().zip(made.lines()).find(|(page, made)| page != made);
    assert!(page == made, "{PAGE} differs (ROTATOR_UPDATE_DOCS=1 writes it): {differs:#?}");
}

#[test]
fn a_setting_is_described_by_its_type_default_and_flag() {
    let setting = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    for (schema, expected) in [
        (r#"{"type": "string", "title": "time"}"#, "time"),
        (r#"{"type": "string", "enum": ["a", "b"]}"#, "`\"a\"`, `\"b\"`"),
        (r#"{"type": "integer", "minimum": 1, "maximum": 9}"#, "number, 1 to 9"),
        (r#"{"type": ["string", "array"]}"#, "text or list"),
        (r#"{"type": "string", "format": "date"}"#, "date"),
    ] {
        assert_eq!(kind(&setting(schema)), expected);
    }
    assert_eq!(written(&setting("\"0s\"")), "`\"0s\"`");
    assert_eq!(flag("policy", "older_than", "  --older-than <AGE>"), "`--older-than`");
    assert_eq!(flag("owner", "template", "  --owner-template <T>"), "`--owner-template`");
    assert_eq!(flag("owner", "table", "  --owner-template <T>"), "");
}
