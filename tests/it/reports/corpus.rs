//! `corpus/*.txt`: twenty and more kinds of application configuration, each with a pair, without one, and with what is
//! found where a pair belongs. A file begins with where its form is documented; each of its cases is a line
//! `=== what it is => outcome` and a document. Outcomes: `rotated` (the pair, and nothing else), `rotated 2, REASON` (the
//! pair of the second user; the key of the first is skipped), `REASON` (nothing changes), `nothing` (nothing is reported).

use std::path::Path;

use rotator::discovery::discover;

use super::readers::{Document, differences};
use super::{NEW_ID, NEW_SECRET, entry, rotated};

const ID: &str = "AKIAABCDEFGHIJ234567";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKE";
const ID2: &str = "AKIAZZZZZZZZZZ234567";
const SECRET2: &str = "kq8XbVt2mJ/4sLw9+ZrPn6QyTd3HfGc7UaEoRi1M";

struct Case {
    title: String,
    outcome: String,
    text: String,
}

fn filled(text: &str) -> String {
    text.replace("‹id›", ID)
        .replace("‹secret›", SECRET)
        .replace("‹id2›", ID2)
        .replace("‹secret2›", SECRET2)
        .replace("‹ses›", "BMmUqA0kZ8tYQvX1nJd5hL7sWc3RfGpTe6bNyKxVo9Ia")
        .replace("‹other›", "Vb3QkZ9xLmT7wRdY1cFhJ5nPsGa2UeXo8iKtBq4N")
        .replace("‹hex›", "da39a3ee5e6b4b0d3255bfef95601890afd80709")
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/reports/corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("the corpus").flatten().map(|file| file.path()).collect();
    files.sort();
    assert!(files.len() >= 20, "twenty kinds of configuration");
    let mut cases = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("UTF-8");
        let (source, rest) = text.split_once("\n=== ").expect("a source, then cases");
        assert!(source.starts_with("# ") && source.contains('.'), "{} says where its form is from", file.display());
        for case in rest.split("\n=== ") {
            let (head, document) = case.split_once('\n').expect("a head and a document");
            let (title, outcome) = head.split_once(" => ").expect("what it is and its outcome");
            cases.push(Case {
                title: format!("{}: {title}", file.file_stem().expect("a name").to_string_lossy()),
                outcome: outcome.to_owned(),
                text: filled(&format!("{}\n", document.trim_end_matches('\n'))),
            });
        }
    }
    cases
}

/// Returns the reason for which a case fails, if it does.
fn wrong(case: &Case) -> Option<String> {
    let stored = entry("app/prod/doc", &case.text);
    let findings = discover(std::slice::from_ref(&stored));
    let (pair, reason) = match case.outcome.as_str() {
        "rotated" => (Some((ID, SECRET)), None),
        "nothing" => (None, None),
        other => match other.split_once(", ") {
            Some(("rotated 2", reason)) => (Some((ID2, SECRET2)), Some(reason)),
            _ => (None, Some(other)),
        },
    };
    let found: Vec<&str> = findings.candidates.iter().map(|candidate| candidate.key_id.as_str()).collect();
    let wanted: Vec<&str> = pair.iter().map(|(id, _)| *id).collect();
    let reported: Vec<&str> = findings
        .left_alone
        .iter()
        .filter(|left| left.key_id.as_ref().is_none_or(|id| id.as_str() == ID))
        .map(|left| left.why.reason().name())
        .collect();
    if found != wanted {
        return Some(format!("candidates {found:?}, not {wanted:?}: {:?}", findings.left_alone));
    }
    if let Some((id, secret)) = pair {
        let expected = case.text.replace(id, NEW_ID).replace(secret, NEW_SECRET);
        if rotated(&stored, &findings, id).as_ref() != Some(&expected) {
            return Some("something else than the pair has changed".to_owned());
        }
    }
    match reason {
        Some(reason) if !reported.contains(&reason) => Some(format!("{reported:?} and not {reason}")),
        None if !reported.is_empty() => Some(format!("{:?} is reported", findings.left_alone)),
        _ => None,
    }
}

#[test]
fn each_shape_has_the_right_outcome() {
    let cases = cases();
    assert!(cases.len() >= 150, "{} cases", cases.len());
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| Some(format!("{} => {}\n  {}\n{}", case.title, case.outcome, wrong(case)?, case.text)))
        .collect();
    assert!(wrong.is_empty(), "{} of {}\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// The independent library that reads the documents of a file of the corpus, if there is one.
fn reader_of(kind: &str) -> Option<&'static str> {
    match kind {
        "airflow" | "ecs" | "velero" => Some("json"),
        "compose" | "compose-list" | "helm" | "kubernetes" | "kubernetes-secret" | "litestream" | "rails"
        | "spring-yml" | "thanos" => Some("yaml"),
        "django" | "dotenv" | "json-in-dotenv" | "mastodon" => Some("dotenv"),
        "credentials" => Some("credentials"),
        "boto" | "rclone" | "s3cfg" => Some("ini"),
        _ => None,
    }
}

#[test]
fn independent_readers_of_each_shape_get_the_new_pair_and_all_else_as_before() {
    let mut documents = Vec::new();
    for case in cases() {
        let kind = case.title.split(':').next().unwrap_or_default();
        let pair = if case.outcome == "rotated" {
            (ID, SECRET)
        } else if case.outcome.starts_with("rotated 2") {
            (ID2, SECRET2)
        } else {
            continue;
        };
        let Some(reader) = reader_of(kind) else { continue };
        let stored = entry("app/prod/doc", &case.text);
        let findings = discover(std::slice::from_ref(&stored));
        let after = rotated(&stored, &findings, pair.0).expect("a candidate");
        let pair = [(pair.0.to_owned(), NEW_ID.to_owned()), (pair.1.to_owned(), NEW_SECRET.to_owned())];
        documents.push(Document { reader, before: case.text, after, pair });
    }
    assert!(documents.len() >= 30, "{} documents are read", documents.len());
    for (document, difference) in documents.iter().zip(differences(&documents)) {
        assert_eq!(difference, None, "{}\n{}", document.before, document.after);
    }
}
