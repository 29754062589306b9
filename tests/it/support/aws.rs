//! Clients of moto and the sandbox: the real SDK, and requests signed by hand that the SDK would not send.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_iam::config::{BehaviorVersion, Region};
use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;

use super::http::{self, Answer};

/// The address of moto or the sandbox, and a pair to sign with.
#[derive(Clone)]
pub(crate) struct Pair {
    /// The access key id.
    pub(crate) id: String,
    /// The secret access key.
    pub(crate) secret: String,
}

impl Pair {
    pub(crate) fn new(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { id: id.into(), secret: secret.into() }
    }

    fn credentials(&self) -> Credentials {
        Credentials::new(&self.id, &self.secret, None, None, "test")
    }
}

/// The SDK's IAM client, without retries: a test sees every answer.
pub(crate) fn iam(address: SocketAddr, pair: &Pair) -> aws_sdk_iam::Client {
    aws_sdk_iam::Client::from_conf(
        aws_sdk_iam::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .endpoint_url(format!("http://{address}"))
            .credentials_provider(pair.credentials())
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(Duration::from_secs(20)).build())
            .build(),
    )
}

/// The SDK's STS client, without retries.
pub(crate) fn sts(address: SocketAddr, pair: &Pair) -> aws_sdk_sts::Client {
    aws_sdk_sts::Client::from_conf(
        aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .endpoint_url(format!("http://{address}"))
            .credentials_provider(pair.credentials())
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(Duration::from_secs(20)).build())
            .build(),
    )
}

/// Returns the result of an SDK call in a few words: `ok`, `404 NoSuchEntity`, or the kind of failure.
pub(crate) fn outcome<T, E: ProvideErrorMetadata>(result: &Result<T, SdkError<E>>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(SdkError::ServiceError(error)) => {
            format!("{} {}", error.raw().status().as_u16(), error.err().code().unwrap_or("without a code"))
        }
        Err(SdkError::TimeoutError(_)) => "timeout".to_owned(),
        Err(SdkError::DispatchFailure(_)) => "dispatch failure".to_owned(),
        Err(SdkError::ResponseError(_)) => "response error".to_owned(),
        Err(_) => "another failure".to_owned(),
    }
}

/// A call signed by the SDK's own signer for `time`, sent as it is.
pub(crate) fn signed_call(
    address: SocketAddr,
    pair: &Pair,
    service: &str,
    body: &str,
    time: SystemTime,
) -> std::io::Result<Answer> {
    let headers = signed_headers(address, pair, service, body, time);
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    http::send(address, "POST", "/", &headers, body.as_bytes())
}

/// The headers of a call signed for `time`.
pub(crate) fn signed_headers(
    address: SocketAddr,
    pair: &Pair,
    service: &str,
    body: &str,
    time: SystemTime,
) -> Vec<(String, String)> {
    let identity = pair.credentials().into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name(service)
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .expect("complete parameters");
    let mut headers = vec![
        ("host".to_owned(), address.to_string()),
        ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
    ];
    let url = format!("http://{address}/");
    let borrowed = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let request = SignableRequest::new("POST", &url, borrowed, SignableBody::Bytes(body.as_bytes()));
    let (instructions, _) = sign(request.expect("signable"), &params.into()).expect("signed").into_parts();
    let added: Vec<_> = instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    headers.extend(added);
    headers
}

/// Returns the result of a call without the SDK: `ok`, `404 NoSuchEntity`, or `no answer`.
pub(crate) fn raw_outcome(answer: std::io::Result<Answer>) -> String {
    match answer {
        Ok(answer) if answer.status == 200 => "ok".to_owned(),
        Ok(answer) => format!("{} {}", answer.status, element(&answer.body, "Code").unwrap_or("without a code")),
        Err(_) => "no answer".to_owned(),
    }
}

/// The text of the first element of that name.
pub(crate) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let rest = &xml[xml.find(&format!("<{name}>"))? + name.len() + 2..];
    Some(&rest[..rest.find(&format!("</{name}>"))?])
}
