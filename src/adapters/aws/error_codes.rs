//! The error codes of AWS, by what they mean, and which of them are shown as they are.

use crate::adapters::redact::{Said, Words};

/// Codes that mean "too many calls", as the SDK's own retry classifier has them
/// (<https://docs.rs/aws-runtime/latest/aws_runtime/retries/classifiers/constant.THROTTLING_ERRORS.html>); of those,
/// the ones that IAM, STS or what stands before them can say.
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

/// Codes that mean "you may not" under another status than 401 and 403
/// (<https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html>,
/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html>); services of the JSON protocol say
/// all of theirs with a 400, and Secrets Manager that a value's own KMS key is not for us.
pub(super) const DENIED: &[&str] = &["AccessDenied", "AccessDeniedException", "DecryptionFailure", "NotAuthorized"];

/// Codes that mean "not with these credentials", whatever is asked: the key is not known or not active, the session is
/// over, the secret is another
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>, and the pages above).
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

/// Codes that may mean "signed for another time", as the SDK's own classifier has them
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

/// A code that is known is shown, whatever is stored; any other may be a part of what is.
pub(super) fn code_in_words(words: Words, code: &str) -> Words {
    if is_known(code) { words.and(code) } else { words.theirs(&Said::of(code)) }
}

/// A code that is shown whatever secret the call had in hand.
pub(super) fn is_known(code: &str) -> bool {
    [THROTTLING, DENIED, CREDENTIALS, SKEWED, OTHERS].iter().any(|codes| codes.contains(&code))
}
