//! Records of one call whether its request was sent, and of its response the status, the clock of AWS, the request id
//! and whether the body is one complete document.
//!
//! The SDK hides headers on success, accepts a truncated document, and does not read the body of a call without a
//! result. So an interceptor inspects each response.

use std::fmt;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use hyper::Uri;
use zeroize::Zeroizing;

use crate::types::time::Timestamp;

/// A session token, which is a secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SessionToken(pub(super) Zeroizing<String>);

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(…)")
    }
}

/// What was recorded about one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Recorded {
    /// Whether the request was given to the connection. Before that it cannot have taken effect.
    pub(super) sent: bool,
    /// The endpoint of the request: its scheme, host and port.
    pub(super) endpoint: Option<String>,
    /// The id of the key that signed the request.
    pub(super) signed_by: Option<String>,
    /// The session token of the request.
    pub(super) token: Option<SessionToken>,
    /// The signing time of the request.
    pub(super) signed_at: Option<Timestamp>,
    /// The HTTP status of the response.
    pub(super) status: Option<u16>,
    /// The `Date` of the response.
    pub(super) at: Option<Timestamp>,
    /// The `x-amzn-RequestId` of the response.
    pub(super) request_id: Option<String>,
    /// The name of the root element of the body, if the body is one complete document.
    pub(super) root: Option<String>,
    /// The error code of a body in EC2's error format, which the SDKs of IAM and STS do not parse.
    pub(super) code: Option<String>,
}

/// The interceptor of one call.
#[derive(Debug, Clone, Default)]
pub(super) struct ResponseCheck(Arc<Mutex<Recorded>>);

impl ResponseCheck {
    /// What was recorded so far.
    pub(super) fn seen(&self) -> Recorded {
        self.0.lock().map(|seen| seen.clone()).unwrap_or_else(|poisoned| poisoned.into_inner().clone())
    }

    fn note(&self, note: impl FnOnce(&mut Recorded)) {
        match self.0.lock() {
            Ok(mut seen) => note(&mut seen),
            Err(poisoned) => note(&mut poisoned.into_inner()),
        }
    }
}

impl Intercept for ResponseCheck {
    fn name(&self) -> &'static str {
        "ResponseCheck"
    }

    /// This is the last hook before the request is sent.
    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let endpoint = context.request().uri().parse().ok().as_ref().and_then(endpoint_of);
        let headers = context.request().headers();
        let signed_by = headers.get("authorization").and_then(signer).map(str::to_owned);
        let token = headers.get("x-amz-security-token");
        let token = token.map(|token| SessionToken(Zeroizing::new(token.to_owned())));
        let signed_at = headers.get("x-amz-date").and_then(amz_date);
        self.note(|seen| {
            seen.sent = true;
            seen.endpoint = endpoint;
            seen.signed_by = signed_by;
            seen.token = token;
            seen.signed_at = signed_at;
        });
        Ok(())
    }

    /// This hook is called after every attempt, with the body if it could be read.
    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(response) = context.response() else { return Ok(()) };
        let headers = response.headers();
        let at = headers.get("date").and_then(|date| httpdate::parse_http_date(date).ok());
        let request_id = headers.get("x-amzn-requestid").filter(|id| is_word(id));
        let body = response.body().bytes();
        let root = body.and_then(|body| root_of_whole(body).or_else(|| whole_json(body)));
        let code = body.filter(|_| root == Some(EC2_ERROR)).and_then(code_within);
        self.note(|seen| {
            seen.status = Some(response.status().as_u16());
            seen.at = at.map(Timestamp::from_system);
            seen.request_id = request_id.map(str::to_owned);
            seen.root = root.map(str::to_owned);
            seen.code = code.map(str::to_owned);
        });
        Ok(())
    }
}

/// The scheme, host and port of a URL.
fn endpoint_of(uri: &Uri) -> Option<String> {
    let (scheme, host) = (uri.scheme_str()?, uri.host()?);
    let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{scheme}://{host}{port}"))
}

/// The key id in an `Authorization` header: `AWS4-HMAC-SHA256 Credential=<id>/<date>/…`
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).
pub(super) fn signer(authorization: &str) -> Option<&str> {
    authorization.split_once("Credential=")?.1.split_once('/').map(|(id, _)| id)
}

/// The time in an `X-Amz-Date` header: `20260102T030405Z`.
fn amz_date(text: &str) -> Option<Timestamp> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    Some(Timestamp::from_unix_seconds(jiff::tz::Offset::UTC.to_timestamp(time).ok()?.as_second()))
}

/// Whether a text from a response may be shown: a text of this form cannot be a body or contain line breaks.
pub(super) fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

/// The root of a body that is one whole JSON object.
pub(super) const WHOLE_JSON: &str = "{}";

/// The root of EC2's errors (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>), which
/// simulations of AWS return for any service.
const EC2_ERROR: &str = "Response";

/// The code of the first error in such a body.
fn code_within(body: &[u8]) -> Option<&str> {
    let (_, error) = std::str::from_utf8(body).ok()?.split_once("<Errors>")?.1.split_once("<Error>")?;
    let (error, _) = error.split_once("</Error>")?;
    let (code, _) = error.split_once("<Code>")?.1.split_once("</Code>")?;
    Some(code.trim()).filter(|code| is_word(code))
}

fn whole_json(body: &[u8]) -> Option<&'static str> {
    let is_object = body.trim_ascii_start().starts_with(b"{");
    (is_object && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()).then_some(WHOLE_JSON)
}

/// The name of the root element, if the document ends with its end tag. A truncated body, or one that is not XML, has
/// none.
fn root_of_whole(body: &[u8]) -> Option<&str> {
    let mut text = std::str::from_utf8(body).ok()?.trim();
    if let Some(declaration) = text.strip_prefix("<?xml") {
        text = declaration.split_once("?>")?.1.trim_start();
    }
    let name = text.strip_prefix('<')?;
    let name = &name[..name.find(|c: char| c.is_ascii_whitespace() || c == '>' || c == '/')?];
    let ends = text.strip_suffix('>')?.trim_end().strip_suffix(name)?.ends_with("</");
    (is_word(name) && ends).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_body_is_whole_when_its_object_is() {
        assert_eq!(whole_json(b"{}"), Some(WHOLE_JSON));
        assert_eq!(whole_json(b" {\"a\":[1]}\n"), Some(WHOLE_JSON));
        for broken in ["", "{", "{\"a\":1", "[]", "null", "{}{}", "<html>"] {
            assert_eq!(whole_json(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn a_document_is_whole_when_its_root_ends() {
        for whole in [
            "<AResponse></AResponse>",
            "<?xml version=\"1.0\"?>\n<AResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><B/></AResponse>\n",
        ] {
            assert_eq!(root_of_whole(whole.as_bytes()), Some("AResponse"), "{whole}");
        }
        for broken in [
            "",
            "<",
            "AResponse",
            "<AResponse>",
            "<AResponse/>",
            "<AResponse></BResponse>",
            "<AResponse></AResponse",
            "<AResponse>AResponse>",
            "<?xml version=\"1.0\"",
            "{\"a\": 1}",
            "<!DOCTYPE html><html></html>",
        ] {
            assert_eq!(root_of_whole(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn a_code_is_read_from_errors_of_ec2s_form() {
        let body = |inner: &str| format!("<Response><Errors><Error>{inner}</Error></Errors></Response>");
        let code = |inner: &str| code_within(body(inner).as_bytes()).map(str::to_owned);
        assert_eq!(code("<Code>SignatureDoesNotMatch</Code>").as_deref(), Some("SignatureDoesNotMatch"));
        for none in ["", "<Code></Code>", "<Code>two words</Code>", "<Message><Code>A</Message>"] {
            assert_eq!(code(none), None, "{none}");
        }
        assert_eq!(code_within(b"<Response><Code>A</Code></Response>"), None);
    }

    #[test]
    fn the_signer_is_read_from_the_authorization_header() {
        let header =
            "AWS4-HMAC-SHA256 Credential=AKIAAAAAAAAAAAAAAAAA/20260101/us-east-1/sts/aws4_request, SignedHeaders=host";
        assert_eq!(signer(header), Some("AKIAAAAAAAAAAAAAAAAA"));
        assert_eq!(signer("Bearer xyz"), None);
    }

    #[test]
    fn the_time_of_a_signature_is_read_from_its_own_header() {
        assert_eq!(amz_date("20231114T221320Z"), Some(Timestamp::from_unix_seconds(1_700_000_000)));
        assert_eq!(amz_date("2023-11-14T22:13:20Z"), None);
    }

    #[test]
    fn a_word_holds_no_body() {
        assert!(is_word("NoSuchEntity") && is_word("7a62c49f-347e-4fc4-9331-6e8eEXAMPLE"));
        assert!(!is_word("") && !is_word("a b") && !is_word("a\nb") && !is_word("<x>") && !is_word(&"x".repeat(65)));
    }
}
