//! Tests that no pair is made of another program's secret, or of a text that is no secret in the position of one.

use super::tests::{ID, ID2, SECRET, SECRET2, candidates, entries, finds_pair, leaves_alone, left_alone};
use super::*;
use crate::discovery::left_alone::Instead;

const SES: &str = "BMmUqA0kZ8tYQvX1nJd5hL7sWc3RfGpTe6bNyKxVo9Ia";

/// None of these is a pair, and the id is reported as one without a secret.
#[track_caller]
fn has_no_secret(documents: &[String]) {
    for document in documents {
        let findings = discover(&entries(&[("doc", document)]));
        assert_eq!(candidates(&findings), [], "{document}");
        let ids: Vec<_> = left_alone(&findings).into_iter().filter(|left| left.1.as_deref() == Some(ID)).collect();
        assert!(
            ids.iter().any(|left| matches!(left.0, "id-without-secret" | "not-a-secret" | "ambiguous")),
            "{document} {findings:?}"
        );
    }
}

#[test]
fn a_lone_secret_of_another_program_is_not_the_ids() {
    let others = [
        "SECRET_KEY",
        "SECRET_KEY_BASE",
        "OTP_SECRET",
        "JWT_SECRET",
        "JWT_KEY",
        "DB_PASSWORD",
        "POSTGRES_PASSWORD",
        "SMTP_PASSWORD",
        "APP_KEY",
        "APP_SECRET",
        "STRIPE_SECRET_KEY",
        "PASSWORD",
        "SESSION_SECRET",
        "GITHUB_TOKEN",
        "ENCRYPTION_KEY",
        "SENTRY_AUTH",
        "CLIENT_SECRET",
    ];
    for other in others {
        for id in ["AWS_ACCESS_KEY_ID", "S3_ACCESS_KEY", "SMTP_USERNAME", "SMTP_LOGIN", "EMAIL_HOST_USER", "DB_USER"] {
            has_no_secret(&[
                format!("{id}={ID}\n{other}={SECRET}\n"),
                format!("{id}={ID}\nAWS_SECRET_ACCESS_KEY=\n{other}={SECRET}\n"),
                format!(r#"{{"{id}":"{ID}","{other}":"{SECRET}"}}"#),
                format!(r#"{{"a":{{"{id}":"{ID}"}},"b":{{"{other}":"{SECRET}"}}}}"#),
                format!("a:\n  {id}: {ID}\nb:\n  {other}: {SECRET}\n"),
                format!(r#"[{{"name":"{id}","value":"{ID}"}},{{"name":"{other}","value":"{SECRET}"}}]"#),
            ]);
        }
        leaves_alone(
            &[("AWS_ACCESS_KEY_ID", ID), (other, SECRET)],
            "id-without-secret",
            Some(ID),
            &["AWS_ACCESS_KEY_ID"],
        );
    }
}

#[test]
fn a_lone_secret_in_another_object_is_not_the_ids() {
    has_no_secret(&[
        format!(r#"{{"Smtp":{{"User":"{ID}","Password":"{SES}"}},"Jwt":{{"SecretKey":"{SECRET}"}}}}"#),
        format!(r#"{{"Smtp":{{"User":"{ID}"}},"Other":{{"Thing":"{SECRET}"}}}}"#),
        format!(r#"{{"user":"{ID}","deeper":{{"thing":"{SECRET}"}}}}"#),
        format!("smtp:\n  user: {ID}\n  password: {SES}\nhoneybadger:\n  value: {SECRET}\n"),
    ]);
}

#[test]
fn a_pair_beside_other_secrets_is_found() {
    for other in ["SECRET_KEY", "SECRET_KEY_BASE", "DB_PASSWORD", "JWT_SECRET", "GITHUB_TOKEN", "ANYTHING"] {
        let document =
            format!("{other}={SECRET2}\nAWS_ACCESS_KEY_ID={ID}\nAWS_SECRET_ACCESS_KEY={SECRET}\nSMTP_PASSWORD={SES}\n");
        finds_pair(&[("doc", &document)], "doc at AWS_ACCESS_KEY_ID", "doc at AWS_SECRET_ACCESS_KEY");
    }
    let mail =
        format!("SMTP_LOGIN={ID2}\nSMTP_PASSWORD={SES}\nAWS_ACCESS_KEY_ID={ID}\nAWS_SECRET_ACCESS_KEY={SECRET}\n");
    let findings = discover(&entries(&[("doc", &mail)]));
    assert_eq!(findings.candidates.len(), 1);
    assert_eq!(
        left_alone(&findings),
        [("id-without-secret", Some(ID2.to_owned()), vec!["doc at SMTP_LOGIN".to_owned()])]
    );
}

#[test]
fn an_id_that_aws_made_has_a_secret_of_40_characters() {
    for other in ["django-insecure-k9s8d7f6", "short", &SECRET[1..], &format!("{SECRET}a"), &SECRET.replace('/', "-")] {
        leaves_alone(&[("ACCESS_KEY", ID), ("SECRET_KEY", other)], "id-without-secret", Some(ID), &["ACCESS_KEY"]);
        leaves_alone(
            &[("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", other)],
            "not-a-secret",
            Some(ID),
            &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
        );
        finds_pair(
            &[("AWS_ACCESS_KEY_ID", "PROD111111111EXAMPLE"), ("AWS_SECRET_ACCESS_KEY", other)],
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
        );
    }
    // The form is judged by the text that the JSON string encodes, not by its escapes.
    let escaped = format!(r#"{{"aws_access_key_id":"{ID}","aws_secret_access_key":"{}"}}"#, SECRET.replace('/', "\\/"));
    finds_pair(&[("doc", &escaped)], "doc at /aws_access_key_id", "doc at /aws_secret_access_key");
}

#[test]
fn a_reference_to_a_secret_is_none() {
    for (text, instead) in [
        ("${AWS_SECRET_ACCESS_KEY}", Instead::Reference),
        ("op://ops/aws/secret", Instead::Reference),
        ("{cipher}AQICAHgIQjiUCcEmiMlQkpKpQm9t6LVN", Instead::Reference),
        ("@{vault:aws-secret}", Instead::Reference),
        ("%(aws_secret)s", Instead::Reference),
        ("ref+vault://secret/aws#/secret", Instead::Reference),
        ("ENC(kZ8tYQvX1nJd5hL7sWc3RfGpTe6bNyKx)", Instead::Reference),
        ("arn:aws:ssm:eu-west-1:123456789012:parameter/x", Instead::Reference),
        ("CHANGEME", Instead::Placeholder),
        (SES, Instead::Derived),
    ] {
        for id in [ID, "PROD111111111EXAMPLE"] {
            for (document, places) in [
                (
                    format!(r#"{{"aws_access_key_id":"{id}","aws_secret_access_key":"{text}"}}"#),
                    ["doc at /aws_access_key_id", "doc at /aws_secret_access_key"],
                ),
                (
                    format!("aws:\n  accessKeyId: {id}\n  secretAccessKey: '{text}'\n"),
                    ["doc at /aws/accessKeyId", "doc at /aws/secretAccessKey"],
                ),
            ] {
                let findings = discover(&entries(&[("doc", &document)]));
                assert_eq!(candidates(&findings), [], "{document}");
                let [left] = findings.left_alone.as_slice() else { panic!("{document} {findings:?}") };
                assert_eq!(left.why, WhyLeftAlone::NotASecret { instead }, "{document}");
                assert_eq!(
                    left.places.iter().map(|(_, spot)| spot.to_string().replace("app/prod/", "")).collect::<Vec<_>>(),
                    places
                );
            }
        }
    }
    // A shell would replace these: they are reported, too.
    for text in ["${AWS_SECRET_ACCESS_KEY}", "$(pass aws)", "$SECRET"] {
        let document = format!("AWS_ACCESS_KEY_ID={ID}\nAWS_SECRET_ACCESS_KEY={text}\n");
        let findings = discover(&entries(&[("doc", &document)]));
        assert_eq!(candidates(&findings), [], "{document}");
        let told: Vec<_> = left_alone(&findings).into_iter().map(|left| left.0).collect();
        assert_eq!(told, ["not-a-secret", "id-without-secret"], "{document}");
    }
}
