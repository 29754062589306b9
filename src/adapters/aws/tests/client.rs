//! `Aws::connect` in different environments. Variables belong to a whole process, so each row is a child process: this
//! test binary, which runs one test that is otherwise skipped.

use std::fs;
use std::process::Command;

use super::responder::{Reply, Responder, http};
use crate::adapters::aws::{Aws, AwsSettings};
use crate::ports::identity::Identity;

/// The text that the outcome of the child process must contain.
const EXPECT: &str = "ROTATOR_TEST_EXPECT";

const IDENTITY: &str = "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/me</Arn>\
    <UserId>AIDA</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";

#[tokio::test]
#[ignore = "a child of the other tests here, which give it its environment"]
async fn child() {
    let Ok(expected) = std::env::var(EXPECT) else { return };
    let outcome = match Aws::connect(AwsSettings::default(), &Default::default()).await {
        Err(error) => format!("failed to {error}"),
        Ok(aws) => match aws.caller().await {
            Err(error) => format!("connected, and failed to {error}"),
            Ok(caller) => format!("connected as {}", caller.arn),
        },
    };
    assert!(outcome.contains(&expected), "{outcome:?} does not contain {expected:?}");
}

fn in_a_child(variables: &[(&str, &str)], expected: &str) {
    let child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "--ignored", "adapters::aws::tests::client::child"])
        .env_clear()
        .env("AWS_ACCESS_KEY_ID", "AKIAROTATORROTATORRO")
        .env("AWS_SECRET_ACCESS_KEY", "rotators-own-secret")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env(EXPECT, expected)
        .envs(variables.iter().copied())
        .output()
        .expect("runs");
    let told = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && told.contains("1 passed"), "{variables:?}: {told}");
}

#[test]
fn missing_certificate_authorities_are_reported_where_they_are_needed() {
    let none = ("SSL_CERT_FILE", "/dev/null");
    in_a_child(&[none], "this machine has no certificate authorities");
    let here = Responder::always(http(200, IDENTITY));
    in_a_child(&[none, ("AWS_ENDPOINT_URL", here.url.as_str())], "connected as arn:aws:iam::123456789012:user/me");
}

#[test]
fn plain_http_is_for_this_machine_only() {
    let there = "http://192.0.2.1:5000";
    for (name, service) in
        [("AWS_ENDPOINT_URL", "IAM"), ("AWS_ENDPOINT_URL_IAM", "IAM"), ("AWS_ENDPOINT_URL_STS", "STS")]
    {
        let expected = format!("failed to call {service} at http://192.0.2.1: plain http is for this machine only");
        in_a_child(&[(name, there)], &expected);
    }
    for url in
        ["http://127.0.0.1.example.com", "http://127.0.0.1@192.0.2.1", "HTTP://192.0.2.1", "http://[2001:db8::1]"]
    {
        in_a_child(&[("AWS_ENDPOINT_URL", url)], "plain http is for this machine only");
    }
}

#[test]
fn a_profile_is_held_to_the_same_rule() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("config");
    let path = file.to_str().expect("text");
    fs::write(&file, "[default]\nendpoint_url = http://192.0.2.1\n").expect("written");
    in_a_child(&[("AWS_CONFIG_FILE", path)], "failed to call IAM at http://192.0.2.1");
    fs::write(&file, "[default]\nservices = mine\n[services mine]\nsts =\n  endpoint_url = http://192.0.2.1\n")
        .expect("written");
    in_a_child(&[("AWS_CONFIG_FILE", path)], "failed to call STS at http://192.0.2.1");
}

#[test]
fn an_endpoint_must_be_a_url() {
    in_a_child(
        &[("AWS_ENDPOINT_URL", "ftp://127.0.0.1")],
        "failed to call IAM: its endpoint is not an http or https URL",
    );
    in_a_child(&[("AWS_ENDPOINT_URL_STS", "not a url")], "failed to call STS: its endpoint is not");
}

#[test]
fn the_environment_neither_brings_retries_back_nor_a_proxy_between() {
    let here = Responder::always(http(200, IDENTITY));
    let retries = [("AWS_ENDPOINT_URL", here.url.as_str()), ("AWS_MAX_ATTEMPTS", "9"), ("AWS_RETRY_MODE", "adaptive")];
    in_a_child(&retries, "connected as arn:aws:iam::123456789012:user/me");
    let by_name = here.url.replace("127.0.0.1", "localhost");
    in_a_child(&[("AWS_ENDPOINT_URL", by_name.as_str())], "connected as");
    assert_eq!(here.requests().len(), 2);
    assert!(here.requests()[0].head.contains("/us-east-1/sts/"), "the last resort: {}", here.requests()[0].head);

    let failing = Responder::always(http(500, ""));
    let retries = [("AWS_ENDPOINT_URL", failing.url.as_str()), ("AWS_MAX_ATTEMPTS", "9")];
    in_a_child(&retries, "connected, and failed to call GetCallerIdentity");
    assert_eq!(failing.requests().len(), 1);

    let proxy = Responder::start(|_| Reply::ThenClose(Vec::new()));
    let proxied = [("AWS_ENDPOINT_URL", here.url.as_str()), ("HTTP_PROXY", &proxy.url), ("http_proxy", &proxy.url)];
    in_a_child(&proxied, "connected as");
    assert_eq!((proxy.connections(), here.requests().len()), (0, 3));
}

#[test]
fn a_region_of_the_environments_own_is_kept() {
    let here = Responder::always(http(200, IDENTITY));
    in_a_child(&[("AWS_ENDPOINT_URL", here.url.as_str()), ("AWS_REGION", "eu-central-1")], "connected as");
    assert!(here.requests()[0].head.contains("/eu-central-1/sts/"));
}

#[test]
fn without_credentials_it_says_so() {
    let here = Responder::always(http(200, IDENTITY));
    let none = [("AWS_ENDPOINT_URL", here.url.as_str()), ("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    in_a_child(&none, "there are no AWS credentials");
    assert_eq!(here.requests().len(), 0);
}
