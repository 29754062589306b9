//! The AWS stores with responses that moto does not send.

use super::aws;
use super::responder::{Reply, Request, Responder, http, http_without_date};
use crate::adapters::aws::{ParameterStore, SecretsManagerStore};
use crate::adapters::stores::Backend;
use crate::ports::call::CallErrorKind;
use crate::ports::secret_store::Reading;

/// An error as the JSON protocol has it: its status is 400 whatever it means. (The responder's date is years back, and
/// these codes may mean just that.)
pub(super) fn json_error(code: &str) -> Vec<u8> {
    http_without_date(400, &format!("{{\"__type\":\"{code}\",\"message\":\"no\"}}"))
}

pub(super) fn asks(request: &Request, operation: &str) -> bool {
    request.head.lines().any(|line| line.to_ascii_lowercase().starts_with("x-amz-target:") && line.ends_with(operation))
}

pub(super) fn told(all: &[(String, Reading)]) -> Vec<(&str, &'static str)> {
    let kind = |reading: &Reading| match reading {
        Reading::Value { .. } => "value",
        Reading::Managed { .. } => "not ours",
        Reading::Large(_) => "large",
        Reading::Missing => "missing",
        Reading::Unreadable(_) => "unreadable",
    };
    all.iter().map(|(name, reading)| (name.as_str(), kind(reading))).collect()
}

#[tokio::test]
async fn a_secret_that_is_not_for_us_is_unreadable_and_the_others_are_read() {
    for code in ["AccessDeniedException", "DecryptionFailure"] {
        let responder = Responder::start(move |request| {
            Reply::Bytes(if asks(request, "ListSecrets") {
                http(
                    200,
                    r#"{"SecretList":[
                    {"Name":"a"},{"Name":"theirs"},{"Name":"gone","DeletedDate":1.0},
                    {"Name":"replica","PrimaryRegion":"eu-west-1"},{"Name":"rds","OwningService":"rds"},
                    {"Name":"rotates","RotationEnabled":true},{"Name":"here","PrimaryRegion":"us-east-1"}]}"#,
                )
            } else if request.body.contains("theirs") {
                json_error(code)
            } else {
                let named = request.body.split("\"SecretId\":\"").nth(1).and_then(|rest| rest.split('"').next());
                let named = named.expect("a secret is asked for");
                http(200, &format!(r#"{{"Name":"{named}","VersionId":"v","SecretString":"x"}}"#))
            })
        });
        let store = SecretsManagerStore::open(&aws(&responder).await, None, "").await.expect("a store");
        let all = store.read_all().await.expect("the others are read");
        assert_eq!(
            told(&all),
            [
                ("a", "value"),
                ("here", "value"),
                ("rds", "not ours"),
                ("replica", "not ours"),
                ("rotates", "not ours"),
                ("theirs", "unreadable")
            ],
            "{code}"
        );
    }
}

#[tokio::test]
async fn a_list_that_is_refused_or_cut_off_is_no_empty_store() {
    let cut = br#"HTTP/1.1 200 OK\r\ncontent-length: 60\r\nconnection: close\r\n\r\n{"SecretList":[{"Na"#;
    let cut = String::from_utf8_lossy(cut).replace("\\r\\n", "\r\n").into_bytes();
    for (answer, kind) in [
        (json_error("AccessDeniedException"), CallErrorKind::Denied),
        (json_error("UnrecognizedClientException"), CallErrorKind::Credentials),
        (json_error("ExpiredTokenException"), CallErrorKind::Credentials),
        (json_error("ThrottlingException"), CallErrorKind::Throttled),
        (http(200, r#"{"SecretList":[{"Name":"a"#), CallErrorKind::Unavailable),
        (http(503, "<html>"), CallErrorKind::Unavailable),
        (cut, CallErrorKind::Unavailable),
    ] {
        let responder = Responder::start(move |_| Reply::ThenClose(answer.clone()));
        let aws = aws(&responder).await;
        let store = SecretsManagerStore::open(&aws, None, "").await.expect("a store");
        assert_eq!(store.read_all().await.expect_err("no list").kind, kind);
    }
}

#[tokio::test]
async fn one_parameter_whose_kms_key_is_not_for_us_takes_no_other_with_it() {
    let responder = Responder::start(|request| {
        let parameter = |name: &str| format!(r#"{{"Name":"{name}","Type":"SecureString","Value":"x","Version":3}}"#);
        Reply::Bytes(if asks(request, "GetParametersByPath") {
            if request.body.contains("\"WithDecryption\":true") {
                json_error("AccessDeniedException")
            } else {
                http(200, &format!("{{\"Parameters\":[{},{}]}}", parameter("/team/ours"), parameter("/team/theirs")))
            }
        } else if request.body.contains("theirs") {
            json_error("AccessDeniedException")
        } else {
            http(200, &format!("{{\"Parameters\":[{}]}}", parameter("/team/ours")))
        })
    });
    let store = ParameterStore::open(&aws(&responder).await, None, "/team").await.expect("a store");
    let all = store.read_all().await.expect("the other is read");
    assert_eq!(told(&all), [("ours", "value"), ("theirs", "unreadable")]);
    assert!(responder.requests().iter().any(|request| request.body.contains("\"Path\":\"/team\"")));
}

#[tokio::test]
async fn a_name_at_the_top_keeps_the_slash_that_it_has_or_has_not() {
    let responder = Responder::always(http(
        200,
        r#"{"Parameters":[
        {"Name":"/a/b/c","Value":"x","Version":1},{"Name":"/top","Value":"x","Version":1},{"Name":"bare","Value":"x","Version":1}]}"#,
    ));
    let store = ParameterStore::open(&aws(&responder).await, None, "").await.expect("a store");
    let all = store.read_all().await.expect("read");
    assert_eq!(told(&all), [("a/b/c", "value"), ("top", "value"), ("/bare", "value")]);
    let names: Vec<String> = all.into_iter().map(|(name, _)| name).collect();
    let again = store.read(&names).await.expect("read");
    assert!(again.iter().all(|reading| matches!(reading, Reading::Value { .. })), "{again:?}");
    let asked = responder.requests().pop().expect("asked").body;
    assert!(asked.contains(r#"["/a/b/c","/top","bare"]"#), "{asked}");
}

#[tokio::test]
async fn an_answer_about_something_else_is_not_believed() {
    let responder = Responder::start(|request| {
        Reply::Bytes(if asks(request, "ListSecrets") {
            http(200, r#"{"SecretList":[{"Name":"a"}]}"#)
        } else if asks(request, "GetSecretValue") {
            http(200, r#"{"Name":"b","VersionId":"v","SecretString":"x"}"#)
        } else {
            http(200, r#"{"Parameters":[{"Name":"/team/b","Value":"x","Version":1}]}"#)
        })
    });
    let aws = aws(&responder).await;
    let secrets = SecretsManagerStore::open(&aws, None, "").await.expect("a store");
    let parameters = ParameterStore::open(&aws, None, "/team/").await.expect("a store");
    let others = ParameterStore::open(&aws, None, "/others/").await.expect("a store");
    for (error, what) in [
        (secrets.read_all().await.expect_err("another"), "another secret"),
        (secrets.read(&["a".to_owned()]).await.expect_err("another"), "another secret"),
        (parameters.read(&["a".to_owned()]).await.expect_err("another"), "another parameter"),
        (others.read_all().await.expect_err("another"), "another parameter"),
    ] {
        assert!(error.kind == CallErrorKind::Unavailable && error.message.contains(what), "{error}");
    }
    let missing = Responder::always(http(200, r#"{"Name":null,"VersionId":"v","SecretString":"x"}"#));
    let store = SecretsManagerStore::open(&super::aws(&missing).await, None, "").await.expect("a store");
    assert!(store.read(&["a".to_owned()]).await.is_err(), "nor is one about nothing");
}
