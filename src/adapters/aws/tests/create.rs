//! CreateAccessKey: a secret is believed whole or not at all, and nothing is ever sent twice.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::responder::{DATE, Reply, Responder, error, error_body, http, http_without_date, raw};
use super::{NEW_KEY, OLD_KEY, SECRET, USER, asked_at, aws, aws_within, create_new, date, opened};
use crate::adapters::aws::{Aws, AwsSettings};
use crate::journal::write_ahead::Attempt;
use crate::ports::iam::Iam;
use crate::rotation::effect::Created;
use crate::types::failure::RefusalKind;

async fn create(aws: &Aws) -> Attempt<Created> {
    let journal = opened().await;
    let (_, attempt) = journal.carry_out(create_new(), |order| aws.create_key(order)).await.expect("journaled");
    // In every outcome, what rotator would print, log or journal must not hold the secret, not even half of it.
    assert!(!format!("{attempt:?}").contains(&SECRET[..8]), "{attempt:?}");
    attempt
}

fn body_with(user: &str, id: &str, status: &str, secret: &str) -> String {
    format!(
        "<CreateAccessKeyResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><CreateAccessKeyResult><AccessKey>\
         <UserName>{user}</UserName><AccessKeyId>{id}</AccessKeyId><Status>{status}</Status>\
         <SecretAccessKey>{secret}</SecretAccessKey><CreateDate>2023-11-14T22:13:20Z</CreateDate></AccessKey>\
         </CreateAccessKeyResult><ResponseMetadata><RequestId>req-1</RequestId></ResponseMetadata>\
         </CreateAccessKeyResponse>"
    )
}

fn good_body() -> String {
    body_with(USER, NEW_KEY, "Active", SECRET)
}

fn is_the_key(attempt: &Attempt<Created>) -> bool {
    matches!(attempt, Attempt::Done(created)
        if created.key.id.as_str() == NEW_KEY && created.key.secret.expose() == SECRET)
}

#[tokio::test]
async fn a_whole_reply_is_the_key() {
    let responder = Responder::always(http(200, &good_body()));
    let attempt = create(&aws(&responder).await).await;
    assert!(is_the_key(&attempt), "{attempt:?}");
    assert!(matches!(attempt, Attempt::Done(created) if created.at == date()));
    let requests = responder.requests();
    assert_eq!(requests.len(), 1);
    assert!(
        requests[0].body.contains("Action=CreateAccessKey") && requests[0].body.contains("UserName=app1-production")
    );
}

#[tokio::test]
async fn without_a_date_the_list_before_dates_the_key() {
    let responder = Responder::always(http_without_date(200, &good_body()));
    let attempt = create(&aws(&responder).await).await;
    assert!(matches!(attempt, Attempt::Done(created) if created.at == asked_at()));
}

#[tokio::test]
async fn a_reply_cut_off_anywhere_is_unknown() {
    let body = good_body();
    // First the length of what is sent, as if that were all; then the length of the whole, and the connection ends.
    let whole = body.clone();
    let length = body.len();
    let sizes = Mutex::new((0..length).flat_map(move |size| [(size, size), (size, length)]));
    let responder = Responder::start(move |_| {
        let (size, length) = sizes.lock().expect("not poisoned").next().expect("one for each request");
        let headers = format!("Date: {DATE}\r\nContent-Length: {length}\r\n");
        let answer = raw(200, &headers, &whole[..size]);
        if size == length { Reply::Bytes(answer) } else { Reply::ThenClose(answer) }
    });
    let aws = aws(&responder).await;
    for size in 0..body.len() {
        for framing in ["a shorter body", "a broken connection"] {
            let attempt = create(&aws).await;
            assert!(matches!(attempt, Attempt::Unknown(_)), "{framing} after {size} bytes: {attempt:?}");
        }
    }
    assert_eq!(responder.requests().len(), 2 * body.len(), "nothing is sent twice");
}

#[tokio::test]
async fn a_reply_that_ends_with_the_connection_is_believed_when_it_is_whole() {
    for cut in [0, 1] {
        let responder = Responder::start(move |_| {
            let body = good_body();
            Reply::ThenClose(raw(200, &format!("Date: {DATE}\r\nConnection: close\r\n"), &body[..body.len() - cut]))
        });
        assert_eq!(is_the_key(&create(&aws(&responder).await).await), cut == 0);
    }
}

#[tokio::test]
async fn a_reply_of_the_wrong_form_is_unknown() {
    let long = SECRET.repeat(2);
    let rows = [
        ("another user", body_with("app2-production", NEW_KEY, "Active", SECRET)),
        ("a key listed before", body_with(USER, OLD_KEY, "Active", SECRET)),
        ("no key id", body_with(USER, "", "Active", SECRET)),
        ("a key id that is not valid", body_with(USER, "AKIA NEW NEW NEW NEW", "Active", SECRET)),
        ("half a secret", body_with(USER, NEW_KEY, "Active", &SECRET[..39])),
        ("no secret", body_with(USER, NEW_KEY, "Active", "")),
        ("a secret of another alphabet", body_with(USER, NEW_KEY, "Active", &SECRET.replace('+', "-"))),
        ("an inactive key", body_with(USER, NEW_KEY, "Inactive", SECRET)),
        ("no key", "<CreateAccessKeyResponse><CreateAccessKeyResult/></CreateAccessKeyResponse>".to_owned()),
        ("nothing", String::new()),
        ("a portal's page", format!("<html><body>{SECRET}</body></html>")),
        ("another call's answer", format!("<ListAccessKeysResponse>{SECRET}</ListAccessKeysResponse>")),
        ("an answer inside out", good_body().replace("CreateAccessKeyResult>", "Result>")),
        ("JSON", format!("{{\"SecretAccessKey\":\"{SECRET}\"}}")),
        ("a secret in the place of the id", body_with(USER, SECRET, "Active", &long)),
        ("an error under 200", error_body("Throttling")),
    ];
    for (what, body) in rows {
        let responder = Responder::always(http(200, &body));
        let attempt = create(&aws(&responder).await).await;
        assert!(matches!(attempt, Attempt::Unknown(_)), "{what}: {attempt:?}");
    }
}

#[tokio::test]
async fn only_a_4xx_with_a_code_is_a_refusal() {
    let no = |kind| Some(kind);
    let rows = [
        (error(409, "LimitExceeded"), no(RefusalKind::LimitExceeded)),
        (error(404, "NoSuchEntity"), no(RefusalKind::NoSuchEntity)),
        (error(403, "AccessDenied"), no(RefusalKind::Denied)),
        (error(403, "InvalidClientTokenId"), no(RefusalKind::Credentials)),
        (error(403, "ExpiredToken"), no(RefusalKind::Credentials)),
        (error(400, "IncompleteSignature"), no(RefusalKind::Credentials)),
        (error(400, "Throttling"), no(RefusalKind::Throttled)),
        (error(403, "RequestLimitExceeded"), no(RefusalKind::Throttled)),
        (error(429, "TooMany"), no(RefusalKind::Throttled)),
        (error(400, "ValidationError"), no(RefusalKind::Other)),
        (error(500, "ServiceFailure"), None),
        (error(503, "Throttling"), None),
        (error(302, "Moved"), None),
        (http(400, ""), None),
        (http(429, "slow down"), None),
        (http(403, &format!("<html>{SECRET}</html>")), None),
        (http(400, &error_body("")), None),
        (http(400, &error_body(&format!("a code? {SECRET}"))), None),
        (http(400, &error_body("Throttling").replace("</ErrorResponse>", "")), None),
        (http(502, &good_body()), None),
        (http(204, ""), None),
    ];
    for (answer, expected) in rows {
        let told = String::from_utf8_lossy(&answer).into_owned();
        let responder = Responder::always(answer);
        let attempt = create(&aws(&responder).await).await;
        match (attempt, expected) {
            (Attempt::Refused(refusal), Some(kind)) => assert_eq!(refusal.kind, kind, "{told}"),
            (Attempt::Unknown(_), None) => {}
            (attempt, expected) => panic!("{told}: {attempt:?} instead of {expected:?}"),
        }
        assert_eq!(responder.requests().len(), 1, "sent once: {told}");
    }
}

#[tokio::test]
async fn a_message_names_call_user_code_status_and_request() {
    let responder = Responder::always(error(409, "LimitExceeded"));
    let Attempt::Refused(refusal) = create(&aws(&responder).await).await else { panic!("refused") };
    assert_eq!(
        refusal.message,
        "call CreateAccessKey for user app1-production: AWS answered LimitExceeded (HTTP 409, request id req-1)"
    );
}

#[tokio::test]
async fn silence_is_unknown_when_the_time_is_up() {
    for begun in [String::new(), String::from_utf8(http(200, &good_body())).expect("text")] {
        let begun = begun[..begun.len() / 2].to_owned();
        let responder = Responder::start(move |_| Reply::ThenHang(begun.clone().into_bytes()));
        let aws = aws_within(&responder, Duration::from_millis(300)).await;
        let before = Instant::now();
        let attempt = create(&aws).await;
        assert!(matches!(attempt, Attempt::Unknown(_)), "{attempt:?}");
        assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
        assert_eq!(responder.requests().len(), 1, "a time-out is not tried again");
    }
}

#[tokio::test]
async fn a_lost_reply_is_not_asked_for_again_on_a_new_or_a_used_connection() {
    let count = Mutex::new(0);
    let responder = Responder::start(move |_| {
        let mut count = count.lock().expect("not poisoned");
        *count += 1;
        if *count == 1 { Reply::Bytes(error(400, "Throttling")) } else { Reply::ThenClose(Vec::new()) }
    });
    let aws = aws(&responder).await;
    assert!(matches!(create(&aws).await, Attempt::Refused(_)));
    assert!(matches!(create(&aws).await, Attempt::Unknown(_)), "on the connection of the first");
    assert!(matches!(create(&aws).await, Attempt::Unknown(_)), "on a connection of its own");
    assert_eq!((responder.requests().len(), responder.connections()), (3, 2));
}

#[tokio::test]
async fn without_credentials_it_was_certainly_not_sent() {
    let responder = Responder::always(http(200, &good_body()));
    let chain = super::chain(&responder.url).into_builder().credentials_provider(super::no_credentials()).build();
    let aws = Aws::with_chain(&chain, AwsSettings::default()).await.expect("connects");
    let Attempt::Refused(refusal) = create(&aws).await else { panic!("refused") };
    assert_eq!(refusal.kind, RefusalKind::Credentials);
    assert!(refusal.message.contains("there are no AWS credentials"), "{}", refusal.message);
    assert_eq!(responder.requests().len(), 0);
}

#[tokio::test]
async fn a_create_without_a_listener_is_unknown() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let aws = Aws::with_chain(&super::chain(&url), AwsSettings::default()).await.expect("connects");
    let Attempt::Unknown(why) = create(&aws).await else { panic!("unknown") };
    assert!(why.to_lowercase().contains("connection refused"), "{why}");
}
