//! Discovery finds one pair in documents full of similar text and finds nothing else. A splice changes nothing but the
//! pair.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};
use rotator::discovery::discover;

use super::readers::{Document, differences};
use super::{NEW_ID, NEW_SECRET, entry, rotated};
use crate::support::proof;

const NAMES: [(&str, &str); 6] = [
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ("aws_access_key_id", "aws_secret_access_key"),
    ("S3_ACCESS_KEY", "S3_SECRET_KEY"),
    ("BACKUP_AWS_ACCESS_KEY_ID", "BACKUP_AWS_SECRET_ACCESS_KEY"),
    ("accessKeyId", "secretAccessKey"),
    ("AWS_KEY", "AWS_SECRET"),
];

const OTHERS: [&str; 18] = [
    "SECRET_KEY",
    "SECRET_KEY_BASE",
    "JWT_SECRET",
    "DB_PASSWORD",
    "SMTP_PASSWORD",
    "APP_KEY",
    "STRIPE_SECRET_KEY",
    "password",
    "token",
    "GITHUB_TOKEN",
    "client_secret",
    "API_KEY",
    "SALT",
    "commit",
    "WEBHOOK_SECRET",
    "VALUE",
    "x",
    "SENTRY",
];

/// A document of one kind with these names and values.
fn document(kind: usize, members: &[(String, String)]) -> String {
    let lines = |line: &dyn Fn(&str, &str) -> String| -> String {
        members.iter().map(|(name, value)| line(name, value)).collect()
    };
    match kind {
        0 => lines(&|name, value| format!("{name}={value}\n")),
        1 => lines(&|name, value| format!("export {name}='{value}' # why\n")),
        2 => format!("[default]\n{}", lines(&|name, value| format!("{name} = {value}\n"))),
        3 => lines(&|name, value| format!("{name}: \"{value}\"\n")),
        4 => format!("a:\n{}", lines(&|name, value| format!("  {name}: '{value}'\n"))),
        5 => {
            let members = members.iter().map(|(name, value)| (name.clone(), value.clone().into()));
            serde_json::Value::Object(members.collect()).to_string()
        }
        6 => lines(&|name, value| format!("{name} = \"{value}\"\n")),
        _ => lines(&|name, value| format!("- name: {name}\n  value: {value}\n")),
    }
}

/// Values under other names: 40 characters of base 64, a digest, a password, an SMTP password, a URL.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[A-Z][a-z][A-Za-z0-9+/]{38}",
        1 => "[0-9a-f]{40}",
        1 => "[0-9a-f]{64}",
        1 => "B[A-Za-z0-9+/]{43}",
        1 => "sk_live_[A-Za-z0-9]{24}",
        1 => "postgres://u:[A-Za-z0-9]{40}@db/x",
        1 => "[A-Za-z0-9]{8,39}",
    ]
}

#[derive(Debug)]
struct Planted {
    kind: usize,
    text: String,
    id: String,
    secret: String,
}

fn planted() -> impl Strategy<Value = Planted> {
    let others = proptest::collection::btree_map(0..OTHERS.len(), value(), 0..9);
    let pair = ("AKIA[A-Z2-7]{16}", "[A-Z][a-z][0-9][A-Za-z0-9+/]{36}Q", 0..NAMES.len(), any::<[usize; 2]>());
    (0_usize..8, others, pair).prop_map(|(kind, others, (id, secret, names, [first, second]))| {
        let mut members: Vec<(String, String)> =
            others.into_iter().map(|(name, value)| (OTHERS[name].to_owned(), value)).collect();
        let (id_name, secret_name) = NAMES[names];
        members.insert(first % (members.len() + 1), (id_name.to_owned(), id.clone()));
        members.insert(second % (members.len() + 1), (secret_name.to_owned(), secret.clone()));
        Planted { kind, text: document(kind, &members), id, secret }
    })
}

/// The reader of each kind of document.
const READERS: [&str; 8] = ["dotenv", "dotenv", "credentials", "yaml", "yaml", "json", "toml", "yaml"];

fn runner() -> TestRunner {
    TestRunner::new(ProptestConfig {
        cases: u32::try_from(proof::cases(2_000, 200_000)).unwrap_or(u32::MAX),
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(proof::seed()),
        ..ProptestConfig::default()
    })
}

#[test]
fn independent_readers_get_the_new_pair_and_all_else_as_before() {
    let mut runner = runner();
    let documents: Vec<Document> = (0..proof::cases(500, 20_000))
        .map(|_| {
            let planted = planted().new_tree(&mut runner).expect("a document").current();
            let stored = entry("app/prod/doc", &planted.text);
            let findings = discover(std::slice::from_ref(&stored));
            Document {
                reader: READERS[planted.kind],
                after: rotated(&stored, &findings, &planted.id).expect("a candidate"),
                before: planted.text,
                pair: [(planted.id, NEW_ID.to_owned()), (planted.secret, NEW_SECRET.to_owned())],
            }
        })
        .collect();
    for (document, difference) in documents.iter().zip(differences(&documents)) {
        assert_eq!(difference, None, "{}\n{}", document.before, document.after);
    }
}

#[test]
fn only_the_planted_pair_is_found_and_changed() {
    let mut runner = runner();
    let done = runner.run(&planted(), |planted| {
        let stored = entry("app/prod/doc", &planted.text);
        let findings = discover(std::slice::from_ref(&stored));
        let found: Vec<&str> = findings.candidates.iter().map(|candidate| candidate.key_id.as_str()).collect();
        prop_assert_eq!(found, [planted.id.as_str()], "{:?}", findings.left_alone);
        let expected = planted.text.replace(&planted.id, NEW_ID).replace(&planted.secret, NEW_SECRET);
        prop_assert_eq!(rotated(&stored, &findings, &planted.id), Some(expected));
        Ok(())
    });
    done.unwrap_or_else(|failure| panic!("seed {}: {failure}", proof::seed()));
}
