//! GetCallerIdentity: who rotator is, and who a new pair is.

use super::responder::{Reply, Responder, error, error_body, http, http_without_date, raw};
use super::{NEW_KEY, SECRET, aws, date, key, user};
use crate::ports::call::CallErrorKind;
use crate::ports::iam::Iam;
use crate::ports::identity::{Caller, Identity, WhoIs};
use crate::types::name::{AccountId, UserId};
use crate::types::secret::SecretKey;

const ACCOUNT: &str = "123456789012";

fn body(arn: &str, account: &str) -> String {
    format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>{arn}</Arn><UserId>AIDA</UserId><Account>{account}</Account></GetCallerIdentityResult><ResponseMetadata>\
         <RequestId>req-1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    )
}

fn secret() -> SecretKey {
    SecretKey::new(SECRET.to_owned())
}

#[tokio::test]
async fn the_caller_is_reported_with_the_key_that_signed() {
    let responder = Responder::always(http(200, &body("arn:aws:iam::123456789012:user/rotator", ACCOUNT)));
    let expected = Caller {
        account: AccountId::new(ACCOUNT).expect("valid"),
        arn: "arn:aws:iam::123456789012:user/rotator".to_owned(),
        key: Some(key("AKIAROTATORROTATORRO")),
        at: date(),
    };
    assert_eq!(aws(&responder).await.caller().await.expect("told"), expected);
}

#[tokio::test]
async fn a_caller_that_cannot_be_read_is_unavailable() {
    let arn = "arn:aws:iam::123456789012:user/rotator";
    for answer in [
        http_without_date(200, &body(arn, ACCOUNT)),
        http(200, &body(arn, "1234")),
        http(200, &body("not an arn", ACCOUNT)),
        http(200, &body(arn, ACCOUNT)[..200]),
        error(500, "InternalFailure"),
    ] {
        let told = String::from_utf8_lossy(&answer).into_owned();
        let responder = Responder::always(answer);
        let error = aws(&responder).await.caller().await.expect_err("unreadable");
        assert_eq!(error.kind, CallErrorKind::Unavailable, "{told}");
    }
}

#[tokio::test]
async fn a_pair_signs_for_itself_on_the_same_connection() {
    let list = "<ListAccessKeysResponse><ListAccessKeysResult><AccessKeyMetadata/><IsTruncated>false</IsTruncated>\
                </ListAccessKeysResult></ListAccessKeysResponse>";
    let responder = Responder::start(move |request| {
        let identity = body("arn:aws:iam::123456789012:user/path/app1-production", ACCOUNT);
        Reply::Bytes(http(200, if request.body.contains("ListAccessKeys") { list } else { &identity }))
    });
    let aws = aws(&responder).await;
    aws.list_keys(&user()).await.expect("listed");
    let answer = aws.who_is(&key(NEW_KEY), &secret()).await.expect("answered");
    let WhoIs::User { account, user: who, id, at } = answer else { panic!("{answer:?}") };
    assert_eq!((account.as_str(), id, at), (ACCOUNT, UserId::new("AIDA").ok(), date()));
    assert!(who.is_user(&user()));
    aws.caller().await.expect("told");

    let signers: Vec<bool> = responder.requests().iter().map(|request| request.head.contains(NEW_KEY)).collect();
    assert_eq!(signers, [false, true, false], "the pair signs its own call and no other");
    assert_eq!(responder.connections(), 1, "one pool for IAM, STS and every pair");
    assert!(
        responder.requests().iter().all(|request| !request.head.contains(SECRET) && !request.body.contains(SECRET))
    );
}

#[tokio::test]
async fn another_caller_is_reported_by_arn() {
    for arn in ["arn:aws:iam::123456789012:root", "arn:aws:sts::123456789012:assumed-role/admin/me"] {
        let responder = Responder::always(http(200, &body(arn, ACCOUNT)));
        let answer = aws(&responder).await.who_is(&key(NEW_KEY), &secret()).await.expect("answered");
        assert_eq!(answer, WhoIs::Other { arn: arn.to_owned() });
    }
}

/// An error dated by a clock that agrees with ours.
fn error_now(status: u16, code: &str) -> Vec<u8> {
    let (date, body) = (httpdate::fmt_http_date(std::time::SystemTime::now()), error_body(code));
    raw(status, &format!("Date: {date}\r\nContent-Length: {}\r\n", body.len()), &body)
}

/// The responder's clock shows 2023 and this machine's the present, so the two are years apart.
#[tokio::test]
async fn a_signature_for_another_time_is_refused_once_and_says_nothing_of_the_pair() {
    let responder = Responder::start(|request| {
        let in_time = request.head.to_ascii_lowercase().contains("x-amz-date: 20231114t");
        let whole = http(200, &body("arn:aws:iam::123456789012:user/app1-production", ACCOUNT));
        Reply::Bytes(if in_time { whole } else { error(403, "SignatureDoesNotMatch") })
    });
    let aws = aws(&responder).await;
    let error = aws.who_is(&key(NEW_KEY), &secret()).await.expect_err("signed by the wrong clock");
    assert_eq!(error.kind, CallErrorKind::Unavailable, "so that it is tried again");
    assert!(error.message.contains("set this machine's clock"), "{error}");
    let answer = aws.who_is(&key(NEW_KEY), &secret()).await.expect("AWS's time is known now");
    assert!(matches!(answer, WhoIs::User { .. }), "{answer:?}");
}

#[tokio::test]
async fn not_accepted_is_an_answer_and_out_of_reach_is_not() {
    for (status, code) in [
        (403, "InvalidClientTokenId"),
        (403, "SignatureDoesNotMatch"),
        (401, "AuthFailure"),
        (400, "IncompleteSignature"),
    ] {
        let responder = Responder::always(error_now(status, code));
        let answer = aws(&responder).await.who_is(&key(NEW_KEY), &secret()).await.expect("answered");
        assert_eq!(answer, WhoIs::NotAccepted { code: code.to_owned() });
        assert_eq!(responder.requests().len(), 1);
    }
    // The pair is not asked about where the call itself is not let through.
    let responder = Responder::always(error_now(403, "AccessDenied"));
    let answer = aws(&responder).await.who_is(&key(NEW_KEY), &secret()).await.expect("answered");
    assert_eq!(answer, WhoIs::Forbidden { code: "AccessDenied".to_owned() });
    for (answer, kind) in [
        (error(400, "Throttling"), CallErrorKind::Throttled),
        (error(403, "RequestLimitExceeded"), CallErrorKind::Throttled),
        (error(500, "InvalidClientTokenId"), CallErrorKind::Unavailable),
        (http(403, "<html>a proxy's no</html>"), CallErrorKind::Unavailable),
        (http(200, "<html></html>"), CallErrorKind::Unavailable),
    ] {
        let told = String::from_utf8_lossy(&answer).into_owned();
        let responder = Responder::always(answer);
        let error = aws(&responder).await.who_is(&key(NEW_KEY), &secret()).await.expect_err("no answer");
        assert_eq!(error.kind, kind, "{told}");
        assert!(!format!("{error:?} {error}").contains(SECRET));
    }
}
