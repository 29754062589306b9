//! Discovery finds every pair of a store and overlooks none. Pairing is tested here, too, because the findings show its
//! result.

use proptest::prelude::*;

use super::*;
use crate::discovery::splice::read_pair;

pub(super) const ID: &str = "AKIAABCDEFGHIJ234567";
pub(super) const ID2: &str = "AKIAZZZZZZZZZZ234567";
pub(super) const SECRET: &str = "abcdefghijklmnopqrstABCDEFGHIJKLMNO0123/";
pub(super) const SECRET2: &str = "zbcdefghijklmnopqrstABCDEFGHIJKLMNO0123+";

pub(super) fn entries(of: &[(&str, &str)]) -> Vec<StoredEntry> {
    of.iter().map(|(name, value)| entry("s", name, value.as_bytes())).collect()
}

/// `name` is taken as one of `app/prod` unless it is a full one.
pub(super) fn entry(store: &str, name: &str, value: &[u8]) -> StoredEntry {
    let name = if name.contains('/') { name.to_owned() } else { format!("app/prod/{name}") };
    StoredEntry {
        store: StoreName::new(store).expect("valid"),
        name: EntryName::new(name).expect("valid"),
        value: SecretValue::new(value.to_vec()),
    }
}

/// Each id, then the positions of id and secret in each place.
pub(super) fn candidates(findings: &Findings) -> Vec<(String, Vec<(String, String)>)> {
    let spot = |spot: &FieldRef| spot.to_string().replace("app/prod/", "");
    let places =
        |candidate: &Candidate| candidate.places.iter().map(|place| (spot(&place.id), spot(&place.secret))).collect();
    findings.candidates.iter().map(|candidate| (candidate.key_id.to_string(), places(candidate))).collect()
}

/// Reason, id, and where.
pub(super) fn left_alone(findings: &Findings) -> Vec<(&'static str, Option<String>, Vec<String>)> {
    let places = |left: &LeftAlone| {
        left.places.iter().map(|(_, spot)| spot.to_string().replace("app/prod/", "")).collect::<Vec<_>>()
    };
    findings
        .left_alone
        .iter()
        .map(|left| (left.why.reason().name(), left.key_id.as_ref().map(ToString::to_string), places(left)))
        .collect()
}

#[track_caller]
pub(super) fn finds_pair(of: &[(&str, &str)], id: &str, secret: &str) {
    let findings = discover(&entries(of));
    let key_id = findings.candidates.first().map_or(ID, |candidate| candidate.key_id.as_str()).to_owned();
    assert_eq!(candidates(&findings), [(key_id, vec![(id.to_owned(), secret.to_owned())])], "{of:?} {findings:?}");
    assert_eq!(left_alone(&findings), [], "{of:?}");
}

#[track_caller]
pub(super) fn leaves_alone(of: &[(&str, &str)], reason: &'static str, key_id: Option<&str>, places: &[&str]) {
    let findings = discover(&entries(of));
    assert_eq!(candidates(&findings), [], "{of:?}");
    let places = places.iter().map(|place| (*place).to_owned()).collect();
    assert_eq!(left_alone(&findings), [(reason, key_id.map(str::to_owned), places)], "{of:?}");
}

#[test]
fn entries_pair_by_name() {
    for (id, secret) in [
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("aws-access-key-id", "aws-secret-access-key"),
        ("aws-access-key-id", "AWS_SECRET_ACCESS_KEY"),
        ("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"),
        ("accessKeyId", "secretAccessKey"),
        ("awsAccessKeyId", "awsSecretAccessKey"),
        ("AWS_ACCESS_KEY", "AWS_SECRET_KEY"),
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_KEY"),
        ("AWS_ACCESS_KEY_ID_2", "AWS_SECRET_ACCESS_KEY_2"),
        ("BACKUP_AWS_ACCESS_KEY_ID", "BACKUP_AWS_SECRET_ACCESS_KEY"),
        ("ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("access_key", "secret_key"),
        ("AWS_KEY", "AWS_SECRET"),
    ] {
        finds_pair(&[(id, ID), (secret, SECRET)], id, secret);
        finds_pair(&[(id, &format!("{ID}\n")), (secret, &format!("{SECRET}\r\n"))], id, secret);
    }
}

#[test]
fn a_name_match_needs_no_akia() {
    finds_pair(
        &[("AWS_ACCESS_KEY_ID", "PROD111111111EXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "short")],
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    );
    finds_pair(
        &[("doc", r#"{"access_key":"PROD111111111EXAMPLE","secret_key":"x"}"#)],
        "doc at /access_key",
        "doc at /secret_key",
    );
}

#[test]
fn several_pairs_of_one_environment_are_distinguished() {
    let findings = discover(&entries(&[
        ("AWS_ACCESS_KEY_ID", ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_ACCESS_KEY_ID_2", ID2),
        ("AWS_SECRET_ACCESS_KEY_2", SECRET2),
        ("aws-access-key-id", "AKIABBBBBBBBBBBBBBBB"),
        ("aws-secret-access-key", SECRET),
        ("AWS_ACCESS_KEY", "AKIACCCCCCCCCCCCCCCC"),
        ("AWS_SECRET_KEY", SECRET2),
    ]));
    let pair = |id: &str, spot: &str, secret: &str| (id.to_owned(), vec![(spot.to_owned(), secret.to_owned())]);
    assert_eq!(
        candidates(&findings),
        [
            pair(ID, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
            pair("AKIABBBBBBBBBBBBBBBB", "aws-access-key-id", "aws-secret-access-key"),
            pair("AKIACCCCCCCCCCCCCCCC", "AWS_ACCESS_KEY", "AWS_SECRET_KEY"),
            pair(ID2, "AWS_ACCESS_KEY_ID_2", "AWS_SECRET_ACCESS_KEY_2"),
        ]
    );
    assert_eq!(left_alone(&findings), []);
}

#[test]
fn halves_of_different_environments_or_stores_are_no_pair() {
    let apart = [
        entry("s", "app/prod/AWS_ACCESS_KEY_ID", ID.as_bytes()),
        entry("s", "app/test/AWS_SECRET_ACCESS_KEY", SECRET.as_bytes()),
        entry("t", "app/prod/AWS_SECRET_ACCESS_KEY", SECRET.as_bytes()),
    ];
    let findings = discover(&apart);
    assert_eq!(candidates(&findings), []);
    let reasons: Vec<_> = left_alone(&findings).into_iter().map(|left| left.0).collect();
    assert_eq!(reasons, ["secret-without-id", "secret-without-id", "id-without-secret"]);
}

#[test]
fn another_programs_secret_key_is_not_taken() {
    let other = "django-insecure-&k4b1y#@x";
    leaves_alone(
        &[("AWS_ACCESS_KEY_ID", ID), ("SECRET_KEY", SECRET)],
        "id-without-secret",
        Some(ID),
        &["AWS_ACCESS_KEY_ID"],
    );
    leaves_alone(&[("ACCESS_KEY_ID", ID), ("SECRET_KEY", other)], "id-without-secret", Some(ID), &["ACCESS_KEY_ID"]);
    assert_eq!(discover(&entries(&[("SECRET_KEY", other), ("STRIPE_SECRET_KEY", "sk_x")])), Findings::default());
}

#[test]
fn documents_pair_by_name() {
    for (document, id, secret) in [
        (
            format!("AWS_ACCESS_KEY_ID={ID}\nAWS_SECRET_ACCESS_KEY={SECRET}\n"),
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
        ),
        (
            format!("export A=\"{SECRET2}\"\r\nexport S3_ACCESS_KEY='{ID}' # x\r\nexport S3_SECRET_KEY=\"{SECRET}\""),
            "S3_ACCESS_KEY",
            "S3_SECRET_KEY",
        ),
        (
            format!(
                "[default]\nregion = x\naws_access_key_id = {ID}\naws_secret_access_key = {SECRET}\n[b]\nx={SECRET2}"
            ),
            "[default] aws_access_key_id",
            "[default] aws_secret_access_key",
        ),
        (
            format!(r#"{{"aws":{{"accessKeyId":"{ID}","secretAccessKey":"{SECRET}","other":"{SECRET2}"}}}}"#),
            "/aws/accessKeyId",
            "/aws/secretAccessKey",
        ),
        (
            format!(r#"[{{"aws_access_key":"{ID}","aws_secret_key":"{SECRET}"}}]"#),
            "/0/aws_access_key",
            "/0/aws_secret_key",
        ),
    ] {
        finds_pair(&[("doc", &document)], &format!("doc at {id}"), &format!("doc at {secret}"));
        // The names in the document have priority over the name of the entry.
        finds_pair(
            &[("AWS_SECRET_ACCESS_KEY", &document)],
            &format!("AWS_SECRET_ACCESS_KEY at {id}"),
            &format!("AWS_SECRET_ACCESS_KEY at {secret}"),
        );
    }
}

#[test]
fn documents_pair_by_value() {
    let git_hash = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    for (document, id, secret) in [
        (format!("USER={ID}\nPASSWORD={SECRET}\nREVISION={git_hash}\n"), "USER", "PASSWORD"),
        (format!("[a]\nu={ID}\np={SECRET}\n[b]\np={SECRET2}\n"), "[a] u", "[a] p"),
        (format!(r#"{{"user":"{ID}","password":"{SECRET}","commit":"{git_hash}"}}"#), "/user", "/password"),
        (format!(r#"{{"x":"{SECRET2}","a":{{"u":"{ID}","p":"{SECRET}"}}}}"#), "/a/u", "/a/p"),
        (format!(r#"[{{"name":"id","value":"{ID}"}},{{"name":"s","value":"{SECRET}"}}]"#), "/0/value", "/1/value"),
        (format!(r#"["{ID}","{SECRET}"]"#), "/0", "/1"),
        (format!("DEPLOY_A={ID}\nDEPLOY_B={SECRET}\n"), "DEPLOY_A", "DEPLOY_B"),
        (format!("USER={ID}\nAWS_SECRET_ACCESS_KEY={SECRET}\n"), "USER", "AWS_SECRET_ACCESS_KEY"),
        (
            format!(r#"{{"aws_access_key_id":"{ID}","more":{{"aws_secret_access_key":"{SECRET}"}}}}"#),
            "/aws_access_key_id",
            "/more/aws_secret_access_key",
        ),
    ] {
        finds_pair(&[("doc", &document)], &format!("doc at {id}"), &format!("doc at {secret}"));
    }
}

#[test]
fn the_innermost_pairs_are_taken_first() {
    let document = format!(r#"{{"id":"{ID2}","a":{{"u":"{ID}","p":"{SECRET}"}}}}"#);
    let findings = discover(&entries(&[("doc", &document)]));
    assert_eq!(candidates(&findings), [(ID.to_owned(), vec![("doc at /a/u".to_owned(), "doc at /a/p".to_owned())])]);
    assert_eq!(left_alone(&findings), [("id-without-secret", Some(ID2.to_owned()), vec!["doc at /id".to_owned()])]);
}

#[test]
fn a_json_string_by_itself_is_a_whole_value() {
    finds_pair(
        &[("AWS_ACCESS_KEY_ID", &format!("\"{ID}\"\n")), ("AWS_SECRET_ACCESS_KEY", &format!("{SECRET}\n"))],
        "AWS_ACCESS_KEY_ID at whole JSON string",
        "AWS_SECRET_ACCESS_KEY",
    );
    // A secret may look like a variable without a value.
    finds_pair(
        &[("AWS_ACCESS_KEY_ID", "PROD111111111EXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "abcdef=")],
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    );
}

#[test]
fn one_key_in_several_places_is_one_candidate() {
    let dotenv = format!("AWS_ACCESS_KEY_ID={ID}\nAWS_SECRET_ACCESS_KEY={SECRET}\n");
    let twice = format!("[a]\naccess_key={ID}\nsecret_key={SECRET}\n[b]\naccess_key={ID}\nsecret_key={SECRET}\n");
    let all = [
        entry("t", "web/prod/env", dotenv.as_bytes()),
        entry("s", "app/prod/AWS_ACCESS_KEY_ID", ID.as_bytes()),
        entry("s", "app/prod/AWS_SECRET_ACCESS_KEY", SECRET.as_bytes()),
        entry("s", "app/prod/ini", twice.as_bytes()),
    ];
    let findings = discover(&all);
    assert_eq!(left_alone(&findings), []);
    let [candidate] = findings.candidates.as_slice() else { panic!("one candidate: {findings:?}") };
    let owners: Vec<_> =
        candidate.places.iter().map(|place| (place.store.as_str(), place.app(), place.environment())).collect();
    assert_eq!(owners, [("s", "app", "prod"), ("s", "app", "prod"), ("s", "app", "prod"), ("t", "web", "prod")]);
    for place in &candidate.places {
        let value_of = |name: &EntryName| {
            all.iter().find(|entry| entry.store == place.store && entry.name == *name).map(|entry| &entry.value)
        };
        let seen = read_pair(place, value_of).expect("readable");
        assert_eq!((seen.id.as_ref(), seen.secret.expose()), (Some(&candidate.key_id), SECRET));
    }
}

#[test]
fn the_findings_depend_on_the_entries_not_on_their_order() {
    let names =
        [("a/b/AWS_ACCESS_KEY_ID", ID), ("a/b/AWS_SECRET_ACCESS_KEY", SECRET), ("a/c/doc", ID2), ("a/b-c/x", ID2)];
    let mut reversed = names;
    reversed.reverse();
    assert_eq!(discover(&entries(&names)), discover(&entries(&reversed)));
}

proptest! {
    #[test]
    fn anything_at_all_is_read_without_a_panic_and_no_id_is_passed_over(
        values in proptest::collection::vec((0_usize..6, any::<Vec<u8>>(), any::<Vec<u8>>(), 0_usize..3), 1..8),
    ) {
        let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "doc", "access_key", "secret_key", "x"];
        let all: Vec<StoredEntry> = values
            .iter()
            .map(|(name, before, after, form)| {
                // Apart from its neighbours: capitals around it would make another word of it.
                let middle = match form {
                    0 => format!(" {ID} "),
                    1 => format!("\nAWS_ACCESS_KEY_ID={ID}\nAWS_SECRET_ACCESS_KEY={SECRET}\n"),
                    _ => format!("{{\"accessKeyId\":\"{ID}\",\"secretAccessKey\":\"{SECRET}\"}}"),
                };
                entry("s", names[*name], &[before.as_slice(), middle.as_bytes(), after.as_slice()].concat())
            })
            .collect();
        let findings = discover(&all);
        for entry in &all {
            let candidate = findings.candidates.iter().any(|candidate| {
                candidate.key_id.as_str() == ID && candidate.places.iter().any(|place| place.id.entry == entry.name)
            });
            let left = findings.left_alone.iter().any(|left| {
                left.key_id.as_ref().is_some_and(|id| id.as_str() == ID)
                    && left.places.iter().any(|(_, spot)| spot.entry == entry.name)
            });
            prop_assert!(candidate || left, "{}: {findings:?}", entry.name);
        }
    }
}
