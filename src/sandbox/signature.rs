//! Verification of Signature Version 4: parsing, checking the date, calculating again
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).
//!
//! Which key may sign is decided in `iam_model`.

use std::borrow::Cow;
use std::time::Duration;

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use hyper::header::{AUTHORIZATION, HeaderMap};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use crate::types::secret::SecretKey;

use super::account::system_time;
use super::action::Service;
use super::error::ApiError;

/// The maximum difference of the date of a signature from the server's clock.
pub(super) const TOLERANCE: Duration = Duration::from_secs(15 * 60);

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The period of valid signatures, without [`TOLERANCE`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) earliest: Timestamp,
    pub(super) latest: Timestamp,
}

/// The signature of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) key_id: String,
    pub(super) region: String,
    /// The day of the scope, `YYYYMMDD`.
    day: String,
    service: String,
    terminator: String,
    signed_headers: Vec<String>,
    signature: String,
    /// `X-Amz-Date` as it was sent, and as a time.
    date: String,
    time: Timestamp,
}

impl Signature {
    /// Parses the `Authorization` and `X-Amz-Date` headers.
    pub(super) fn parse(headers: &HeaderMap) -> Result<Self, ApiError> {
        let authorization = headers.get(AUTHORIZATION).ok_or_else(ApiError::missing_authentication_token)?;
        let authorization = authorization.to_str().map_err(|_| ApiError::missing_authentication_token())?;
        let Some(parameters) = authorization.strip_prefix(ALGORITHM).and_then(|rest| rest.strip_prefix(' ')) else {
            return Err(ApiError::incomplete_signature(format!("Unsupported AWS 'algorithm'. Use {ALGORITHM}.")));
        };
        let parameter = |name: &str| {
            let mut parameters = parameters.split(',').filter_map(|parameter| parameter.trim().split_once('='));
            let found = parameters.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned());
            found.filter(|value| !value.is_empty()).ok_or_else(|| {
                ApiError::incomplete_signature(format!("Authorization header requires '{name}' parameter."))
            })
        };
        let credential = parameter("Credential")?;
        let scope: Vec<&str> = credential.split('/').collect();
        let [key_id, day, region, service, terminator] = scope[..] else {
            return Err(ApiError::incomplete_signature(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.",
            ));
        };
        let signed_headers = parameter("SignedHeaders")?.split(';').map(str::to_owned).collect();
        let signature = parameter("Signature")?;
        let date = headers.get("x-amz-date").and_then(|date| date.to_str().ok());
        let time = date.and_then(parse_date);
        let (Some(date), Some(time)) = (date.map(str::to_owned), time) else {
            return Err(ApiError::incomplete_signature(
                "Authorization header requires existence of a valid 'X-Amz-Date' header.",
            ));
        };
        let [key_id, day, region] = [key_id, day, region].map(str::to_owned);
        let (service, terminator) = (service.to_owned(), terminator.to_owned());
        Ok(Self { key_id, region, day, service, terminator, signed_headers, signature, date, time })
    }

    /// Checks everything that does not need the secret: the scope, the date, and that the required headers are
    /// signed.
    pub(super) fn check_scope(&self, service: Service, window: Window) -> Result<(), ApiError> {
        if self.service != service.name() {
            return Err(ApiError::wrong_scope(service));
        }
        if self.terminator != "aws4_request" {
            return Err(ApiError::signature_does_not_match(
                "Credential should be scoped with a valid terminator: 'aws4_request'.",
            ));
        }
        if !self.date.starts_with(&self.day) {
            return Err(ApiError::signature_does_not_match(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{}'.",
                self.day,
                &self.date[..8]
            )));
        }
        for header in ["host", "x-amz-date"] {
            if !self.signed_headers.iter().any(|signed| signed == header) {
                return Err(ApiError::signature_does_not_match(format!(
                    "'{header}' must be a 'SignedHeader' in the AWS Authorization."
                )));
            }
        }
        self.check_time(window)
    }

    fn check_time(&self, window: Window) -> Result<(), ApiError> {
        let earliest = window.earliest.checked_sub(TOLERANCE).unwrap_or(Timestamp::MIN);
        let latest = window.latest.checked_add(TOLERANCE).unwrap_or(Timestamp::MAX);
        let minutes = TOLERANCE.as_secs() / 60;
        let basic = |time: Timestamp| time.strftime("%Y%m%dT%H%M%SZ").to_string();
        if self.time < earliest {
            return Err(ApiError::signature_does_not_match(format!(
                "Signature expired: {} is now earlier than {} ({} - {minutes} min.)",
                self.date,
                basic(earliest),
                basic(window.earliest)
            )));
        }
        if self.time > latest {
            return Err(ApiError::signature_does_not_match(format!(
                "Signature not yet current: {} is still later than {} ({} + {minutes} min.)",
                self.date,
                basic(latest),
                basic(window.latest)
            )));
        }
        Ok(())
    }

    /// Calculates the signature of a `POST` to `path` with `secret` and compares it.
    pub(super) fn check(
        &self,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
        secret: &SecretKey,
    ) -> Result<(), ApiError> {
        let mut canonical = format!("POST\n{path}\n\n");
        for name in &self.signed_headers {
            let values: Vec<Cow<'_, str>> = headers
                .get_all(name.as_str())
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned().into())
                .collect();
            // Runs of blanks count as one.
            let value = values.join(",").split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            canonical.push_str(&format!("{name}:{value}\n"));
        }
        canonical.push_str(&format!("\n{}\n{}", self.signed_headers.join(";"), sha256_hex(body)));
        let Self { day, region, service, terminator, date, .. } = self;
        let to_sign =
            format!("{ALGORITHM}\n{date}\n{day}/{region}/{service}/{terminator}\n{}", sha256_hex(canonical.as_bytes()));
        let key = generate_signing_key(secret.expose(), system_time(self.time), region, service);
        if calculate_signature(key, to_sign.as_bytes()) == self.signature {
            return Ok(());
        }
        Err(ApiError::signature_does_not_match(
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        ))
    }
}

fn parse_date(text: &str) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?).ok()
}

fn sha256_hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use aws_credential_types::Credentials;
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    use aws_sigv4::sign::v4::SigningParams;

    use super::*;

    const BODY: &[u8] = b"Action=GetCallerIdentity&Version=2011-06-15";
    const SIGNED_AT: i64 = 1_780_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a valid time")
    }

    fn window(second: i64) -> Window {
        Window { earliest: at(second), latest: at(second) }
    }

    /// Headers as the SDK's own signer makes them.
    fn signed(secret: &str, service: &str, extra: &[(&'static str, &'static str)]) -> HeaderMap {
        let identity = Credentials::new("AKIAAAAAAAAAAAAAAAAA", secret, None, None, "test").into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name(service)
            .time(system_time(at(SIGNED_AT)))
            .settings(SigningSettings::default())
            .build()
            .expect("complete");
        let url = "http://127.0.0.1:4000/";
        let request =
            SignableRequest::new("POST", url, extra.iter().copied(), SignableBody::Bytes(BODY)).expect("signable");
        let (instructions, _) = sign(request, &params.into()).expect("signed").into_parts();
        let mut headers = HeaderMap::new();
        headers.insert("host", "127.0.0.1:4000".parse().expect("a value"));
        for (name, value) in extra {
            headers.append(*name, value.parse().expect("a value"));
        }
        for (name, value) in instructions.headers() {
            let name: hyper::header::HeaderName = name.parse().expect("a name");
            headers.insert(name, value.parse().expect("a value"));
        }
        headers
    }

    fn secret(text: &str) -> SecretKey {
        SecretKey::new(text.to_owned())
    }

    fn check(headers: &HeaderMap, body: &[u8], with: &str) -> Result<(), ApiError> {
        Signature::parse(headers)?.check("/", headers, body, &secret(with))
    }

    #[test]
    fn only_a_signature_of_the_sdk_is_accepted() {
        let headers = signed("right", "sts", &[("x-amz-user-agent", "a  b   c"), ("content-type", "text/plain")]);
        check(&headers, BODY, "right").expect("the right secret");
        assert_eq!(check(&headers, BODY, "wrong").expect_err("refused").code, "SignatureDoesNotMatch");
        let other_body = b"Action=DeleteAccessKey";
        assert_eq!(check(&headers, other_body, "right").expect_err("refused").code, "SignatureDoesNotMatch");
        let mut altered = headers.clone();
        altered.insert("content-type", "text/html".parse().expect("a value"));
        assert_eq!(check(&altered, BODY, "right").expect_err("refused").code, "SignatureDoesNotMatch");
        let mut later = headers;
        later.insert("x-amz-date", "20260528T202641Z".parse().expect("a value"));
        assert_eq!(check(&later, BODY, "right").expect_err("refused").code, "SignatureDoesNotMatch");
    }

    #[test]
    fn a_signature_is_fresh_for_fifteen_minutes_either_way() {
        let headers = signed("right", "sts", &[]);
        let signature = Signature::parse(&headers).expect("complete");
        for second in [SIGNED_AT - 900, SIGNED_AT, SIGNED_AT + 900] {
            signature.check_scope(Service::Sts, window(second)).expect("fresh");
        }
        for (second, words) in [(SIGNED_AT + 901, "Signature expired"), (SIGNED_AT - 901, "Signature not yet current")]
        {
            let error = signature.check_scope(Service::Sts, window(second)).expect_err("stale");
            assert_eq!((error.status, error.code.as_str()), (403, "SignatureDoesNotMatch"));
            assert!(error.message.starts_with(words), "{}", error.message);
        }
        let wide = Window { earliest: at(SIGNED_AT), latest: at(SIGNED_AT + 700_000) };
        signature.check_scope(Service::Sts, wide).expect("a client that has not heard of the new time");
    }

    #[test]
    fn a_signature_is_good_for_one_service() {
        let headers = signed("right", "sts", &[]);
        let error = Signature::parse(&headers)
            .expect("complete")
            .check_scope(Service::Iam, window(SIGNED_AT))
            .expect_err("the other service");
        assert_eq!(error.code, "SignatureDoesNotMatch");
    }

    #[test]
    fn a_signature_with_a_part_missing_is_incomplete() {
        let whole = signed("right", "sts", &[]);
        let authorization = whole[AUTHORIZATION].to_str().expect("text").to_owned();
        for part in ["Credential=", "SignedHeaders=", "Signature=", "AWS4-HMAC-SHA256", "/us-east-1"] {
            let mut headers = whole.clone();
            headers.insert(AUTHORIZATION, authorization.replace(part, "").parse().expect("a value"));
            let error = Signature::parse(&headers).expect_err(part);
            assert_eq!((error.status, error.code.as_str()), (400, "IncompleteSignature"), "{part}");
        }
        let mut headers = whole.clone();
        headers.remove("x-amz-date");
        assert_eq!(Signature::parse(&headers).expect_err("no date").code, "IncompleteSignature");
        headers.remove(AUTHORIZATION);
        assert_eq!(Signature::parse(&headers).expect_err("unsigned").code, "MissingAuthenticationToken");
    }

    #[test]
    fn host_and_date_must_be_signed() {
        let mut headers = signed("right", "sts", &[]);
        let authorization = headers[AUTHORIZATION].to_str().expect("text").replace("host;", "");
        headers.insert(AUTHORIZATION, authorization.parse().expect("a value"));
        let signature = Signature::parse(&headers).expect("complete");
        let error = signature.check_scope(Service::Sts, window(SIGNED_AT)).expect_err("host is not signed");
        assert!(error.message.contains("'host'"), "{}", error.message);
    }
}
