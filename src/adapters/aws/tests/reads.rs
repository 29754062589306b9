//! ListAccessKeys and GetAccessKeyLastUsed: half an answer is no answer, since "not listed" and "never used" are
//! what keys are deleted on.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::responder::{Reply, Responder, error, http, http_without_date};
use super::{NEW_KEY, OLD_KEY, aws, aws_within, date, key, user};
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::iam::{Iam, LastUsed};
use crate::rotation::observed::{KeySeen, KeyStatus, KeyUse, KeysSeen};
use crate::types::name::UserName;

fn member(id: &str, status: &str) -> String {
    format!(
        "<member><UserName>app1-production</UserName><AccessKeyId>{id}</AccessKeyId><Status>{status}</Status>\
         <CreateDate>2023-11-14T22:13:20Z</CreateDate></member>"
    )
}

fn page(members: &str, marker: Option<&str>) -> String {
    let more = marker.map(|marker| format!("<Marker>{marker}</Marker>")).unwrap_or_default();
    format!(
        "<ListAccessKeysResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ListAccessKeysResult>\
         <AccessKeyMetadata>{members}</AccessKeyMetadata><IsTruncated>{}</IsTruncated>{more}</ListAccessKeysResult>\
         <ResponseMetadata><RequestId>req-1</RequestId></ResponseMetadata></ListAccessKeysResponse>",
        marker.is_some()
    )
}

fn seen(id: &str, status: KeyStatus) -> KeySeen {
    KeySeen { id: key(id), status, created: date() }
}

async fn list(responder: &Responder) -> Result<KeysSeen, CallError> {
    aws(responder).await.list_keys(&user()).await
}

#[tokio::test]
async fn every_status_is_understood_or_kept_apart() {
    let rows = [
        ("Active", KeyStatus::Active),
        ("Inactive", KeyStatus::Inactive),
        ("Expired", KeyStatus::Expired),
        ("Suspended", KeyStatus::Other),
        ("", KeyStatus::Other),
    ];
    for (text, status) in rows {
        let responder = Responder::always(http(200, &page(&member(OLD_KEY, text), None)));
        let expected = KeysSeen { at: date(), keys: Some(vec![seen(OLD_KEY, status)]) };
        assert_eq!(list(&responder).await.expect("listed"), expected, "{text}");
        assert!(responder.requests()[0].body.contains("UserName=app1-production"));
    }
}

#[tokio::test]
async fn a_user_without_keys_and_no_user_are_two_answers() {
    let responder = Responder::always(http(200, &page("", None)));
    assert_eq!(list(&responder).await.expect("listed"), KeysSeen { at: date(), keys: Some(Vec::new()) });
    let responder = Responder::always(error(404, "NoSuchEntity"));
    assert_eq!(list(&responder).await.expect("an answer"), KeysSeen { at: date(), keys: None });
}

#[tokio::test]
async fn all_pages_are_read_and_nothing_twice() {
    let pages = Mutex::new(0);
    let responder = Responder::start(move |request| {
        let mut number = pages.lock().expect("not poisoned");
        *number += 1;
        assert_eq!(request.body.contains("Marker=next"), *number > 1, "{}", request.body);
        let both = member(OLD_KEY, "Active") + &member(NEW_KEY, "Inactive");
        Reply::Bytes(http(
            200,
            &if *number == 1 { page(&member(OLD_KEY, "Active"), Some("next")) } else { page(&both, None) },
        ))
    });
    let keys = list(&responder).await.expect("listed").keys.expect("a user");
    assert_eq!(keys, [seen(OLD_KEY, KeyStatus::Active), seen(NEW_KEY, KeyStatus::Inactive)]);
    assert_eq!(responder.requests().len(), 2);
}

#[tokio::test]
async fn pages_without_end_are_not_read_for_ever() {
    let responder = Responder::always(http(200, &page(&member(OLD_KEY, "Active"), Some("again"))));
    assert_eq!(list(&responder).await.expect_err("no end").kind, CallErrorKind::Other);
    assert_eq!(responder.requests().len(), 20);
}

#[tokio::test]
async fn a_list_cut_off_anywhere_is_none() {
    let body = page(&(member(OLD_KEY, "Active") + &member(NEW_KEY, "Active")), None);
    let (whole, sizes) = (body.clone(), Mutex::new(0..body.len()));
    let responder = Responder::start(move |_| {
        let size = sizes.lock().expect("not poisoned").next().expect("one for each request");
        Reply::Bytes(http(200, &whole[..size]))
    });
    let aws = aws(&responder).await;
    for size in 0..body.len() {
        let answer = aws.list_keys(&user()).await;
        assert!(matches!(&answer, Err(error) if error.kind == CallErrorKind::Unavailable), "{size} bytes: {answer:?}");
    }
}

#[tokio::test]
async fn each_no_has_its_kind() {
    let long_ago = member(OLD_KEY, "Active").replace("2023-11-14T22:13:20Z", "long ago");
    let undated = member(OLD_KEY, "Active").replace("CreateDate", "Created");
    let rows = [
        (error(400, "Throttling"), CallErrorKind::Throttled),
        (error(503, "Throttling"), CallErrorKind::Throttled),
        (error(429, "TooMany"), CallErrorKind::Throttled),
        (http(429, ""), CallErrorKind::Throttled),
        (error(503, "ServiceUnavailable"), CallErrorKind::Unavailable),
        (error(500, "NoSuchEntity"), CallErrorKind::Unavailable),
        (error(408, "RequestTimeout"), CallErrorKind::Unavailable),
        (http(404, "<html></html>"), CallErrorKind::Unavailable),
        (error(403, "AccessDenied"), CallErrorKind::Denied),
        (error(403, "ExpiredToken"), CallErrorKind::Credentials),
        (error(403, "InvalidClientTokenId"), CallErrorKind::Credentials),
        (error(400, "ValidationError"), CallErrorKind::Invalid),
        (error(400, "InvalidAction"), CallErrorKind::Other),
        (http(200, "<html></html>"), CallErrorKind::Unavailable),
        (http_without_date(200, &page("", None)), CallErrorKind::Unavailable),
        (http_without_date(404, &super::responder::error_body("NoSuchEntity")), CallErrorKind::Unavailable),
        (http(200, &page(&member("short", "Active"), None)), CallErrorKind::Unavailable),
        (http(200, &page(&long_ago, None)), CallErrorKind::Unavailable),
        (http(200, &page(&undated, None)), CallErrorKind::Unavailable),
        (http(200, &page("", Some("x")).replace("<Marker>x</Marker>", "")), CallErrorKind::Unavailable),
    ];
    for (answer, kind) in rows {
        let told = String::from_utf8_lossy(&answer).into_owned();
        let responder = Responder::always(answer);
        assert_eq!(list(&responder).await.expect_err("no").kind, kind, "{told}");
        assert_eq!(responder.requests().len(), 1, "the SDK does not try again: {told}");
    }
}

#[tokio::test]
async fn a_denial_says_what_to_check() {
    let responder = Responder::always(error(403, "AccessDenied"));
    assert_eq!(
        list(&responder).await.expect_err("denied").message,
        "call ListAccessKeys for user app1-production: AWS answered AccessDenied (HTTP 403, request id req-1); check that \
         the policy of the credentials in use allows ListAccessKeys"
    );
}

#[tokio::test]
async fn silence_ends_with_the_time_out() {
    let responder = Responder::start(|_| Reply::ThenHang(Vec::new()));
    let before = Instant::now();
    let error = aws_within(&responder, Duration::from_millis(300)).await.list_keys(&user()).await.expect_err("silence");
    assert_eq!(error.kind, CallErrorKind::Unavailable);
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
}

fn used(user: &str, inner: &str) -> String {
    format!(
        "<GetAccessKeyLastUsedResponse><GetAccessKeyLastUsedResult>{user}{inner}</GetAccessKeyLastUsedResult>\
         </GetAccessKeyLastUsedResponse>"
    )
}

#[tokio::test]
async fn last_use_is_a_moment_never_or_not_known() {
    let never = "<AccessKeyLastUsed><ServiceName>N/A</ServiceName><Region>N/A</Region></AccessKeyLastUsed>";
    let once = "<AccessKeyLastUsed><LastUsedDate>2023-11-14T22:13:20Z</LastUsedDate><ServiceName>s3</ServiceName>\
                <Region>us-east-1</Region></AccessKeyLastUsed>";
    let name = "<UserName>bob</UserName>";
    let bob = || Some(UserName::new("bob").expect("valid"));
    let told = |word: &str| Some(word.to_owned());
    let used_once = || Some(KeyUse { at: date(), service: told("s3"), region: told("us-east-1") });
    let rows = [
        (http(200, &used(name, never)), Ok(Some(LastUsed { user: bob(), used: None }))),
        (http(200, &used(name, once)), Ok(Some(LastUsed { user: bob(), used: used_once() }))),
        (http(200, &used("", once)), Ok(Some(LastUsed { user: None, used: used_once() }))),
        (http_without_date(200, &used(name, never)), Ok(Some(LastUsed { user: bob(), used: None }))),
        (error(404, "NoSuchEntity"), Ok(None)),
        // Real IAM answers so about an unknown key and without the permission; neither answer means "never used".
        (error(403, "AccessDenied"), Err(CallErrorKind::Denied)),
        (error(400, "Throttling"), Err(CallErrorKind::Throttled)),
        (http(200, &used(name, "")), Err(CallErrorKind::Unavailable)),
        (http(200, &used("<UserName></UserName>", never)), Err(CallErrorKind::Unavailable)),
        (http(200, &used(name, &once.replace("2023-", "??"))), Err(CallErrorKind::Unavailable)),
        (http(200, &used(name, once)[..120]), Err(CallErrorKind::Unavailable)),
    ];
    for (answer, expected) in rows {
        let told = String::from_utf8_lossy(&answer).into_owned();
        let responder = Responder::always(answer);
        let answered = aws(&responder).await.last_used(&key(OLD_KEY)).await.map_err(|error| error.kind);
        assert_eq!(answered, expected, "{told}");
    }
}

#[tokio::test]
async fn keys_of_another_user_are_no_answer() {
    let others = member(OLD_KEY, "Active").replace("app1-production", "app2-production");
    let error = list(&Responder::always(http(200, &page(&others, None)))).await.expect_err("another user's");
    assert!(error.kind == CallErrorKind::Unavailable && error.message.contains("another user"), "{error}");
    let other_case = member(OLD_KEY, "Active").replace("app1-production", "APP1-production");
    assert!(list(&Responder::always(http(200, &page(&other_case, None)))).await.is_ok(), "names have no case");
}
