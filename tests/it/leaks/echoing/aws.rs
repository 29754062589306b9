//! An AWS endpoint that quotes in two fields that rotator shows: the code of an error and the id of a request.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use rotator::adapters::aws::{Aws, AwsSettings, ParameterStore, SecretsManagerStore};
use rotator::adapters::stores::{BackendStore, Naming};
use rotator::ports::iam::Iam;
use rotator::ports::identity::{Identity, WhoIs};
use rotator::ports::secret_store::SecretStore;
use rotator::types::name::{AccessKeyId, StoreName, UserName};
use rotator::types::secret::SecretKey;
use serde_json::json;

use super::Reported;
use crate::support::echo::{ENCODINGS, Echo, Encoding, Protocol, Request};

/// A word as a code or an id may be one: only such are ever shown.
const NEW: &str = "nvVYkMZc0Zr5cI3pQWmYq8tLzXgE7hA1sDfJ2B44";
const NEIGHBOUR: &str = "q7f9dNZt3XcVb1Lm0PoIu8YtRe5WqAs2DfGh4J55";
const SESSION: &str = "IQoJb3JpZ2luX2VjEHoaCXVzLWVhc3QtMSJHMEUCIQDx7A2sDfGh4Jq7f9dNZt3XcVb1Lm0PoIu8";

async fn chain(echo: &Echo) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(echo.url())
        .credentials_provider(Credentials::new("AKIAAAAAAAAAAAAAAAAA", "x", Some(SESSION.to_owned()), None, "test"))
        .load()
        .await
}

fn settings() -> AwsSettings {
    AwsSettings { call_timeout: Duration::from_secs(10), ..AwsSettings::default() }
}

async fn aws(echo: &Echo) -> Aws {
    Aws::with_chain(&chain(echo).await, settings()).await.expect("connects")
}

#[tokio::test]
async fn iam_and_sts_that_quote_are_not_quoted() {
    let echo = Echo::start(Protocol::Xml, |_| None);
    let aws = aws(&echo).await;
    let user = UserName::new("app1-production").expect("valid");
    let key = AccessKeyId::new("AKIAOLDOLDOLDOLDOLDA").expect("valid");
    for (status, encoding) in [400, 403, 500].into_iter().flat_map(|status| ENCODINGS.map(|of| (status, of))) {
        // Half of a session's token is as much as fits a word.
        let part = if status == 403 { &SESSION[SESSION.len() - 44..] } else { &SESSION[..44] };
        echo.quotes(status, encoding, &encoding.code(part));
        let mut reported = Reported::default();
        reported.keep(aws.list_keys(&user).await);
        reported.keep(aws.last_used(&key).await);
        reported.keep(aws.caller().await);
        reported.keep(aws.account_of(&key).await);
        reported.conclude(&[part], &echo.said(), &format!("IAM and STS, {status}, {encoding:?}"), 4);
        // The pair that is to prove itself.
        echo.quotes(status, encoding, &encoding.code(NEW));
        let mut reported = Reported::default();
        match aws.who_is(&key, &SecretKey::new(NEW.to_owned())).await {
            Ok(WhoIs::NotAccepted { code } | WhoIs::Forbidden { code }) => reported.0.push(code),
            Ok(other) => panic!("{other:?}"),
            Err(error) => reported.0.push(error.message),
        }
        reported.conclude(&[NEW], &echo.said(), &format!("a proof, {status}, {encoding:?}"), 1);
    }
}

/// STS that quotes the token of the session which asks for a role: rotator's own call was never signed, and so does not know
/// that token.
#[tokio::test]
async fn sts_that_quotes_where_a_role_is_assumed_is_not_quoted() {
    let echo = Echo::start(Protocol::Xml, |_| None);
    let source = chain(&echo).await;
    let user = UserName::new("app1-production").expect("valid");
    for encoding in ENCODINGS {
        let role = AssumeRoleProvider::builder("arn:aws:iam::123456789012:role/x").session_name("s").configure(&source);
        let assumed = SharedCredentialsProvider::new(role.build().await);
        let chain = source.to_builder().credentials_provider(assumed).build();
        let aws = Aws::with_chain(&chain, settings()).await.expect("connects");
        let part = &SESSION[..44];
        echo.quotes(400, encoding, &encoding.code(part));
        let mut reported = Reported::default();
        reported.keep(aws.list_keys(&user).await);
        reported.keep(aws.caller().await);
        assert!(
            reported.0.iter().all(|reported| reported.contains("the role could not be assumed")),
            "{:?}",
            reported.0
        );
        reported.conclude(&[part], &echo.said(), &format!("AssumeRole, {encoding:?}"), 0);
        // A code that AWS documents is shown.
        echo.quotes(400, encoding, "AccessDenied");
        let error = aws.caller().await.expect_err("refused").message;
        assert!(error.contains("AWS answered AccessDenied"), "{error}");
    }
}

fn named(name: &str, backend: impl rotator::adapters::stores::Backend + 'static) -> Arc<dyn SecretStore> {
    Arc::new(BackendStore::new(StoreName::new(name).expect("valid"), Naming::default(), Arc::new(backend)))
}

/// The messages of calls that knew no value, of reads that received one, and of writes.
#[derive(Default)]
struct Parts {
    nothing: Reported,
    received: Reported,
    sent: Reported,
}

/// Plays the calls of a store whose AWS quotes a word, but for the first of `writing`, and of `reading`, that it answers.
async fn plays(
    peace: &Mutex<Vec<&'static str>>,
    store: &Arc<dyn SecretStore>,
    (reading, writing): (&[&'static str], &[&'static str]),
    version: &str,
) -> Parts {
    let answers = |operations: &[&'static str]| *peace.lock().expect("no panic") = operations.to_vec();
    let mut parts = Parts::default();
    answers(&[]);
    parts.nothing.keep_readings(store.read_all().await);
    parts.nothing.keep_reads(store, &["-/-/a", "-/-/b"]).await;
    answers(reading);
    parts.received.keep_readings(store.read_all().await);
    for answered in 0..writing.len() {
        answers(&writing[..answered]);
        parts.sent.keep_write(store, "-/-/a", version, NEW).await;
    }
    parts
}

#[tokio::test]
async fn stores_of_aws_that_quote_are_not_quoted() {
    let peace: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let serving = Arc::clone(&peace);
    let echo = Echo::start(Protocol::Json, move |request: &Request| {
        let operation = serving.lock().expect("no panic").iter().copied().find(|operation| request.asks(operation))?;
        // Of two entries, and of two pages, one is refused.
        let is_refused = match operation {
            "GetSecretValue" => !request.body.contains("\"a\""),
            "GetParametersByPath" => request.body.contains("NextToken"),
            _ => false,
        };
        if is_refused {
            return None;
        }
        Some(
            match operation {
                "ListSecrets" => json!({ "SecretList": [{ "Name": "a" }, { "Name": "b" }] }),
                "BatchGetSecretValue" => json!({ "SecretValues": [
                { "Name": "a", "VersionId": "v1", "VersionStages": ["AWSCURRENT"], "SecretString": NEIGHBOUR }] }),
                "GetSecretValue" => json!({ "Name": "a", "VersionId": "v1", "SecretString": NEIGHBOUR }),
                "PutSecretValue" => json!({ "Name": "a", "VersionId": "v2" }),
                "GetParametersByPath" => json!({ "NextToken": "x", "Parameters": [
                { "Name": "/a", "Type": "SecureString", "Version": 1, "Value": NEIGHBOUR }] }),
                "GetParameters" => json!({ "Parameters": [
                { "Name": "/a", "Type": "SecureString", "Version": 1, "Value": NEIGHBOUR }], "InvalidParameters": [] }),
                _ => json!({ "Parameters": [{ "Name": "/a", "Type": "SecureString", "Version": 1 }] }),
            }
            .to_string(),
        )
    });
    let aws = aws(&echo).await;
    let secrets = named("aws-secretsmanager:", SecretsManagerStore::open(&aws, None, "").await.expect("a store"));
    let parameters = named("aws-ssm:/", ParameterStore::open(&aws, None, "/").await.expect("a store"));
    let cases = ENCODINGS.map(|encoding| (400, encoding)).into_iter();
    let cases = cases.chain([(403, Encoding::Plain), (500, Encoding::Json), (500, Encoding::Base64(1))]);
    for word in [NEW, NEIGHBOUR, &SESSION[..44]] {
        for (status, encoding) in cases.clone() {
            let writes_a_secret = &["PutSecretValue", "UpdateSecretVersionStage"][..];
            let stores = [
                // The refusal of the other secret is compared with the value of the batch.
                (&secrets, (&["ListSecrets", "BatchGetSecretValue"][..], writes_a_secret), "text v1"),
                (&secrets, (&["ListSecrets", "GetSecretValue"][..], writes_a_secret), "text v1"),
                (
                    &parameters,
                    (&["GetParametersByPath"][..], &["DescribeParameters", "GetParameters", "PutParameter"][..]),
                    "1",
                ),
            ];
            for (store, calls, version) in stores {
                let what = format!("{}, {status}, {encoding:?}, {word}", store.name());
                echo.quotes(status, encoding, &encoding.code(word));
                let parts = plays(&peace, store, calls, version).await;
                // A word that a call never received may be any word.
                let (reported, least) = match word {
                    // A parameter that may not be read is taken for another version, without AWS's words.
                    NEW => (parts.sent, 2),
                    NEIGHBOUR => (parts.received, 1),
                    _ => (Reported([parts.nothing.0, parts.received.0, parts.sent.0].concat()), 4),
                };
                reported.conclude(&[word], &echo.said(), &what, least);
            }
        }
    }
}
