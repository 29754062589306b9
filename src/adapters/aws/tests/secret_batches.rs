//! Secrets Manager with batch answers that moto does not send.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::aws;
use super::responder::{Reply, Request, Responder, http, http_without_date};
use super::stores::{asks, json_error, told};
use crate::adapters::aws::SecretsManagerStore;
use crate::adapters::aws::secret_batches::Batches;
use crate::adapters::bounds::{Budget, LARGEST_SCAN, TooLarge};
use crate::adapters::stores::Backend;
use crate::ports::secret_store::Reading;

const BATCH: &str = "BatchGetSecretValue";

fn asks_one(request: &Request) -> bool {
    asks(request, ".GetSecretValue")
}

/// What the body of a request asks for: the secrets of a batch, or the one secret.
fn asked_for(request: &Request) -> Vec<String> {
    let body: Value = serde_json::from_str(&request.body).expect("JSON");
    match (&body["SecretIdList"], &body["SecretId"]) {
        (Value::Array(names), _) => names.iter().map(|name| name.as_str().expect("text").to_owned()).collect(),
        (_, name) => vec![name.as_str().expect("text").to_owned()],
    }
}

fn listed(names: &[String]) -> Reply {
    let all: Vec<Value> = names.iter().map(|name| json!({ "Name": name })).collect();
    answer(&json!({ "SecretList": all }))
}

fn answer(body: &Value) -> Reply {
    Reply::Bytes(http(200, &body.to_string()))
}

fn arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-AbCdEf")
}

/// One value of a batch answer.
fn entry(name: &str, value: &str) -> Value {
    json!({
        "ARN": arn(name), "Name": name, "VersionId": format!("v-{name}"), "SecretString": value,
        "VersionStages": ["AWSCURRENT"], "CreatedDate": 1.0,
    })
}

/// The answer of `GetSecretValue`.
fn alone(name: &str) -> Reply {
    answer(&json!({ "ARN": arn(name), "Name": name, "VersionId": "v", "SecretString": "alone" }))
}

fn many(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("team/{number:03}")).collect()
}

fn count(responder: &Responder, is_counted: impl Fn(&Request) -> bool) -> usize {
    responder.requests().iter().filter(|request| is_counted(request)).count()
}

async fn store(responder: &Responder, prefix: &str) -> SecretsManagerStore {
    SecretsManagerStore::open(&aws(responder).await, None, prefix).await.expect("a store")
}

/// The version and the value of each entry.
fn contents(all: &[(String, Reading)]) -> BTreeMap<&str, (String, String)> {
    let content = |reading: &Reading| match reading {
        Reading::Value { version, value } => (version.0.clone(), String::from_utf8_lossy(value.expose()).into_owned()),
        other @ (Reading::Managed { .. } | Reading::Large(_) | Reading::Missing | Reading::Unreadable(_)) => {
            panic!("{other:?}")
        }
    };
    all.iter().map(|(name, reading)| (name.as_str(), content(reading))).collect()
}

#[tokio::test]
async fn forty_five_secrets_are_read_with_three_calls() {
    let responder = Responder::start(|request| {
        if asks(request, "ListSecrets") {
            return listed(&many(45));
        }
        assert!(asks(request, BATCH), "{}", request.head);
        // AWS promises no order.
        let values = asked_for(request).into_iter().rev().map(|name| match name.as_str() {
            "team/003" => json!({
                "ARN": arn(&name), "Name": name, "VersionId": "b", "SecretBinary": "AP8=", "VersionStages": ["AWSCURRENT"],
            }),
            name => entry(name, &format!("of {name}")),
        });
        // Nor does another batch's secret belong here.
        let another = if request.body.contains("team/000") { "team/044" } else { "team/000" };
        let values: Vec<Value> = values.chain([entry(another, "not asked for")]).collect();
        answer(&json!({ "SecretValues": values, "Errors": [] }))
    });
    let store = store(&responder, "team/").await;
    let mut all = store.read_all().await.expect("read");
    assert!(all.is_sorted_by(|(one, _), (other, _)| one < other), "in the order of their names");
    let (_, binary) = all.remove(3);
    assert!(
        matches!(&binary, Reading::Value { version, value } if version.0 == "binary b" && value.expose() == [0, 255]),
        "{binary:?}"
    );
    let contents = contents(&all);
    assert_eq!(contents.len(), 44);
    for (name, (version, value)) in contents {
        assert_eq!((version, value), (format!("text v-team/{name}"), format!("of team/{name}")));
    }
    assert_eq!((count(&responder, |request| asks(request, BATCH)), count(&responder, asks_one)), (3, 0));
    let most = responder
        .requests()
        .iter()
        .filter(|request| asks(request, BATCH))
        .map(|request| asked_for(request).len())
        .max();
    assert_eq!(most, Some(20));

    // A single entry, as the check before a removal reads it.
    let _ = store.read(&["001".to_owned()]).await;
    assert_eq!((count(&responder, |request| asks(request, BATCH)), count(&responder, asks_one)), (3, 1));
}

#[tokio::test]
async fn what_a_batch_does_not_answer_is_read_by_itself() {
    let throttled = AtomicUsize::new(0);
    let responder = Responder::start(move |request| {
        if asks(request, "ListSecrets") {
            return listed(&["a", "denied", "gone", "left-out", "slow"].map(str::to_owned));
        }
        if asks(request, BATCH) {
            let error = |name: &str, code: &str| json!({ "SecretId": name, "ErrorCode": code, "Message": "no" });
            return answer(&json!({
                "SecretValues": [entry("a", "together")], "NextToken": "more",
                "Errors": [
                    error(&arn("denied"), "AccessDeniedException"), error("gone", "InvalidRequestException"),
                    error("slow", "ThrottlingException"),
                ],
            }));
        }
        match asked_for(request)[0].as_str() {
            "denied" => Reply::Bytes(json_error("AccessDeniedException")),
            "gone" => Reply::Bytes(json_error("InvalidRequestException")),
            "slow" if throttled.fetch_add(1, Ordering::SeqCst) == 0 => Reply::Bytes(json_error("ThrottlingException")),
            name => alone(name),
        }
    });
    let all = store(&responder, "").await.read_all().await.expect("read");
    assert_eq!(told(&all), [("a", "value"), ("denied", "unreadable"), ("left-out", "value"), ("slow", "value")]);
    let Reading::Unreadable(why) = &all[1].1 else { unreachable!("it is unreadable") };
    assert!(why.contains("GetSecretValue for secret denied") && why.contains("AccessDeniedException"), "{why}");
    let mut alone: Vec<String> =
        responder.requests().iter().filter(|request| asks_one(request)).flat_map(asked_for).collect();
    alone.sort();
    assert_eq!(alone, ["denied", "gone", "left-out", "slow", "slow"]);
}

/// A value is believed if it is the one current value of a secret that was asked for, and nothing contradicts it.
#[tokio::test]
async fn a_doubtful_value_of_a_batch_is_not_believed() {
    let with = |name: &str, field: &str, value: Value| {
        let mut entry = entry(name, "doubtful");
        entry[field] = value;
        entry
    };
    let values = json!([
        entry("believed", "together"),
        entry("foreign", "doubtful"),
        with("another", "Name", json!("a-other")),
        with("arn", "ARN", json!(arn("arn-2"))),
        with("staged", "VersionStages", json!(["ROTATOR_STAGED"])),
        with("unlabelled", "VersionStages", Value::Null),
        with("unversioned", "VersionId", Value::Null),
        with("empty", "SecretString", Value::Null),
        entry("failed", "doubtful"),
        entry("failed-by-arn", "doubtful"),
        entry("twice", "doubtful"),
        entry("twice", "doubtful, too"),
        with("unnamed", "Name", Value::Null),
    ]);
    let errors = json!([
        { "SecretId": "failed", "ErrorCode": "InternalServiceError" },
        { "SecretId": arn("failed-by-arn"), "ErrorCode": "InternalServiceError" },
        { "ErrorCode": "InternalServiceError" },
    ]);
    let names = [
        "another",
        "arn",
        "believed",
        "empty",
        "failed",
        "failed-by-arn",
        "staged",
        "twice",
        "unlabelled",
        "unnamed",
        "unversioned",
    ]
    .map(str::to_owned);
    let asked = names.clone();
    let responder = Responder::start(move |request| {
        if asks(request, "ListSecrets") {
            listed(&asked)
        } else if asks(request, BATCH) {
            answer(&json!({ "SecretValues": values, "Errors": errors }))
        } else {
            alone(&asked_for(request)[0])
        }
    });
    let all = store(&responder, "").await.read_all().await.expect("read");
    let contents = contents(&all);
    assert_eq!(contents.keys().copied().collect::<Vec<_>>(), names);
    for (name, (version, value)) in contents {
        let expected = if name == "believed" { ("text v-believed", "together") } else { ("text v", "alone") };
        assert_eq!((version.as_str(), value.as_str()), expected, "{name}");
    }
}

/// Has 45 secrets, and answers each batch so.
fn without_batches(answer: Vec<u8>) -> Responder {
    Responder::start(move |request| {
        if asks(request, "ListSecrets") {
            listed(&many(45))
        } else if asks(request, BATCH) {
            Reply::Bytes(answer.clone())
        } else {
            alone(&asked_for(request)[0])
        }
    })
}

#[tokio::test]
async fn a_batch_that_is_refused_is_not_tried_again() {
    for refusal in [
        json_error("AccessDeniedException"),
        json_error("UnknownOperationException"),
        http_without_date(403, "<html>no</html>"),
        http_without_date(501, "{\"__type\":\"InternalFailure\",\"message\":\"not implemented\"}"),
    ] {
        let shown = String::from_utf8_lossy(&refusal).into_owned();
        let responder = without_batches(refusal);
        let store = store(&responder, "team/").await;
        for pass in 1..=2 {
            let all = store.read_all().await.expect("read as before");
            assert_eq!(contents(&all).len(), 45, "{shown}");
            let calls = (count(&responder, |request| asks(request, BATCH)), count(&responder, asks_one));
            assert_eq!(calls, (1, pass * 45), "{shown}");
        }
    }
}

/// Such a failure says nothing about the operation, so the next pass tries it again.
#[tokio::test]
async fn after_a_failed_batch_the_rest_of_the_pass_is_read_one_by_one() {
    for failure in [
        json_error("DecryptionFailure"),
        json_error("InvalidParameterException"),
        http_without_date(500, "{\"__type\":\"InternalServiceError\",\"message\":\"no\"}"),
        http(200, "{\"SecretValues\":[{\"Na"),
    ] {
        let shown = String::from_utf8_lossy(&failure).into_owned();
        let responder = without_batches(failure);
        let store = store(&responder, "team/").await;
        for pass in 1..=2 {
            let all = store.read_all().await.expect("read as before");
            assert_eq!(contents(&all).len(), 45, "{shown}");
            let calls = (count(&responder, |request| asks(request, BATCH)), count(&responder, asks_one));
            assert_eq!(calls, (pass, pass * 45), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_throttled_batch_is_tried_again() {
    let tries = Mutex::new(BTreeMap::new());
    let responder = Responder::start(move |request| {
        if asks(request, "ListSecrets") {
            return listed(&many(25));
        }
        let names = asked_for(request);
        let mut tries = tries.lock().expect("not poisoned");
        let tries = tries.entry(names.clone()).or_insert(0);
        *tries += 1;
        if *tries == 1 {
            return Reply::Bytes(json_error("ThrottlingException"));
        }
        let values: Vec<Value> = names.iter().map(|name| entry(name, "together")).collect();
        answer(&json!({ "SecretValues": values, "Errors": [] }))
    });
    let all = store(&responder, "team/").await.read_all().await.expect("read");
    assert_eq!(contents(&all).len(), 25);
    assert_eq!((count(&responder, |request| asks(request, BATCH)), count(&responder, asks_one)), (4, 0));
}

#[tokio::test]
async fn the_values_of_a_batch_count_towards_the_limit_of_a_scan() {
    let responder = Responder::start(|request| {
        let values: Vec<Value> = asked_for(request).iter().map(|name| entry(name, "12345")).collect();
        answer(&json!({ "SecretValues": values, "Errors": [] }))
    });
    let batches = Batches::new(aws(&responder).await.secrets_manager(None).await.expect("a client"));
    for (left, is_enough) in [(10, true), (9, false)] {
        let budget = Budget::of_a_scan();
        budget.take(LARGEST_SCAN - left).expect("there is more");
        let read = batches.read(&many(2), &budget).await;
        assert_eq!(read.map(|read| read.len()), if is_enough { Ok(2) } else { Err(TooLarge::Scan) });
    }
}
