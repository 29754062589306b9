//! Each reason for which discovery skips a key, in turn.

use super::tests::{ID, ID2, SECRET, SECRET2, candidates, entries, entry, finds_pair, leaves_alone, left_alone};
use super::*;
use crate::discovery::left_alone::Ambiguity;

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
fn halves_that_cannot_be_paired_are_skipped() {
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
            .filter_map(|left| {
                let WhyLeftAlone::Ambiguous { ambiguity } = &left.why else { return None };
                Some((left.key_id.as_ref().map(AccessKeyId::as_str), ambiguity.clone()))
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
    leaves_alone(&[("doc", "AWS_ACCESS_KEY_ID=x`y`\n")], "cannot-be-spliced", None, &["doc at AWS_ACCESS_KEY_ID"]);
    leaves_alone(&[("doc", "AWS_ACCESS_KEY_ID=$OTHER\n")], "not-a-key-id", None, &["doc at AWS_ACCESS_KEY_ID"]);
}

#[test]
fn text_that_cannot_be_edited() {
    let wrapped = "QUtJQUFCQ0RFRkdISUoyMzQ1Njc=";
    for text in [
        format!("the key is {ID}, ask Bob"),
        format!("# AWS_ACCESS_KEY_ID={ID}\nA=b\n"),
        format!("if true; then export AWS_ACCESS_KEY_ID={ID}; fi\n"),
        format!(r#"{{"env":"export AWS_ACCESS_KEY_ID={ID} AWS_SECRET_ACCESS_KEY={SECRET}"}}"#),
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
fn an_id_elsewhere_is_reported_beside_the_candidate() {
    let findings = discover(&entries(&[
        ("AWS_ACCESS_KEY_ID", ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("notes", &format!("we use {ID}")),
    ]));
    assert_eq!(findings.candidates.len(), 1);
    assert_eq!(left_alone(&findings), [("unsupported-form", Some(ID.to_owned()), vec!["notes".to_owned()])]);
}

#[test]
fn no_reason_quotes_a_stored_text() {
    // The name says that this is an id, but the value is another service's key. The characters could be a key id, so
    // the report does not show them.
    let findings = discover(&entries(&[
        ("AWS_ACCESS_KEY_ID", "hunter2hunter2hunter2"),
        ("doc", "AWS_SECRET_ACCESS_KEY=hunter2 hunter2\nS3_ACCESS_KEY=$hunter2\nX_ACCESS_KEY_ID=hunter2"),
        ("b", r#"{"AWS_ACCESS_KEY_ID":"hunter2hunter2hunter2","AWS_ACCESS_KEY_ID":"hunter2"}"#),
    ]));
    assert!(findings.left_alone.len() == 5, "{findings:?}");
    let messages: Vec<String> = findings.left_alone.iter().map(|left| format!("{left:?} {}", left.why)).collect();
    assert!(!messages.join(" ").contains("hunter2"), "{messages:?}");
}
