//! A role that asks for MFA, at a server whose answers a test decides.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::provider::ProvideCredentials;

use super::chain;
use super::responder::{Reply, Responder, error, http, raw};
use crate::adapters::aws::mfa::{Kept, MfaRole, RoleWithMfa};
use crate::adapters::aws::{AskCode, AwsSettings, CodeRequest, MfaCode, MfaSessions};

const DEVICE: &str = "arn:aws:iam::123456789012:mfa/me";

/// Codes in the order in which they are entered.
#[derive(Debug, Clone, Default)]
struct Entered {
    codes: Arc<Mutex<Vec<&'static str>>>,
    /// Why each one was asked for again.
    refused: Arc<Mutex<Vec<Option<String>>>>,
    is_terminal: bool,
}

#[async_trait]
impl AskCode for Entered {
    async fn code(&self, request: &CodeRequest<'_>) -> Result<MfaCode, String> {
        assert_eq!((request.whose, request.device), ("the AWS profile `ops`", DEVICE));
        self.refused.lock().expect("sound").push(request.refused.map(str::to_owned));
        let code = self.codes.lock().expect("sound").pop();
        code.and_then(MfaCode::new).ok_or_else(|| "no code is left".to_owned())
    }

    fn can_ask(&self) -> bool {
        self.is_terminal
    }
}

/// The codes, of which the last is entered first.
fn entered(codes: &[&'static str], is_terminal: bool) -> Entered {
    Entered { codes: Arc::new(Mutex::new(codes.to_vec())), is_terminal, ..Entered::default() }
}

fn role(url: &str, sessions: &Arc<MfaSessions>, duration: Option<Duration>) -> Arc<RoleWithMfa> {
    let role = MfaRole {
        whose: "the AWS profile `ops`".to_owned(),
        arn: "arn:aws:iam::123456789012:role/rotator".to_owned(),
        device: DEVICE.to_owned(),
        external_id: None,
        session_name: "rotator".to_owned(),
        duration,
        setting: "duration_seconds of the profile",
    };
    let settings = AwsSettings { call_timeout: Duration::from_millis(500), ..AwsSettings::default() };
    Arc::new(RoleWithMfa::new(role, chain(url), settings, sessions))
}

fn issued(end: &str) -> Vec<u8> {
    http(
        200,
        &format!(
            "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
             <AccessKeyId>ASIASESSIONSESSIONSE</AccessKeyId><SecretAccessKey>of-the-session</SecretAccessKey><SessionToken>\
             token</SessionToken><Expiration>{end}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
        ),
    )
}

fn denied(message: &str) -> Vec<u8> {
    http(
        403,
        &format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>AccessDenied\
             </Code><Message>{message}</Message></Error><RequestId>req-1</RequestId></ErrorResponse>"
        ),
    )
}

/// Answers the good code with a session that ends then, and refuses every other.
fn sts(end: &'static str) -> Responder {
    Responder::start(move |request| {
        let is_good = request.body.contains("TokenCode=123456");
        let refusal = || denied("MultiFactorAuthentication failed with invalid MFA one time pass code. ");
        Reply::Bytes(if is_good { issued(end) } else { refusal() })
    })
}

#[tokio::test]
async fn a_session_is_begun_once_however_often_it_is_needed() {
    let sts = sts("2100-01-01T00:00:00Z");
    let codes = entered(&["123456", "999999"], true);
    let sessions = Arc::new(MfaSessions::new(codes.clone()));
    let of_profile = role(&sts.url, &sessions, Some(Duration::from_secs(7200)));
    assert!(of_profile.failure().is_some_and(|why| why.contains(DEVICE)), "it has not begun");
    of_profile.begin().await;
    for role in [of_profile, role(&sts.url, &sessions, None)] {
        role.begin().await;
        let credentials = Kept(role).provide_credentials().await.expect("kept");
        assert_eq!(credentials.access_key_id(), "ASIASESSIONSESSIONSE");
    }
    let bodies: Vec<String> = sts.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies.len(), 2, "the refused code and the good one: {bodies:?}");
    for sent in
        ["SerialNumber=arn%3Aaws%3Aiam%3A%3A123456789012%3Amfa%2Fme", "TokenCode=123456", "DurationSeconds=7200"]
    {
        assert!(bodies[1].contains(sent), "{sent}: {bodies:?}");
    }
    let refused = codes.refused.lock().expect("sound").clone();
    assert!(
        refused[0].is_none() && refused[1].as_ref().is_some_and(|why| why.contains("did not accept")),
        "{refused:?}"
    );
    assert!(!sessions.lacks_a_code());
}

#[tokio::test]
async fn a_session_that_has_ended_asks_only_where_an_operator_can_be_asked() {
    for is_terminal in [true, false] {
        let sts = sts("2020-01-01T00:00:00Z");
        let sessions = Arc::new(MfaSessions::new(entered(&["123456", "123456"], is_terminal)));
        let role = role(&sts.url, &sessions, None);
        role.begin().await;
        let why = Kept(Arc::clone(&role)).provide_credentials().await.expect_err("it has ended");
        let why = std::error::Error::source(&why).expect("a cause").to_string();
        assert!(why.contains("has ended") && why.contains("`rotator resume`"), "{why}");
        assert_eq!(sessions.lacks_a_code(), !is_terminal);
        assert_eq!(sts.requests().len(), 1, "providing credentials asks for nothing");
        role.begin().await;
        assert_eq!(sts.requests().len(), if is_terminal { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_failure_is_remembered_until_the_next_pass() {
    let sts = sts("2100-01-01T00:00:00Z");
    let sessions = Arc::new(MfaSessions::new(entered(&["123456", "1", "999999"], true)));
    let role = role(&sts.url, &sessions, None);
    role.begin().await;
    // The second code is no code, so that the first refusal is what is reported.
    assert!(role.failure().is_some_and(|why| why.contains("did not accept") && !why.contains("999999")));
    role.begin().await;
    assert_eq!(sts.requests().len(), 1, "it is not asked for twice in a pass");
    sessions.forget_failures();
    role.begin().await;
    assert_eq!(role.failure(), None);
}

#[tokio::test]
async fn a_call_without_a_certain_answer_is_not_made_again() {
    let too_long = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
    for (reply, says) in [
        (Reply::ThenHang(Vec::new()), "may be used up"),
        (Reply::ThenClose(Vec::new()), "may be used up"),
        (Reply::ThenClose(raw(200, "Content-Length: 9999\r\n", "<AssumeRoleResponse>")), "may be used up"),
        (Reply::Bytes(http(200, "<html></html>")), "may be used up"),
        (Reply::Bytes(error(500, "InternalFailure")), "may be used up"),
        (Reply::Bytes(denied(too_long)), "lower duration_seconds of the profile"),
        (Reply::Bytes(denied("unable to validate MFA code")), "correct mfa_serial"),
        (Reply::Bytes(denied("is not authorized to perform: sts:AssumeRole")), "AccessDenied"),
    ] {
        let reply = Mutex::new(Some(reply));
        let sts = Responder::start(move |_| {
            let once = reply.lock().expect("sound").take();
            once.unwrap_or_else(|| Reply::Bytes(issued("2100-01-01T00:00:00Z")))
        });
        let sessions = Arc::new(MfaSessions::new(entered(&["123456", "123456"], true)));
        let role = role(&sts.url, &sessions, None);
        role.begin().await;
        let why = role.failure().unwrap_or_else(|| panic!("{says}: it began"));
        assert!(why.contains(says) && why.contains("`ops`") && !why.contains("123456,"), "{why}");
        assert_eq!(sts.requests().len(), 1, "{why}");
    }
}
