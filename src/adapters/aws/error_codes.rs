//! The error codes of AWS by their meaning, and which of them are always shown.

use crate::adapters::redact::{Said, Words};

/// Codes for throttling: those of the SDK's own retry classifier
/// (<https://docs.rs/aws-runtime/latest/aws_runtime/retries/classifiers/constant.THROTTLING_ERRORS.html>) that IAM,
/// STS or a gateway can return.
pub(super) const THROTTLING: &[&str] = &[
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "SlowDown",
    "PriorRequestNotComplete",
];

/// Codes for missing permissions with a status other than 401 and 403
/// (<https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html>,
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html>). Services of the JSON protocol
/// return all errors with 400; Secrets Manager has a code for a KMS key that may not be used.
pub(super) const DENIED: &[&str] = &["AccessDenied", "AccessDeniedException", "DecryptionFailure", "NotAuthorized"];

/// Codes for credentials that are not accepted: the key is unknown or inactive, the session has expired, or the
/// secret is wrong (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>, and the
/// pages above).
pub(super) const CREDENTIALS: &[&str] = &[
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// Codes that may be caused by a wrong clock, as in the SDK's own classifier
/// (<https://docs.rs/aws-runtime/latest/src/aws_runtime/service_clock_skew.rs.html>).
pub(super) const SKEWED: &[&str] = &[
    "SignatureDoesNotMatch",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "InvalidSignatureException",
    "AuthFailure",
    "AccessDeniedException",
];

/// Other codes that rotator acts on or that AWS documents for every service.
const OTHERS: &[&str] = &[
    "InternalFailure",
    "InternalServiceError",
    "InvalidParameterException",
    "InvalidRequestException",
    "LimitExceeded",
    "MalformedPolicyDocument",
    "NoSuchEntity",
    "PackedPolicyTooLarge",
    "RegionDisabledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "ResourceNotFoundException",
    "ServiceFailure",
    "ServiceUnavailable",
    "ValidationError",
    "ValidationException",
];

/// A known code is always shown; an unknown one may be a part of a secret.
pub(super) fn code_in_words(words: Words, code: &str) -> Words {
    if is_known(code) { words.and(code) } else { words.theirs(&Said::of(code)) }
}

/// Whether a code is shown even if a secret contains it.
pub(super) fn is_known(code: &str) -> bool {
    [THROTTLING, DENIED, CREDENTIALS, SKEWED, OTHERS].iter().any(|codes| codes.contains(&code))
}
