//! A failed call to AWS: what is certain about it, and its message.
//!
//! Nothing here formats an SDK error or a body. An error code or a request id is quoted if it has the right form and
//! contains no part of a secret (`redact`). A failure before any response is described by the error of the operating
//! system or of TLS.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use zeroize::Zeroizing;

use super::credentials_source::Trouble;
use super::error_codes::{CREDENTIALS, DENIED, SKEWED, THROTTLING, code_in_words, is_known};
use super::refusal_text::{MfaRefusal, Missing};
use super::response_check::{Recorded, ResponseCheck, SessionToken, WHOLE_JSON, is_word};
use crate::adapters::redact::{Failed, Said, Secrets, Words};
use crate::ports::call::{CallError, CallErrorKind};
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::time::Timestamp;

/// The words of an error for a call that got no answer, or a part of one.
pub const NO_ANSWER: &str = "no whole answer";

/// AWS sends no response of this size, so a retry would fail the same way.
const TOO_LARGE: &str = "the answer is larger than 16 MiB, and rotator reads no more of one";

/// The maximum number of causes to follow.
const MOST_CAUSES: usize = 16;

/// A request whose signature is off by this much is refused for its time; AWS allows 5 or 15 minutes.
const LEAST_SKEW: Duration = Duration::from_secs(4 * 60);

/// The call, for messages.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// The name of the operation.
    pub(super) operation: &'static str,
    /// The subject of the call.
    pub(super) about: String,
    /// Whether the response is JSON; otherwise it is XML.
    pub(super) is_json: bool,
    /// The secrets of the request, which the response may quote.
    secrets: Vec<SessionToken>,
    /// Where the request was sent.
    endpoint: Option<String>,
}

impl Call {
    /// A call of the query protocol.
    pub(super) fn xml(operation: &'static str, about: String) -> Self {
        Self { operation, about, is_json: false, secrets: Vec::new(), endpoint: None }
    }

    /// A call of the JSON protocol.
    pub(super) fn json(operation: &'static str, about: String) -> Self {
        Self { operation, about, is_json: true, secrets: Vec::new(), endpoint: None }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.operation, self.about)
    }
}

/// How far the call got before it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// The call ended before the request was sent.
    NotSent(NotSent),
    /// There are no credentials; the text describes the source.
    NoCredentials(String),
    /// The role that signs could not be assumed; the text is the error code.
    NoRole(String),
    /// The request was sent, and no complete response was received.
    NoAnswer(String),
    /// The response proves nothing.
    Unreadable(&'static str),
    /// The response is a complete error document with this code.
    Error(String),
}

/// Why a request was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NotSent {
    NoCredentials,
    BadCredentials,
    CredentialsFailed,
    CredentialsLate,
    TooLate,
    Other,
}

impl NotSent {
    const fn words(self) -> &'static str {
        match self {
            Self::NoCredentials => {
                "there are no AWS credentials; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            }
            Self::BadCredentials => "the configuration of the AWS credentials is not valid; see ~/.aws/config",
            Self::CredentialsFailed => "the source of the AWS credentials failed",
            Self::CredentialsLate => "the source of the AWS credentials gave no answer",
            Self::TooLate => "the time-out passed before the request was sent",
            Self::Other => "the request could not be made; check region, profile and endpoint",
        }
    }
}

/// A failed call.
#[derive(Debug, Clone)]
pub(super) struct AwsCallError {
    call: Box<Call>,
    stage: Stage,
    status: Option<u16>,
    request_id: Option<String>,
    /// The clock of AWS, if there was a response.
    pub(super) at: Option<Timestamp>,
    /// The difference between the signing time of the request and that clock.
    skew: Duration,
    /// What a `NoSuchEntity` refers to.
    pub(super) missing: Missing,
    /// Why a role that asks for MFA was not assumed.
    pub(super) mfa: MfaRefusal,
}

impl AwsCallError {
    /// A successful response with unexpected content.
    pub(super) fn unreadable(call: &Call, seen: Recorded, why: &'static str) -> Self {
        Self::new(call, seen, Stage::Unreadable(why))
    }

    fn new(call: &Call, seen: Recorded, stage: Stage) -> Self {
        let skew =
            seen.at.zip(seen.signed_at).map_or(Duration::ZERO, |(at, signed)| at.since(signed).max(signed.since(at)));
        let (status, request_id, at) = (seen.status, seen.request_id, seen.at);
        let mut call = Box::new(call.clone());
        call.secrets.extend(seen.token);
        call.endpoint = seen.endpoint;
        let (missing, mfa) = (Missing::Unclear, MfaRefusal::Other);
        Self { call, stage, status, request_id, at, skew, missing, mfa }
    }

    /// The error code of a certain refusal: a 4xx response whose complete body contains one.
    pub(super) fn refusal_code(&self) -> Option<&str> {
        match &self.stage {
            Stage::Error(code) if self.status.is_some_and(|status| (400..500).contains(&status)) => Some(code),
            Stage::Error(_)
            | Stage::NotSent(_)
            | Stage::NoCredentials(_)
            | Stage::NoRole(_)
            | Stage::NoAnswer(_)
            | Stage::Unreadable(_) => None,
        }
    }

    /// Whether the refusal is caused by the clock of this machine and not by the credentials. The SDK has learnt the
    /// time of AWS from the response, so a retry may succeed.
    fn is_skewed(&self) -> bool {
        self.skew >= LEAST_SKEW && self.refusal_code().is_some_and(|code| SKEWED.contains(&code))
    }

    /// Whether the refusal is caused by missing permissions.
    pub(super) fn is_denied(&self) -> bool {
        !self.is_skewed()
            && self.refusal_code().is_some_and(|code| {
                let is_refused = matches!(self.status, Some(401 | 403)) || DENIED.contains(&code);
                !THROTTLING.contains(&code) && !CREDENTIALS.contains(&code) && is_refused
            })
    }

    /// Whether the operation as a whole is refused, so that another one may still be allowed: its right is missing, or the
    /// endpoint does not know it.
    pub(super) fn is_of_operation(&self) -> bool {
        let by_code = match self.refusal_code() {
            // This code is about one value.
            Some("DecryptionFailure") => false,
            Some("UnknownOperationException" | "InvalidAction") => true,
            Some(_) | None => self.is_denied(),
        };
        // Gateways and look-alikes answer with these. AWS's own JSON protocol uses 400 and 500.
        let by_status = !self.is_skewed() && matches!(self.status, Some(403..=405 | 501));
        let by_other = matches!(self.call_error_kind(), CallErrorKind::Throttled | CallErrorKind::Credentials);
        (by_code || by_status) && !by_other
    }

    /// Whether the credentials that signed, or should sign, are the cause.
    pub(super) fn is_about_credentials(&self) -> bool {
        match &self.stage {
            Stage::NotSent(reason_not_sent) => match reason_not_sent {
                NotSent::NoCredentials | NotSent::BadCredentials | NotSent::CredentialsFailed => true,
                NotSent::CredentialsLate | NotSent::TooLate | NotSent::Other => false,
            },
            Stage::NoRole(code) => !THROTTLING.contains(&code.as_str()),
            Stage::NoCredentials(_) => true,
            Stage::NoAnswer(_) | Stage::Unreadable(_) => false,
            Stage::Error(_) => !self.is_skewed() && self.refusal_code().is_some_and(|code| CREDENTIALS.contains(&code)),
        }
    }

    /// Adds a secret that must not be quoted.
    pub(super) fn about(mut self, secret: &str) -> Self {
        self.call.secrets.push(SessionToken(Zeroizing::new(secret.to_owned())));
        self
    }

    fn own_secrets(&self) -> Secrets<'static> {
        Secrets::default().tokens(self.call.secrets.iter().map(|token| token.0.clone()))
    }

    /// The error code of AWS, for messages.
    pub(super) fn shown_code(&self) -> String {
        code_in_words(Words::default(), self.refusal_code().unwrap_or_default()).shown(&self.own_secrets())
    }

    /// The error as a failure of a call that changes nothing.
    pub(super) fn into_call_error(self) -> CallError {
        CallError::new(self.call_error_kind(), self.to_string())
    }

    /// The error as a failure whose message has to be compared with the stored values.
    pub(super) fn into_failed(self) -> Failed {
        Failed::new(self.call_error_kind(), self.words().against(&self.own_secrets()))
    }

    /// The error as a failure of an effect: refused only if the effect certainly did not happen.
    pub(super) fn into_failure(self) -> Failure {
        self.into_failure_of(&Secrets::default())
    }

    /// The error as a failure of an effect whose request contained these secrets.
    pub(super) fn into_failure_of(self, secrets: &Secrets<'_>) -> Failure {
        let message = self.words().against(&self.own_secrets()).shown(secrets);
        if self.is_about_credentials() {
            return Refusal::new(RefusalKind::Credentials, message).into();
        }
        match (&self.stage, self.refusal_code()) {
            (Stage::NoRole(_), _) => Refusal::new(RefusalKind::Throttled, message).into(),
            (Stage::NotSent(_) | Stage::NoCredentials(_), _) => Refusal::new(RefusalKind::Other, message).into(),
            (_, Some(code)) => Refusal::new(self.refusal_kind(code), message).into(),
            (Stage::NoAnswer(_) | Stage::Unreadable(_) | Stage::Error(_), None) => Failure::Unknown(message),
        }
    }

    fn refusal_kind(&self, code: &str) -> RefusalKind {
        match code {
            "NoSuchEntity" => RefusalKind::NoSuchEntity,
            "LimitExceeded" => RefusalKind::LimitExceeded,
            code if THROTTLING.contains(&code) || self.status == Some(429) => RefusalKind::Throttled,
            _ if self.is_denied() => RefusalKind::Denied,
            _ => RefusalKind::Other,
        }
    }

    fn call_error_kind(&self) -> CallErrorKind {
        if self.is_about_credentials() {
            return CallErrorKind::Credentials;
        }
        let code = match &self.stage {
            Stage::NotSent(NotSent::CredentialsLate | NotSent::TooLate) => return CallErrorKind::Unavailable,
            Stage::NotSent(_) | Stage::NoCredentials(_) => return CallErrorKind::Other,
            Stage::NoRole(_) => return CallErrorKind::Throttled,
            Stage::Unreadable(why) if *why == TOO_LARGE => return CallErrorKind::Other,
            Stage::NoAnswer(_) | Stage::Unreadable(_) if self.status == Some(429) => return CallErrorKind::Throttled,
            Stage::NoAnswer(_) | Stage::Unreadable(_) => return CallErrorKind::Unavailable,
            Stage::Error(code) => code.as_str(),
        };
        match (self.status, code) {
            (Some(429), _) => CallErrorKind::Throttled,
            (_, code) if THROTTLING.contains(&code) => CallErrorKind::Throttled,
            (Some(408), _) | (_, "RequestTimeout" | "RequestTimeoutException") => CallErrorKind::Unavailable,
            (Some(400..500), _) if self.is_skewed() => CallErrorKind::Unavailable,
            (Some(400..500), "NoSuchEntity") => CallErrorKind::NoSuchEntity,
            (Some(400..500), "ValidationError" | "ValidationException") => CallErrorKind::Invalid,
            (Some(400..500), _) if self.is_denied() => CallErrorKind::Denied,
            (Some(400..500), _) => CallErrorKind::Other,
            _ => CallErrorKind::Unavailable,
        }
    }
}

impl AwsCallError {
    /// The message; the parts from AWS are not yet compared with any secret.
    fn words(&self) -> Words {
        let words = Words::ours(format!("call {}: ", self.call));
        let words = match &self.stage {
            Stage::NotSent(reason_not_sent) => words.and(reason_not_sent.words()),
            Stage::NoCredentials(why) => words.and(why.clone()),
            Stage::NoRole(code) => {
                // The session token of the call that assumed the role is not known here, and an unknown code may be a
                // part of it.
                let answered = if is_known(code) { code.as_str() } else { "with a code that is not shown" };
                words.and(format!(
                    "the role could not be assumed (AWS answered {answered}); check its ARN, that its \
                     trust policy lets these credentials in, and mfa_serial if it asks for MFA"
                ))
            }
            Stage::NoAnswer(why) => {
                let from = self.call.endpoint.as_ref().map(|endpoint| format!(" from {endpoint}")).unwrap_or_default();
                words.and(format!("{NO_ANSWER}{from}: ")).theirs(&Said::of(why))
            }
            Stage::Unreadable(why) => words.and(*why),
            Stage::Error(code) => code_in_words(words.and("AWS answered "), code),
        };
        let mut words = match (self.status, &self.request_id) {
            (Some(status), Some(id)) => {
                words.and(format!(" (HTTP {status}, request id ")).theirs(&Said::of(id)).and(")")
            }
            (Some(status), None) => words.and(format!(" (HTTP {status})")),
            (None, _) => words,
        };
        if self.is_skewed() {
            let off = self.skew.as_secs();
            words = words.and(format!(
                "; it was signed for a time {off} s off AWS's: set this machine's clock, with NTP for example"
            ));
        }
        if self.is_denied() {
            let allows = format!("; check that the policy of the credentials in use allows {}", self.call.operation);
            words = words.and(allows);
        }
        if matches!(&self.stage, Stage::Error(_)) && self.is_about_credentials() {
            words = words.and("; AWS does not accept the credentials in use, whatever they may do");
        }
        words
    }
}

impl fmt::Display for AwsCallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().shown(&self.own_secrets()))
    }
}

impl ResponseCheck {
    /// Returns the result of `call`. A result of the SDK is accepted only if the recorded response confirms it.
    pub(super) fn check<T, E>(
        self,
        call: &Call,
        result: Result<T, SdkError<E, HttpResponse>>,
    ) -> Result<(T, Recorded), AwsCallError>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let seen = self.seen();
        let error = match result {
            Ok(output) => return believable(call, seen).map(|seen| (output, seen)),
            Err(error) => error,
        };
        let stage = if !seen.sent {
            match role_refused(&error) {
                Some(code) => Stage::NoRole(code),
                None => not_sent(&error),
            }
        } else if let Some(code) = error_code(&seen, &error) {
            Stage::Error(code)
        } else {
            unproven(&seen, &error)
        };
        let message = error.as_service_error().and_then(ProvideErrorMetadata::message);
        let (missing, mfa) = (Missing::of(message), MfaRefusal::of(message));
        Err(AwsCallError { missing, mfa, ..AwsCallError::new(call, seen, stage) })
    }
}

/// Accepts a successful response if it is one complete document of this call.
fn believable(call: &Call, seen: Recorded) -> Result<Recorded, AwsCallError> {
    match seen.root.as_deref() {
        Some(WHOLE_JSON) if call.is_json => Ok(seen),
        Some(root) if root.strip_suffix("Response") == Some(call.operation) => Ok(seen),
        Some(_) => Err(AwsCallError::unreadable(call, seen, "the answer is that of another call, or not AWS's")),
        None => Err(AwsCallError::unreadable(call, seen, "the answer is cut off, or not AWS's")),
    }
}

/// The code of a complete error document.
fn error_code<E: ProvideErrorMetadata>(seen: &Recorded, error: &SdkError<E, HttpResponse>) -> Option<String> {
    let code = error.as_service_error()?.code().or(seen.code.as_deref())?;
    (seen.root.is_some() && is_word(code)).then(|| code.to_owned())
}

fn unproven<E: Error + 'static>(seen: &Recorded, error: &SdkError<E, HttpResponse>) -> Stage {
    if causes(error).any(<dyn Error>::is::<http_body_util::LengthLimitError>) {
        return Stage::Unreadable(TOO_LARGE);
    }
    match error {
        SdkError::TimeoutError(_) => Stage::NoAnswer("the time-out passed".to_owned()),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            Stage::NoAnswer("the connection or the answer took too long".to_owned())
        }
        SdkError::DispatchFailure(_) => {
            let why = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>().map(ToString::to_string));
            Stage::NoAnswer(why.unwrap_or_else(|| "the connection failed".to_owned()))
        }
        SdkError::ServiceError(_) if seen.status.is_some_and(|status| status >= 300) => {
            Stage::Unreadable("an error without a code that could be read")
        }
        SdkError::ResponseError(_) | SdkError::ServiceError(_) => Stage::Unreadable("the answer could not be read"),
        SdkError::ConstructionFailure(_) | _ => Stage::NoAnswer("it failed after it was sent".to_owned()),
    }
}

fn not_sent<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> Stage {
    let reason_not_sent = reason_not_sent(error);
    let is_late = matches!(reason_not_sent, NotSent::CredentialsLate | NotSent::TooLate | NotSent::Other);
    match causes(error).find_map(|cause| cause.downcast_ref::<Trouble>()) {
        Some(trouble) if !is_late => Stage::NoCredentials(trouble.words.clone()),
        Some(_) | None => Stage::NotSent(reason_not_sent),
    }
}

fn reason_not_sent<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> NotSent {
    if matches!(error, SdkError::TimeoutError(_)) {
        return NotSent::TooLate;
    }
    match causes(error).find_map(|cause| cause.downcast_ref::<CredentialsError>()) {
        Some(CredentialsError::CredentialsNotLoaded(_)) => NotSent::NoCredentials,
        Some(CredentialsError::InvalidConfiguration(_)) => NotSent::BadCredentials,
        Some(CredentialsError::ProviderTimedOut(_)) => NotSent::CredentialsLate,
        // STS or the metadata service could not be reached, which may be temporary. The SDK wraps every failure
        // before the request in a connector error, so only the causes below count.
        Some(_) if causes_of_credentials(error).any(<dyn Error>::is::<ConnectorError>) => NotSent::CredentialsLate,
        Some(_) => NotSent::CredentialsFailed,
        None => NotSent::Other,
    }
}

/// The causes below the outermost error about credentials.
fn causes_of_credentials<E: Error + 'static>(
    error: &SdkError<E, HttpResponse>,
) -> impl Iterator<Item = &(dyn Error + 'static)> {
    causes(error).skip_while(|cause| !cause.is::<CredentialsError>()).skip(1)
}

/// The error code of AWS if the role could not be assumed.
fn role_refused<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> Option<String> {
    let refused = causes(error).find_map(|cause| cause.downcast_ref::<AssumeRoleError>())?;
    refused.code().filter(|code| is_word(code)).map(str::to_owned)
}

/// The causes of the error, the outermost first.
fn causes<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source()).take(MOST_CAUSES)
}
