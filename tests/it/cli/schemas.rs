//! The JSON Schemas of `rotator schema`: those in `docs/schema` are the ones that are printed, and what the commands print
//! fits them. `ROTATOR_UPDATE_DOCS=1` writes `docs/schema`.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::bench::{Bench, Ended};
use super::sinks;
use crate::support::program::answer;

/// The schemas of the documents, by the words behind `rotator schema`.
const SCHEMAS: [&str; 6] = ["run", "plan", "doctor", "allow", "store-list", "error"];

const USERS: [&str; 3] = ["app1/production", "app2/production", "app3/production"];

fn in_docs(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema").join(format!("{name}.json"));
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("docs/schema/{name}.json: {error}"));
    serde_json::from_str(&text).expect("JSON")
}

/// The faults of each document, by the schema of this name.
fn faults(documents: &[(Value, Value)]) -> Vec<Vec<String>> {
    let python = std::env::var_os("ROTATOR_TEST_PYTHON").unwrap_or_else(|| {
        panic!("this test needs Python with its libraries: run scripts/test, which installs them, or set ROTATOR_TEST_PYTHON")
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cli/schemas.py");
    let asked: Vec<Value> =
        documents.iter().map(|(schema, document)| json!({ "schema": schema, "document": document })).collect();
    let asked = serde_json::to_vec(&asked).expect("text");
    let answered = answer(Command::new(python).arg(script), &asked).expect("each schema is valid");
    serde_json::from_slice(&answered).expect("JSON")
}

/// Every object with properties in a schema.
fn objects(schema: &Value) -> Vec<&Value> {
    let mut found: Vec<&Value> =
        schema.get("properties").is_some_and(Value::is_object).then_some(schema).into_iter().collect();
    match schema {
        Value::Object(parts) => found.extend(parts.values().flat_map(objects)),
        Value::Array(parts) => found.extend(parts.iter().flat_map(objects)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found
}

#[test]
fn the_schemas_of_the_documents_are_those_that_are_printed() {
    let bench = Bench::new();
    for name in SCHEMAS {
        let printed = bench.run(&["schema", name]).code(0);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema").join(format!("{name}.json"));
        if std::env::var_os("ROTATOR_UPDATE_DOCS").is_some() {
            std::fs::write(&path, &printed.stdout).expect("written");
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == printed.stdout, "docs/schema/{name}.json differs (ROTATOR_UPDATE_DOCS=1 writes it)");
        let schema = printed.json();
        let objects = objects(&schema);
        assert!(!objects.is_empty() && schema["required"][0] == "version", "{name}");
        for object in objects {
            assert_eq!(object.get("additionalProperties"), None, "{name}: later builds add fields");
            for (field, described) in object["properties"].as_object().expect("properties") {
                assert!(described.get("description").is_some(), "{name}: {field} has no description");
            }
        }
    }
}

/// The documents that the commands print in each kind of situation, with the schema and the name of each.
#[derive(Default)]
struct Printed(Vec<(&'static str, String, Value)>);

impl Printed {
    fn add(&mut self, schema: &'static str, what: &str, ended: &Ended) -> Value {
        let document = ended.json();
        self.0.push((schema, what.to_owned(), document.clone()));
        document
    }

    /// Runs a command that prints a document of this schema.
    fn run(&mut self, bench: &Bench, schema: &'static str, args: &[&str], code: i32) -> Value {
        let ended = bench.run(&[args, &["--output", "json"]].concat()).code(code);
        self.add(schema, &args.join(" "), &ended)
    }

    #[track_caller]
    fn all_fit(&self) {
        let asked: Vec<_> = self.0.iter().map(|(schema, _, document)| (in_docs(schema), document.clone())).collect();
        for ((schema, what, document), faults) in self.0.iter().zip(faults(&asked)) {
            assert!(faults.is_empty(), "`{what}` does not fit `{schema}`: {faults:#?}\n{document:#}");
        }
    }
}

#[test]
fn the_documents_of_rotations_fit_their_schema() {
    let (bench, mut printed) = (Bench::new(), Printed::default());
    printed.run(&bench, "run", &["status"], 0);
    bench.add(USERS[0]);
    bench.add(USERS[1]);
    let secret = bench.run(&["store", "get", &format!("{}/AWS_SECRET_ACCESS_KEY", USERS[0])]).code(0).stdout;
    let old = bench.key_of(USERS[0]);
    let run = printed.run(&bench, "run", &["run", "--overlap", "1h"], 3);
    assert_eq!(run["counts"]["waiting"], 2);
    printed.run(&bench, "run", &["status", USERS[0]], 0);
    // Put back: this rotation is blocked.
    bench.run_with(&["store", "set", &format!("{}/AWS_ACCESS_KEY_ID", USERS[0])], &old).code(0);
    bench.run_with(&["store", "set", &format!("{}/AWS_SECRET_ACCESS_KEY", USERS[0])], &secret).code(0);
    let resumed = printed.run(&bench, "run", &["resume"], 3);
    let blocked = resumed["rotations"].as_array().expect("a list").iter().find(|one| !one["blocked"].is_null());
    assert_eq!(blocked.expect("a block")["blocked"]["reason"], "reverted");
    bench.sandbox.advance(std::time::Duration::from_secs(7200));
    printed.run(&bench, "run", &["resume"], 4);
    printed.run(&bench, "run", &["status", "--all"], 0);
    let aborted = printed.run(&bench, "run", &["abort", USERS[0]], 0);
    assert_eq!(aborted["counts"]["aborted"], 1);
    let skipped = printed.run(&bench, "run", &["run", "--older-than", "80d"], 0);
    assert_eq!(skipped["skipped"].as_array().map(Vec::len), Some(2), "{skipped:#}");
    printed.run(&bench, "run", &["rotate", USERS[1]], 0);
    let offline = bench.run_in(("AWS_ENDPOINT_URL", "http://127.0.0.1:9"), &["run", "--output", "json"]);
    assert_eq!(printed.add("run", "run", &offline)["error"]["code"], 1);
    printed.all_fit();
}

#[test]
fn the_other_documents_fit_their_schemas() {
    let (bench, mut printed) = (Bench::with_users(&USERS), Printed::default());
    bench.write("rotator.toml", "[[rule]]\nmatch = \"app1/*\"\noverlap = \"2h\"\n");
    let plan = printed.run(&bench, "plan", &["plan", "--limit", "1", "--exclude", "app3/*"], 0);
    for list in ["due", "held_back", "skipped"] {
        assert_eq!(plan[list].as_array().map(Vec::len), Some(1), "{list}: {plan:#}");
    }
    let young = printed.run(&bench, "plan", &["plan", "--older-than", "80d"], 0);
    assert!(
        young["skipped"].as_array().is_some_and(|list| list.iter().any(|key| key["due_at"].is_string())),
        "{young:#}"
    );
    printed.run(&bench, "plan", &["run", "--dry-run"], 0);
    printed.run(&bench, "doctor", &["doctor"], 0);
    printed.run(&bench, "store-list", &["store", "list"], 0);
    printed.run(&bench, "allow", &["allow", "--yes"], 0);
    printed.run(&bench, "error", &["plan", "--only", "none/*"], 2);
    printed.run(&bench, "error", &["plan", "--lmit", "1"], 2);
    printed.all_fit();
}

#[test]
fn the_documents_with_a_sink_fit_their_schemas() {
    let (bench, mut printed) = (sinks::bench(), Printed::default());
    let plan = printed.add("plan", "plan", &sinks::run(&bench, &["plan", "--output", "json"]).code(0));
    assert!(plan["due"].as_array().is_some_and(|due| due.iter().any(|key| key["sinks"].is_array())), "{plan:#}");
    let run = printed.add("run", "run", &sinks::run(&bench, &["run", "--output", "json"]).code(0));
    assert!(run["rotations"].as_array().is_some_and(|list| list.iter().any(|one| one["sinks"].is_array())), "{run:#}");
    printed.all_fit();
}

#[test]
fn a_document_with_another_field_or_without_one_does_not_fit() {
    let bench = Bench::with_users(&USERS[..1]);
    let planned = bench.run(&["plan", "--output", "json"]).code(0).stdout;
    let document = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let schema = in_docs("plan");
    let renamed = |old: &str, new: &str| {
        let text = schema.to_string();
        assert!(text.contains(old), "no {old} in the schema");
        document(&text.replace(old, new))
    };
    let reported = faults(&[
        (schema.clone(), document(&planned)),
        (renamed("\"location\"", "\"where\""), document(&planned)),
        (renamed("\"last_used\"", "\"used\""), document(&planned)),
        (schema.clone(), document(&planned.replace("\"created\": \"2", "\"created\": \"x"))),
        (schema.clone(), document(&planned.replace("\"version\": 1", "\"version\": 2"))),
    ]);
    let faulty: Vec<bool> = reported.iter().map(|faults| !faults.is_empty()).collect();
    assert_eq!(faulty, [false, true, true, true, true], "{reported:#?}");
}
