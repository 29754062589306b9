//! What is found in a store, what is left alone, and with which reason. Pairing is tested here too: what it makes of a
//! document shows only in the findings.

use proptest::prelude::*;

use super::super::left_alone::Ambiguity;
use super::super::splice::read_pair;
use super::*;

const ID: &str = "AKIAABCDEFGHIJ234567";
const ID2: &str = "AKIAZZZZZZZZZZ234567";
const SECRET: &str = "abcdefghijklmnopqrstABCDEFGHIJKLMNO0123/";
const SECRET2: &str = "zbcdefghijklmnopqrstABCDEFGHIJKLMNO0123+";

fn entries(of: &[(&str, &str)]) -> Vec<StoredEntry> {
    of.iter().map(|(name, value)| entry("s", name, value.as_bytes())).collect()
}

/// `name` is taken as one of `app/prod` unless it is a full one.
fn entry(store: &str, name: &str, value: &[u8]) -> StoredEntry {
    let name = if name.contains('/') { name.to_owned() } else { format!("app/prod/{name}") };
    StoredEntry {
        store: StoreName::new(store).expect("valid"),
        name: EntryName::new(name).expect("valid"),
        value: SecretValue::new(value.to_vec()),
    }
}

/// Id, then where id and secret stand in each place.
fn candidates(findings: &Findings) -> Vec<(String, Vec<(String, String)>)> {
    let spot = |spot: &Spot| spot.to_string().replace("app/prod/", "");
    let places =
        |candidate: &Candidate| candidate.places.iter().map(|place| (spot(&place.id), spot(&place.secret))).collect();
    findings.candidates.iter().map(|candidate| (candidate.key_id.to_string(), places(candidate))).collect()
}

/// Reason, id, and where.
fn left_alone(findings: &Findings) -> Vec<(&'static str, Option<String>, Vec<String>)> {
    let places = |left: &LeftAlone| {
        left.places.iter().map(|(_, spot)| spot.to_string().replace("app/prod/", "")).collect::<Vec<_>>()
    };
    findings
        .left_alone
        .iter()
        .map(|left| (left.why.reason(), left.key_id.as_ref().map(ToString::to_string), places(left)))
        .collect()
}

#[track_caller]
fn finds_pair(of: &[(&str, &str)], id: &str, secret: &str) {
    let findings = discover(&entries(of));
    let key_id = findings.candidates.first().map_or(ID, |candidate| candidate.key_id.as_str()).to_owned();
    assert_eq!(candidates(&findings), [(key_id, vec![(id.to_owned(), secret.to_owned())])], "{of:?} {findings:?}");
    assert_eq!(left_alone(&findings), [], "{of:?}");
}

#[track_caller]
fn leaves_alone(of: &[(&str, &str)], reason: &'static str, key_id: Option<&str>, places: &[&str]) {
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
fn several_pairs_of_one_environment_are_told_apart() {
    let findings = discover(&entries(&[
        ("AWS_ACCESS_KEY_ID", ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_ACCESS_KEY_ID_2", ID2),
        ("AWS_SECRET_ACCESS_KEY_2", SECRET2),
        ("aws-access-key-id", "AKIABBBBBBBBBBBBBBBB"),
        ("aws-secret-access-key", "three"),
        ("AWS_ACCESS_KEY", "AKIACCCCCCCCCCCCCCCC"),
        ("AWS_SECRET_KEY", "four"),
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
        (format!(r#"[{{"aws_access_key":"{ID}","aws_secret_key":"x"}}]"#), "/0/aws_access_key", "/0/aws_secret_key"),
    ] {
        finds_pair(&[("doc", &document)], &format!("doc at {id}"), &format!("doc at {secret}"));
        // Whatever the entry's own name says, the document knows better.
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
        (format!("AWS_ACCESS_KEY_ID={ID}\npassword={SECRET}\n"), "AWS_ACCESS_KEY_ID", "password"),
        (format!("USER={ID}\nAWS_SECRET_ACCESS_KEY=x\n"), "USER", "AWS_SECRET_ACCESS_KEY"),
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
        &[("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", "abcdef=")],
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

#[test]
fn temporary_keys() {
    let temporary = "ASIAABCDEFGHIJ234567";
    let document = format!("AWS_ACCESS_KEY_ID={temporary}\nAWS_SECRET_ACCESS_KEY={SECRET}\nAWS_SESSION_TOKEN=x\n");
    let places = ["doc at AWS_ACCESS_KEY_ID", "doc at AWS_SECRET_ACCESS_KEY"];
    leaves_alone(&[("doc", &document)], "temporary-key", Some(temporary), &places);
    leaves_alone(
        &[("doc", &document.replace(temporary, "PROD111111111EXAMPLE"))],
        "temporary-key",
        Some("PROD111111111EXAMPLE"),
        &places,
    );
    leaves_alone(&[("notes", temporary)], "temporary-key", Some(temporary), &["notes"]);
    // An old token beside a long-term key does not make it temporary, nor does an empty one.
    finds_pair(&[("doc", &document.replace(temporary, ID))], places[0], places[1]);
    let empty = document.replace(temporary, "PROD111111111EXAMPLE").replace("TOKEN=x", "TOKEN=");
    finds_pair(&[("doc", &empty)], places[0], places[1]);
}

#[test]
fn documentation_examples() {
    for example in ["AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE"] {
        leaves_alone(
            &[("AWS_ACCESS_KEY_ID", example), ("AWS_SECRET_ACCESS_KEY", SECRET)],
            "documentation-example",
            Some(example),
            &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
        );
        leaves_alone(&[("readme", &format!("as in {example}."))], "documentation-example", Some(example), &["readme"]);
    }
}

#[test]
fn halves() {
    leaves_alone(&[("AWS_ACCESS_KEY_ID", ID)], "id-without-secret", Some(ID), &["AWS_ACCESS_KEY_ID"]);
    leaves_alone(&[("notes", ID)], "id-without-secret", Some(ID), &["notes"]);
    leaves_alone(&[("AWS_SECRET_ACCESS_KEY", "x")], "secret-without-id", None, &["AWS_SECRET_ACCESS_KEY"]);
    let document = format!(r#"{{"user":"{ID}","github_token":"{SECRET}"}}"#);
    leaves_alone(&[("doc", &document)], "id-without-secret", Some(ID), &["doc at /user"]);
}

#[test]
fn an_id_that_two_secrets_claim() {
    let other = format!("AWS_ACCESS_KEY_ID={ID}\nAWS_SECRET_ACCESS_KEY={SECRET2}\n");
    leaves_alone(
        &[("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", SECRET), ("doc", &other)],
        "two-secrets",
        Some(ID),
        &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "doc at AWS_ACCESS_KEY_ID", "doc at AWS_SECRET_ACCESS_KEY"],
    );
}

#[test]
fn what_belongs_together_cannot_be_told() {
    let several = |ids, secrets| Ambiguity::Several { ids, secrets };
    for (document, expected) in [
        (format!("u={ID}\np={SECRET}\nq={SECRET2}\n"), vec![(Some(ID), several(1, 2))]),
        (format!("u={ID}\nv={ID2}\np={SECRET}\n"), vec![(Some(ID), several(2, 1)), (Some(ID2), several(2, 1))]),
        (
            format!("A_AWS_ACCESS_KEY_ID={ID}\nB_AWS_SECRET_ACCESS_KEY={SECRET}\n"),
            vec![(Some(ID), Ambiguity::NamesDisagree)],
        ),
        (
            format!("AWS_ACCESS_KEY_ID={ID}\nAWS_SECRET_ACCESS_KEY={SECRET}\nAWS_SECRET_ACCESS_KEY={SECRET2}"),
            vec![(None, Ambiguity::DefinedTwice)],
        ),
        (format!(r#"{{"u":"{ID}","p":"{SECRET}","p":"{SECRET}"}}"#), vec![]),
        (format!(r#"{{"u":"{ID}","u":"{ID}","p":"{SECRET}"}}"#), vec![(Some(ID), Ambiguity::DefinedTwice)]),
    ] {
        let findings = discover(&entries(&[("doc", &document)]));
        assert_eq!(candidates(&findings), [], "{document}");
        let found: Vec<_> = findings
            .left_alone
            .iter()
            .filter_map(|left| match &left.why {
                WhyLeftAlone::Ambiguous { ambiguity } => {
                    Some((left.key_id.as_ref().map(AccessKeyId::as_str), ambiguity.clone()))
                }
                _ => None,
            })
            .collect();
        assert_eq!(found, expected, "{document} {:?}", findings.left_alone);
        assert!(findings.left_alone.iter().any(|left| left.key_id.is_some()), "{document}");
    }
}

#[test]
fn entries_of_unrelated_names_are_no_pair() {
    let findings = discover(&entries(&[("user", ID), ("password", SECRET)]));
    assert_eq!(candidates(&findings), []);
    assert_eq!(
        findings.left_alone[0].why,
        WhyLeftAlone::Ambiguous { ambiguity: Ambiguity::UnrelatedNames },
        "{findings:?}"
    );
    assert_eq!(left_alone(&findings).len(), 1);
}

#[test]
fn names_that_promise_what_the_value_is_not() {
    leaves_alone(&[("AWS_ACCESS_KEY_ID", "changeme")], "not-a-key-id", None, &["AWS_ACCESS_KEY_ID"]);
    leaves_alone(&[("AWS_SECRET_ACCESS_KEY", "two words")], "not-a-secret", None, &["AWS_SECRET_ACCESS_KEY"]);
    leaves_alone(&[("doc", "AWS_ACCESS_KEY_ID=$OTHER\n")], "cannot-be-spliced", None, &["doc at AWS_ACCESS_KEY_ID"]);
}

#[test]
fn text_that_cannot_be_edited() {
    let wrapped = "QUtJQUFCQ0RFRkdISUoyMzQ1Njc=";
    for text in [
        format!("the key is {ID}, ask Bob"),
        format!("# AWS_ACCESS_KEY_ID={ID}\nA=b\n"),
        format!("if true; then export AWS_ACCESS_KEY_ID={ID}; fi\n"),
        format!(r#"{{"env":"AWS_ACCESS_KEY_ID={ID}\nAWS_SECRET_ACCESS_KEY={SECRET}"}}"#),
        format!(r#"{{"{ID}":"{SECRET}"}}"#),
        format!("s3://{ID}:{SECRET}@bucket"),
        format!(r#"{{"data":{{"id":"{wrapped}"}}}}"#),
    ] {
        leaves_alone(&[("doc", &text)], "unsupported-form", Some(ID), &["doc"]);
    }
    let findings = discover(&[entry(
        "s",
        "binary",
        format!("\u{1}{ID}\u{1}").as_bytes().iter().chain(b"\xff").copied().collect::<Vec<_>>().as_slice(),
    )]);
    assert_eq!(left_alone(&findings), [("not-utf8", Some(ID.to_owned()), vec!["binary".to_owned()])]);
    let findings = discover(&[entry("s", "AWS_SECRET_ACCESS_KEY", b"\xff"), entry("s", "keystore", b"\xff")]);
    assert_eq!(left_alone(&findings), [("not-utf8", None, vec!["AWS_SECRET_ACCESS_KEY".to_owned()])]);
}

#[test]
fn a_copy_that_would_stay_is_a_reason() {
    let document = format!("# was {ID}\nAWS_ACCESS_KEY_ID={ID}\nAWS_SECRET_ACCESS_KEY={SECRET}\n");
    leaves_alone(
        &[("doc", &document)],
        "cannot-be-spliced",
        Some(ID),
        &["doc at AWS_ACCESS_KEY_ID", "doc at AWS_SECRET_ACCESS_KEY"],
    );
}

#[test]
fn an_id_elsewhere_is_told_beside_the_candidate() {
    let findings = discover(&entries(&[
        ("AWS_ACCESS_KEY_ID", ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("notes", &format!("we use {ID}")),
    ]));
    assert_eq!(findings.candidates.len(), 1);
    assert_eq!(left_alone(&findings), [("unsupported-form", Some(ID.to_owned()), vec!["notes".to_owned()])]);
}

#[test]
fn no_stored_text_is_told() {
    // Under the name of an id stands another service's key: a key id by its characters, but not shown.
    let findings = discover(&entries(&[
        ("AWS_ACCESS_KEY_ID", "hunter2hunter2hunter2"),
        ("doc", "AWS_SECRET_ACCESS_KEY=hunter2 hunter2\nS3_ACCESS_KEY=$hunter2\nX_ACCESS_KEY_ID=hunter2"),
        ("b", r#"{"AWS_ACCESS_KEY_ID":"hunter2hunter2hunter2","AWS_ACCESS_KEY_ID":"hunter2"}"#),
    ]));
    assert!(findings.left_alone.len() == 5, "{findings:?}");
    let told: Vec<String> = findings.left_alone.iter().map(|left| format!("{left:?} {}", left.why)).collect();
    assert!(!told.join(" ").contains("hunter2"), "{told:?}");
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
